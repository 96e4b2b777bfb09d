"""A class raster as it is read for an assessment or a sample."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal

from ...errors import SeriesError
from ...feedback import Feedback, SilentFeedback, stop_if_cancelled
from ...model.heads.class_head import MapClass
from ...sits.grid import Grid, Window
from ...sits.pixel_area import PixelAreas
from ...sits.rasters import open_raster, quiet_gdal
from ..labels.layers import Legend
from ..labels.legend import MAX_CLASSES, clean, default_color, legend_of

_SIDE = 1024  # pixels: windows in which the map is read


class ClassMap:
    """A class raster opened for reading.

    Attributes:
        name: of the file.
        grid: CRS, place and size.
        classes: that occur, by code, with names and colours where the file or layer has them.
        names: by code, of classes that do not occur too.
        pixels: `(K,)` how many pixels each has.
        square_metres: `(K,)` their true area.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        legend: Legend | None = None,
        feedback: Feedback | None = None,
    ) -> None:
        """Open it and count its classes.

        Raises:
            SeriesError: it cannot be opened or read, or is no class raster.
            Cancelled: the feedback says so.
        """
        feedback = feedback or SilentFeedback()
        self.name = os.path.basename(os.fspath(path))
        self._dataset = open_raster(os.fspath(path))
        self.grid = Grid.from_dataset(self._dataset, self.name)
        band = self._dataset.GetRasterBand(1)
        self._nodata = band.GetNoDataValue()
        stored = legend_of(band)
        legend = legend or Legend()
        named = [*stored.names.items(), *legend.names.items()]
        self.names = {int(code): clean(name) for code, name in named if clean(name)}
        pixels: dict[int, int] = {}
        areas: dict[int, float] = {}
        of_pixel = PixelAreas(self.grid)
        windows = self.windows()
        for done, window in enumerate(windows):
            stop_if_cancelled(feedback)
            values, valid = self.read(window)
            codes, which = np.unique(values[valid], return_inverse=True)
            self._check(codes, len(pixels))
            counts = np.bincount(which.reshape(-1))
            sizes = np.bincount(which.reshape(-1), of_pixel.of(window)[valid])
            for code, count, size in zip(codes, counts, sizes):
                pixels[int(code)] = pixels.get(int(code), 0) + int(count)
                areas[int(code)] = areas.get(int(code), 0.0) + float(size)
            feedback.progress((done + 1) / len(windows))
        if not pixels:
            raise SeriesError(f"{self.name} holds no class, only nodata; choose a class map.")
        codes_found = sorted(pixels)
        self.classes = [
            MapClass(
                code,
                self.names.get(code, str(code)),
                legend.colors.get(code) or stored.colors.get(code) or default_color(number),
            )
            for number, code in enumerate(codes_found)
        ]
        self.pixels = np.array([pixels[code] for code in codes_found])
        self.square_metres = np.array([areas[code] for code in codes_found])

    def windows(self) -> list[Window]:
        """Return windows that cover the map."""
        return self.grid.window.squares(_SIDE)

    def read(self, window: Window) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return `(H, W)` codes of a window, and where there is a class."""
        values = np.empty((window.height, window.width))
        done = None
        with quiet_gdal() as failures:
            done = self._dataset.ReadRaster(
                window.col,
                window.row,
                window.width,
                window.height,
                buf_type=gdal.GDT_Float64,
                band_list=[1],
                buf_obj=values,
            )
        if done is None or failures:
            raise SeriesError(f"{self.name} cannot be read; check that the file is complete.")
        valid = np.isfinite(values)
        if self._nodata is not None:
            valid &= values != self._nodata
        return values, valid

    def _check(self, codes: NDArray[np.float64], known: int) -> None:
        if len(codes) and (codes != np.floor(codes)).any():
            raise SeriesError(
                f"{self.name} holds numbers that are not whole, so it is no class map; choose one."
            )
        if max(len(codes), known) > MAX_CLASSES + 1:  # and "unclassified"
            raise SeriesError(
                f"{self.name} holds more than {MAX_CLASSES} different values, so it is no class "
                "map; choose one."
            )
