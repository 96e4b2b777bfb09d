"""`buildtimeseries`: rasters of several dates become one image series."""

from __future__ import annotations

import argparse

from ..errors import SeriesError
from ..mapping.feedback import Feedback
from ..sits.bands import BANDS
from ..sits.build import build_series
from .arguments import add_dates, add_input, day, days_as_text, require_ending


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    add_input(parser, text="rasters, products, stacks or cubes", required=False)
    parser.add_argument("--folder", default="", help="folder of rasters")
    add_dates(parser)
    parser.add_argument("--start", type=day, metavar="DATE", help="first day to keep")
    parser.add_argument("--end", type=day, metavar="DATE", help="last day to keep")
    parser.add_argument("--output", required=True, help="the series, a .vrt")


def run(args: argparse.Namespace, feedback: Feedback) -> dict[str, object]:
    """Build the series; returns what the algorithm returns."""
    require_ending(args.output, (".vrt",), "an image series is a VRT")
    sources = [*args.input, *([args.folder] if args.folder else [])]
    if not sources:
        raise SeriesError("No raster was given: name rasters in --input or a folder in --folder.")
    series = build_series(sources, args.output, dates=args.dates, start=args.start, end=args.end)
    with series:
        missing = [band for band in BANDS if band not in series.bands_present]
        feedback.info(f"{len(series.dates)} dates from {series.dates[0]} to {series.dates[-1]}.")
        return {
            "OUTPUT": args.output,
            "DATES": days_as_text(series.dates),
            "COUNT": len(series.dates),
            "BANDS_MISSING": ", ".join(missing),
        }
