"""GeoTIFFs that appear under their name when they are complete, or not at all."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal

from ..errors import OutputError
from ..sits.grid import Grid, Window
from ..sits.rasters import quiet_gdal

_TYPES = {
    np.dtype(np.uint8): gdal.GDT_Byte,
    np.dtype(np.uint16): gdal.GDT_UInt16,
    np.dtype(np.int16): gdal.GDT_Int16,
    np.dtype(np.uint32): gdal.GDT_UInt32,
    np.dtype(np.int32): gdal.GDT_Int32,
    np.dtype(np.float32): gdal.GDT_Float32,
}
_SIDECARS = (".aux.xml", ".ovr", ".msk")
_MAX_BLOCK = 512  # pixels
_PALETTE_TYPES = (np.dtype(np.uint8), np.dtype(np.uint16))  # what TIFF allows a colour table for


@dataclass(frozen=True)
class RasterForm:
    """What a raster holds, apart from its pixels.

    Attributes:
        descriptions: one per band.
        dtype: an integer of 8 (unsigned), 16 or 32 bits, or float32.
        nodata: raw value that means "no value".
        scale: per band, value = raw x scale + offset; empty for none.
        offset: per band.
        metadata: items of the raster.
        categories: names of the values of the first band, for a class map.
        colors: (red, green, blue), 0 to 255, of these values.
    """

    descriptions: Sequence[str]
    dtype: np.dtype
    nodata: float
    scale: Sequence[float] = ()
    offset: Sequence[float] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    categories: Mapping[int, str] = field(default_factory=dict)
    colors: Mapping[int, tuple[int, int, int]] = field(default_factory=dict)


def block_side(tile_size: int) -> int:
    """Side of the GeoTIFF blocks that tiles of this size fill without splitting one.

    Args:
        tile_size: a multiple of 16 pixels, which TIFF asks of its blocks.
    """
    for parts in range(1, tile_size // 16 + 1):
        side = tile_size // parts
        if side <= _MAX_BLOCK and side * parts == tile_size and side % 16 == 0:
            return side
    raise ValueError(f"{tile_size} is not a multiple of 16")


def require_folder(path: str | os.PathLike[str]) -> None:
    """Raises OutputError, before any work is done, where a file has no folder to be written to."""
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise OutputError(
            f"{os.fspath(path)} cannot be written because {folder} is not a folder; create it or "
            "choose another."
        )
    if not os.access(folder, os.W_OK):
        raise OutputError(
            f"{os.fspath(path)} cannot be written because {folder} does not allow it; choose "
            "another folder."
        )


class RasterOutput:
    """A tiled DEFLATE GeoTIFF under a temporary name in the folder of its final one.

    Leaving the `with` block moves it to its final name; an exception inside the block, or a
    failure to write, removes it. An older file of that name stays until the new one is complete.

    Args:
        path: the final name.
        grid: CRS, place and size.
        form: bands, type and metadata.
        block: side of the blocks in pixels, a multiple of 16.

    Raises:
        OutputError: on entering, writing or leaving: the folder or the disk does not take it.
    """

    def __init__(self, path: str | os.PathLike[str], grid: Grid, form: RasterForm, block: int):
        self.path = os.fspath(path)
        self._grid = grid
        self._form = form
        self._block = block
        folder, name = os.path.split(os.path.abspath(self.path))
        stem = os.path.splitext(name)[0]
        self._temporary = os.path.join(folder, f".{stem}.{uuid.uuid4().hex[:8]}.partial.tif")
        self._dataset: gdal.Dataset | None = None

    def __enter__(self) -> RasterOutput:
        require_folder(self.path)
        try:
            self._create()
        except BaseException:
            self._discard()
            raise
        return self

    def _create(self) -> None:
        form = self._form
        predictor = 3 if form.dtype == np.float32 else 2
        options = [
            "TILED=YES",
            f"BLOCKXSIZE={self._block}",
            f"BLOCKYSIZE={self._block}",
            "INTERLEAVE=BAND",
            "COMPRESS=DEFLATE",
            "ZLEVEL=1",
            f"PREDICTOR={predictor}",
            "BIGTIFF=IF_SAFER",
        ]
        with quiet_gdal() as failures:
            self._dataset = gdal.GetDriverByName("GTiff").Create(
                self._temporary,
                self._grid.width,
                self._grid.height,
                len(form.descriptions),
                _TYPES[np.dtype(form.dtype)],
                options=options,
            )
            if self._dataset is not None:
                self._describe(self._dataset)
        if self._dataset is None or failures:
            raise self._refusal(failures)

    def _describe(self, dataset: gdal.Dataset) -> None:
        form = self._form
        dataset.SetProjection(self._grid.crs_wkt)
        dataset.SetGeoTransform(self._grid.geotransform)
        dataset.SetMetadata(dict(form.metadata))
        for index, description in enumerate(form.descriptions):
            band = dataset.GetRasterBand(index + 1)
            band.SetDescription(description)
            if form.scale:
                band.SetScale(float(form.scale[index]))
                band.SetOffset(float(form.offset[index]))
        dataset.GetRasterBand(1).SetNoDataValue(form.nodata)  # a GeoTIFF has one for all bands
        if form.categories:
            _describe_categories(dataset.GetRasterBand(1), form)

    def write(self, window: Window, values: NDArray) -> None:
        """Writes all bands of a window of the grid.

        Args:
            window: pixels of this raster.
            values: `(bands, H, W)` of the raster's type.

        Raises:
            OutputError: GDAL could not write, for example because the disk is full.
        """
        if self._dataset is None:
            raise ValueError("write to a closed RasterOutput")
        expected = (len(self._form.descriptions), window.height, window.width)
        if values.shape != expected or values.dtype != self._form.dtype:
            raise ValueError(f"{values.dtype} {values.shape} instead of {expected}")
        done = None
        with quiet_gdal() as failures:
            done = self._dataset.WriteRaster(
                window.col,
                window.row,
                window.width,
                window.height,
                np.ascontiguousarray(values),
            )
            self._dataset.FlushCache()
        if done != gdal.CE_None or failures:
            raise self._refusal(failures)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            failures = self._close()
            if kind is not None:
                return
            if failures:
                raise self._refusal(failures)
            try:
                os.replace(self._temporary, self.path)
            except OSError as reason:
                raise self._refusal([str(reason.strerror)]) from reason
            # What older pixels left beside the name (statistics, overviews) no longer holds.
            for suffix in _SIDECARS:
                with contextlib.suppress(OSError):
                    os.remove(self.path + suffix)
                if os.path.exists(self._temporary + suffix):  # the names of the classes
                    os.replace(self._temporary + suffix, self.path + suffix)
        finally:
            self._discard()

    def _close(self) -> list[str]:
        """Closes the dataset; what GDAL could not write is only known then."""
        with quiet_gdal() as failures:
            if self._dataset is not None:
                self._dataset.FlushCache()
            # In its exception mode GDAL cannot raise from a destructor; its last error stays.
            gdal.ErrorReset()
            self._dataset = None
            if gdal.GetLastErrorType() >= gdal.CE_Failure:
                failures.append(gdal.GetLastErrorMsg())
        return failures

    def _discard(self) -> None:
        with quiet_gdal():
            self._dataset = None
        for suffix in ("", *_SIDECARS):
            with contextlib.suppress(OSError):
                os.remove(self._temporary + suffix)

    def _refusal(self, failures: Sequence[str]) -> OutputError:
        reason = f" ({failures[0].strip().rstrip('.')})" if failures else ""
        return OutputError(
            f"{self.path} cannot be written{reason}; check that the folder is writable, that the "
            "disk has room and that no program holds the file."
        )


def _describe_categories(band: gdal.Band, form: RasterForm) -> None:
    """Colour table, category names and attribute table; the last two lie in the .aux.xml."""
    if form.dtype in _PALETTE_TYPES:
        palette = gdal.ColorTable()
        for value, color in form.colors.items():
            palette.SetColorEntry(value, (*color, 255))
        band.SetColorTable(palette)
    if form.dtype == np.uint8:  # a list of names from value 0 on
        last = max(form.categories)
        band.SetCategoryNames([form.categories.get(value, "") for value in range(last + 1)])
    table = gdal.RasterAttributeTable()
    table.CreateColumn("Value", gdal.GFT_Integer, gdal.GFU_MinMax)
    table.CreateColumn("Class", gdal.GFT_String, gdal.GFU_Name)
    for name, usage in (("Red", gdal.GFU_Red), ("Green", gdal.GFU_Green), ("Blue", gdal.GFU_Blue)):
        table.CreateColumn(name, gdal.GFT_Integer, usage)
    table.SetRowCount(len(form.categories))
    for row, (value, text) in enumerate(sorted(form.categories.items())):
        if value < 2**31:  # an attribute table has 32-bit integers
            table.SetValueAsInt(row, 0, value)
        else:
            table.SetValueAsString(row, 0, str(value))
        table.SetValueAsString(row, 1, text)
        for column, level in enumerate(form.colors.get(value, (0, 0, 0)), start=2):
            table.SetValueAsInt(row, column, level)
    band.SetDefaultRAT(table)
