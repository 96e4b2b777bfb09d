"""`trainclassifier`: a few labels become a head and a report of its accuracy."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from contextlib import ExitStack

from osgeo import gdal

from ..errors import LabelsError
from ..mapping.classifier import CLASSIFIERS
from ..mapping.feedback import Feedback
from ..mapping.labels import Labels, Legend, read_raster_labels, read_vector_labels
from ..mapping.measures import rounded
from ..mapping.output import require_outputs
from ..mapping.samples import VALIDATIONS, LabelledSource
from ..mapping.train import train_classifier
from ..sits.grid import Grid
from ..sits.rasters import quiet_gdal
from ..sits.series import ImageSeries
from .arguments import (
    add_engine,
    add_input,
    add_model,
    add_seed,
    encoder_of,
    opened,
    ranged,
    require_ending,
)

FIGURES = {
    "OVERALL_ACCURACY": "overall accuracy",
    "KAPPA": "kappa",
    "MACRO_F1": "macro-F1",
    "MEAN_IOU": "mean IoU",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    add_input(parser, text="image series or embedding rasters, one for each area or year")
    parser.add_argument(
        "--labels",
        nargs="+",
        required=True,
        help="polygons, points or a class raster: one for all, or one for each input",
    )
    parser.add_argument("--field", default="", help="of the classes (vector labels)")
    parser.add_argument("--name", default="", help="field of the names of the classes")
    parser.add_argument("--color", default="", help="field of the colours of the classes")
    add_model(parser)
    parser.add_argument("--classifier", choices=CLASSIFIERS, default=CLASSIFIERS[0])
    parser.add_argument("--validation", choices=VALIDATIONS, default=VALIDATIONS[0])
    for name, kind, default, text in (
        ("--block-size", ranged(1), 1000.0, "of the blocks, in m"),
        ("--samples", ranged(1, kind=int), 20, "pixels of one polygon at most"),
    ):
        parser.add_argument(name, type=kind, default=default, help=text)
    add_seed(parser)
    add_engine(parser)
    parser.add_argument("--head", required=True, help="the classifier, a .onnx")
    parser.add_argument("--report", default="", help="a .html")


def run(args: argparse.Namespace, feedback: Feedback) -> dict[str, object]:
    """Train; returns what the algorithm returns."""
    require_ending(args.head, (".onnx",), "a head is an ONNX file")
    require_ending(args.report, (".html",), "a report is a web page")
    require_outputs((args.head, args.report), (*args.input, *args.labels))
    if len(args.labels) not in (1, len(args.input)):
        raise LabelsError(
            f"There are {len(args.input)} rasters in --input and {len(args.labels)} in --labels; "
            "give as many labels as inputs, in the same order, or one for all."
        )
    with ExitStack() as stack:
        sources = [stack.enter_context(opened([path], None, feedback)) for path in args.input]
        grids = [source.grid for source in sources]
        near = [grids] if len(args.labels) == 1 else [[grid] for grid in grids]
        labels = [_labels(path, args, around) for path, around in zip(args.labels, near)]
        labels *= len(sources) // len(labels)
        needs_encoder = any(isinstance(source, ImageSeries) for source in sources)
        result = train_classifier(
            [LabelledSource(*pair) for pair in zip(sources, labels)],
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
    figures: dict[str, object] = {}
    for name, key in FIGURES.items():
        figure = result.overall.get(key)
        if figure is not None:
            values = {name: figure.value, f"{name}_LOW": figure.low, f"{name}_HIGH": figure.high}
            figures.update({name: value for name, value in values.items() if not math.isnan(value)})
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
        **figures,
        "CLASSES": len(result.classes),
        "SAMPLES_USED": result.samples,
        "GROUPS": result.groups,
        "CLASS_FIGURES": json.dumps(classes, ensure_ascii=False),
    }


def _labels(path: str, args: argparse.Namespace, around: Sequence[Grid]) -> Labels:
    """The labels of a file, where they lie on some grids.

    Raises:
        LabelsError: a vector file comes without a field.
    """
    raster = None
    with quiet_gdal():
        raster = gdal.OpenEx(path, gdal.OF_RASTER)
    if raster is not None and raster.RasterCount:
        return read_raster_labels(path)
    if not args.field:
        raise LabelsError(f"{path}: name in --field the field that holds the class.")
    return read_vector_labels(path, args.field, args.name, args.color, around=around)
