"""Labels that users drew: polygons, points or a raster, with the class of each."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Iterable, Sequence

import numpy as np
from osgeo import gdal, ogr

from ...errors import LabelsError, SeriesError
from ...sits.grid import Grid
from ...sits.no_value import FILLS, undeclared_fill
from ...sits.rasters import open_raster, quiet_gdal, read_small, refuse_unspeakable
from ...sits.target import extent_in
from .layers import Legend, RasterLabels, RasterValues, Value, VectorLabels, VectorValues
from .legend import CHOOSE_FIELD, MAX_CLASSES, clean, fit_class_raster, legend_of, parse_color
from .on_grid import read_values_of, whole_window
from .shapes import AREAS, POLYGONS, ShapeReader
from .text import decoded, is_damaged

_NULLS = ("null", "<null>", "nan", "none", "n/a", "nodata", "no data", "-", "--", "?")
_LOOKED_AT = 1024  # pixels: side of what is looked at for values that stand for none


_NO_CRS = "Undefined "  # how the names begin that a GeoPackage gives to what has no CRS


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
    indices = _require_fields(found, (field, name_field, color_field), name)
    shapes = ShapeReader(AREAS, "labels are polygons or points")
    geometries, values = [], []
    names: dict[Value, str] = {}
    colors: dict[Value, str] = {}
    known: set[Value] = set()
    ambiguous: list[Value] = []
    without_class = 0
    fills: dict[Value, None] = {}
    texts: set[str] = set()
    features = _near(found, around)
    for feature in features:
        geometry = shapes.read(feature)
        if geometry is None:
            continue
        value = _value(name, field, indices[0], feature)
        if _stands_for_none(value):
            fills[str(value)] = None
            value = None
        if value is None:
            without_class += 1
            continue
        known.add(value)
        if len(known) > MAX_CLASSES:
            total = len({_text(other, indices[0]) for other in features})
            raise LabelsError(
                f'The field "{field}" of {name} holds {total} different values, more than the '
                f"{MAX_CLASSES} classes that a map can have; {CHOOSE_FIELD}."
            )
        geometries.append(geometry)
        values.append(value)
        texts |= {feature.GetFieldAsString(index) for index in indices[:2] if index >= 0}
        text = _text(feature, indices[1])
        if text and names.setdefault(value, text) != text and value not in ambiguous:
            ambiguous.append(value)
        color = _text(feature, indices[2])
        if color and value not in colors:
            colors[value] = parse_color(color, f'the field "{color_field}" of {name}')
    if not values:
        what = "no feature" if not without_class else f'only NULL in the field "{field}"'
        raise LabelsError(
            shapes.problem(name)
            or f"{name} holds {what}; {CHOOSE_FIELD} or label the features first."
        )
    warnings = [
        *shapes.warnings(name),
        *_about_text(name, texts),
        *_about_nulls(name, field, known),
    ]
    if fills:
        warnings.append(f"{', '.join(map(str, fills))} stands for no class in {name}.")
    if ambiguous:
        warnings.append(
            f'The field "{name_field}" of {name} has several names for a class: "{ambiguous[0]}" '
            f'is called "{names[ambiguous[0]]}" here. Check that it is the right field.'
        )
    legend = Legend(names, colors)
    crs = found.GetSpatialRef().ExportToWkt()
    return VectorLabels(name, crs, geometries, values, legend, without_class, warnings)


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
    (index,) = _require_fields(found, (field,), name)
    shapes = ShapeReader(AREAS, "measurements are of polygons or points")
    geometries, values = [], []
    without_value = 0
    for feature in _near(found, around):
        geometry = shapes.read(feature)
        if geometry is None:
            continue
        value = _measured(name, field, index, feature)
        if value is None:
            without_value += 1
            continue
        values.append(value)
        geometries.append(geometry)
    if not values:
        what = "no feature" if not without_value else f'only NULL in the field "{field}"'
        raise LabelsError(
            shapes.problem(name)
            or f"{name} holds {what}; choose the field that holds what was measured."
        )
    crs = found.GetSpatialRef().ExportToWkt()
    fill = undeclared_fill(np.array(values))
    kept = [number for number, value in enumerate(values) if value != fill]
    without_value += len(values) - len(kept)
    geometries, values = [geometries[n] for n in kept], [values[n] for n in kept]
    return VectorValues(name, crs, geometries, values, without_value, fill, shapes.warnings(name))


def _measured(name: str, field: str, index: int, feature: ogr.Feature) -> float | None:
    """Return number of a feature, None where there is none."""
    text = _text(feature, index)
    if not text:
        return None
    try:
        value = float(text)
        if feature.GetFieldDefnRef(index).GetType() == ogr.OFTReal:
            value = feature.GetFieldAsDouble(index)  # its text has the decimals that it is shown in
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
    """Return the features of a layer near some grids; all of them if there are none."""
    box = bounds_around(grids, layer.GetSpatialRef().ExportToWkt())
    found: Iterable[ogr.Feature] = []
    if box is not None:
        layer.SetSpatialFilterRect(*box)
        # A spatial index gives them in another order than the file.
        found = sorted(layer, key=lambda feature: feature.GetFID())
        layer.SetSpatialFilter(None)
    every: Iterable[ogr.Feature] = layer
    return found or every


def bounds_around(grids: Sequence[Grid], crs_wkt: str) -> tuple[float, float, float, float] | None:
    """Return (xmin, ymin, xmax, ymax) of some grids in a CRS; None if that is not certain."""
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
        POLYGONS,
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
        AREAS,
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
    """Return geometries of some kinds; `others` and `none` are the sentences of a refusal."""
    found, _source = _open_layer(path, layer, name)
    reader = ShapeReader(kinds, others)
    shapes = [shape for shape in map(reader.read, found) if shape is not None]
    if not shapes:
        raise LabelsError(reader.problem(name) or f"{name} {none}.")
    crs = found.GetSpatialRef().ExportToWkt()
    ones = [1] * len(shapes)
    return VectorLabels(name, crs, shapes, ones, Legend(), 0, reader.warnings(name))


def _about_text(name: str, texts: Iterable[str]) -> list[str]:
    """Return sentences about letters that are not as they were written."""
    damaged = sorted({text for text in texts if is_damaged(text)})
    odd = sorted({decoded(text) for text in texts if decoded(text) != text})
    said = []
    if odd:
        said.append(
            f"The text of {name} is not in the encoding that the file states, if any; it is read "
            f'as "{odd[0]}". Where that is wrong, save the layer as a GeoPackage.'
        )
    if damaged:
        said.append(
            f'{name} holds "{damaged[0]}", of which letters were lost; choose the encoding of the '
            "layer again."
        )
    return said


def _about_nulls(name: str, field: str, values: Collection[Value]) -> list[str]:
    """Return sentences about classes that are called as if they were none."""
    odd = [f'"{value}"' for value in values if str(value).casefold() in _NULLS]
    if not odd:
        return []
    return [
        f'The field "{field}" of {name} holds the text {" and ".join(sorted(odd))}, which counts '
        "as a class like any other; empty the field where it stands for none."
    ]


def _stands_for_none(value: Value | None) -> bool:
    """Return whether a class is one of the numbers that programs write for no value."""
    return str(value) in {f"{fill:.0f}" for fill in FILLS}


def _require_fields(layer: ogr.Layer, wanted: Iterable[str], name: str) -> list[int]:
    """Return the position of each field, -1 for one whose name is empty.

    Raises:
        LabelsError: the layer has no such field.
    """
    definition = layer.GetLayerDefn()
    count = definition.GetFieldCount()
    fields = [clean(definition.GetFieldDefn(i).GetName()) for i in range(count)]
    indices = []
    for one in wanted:
        if one and clean(one) not in fields:
            raise LabelsError(
                f'{name} has no field "{one}"; choose one of {", ".join(fields) or "none"}.'
            )
        indices.append(fields.index(clean(one)) if one else -1)
    return indices


def _open_layer(path: str, layer: str | None, name: str) -> tuple[ogr.Layer, gdal.Dataset]:
    """Return a layer, and the file that must stay open as long as it is read."""
    path, _, wanted = path.partition("|layername=")
    refuse_unspeakable(path)
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


def _text(feature: ogr.Feature, index: int) -> str:
    return clean(feature.GetFieldAsString(index) or "") if index >= 0 else ""


def _value(name: str, field: str, index: int, feature: ogr.Feature) -> Value | None:
    """Return class of a feature: a whole number, a text, or None where there is none."""
    if not feature.IsFieldSetAndNotNull(index):
        return None
    kind = feature.GetFieldDefnRef(index).GetType()
    value: int
    if kind in (ogr.OFTInteger, ogr.OFTInteger64):
        value = feature.GetFieldAsInteger64(index)
    elif kind == ogr.OFTReal:
        number = feature.GetFieldAsDouble(index)
        if not math.isfinite(number) or number != math.floor(number):
            raise LabelsError(
                f'The field "{field}" of {name} holds {number:g}; classes are whole numbers or '
                f"text, {CHOOSE_FIELD}."
            )
        value = int(number)
    else:
        return _text(feature, index) or None
    if not fit_class_raster([value]):
        raise LabelsError(
            f'The field "{field}" of {name} holds {value}, which no class raster can hold; put '
            "the classes into a text field instead."
        )
    return value


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
    for window in whole_window(dataset).blocks(height, width):
        block = read_values_of(dataset, window)
        zeros |= bool((block == 0).any())
        found |= set(np.unique(block[np.isfinite(block) & (block != nodata)]).tolist())
        if len(found) > MAX_CLASSES:
            raise LabelsError(
                f"{name} holds more than {MAX_CLASSES} different values, so it is no class raster; "
                "choose a raster of class codes."
            )
    fills = sorted(found.intersection(FILLS))
    found.difference_update(fills)
    odd = [value for value in found if value != math.floor(value)]
    if odd:
        raise LabelsError(
            f"{name} holds {odd[0]:g}; class codes are whole numbers, choose a class raster."
        )
    if not found:
        raise LabelsError(f"{name} holds no label, only its nodata value {nodata:g}; check it.")
    values = sorted(int(value) for value in found)
    warnings = []
    if stated is None and zeros:
        warnings.append(
            f"{name} states no nodata value: its pixels of 0 are taken to have no label."
        )
    if fills:
        warnings.append(
            f"{fills[0]:g} stands for no class in {name}, although the raster does not declare it."
        )
    return RasterLabels(name, path, nodata, values, legend_of(band), warnings)
