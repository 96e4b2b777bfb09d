"""Labels that users drew: polygons, points or a raster, with the class of each."""

from __future__ import annotations

import colorsys
import math
import os
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal, ogr, osr

from ..errors import LabelsError, SeriesError
from ..model.head import MapClass
from ..sits.grid import Grid, Window
from ..sits.no_value import undeclared_fill
from ..sits.rasters import is_integer, open_raster, quiet_gdal, read_small
from ..sits.target import extent_in

Value = Union[int, str]  # of the field that holds the class
MAX_CLASSES = 250
# What a class raster can hold, beside two codes of its own: 32 bits, with a sign or without.
_CODES = ((-(2**31), 2**31 - 3), (0, 2**32 - 3))
_AREAS = (ogr.wkbPolygon, ogr.wkbMultiPolygon, ogr.wkbPoint, ogr.wkbMultiPoint)
_LOOKED_AT = 1024  # pixels: side of what is looked at for values that stand for none
_EXAMPLE = "choose the field that holds the class"
_PREDICATE = 0.05  # of the smaller area: what two areas share before they count as one place
# Colours that stay apart, for classes that come without.
_PALETTE = (
    *("#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#edc948", "#b07aa1", "#76b7b2", "#9c755f"),
    *("#ff9da7", "#8cd17d", "#499894", "#d37295", "#b6992d", "#86bcb6", "#fabfd2", "#79706e"),
)
_GOLDEN = 0.618034  # of the colour circle: further colours keep away from those before
NOT_LABELLED = -1
_NO_CRS = "Undefined "  # how the names begin that a GeoPackage gives to what has no CRS


@dataclass(frozen=True)
class Legend:
    """Names and colours of class values, as a layer's style or a file's attribute table has them.

    Attributes:
        names: name by value.
        colors: "#rrggbb" by value.
    """

    names: Mapping[Value, str] = field(default_factory=dict)
    colors: Mapping[Value, str] = field(default_factory=dict)


@dataclass(frozen=True)
class VectorLabels:
    """Labelled areas (polygons) and places (points).

    Attributes:
        name: of the layer, for messages.
        crs_wkt: of the geometries.
        geometries: one per area.
        values: class of each.
        legend: names and colours that the layer's fields state.
        without_class: features left out because their class is NULL or empty.
        notes: sentences about what the layer leaves open.
    """

    name: str
    crs_wkt: str
    geometries: Sequence[ogr.Geometry]
    values: Sequence[Value]
    legend: Legend
    without_class: int = 0
    notes: Sequence[str] = ()

    def classes(self) -> list[Value]:
        """The values that occur."""
        return list(dict.fromkeys(self.values))


@dataclass(frozen=True)
class RasterLabels:
    """A raster of class codes.

    Attributes:
        name: of the file, for messages.
        path: the file.
        nodata: the value that stands for "no label"; 0 where the file states none.
        values: the codes that occur.
        legend: names and colours from its attribute table or colour table.
        notes: sentences about what the file leaves open.
    """

    name: str
    path: str
    nodata: float
    values: Sequence[int]
    legend: Legend
    notes: Sequence[str] = ()

    def classes(self) -> list[Value]:
        """The values that occur."""
        return list(self.values)


Labels = Union[VectorLabels, RasterLabels]


@dataclass(frozen=True)
class VectorValues:
    """Areas (polygons) and places (points) where something was measured.

    Attributes:
        name: of the layer, for messages.
        crs_wkt: of the geometries.
        geometries: one per area.
        values: what was measured in each, finite.
        without_value: features left out because their value is NULL or `fill`.
        fill: the value that plainly stands for "no value"; None if none does.
    """

    name: str
    crs_wkt: str
    geometries: Sequence[ogr.Geometry]
    values: Sequence[float]
    without_value: int = 0
    fill: float | None = None


@dataclass(frozen=True)
class RasterValues:
    """A raster of measured values, its first band.

    Attributes:
        name: of the file, for messages.
        path: the file.
        fill: the value that plainly stands for "no value" and is not declared; None if none does.
    """

    name: str
    path: str
    fill: float | None = None


Values = Union[VectorValues, RasterValues]
Areas = Union[VectorLabels, VectorValues]


