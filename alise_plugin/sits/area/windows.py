"""Cutting the window of an area out of a file on the network, as a Cloud Optimised GeoTIFF."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from osgeo import gdal

from ...errors import Cancelled, SeriesError
from ...whole_files import whole_file
from ..grid import Grid, Window
from ..network import network_settings, without_secrets
from ..rasters import quiet_gdal
from ..sources.stac import DRIVERS, remote_name
from .area import Area
from .tokens import Signer

_TRIES = 5
_PAUSE = 0.5  # seconds after the first failure; each pause is twice the one before
_STRIP_BYTES = 1 << 24  # read at once
_IN_MEMORY = 1 << 26  # bytes of a window up to which it is kept in memory before it is written


@dataclass(frozen=True)
class Wanted:
    """A band of an acquisition, to be copied.

    Attributes:
        name: of the acquisition, for messages.
        band: "B02" to "B12", or "SCL".
        href: address of the file.
        index: GDAL band number in it.
        path: of the copy.
        size: bytes of its pixels, about, to report progress.
    """

    name: str
    band: str
    href: str
    index: int
    path: str
    size: int


@dataclass
class Download:
    """What all copies of a run share.

    Attributes:
        area: that is cut out.
        signer: of addresses.
        options: of GDAL for an address, keys among them.
        told: called with the bytes of pixels that came; from any thread.
        stop: set when the run ends early.
    """

    area: Area
    signer: Signer
    options: Callable[[str], Mapping[str, str]]
    told: Callable[[int], None]
    stop: threading.Event = field(default_factory=threading.Event)

    def copy(self, wanted: Wanted) -> bool:
        """Copy a window; return False where the area lies outside of the image.

        Answers that break off, and servers that are busy, are asked again with longer pauses.

        Raises:
            SeriesError: the file cannot be read.
            OutputError: the copy cannot be written.
            Cancelled: the run has ended.
        """
        problem, refused = "", ""
        for number in range(_TRIES):
            if self.stop.is_set():
                raise Cancelled("The run was cancelled.")
            address = self.signer.signed(wanted.href, refused)
            try:
                return self._try(wanted, remote_name(address), again=number > 0)
            except _NotRead as error:
                problem = str(error)
                refused = address  # GDAL does not say whether the token or the network failed
            if self.stop.wait(_PAUSE * 2**number):
                raise Cancelled("The run was cancelled.")
        raise SeriesError(
            f"{wanted.band} of {wanted.name} cannot be read from the service ({problem}). What "
            "was copied stays in FOLDER: run again to go on."
        )

    def _try(self, wanted: Wanted, target: str, again: bool) -> bool:
        with network_settings(self.options(wanted.href)), quiet_gdal() as failures:
            # What broke off is not taken from GDAL's cache.
            if again:
                gdal.VSICurlPartialClearCache(target)
            source = gdal.OpenEx(
                target, gdal.OF_RASTER, allowed_drivers=list(DRIVERS), sibling_files=[]
            )
            if source is None or not 1 <= wanted.index <= source.RasterCount:
                raise _NotRead(_reason(failures))
            grid = _grid(source, wanted.name)
            window = self.area.window(grid)
            if window is None:
                return False
            with whole_file(wanted.path, ".tif") as temporary:
                self._write(source.GetRasterBand(wanted.index), grid, window, temporary, failures)
            return True
        raise _NotRead(_reason(failures))

    def _write(
        self, band: gdal.Band, grid: Grid, window: Window, path: str, failures: list[str]
    ) -> None:
        size = gdal.GetDataTypeSize(band.DataType) // 8
        held = window.pixels * size <= _IN_MEMORY
        driver, name = ("MEM", "") if held else ("GTiff", f"{path}.whole.tif")
        made = gdal.GetDriverByName(driver).Create(
            name, window.width, window.height, 1, band.DataType
        )
        if made is None:
            raise OSError(0, _reason(failures))
        try:
            part = grid.subgrid(window)
            made.SetProjection(grid.crs_wkt)
            made.SetGeoTransform(part.geotransform)
            copy = made.GetRasterBand(1)
            if band.GetNoDataValue() is not None:
                copy.SetNoDataValue(band.GetNoDataValue())
            if band.GetScale() is not None:
                copy.SetScale(band.GetScale())
                copy.SetOffset(band.GetOffset() or 0.0)
            self._copy_pixels(band, copy, window, size, failures)
            made.FlushCache()
            options = ["COMPRESS=DEFLATE", "PREDICTOR=YES", "OVERVIEWS=NONE", "BIGTIFF=IF_SAFER"]
            written = gdal.GetDriverByName("COG").CreateCopy(path, made, options=options)
            del written
            if failures:
                raise OSError(0, _reason(failures))
        finally:
            del made
            if not held:
                gdal.GetDriverByName("GTiff").Delete(name)

    def _copy_pixels(
        self, band: gdal.Band, copy: gdal.Band, window: Window, size: int, failures: list[str]
    ) -> None:
        rows = max(1, _STRIP_BYTES // (window.width * size))
        block = band.GetBlockSize()[1]
        rows = max(block, rows // block * block) if block < window.height else window.height
        # Strips end where blocks of the file end, so that no block is fetched twice.
        top = 0
        while top < window.height:
            ending = (window.row + top) // rows * rows + rows - window.row
            height = min(ending, window.height) - top
            if self.stop.is_set():
                raise Cancelled("The run was cancelled.")
            box = window.col, window.row + top, window.width, height
            data = band.ReadRaster(*box, buf_type=band.DataType)
            if data is None or failures:
                raise _NotRead(_reason(failures))
            copy.WriteRaster(0, top, window.width, height, data, buf_type=band.DataType)
            self.told(window.width * height * size)
            top += height


class _NotRead(Exception):
    """A file could not be read this time."""


def _grid(source: gdal.Dataset, name: str) -> Grid:
    """Return the grid of an image; what its header lacks may have been broken off on the way."""
    try:
        return Grid.from_dataset(source, name)
    except SeriesError as error:
        raise _NotRead(str(error)) from error


def _reason(failures: list[str]) -> str:
    text = without_secrets(failures[-1]) if failures else "no answer"
    return text[:200].rstrip(". ")
