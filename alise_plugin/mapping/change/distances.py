"""The distance of each pixel between two years, window by window."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import SeriesError
from ...feedback import Feedback, stop_if_cancelled
from ...model.heads.class_head import MapClass
from ...sits.grid import Grid, Tile, Window
from ...sits.pixel_area import PixelAreas
from ...sits.rasters import open_raster, read_bands
from ..features.tiling import TileBudget
from ..rasters.form import RasterForm
from ..rasters.geotiff import RasterOutput
from ..rasters.style import class_style
from .pairs import Pair, Vectors

CHANGED, UNCHANGED, NO_DECISION = 1, 0, 255


_DECISIONS = (
    MapClass(UNCHANGED, "unchanged", "#e1e1e1"),
    MapClass(CHANGED, "changed", "#d7191c"),
)


_SAMPLE = 1 << 21  # distances, evenly among all, that a threshold comes from


_SHIFT_SIDE = 16  # pixels: windows that the typical shift of a scene comes from


_SHIFT_WINDOWS = 9


PAIR_SHARE = 0.95  # of the time: the distances; the rest is what is made of them


class CollectedValues:
    """What a run keeps of its tiles."""

    def __init__(self) -> None:
        self._noise: list[NDArray[np.float32]] = []
        self.has_values = [False, False]

    def add(self, vectors: Vectors) -> None:
        """Keep the values of one window."""
        self._noise.append(vectors.noise[np.isfinite(vectors.noise)])
        for side, values in enumerate((vectors.before, vectors.after)):
            self.has_values[side] = self.has_values[side] or bool(np.isfinite(values).any())

    def noise(self) -> NDArray[np.float32]:
        """Return all distances between even and odd acquisitions, finite."""
        return np.concatenate(self._noise)


def require_values(pair: Pair, collected: CollectedValues, sample: NDArray[np.float32]) -> None:
    """Make sure that both years have pixels with a value.

    Raises:
        SeriesError: one of them has none in the area of the map.
    """
    for name, has_values in zip(pair.names, collected.has_values):
        if not has_values:
            raise SeriesError(
                f"{name} has no value in the extent; choose another extent or another series."
            )
    if not len(sample):
        raise SeriesError(
            f"No pixel of the extent has a value in both {pair.names[0]} and {pair.names[1]}; "
            "choose another extent."
        )


class PairWalk:
    """The tiles of a run with their vectors and the typical shift of the scene."""

    def __init__(
        self, pair: Pair, tiles: list[Tile], inner: Window, with_shift: bool, feedback: Feedback
    ) -> None:
        self._pair, self._tiles, self._inner = pair, tiles, inner
        self._with_shift, self._feedback = with_shift, feedback

    def __iter__(self) -> Iterator[tuple[Tile, Vectors, NDArray[np.float32]]]:
        feedback, pair = self._feedback, self._pair
        total = sum(tile.read.pixels for tile in self._tiles)
        shift = None
        if self._with_shift and len(self._tiles) > 1:
            shift = self._sampled_shift()
        done = 0
        for tile in self._tiles:
            start, part = done / total, tile.read.pixels / total

            def report(fraction: float, start: float = start, part: float = part) -> None:
                feedback.progress(PAIR_SHARE * (start + part * 0.7 * fraction))

            vectors = pair.vectors(tile, report, feedback.cancelled)
            if shift is None:  # one tile is its own sample
                shift = np.zeros(len(vectors.before), np.float32)
                if self._with_shift:
                    shift = _typical_shift([vectors])
            yield tile, vectors, shift
            done += tile.read.pixels
            feedback.progress(PAIR_SHARE * done / total)
            stop_if_cancelled(feedback)

    def _sampled_shift(self) -> NDArray[np.float32]:
        """Return from small windows spread over the map, which are encoded once more later."""
        inner = self._inner
        fractions = (np.arange(3) + 0.5) / 3
        samples = []
        for y in fractions:
            for x in fractions:
                stop_if_cancelled(self._feedback)
                width, height = min(_SHIFT_SIDE, inner.width), min(_SHIFT_SIDE, inner.height)
                window = Window(
                    inner.col + int(x * (inner.width - width)),
                    inner.row + int(y * (inner.height - height)),
                    width,
                    height,
                )
                tile = self._pair.plan(window, TileBudget(1e6, _SHIFT_SIDE))[1][0]
                samples.append(self._pair.vectors(tile, lambda _: None, self._feedback.cancelled))
        self._feedback.info(f"The typical shift comes from {len(samples)} windows.")
        return _typical_shift(samples)


def _typical_shift(samples: Sequence[Vectors]) -> NDArray[np.float32]:
    """Return `(F,)` median difference of the pixels that have one; 0 where none has."""
    parts = [(v.after - v.before).reshape(len(v.before), -1) for v in samples]
    differences = np.concatenate(parts, 1)
    known = np.isfinite(differences).any(1)
    shift = np.zeros(len(differences), np.float32)
    shift[known] = np.nanmedian(differences[known], 1)
    return shift


class DistanceStrips:
    """A distance raster, read once more strip by strip."""

    def __init__(self, path: str, feedback: Feedback) -> None:
        self._path, self._feedback = path, feedback

    def _each(self) -> Iterator[tuple[Window, NDArray[np.float32]]]:
        dataset = open_raster(self._path)
        width, height = dataset.RasterXSize, dataset.RasterYSize
        rows = max(16, _SAMPLE // width // 16 * 16)
        for row in range(0, height, rows):
            stop_if_cancelled(self._feedback)
            window = Window(0, row, width, min(rows, height - row))
            yield window, read_bands(dataset, [1], 0, row, width, window.height)[0]

    def sample(self) -> NDArray[np.float32]:
        """Return `(n,)` finite distances: all, or every n-th of a large map."""
        dataset = open_raster(self._path)
        step = max(1, dataset.RasterXSize * dataset.RasterYSize // _SAMPLE)
        parts = [values[np.isfinite(values)][::step] for _, values in self._each()]
        return np.concatenate(parts)

    def changed(
        self,
        threshold: float,
        output: str | os.PathLike[str] | None,
        metadata: dict[str, str],
        block: int,
    ) -> tuple[float, float, float]:
        """Return share (0 to 1) and true area (m2) of what is above a threshold; also as a raster.

        The third is the largest distance.
        """
        grid = Grid.from_dataset(open_raster(self._path), self._path)
        areas = PixelAreas(grid)
        pixels, changed, area, largest = 0, 0, 0.0, 0.0
        items = {**metadata, "ALISE_THRESHOLD": repr(threshold)}
        form = RasterForm(
            ["changed"],
            np.dtype(np.uint8),
            NO_DECISION,
            metadata=items,
            categories={item.code: item.name for item in _DECISIONS},
            colors={item.code: item.rgb for item in _DECISIONS},
            style=class_style(_DECISIONS),
        )
        with ExitStack() as stack:
            write: Callable[[Window, NDArray[Any]], None] | None = None
            if output is not None:
                write = stack.enter_context(RasterOutput(output, grid, form, block)).write
            for window, values in self._each():
                known = np.isfinite(values)
                above = known & (values > threshold)
                pixels += int(known.sum())
                changed += int(above.sum())
                largest = max(largest, float(values.max(where=known, initial=0)))
                area += float(areas.of(window)[above].sum())
                if write is not None:
                    codes = np.where(above, CHANGED, UNCHANGED).astype(np.uint8)
                    codes[~known] = NO_DECISION
                    write(window, codes[None])
        return changed / pixels, area, largest