def read_vector_labels(
    path: str,
    field: str,
    name_field: str = "",
    color_field: str = "",
    *,
    layer: str | None = None,
    name: str = "",
    around: Sequence[Grid] = (),
) -> VectorLabels:
    """Read polygons or points with their class.

    Args:
        path: anything that OGR opens; as in QGIS, "|layername=" and a layer's name may follow.
        field: whole numbers, or text.
        name_field: names of the classes; empty for none.
        color_field: colours such as #a0c83c or 160,200,60; empty for none.
        layer: of a file with several.
        name: what to call the labels in messages; the file's name if empty.
        around: where to look, as the parcels of a country are many; everywhere if empty, or if no
            label lies there.

    Raises:
        LabelsError: it cannot be opened, a field is not there, a class is no class, the geometries
            are neither polygons nor points, there is no CRS, no class, or too many of them.
    """
    name = name or os.path.basename(path)
    found, _source = _open_layer(path, layer, name)
    _require_fields(found, filter(None, (field, name_field, color_field)), name)
    geometries, values = [], []
    names: dict[Value, str] = {}
    colors: dict[Value, str] = {}
    known: set[Value] = set()
    ambiguous: list[Value] = []
    without_class = 0
    features = _near(found, around)
    for feature in features:
        geometry = _area(feature, name, _AREAS, "labels are polygons or points")
        if geometry is None:
            continue
        value = _value(name, field, feature)
        if value is None:
            without_class += 1
            continue
        known.add(value)
        if len(known) > MAX_CLASSES:
            total = len({_text(other, field) for other in features})
            raise LabelsError(
                f'The field "{field}" of {name} holds {total} different values, more than the '
                f"{MAX_CLASSES} classes that a map can have; {_EXAMPLE}."
            )
        geometries.append(geometry.Clone())
        values.append(value)
        text = _text(feature, name_field)
        if text and names.setdefault(value, text) != text and value not in ambiguous:
            ambiguous.append(value)
        color = _text(feature, color_field)
        if color and value not in colors:
            colors[value] = parse_color(color, f'the field "{color_field}" of {name}')
    if not values:
        what = "no feature" if not without_class else f'only NULL in the field "{field}"'
        raise LabelsError(f"{name} holds {what}; {_EXAMPLE} or label the features first.")
    notes = []
    if ambiguous:
        notes.append(
            f'The field "{name_field}" of {name} has several names for a class: "{ambiguous[0]}" '
            f'is called "{names[ambiguous[0]]}" here. Check that it is the right field.'
        )
    legend = Legend(names, colors)
    crs = found.GetSpatialRef().ExportToWkt()
    return VectorLabels(name, crs, geometries, values, legend, without_class, notes)


def read_vector_values(
    path: str,
    field: str,
    *,
    layer: str | None = None,
    name: str = "",
    around: Sequence[Grid] = (),
) -> VectorValues:
    """Read polygons or points with what was measured there.

    Args:
        path: anything that OGR opens; as in QGIS, "|layername=" and a layer's name may follow.
        field: numbers, or text that spells numbers.
        layer: of a file with several.
        name: what to call the layer in messages; the file's name if empty.
        around: where to look; everywhere if empty, or if no feature lies there.

    Raises:
        LabelsError: it cannot be opened, the field is not there or holds no number, the geometries
            are neither polygons nor points, there is no CRS, or no value.
    """
    name = name or os.path.basename(path)
    found, _source = _open_layer(path, layer, name)
    _require_fields(found, (field,), name)
    geometries, values = [], []
    without_value = 0
    for feature in _near(found, around):
        geometry = _area(feature, name, _AREAS, "measurements are of polygons or points")
        if geometry is None:
            continue
        value = _measured(name, field, feature)
        if value is None:
            without_value += 1
            continue
        values.append(value)
        geometries.append(geometry.Clone())
    if not values:
        what = "no feature" if not without_value else f'only NULL in the field "{field}"'
        raise LabelsError(f"{name} holds {what}; choose the field that holds what was measured.")
    crs = found.GetSpatialRef().ExportToWkt()
    fill = undeclared_fill(np.array(values))
    kept = [number for number, value in enumerate(values) if value != fill]
    without_value += len(values) - len(kept)
    geometries, values = [geometries[n] for n in kept], [values[n] for n in kept]
    return VectorValues(name, crs, geometries, values, without_value, fill)


