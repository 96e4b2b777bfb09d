"""`trainclassifier`: a few labels become a head and a report of its accuracy."""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack

from ..errors import LabelsError
from ..feedback import Feedback
from ..mapping.labels.layers import Labels, Legend
from ..mapping.labels.read import read_raster_labels, read_vector_labels
from ..mapping.learning.classifier import CLASSIFIERS
from ..mapping.learning.train_classifier import train_classifier
from ..mapping.samples.samples import LabelledSource
from ..mapping.scores.metrics import rounded
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
    "OVERALL_ACCURACY": "overall accuracy",
    "KAPPA": "kappa",
    "MACRO_F1": "macro-F1",
    "MEAN_IOU": "mean IoU",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    add_labels(parser, "polygons, points or a class raster")
    parser.add_argument("--field", default="", help="of the classes (vector labels)")
    parser.add_argument("--name", default="", help="field of the names of the classes")
    parser.add_argument("--color", default="", help="field of the colours of the classes")
    add_model(parser)
    parser.add_argument("--classifier", choices=CLASSIFIERS, default=CLASSIFIERS[0])
    add_training(parser)


def run(args: argparse.Namespace, feedback: Feedback) -> dict[str, object]:
    """Train; returns what the algorithm returns."""
    require_fine(args)

    def read(path: str, around: list[Grid]) -> Labels:
        if is_raster(path):
            return read_raster_labels(path)
        if not args.field:
            raise LabelsError(f"{path}: name in --field the field that holds the class.")
        return read_vector_labels(path, args.field, args.name, args.color, around=around)

    with ExitStack() as stack:
        found = sources_and_labels(args, stack, feedback, read)
        needs_encoder = any(isinstance(source, ImageSeries) for source, _ in found)
        result = train_classifier(
            [LabelledSource(*pair) for pair in found],
            encoder_of(args) if needs_encoder else None,
            args.head,
            report=args.report or None,
            legends=[Legend()] * len(args.labels),
            classifier=args.classifier,
            per_area=args.samples,
            validation=args.validation,
            block_size=args.block_size,
            memory_mb=args.memory,
            tile_size=args.tile_size or None,
            seed=args.seed,
            feedback=feedback,
        )
    classes = [
        {
            "code": item.code,
            "name": item.name,
            **rounded(by_name),
        }
        for item, by_name in zip(result.classes, result.by_class or [{}] * len(result.classes))
    ]
    return {
        "HEAD": args.head,
        "REPORT": args.report,
        **figures_of(FIGURES, result.overall),
        "CLASSES": len(result.classes),
        "SAMPLES_USED": result.samples,
        "GROUPS": result.groups,
        "CLASS_FIGURES": json.dumps(classes, ensure_ascii=False),
    }
