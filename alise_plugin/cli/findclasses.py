"""`findclasses`: pixels that are alike become the classes of a head, without labels."""

from __future__ import annotations

import argparse

from ..feedback import Feedback
from ..mapping.labels.legend import MAX_CLASSES
from ..mapping.learning.find_classes import CLASSES, PIXELS, find_classes
from ..sits.series import ImageSeries
from .arguments import (
    add_device,
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
    parser.add_argument(
        "--classes",
        type=ranged(2, MAX_CLASSES, int),
        default=CLASSES,
        help=f"how many ({CLASSES})",
    )
    add_model(parser)
    add_extent(parser)
    parser.add_argument(
        "--samples",
        type=ranged(100, kind=int),
        default=PIXELS,
        help=f"pixels to look at, about ({PIXELS})",
    )
    add_seed(parser)
    add_device(parser)
    parser.add_argument("--head", required=True, help="the classes, a .onnx")


def run(args: argparse.Namespace, feedback: Feedback) -> dict[str, object]:
    """Write the head; returns what the algorithm returns."""
    require_ending(args.head, (".onnx",), "a head is an ONNX file")
    with opened(args.input, None, feedback) as source:
        result = find_classes(
            source,
            encoder_of(args) if isinstance(source, ImageSeries) else None,
            args.head,
            classes=args.classes,
            pixels=args.samples,
            extent=extent_or_none(args, source.grid),
            seed=args.seed,
            feedback=feedback,
        )
    return {"HEAD": args.head, "SAMPLES_USED": result.samples, "DEVICE_USED": result.device}