def _measured(name: str, field: str, feature: ogr.Feature) -> float | None:
    """Number of a feature, None where there is none."""
    text = _text(feature, field)
    if not text:
        return None
    try:
        value = float(text)
        if feature.GetFieldDefnRef(field).GetType() == ogr.OFTReal:
            value = feature.GetFieldAsDouble(field)  # its text has the decimals that it is shown in
            if math.isnan(value):
                return None
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise LabelsError(
            f'The field "{field}" of {name} holds "{text}", which is no number; choose the field '
            "that holds what was measured, in numbers such as 12.5."
        )
    return value


def read_raster_values(path: str, name: str = "") -> RasterValues:
    """Check a raster of measured values.

    Raises:
        LabelsError: it holds complex numbers.
        SeriesError: it cannot be opened, or has no CRS.
    """
    name = name or os.path.basename(path)
    dataset = open_raster(path)
    Grid.from_dataset(dataset, name)
    band = dataset.GetRasterBand(1)
    if gdal.DataTypeIsComplex(band.DataType):
        raise LabelsError(f"{name} holds complex numbers; choose a raster of plain values.")
    read = read_small(dataset, [1], min(band.XSize, _LOOKED_AT), min(band.YSize, _LOOKED_AT))
    fill = None
    if read is not None:
        fill = undeclared_fill(read[read != band.GetNoDataValue()].astype(np.float64))
    return RasterValues(name, path, fill)


def _near(layer: ogr.Layer, grids: Sequence[Grid]) -> Iterable[ogr.Feature]:
    """The features of a layer near some grids; all of them if there are none."""
    box = bounds_around(grids, layer.GetSpatialRef().ExportToWkt())
    if box is None:
        return layer
    layer.SetSpatialFilterRect(*box)
    # A spatial index gives them in another order than the file.
    found = sorted(layer, key=lambda feature: feature.GetFID())
    layer.SetSpatialFilter(None)
    return found or layer


def bounds_around(grids: Sequence[Grid], crs_wkt: str) -> tuple[float, float, float, float] | None:
    """(xmin, ymin, xmax, ymax) in a CRS that hold all of some grids; None if nothing is sure to."""
    try:
        corners = np.array([extent_in(grid, crs_wkt) for grid in grids]).reshape(-1, 4)
    except SeriesError:
        return None
    # Across the antimeridian, a box of degrees begins east of where it ends.
    if not len(corners) or (corners[:, 0] > corners[:, 2]).any():
        return None
    left, bottom = corners[:, :2].min(0).tolist()
    right, top = corners[:, 2:].max(0).tolist()
    return left, bottom, right, top


def read_mask(path: str, *, layer: str | None = None, name: str = "") -> VectorLabels:
    """Read the polygons that a map is limited to; all of them have the value 1.

    Raises:
        LabelsError: it cannot be opened, holds no polygon, or has no CRS.
    """
    name = name or os.path.basename(path)
    return _read_shapes(
        path,
        layer,
        name,
        _AREAS[:2],
        "a mask is made of polygons",
        "holds no polygon; choose the polygons to map, or no mask",
    )


def read_examples(path: str, *, layer: str | None = None, name: str = "") -> VectorLabels:
    """Read polygons and points that are examples of one thing; all of them have the value 1.

    Raises:
        LabelsError: it cannot be opened, holds neither, or has no CRS.
    """
    name = name or os.path.basename(path)
    return _read_shapes(
        path,
        layer,
        name,
        _AREAS,
        "examples are polygons or points",
        "holds no example; draw or select at least one polygon or point",
    )


def _read_shapes(
    path: str,
    layer: str | None,
    name: str,
    kinds: Collection[int],
    others: str,
    none: str,
) -> VectorLabels:
    """Geometries of some kinds, without classes; `others` and `none` say what is wrong else."""
    found, _source = _open_layer(path, layer, name)
    shapes = []
    for feature in found:
        geometry = _area(feature, name, kinds, others)
        if geometry is not None:
            shapes.append(geometry.Clone())
    if not shapes:
        raise LabelsError(f"{name} {none}.")
    crs = found.GetSpatialRef().ExportToWkt()
    return VectorLabels(name, crs, shapes, [1] * len(shapes), Legend())


