"""Which acquisitions of a long series a day is reconstructed from: those of the year around it.

The aligned vectors lie at a few learned dates of a season. A series of several years shares them
among its years, and each day of it is told less exactly (measured: `training/README.md`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

YEAR = 366
# Days that share their acquisitions, so that a series is not encoded anew for each of them; fixed
# in time, so that what a day shows does not depend on the days shown beside it.
STEP = 61
# Acquisitions that a year should have: so many the views of pre-training have. With fewer, another
# year of the same season tells more than the vectors lose by it.
ENOUGH = 24
# Fewer than this in two years are a hole in the series.
TOO_FEW = 8


def year_around(days: NDArray[np.floating[Any]], day: float) -> NDArray[np.intp]:
    """Return places of the acquisitions that a day is reconstructed from, ascending.

    All of a series of a year; otherwise those of the year around the day, of two years where that
    has fewer than 24, and all where these have fewer than 8.

    Args:
        days: `(T,)` of the acquisitions, in any order.
        day: on the same axis; one outside the series has the year at its end.
    """
    everything = np.arange(len(days))
    if not len(days) or np.ptp(days) <= YEAR:
        return everything
    middle = np.clip((np.floor(day / STEP) + 0.5) * STEP, days.min(), days.max())
    for years, least in ((1, ENOUGH), (2, TOO_FEW)):
        near = np.flatnonzero(np.abs(days - middle) <= years * YEAR / 2)
        if len(near) >= least:
            return near
    return everything


def by_year_around(
    days: NDArray[np.floating[Any]], wanted: NDArray[np.floating[Any]]
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Return days to be reconstructed, those together that share their acquisitions.

    Args:
        days: `(T,)` of the acquisitions, in any order.
        wanted: `(T',)` days to be reconstructed.

    Returns:
        Pairs of places: in `days` (see `year_around`), and in `wanted`, in which each is once.
    """
    groups: dict[tuple[int, ...], list[int]] = {}
    for place, day in enumerate(wanted):
        groups.setdefault(tuple(year_around(days, float(day))), []).append(place)
    return [(np.array(near), np.array(indices)) for near, indices in groups.items()]
