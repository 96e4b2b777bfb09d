"""`findsimilar`: a few examples become a map of where else it looks like there."""

from __future__ import annotations

import argparse

from ..feedback import Feedback
from ..mapping.labels.read import read_examples
from ..mapping.maps.find_similar import PER_AREA, find_similar
from ..mapping.rasters.destinations import require_outputs
from ..sits.series import ImageSeries
from .arguments import (
    add_engine,
    add_extent,
    add_input,
    add_model,
    add_seed,
    encoder_of,
    extent_or_none,
    opened,
    ranged,
    require_ending,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    add_input(parser, text="an image series or an embedding raster")
    parser.add_argument("--examples", required=True, help="polygons or points of one kind")
    add_model(parser)
    add_extent(parser)
    parser.add_argument(
        "--samples",
        type=ranged(1, kind=int),
        default=PER_AREA,
        help=f"pixels of one polygon at most ({PER_AREA})",
    )
    add_seed(parser)
    add_engine(parser)
    parser.add_argument("--output", required=True, help="the similarity, a .tif")


def run(args: argparse.Namespace, feedback: Feedback) -> dict[str, object]:
    """Write the map; returns what the algorithm returns."""
    require_ending(args.output, (".tif", ".tiff"), "a map is a GeoTIFF")
    require_outputs([args.output], (*args.input, args.examples))
    examples = read_examples(args.examples)
    with opened(args.input, None, feedback) as source:
        result = find_similar(
            source,
            encoder_of(args) if isinstance(source, ImageSeries) else None,
            examples,
            args.output,
            per_area=args.samples,
            extent=extent_or_none(args, source.grid),
            memory_mb=args.memory,
            tile_size=args.tile_size or None,
            seed=args.seed,
            feedback=feedback,
        )
    return {
        "OUTPUT": args.output,
        "LEVEL": result.level,
        "EXAMPLES_USED": result.examples,
        "SAMPLES_USED": result.samples,
        "DEVICE_USED": result.device,
    }
