"""`buildtimeseries`: images of several dates become one image series."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import AliseError, SeriesError
from ..feedback import Feedback, Part
from ..mapping.rasters.destinations import require_folder
from ..mapping.rasters.natural_color import write_series_style
from ..sits.build import SeriesOptions, plan_series
from ..sits.report import write_report
from .arguments import add_dates, add_input, day, days_as_text, require_ending


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    add_input(parser, text="rasters, products, stacks or cubes", required=False)
    parser.add_argument("--folder", default="", help="folder of images, which is searched")
    parser.add_argument("--files", nargs="+", default=[], help="as --input")
    add_dates(parser)
    parser.add_argument("--start", type=day, metavar="DATE", help="first day to keep")
    parser.add_argument("--end", type=day, metavar="DATE", help="last day to keep")
    parser.add_argument(
        "--extent",
        nargs=4,
        type=float,
        metavar=("XMIN", "YMIN", "XMAX", "YMAX"),
        help="in the CRS of the series (default: all)",
    )
    parser.add_argument("--crs", help="of the series, EPSG:32631 (default: of the finest image)")
    parser.add_argument("--resolution", type=float, help="pixel size in units of the CRS")
    parser.add_argument("--max-cloud", type=_per_cent, help="leave out dates with more, in %%")
    parser.add_argument("--min-valid", type=_per_cent, help="leave out dates with less, in %%")
    parser.add_argument(
        "--mask-clouds", action="store_true", help="by the products' own masks", default=False
    )
    parser.add_argument("--scale", type=float, help="reflectance per raw unit, if files say none")
    parser.add_argument("--offset", type=float, help="reflectance of raw 0, if files say none")
    parser.add_argument("--nodata", type=float, help="raw value without meaning, if files say none")
    parser.add_argument("--band-order", nargs="+", metavar="BAND", help="of undescribed rasters")
    parser.add_argument(
        "--stack-order",
        choices=("date-major", "band-major"),
        default="date-major",
        help="of a stack that describes nothing",
    )
    parser.add_argument("--theia", choices=("FRE", "SRE"), default="FRE")
    parser.add_argument("--output", required=True, help="the series, a .vrt")
    parser.add_argument("--report", default="", help="a .html")


def run(args: argparse.Namespace, feedback: Feedback) -> dict[str, object]:
    """Build the series; returns what the algorithm returns."""
    require_ending(args.output, (".vrt",), "an image series is a VRT")
    require_ending(args.report, (".html",), "a report is a web page")
    if args.report:
        require_folder(args.report)
    sources = [*args.input, *args.files, *([args.folder] if args.folder else [])]
    if not sources:
        raise SeriesError("No raster was given: name rasters in --input or a folder in --folder.")
    options = SeriesOptions(
        dates=args.dates,
        start=args.start,
        end=args.end,
        scale=args.scale,
        offset=args.offset,
        nodata=args.nodata,
        crs=args.crs,
        resolution=args.resolution,
        extent=args.extent,
        band_order=args.band_order,
        band_major=args.stack_order == "band-major",
        theia=args.theia,
        max_cloud=args.max_cloud,
        min_valid=args.min_valid,
        mask_clouds=args.mask_clouds,
        measured=bool(args.report),
    )
    plan = plan_series(sources, args.output, options, Part(feedback, 0, 0.9))
    for text in (*plan.notes, *plan.warnings):
        feedback.info(text)
    for name, reason in plan.left_out:
        feedback.info(f"Left out: {name} ({reason.rstrip('.')}).")
    if args.report:
        write_report(plan, args.output, args.report, Part(feedback, 0.9, 1))
    try:
        with plan.write(args.output) as series:
            dates = series.dates
            write_series_style(series, plan)
    except AliseError:
        if args.report:
            Path(args.report).unlink()
        raise
    feedback.progress(1.0)
    feedback.info(f"{len(dates)} dates from {dates[0]} to {dates[-1]}.")
    return {
        "OUTPUT": args.output,
        "DATES": days_as_text(dates),
        "COUNT": len(dates),
        "BANDS_MISSING": ", ".join(plan.bands_missing),
        "PRODUCTS": len({product.name for item in plan.dates for product in item.products}),
        "LEFT_OUT": len(plan.left_out),
        "WARNINGS": " ".join(plan.warnings),
        "REPORT": args.report,
    }


def _per_cent(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 100")
    return value / 100
