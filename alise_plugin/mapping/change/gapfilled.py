"""The paper's baseline: acquisitions interpolated on one calendar, compared as reflectance."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...arrays import Float
from ...errors import AliseError, Cancelled
from ...model.distance import Distance, SquaredDistance
from ...sentinel2 import BANDS
from ...sits.acquisitions import days_since_reference
from ...sits.grid import Tile, Window, plan_tiles
from ...sits.years import days_of_years, whole_years
from ..features.series_features import SeriesFeatures
from ..features.tiling import TileBudget
from .pairs import NOISE_EVERY, Report, Stop, Vectors, names_of, on_grid_of
from .periods import require_common_season

STEP_DAYS = 5


"""Days between two points of the calendar (paper, section IV-C2)."""


_BLOCK = 16  # pixels: sides of tiles are multiples, as the blocks of a GeoTIFF are


def gap_filled(
    reflectance: NDArray[np.floating[Any]],
    days: NDArray[np.floating[Any]],
    calendar: NDArray[np.floating[Any]],
) -> Float:
    """Return linear interpolation in time of every pixel and band (paper, section IV-C2).

    Before a pixel's first value and after its last, that value stands.

    Args:
        reflectance: `(T, ...)`, NaN where there is no value.
        days: `(T,)`, ascending.
        calendar: `(G,)` days to interpolate at.

    Returns:
        `(G, ...)` float32; NaN for a pixel and band without any value.
    """
    shape = reflectance.shape[1:]
    values = np.asarray(reflectance, np.float32).reshape(len(days), -1)
    valid = np.isfinite(values)
    index = np.arange(len(days))[:, None]
    earlier = np.maximum.accumulate(np.where(valid, index, -1), 0)
    later = np.minimum.accumulate(np.where(valid, index, len(days))[::-1], 0)[::-1]
    out = np.empty((len(calendar), values.shape[1]), np.float32)
    columns = np.arange(values.shape[1])
    for number, day in enumerate(calendar):
        # The last acquisition up to the day and the first from it on, each that has a value.
        upto = int(np.searchsorted(days, day, side="right")) - 1
        last = earlier[upto] if upto >= 0 else np.full(len(columns), -1)
        first = later[upto + 1] if upto + 1 < len(days) else np.full(len(columns), len(days))
        before_first = last < 0
        last = np.where(before_first, first, last)
        first = np.where(first == len(days), last, first)
        last, first = np.minimum(last, len(days) - 1), np.minimum(first, len(days) - 1)
        span = np.maximum(days[first] - days[last], 1e-6)
        share = np.clip((day - days[last]) / span, 0, 1).astype(np.float32)
        start, end = values[last, columns], values[first, columns]
        out[number] = start + np.where(share > 0, share * (end - start), 0)
    return out.reshape(len(calendar), *shape)


class GapFilledPair:
    """Two image series on one calendar of a year, as reflectance.

    An acquisition is valid where it has a value: clouds have to be masked beforehand.

    Args:
        first: its grid is the map's.
        second: on any grid; its days are shifted by whole years to those of `first`.

    Raises:
        SeriesError: the two have no season in common.
    """

    encoded = 0

    def __init__(self, first: SeriesFeatures, second: SeriesFeatures) -> None:
        before, after = first.series, second.series
        self.grid = before.grid
        self.distance: Distance = SquaredDistance()
        self.names = names_of(first, second)
        self.dates = (before.dates, after.dates)
        self.year_shift = days_of_years(whole_years(before.dates, after.dates))
        self.has_noise = min(map(len, self.dates)) > 1
        self._series = (before, on_grid_of(before, after))
        self._days = (before.days, after.days - np.float32(self.year_shift))
        first, last = days_since_reference(require_common_season(*self.dates, self.names))
        self.calendar = np.arange(first, last + 1, STEP_DAYS, dtype=np.float32)

    def plan(self, inner: Window, budget: TileBudget) -> tuple[int, list[Tile]]:
        """Return side and tiles that fit: a year as read, its bookkeeping, and both calendars."""
        dates = max(map(len, self.dates))
        per_pixel = len(BANDS) * (dates * (4 + 1 + 3 * 8) + len(self.calendar) * 4 * 5)
        if _BLOCK**2 * per_pixel > budget.bytes:
            raise AliseError(
                f"A memory of {budget.memory_mb:g} MB is too little for {dates} dates; allow "
                "more or use fewer dates."
            )
        fitting = math.isqrt(int(budget.bytes / per_pixel)) // _BLOCK * _BLOCK
        side = math.ceil((budget.tile_size or fitting) / _BLOCK) * _BLOCK
        side = min(side, math.ceil(max(inner.width, inner.height) / _BLOCK) * _BLOCK)
        return side, plan_tiles(self.grid, inner, side, 0, 1)

    def vectors(self, tile: Tile, report: Report, stop: Stop) -> Vectors:
        """Read both years and interpolate them."""
        total = sum(map(len, self.dates))
        done = 0
        filled: list[Float] = []
        noise: list[Float] = []
        for series, days in zip(self._series, self._days):
            window = tile.inner
            shape = (len(days), len(BANDS), window.height, window.width)
            reflectance = np.empty(shape, np.float32)
            for index in range(len(days)):
                if stop():
                    raise Cancelled("The run was cancelled.")
                reflectance[index] = series.read(window, index)
                done += 1
                report(done / total)
            filled.append(self._fill(reflectance, days))
            if self.has_noise:
                some = reflectance[:, :, ::NOISE_EVERY, ::NOISE_EVERY]
                even, odd = (self._fill(some[k::2], days[k::2]) for k in (0, 1))
                noise.append(self.distance(even, odd).ravel())
        empty = np.empty(0, np.float32)
        return Vectors(filled[0], filled[1], np.concatenate(noise) if noise else empty)

    def _fill(self, reflectance: Float, days: NDArray[np.floating[Any]]) -> Float:
        filled = gap_filled(reflectance, days, self.calendar)
        return filled.reshape(-1, *filled.shape[2:])
