"""Polygons in, and the same polygons out with what was measured in each."""

from __future__ import annotations

from collections.abc import Sequence

from osgeo import gdal, ogr, osr

from ..errors import AliseError
from ..mapping.change.zones import ZoneChange
from ..mapping.rasters.destinations import require_replaceable
from ..sits.rasters import quiet_gdal
from .geopackage import write_geopackage

_LAYER = "zones"
_FIELDS = (
    ("pixels", ogr.OFTInteger),
    ("dist_mean", ogr.OFTReal),
    ("dist_med", ogr.OFTReal),
    ("share_chg", ogr.OFTReal),
    ("rank", ogr.OFTInteger),
    ("changed", ogr.OFTInteger),
)


def polygons_of(path: str, crs_wkt: str) -> list[bytes]:
    """WKB of each feature of a file's first layer in another CRS; empty for one without a shape.

    Raises:
        AliseError: it cannot be opened, has no polygons or no CRS.
    """
    source = _open(path)
    layer = source.GetLayer(0)
    reference = layer.GetSpatialRef()
    if reference is None:
        raise AliseError(f"{path} has no CRS; assign the one that it was drawn in.")
    target = osr.SpatialReference()
    target.ImportFromWkt(crs_wkt)
    for one in (reference, target):
        one.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    transform = osr.CoordinateTransformation(reference, target)
    polygons = []
    for feature in layer:
        shape = feature.GetGeometryRef()
        shape = None if shape is None or shape.IsEmpty() else shape.GetLinearGeometry()
        if shape is not None:
            flat = ogr.GT_Flatten(shape.GetGeometryType())
            if flat not in (ogr.wkbPolygon, ogr.wkbMultiPolygon):
                raise AliseError(f"{path} has no polygons; choose a layer of polygons.")
            shape.Transform(transform)
        polygons.append(b"" if shape is None else bytes(shape.ExportToWkb()))
    if not any(polygons):
        raise AliseError(f"{path} has no polygons; choose a layer of polygons.")
    return polygons


def require_zones_output(zones: str, output: str) -> None:
    """Make sure that zones and their output are given together.

    Raises:
        AliseError: one is given without the other, or the output holds other layers.
    """
    if bool(zones) != bool(output):
        given, missing = ("--zones", "--zones-output") if zones else ("--zones-output", "--zones")
        raise AliseError(f"{given} is given without {missing}; give both or none.")
    if output:
        require_replaceable(output, _LAYER)


def write_zones(zones: str, output: str, changes: Sequence[ZoneChange]) -> None:
    """A GeoPackage of the zones with their own fields and what was measured.

    Raises:
        OutputError: it cannot be written.
    """
    source = _open(zones)
    layer = source.GetLayer(0)

    def fill(made: ogr.DataSource) -> None:
        definition = layer.GetLayerDefn()
        first = definition.GetFieldCount()
        fields = [definition.GetFieldDefn(index) for index in range(first)]
        taken = {field.GetName().lower() for field in fields}
        columns = [f"FID={_free('fid', taken)}", f"GEOMETRY_NAME={_free('geom', taken)}"]
        copy = made.CreateLayer(_LAYER, layer.GetSpatialRef(), layer.GetGeomType(), columns)
        for field in fields:
            copy.CreateField(field)
        for name, kind in _FIELDS:
            copy.CreateField(ogr.FieldDefn(_free(name, taken), kind))
        layer.ResetReading()
        for feature, zone in zip(layer, changes):
            row = ogr.Feature(copy.GetLayerDefn())
            row.SetFrom(feature)
            decision = None if zone.changed is None else int(zone.changed)
            values = (
                zone.pixels,
                zone.mean,
                zone.median,
                zone.changed_share,
                zone.rank,
                decision,
            )
            for index, value in enumerate(values, first):
                if value is not None:
                    row.SetField(index, value)
            copy.CreateFeature(row)

    write_geopackage(output, fill)


def _free(name: str, taken: set[str]) -> str:
    """The name, or `rank_2` as QGIS makes it where the zones have a field of that name."""
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free


def _open(path: str) -> gdal.Dataset:
    source = None
    with quiet_gdal():
        source = gdal.OpenEx(path, gdal.OF_VECTOR)
    if source is None or not source.GetLayerCount():
        raise AliseError(f"{path} cannot be opened as polygons; check the path.")
    return source