def _area(
    feature: ogr.Feature, name: str, kinds: Collection[int], others: str
) -> ogr.Geometry | None:
    """The outline of a feature, without curves; None where it has none.

    Raises:
        LabelsError: it is of none of the kinds; `others` says what is wrong then.
    """
    geometry = feature.GetGeometryRef()
    if geometry is None or geometry.IsEmpty():
        return None
    if geometry.HasCurveGeometry():
        geometry = geometry.GetLinearGeometry()
    if ogr.GT_Flatten(geometry.GetGeometryType()) not in kinds:
        raise LabelsError(
            f"{name} holds a {geometry.GetGeometryName().lower()} (feature {feature.GetFID()}); "
            f"{others}."
        )
    return geometry


def _require_fields(layer: ogr.Layer, wanted: Iterable[str], name: str) -> None:
    definition = layer.GetLayerDefn()
    fields = [definition.GetFieldDefn(i).GetName() for i in range(definition.GetFieldCount())]
    for one in wanted:
        if one not in fields:
            raise LabelsError(
                f'{name} has no field "{one}"; choose one of {", ".join(fields) or "none"}.'
            )


def _open_layer(path: str, layer: str | None, name: str) -> tuple[ogr.Layer, gdal.Dataset]:
    """A layer, and the file that must stay open as long as it is read."""
    path, _, wanted = path.partition("|layername=")
    source = None
    with quiet_gdal():
        source = gdal.OpenEx(path, gdal.OF_VECTOR)
    if source is None:
        raise LabelsError(f"{path} cannot be opened as a vector layer; check the file.")
    layers = [source.GetLayer(index) for index in range(source.GetLayerCount())]
    layers = [one for one in layers if one.GetGeomType() != ogr.wkbNone]
    names = [one.GetName() for one in layers]
    wanted = layer or wanted or (names[0] if len(names) == 1 else "")
    if not names:
        raise LabelsError(f"{name} is a table without geometries; choose polygons or points.")
    if wanted not in names:
        raise LabelsError(
            f"{name} holds the layers {', '.join(names)}; say which one, as in "
            f"{path}|layername={names[0]}."
        )
    found = layers[names.index(wanted)]
    reference = found.GetSpatialRef()
    if reference is None or reference.GetName().startswith(_NO_CRS):
        raise LabelsError(f"{name} has no CRS; assign the one that it was drawn in.")
    return found, source


def _text(feature: ogr.Feature, field: str) -> str:
    return clean(feature.GetFieldAsString(field) or "") if field else ""


def clean(text: str) -> str:
    """A name as it is compared: no blanks around it, accented letters written in one way."""
    return unicodedata.normalize("NFC", text).strip()


def _value(name: str, field: str, feature: ogr.Feature) -> Value | None:
    """Class of a feature: a whole number, a text, or None where there is none."""
    if not feature.IsFieldSetAndNotNull(field):
        return None
    kind = feature.GetFieldDefnRef(field).GetType()
    if kind in (ogr.OFTInteger, ogr.OFTInteger64):
        value = feature.GetFieldAsInteger64(field)
    elif kind == ogr.OFTReal:
        number = feature.GetFieldAsDouble(field)
        if not math.isfinite(number) or number != math.floor(number):
            raise LabelsError(
                f'The field "{field}" of {name} holds {number:g}; classes are whole numbers or '
                f"text, {_EXAMPLE}."
            )
        value = int(number)
    else:
        return _text(feature, field) or None
    if not _storable([value]):
        raise LabelsError(
            f'The field "{field}" of {name} holds {value}, which no class raster can hold; put '
            "the classes into a text field instead."
        )
    return value


def _storable(codes: Sequence[int]) -> bool:
    """Whether one class raster can hold all of the codes."""
    return any(low <= min(codes) and max(codes) <= high for low, high in _CODES)


