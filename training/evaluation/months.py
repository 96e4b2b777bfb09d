"""Measure 1 by month of the hidden date, with intervals: where in the year a model goes wrong.

Sums over the whole year hide a month in which a model invents something, as version 0.3.0 did with
snow in February. Here every hidden date counts alike, however many pixels its site has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Union

import numpy as np

from alise_plugin.model.encoder import Encoder
from alise_plugin.model.year_around import by_year_around
from alise_plugin.sentinel2 import BANDS, REFERENCE_DATE
from alise_plugin.sits.acquisitions import days_since_reference
from training.data.screen import snow

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
        """Return 1 to 12."""
        return _month(self.day)


def hidden_dates(
    series: RealSeries,
    predictors: Mapping[str, Predictor],
    seed: int = 0,
) -> list[HiddenDate]:
    """Hide up to `PER_MONTH` clear dates of each month in turn and measure every method.

    Args:
        series: a site.
        predictors: the methods, by name.
        seed: of which dates are hidden where a month has more.
    """
    between = _between_clear_dates(series)
    months = np.array([_month(series.days[t]) for t in between])
    rng = np.random.default_rng(seed)
    found = []
    for month in np.unique(months):
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
    ours, linear = (np.mean([hidden.errors[method] for hidden in dates]) for method in METHODS)
    return float(np.sqrt(ours / linear))


def interval(dates: Sequence[HiddenDate], resamples: int = RESAMPLES) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of `ratio` over the days of each set.

    Fields of one set share the weather and the atmosphere of a day, so a day is drawn with all of
    its fields.
    """
    groups: dict[tuple[str, float], list[HiddenDate]] = {}
    for hidden in dates:
        groups.setdefault((hidden.name, hidden.day), []).append(hidden)
    sums = np.array(
        [[sum(hidden.errors[method] for hidden in group) for method in METHODS]
         for group in groups.values()]
    )  # fmt: skip
    drawn = np.random.default_rng(0).integers(len(sums), size=(resamples, len(sums)))
    ours, linear = sums[drawn].sum(1).T
    low, high = np.percentile(np.sqrt(ours / linear), INTERVAL)
    return float(low), float(high)


def rows(dates: Iterable[HiddenDate]) -> list[Row]:
    """Return a row for each gap and month, for the year, and for the year without February."""
    everything = list(dates)
    found = []
    for gap in GAPS_DAYS:
        of_gap = [hidden for hidden in everything if hidden.gap == gap]
        parts = {
            name: [hidden for hidden in of_gap if hidden.month == number]
            for number, name in enumerate(MONTHS, 1)
        }
        parts["all months"] = of_gap
        parts["all but February"] = [hidden for hidden in of_gap if hidden.month != 2]
        found += [_row(f"{gap} d", name, part) for name, part in parts.items() if part]
    return found


def _row(gap: str, name: str, dates: list[HiddenDate]) -> Row:
    ours, linear = (
        float(np.sqrt(np.mean([hidden.errors[method] for hidden in dates]))) for method in METHODS
    )
    low, high = interval(dates)
    days = len({(hidden.name, hidden.day) for hidden in dates})
    errors = np.array([[hidden.errors[method] for method in METHODS] for hidden in dates])
    with np.errstate(divide="ignore"):
        by_date = np.sqrt(errors[:, 0] / errors[:, 1])
    blue = [hidden.blue["ALISE"] for hidden in dates]
    return [
        gap, name, f"{len(dates)} of {days} days", ours, linear, ratio(dates),
        f"{low:.2f} to {high:.2f}", float(np.median(by_date)),
        _mean(blue),
    ]  # fmt: skip


def _mean(values: Sequence[float]) -> float | None:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else None


def invented_snow(encoder: Encoder, sites: Iterable[RealSeries]) -> list[float | None]:
    """Return the share of the decoded middles of each month that are snow by their colour.

    A model that never had snow as a target invents it. No truth is asked, so that months count in
    which snow left no date to measure on.

    Args:
        encoder: of the model.
        sites: each counts alike, with the year in its middle.

    Returns:
        12 shares, January first; None without a site that covers the month.
    """
    shares: dict[int, list[float]] = {}
    for site in sites:
        wanted = _middles(site.days)
        for near, indices in by_year_around(site.days, wanted):
            vectors = encoder.encode(site.reflectance[near].astype(np.float32), site.days[near])
            decoded = encoder.decode(vectors, wanted[indices])
            for day, share in zip(wanted[indices], snow(decoded).mean((1, 2))):
                shares.setdefault(_month(day), []).append(float(share))
    return [
        float(np.mean(shares[month])) if month in shares else None
        for month in range(1, len(MONTHS) + 1)
    ]


def _middles(days: np.ndarray) -> np.ndarray:
    """Return the 15th of each month that lies in a series, of the year about its middle."""
    middle = REFERENCE_DATE + timedelta(days=int((days[0] + days[-1]) / 2))
    first = 12 * middle.year + middle.month - 1 - len(MONTHS) // 2
    wanted = days_since_reference(
        [date(k // 12, k % 12 + 1, 15) for k in range(first, first + len(MONTHS))]
    )
    return wanted[(wanted >= days[0]) & (wanted <= days[-1])]


HEADER = (
    "hidden", "month", "dates", "ALISE", "linear", "ratio", "95 % interval", "median of ratios",
    "B02 too high by",
)  # fmt: skip
