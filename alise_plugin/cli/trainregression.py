"""`trainregression`: measurements become a head that estimates them, and its report."""

from __future__ import annotations

import argparse
from contextlib import ExitStack

from ..errors import LabelsError
from ..feedback import Feedback
from ..mapping.labels.layers import Values
from ..mapping.labels.read import read_raster_values, read_vector_values
from ..mapping.learning.train_regression import train_regression
from ..mapping.samples.samples import LabelledSource
from ..sits.grid import Grid
from ..sits.series import ImageSeries
from .arguments import add_model, encoder_of
from .training_arguments import (
    add_labels,
    add_training,
    figures_of,
    is_raster,
    require_fine,
    sources_and_labels,
)

FIGURES = {
    "RMSE": "RMSE",
    "MEAN_ABSOLUTE_ERROR": "mean absolute error",
    "BIAS": "bias",
    "R2": "R2",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    add_labels(parser, "polygons or points with numbers, or a raster of values")
    parser.add_argument("--field", default="", help="of what was measured (vector labels)")
    add_model(parser)
    add_training(parser)


def run(args: argparse.Namespace, feedback: Feedback) -> dict[str, object]:
    """Train; returns what the algorithm returns."""
    require_fine(args)

    def read(path: str, around: list[Grid]) -> Values:
        if is_raster(path):
            return read_raster_values(path)
        if not args.field:
            raise LabelsError(f"{path}: name in --field the field that holds what was measured.")
        return read_vector_values(path, args.field, around=around)

    with ExitStack() as stack:
        found = sources_and_labels(args, stack, feedback, read)
        needs_encoder = any(isinstance(source, ImageSeries) for source, _ in found)
        result = train_regression(
            [LabelledSource(*pair) for pair in found],
            encoder_of(args) if needs_encoder else None,
            args.head,
            args.field or found[0][1].name,
            report=args.report or None,
            per_area=args.samples,
            validation=args.validation,
            block_size=args.block_size,
            memory_mb=args.memory,
            tile_size=args.tile_size or None,
            seed=args.seed,
            feedback=feedback,
        )
    return {
        "HEAD": args.head,
        "REPORT": args.report,
        **figures_of(FIGURES, result.figures),
        "LEAST": result.low,
        "LARGEST": result.high,
        "SAMPLES_USED": result.samples,
        "AREAS": result.areas,
        "GROUPS": result.groups,
    }