def parse_color(text: str, where: str) -> str:
    """Returns "#rrggbb" of a colour such as #A0C83C or 160,200,60 (opacity is dropped).

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


def read_raster_labels(path: str, name: str = "") -> RasterLabels:
    """Look through a raster of class codes, its first band.

    Raises:
        LabelsError: it has no label, too many classes, or values that are no whole numbers.
        SeriesError: it cannot be opened or read, or has no CRS.
    """
    name = name or os.path.basename(path)
    dataset = open_raster(path)
    Grid.from_dataset(dataset, name)
    band = dataset.GetRasterBand(1)
    stated = band.GetNoDataValue()
    nodata = 0.0 if stated is None else stated
    found: set[float] = set()
    zeros = False
    width, height = band.GetBlockSize()
    for row in range(0, dataset.RasterYSize, height):
        for col in range(0, dataset.RasterXSize, width):
            window = Window(col, row, width, height).expand(0, _whole(dataset))
            block = _read_values(dataset, window)
            zeros |= bool((block == 0).any())
            found |= set(np.unique(block[np.isfinite(block) & (block != nodata)]).tolist())
        if len(found) > MAX_CLASSES:
            raise LabelsError(
                f"{name} holds more than {MAX_CLASSES} different values, so it is no class raster; "
                "choose a raster of class codes."
            )
    odd = [value for value in found if value != math.floor(value)]
    if odd:
        raise LabelsError(
            f"{name} holds {odd[0]:g}; class codes are whole numbers, choose a class raster."
        )
    if not found:
        raise LabelsError(f"{name} holds no label, only its nodata value {nodata:g}; check it.")
    values = sorted(int(value) for value in found)
    notes = []
    if stated is None and zeros:
        notes.append(f"{name} states no nodata value: its pixels of 0 are taken to have no label.")
    return RasterLabels(name, path, nodata, values, legend_of(band), notes)


def _whole(dataset: gdal.Dataset) -> Window:
    return Window(0, 0, dataset.RasterXSize, dataset.RasterYSize)


def _read_values(dataset: gdal.Dataset, window: Window) -> NDArray[np.float64]:
    """`(H, W)` of the first band; float64 holds every 32-bit code."""
    values = np.empty((window.height, window.width))
    done = None
    with quiet_gdal() as failures:
        done = dataset.ReadRaster(
            window.col,
            window.row,
            window.width,
            window.height,
            buf_type=gdal.GDT_Float64,
            band_list=[1],
            buf_obj=values,
        )
    if done is None or failures:
        name = os.path.basename(dataset.GetDescription())
        raise SeriesError(f"{name} cannot be read; check that the file is complete.")
    return values


def legend_of(band: gdal.Band) -> Legend:
    """Names and colours of a raster band: from its attribute table, else its palette and names."""
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
    """The classes of all labels together, in the order of their codes, and the value of each.

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
            f"{where} hold {len(values)} classes together, more than {MAX_CLASSES}; {_EXAMPLE}."
        )
    numbers = _numbers(values)
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


def _numbers(values: Sequence[Value]) -> dict[Value, int]:
    """The whole number that each class is or spells; empty where they cannot all be codes."""
    if not all(isinstance(value, int) or re.fullmatch("-?[0-9]+", value) for value in values):
        return {}
    numbers = {value: int(value) for value in values}
    codes = list(numbers.values())
    return numbers if len(set(codes)) == len(codes) and _storable(codes) else {}


def default_color(number: int) -> str:
    """A colour for the class of this place in a list, "#rrggbb"."""
    if number < len(_PALETTE):
        return _PALETTE[number]
    levels = colorsys.hsv_to_rgb(number * _GOLDEN % 1, 0.45 + 0.15 * (number % 3), 0.85)
    return "#" + "".join(f"{round(255 * level):02x}" for level in levels)


def transformation(from_wkt: str, to_wkt: str) -> osr.CoordinateTransformation:
    """From one CRS to another, x (or longitude) first in both."""
    references = []
    for wkt in (from_wkt, to_wkt):
        reference = osr.SpatialReference()
        reference.ImportFromWkt(wkt)
        reference.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
        references.append(reference)
    return osr.CoordinateTransformation(*references)


def on_grid(labels: Areas, grid: Grid) -> list[ogr.Geometry | None]:
    """The geometries in the CRS of a grid; None for one that cannot be brought there.

    An area smaller than a pixel becomes a point inside it, so that it is not lost between pixel
    centres.
    """
    transform = transformation(labels.crs_wkt, grid.crs_wkt)
    width, height = grid.pixel_size
    out: list[ogr.Geometry | None] = []
    for geometry in labels.geometries:
        moved = geometry.Clone()
        failed: int | None = None
        with quiet_gdal():
            failed = moved.Transform(transform)
            if failed == 0 and 0 < moved.GetArea() < width * height:
                moved = moved.PointOnSurface() or moved.Centroid()
        out.append(moved if failed == 0 else None)
    return out


def _memory_driver() -> ogr.Driver:
    """The driver of layers in memory, which GDAL 3.11 made one with that of rasters."""
    return ogr.GetDriverByName("Memory") or ogr.GetDriverByName("MEM")


