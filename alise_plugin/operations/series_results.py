"""What both operations that make an image series do with its plan."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..errors import AliseError
from ..feedback import Feedback
from ..mapping.rasters.natural_color import write_series_style
from ..sits.build import SeriesPlan
from ..sits.report import write_report
from .parameters import Output
from .values import LayerLook, Results, dates_as_text

SERIES_OUTPUTS = (
    Output("DATES", "Dates", "text"),
    Output("COUNT", "Number of dates"),
    Output("BANDS_MISSING", "Bands without data", "text"),
    Output("PRODUCTS", "Number of images used"),
    Output("LEFT_OUT", "Number of images left out"),
)
MOST_NAMED = 3  # images left out for one reason that have a line each


def series_results(plan: SeriesPlan, output: str, report: str, feedback: Feedback) -> Results:
    """Say what was found, write the report and the series, and return the results.

    Args:
        plan: of the series.
        output: the VRT.
        report: web page; empty for none.
        feedback: of the writing of the report.

    Raises:
        OutputError: a file cannot be written; then neither is left.
        Cancelled: the feedback says so.
    """
    for text in plan.notes:
        feedback.info(text)
    for line in left_out_lines(plan.left_out):
        feedback.info(line)
    for text in plan.warnings:
        feedback.warning(text)
    if report:
        write_report(plan, output, report, feedback)
    try:
        with plan.write(output) as series:
            dates = series.dates
            write_series_style(series, plan)
    except AliseError:
        if report:
            Path(report).unlink()
        raise
    feedback.progress(1.0)
    missing = ", ".join(plan.bands_missing)
    feedback.info(f"{len(dates)} dates from {dates[0]} to {dates[-1]}.")
    if missing:
        feedback.info(f"No raster has {missing}: these bands are left empty.")
    values = {
        "OUTPUT": output,
        "DATES": dates_as_text(dates),
        "COUNT": len(dates),
        "BANDS_MISSING": missing,
        "PRODUCTS": len({product.name for item in plan.dates for product in item.products}),
        "LEFT_OUT": len(plan.left_out),
        "REPORT": report,
    }
    name = f"Image series {dates[0]} to {dates[-1]}"
    return Results(values, {"OUTPUT": LayerLook(name, dates)})


def left_out_lines(left_out: Iterable[tuple[str, str]]) -> list[str]:
    """Return a line for each image that was left out; one for many that share a reason.

    Args:
        left_out: name and reason of each image.
    """
    by_reason: dict[str, list[str]] = {}
    for name, reason in left_out:
        by_reason.setdefault(reason.rstrip("."), []).append(name)
    lines = []
    for reason, names in by_reason.items():
        if len(names) <= MOST_NAMED:
            lines += [f"Left out: {name} ({reason})." for name in names]
        else:
            lines.append(f"Left out: {len(names)} images ({reason}); the first is {names[0]}.")
    return lines
