"""Bands of a raster on the network, read side by side: waiting takes the time, not the reading."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal

from .network import reading, remote_files
from .rasters import open_raster, quiet_gdal, read_bands

_AT_ONCE = 8


class SideBySide:
    """Reads bands in threads, each of which has a dataset of its own.

    Nothing is opened before the first reading.

    Args:
        path: the raster.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._opened: set[str] = set()
        self._own = threading.local()
        self._pool: ThreadPoolExecutor | None = None

    def read_bands(
        self, bands: Sequence[int], col: int, row: int, width: int, height: int
    ) -> NDArray[np.float32]:
        """Return raw values of a window as `rasters.read_bands` does.

        Raises:
            SeriesError: a file behind the raster cannot be read.
        """
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_AT_ONCE)

        def read(band: int) -> NDArray[np.float32]:
            dataset = self._dataset()
            self._open_sources(dataset.GetRasterBand(band))
            return read_bands(dataset, [band], col, row, width, height)

        return np.concatenate(list(self._pool.map(read, bands)))

    def close(self) -> None:
        """Let go of the threads and their files."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def _open_sources(self, band: gdal.Band) -> None:
        """Bring the headers of the files behind a band into GDAL's cache of the network.

        A VRT opens its files one at a time in the whole process (GDALDatasetPool holds a lock).
        """
        for name in remote_files(band, os.path.dirname(self._path)):
            if name not in self._opened:
                self._opened.add(name)
                with quiet_gdal(), reading(name):
                    gdal.OpenEx(name, gdal.OF_RASTER)

    def _dataset(self) -> gdal.Dataset:
        """Return the dataset of this thread."""
        if not hasattr(self._own, "dataset"):
            self._own.dataset = open_raster(self._path)
        dataset: gdal.Dataset = self._own.dataset
        return dataset
