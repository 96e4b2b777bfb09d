"""Measure 1 by month of the hidden date, with intervals: where in the year a model goes wrong.

Sums over the whole year hide a month in which a model invents something, as version 0.3.0 did with
snow in February. Here every hidden date counts alike, however many pixels its site has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Union

import numpy as np

from alise_plugin.sits.acquisitions import REFERENCE_DATE
from alise_plugin.sits.bands import BANDS

from .held_out import RealSeries
from .reconstruction import LEAST_KEPT, Predictor

GAPS_DAYS = (0, 30)
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September",
          "October", "November", "December")  # fmt: skip
# Dates of a site that are hidden in each month of the year, whatever the year.
PER_MONTH = 2
RESAMPLES = 2000
INTERVAL = (2.5, 97.5)  # per cent
METHODS = ("ALISE", "linear")
Row = list[Union[str, float, None]]


@dataclass(frozen=True)
class HiddenDate:
    """What the methods made of one hidden date of one site.

    Attributes:
        name: of the set that the site is of.
        day: the hidden one, since 2014-03-03.
        gap: days that were hidden around it.
        errors: mean squared error of reflectance over bands and clear pixels, by method.
        blue: mean error of B02, predicted less true, by method; NaN without that band.
    """

    name: str
    day: float
    gap: int
    errors: Mapping[str, float]
    blue: Mapping[str, float]

    @property
    def month(self) -> int:
        """1 to 12."""
        return _month(self.day)


def hidden_dates(
    series: RealSeries,
    predictors: Mapping[str, Predictor],
    seed: int = 0,
    only: Sequence[int] = range(1, 13),
) -> list[HiddenDate]:
    """Hide up to `PER_MONTH` clear dates of each month in turn and measure every method.

    Args:
        series: a site.
        predictors: the methods, by name.
        seed: of which dates are hidden where a month has more.
        only: months, 1 to 12, of which dates are hidden.
    """
    between = _between_clear_dates(series)
    months = np.array([_month(series.days[t]) for t in between])
    rng = np.random.default_rng(seed)
    found = []
    for month in np.intersect1d(months, list(only)):
        for t in sorted(rng.permutation(between[months == month])[:PER_MONTH]):
            for gap in GAPS_DAYS:
                kept = np.abs(series.days - series.days[t]) > gap / 2
                found.append(_hide(series, predictors, t, kept, gap))
    return found


def _between_clear_dates(series: RealSeries) -> np.ndarray:
    """Return indices of the mostly clear dates with others on both sides of the longest gap.

    Measure 1 leaves out the ends of a series; a series of one year has no February then.
    """
    clear = np.flatnonzero(series.clear.mean((1, 2)) > 0.5)
    reach, days = max(GAPS_DAYS) / 2, series.days
    return np.array(
        [
            t
            for t in clear
            if (days[clear] < days[t] - reach).any()
            and (days[clear] > days[t] + reach).any()
            and (np.abs(days - days[t]) > reach).sum() >= LEAST_KEPT
        ],
        int,
    )


def _month(day: float) -> int:
    return (REFERENCE_DATE + timedelta(days=int(day))).month


def _hide(
    series: RealSeries, predictors: Mapping[str, Predictor], t: int, kept: np.ndarray, gap: int
) -> HiddenDate:
    errors, blue = {}, {}
    day = float(series.days[t])
    for name, predict in predictors.items():
        guess = predict(series.reflectance[kept], series.clear[kept], series.days[kept], day)
        difference = (guess - series.reflectance[t])[:, series.clear[t]]
        errors[name] = float(np.nanmean(difference**2))
        of_blue = difference[BANDS.index("B02")]
        known = of_blue[np.isfinite(of_blue)]
        blue[name] = float(known.mean()) if len(known) else float("nan")
    return HiddenDate(series.name, day, gap, errors, blue)


def ratio(dates: Sequence[HiddenDate]) -> float:
    """Return the RMSE of ALISE over that of linear interpolation, every date counted alike."""
    ours, linear = (np.mean([date.errors[method] for date in dates]) for method in METHODS)
    return float(np.sqrt(ours / linear))


def interval(dates: Sequence[HiddenDate], resamples: int = RESAMPLES) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of `ratio` over the days of each set.

    Fields of one set share the weather and the atmosphere of a day, so a day is drawn with all of
    its fields.
    """
    groups: dict[tuple[str, float], list[HiddenDate]] = {}
    for date in dates:
        groups.setdefault((date.name, date.day), []).append(date)
    sums = np.array(
        [[sum(date.errors[method] for date in group) for method in METHODS]
         for group in groups.values()]
    )  # fmt: skip
    drawn = np.random.default_rng(0).integers(len(sums), size=(resamples, len(sums)))
    ours, linear = sums[drawn].sum(1).T
    low, high = np.percentile(np.sqrt(ours / linear), INTERVAL)
    return float(low), float(high)


def rows(dates: Iterable[HiddenDate]) -> list[Row]:
    """Return a row for each gap and month, and where all months are there for the year.

    The year is shown without February too.
    """
    everything = list(dates)
    whole_year = len({date.month for date in everything}) == len(MONTHS)
    found = []
    for gap in GAPS_DAYS:
        of_gap = [date for date in everything if date.gap == gap]
        parts = {
            name: [date for date in of_gap if date.month == number]
            for number, name in enumerate(MONTHS, 1)
        }
        if whole_year:
            parts["all months"] = of_gap
            parts["all but February"] = [date for date in of_gap if date.month != 2]
        found += [_row(f"{gap} d", name, part) for name, part in parts.items() if part]
    return found


def _row(gap: str, name: str, dates: list[HiddenDate]) -> Row:
    ours, linear = (
        float(np.sqrt(np.mean([date.errors[method] for date in dates]))) for method in METHODS
    )
    low, high = interval(dates)
    days = len({(date.name, date.day) for date in dates})
    errors = np.array([[date.errors[method] for method in METHODS] for date in dates])
    with np.errstate(divide="ignore"):
        by_date = np.sqrt(errors[:, 0] / errors[:, 1])
    blue = [date.blue["ALISE"] for date in dates if np.isfinite(date.blue["ALISE"])]
    return [
        gap, name, f"{len(dates)} of {days} days", ours, linear, ratio(dates),
        f"{low:.2f} to {high:.2f}", float(np.median(by_date)),
        float(np.mean(blue)) if blue else None,
    ]  # fmt: skip


HEADER = (
    "hidden", "month", "dates", "ALISE", "linear", "ratio", "95 % interval", "median of ratios",
    "B02 too high by",
)  # fmt: skip