class Burner:
    """Finds the pixels of many areas, window by window.

    Args:
        geometries: in the CRS of the grid; None for none.
        grid: of the raster.
        target: class or value of each area; then the area on top and that at the bottom are of
            one only where all areas of the pixel are.
    """

    def __init__(
        self,
        geometries: Sequence[ogr.Geometry | None],
        grid: Grid,
        target: NDArray[np.number] | None = None,
    ) -> None:
        self.grid = grid
        self._sources = []
        order = [index for index, geometry in enumerate(geometries) if geometry is not None]
        if target is not None:
            order.sort(key=lambda index: float(target[index]))
        for direction in (1, -1):  # where areas overlap, each direction shows another one
            source = _memory_driver().CreateDataSource("")
            reference = osr.SpatialReference()
            reference.ImportFromWkt(grid.crs_wkt)
            layer = source.CreateLayer("areas", reference, ogr.wkbUnknown)
            layer.CreateField(ogr.FieldDefn("area", ogr.OFTInteger))
            for index in order[::direction]:
                feature = ogr.Feature(layer.GetLayerDefn())
                feature.SetGeometry(geometries[index])
                feature.SetField(0, index)
                layer.CreateFeature(feature)
            self._sources.append(source)

    def burn(self, window: Window) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """`(H, W)` area on top and `(H, W)` area at the bottom of each pixel, -1 for none.

        A pixel belongs to the polygons that hold its centre.
        """
        top, bottom = (self._burn(source, window) for source in self._sources)
        return top, bottom

    def _burn(self, source: ogr.DataSource, window: Window) -> NDArray[np.int32]:
        layer = source.GetLayer(0)
        target = self.grid.subgrid(window)
        layer.SetSpatialFilterRect(*target.extent)
        if layer.GetFeatureCount() == 0:
            return np.full((window.height, window.width), NOT_LABELLED, np.int32)
        memory = gdal.GetDriverByName("MEM").Create(
            "", window.width, window.height, 1, gdal.GDT_Int32
        )
        memory.SetGeoTransform(target.geotransform)
        memory.SetProjection(self.grid.crs_wkt)
        memory.GetRasterBand(1).Fill(NOT_LABELLED)
        with quiet_gdal():
            gdal.RasterizeLayer(memory, [1], layer, options=["ATTRIBUTE=area"])
        data = memory.ReadRaster(0, 0, window.width, window.height, buf_type=gdal.GDT_Int32)
        return np.frombuffer(data, np.int32).reshape(window.height, window.width)


def _warped(
    raster: RasterLabels | RasterValues,
    grid: Grid,
    resampling: str,
    source: gdal.Dataset | None = None,
    **options: Any,
) -> gdal.Dataset:
    """A raster, or `source` in its place, on another grid; `options` are gdal.WarpOptions's.

    Raises:
        LabelsError: it cannot be brought there.
    """
    warped = None
    with quiet_gdal() as failures:
        warped = gdal.Warp(
            "",
            raster.path if source is None else source,
            format="VRT",
            outputBounds=grid.extent,
            width=grid.width,
            height=grid.height,
            dstSRS=grid.crs_wkt,
            resampleAlg=resampling,
            **options,
        )
    if warped is None:
        reason = failures[0] if failures else "unknown reason"
        raise LabelsError(
            f"{raster.name} cannot be brought to the grid of the series ({reason}); check its CRS."
        )
    return warped


class WarpedLabels:
    """A label raster seen on another grid, nearest neighbour."""

    def __init__(self, labels: RasterLabels, grid: Grid) -> None:
        self._labels = labels
        nodata = labels.nodata
        self._dataset = _warped(labels, grid, "near", srcNodata=nodata, dstNodata=nodata)
        self._indices = {value: index for index, value in enumerate(labels.values)}

    def read(self, window: Window) -> NDArray[np.int32]:
        """`(H, W)` place of each pixel's value in `labels.values`, -1 for no label."""
        values = _read_values(self._dataset, window)
        out = np.full(values.shape, NOT_LABELLED, np.int32)
        for value, index in self._indices.items():
            out[values == value] = index
        return out


