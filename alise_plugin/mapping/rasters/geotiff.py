"""GeoTIFFs that appear under their name when they are complete, or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal

from ...errors import Cancelled, OutputError
from ...feedback import Feedback, SilentFeedback
from ...sits.grid import Grid, Window
from ...sits.rasters import quiet_gdal
from ...whole_files import cannot_write, replace_file, temporary_name
from .destinations import require_folder
from .form import RasterForm
from .overviews import OverviewBlocks, halve, overview_levels
from .style import move_style, remove_raster_style, style_path, write_style

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


_PART_BYTES = 1 << 24  # written at a time, so that a run can be stopped in between


_OVERVIEW_BLOCK = 64  # pixels: the least that GDAL makes, so that few wait for their neighbours


_OVERVIEW_BYTES = 64e6  # of overviews that wait for the rest of their blocks, at most


_COG_BLOCK_BYTES = 1 << 24  # of a block with all its bands: a COG keeps them together


_PALETTE_TYPES = (np.dtype(np.uint8), np.dtype(np.uint16))  # what TIFF allows a colour table for


def block_side(tile_size: int, most: int = _MAX_BLOCK) -> int:
    """Return side of the GeoTIFF blocks that tiles of this size fill without splitting one.

    Args:
        tile_size: a multiple of 16 pixels, which TIFF asks of its blocks.
        most: pixels that a side has at most.
    """
    for parts in range(1, tile_size // 16 + 1):
        side = tile_size // parts
        if side <= most and side * parts == tile_size and side % 16 == 0:
            return side
    raise ValueError(f"{tile_size} is not a multiple of 16")


def put_in_place(temporary: str, final: str) -> None:
    """Move a finished raster to its name, with what lies beside it (names of classes, style).

    What an older raster left beside the name (statistics, overviews, a style) goes: it no longer
    holds. The style of a vector file of that name stays.

    Raises:
        OSError: it cannot be moved; then everything is as before.
    """
    replace_file(temporary, final)
    for suffix in _SIDECARS:
        with contextlib.suppress(OSError):
            os.remove(final + suffix)
        if os.path.exists(temporary + suffix):
            os.replace(temporary + suffix, final + suffix)
    if os.path.exists(style_path(temporary)):
        move_style(style_path(temporary), style_path(final))
    else:
        remove_raster_style(final)


def discard(temporary: str) -> None:
    """Remove a raster under its temporary name, if it is there, and what lies beside it."""
    for name in (*(temporary + suffix for suffix in ("", *_SIDECARS)), style_path(temporary)):
        with contextlib.suppress(OSError):
            os.remove(name)


class RasterOutput:
    """A tiled, compressed GeoTIFF under a temporary name in the folder of its final one.

    Leaving the `with` block moves it to its final name; an exception inside the block, or a
    failure to write, removes it. An older file of that name stays until the new one is complete.

    Args:
        path: the final name.
        grid: CRS, place and size.
        form: bands, type and metadata.
        block: side of the blocks in pixels, or their rows and columns, multiples of 16.
        cog: whether it becomes a Cloud Optimised GeoTIFF at the end.
        feedback: of the making of that.

    Raises:
        OutputError: on entering, writing or leaving: the folder or the disk does not take it.
        Cancelled: on leaving: the feedback says so.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        grid: Grid,
        form: RasterForm,
        block: int | tuple[int, int],
        cog: bool = False,
        feedback: Feedback | None = None,
    ):
        self.path = os.fspath(path)
        self._grid = grid
        self._form = form
        self._block = (block, block) if isinstance(block, int) else block
        self._temporary = temporary_name(self.path, ".tif")
        self._dataset: gdal.Dataset | None = None
        self._cog = cog
        self._feedback = feedback or SilentFeedback()
        self._unwanted = False
        self._levels = overview_levels(grid) if form.overviews else []
        self._overviews: OverviewBlocks | None = None
        self._coarse: list[gdal.Dataset] = []

    def abandon(self) -> None:
        """Stop what is being written, also in another thread: the raster will not be finished."""
        self._unwanted = True

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
        options = [
            "TILED=YES",
            f"BLOCKXSIZE={self._block[1]}",
            f"BLOCKYSIZE={self._block[0]}",
            "INTERLEAVE=BAND",
            *_compression(form),
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
                if self._levels:
                    self._add_overviews(self._dataset)
        if self._dataset is None or failures:
            raise self._refusal(failures)

    def _add_overviews(self, dataset: gdal.Dataset) -> None:
        """Add empty overviews, which `write` fills."""
        before = gdal.GetConfigOption("GDAL_TIFF_OVR_BLOCKSIZE")
        gdal.SetConfigOption("GDAL_TIFF_OVR_BLOCKSIZE", str(_OVERVIEW_BLOCK))
        try:
            dataset.BuildOverviews("NONE", self._levels)
        finally:
            gdal.SetConfigOption("GDAL_TIFF_OVR_BLOCKSIZE", before)
        band = dataset.GetRasterBand(1)
        self._coarse = [band.GetOverview(i).GetDataset() for i in range(len(self._levels))]
        self._overviews = OverviewBlocks(
            [(each.RasterYSize, each.RasterXSize) for each in self._coarse],
            len(self._form.descriptions),
            self._form.dtype,
            _OVERVIEW_BLOCK,
            self._write_overview,
            min(_OVERVIEW_BYTES, gdal.GetCacheMax()),
            os.path.dirname(os.path.abspath(self.path)),
        )

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

    def write(self, window: Window, values: NDArray[Any]) -> None:
        """Write all bands of a window of the grid.

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
        bands, height, width = values.shape
        count = max(1, _PART_BYTES // max(1, values[0].nbytes))
        coarse = np.empty((bands, -(-height // 2), -(-width // 2)), values.dtype)
        for first in range(0, bands, count):
            part = np.ascontiguousarray(values[first : first + count])
            self._write_bands(self._dataset, window, first, part)
            if self._overviews is not None:
                coarse[first : first + count] = halve(part, self._form)
        if self._overviews is None:
            return
        for number, level in enumerate(self._levels):
            if number:
                coarse = halve(coarse, self._form)
            place = Window(window.col // level, window.row // level, *coarse.shape[:0:-1])
            with self._told():
                self._overviews.add(number, place, coarse)

    def _write_overview(self, number: int, window: Window, values: NDArray[Any]) -> None:
        self._write_bands(self._coarse[number], window, 0, values)

    def _write_bands(
        self, dataset: gdal.Dataset, window: Window, first: int, values: NDArray[Any]
    ) -> None:
        """Write some bands, from the one after `first` on, of the raster or of an overview."""
        if self._unwanted:
            # The error outlives this call, and with it would the dataset: Windows removes no file
            # that is open.
            del dataset
            raise Cancelled("The run was cancelled.")
        bands = list(range(first + 1, first + 1 + len(values)))
        done = None
        with quiet_gdal() as failures:
            size = (window.col, window.row, window.width, window.height)
            done = dataset.WriteRaster(*size, values, band_list=bands)
            dataset.FlushCache()
        if done != gdal.CE_None or failures:
            del dataset
            raise self._refusal(failures)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None and self._overviews is not None:
                with self._told():
                    self._overviews.finish()
            failures = self._close()
            if kind is not None:
                return
            if failures:
                raise self._refusal(failures)
            if self._cog:
                self._make_cog()
            if self._form.style:
                write_style(self._temporary, self._form.style)
            with self._told():
                put_in_place(self._temporary, self.path)
        finally:
            self._discard()

    def _make_cog(self) -> None:
        """Copy the finished raster to a COG, which then takes its place."""
        copy = self._temporary[: -len(".tif")] + ".cog.tif"
        bytes_per_pixel = len(self._form.descriptions) * np.dtype(self._form.dtype).itemsize
        block = next(
            side
            for side in (512, 256, 128, 64)
            if side == 64 or side * side * bytes_per_pixel <= _COG_BLOCK_BYTES
        )
        options = [f"BLOCKSIZE={block}", "BIGTIFF=IF_SAFER", "PREDICTOR=YES"]
        options += ["COMPRESS=DEFLATE", "LEVEL=1"]
        options += ["OVERVIEWS=AUTO" if self._levels else "OVERVIEWS=NONE"]
        done = None
        stopped = False

        def report(fraction: float, *_: Any) -> int:
            nonlocal stopped
            self._feedback.progress(fraction)
            stopped = self._feedback.cancelled()
            return 0 if stopped else 1

        try:
            with quiet_gdal() as failures:
                done = gdal.GetDriverByName("COG").CreateCopy(
                    copy, gdal.Open(self._temporary), options=options, callback=report
                )
            if stopped:
                raise Cancelled("The run was cancelled.")
            if done is None or failures:
                raise self._refusal(failures)
            del done
            os.replace(copy, self._temporary)
        finally:
            folder, stem = os.path.split(copy)
            for name in os.listdir(folder):
                if name.startswith(stem):  # GDAL's own temporary files among them
                    os.remove(os.path.join(folder, name))

    def _close(self) -> list[str]:
        """Close the dataset; what GDAL could not write is only known then."""
        with quiet_gdal() as failures:
            if self._dataset is not None:
                self._dataset.FlushCache()
            self._forget_overviews()
            # In its exception mode GDAL cannot raise from a destructor; its last error stays.
            gdal.ErrorReset()
            self._dataset = None
            if gdal.GetLastErrorType() >= gdal.CE_Failure:
                failures.append(gdal.GetLastErrorMsg())
        return failures

    def _forget_overviews(self) -> None:
        """Let go of the overviews, which belong to the dataset that is about to be closed."""
        if self._overviews is not None:
            self._overviews.close()
        self._overviews = None
        self._coarse = []

    def _discard(self) -> None:
        with quiet_gdal():
            self._forget_overviews()
            self._dataset = None
        discard(self._temporary)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what the disk refuses in this block into an OutputError."""
        try:
            yield
        except OSError as reason:
            raise self._refusal([str(reason.strerror)]) from reason

    def _refusal(self, failures: Sequence[str]) -> OutputError:
        return cannot_write(self.path, failures[0] if failures else None)


def _describe_categories(band: gdal.Band, form: RasterForm) -> None:
    """Set colour table, category names and attribute table; the .aux.xml holds the last two."""
    if form.dtype in _PALETTE_TYPES:
        palette = gdal.ColorTable()
        for value, color in form.colors.items():
            palette.SetColorEntry(value, (*color, 255))
        band.SetColorTable(palette)
    if form.dtype == np.uint8:  # a list of names from value 0 on
        last = max(form.categories)
        band.SetCategoryNames([form.categories.get(value, "") for value in range(last + 1)])
    table = gdal.RasterAttributeTable()
    # Whole numbers of an attribute table have 31 bits and a sign.
    whole = max(form.categories) < 2**31
    table.CreateColumn("Value", gdal.GFT_Integer if whole else gdal.GFT_Real, gdal.GFU_MinMax)
    table.CreateColumn("Class", gdal.GFT_String, gdal.GFU_Name)
    for name, usage in (("Red", gdal.GFU_Red), ("Green", gdal.GFU_Green), ("Blue", gdal.GFU_Blue)):
        table.CreateColumn(name, gdal.GFT_Integer, usage)
    table.SetRowCount(len(form.categories))
    for row, (value, text) in enumerate(sorted(form.categories.items())):
        if whole:
            table.SetValueAsInt(row, 0, value)
        else:
            table.SetValueAsDouble(row, 0, value)
        table.SetValueAsString(row, 1, text)
        for column, level in enumerate(form.colors.get(value, (0, 0, 0)), start=2):
            table.SetValueAsInt(row, column, level)
    band.SetDefaultRAT(table)


def _compression(form: RasterForm) -> list[str]:
    """Return creation options of the GTiff driver."""
    floats = np.dtype(form.dtype) == np.float32
    offered = gdal.GetDriverByName("GTiff").GetMetadataItem("DMD_CREATIONOPTIONLIST") or ""
    if form.fast and "<Value>ZSTD</Value>" in offered:
        return ["COMPRESS=ZSTD", "ZSTD_LEVEL=1", f"PREDICTOR={1 if floats else 2}"]
    return ["COMPRESS=DEFLATE", "ZLEVEL=1", f"PREDICTOR={3 if floats else 2}"]
