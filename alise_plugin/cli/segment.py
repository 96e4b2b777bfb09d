"""`segment`: a map of the classes of a head."""

from __future__ import annotations

import argparse

from ..feedback import Feedback
from ..mapping.labels.read import read_mask
from ..mapping.maps.class_rasters import ClassArea
from ..mapping.maps.neighbourhood import MapOptions
from ..mapping.maps.segment import segment
from ..mapping.maps.smoothing import SMOOTHINGS
from ..mapping.rasters.destinations import require_outputs
from ..model.heads.class_head import Head
from ..sits.series import ImageSeries
from .arguments import (
    add_engine,
    add_extent,
    add_input,
    add_model,
    encoder_of,
    extent_or_none,
    opened,
    ranged,
    require_ending,
)
from .tables import write_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    standard = MapOptions()
    add_input(parser, text="an image series or an embedding raster")
    parser.add_argument("--head", required=True, help="the classifier, a .onnx")
    add_model(parser)
    parser.add_argument("--smoothing", choices=SMOOTHINGS, default="none")
    parser.add_argument("--minimum-area", type=ranged(0), default=0.0, help="smallest patch in m2")
    parser.add_argument(
        "--unknown", type=ranged(0, 1), default=0.0, help="unclassified below this probability"
    )
    parser.add_argument("--mask", default="", help="polygons outside of which nothing is mapped")
    add_extent(parser)
    for name, kind, default, text in (
        ("--window", ranged(3, 21, int), standard.window, "of the smoothing"),
        ("--fraction", ranged(0.1, 1), standard.fraction, "of neighbours"),
        ("--smoothness", ranged(0.1, 200), standard.smoothness, "bayes: variance of logits"),
    ):
        parser.add_argument(name, type=kind, default=default, help=text)
    add_engine(parser)
    parser.add_argument("--output", required=True, help="the class map, a .tif")
    parser.add_argument("--confidence", default="", help="a .tif")
    parser.add_argument("--probabilities", default="", help="a .tif")
    parser.add_argument("--vector", default="", help="class polygons, a .gpkg")
    parser.add_argument("--areas", default="", help="area of the classes, a .csv")


def run(args: argparse.Namespace, feedback: Feedback) -> dict[str, object]:
    """Write the map; returns what the algorithm returns."""
    for path in (args.output, args.confidence, args.probabilities):
        require_ending(path, (".tif", ".tiff"), "a map is a GeoTIFF")
    require_ending(args.vector, (".gpkg",), "class polygons are a GeoPackage")
    require_ending(args.areas, (".csv",), "the table of areas is a CSV")
    require_outputs(
        (args.output, args.confidence, args.probabilities, args.vector, args.areas),
        (*args.input, args.mask),
    )
    head = Head(args.head)
    with opened(args.input, None, feedback) as source:
        result = segment(
            source,
            encoder_of(args) if isinstance(source, ImageSeries) else None,
            head,
            args.output,
            options=MapOptions(
                args.smoothing,
                args.window,
                args.fraction,
                args.smoothness,
                args.minimum_area,
                args.unknown,
            ),
            confidence=args.confidence or None,
            probabilities=args.probabilities or None,
            vector=args.vector or None,
            mask=read_mask(args.mask) if args.mask else None,
            extent=extent_or_none(args, source.grid),
            memory_mb=args.memory,
            tile_size=args.tile_size or None,
            feedback=feedback,
        )
    if args.areas:
        _write_areas(args.areas, result.areas)
    return {
        "OUTPUT": args.output,
        "CONFIDENCE": args.confidence,
        "PROBABILITIES": args.probabilities,
        "VECTOR": args.vector,
        "AREAS": args.areas,
        "AREA": sum(row.square_metres for row in result.areas),
        "DEVICE_USED": result.device,
    }


def _write_areas(path: str, areas: list[ClassArea]) -> None:
    """The columns that the algorithm's table has."""
    total = sum(row.square_metres for row in areas) or 1.0
    write_table(
        path,
        [
            {
                "code": row.item.code,
                "class": row.item.name,
                "color": row.item.color,
                "pixels": row.pixels,
                "area_m2": row.square_metres,
                "area_ha": row.square_metres / 1e4,
                "share": row.square_metres / total,
            }
            for row in areas
        ],
    )
