"""Whole years between seasons: vectors of two years compare once their days lie in one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

YEAR = 365.25  # days


def middle_of(dates: Sequence[date]) -> date:
    """Return the day in the middle between the first and the last of ascending dates."""
    return dates[0] + timedelta((dates[-1] - dates[0]).days // 2)


def whole_years(before: Sequence[date], after: Sequence[date]) -> int:
    """Return years from the middle of one period to the middle of another, rounded."""
    middles = [dates[0].toordinal() + dates[-1].toordinal() for dates in (before, after)]
    return round((middles[1] - middles[0]) / 2 / YEAR)


def days_of_years(years: int) -> int:
    """Return days of a number of years, rounded."""
    return round(years * YEAR)
