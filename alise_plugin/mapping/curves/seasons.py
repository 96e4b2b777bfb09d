"""Seasons of curves: when they start, peak and end, and how much grows in them.

Terms are those of TIMESAT (Jönsson and Eklundh 2004, doi:10.1016/j.cageo.2004.05.006) and of the
Copernicus product HR-VPP (Vegetation Phenology and Productivity, which has up to two seasons a
year, a start at 25 % of the amplitude and an end at 15 %).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

METRICS = ("start", "peak", "end", "length", "amplitude", "base", "integral", "quality")
"""What is told of a season.

- `start`, `end`: day on which the curve passes the threshold, nearest to the peak. A relative
  threshold is a share of the way from the lowest value on that side to the peak.
- `peak`: day of the largest value.
- `length`: days from start to end.
- `base`: mean of the lowest values before and after the peak (TIMESAT's base level).
- `amplitude`: value of the peak over the base.
- `integral`: area between curve and base from start to end, in index x days (HR-VPP's seasonal
  productivity).
- `quality`: 1, and 1 more for each of start, peak and end that has a clear observation near.
"""
SEASONS = 2  # of a window, at most

STEP = 5
"""Days from one value of a curve to the next."""
AROUND = 183
"""Days before and after its peak in which a season is looked for."""
NEAR = 15  # days from a clear observation within which a start, peak or end is well told

# Of the amplitude of the larger season: what a smaller one beside it must rise and fall by.
_SECOND_SHARE = 0.3
# Of the fall after the peak: a rise seen for less, at the edge of the curve, has not been seen
# from its beginning (and the other way round).
_CUT_SHARE = 0.7

Curve = NDArray[np.float32]


@dataclass(frozen=True)
class SeasonRules:
    """What a season is.

    Attributes:
        first, last: days between which the peak of a season lies, both included.
        start_level, end_level: the thresholds: shares of the amplitude, 0 to 1, or values.
        relative: whether they are shares.
        minimum_amplitude: of a season; smaller ones are none.
    """

    first: float
    last: float
    start_level: float = 0.25
    end_level: float = 0.15
    relative: bool = True
    minimum_amplitude: float = 0.1


def find_seasons(
    curve: Curve,
    days: NDArray[np.float32],
    rules: SeasonRules,
    clear: NDArray[np.bool_] | None = None,
    observed_days: NDArray[np.float32] | None = None,
) -> Curve:
    """Return the seasons of curves.

    Args:
        curve: `(N, P)` values of an index; NaN for a pixel without any.
        days: `(N,)` ascending, at equal steps.
        rules: what a season is.
        clear: `(T, P)` whether an observation is clear; None if nothing is known of observations.
        observed_days: `(T,)` of the observations.

    Returns:
        `(2, 8, P)` float32, the seasons in the order of their peaks, each with `METRICS`; days as
        in `days`; NaN where there is no season or the metric is not known.
    """
    pixels = curve.shape[1]
    out = np.full((SEASONS, len(METRICS), pixels), np.nan, np.float32)
    if len(days) < 3 or not pixels:
        return out
    valid = np.isfinite(curve).all(0)
    values = np.where(valid, curve, 0).astype(np.float64)
    main, second = _peaks(values, days, rules)
    has_main, has_second = valid & (main >= 0), valid & (second >= 0)
    earlier = np.where(has_second, np.minimum(main, second), main)
    later = np.maximum(main, second)
    for number, (peak, other, there) in enumerate(
        ((earlier, later, has_main), (later, earlier, has_second))
    ):
        season = _season(
            values[:, there],
            days.astype(np.float64),
            peak[there],
            np.where(has_second, other, -1)[there],
            rules,
        )
        if clear is not None and observed_days is not None:
            season[-1] = _quality(season, clear[:, there], observed_days)
        out[number][:, there] = season
    # A first season that is too small leaves its place to the second.
    lone = np.isnan(out[0, 1]) & np.isfinite(out[1, 1])
    out[0][:, lone], out[1][:, lone] = out[1][:, lone], np.nan
    return out


def _peaks(
    values: NDArray[np.float64], days: NDArray[np.float32], rules: SeasonRules
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the place of the main peak and of a second one, -1 for none."""
    count, pixels = values.shape
    place = np.arange(count)[:, None]
    candidate = np.zeros(values.shape, bool)
    candidate[1:-1] = (values[1:-1] >= values[:-2]) & (values[1:-1] > values[2:])
    candidate &= ((days >= rules.first) & (days <= rules.last))[:, None]
    lowest_before = np.minimum.accumulate(values, 0)
    lowest_after = np.minimum.accumulate(values[::-1], 0)[::-1]
    rise = np.where(candidate, values - np.maximum(lowest_before, lowest_after), -np.inf)
    main = rise.argmax(0)
    columns = np.arange(pixels)
    height = rise[main, columns]
    left, right = place <= main, place >= main
    valley = np.minimum.accumulate(np.where(left, values, np.inf)[::-1], 0)[::-1]
    valley = np.where(left, valley, np.minimum.accumulate(np.where(right, values, np.inf), 0))
    far = np.where(left, lowest_before, lowest_after)
    beside = np.where(candidate & (place != main), values - np.maximum(valley, far), -np.inf)
    second = beside.argmax(0)
    least = np.maximum(rules.minimum_amplitude, _SECOND_SHARE * height)
    second = np.where(beside[second, columns] >= least, second, -1)
    main = np.where(np.isfinite(height), main, -1)
    return main, np.where(main >= 0, second, -1)


def _season(
    values: NDArray[np.float64],
    days: NDArray[np.float64],
    peak: NDArray[np.intp],
    other: NDArray[np.intp],
    rules: SeasonRules,
) -> NDArray[np.float64]:
    """Return `(8, P)` metrics of the season around a peak, beside that of another (-1: none)."""
    count, pixels = values.shape
    columns = np.arange(pixels)
    place = np.arange(count)[:, None]
    reach = round(AROUND / (days[1] - days[0]))
    first = np.maximum(peak - reach, 0)
    first = np.where((other >= 0) & (other < peak), np.maximum(first, other), first)
    last = np.minimum(peak + reach, count - 1)
    last = np.where(other > peak, np.minimum(last, other), last)
    before, after = (place >= first) & (place <= peak), (place >= peak) & (place <= last)
    low = np.where(before, values, np.inf).argmin(0)
    high = np.where(after, values, np.inf).argmin(0)
    top = values[peak, columns]
    left, right = values[low, columns], values[high, columns]
    rise, fall = top - left, top - right
    start_level, end_level = rules.start_level, rules.end_level
    begins = left + start_level * rise if rules.relative else np.full(pixels, start_level)
    ends = right + end_level * fall if rules.relative else np.full(pixels, end_level)
    start = _crossing(values, begins, before & (place < peak), -1)
    end = _crossing(values, ends, after & (place > peak), 1)
    start[begins > top], end[ends > top] = np.nan, np.nan  # absolute ones may lie above it
    # Seen from its edge only: the season may have begun before, or go on.
    start[(low == 0) & (rise < _CUT_SHARE * fall)] = np.nan
    end[(high == count - 1) & (fall < _CUT_SHARE * rise)] = np.nan
    base = (left + right) / 2
    amplitude = top - base
    step = days[1] - days[0]
    out: NDArray[np.float64] = np.stack(
        [
            days[0] + step * start,
            days[0] + step * (peak + _summit(values, peak)),
            days[0] + step * end,
            step * (end - start),
            amplitude,
            base,
            step * (_area(values, end) - _area(values, start)) - base * step * (end - start),
            np.full(pixels, np.nan),
        ]
    )
    out[:, amplitude < rules.minimum_amplitude] = np.nan
    return out


def _crossing(
    values: NDArray[np.float64],
    level: NDArray[np.float64],
    side: NDArray[np.bool_],
    direction: int,
) -> NDArray[np.float64]:
    """Return the place, with a fraction, where curves cross a level nearest to the peak.

    Args:
        values: `(N, P)`.
        level: `(P,)`.
        side: `(N, P)` the places on one side of the peak.
        direction: of time, away from the peak: -1 before it, 1 after it.
    """
    below = side & (values < level)
    count, columns = len(values), np.arange(values.shape[1])
    at = count - 1 - below[::-1].argmax(0) if direction < 0 else below.argmax(0)
    towards = np.clip(at - direction, 0, count - 1)
    low, high = values[at, columns], values[towards, columns]
    with np.errstate(all="ignore"):
        share = np.clip((level - low) / (high - low), 0, 1)
    place = at - direction * np.where(np.isfinite(share), share, 0)
    crossing: NDArray[np.float64] = np.where(below.any(0), place, np.nan)
    return crossing


def _summit(values: NDArray[np.float64], peak: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return how far from its place the parabola through a peak and its neighbours is highest."""
    columns = np.arange(values.shape[1])
    left, top, right = (values[peak + n, columns] for n in (-1, 0, 1))
    bend = left - 2 * top + right
    with np.errstate(all="ignore"):
        shift = (left - right) / (2 * bend)
    inside: NDArray[np.float64] = np.where(bend < 0, np.clip(shift, -0.5, 0.5), 0)
    return inside


def _area(values: NDArray[np.float64], place: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the area under curves from their first value to a place, in steps; NaN stays."""
    summed = np.zeros_like(values)
    np.cumsum((values[1:] + values[:-1]) / 2, axis=0, out=summed[1:])
    columns = np.arange(values.shape[1])
    known = np.where(np.isfinite(place), place, 0)
    whole = np.clip(np.floor(known).astype(np.intp), 0, len(values) - 2)
    part = known - whole
    here, following = values[whole, columns], values[whole + 1, columns]
    area = summed[whole, columns] + part * here + part**2 / 2 * (following - here)
    return np.where(np.isfinite(place), area, np.nan)


def _quality(
    season: NDArray[np.float64], clear: NDArray[np.bool_], days: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return 1 to 4: one more for each of start, peak and end with a clear observation near."""
    quality = np.ones(season.shape[1])
    for day in season[:3]:
        with np.errstate(invalid="ignore"):
            quality += (clear & (np.abs(days[:, None] - day) <= NEAR)).any(0)
    return np.where(np.isfinite(season[1]), quality, np.nan)
