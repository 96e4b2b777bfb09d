"""Two years of one place as two aligned vectors per pixel, tile by tile.

The vectors are embeddings of image series, the pixels of embedding rasters, or gap-filled
reflectance (see `gapfilled`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Protocol

import numpy as np

from ...arrays import Float
from ...errors import AliseError, Cancelled, SeriesError
from ...model.distance import Distance
from ...model.spatial_features import Period
from ...sits.grid import Grid, Tile, Window, plan_tiles
from ...sits.regrid import SeriesOnGrid, extent_on, read_on_grid
from ...sits.series import ImageSeries
from ...sits.shared import shared_acquisitions
from ...sits.years import days_of_years, whole_years
from ..features.embedding_raster import EmbeddingRaster
from ..features.features import Features
from ..features.series_features import SeriesFeatures
from ..features.tiling import TileBudget, choose_tile_size, tile_halo, tile_memory, tile_step

Report = Callable[[float], None]


Stop = Callable[[], bool]


NOISE_EVERY = 4


"""Rows and columns between the pixels that the noise floor is measured on: a sixteenth of them."""


_BLOCK = 16  # pixels: sides of tiles are multiples, as the blocks of a GeoTIFF are


# Embeddings that are held beside the one that the encoder counts itself: the other year's, their
# difference, and what is made of it.
_MORE_EMBEDDINGS = 4


@dataclass(frozen=True)
class Vectors:
    """What a pair gives for a tile.

    Attributes:
        before: `(F, h, w)`, NaN where there is no value.
        after: `(F, h, w)`.
        noise: `(n,)` distances between the even and the odd acquisitions of each of the two
            years, for a lattice of pixels; empty where that is not asked for or not possible.
    """

    before: Float
    after: Float
    noise: Float


class Pair(Protocol):
    """Two aligned descriptions of one place.

    Attributes:
        grid: of the map.
        names: of the two, for messages.
        dates: of the two.
        year_shift: days that were taken from the days of the second.
        encoded: acquisitions that go through the encoder for each tile.
        has_noise: whether the noise floor can be measured.
        distance: of its vectors.
    """

    grid: Grid
    names: tuple[str, str]
    dates: tuple[tuple[date, ...], tuple[date, ...]]
    year_shift: int
    encoded: int
    has_noise: bool
    distance: Distance

    def plan(self, inner: Window, budget: TileBudget) -> tuple[int, list[Tile]]:
        """Return side of the tiles, a multiple of 16 pixels, and the tiles."""

    def vectors(self, tile: Tile, report: Report, stop: Stop) -> Vectors:
        """Return both vectors of a tile's inner pixels."""


def names_of(before: Features, after: Features) -> tuple[str, str]:
    """Return what messages call the two: file names, with folder or dates where they are equal."""
    first, second = before.name, after.name
    if first != second:
        return first, second
    if not (before.is_series and after.is_series):
        folders = [Path(source.path).absolute().parent.name for source in (before, after)]
        return f"{folders[0]}/{first}", f"{folders[1]}/{second}"
    spans = [f"{source.dates[0]} to {source.dates[-1]}" for source in (before, after)]
    return f"{first} ({spans[0]})", f"{second} ({spans[1]})"


def require_overlap(before: Grid, after: Grid, names: tuple[str, str]) -> Window:
    """Return the pixels of the first grid that the second covers.

    Raises:
        SeriesError: there is none.
    """
    extent = extent_on(after, before)
    try:
        if extent is None:
            raise SeriesError("")
        return before.window_of(extent)
    except SeriesError:
        raise SeriesError(
            f"{names[1]} does not overlap {names[0]}; give two series of one area."
        ) from None


