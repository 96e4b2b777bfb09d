"""Options that the commands which learn share, and what their values become."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TypeVar

from osgeo import gdal

from ..errors import LabelsError
from ..feedback import Feedback
from ..mapping.features.source import FeatureSource
from ..mapping.rasters.destinations import require_outputs
from ..mapping.samples.groups import VALIDATIONS
from ..mapping.scores.metrics import Interval
from ..sits.grid import Grid
from ..sits.rasters import quiet_gdal
from .arguments import add_engine, add_input, add_seed, opened, ranged, require_ending

Read = TypeVar("Read")


def add_labels(parser: argparse.ArgumentParser, text: str) -> None:
    """INPUT and LABELS, several of each."""
    add_input(parser, text="image series or embedding rasters, one for each area or year")
    parser.add_argument(
        "--labels", nargs="+", required=True, help=f"{text}: one for all, or one for each input"
    )


def add_training(parser: argparse.ArgumentParser) -> None:
    """How to validate, the engine, and what is written."""
    parser.add_argument("--validation", choices=VALIDATIONS, default=VALIDATIONS[0])
    for name, kind, default, text in (
        ("--block-size", ranged(1), 1000.0, "of the blocks, in m"),
        ("--samples", ranged(1, kind=int), 20, "pixels of one polygon at most"),
    ):
        parser.add_argument(name, type=kind, default=default, help=text)
    add_seed(parser)
    add_engine(parser)
    parser.add_argument("--head", required=True, help="what was learned, a .onnx")
    parser.add_argument("--report", default="", help="a .html")


def require_fine(args: argparse.Namespace) -> None:
    """Make sure that the options fit together.

    Raises:
        LabelsError: there are neither as many labels as inputs nor one for all.
        OutputError: an output would overwrite an input, or has another ending.
    """
    require_ending(args.head, (".onnx",), "a head is an ONNX file")
    require_ending(args.report, (".html",), "a report is a web page")
    require_outputs((args.head, args.report), (*args.input, *args.labels))
    if len(args.labels) not in (1, len(args.input)):
        raise LabelsError(
            f"There are {len(args.input)} rasters in --input and {len(args.labels)} in --labels; "
            "give as many labels as inputs, in the same order, or one for all."
        )


def sources_and_labels(
    args: argparse.Namespace,
    stack: ExitStack,
    feedback: Feedback,
    read: Callable[[str, list[Grid]], Read],
) -> list[tuple[FeatureSource, Read]]:
    """The rasters of --input, open for as long as the stack is, each with what --labels has on it.

    Args:
        args: of the command.
        stack: closes the rasters.
        feedback: told where a series has to be built.
        read: takes a file, and the grids that it is for.
    """
    sources = [stack.enter_context(opened([path], None, feedback)) for path in args.input]
    grids = [source.grid for source in sources]
    near = [grids] if len(args.labels) == 1 else [[grid] for grid in grids]
    labels = [read(path, around) for path, around in zip(args.labels, near)]
    return list(zip(sources, labels * (len(sources) // len(labels))))


def is_raster(path: str) -> bool:
    """Whether GDAL finds bands in a file."""
    raster = None
    with quiet_gdal():
        raster = gdal.OpenEx(path, gdal.OF_RASTER)
    return raster is not None and raster.RasterCount > 0


def figures_of(names: Mapping[str, str], figures: Mapping[str, Interval]) -> dict[str, object]:
    """The results of figures with their intervals; none of those that are not defined.

    Args:
        names: of the results, with the figure that each is.
        figures: by name.
    """
    found: dict[str, object] = {}
    for name, key in names.items():
        figure = figures.get(key)
        if figure is not None:
            values = {name: figure.value, f"{name}_LOW": figure.low, f"{name}_HIGH": figure.high}
            found.update({name: value for name, value in values.items() if not math.isnan(value)})
    return found
