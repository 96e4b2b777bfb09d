"""Classes that depend on the pixels around: smoothing and the smallest patch."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from osgeo import gdal

from ...arrays import Float, Int
from ...errors import OutputError
from ...feedback import Feedback, stop_if_cancelled
from ...sits.grid import Grid, Tile, Window
from ...sits.pixel_area import PixelAreas
from ...sits.rasters import open_raster, quiet_gdal, read_bands
from ..rasters.form import RasterForm
from ..rasters.geotiff import RasterOutput
from .class_rasters import (
    NO_CLASS,
    NO_PROBABILITY,
    PROBABILITY_STEPS,
    probabilities_as_integers,
    shown_classes,
)
from .smoothing import bayes, majority

_SIDES = (512, 256, 128, 64, 32, 16)  # pixels: windows of the second pass


_COPIES = 8  # of a window's probabilities that smoothing holds


@dataclass(frozen=True)
class MapOptions:
    """How probabilities become a map.

    Attributes:
        smoothing: one of SMOOTHINGS.
        window: side of the neighbourhood in pixels, odd.
        fraction, smoothness: of Bayesian smoothing, see `smoothing.bayes`.
        minimum_area: m2; smaller patches go to their largest neighbour.
        unknown: a pixel whose class is less probable is left unclassified; 0 for none.
    """

    smoothing: str = "none"
    window: int = 9
    fraction: float = 0.5
    smoothness: float = 20.0
    minimum_area: float = 0.0
    unknown: float = 0.0


def second_pass_side(classes: int, half: int, memory_mb: float) -> int:
    """Return largest window whose probabilities, with their margin, fit into half of the memory."""
    fits = memory_mb * 1e6 / 2 / (4 * _COPIES * classes)
    return next((side for side in _SIDES if (side + 2 * half) ** 2 <= fits), _SIDES[-1])


class ProbabilityRaster:
    """Probabilities of the whole map on disk, read back in windows with a margin.

    Args:
        path: the temporary raster.
        grid: of the source.
        work: the window of the source that it covers.
        count: K.
        options: how to smooth.
    """

    def __init__(
        self, path: str, grid: Grid, work: Window, count: int, options: MapOptions
    ) -> None:
        self._path, self._grid, self._work, self._count = path, grid.subgrid(work), work, count
        self._options = options
        self._half = options.window // 2 if options.smoothing != "none" else 0
        self._dataset: gdal.Dataset | None = None

    def fill(self, tiles: Iterator[tuple[Tile, Float]], block: int) -> None:
        """Write the probabilities of all tiles."""
        names = [f"class {number}" for number in range(self._count)]
        form = RasterForm(names, np.dtype(np.uint16), NO_PROBABILITY)
        with RasterOutput(self._path, self._grid, form, block) as raster:
            for tile, scores in tiles:
                raster.write(tile.inner.relative_to(self._work), probabilities_as_integers(scores))
        self._dataset = open_raster(self._path)

    def close(self) -> None:
        """Close the file."""
        self._dataset = None

    def classes(self, window: Window) -> tuple[Float, Int]:
        """Return probabilities `(K, H, W)` and class numbers `(H, W)` of a window of the source."""
        around = window.expand(self._half, self._work)
        place = around.relative_to(self._work)
        scores = read_bands(
            self._dataset,
            range(1, self._count + 1),
            place.col,
            place.row,
            place.width,
            place.height,
        )
        scores[scores == NO_PROBABILITY] = np.nan
        scores /= PROBABILITY_STEPS
        rows, columns = window.slices_in(around)
        options = self._options
        if options.smoothing == "bayes":
            scores = bayes(scores, options.window, options.fraction, options.smoothness)
        best = scores.argmax(0).astype(np.int32)
        best[np.isnan(scores[0])] = -1
        if options.smoothing == "majority":
            best = majority(best, self._count, options.window)
        scores, best = scores[:, rows, columns], best[rows, columns]
        return scores, shown_classes(scores, np.maximum(best, 0), options.unknown)


class ClassNumberRaster:
    """Class numbers of the map on disk."""

    def __init__(self, path: str) -> None:
        self._dataset = open_raster(path)

    def close(self) -> None:
        """Close the file."""
        self._dataset = None

    def read(self, window: Window) -> Int:
        """Return the class numbers `(H, W)` of a window of the map."""
        values = read_bands(self._dataset, [1], window.col, window.row, window.width, window.height)
        return np.asarray(values[0].astype(np.int32))


def _sieves(least: int) -> list[int]:
    """Return sizes in pixels to sieve by, one after the other.

    A sieve leaves a small patch alone where all that touch it are small too. So what it leaves is
    sieved from single pixels on, until patches have grown to the size.
    """
    growing = [2**power for power in range(1, least.bit_length())]
    return [least, *growing, least] if growing else [least]


def remove_small_patches(
    stored: ProbabilityRaster,
    windows: Sequence[Window],
    folder: str,
    grid: Grid,
    inner: Window,
    options: MapOptions,
    feedback: Feedback,
) -> ClassNumberRaster:
    """Return the class numbers of the map with small patches given to their neighbours."""
    before, after = (os.path.join(folder, name) for name in ("before.tif", "after.tif"))
    form = RasterForm(["number"], np.dtype(np.uint8), NO_CLASS)
    with RasterOutput(before, grid, form, 256) as raster:
        for number, window in enumerate(windows):
            stop_if_cancelled(feedback)
            numbers = stored.classes(window)[1].astype(np.uint8)
            raster.write(window.relative_to(inner), numbers[None])
            feedback.progress(0.5 * (number + 1) / len(windows))
    pixels = options.minimum_area / PixelAreas(grid).mean()
    least = math.ceil(min(pixels, inner.pixels, 2**31 - 1) - 1e-6)
    with RasterOutput(after, grid, form, 256):
        pass
    with quiet_gdal() as failures:
        source = gdal.Open(before)
        target = gdal.Open(after, gdal.GA_Update)
        band = source.GetRasterBand(1)
        for size in _sieves(least):
            gdal.SieveFilter(
                band,
                band.GetMaskBand(),
                target.GetRasterBand(1),
                size,
                4,
                callback=lambda *_: 0 if feedback.cancelled() else 1,
            )
            if feedback.cancelled() or failures:
                break
            band = target.GetRasterBand(1)
        source = band = target = None
    stop_if_cancelled(feedback)
    if failures:
        raise OutputError(
            f"Small patches cannot be removed ({failures[0]}); make room on the disk of the map."
        )
    return ClassNumberRaster(after)
