"""`estimatevalues`: a map of the value of a head."""

from __future__ import annotations

import argparse

from ..feedback import Feedback
from ..mapping.labels.read import read_mask
from ..mapping.maps.estimate import estimate
from ..mapping.rasters.destinations import require_outputs
from ..model.heads.value_head import ValueHead
from ..sits.series import ImageSeries
from .arguments import (
    add_engine,
    add_extent,
    add_input,
    add_model,
    encoder_of,
    extent_or_none,
    opened,
    require_ending,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    add_input(parser, text="an image series or an embedding raster")
    parser.add_argument("--head", required=True, help="the regression, a .onnx")
    add_model(parser)
    parser.add_argument(
        "--extrapolate",
        action="store_true",
        help="keep estimates beyond what the head has learned from",
    )
    parser.add_argument("--mask", default="", help="polygons outside of which nothing is mapped")
    add_extent(parser)
    add_engine(parser)
    parser.add_argument("--output", required=True, help="the estimates, a .tif")


def run(args: argparse.Namespace, feedback: Feedback) -> dict[str, object]:
    """Write the map; returns what the algorithm returns."""
    require_ending(args.output, (".tif", ".tiff"), "a map is a GeoTIFF")
    require_outputs([args.output], (*args.input, args.mask))
    head = ValueHead(args.head)
    with opened(args.input, None, feedback) as source:
        result = estimate(
            source,
            encoder_of(args) if isinstance(source, ImageSeries) else None,
            head,
            args.output,
            extrapolate=args.extrapolate,
            mask=read_mask(args.mask) if args.mask else None,
            extent=extent_or_none(args, source.grid),
            memory_mb=args.memory,
            tile_size=args.tile_size or None,
            feedback=feedback,
        )
    return {
        "OUTPUT": args.output,
        "MEAN": result.mean,
        "BEYOND": result.beyond,
        "DEVICE_USED": result.device,
    }