class SeriesPair:
    """Two image series and the encoder that makes vectors of them.

    Acquisitions that both have are read and encoded once.

    Args:
        first: its grid is the map's, and its encoder encodes both.
        second: on any grid; it is read on that of `first`.
        align_years: whether the days of `second` are shifted by whole years to those of `first`.
        distance: of two vectors of all features.
    """

    def __init__(
        self,
        first: SeriesFeatures,
        second: SeriesFeatures,
        *,
        align_years: bool,
        distance: Distance,
    ) -> None:
        before, after = first.series, second.series
        self.distance = distance
        self.grid = before.grid
        self.names = names_of(first, second)
        self.dates = (before.dates, after.dates)
        years = whole_years(before.dates, after.dates) if align_years else 0
        self.year_shift = days_of_years(years)
        self.has_noise = min(map(len, self.dates)) > 1
        self.encoder = first.encoder
        after = on_grid_of(before, after)
        shared = shared_acquisitions(before, after)
        own = [index for index in range(len(after.dates)) if index not in shared]
        self._reads: list[tuple[ImageSeries, int]] = [
            *((before, index) for index in range(len(before.dates))),
            *((after, index) for index in own),
        ]
        self.encoded = len(self._reads)
        place = {index: len(before.dates) + number for number, index in enumerate(own)}
        place |= shared
        indices = sorted(range(len(after.dates)), key=lambda index: place[index])
        self._first = Period(np.arange(len(before.dates)), before.days)
        self._second = Period(
            np.array([place[index] for index in indices]),
            after.days[indices] - np.float32(self.year_shift),
        )

    def plan(self, inner: Window, budget: TileBudget) -> tuple[int, list[Tile]]:
        """Return side and tiles; the features of both years are held at once."""
        encoder, raster = self.encoder, self.grid.window
        step = tile_step(encoder)
        # An embedding takes what the features of `n_queries` more dates would take.
        held = self.encoded + _MORE_EMBEDDINGS * encoder.package.n_queries
        if budget.tile_size:
            side = math.ceil(budget.tile_size / step) * step
        else:
            memory_mb, least = budget.memory_mb, tile_memory(encoder, held, step, raster)
            if least > budget.bytes:
                raise AliseError(
                    f"A memory of {memory_mb:g} MB is too little for the {self.encoded} dates of "
                    f"two years; allow at least {math.ceil(least * memory_mb / budget.bytes)} MB "
                    "or use fewer dates."
                )
            side = choose_tile_size(encoder, held, raster, inner, memory_mb)
        halo, stride = tile_halo(encoder), encoder.package.stride
        return side, plan_tiles(self.grid, inner, side, halo, stride)

    def vectors(self, tile: Tile, report: Report, stop: Stop) -> Vectors:
        """Read each acquisition once and encode both years."""
        periods = [self._first, self._second]
        if self.has_noise:
            periods += [half for year in periods for half in _halves(year)]
        reading = _Reading(self._reads, tile.read, report, stop)
        embeddings = [
            embedding.reshape(-1, *embedding.shape[2:])
            for embedding in self.encoder.encode_periods(
                reading,
                self.encoded,
                periods,
                crop=tile.inner.slices_in(tile.read),
                cancelled=reading.cancelled,
            )
        ]
        reading.cancelled()
        noise = [
            self.distance(even, odd).ravel()
            for even, odd in zip(embeddings[2::2], embeddings[3::2])
        ]
        return Vectors(embeddings[0], embeddings[1], np.concatenate(noise or [_NONE]))


class _Reading:
    """The acquisitions of both years, read in one thread; progress is told in the one that asks."""

    def __init__(
        self, reads: list[tuple[ImageSeries, int]], window: Window, report: Report, stop: Stop
    ) -> None:
        self._reads, self._window = reads, window
        self._report, self._stop = report, stop
        self._read = self._reported = 0

    def __iter__(self) -> Iterator[Float]:
        for series, index in self._reads:
            yield series.read(self._window, index)
            self._read += 1

    def cancelled(self) -> bool:
        """Return whether to stop; on the way, what was read since the last time is reported."""
        if self._read > self._reported:
            self._reported = self._read
            self._report(self._reported / len(self._reads))
        return self._stop()


class RasterPair:
    """Two embedding rasters; the second is read on the grid of the first (bilinear).

    Raises:
        SeriesError: two models made them, or one is in the compact form and the other is not.
    """

    year_shift = 0
    encoded = 0
    has_noise = False

    def __init__(self, before: EmbeddingRaster, after: EmbeddingRaster, distance: Distance) -> None:
        self.grid = before.grid
        self.distance = distance
        self.names = names_of(before, after)
        first, second = before.identity, after.identity
        same = first.gives_vectors_of(second.sha256) or second.gives_vectors_of(first.sha256)
        if same and before.names != after.names:
            raise SeriesError(
                f"{self.names[0]} holds {len(before.names)} features and {self.names[1]} "
                f"{len(after.names)}, so that they do not compare; embed both in one format."
            )
        if not same:
            raise SeriesError(
                f"{self.names[0]} was made by {before.identity.name} and {self.names[1]} by "
                f"{after.identity.name}, so that their vectors do not compare; embed both with "
                "one model."
            )
        self.dates = (before.dates, after.dates)
        self._before, self._after = before, after

    def plan(self, inner: Window, budget: TileBudget) -> tuple[int, list[Tile]]:
        """Return side and tiles that fit."""
        pixels = budget.bytes / (2 * (2 + _MORE_EMBEDDINGS) * 4 * len(self._before.names))
        side = (
            math.ceil((budget.tile_size or max(_BLOCK, math.isqrt(int(pixels)))) / _BLOCK) * _BLOCK
        )
        longest = math.ceil(max(inner.width, inner.height) / _BLOCK) * _BLOCK
        side = min(side, longest)
        return side, plan_tiles(self.grid, inner, side, 0, 1)

    def vectors(self, tile: Tile, report: Report, stop: Stop) -> Vectors:
        """Read both rasters."""
        if stop():
            raise Cancelled("The run was cancelled.")
        before = self._before.read(tile.inner)
        report(0.5)
        if stop():
            raise Cancelled("The run was cancelled.")
        read = self._after.read
        after = read_on_grid(read, self._after.grid, self.grid, tile.inner, "bilinear")
        report(1.0)
        return Vectors(before, after, _NONE)


_NONE: Float = np.empty(0, np.float32)


def on_grid_of(before: ImageSeries, after: ImageSeries) -> ImageSeries:
    """Return the second series on the grid of the first."""
    same = after.grid.same_grid(before.grid)
    return after if same else SeriesOnGrid(after, before.grid)


def _halves(year: Period) -> list[Period]:
    """Return the even and the odd acquisitions of a year, for a lattice of pixels."""
    order = np.argsort(year.days)
    halves = [np.sort(order[start::2]) for start in (0, 1)]
    return [Period(year.dates[half], year.days[half], NOISE_EVERY) for half in halves]
