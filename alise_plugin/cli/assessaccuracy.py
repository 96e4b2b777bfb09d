"""`assessaccuracy`: a class map against reference points or polygons."""

from __future__ import annotations

import argparse
import json
import math

from ..feedback import Feedback, Part
from ..mapping.accuracy.assess import assess_accuracy, class_rows
from ..mapping.accuracy.class_map import ClassMap
from ..mapping.labels.read import read_vector_labels
from ..mapping.rasters.destinations import require_outputs
from .arguments import add_seed, require_ending
from .tables import write_table
from .trainclassifier import FIGURES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("--input", required=True, help="the class map")
    parser.add_argument("--reference", required=True, help="points or polygons")
    parser.add_argument("--field", required=True, help="of the true class, a code or a name")
    add_seed(parser)
    parser.add_argument("--report", default="", help="a .html")
    parser.add_argument("--areas", default="", help="areas and accuracy of the classes, a .csv")


def run(args: argparse.Namespace, feedback: Feedback) -> dict[str, object]:
    """Compare; returns what the algorithm returns."""
    require_ending(args.report, (".html",), "a report is a web page")
    require_ending(args.areas, (".csv",), "the table of areas is a CSV")
    require_outputs((args.report, args.areas), (args.input, args.reference))
    reference = read_vector_labels(args.reference, args.field)
    result = assess_accuracy(
        ClassMap(args.input, None, Part(feedback, 0.0, 0.5)),
        reference,
        report=args.report or None,
        seed=args.seed,
        feedback=Part(feedback, 0.5, 1.0),
    )
    rows = class_rows(result)
    if args.areas:
        write_table(args.areas, rows)
    figures: dict[str, object] = {}
    for name, key in FIGURES.items():
        figure = result.overall[key]
        values = {name: figure.value, f"{name}_LOW": figure.low, f"{name}_HIGH": figure.high}
        figures |= {name: value for name, value in values.items() if not math.isnan(value)}
    return {
        "REPORT": args.report,
        "AREAS": args.areas,
        **figures,
        "LABELS_USED": result.labels,
        "CLASS_FIGURES": json.dumps(rows, ensure_ascii=False),
    }
