"""Periods of two years that cover the same season."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import date, timedelta

from ...errors import SeriesError
from ...sits.series import ImageSeries
from ...sits.years import days_of_years, whole_years

_NAMED_DATES = 12  # of a series, in a message


def common_season(before: Sequence[date], after: Sequence[date]) -> tuple[date, date] | None:
    """Return the first and the last day, in the first year, of the season that both cover."""
    later = timedelta(days_of_years(whole_years(before, after)))
    first, last = max(before[0], after[0] - later), min(before[-1], after[-1] - later)
    return (first, last) if first <= last else None


def require_common_season(
    before: Sequence[date], after: Sequence[date], names: tuple[str, str]
) -> tuple[date, date]:
    """Return `common_season`, or a sentence.

    Raises:
        SeriesError: there is none.
    """
    season = common_season(before, after)
    if season is None:
        raise SeriesError(
            f"{names[0]} ({before[0]} to {before[-1]}) and {names[1]} ({after[0]} to {after[-1]}) "
            "have no season in common to compare; give series of one season."
        )
    return season


def within(series: ImageSeries, start: date | None, end: date | None, what: str) -> ImageSeries:
    """Return the acquisitions of a series in a period, both days included; None is open.

    Args:
        series: the series.
        start: first day.
        end: last day.
        what: what the message calls the period.

    Raises:
        SeriesError: there is none; the sentence names those there are.
    """
    if start is None and end is None:
        return series
    kept = [d for d in series.dates if (start is None or d >= start) and (end is None or d <= end)]
    if not kept:
        shown = [str(day) for day in series.dates[:_NAMED_DATES]]
        more = len(series.dates) - len(shown)
        listed = ", ".join(shown) + (f" and {more} more up to {series.dates[-1]}" if more else "")
        raise SeriesError(
            f"{what}: {os.path.basename(series.path)} has no acquisition from "
            f"{start or 'its first day'} to {end or 'its last day'}; choose a period among its "
            f"dates {listed}."
        )
    return series if len(kept) == len(series.dates) else series.subset(kept)
