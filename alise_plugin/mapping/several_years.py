"""A word to who makes vectors of several years at once."""

from __future__ import annotations

import os

from ..sits.series import ImageSeries
from .feedback import Feedback

_YEAR_DAYS = 365.25
_MOST = 1.5  # years: a season with what comes before and after it


def warn_of_several_years(series: ImageSeries, feedback: Feedback) -> None:
    """Say that vectors of one year tell more of it (measured: `bench_segment`, table together)."""
    years = (series.dates[-1] - series.dates[0]).days / _YEAR_DAYS
    if years > _MOST:
        feedback.info(
            f"{os.path.basename(series.path)} covers {years:.1f} years. Vectors of a single year "
            "tell more of it: for a map of one year, build a series of its dates."
        )
