"""`detectchange`: two years of one place become a map of what changed."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from contextlib import ExitStack

from ..errors import SeriesError
from ..feedback import Feedback
from ..mapping.change.detect import detect_change
from ..mapping.change.periods import within
from ..mapping.change.prepare import ALIGNMENTS, METHODS
from ..mapping.change.threshold import RULES, ThresholdRule
from ..mapping.features.source import FeatureSource
from ..mapping.rasters.destinations import require_outputs
from ..sits.series import ImageSeries
from .arguments import (
    add_dates,
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
from .zone_files import polygons_of, require_zones_output, write_zones


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    add_input(parser, "--before", "first year: image series, embedding raster, or rasters")
    add_input(parser, "--after", "second year (default: another period of the first)", False)
    for which in ("before", "after"):
        parser.add_argument(f"--{which}-start", type=day, metavar="DATE")
        parser.add_argument(f"--{which}-end", type=day, metavar="DATE")
        add_dates(parser, f"--{which}-dates")
    parser.add_argument("--method", choices=METHODS, default="cosine")
    parser.add_argument("--align", choices=ALIGNMENTS, default="years")
    parser.add_argument("--threshold", choices=RULES, default="none")
    parser.add_argument(
        "--threshold-value", type=float, help="distance (value), or share of pixels (quantile)"
    )
    parser.add_argument("--false-alarm", type=float, default=0.05, help="rate (unchanged, noise)")
    parser.add_argument("--unchanged", default="", help="polygons known to be unchanged")
    parser.add_argument("--zones", default="", help="polygons to sum up")
    parser.add_argument(
        "--zone-share", type=ranged(0, 1), default=0.5, help="of changed pixels: changes a zone"
    )
    add_model(parser)
    add_extent(parser)
    add_engine(parser)
    parser.add_argument("--distance", required=True, help="the map, a .tif")
    parser.add_argument("--change", default="", help="a .tif")
    parser.add_argument("--explanation", default="", help="a .tif")
    parser.add_argument("--zones-output", default="", help="a .gpkg")


def run(args: argparse.Namespace, feedback: Feedback) -> dict[str, object]:
    """Write the maps; returns what the algorithm returns."""
    for path in (args.distance, args.change, args.explanation):
        require_ending(path, (".tif", ".tiff"), "the output is a GeoTIFF")
    require_ending(args.zones_output, (".gpkg",), "zones are a GeoPackage")
    require_outputs(
        (args.distance, args.change, args.explanation, args.zones_output),
        (*args.before, *args.after, args.zones, args.unchanged),
    )
    require_zones_output(args.zones, args.zones_output)
    rule = ThresholdRule(args.threshold, args.threshold_value, args.false_alarm)
    with ExitStack() as stack:
        before, after = _years(args, stack, feedback)
        needs_model = isinstance(before, ImageSeries) and args.method != "gapfilled"
        crs = before.grid.crs_wkt
        result = detect_change(
            before,
            after,
            encoder_of(args) if needs_model or args.explanation else None,
            args.distance,
            method=args.method,
            align=args.align,
            rule=rule,
            change=args.change or None,
            explanation=args.explanation or None,
            zones=polygons_of(args.zones, crs) if args.zones else (),
            changed_from=args.zone_share,
            unchanged=polygons_of(args.unchanged, crs) if args.unchanged else (),
            extent=extent_or_none(args, before.grid),
            memory_mb=args.memory,
            tile_size=args.tile_size or None,
            feedback=feedback,
        )
    if args.zones_output:
        write_zones(args.zones, args.zones_output, result.zones)
    return {
        "DISTANCE": args.distance,
        "CHANGE": args.change,
        "EXPLANATION": args.explanation,
        "ZONES_OUTPUT": args.zones_output,
        "THRESHOLD_USED": result.threshold,
        "CHANGED_SHARE": result.changed_share,
        "CHANGED_AREA": result.changed_area,
        "MEDIAN_DISTANCE": result.median_distance,
        "NOISE_FLOOR": result.noise_floor,
        "NOISE_RATIO": result.noise_ratio,
        "DAYS_SHIFTED": -result.year_shift,
        "DATES_ENCODED": result.encoded,
        "DATES_BEFORE": days_as_text(result.dates[0]),
        "DATES_AFTER": days_as_text(result.dates[1]),
        "DEVICE_USED": result.device,
        "MODEL_ID": result.model_id,
    }


def _years(args: argparse.Namespace, stack: ExitStack, feedback: Feedback) -> list[FeatureSource]:
    """Both years, as two rasters or as two periods of one.

    Raises:
        SeriesError: there is one raster and no second period, or a period is none.
    """
    names: Sequence[str] = ("before", "after")
    given = [vars(args)[name] for name in names]
    sources = [
        stack.enter_context(opened(paths, vars(args)[f"{name}_dates"], feedback))
        for name, paths in zip(names, given)
        if paths
    ]
    periods = [(vars(args)[f"{name}_start"], vars(args)[f"{name}_end"]) for name in names]
    if len(sources) == 1:
        sources *= 2
        if not all(any(period) for period in periods):
            raise SeriesError(
                "--after is missing: give a second series, or the days of both periods of the "
                "first (--before-start, --before-end, --after-start, --after-end)."
            )
    years: list[FeatureSource] = []
    for name, source, (start, end) in zip(names, sources, periods):
        if not isinstance(source, ImageSeries):
            if start or end:
                raise SeriesError(
                    f"{os.path.basename(source.path)} is an embedding raster, of which no days "
                    f"can be chosen: leave --{name}-start and --{name}-end out."
                )
            years.append(source)
            continue
        if start and end and start > end:
            raise SeriesError(f"--{name}-start {start} is after --{name}-end {end}: exchange them.")
        years.append(within(source, start, end, name))
    return years
