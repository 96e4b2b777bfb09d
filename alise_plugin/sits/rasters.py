"""Opening and reading through GDAL, whose failures become one sentence.

GDAL may be in either error mode here (QGIS leaves that to its plugins), so both are caught and
neither is changed.
"""

from __future__ import annotations

import ctypes
import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal

from ..errors import SeriesError

_MAPS = "/proc/self/maps"
_HDF5 = re.compile(r"/[^\n]*/libhdf5[^/\n]*\.so[^/\n]*")
_this_thread = threading.local()
_cache_lock = threading.Lock()
_cache_limits: list[int] = []  # what GDAL had before, and what runs ask for (see `block_cache`)


@contextmanager
def quiet_gdal() -> Iterator[list[str]]:
    """Collects GDAL's failures of this thread in a list, instead of printing them.

    Exceptions that GDAL raises in its exception mode join the list too and go no further.
    """
    failures: list[str] = []
    _quiet_hdf5()

    def collect(kind: int, _number: int, message: str) -> None:
        if kind >= gdal.CE_Failure:
            failures.append(_one_line(message))

    gdal.PushErrorHandler(collect)
    try:
        yield failures
    except RuntimeError as error:
        if type(error) is not RuntimeError:  # ours, or a subclass that GDAL does not raise
            raise
        failures.append(_one_line(str(error)))
    finally:
        gdal.PopErrorHandler()


def _quiet_hdf5() -> None:
    """Keeps HDF5 from printing, in this thread, what netCDF asks for and may not find.

    netCDF looks for attributes that few files have. It switches HDF5's printing of such "errors"
    off, but HDF5 keeps that switch per thread, and netCDF sets it only in the thread that used it
    first (Unidata/netcdf-c issue 3193). GDAL has no call for it, so the loaded library is asked.
    Linux only; elsewhere nothing happens.
    """
    if getattr(_this_thread, "looked", False):
        return
    _this_thread.looked = True
    with suppress(OSError, AttributeError):
        with open(_MAPS, encoding="utf-8", errors="replace") as file:
            paths = set(_HDF5.findall(file.read()))
        for path in paths:
            set_auto = ctypes.CDLL(path, os.RTLD_NOLOAD | os.RTLD_LAZY).H5Eset_auto2
            set_auto.argtypes = [ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p]
            set_auto(0, None, None)  # the default stack: call nothing


def _one_line(message: str) -> str:
    """A message of GDAL without its line breaks: since 3.8 it may tell a whole story."""
    return " ".join(message.split())


@contextmanager
def block_cache(size: float) -> Iterator[None]:
    """Lets GDAL keep at most `size` bytes of blocks inside the `with` block.

    Its default is a share of the machine's memory, whatever the user allowed. The limit is one for
    the whole process, so it is only ever lowered, to the least that runs side by side ask for, and
    put back when the last of them ends.
    """
    with _cache_lock:
        if not _cache_limits:
            _cache_limits.append(gdal.GetCacheMax())
        _cache_limits.append(int(size))
        gdal.SetCacheMax(min(_cache_limits))
    try:
        yield
    finally:
        with _cache_lock:
            _cache_limits.remove(int(size))
            gdal.SetCacheMax(min(_cache_limits))
            if len(_cache_limits) == 1:
                _cache_limits.clear()


def open_raster(name: str, open_options: Sequence[str] = ()) -> gdal.Dataset:
    """Opens a raster for reading.

    Args:
        name: a path, or a GDAL dataset name such as `NETCDF:"cube.nc":B4`.
        open_options: `KEY=VALUE` for the driver.

    Raises:
        SeriesError: GDAL cannot read it.
    """
    refuse_unspeakable(name)
    dataset = None
    with quiet_gdal() as failures:
        dataset = gdal.OpenEx(name, gdal.OF_RASTER, open_options=list(open_options))
    if dataset is None:
        if not name.startswith(("/vsi", "NETCDF:", "ZARR:", "http")) and not os.path.exists(name):
            raise SeriesError(f"{name} does not exist; check the path.")
        reason = f" ({failures[0]})" if failures else ""
        raise SeriesError(f"{name} cannot be opened as a raster{reason}; check the file.")
    return dataset


