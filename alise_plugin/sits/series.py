"""An image series: T acquisitions x 10 bands on one grid, read as reflectance."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from types import TracebackType

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal

from ..errors import SeriesError
from ..sentinel2 import BANDS
from .acquisitions import days_since_reference, parse_date
from .bands import canonical_band
from .grid import Grid, Window
from .network import refers_to_network
from .no_value import RawValues
from .rasters import is_integer, open_raster, read_bands, stated_scale
from .side_by_side import SideBySide
from .years import days_of_years

ABSENT = "ABSENT"
"""Metadata item of a band that an acquisition does not have: there is nothing to read in it."""
RECONSTRUCTED = "ALISE_RECONSTRUCTED_BY"
"""Metadata item of images that a model made, and no satellite: its name."""


def band_identity(band: gdal.Band) -> tuple[date | None, str | None]:
    """Return the date and band name that a band states in its metadata or its description."""
    items, description = band.GetMetadata() or {}, band.GetDescription()
    return (
        parse_date(items.get("ACQUISITION_DATE") or description),
        canonical_band(items.get("BAND") or description),
    )


@dataclass(frozen=True)
class _Acquisition:
    """Where the bands of one date are, those that exist."""

    day: date
    planes: tuple[int, ...]  # position in BANDS
    indices: tuple[int, ...]  # GDAL band number
    raw: RawValues


class ImageSeries:
    """A series opened for reading; it belongs to the thread that opened it (see `reopen`).

    Attributes:
        path: the VRT.
        grid: CRS, place and size of every acquisition.
        dates: acquisition dates, ascending, `T` of them.
        days: `(T,)` float32, days since 2014-03-03, moved by `moved_years`.
        moved_years: whole years by which the days, not the dates, lie later.
        bands_present: names of the bands that at least one acquisition has, in the order of BANDS.
    """

    def __init__(
        self,
        path: str,
        dataset: gdal.Dataset,
        grid: Grid,
        acquisitions: tuple[_Acquisition, ...],
        moved_years: int = 0,
    ) -> None:
        self.path = path
        self.grid = grid
        self.dates = tuple(acquisition.day for acquisition in acquisitions)
        self.moved_years = moved_years
        self.days = days_since_reference(self.dates) + np.float32(days_of_years(moved_years))
        present = {plane for acquisition in acquisitions for plane in acquisition.planes}
        self.bands_present = tuple(BANDS[plane] for plane in sorted(present))
        self._dataset: gdal.Dataset | None = dataset
        self._acquisitions = acquisitions
        self._side_by_side = SideBySide(path) if refers_to_network(path) else None

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> ImageSeries:
        """Open a series that `build_series` wrote, or any raster with the same bands.

        Raises:
            SeriesError: it cannot be opened, or is not a series.
        """
        path = os.fspath(path)
        dataset = open_raster(path)
        name = os.path.basename(path)
        if dataset.RasterCount == 0 or dataset.RasterCount % len(BANDS):
            raise _not_a_series(name)
        grid = Grid.from_dataset(dataset, name)
        acquisitions = [
            _acquisition(dataset, first, name)
            for first in range(1, dataset.RasterCount + 1, len(BANDS))
        ]
        days = [acquisition.day for acquisition in acquisitions]
        if any(later <= earlier for earlier, later in zip(days, days[1:])):
            raise SeriesError(
                f"The dates of {name} do not ascend; build the image series again from its rasters."
            )
        return cls(path, dataset, grid, tuple(acquisitions))

    def reopen(self) -> ImageSeries:
        """Return the same acquisitions on a dataset of its own, for another thread."""
        return self.moved(self.moved_years)

    def moved(self, years: int) -> ImageSeries:
        """Return the acquisitions on another dataset, their days so many years later."""
        dataset = open_raster(self.path)
        return ImageSeries(self.path, dataset, self.grid, self._acquisitions, years)

    def subset(self, dates: Iterable[date]) -> ImageSeries:
        """Return the series of some of the dates, on a dataset of its own.

        Raises:
            SeriesError: none is asked for, or one of them is not in the series.
        """
        wanted = set(dates)
        missing = wanted - set(self.dates)
        if missing or not wanted:
            what = ", ".join(str(day) for day in sorted(missing)) or "no date at all"
            raise SeriesError(
                f"{os.path.basename(self.path)} has no acquisition of {what}; choose among its "
                f"{len(self.dates)} dates from {self.dates[0]} to {self.dates[-1]}."
            )
        kept = tuple(item for item in self._acquisitions if item.day in wanted)
        return ImageSeries(self.path, open_raster(self.path), self.grid, kept, self.moved_years)

    def read(self, window: Window, acquisition: int) -> NDArray[np.float32]:
        """Return one acquisition in a window.

        Args:
            window: pixels inside the grid.
            acquisition: 0 to T - 1.

        Returns:
            `(10, H, W)` float32 reflectance (1.0 = 100 %), bands as in BANDS, NaN where there is
            no value.

        Raises:
            SeriesError: a file behind the series cannot be read.
        """
        if self._dataset is None:
            raise ValueError("read of a closed ImageSeries")
        item = self._acquisitions[acquisition]
        shape = (len(BANDS), window.height, window.width)
        if not item.planes:
            return np.full(shape, np.nan, dtype=np.float32)
        place = window.col, window.row, window.width, window.height
        if self._side_by_side is not None:
            values = self._side_by_side.read_bands(item.indices, *place)
        else:
            values = read_bands(self._dataset, item.indices, *place)
        item.raw.to_reflectance(values)
        if len(item.planes) == len(BANDS):
            return values
        reflectance = np.full(shape, np.nan, dtype=np.float32)
        reflectance[list(item.planes)] = values
        return reflectance

    def read_all(self, window: Window) -> NDArray[np.float32]:
        """Return all acquisitions in a window: `(T, 10, H, W)` reflectance, NaN for no value."""
        return np.stack([self.read(window, index) for index in range(len(self.dates))])

    def close(self) -> None:
        """Let go of the files."""
        self._dataset = None
        if self._side_by_side is not None:
            self._side_by_side.close()

    def __enter__(self) -> ImageSeries:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _not_a_series(name: str) -> SeriesError:
    return SeriesError(
        f"{name} is not an image series (10 bands per date, each with its date and band name); "
        "make one with Build Image Series."
    )


def _acquisition(dataset: gdal.Dataset, first: int, name: str) -> _Acquisition:
    """Return the acquisition whose ten bands begin at GDAL band `first`."""
    planes, bands = [], []
    days = set()
    for plane, expected in enumerate(BANDS):
        band = dataset.GetRasterBand(first + plane)
        day, band_name = band_identity(band)
        if day is None or band_name != expected:
            raise _not_a_series(name)
        days.add(day)
        if band.GetMetadataItem(ABSENT) == "YES":
            continue
        planes.append(plane)
        bands.append(band)
        if stated_scale(band)[0] is None and is_integer(band.DataType):
            raise SeriesError(
                f"The integers of {name} have no scale that makes them reflectance; make an image "
                "series of it with Build Image Series."
            )
    if len(days) != 1:
        raise _not_a_series(name)
    return _Acquisition(
        days.pop(),
        tuple(planes),
        tuple(first + plane for plane in planes),
        RawValues.of(bands),
    )


def open_series(path: str | os.PathLike[str]) -> ImageSeries:
    """Open an image series; close it, or use it in a `with` block.

    Args:
        path: a VRT that `build_series` wrote, or any raster with the same bands.

    Raises:
        SeriesError: it cannot be opened, or is not a series.
    """
    return ImageSeries.open(path)
