"""Reading an embedding raster that `embed` wrote, in either format."""

from __future__ import annotations

import os
import re

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal

from ...errors import SeriesError
from ...sits.grid import Grid, Window
from ...sits.rasters import open_raster, read_bands

_FEATURE = re.compile(r"((q\d+_d|c)\d+)?")  # names that `embed` gives, or none


class EmbeddingRaster:
    """An embedding raster opened for reading.

    Attributes:
        path: the file.
        grid: CRS, place and size.
        names: of the features, "q03_d17", or "c05" in the compact form.
        metadata: provenance, ALISE_MODEL and more.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Opens it.

        Raises:
            SeriesError: it cannot be opened, or was not made by `embed`.
        """
        self.path = os.fspath(path)
        name = os.path.basename(self.path)
        self._dataset: gdal.Dataset = open_raster(self.path)
        self.metadata: dict[str, str] = self._dataset.GetMetadata() or {}
        first = self._dataset.GetRasterBand(1).GetDescription()
        # Maps state their model too. Bands without names are taken: some programs drop them.
        if "ALISE_MODEL_SHA256" not in self.metadata or not _FEATURE.fullmatch(first):
            raise SeriesError(
                f"{name} is not an embedding raster; make one with Embed Image Series."
            )
        self.grid = Grid.from_dataset(self._dataset, name)
        bands = [self._dataset.GetRasterBand(i + 1) for i in range(self._dataset.RasterCount)]
        self.names = tuple(band.GetDescription() for band in bands)
        self._nodata = bands[0].GetNoDataValue()
        scale = [1.0 if band.GetScale() is None else band.GetScale() for band in bands]
        offset = [band.GetOffset() or 0.0 for band in bands]
        self._scale = np.array(scale, np.float32)[:, None, None]
        self._offset = np.array(offset, np.float32)[:, None, None]

    def read(self, window: Window) -> NDArray[np.float32]:
        """`(features, H, W)` float32 of a window, NaN for a pixel without any value."""
        bands = range(1, len(self.names) + 1)
        size = (window.col, window.row, window.width, window.height)
        values = read_bands(self._dataset, bands, *size)
        missing = values[0] == self._nodata  # a pixel has all its features or none
        values *= self._scale
        values += self._offset
        values[:, missing] = np.nan
        return values
