"""Classes of a legend: codes, names and colours."""

from __future__ import annotations

import colorsys
import re
import unicodedata
from collections.abc import Collection, Sequence

from osgeo import gdal

from ...errors import LabelsError
from ...model.heads.class_head import MapClass
from .layers import Labels, Legend, Value
from .text import decoded

CHOOSE_FIELD = "choose the field that holds the class"
MAX_CLASSES = 250


# What a class raster can hold, beside two codes of its own: 32 bits, with a sign or without.
_CODES = ((-(2**31), 2**31 - 3), (0, 2**32 - 3))


# Colours that stay apart, for classes that come without.
_PALETTE = (
    *("#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#edc948", "#b07aa1", "#76b7b2", "#9c755f"),
    *("#ff9da7", "#8cd17d", "#499894", "#d37295", "#b6992d", "#86bcb6", "#fabfd2", "#79706e"),
)


_GOLDEN = 0.618034  # of the colour circle: further colours keep away from those before


def clean(text: str) -> str:
    """Return a name as it is compared: no blanks around it, accented letters written in one way."""
    return unicodedata.normalize("NFC", decoded(text)).strip()


def fit_class_raster(codes: Sequence[int]) -> bool:
    """Return whether one class raster can hold all of the codes."""
    return any(low <= min(codes) and max(codes) <= high for low, high in _CODES)


def parse_color(text: str, where: str) -> str:
    """Return "#rrggbb" of a colour such as #A0C83C or 160,200,60 (opacity is dropped).

    Raises:
        LabelsError: it is none, or is not a full colour.
    """
    short = text.strip().lower()
    if re.fullmatch(r"#[0-9a-f]{6}([0-9a-f]{2})?", short):
        # QGIS writes the opacity of an eight-digit colour first.
        return "#" + short[-6:]
    parts = re.split(r"\s*,\s*", short)
    if len(parts) in (3, 4) and all(part.isdigit() and int(part) < 256 for part in parts):
        return "#" + "".join(f"{int(part):02x}" for part in parts[:3])
    raise LabelsError(f'"{text}" in {where} is not a colour; write it as #a0c83c or 160,200,60.')


def legend_of(band: gdal.Band) -> Legend:
    """Return names and colours of a raster band, from its attribute table or its palette."""
    names: dict[Value, str] = {}
    colors: dict[Value, str] = {}
    table = band.GetDefaultRAT()  # first: GDAL 3.6 finds the names only after the table
    palette, categories = band.GetColorTable(), band.GetCategoryNames() or []
    if palette is not None:
        for value in range(palette.GetCount()):
            colors[value] = "#{:02x}{:02x}{:02x}".format(*palette.GetColorEntry(value)[:3])
    names.update({value: text for value, text in enumerate(categories) if text})
    if table is None:
        return Legend(names, colors)
    usages = {table.GetUsageOfCol(i): i for i in range(table.GetColumnCount())}
    value_column = usages.get(gdal.GFU_MinMax)
    if value_column is None:
        return Legend(names, colors)
    rgb = [usages.get(usage) for usage in (gdal.GFU_Red, gdal.GFU_Green, gdal.GFU_Blue)]
    for row in range(table.GetRowCount()):
        value = int(table.GetValueAsDouble(row, value_column))
        if gdal.GFU_Name in usages:
            names[value] = table.GetValueAsString(row, usages[gdal.GFU_Name])
        if None not in rgb:
            levels = (table.GetValueAsInt(row, column) for column in rgb)
            colors[value] = "#{:02x}{:02x}{:02x}".format(*levels)
    return Legend(names, colors)


def class_list(
    labels: Sequence[Labels],
    legends: Sequence[Legend] = (),
    only: Collection[Value] | None = None,
) -> tuple[list[MapClass], list[Value]]:
    """Return the classes of all labels in the order of their codes, and the value of each.

    Numbers are their own codes, also as text; other texts get the codes 1 to K in alphabetical
    order.

    Args:
        labels: of all areas or years.
        legends: names and colours to fall back on, such as the layers' styles.
        only: values to keep; all if None.

    Raises:
        LabelsError: fewer than two classes, or numbers in one layer and texts in another.
    """
    values = list(dict.fromkeys(value for item in labels for value in item.classes()))
    values = [value for value in values if only is None or value in only]
    where = " and ".join(dict.fromkeys(item.name for item in labels))
    if len({type(value) for value in values}) > 1:
        raise LabelsError(
            f"The classes of {where} are numbers in one and text in another; use fields of one "
            "kind."
        )
    if len(values) < 2:
        raise LabelsError(
            f'{where} holds one class only ("{values[0]}"); a map needs at least two.'
        )
    if len(values) > MAX_CLASSES:
        raise LabelsError(
            f"{where} hold {len(values)} classes together, more than {MAX_CLASSES}; {CHOOSE_FIELD}."
        )
    numbers = class_numbers(values)
    values.sort(key=lambda value: numbers.get(value, value))
    if isinstance(values[0], int) and not numbers:
        raise LabelsError(
            f"The classes of {where} reach from {min(values)} to {max(values)}, which no class "
            "raster can hold; give them smaller numbers, or names in a text field."
        )
    known = [*(item.legend for item in labels), *legends]
    classes = []
    for number, value in enumerate(values):
        names = (clean(legend.names.get(value, "")) for legend in known)
        name = next(filter(None, names), str(value))
        colors = (legend.colors.get(value) for legend in known)
        color = next(filter(None, colors), default_color(number))
        classes.append(MapClass(numbers.get(value, number + 1), name, color))
    return classes, values


def class_numbers(values: Sequence[Value]) -> dict[Value, int]:
    """Return the whole number that each class is or spells; empty if one is no code."""
    if not all(isinstance(value, int) or re.fullmatch("-?[0-9]+", value) for value in values):
        return {}
    numbers = {value: int(value) for value in values}
    codes = list(numbers.values())
    return numbers if len(set(codes)) == len(codes) and fit_class_raster(codes) else {}


def default_color(number: int) -> str:
    """Return a colour for the class of this place in a list, "#rrggbb"."""
    if number < len(_PALETTE):
        return _PALETTE[number]
    levels = colorsys.hsv_to_rgb(number * _GOLDEN % 1, 0.45 + 0.15 * (number % 3), 0.85)
    return "#" + "".join(f"{round(255 * level):02x}" for level in levels)
