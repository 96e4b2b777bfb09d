"""`drawsample`: the stratified random sample with which a class map is judged."""

from __future__ import annotations

import argparse

from osgeo import ogr, osr

from ..feedback import Feedback, Part
from ..mapping.accuracy.class_map import ClassMap
from ..mapping.accuracy.sample_design import (
    REFERENCE,
    SamplePoint,
    draw_sample,
    require_no_references,
)
from ..mapping.rasters.destinations import require_outputs, require_replaceable
from .arguments import add_seed, ranged, require_ending
from .geopackage import write_geopackage

_LAYER = "sample"
_FIELDS = (
    ("id", ogr.OFTInteger),
    ("stratum", ogr.OFTInteger64),
    ("stratum_name", ogr.OFTString),
    ("stratum_m2", ogr.OFTReal),
    ("stratum_n", ogr.OFTInteger),
    (REFERENCE, ogr.OFTString),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("--input", required=True, help="the class map")
    for name, kind, default, text in (
        ("--size", ranged(0, 1_000_000, int), 500, "points; 0: as the error asks"),
        ("--minimum", ranged(0, 100_000, int), 50, "points of each class at least"),
        ("--expected", ranged(0.01, 0.99), 0.85, "user's accuracy"),
        ("--standard-error", ranged(0.001, 0.2), 0.01, "of overall accuracy"),
    ):
        parser.add_argument(name, type=kind, default=default, help=text)
    add_seed(parser)
    parser.add_argument("--output", required=True, help="the points, a .gpkg")


def run(args: argparse.Namespace, feedback: Feedback) -> dict[str, object]:
    """Draw; returns what the algorithm returns."""
    require_ending(args.output, (".gpkg",), "sample points are a GeoPackage")
    require_outputs([args.output], [args.input])
    require_replaceable(args.output, _LAYER)
    require_no_references(args.output)
    class_map = ClassMap(args.input, None, Part(feedback, 0.0, 0.5))
    points = draw_sample(
        class_map,
        size=args.size,
        minimum=args.minimum,
        expected=args.expected,
        standard_error=args.standard_error,
        seed=args.seed,
        feedback=Part(feedback, 0.5, 1.0),
    )
    _write(args.output, points, class_map.grid.crs_wkt)
    return {"OUTPUT": args.output, "COUNT": len(points)}


def _write(path: str, points: list[SamplePoint], crs_wkt: str) -> None:
    reference = osr.SpatialReference()
    reference.ImportFromWkt(crs_wkt)

    def fill(made: ogr.DataSource) -> None:
        layer = made.CreateLayer(_LAYER, reference, ogr.wkbPoint)
        for name, kind in _FIELDS:
            layer.CreateField(ogr.FieldDefn(name, kind))
        for number, point in enumerate(points, start=1):
            row = ogr.Feature(layer.GetLayerDefn())
            place = ogr.Geometry(ogr.wkbPoint)
            place.AddPoint_2D(point.x, point.y)
            row.SetGeometry(place)
            values = (
                number,
                point.item.code,
                point.item.name,
                point.stratum_square_metres,
                point.stratum_points,
            )
            for (name, _), value in zip(_FIELDS, values):
                row.SetField(name, value)
            layer.CreateFeature(row)

    write_geopackage(path, fill)