def _with_nan(values: RasterValues, source: gdal.Dataset) -> gdal.Dataset | None:
    """Return a VRT of measured values in which all that stands for no value is NaN.

    The warper knows one nodata value, and a raster may hold three: the one that it declares, one
    that it does not, and NaN. Return None where the declared one is all there is, or where GDAL
    cannot make the VRT (BuildVRT takes no raster with rows from south to north).
    """
    band = source.GetRasterBand(1)
    if is_integer(band.DataType) and values.fill is None:
        return None
    made = None
    with quiet_gdal():
        made = gdal.Translate(
            "", source, format="VRT", bandList=[1], outputType=gdal.GDT_Float64, noData="none"
        )
        for missing in (band.GetNoDataValue(), values.fill, math.nan):
            if made is not None and missing is not None:
                made = gdal.BuildVRT("", [made], srcNodata=missing, VRTNodata=math.nan)
    return made


class WarpedValues:
    """A raster of measured values seen on another grid.

    Finer pixels are averaged over those of the grid; of coarser ones the nearest counts.
    """

    def __init__(self, values: RasterValues, grid: Grid) -> None:
        source = open_raster(values.path)
        band = source.GetRasterBand(1)
        self._scale = 1.0 if band.GetScale() is None else band.GetScale()
        self._offset = band.GetOffset() or 0.0
        self._source = _with_nan(values, source)
        nodata = band.GetNoDataValue() if values.fill is None else values.fill
        self._dataset = _warped(
            values,
            grid,
            "average" if _finer(Grid.from_dataset(source, values.name), grid) else "near",
            self._source,
            outputType=gdal.GDT_Float64,
            srcNodata=nodata if self._source is None else math.nan,
            dstNodata=math.nan,
            # Else GDAL takes nodata in one band for a value where another band has one.
            warpOptions=["UNIFIED_SRC_NODATA=NO"],
        )

    def read(self, window: Window) -> NDArray[np.float64]:
        """`(H, W)` measured values, NaN where there is none."""
        values = _read_values(self._dataset, window) * self._scale + self._offset
        values[~np.isfinite(values)] = np.nan
        return values


def _finer(one: Grid, other: Grid) -> bool:
    """Whether the pixels of a grid are smaller than those of another, whatever their CRS."""
    left, bottom, right, top = extent_in(other, one.crs_wkt)
    pixel = (right - left) * (top - bottom) / (other.width * other.height)
    return bool(one.pixel_size[0] * one.pixel_size[1] < 0.99 * pixel)


def merge_places(labels: Sequence[Areas], crs_wkt: str) -> list[NDArray[np.int64]]:
    """One number per area, the same for areas of any layers that lie on one another.

    Fields drawn once for each year are one place: validation must not train on one year of a
    field and test on the other.

    Args:
        labels: layers.
        crs_wkt: where to compare them.

    Returns:
        For each layer `(areas,)` place numbers.
    """
    geometries: list[ogr.Geometry | None] = []
    for item in labels:
        transform = transformation(item.crs_wkt, crs_wkt)
        for geometry in item.geometries:
            moved = geometry.Clone()
            failed: int | None = None
            with quiet_gdal():
                failed = moved.Transform(transform)
            geometries.append(moved if failed == 0 else None)
    parents = np.arange(len(geometries))

    def root(index: int) -> int:
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    empty = (np.inf, -np.inf, np.inf, -np.inf)
    boxes = np.array([empty if g is None else g.GetEnvelope() for g in geometries])
    by_left = np.argsort(boxes[:, 0], kind="stable")
    lefts = boxes[by_left, 0]
    for position, index in enumerate(by_left):
        last = np.searchsorted(lefts, boxes[index, 1], side="right")
        others = by_left[position + 1 : last]
        beside = (boxes[others, 2] > boxes[index, 3]) | (boxes[others, 3] < boxes[index, 2])
        for other in others[~beside]:
            if root(index) != root(other) and _same_place(geometries[index], geometries[other]):
                parents[root(other)] = root(index)
    places = np.array([root(index) for index in range(len(geometries))], np.int64)
    ends = np.cumsum([len(item.geometries) for item in labels])
    return np.split(places, ends[:-1])


def _same_place(first: ogr.Geometry, second: ogr.Geometry) -> bool:
    """Whether two areas overlap by more than their borders, or a point lies in the other."""
    with quiet_gdal():
        if not first.Intersects(second):
            return False
        least = min(first.GetArea(), second.GetArea())
        if least == 0:
            return True
        common = first.Intersection(second)
        # GEOS refuses polygons that cross themselves; they count as one place.
        return common is None or common.GetArea() > _PREDICATE * least
    return True