def refuse_unspeakable(name: str) -> None:
    """Raises SeriesError where a name is not UTF-8, as of old disks, which GDAL does not take."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise SeriesError(
            f"{name!a} has letters that are not UTF-8; rename the file, or its folder."
        ) from error


def is_remote(path: str) -> bool:
    """Whether a file lies on a server."""
    return path.startswith(("/vsicurl", "/vsis3", "/vsigs", "/vsiaz"))


_JP2_BOXED, _JP2_BARE = b"\x00\x00\x00\x0cjP  ", b"\xff\x4f\xff\x51"
_JP2_END = b"\xff\xd9"
_TIFF = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_CHECKED_BLOCKS = 256  # of a TIFF's first band, spread, and its last row of blocks


def refuse_truncated(path: str) -> None:
    """Raises SeriesError where a JPEG 2000 or TIFF on this machine ends before its image does.

    GDAL opens such a file without a word and fails when somebody reads the missing part. A JPEG
    2000 states the length of its boxes, and its codestream ends with a marker; a TIFF states where
    each block lies. Files inside archives or on servers are not looked at: the archive's own
    directory, and the server, know their sizes.
    """
    if path.startswith("/vsi") or not os.path.isfile(path):
        return
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        head = file.read(12)
        cut = size == 0
        if head.startswith(_JP2_BOXED):
            cut = _boxes_are_cut(file, size)
        elif head.startswith(_JP2_BARE):
            cut = not _ends_as_jp2(file)
        elif head.startswith(_TIFF):
            with quiet_gdal():
                cut = _blocks_end(path) > size
    if cut:
        raise SeriesError(
            f"{path} is cut off: only {size} bytes of it are there; download or copy it again."
        )


def _boxes_are_cut(file: BinaryIO, size: int) -> bool:
    """Whether the boxes of a JP2 end beyond the file, or no codestream is among them."""
    place, codestream = 0, False
    while place + 8 <= size:
        file.seek(place)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        codestream = codestream or header[4:8] == b"jp2c"
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if length == 0:  # the last box, up to the end of the file
            return not codestream or not _ends_as_jp2(file)
        if length < 8:
            return True
        place += length
    return place != size or not codestream


def _ends_as_jp2(file: BinaryIO) -> bool:
    file.seek(-2, os.SEEK_END)
    return file.read(2) == _JP2_END


def _blocks_end(path: str) -> int:
    """The last byte that a sample of a TIFF's blocks takes."""
    dataset = gdal.OpenEx(path, gdal.OF_RASTER, allowed_drivers=["GTiff"])
    if dataset is None:
        return 0
    end = 0
    for number in {1, dataset.RasterCount}:
        band = dataset.GetRasterBand(number)
        width, height = band.GetBlockSize()
        columns, rows = -(-band.XSize // width), -(-band.YSize // height)
        last = range((rows - 1) * columns, rows * columns)
        for block in {*range(0, rows * columns, 1 + rows * columns // _CHECKED_BLOCKS), *last}:
            place = f"{block % columns}_{block // columns}"
            offset = band.GetMetadataItem(f"BLOCK_OFFSET_{place}", "TIFF")
            length = band.GetMetadataItem(f"BLOCK_SIZE_{place}", "TIFF")
            if offset is not None and length is not None:
                end = max(end, int(offset) + int(length))
    return end


def files_behind(path: str) -> list[str]:
    """A file, and all that it refers to where it is a VRT, through VRTs of VRTs."""
    found: dict[str, None] = {}
    waiting = [path]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = None
        if name.lower().endswith(".vrt"):
            dataset = None
            with quiet_gdal():
                dataset = gdal.OpenEx(name, gdal.OF_RASTER)
            waiting += (dataset.GetFileList() or []) if dataset is not None else []
    return list(found)


def read_bands(
    dataset: gdal.Dataset, bands: Sequence[int], col: int, row: int, width: int, height: int
) -> NDArray[np.float32]:
    """Raw values of a window, all bands in one call.

    ReadRaster, not ReadAsArray: it does not need GDAL's NumPy extension, which is what breaks
    first when a user's NumPy changes.

    Returns:
        `(len(bands), height, width)` float32, writable, without scale, offset or nodata.

    Raises:
        SeriesError: a file behind the raster cannot be read.
    """
    values = np.empty((len(bands), height, width), dtype=np.float32)
    done = None
    with quiet_gdal() as failures:
        done = dataset.ReadRaster(
            col,
            row,
            width,
            height,
            buf_type=gdal.GDT_Float32,
            band_list=list(bands),
            buf_obj=values,
        )
    if done is None or failures:
        reason = f" ({failures[0]})" if failures else ""
        raise SeriesError(
            f"{os.path.basename(dataset.GetDescription())} cannot be read{reason}; check that "
            "the files behind it are still there and complete."
        )
    return values


def read_small(
    dataset: gdal.Dataset, bands: Sequence[int], width: int, height: int
) -> NDArray[np.float32] | None:
    """Whole bands, made small by taking pixels; None where a file behind them cannot be read.

    Returns:
        `(len(bands), height, width)` float32, raw, as `read_bands`.
    """
    values = np.empty((len(bands), height, width), dtype=np.float32)
    done = None
    with quiet_gdal() as failures:
        done = dataset.ReadRaster(
            0,
            0,
            dataset.RasterXSize,
            dataset.RasterYSize,
            width,
            height,
            gdal.GDT_Float32,
            list(bands),
            buf_obj=values,
        )
    return None if done is None or failures else values


def is_integer(dtype: int) -> bool:
    """Whether a GDAL data type holds integers."""
    return dtype not in (gdal.GDT_Float32, gdal.GDT_Float64)


def stated_scale(band: gdal.Band) -> tuple[float | None, float | None]:
    """Scale and offset of a band, both None where the file states none.

    A scale of 1 with an offset of 0 states nothing: GDAL reports it for every band of a VRT.
    """
    scale, offset = band.GetScale(), band.GetOffset()
    if scale in (None, 1.0) and offset in (None, 0.0):
        return None, None
    return (1.0 if scale is None else scale), (0.0 if offset is None else offset)
