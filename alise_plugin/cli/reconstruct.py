"""`reconstruct`: an image series becomes images without clouds, on any days."""

from __future__ import annotations

import argparse

from ..feedback import Feedback
from ..mapping.maps.reconstruct import EVERY, reconstruct
from .arguments import (
    add_engine,
    add_extent,
    add_input,
    add_model,
    day,
    days_as_text,
    encoder_of,
    extent_or_none,
    opened,
    ranged,
    require_ending,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    add_input(
        parser,
        text="an image series, one raster per date, or an embedding raster in float32 or int8",
    )
    parser.add_argument(
        "--dates", nargs="+", type=day, metavar="DATE", help="days to show: 2019-05-14 ..."
    )
    parser.add_argument(
        "--every",
        type=ranged(1, kind=int),
        default=EVERY,
        help=f"days from one image to the next, without --dates ({EVERY})",
    )
    add_model(parser)
    add_extent(parser)
    add_engine(parser)
    parser.add_argument("--output", required=True, help="the images, a .tif")


def run(args: argparse.Namespace, feedback: Feedback) -> dict[str, object]:
    """Write the images; returns what the algorithm returns."""
    require_ending(args.output, (".tif", ".tiff"), "reconstructed images are a GeoTIFF")
    encoder = encoder_of(args)
    with opened(args.input, None, feedback) as source:
        result = reconstruct(
            source,
            encoder,
            args.output,
            dates=args.dates or (),
            every=args.every,
            extent=extent_or_none(args, source.grid),
            memory_mb=args.memory,
            tile_size=args.tile_size or None,
            feedback=feedback,
        )
    return {
        "OUTPUT": args.output,
        "DATES_USED": days_as_text(result.dates),
        "DEVICE_USED": result.device,
        "MODEL_ID": result.model_id,
    }
