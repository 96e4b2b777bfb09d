"""Tiles of a map: how large the memory lets them be, and the loop over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ...errors import Cancelled
from ...feedback import Feedback
from ...model.encoder import Encoder
from ...model.spatial_features import Period
from ...sits.grid import Tile, Window
from ...sits.series import ImageSeries

_READ_SHARE = 0.7  # of a tile's time: its dates go through the spatial encoder as they are read


def encode_tile(
    series: ImageSeries,
    encoder: Encoder,
    tile: Tile,
    report: Callable[[float], None],
    cancelled: Callable[[], bool],
) -> NDArray[np.float32]:
    """Return the features of a tile; the next date is read while one is encoded.

    Args:
        series: the image series; it is read in another thread until this returns.
        encoder: the encoder.
        tile: what to read and what to keep.
        report: called with how much of the tile is read, 0 to 1.
        cancelled: asked before each date and while the encoder works.

    Returns:
        `(n_queries * d_model, h, w)` float32, NaN for a pixel without any value.

    Raises:
        Cancelled: `cancelled()` was true.
    """
    reading = _Reading(series, tile, report, cancelled)
    crop = tile.inner.slices_in(tile.read)
    embedding = encoder.encode(reading, series.days, crop=crop, cancelled=reading.cancelled)
    reading.cancelled()
    return embedding.reshape(-1, *embedding.shape[2:])


def encode_some(
    series: ImageSeries,
    encoder: Encoder,
    tile: Tile,
    every: int,
    cancelled: Callable[[], bool],
) -> NDArray[np.float32]:
    """Return the features of every n-th row and column of a tile.

    Then they are not quite those of the map: good enough to learn how far they range.

    Args:
        series: the image series; it is read in another thread until this returns.
        encoder: the encoder.
        tile: what to read and what to keep.
        every: n.
        cancelled: asked before each date and while the encoder works.

    Returns:
        `(n_queries * d_model, rows, columns)` float32, NaN for a pixel without any value.

    Raises:
        Cancelled: `cancelled()` was true.
    """
    reading = _Reading(series, tile, lambda _: None, cancelled)
    crop = tile.inner.slices_in(tile.read)
    count = len(series.dates)
    period = Period(np.arange(count), series.days, every)
    (embedding,) = encoder.encode_periods(
        reading, count, [period], crop=crop, cancelled=reading.cancelled
    )
    return embedding.reshape(-1, *embedding.shape[2:])


class _Reading:
    """The dates of a tile, read in one thread; progress is reported in the thread that asks."""

    def __init__(
        self,
        series: ImageSeries,
        tile: Tile,
        report: Callable[[float], None],
        cancelled: Callable[[], bool],
    ) -> None:
        self._series = series
        self._tile = tile
        self._report = report
        self._cancelled = cancelled
        self._read = self._reported = 0

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        for index in range(len(self._series.dates)):
            yield self._series.read(self._tile.read, index)
            self._read = index + 1

    def cancelled(self) -> bool:
        """Return whether to stop; on the way, what was read since the last time is reported."""
        if self._read > self._reported:
            self._reported = self._read
            self._report(self._reported / len(self._series.dates))
        return self._cancelled()


def encode_tiles(
    series: ImageSeries, encoder: Encoder, tiles: Sequence[Tile], feedback: Feedback
) -> Iterator[tuple[Tile, NDArray[np.float32]]]:
    """Yield tiles with their features (see `encode_tile`), with progress and cancelling.

    Raises:
        Cancelled: the feedback says so.
    """
    with series.reopen() as own:
        for tile, share in _shares(tiles, feedback):
            yield tile, encode_tile(own, encoder, tile, share, feedback.cancelled)


def encode_periods(
    series: ImageSeries,
    encoder: Encoder,
    tiles: Sequence[Tile],
    periods: Sequence[Period],
    feedback: Feedback,
) -> Iterator[tuple[Tile, Iterator[NDArray[np.float32]]]]:
    """Yield as `encode_tiles`, with the features of several periods, one after the other.

    Args:
        series: the image series.
        encoder: the encoder.
        tiles: what to read and what to keep.
        periods: of the series.
        feedback: progress, of the reading, and cancelling.

    Yields:
        The tile, and `(n_queries * d_model, h, w)` float32 for each period, made when asked for;
        all are to be taken before the next tile.

    Raises:
        Cancelled: the feedback says so.
    """
    with series.reopen() as own:
        for tile, share in _shares(tiles, feedback):
            reading = _Reading(own, tile, share, feedback.cancelled)
            embeddings = encoder.encode_periods(
                reading,
                len(own.dates),
                periods,
                crop=tile.inner.slices_in(tile.read),
                cancelled=reading.cancelled,
            )
            yield tile, (each.reshape(-1, *each.shape[2:]) for each in embeddings)


def encode_strips(
    series: ImageSeries,
    encoder: Encoder,
    tiles: Sequence[Tile],
    rows: int,
    feedback: Feedback,
) -> Iterator[tuple[Tile, Window, NDArray[np.float32]]]:
    """Yield the tiles of `encode_tiles` a few rows at a time.

    Args:
        series: the image series.
        encoder: the encoder.
        tiles: what to read and what to keep.
        rows: of a strip (see `Tiling`).
        feedback: progress and cancelling.

    Yields:
        The tile, the strip of its inner window, and `(n_queries * d_model, h, w)` float32.

    Raises:
        Cancelled: the feedback says so.
    """
    with series.reopen() as own:
        for tile, share in _shares(tiles, feedback):
            reading = _Reading(own, tile, share, feedback.cancelled)
            inner = tile.inner
            strips = encoder.encode_strips(
                reading,
                own.days,
                rows,
                crop=inner.slices_in(tile.read),
                cancelled=reading.cancelled,
            )
            row = inner.row
            for strip in strips:
                window = Window(inner.col, row, inner.width, strip.shape[2])
                yield tile, window, strip.reshape(-1, *strip.shape[2:])
                row = window.row_end
                # Reading was the larger part; what is left of the tile's share is the strips'.
                share(1 + (row - inner.row) / inner.height * (1 / _READ_SHARE - 1))
            reading.cancelled()


def _shares(
    tiles: Sequence[Tile], feedback: Feedback
) -> Iterator[tuple[Tile, Callable[[float], None]]]:
    """Yield tiles, each with what reports how much of it is read; progress goes by pixels read.

    Raises:
        Cancelled: the feedback says so.
    """
    total = sum(tile.read.pixels for tile in tiles)
    done = 0
    for tile in tiles:
        start, share = done / total, tile.read.pixels / total

        def report(fraction: float, start: float = start, share: float = share) -> None:
            feedback.progress(min(start + share, start + share * _READ_SHARE * fraction))

        yield tile, report
        done += tile.read.pixels
        feedback.progress(max(start + share, done / total))
        if feedback.cancelled():
            raise Cancelled("The run was cancelled.")
