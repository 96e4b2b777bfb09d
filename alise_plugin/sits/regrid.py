"""Reading a raster on the grid of another: shifted by whole pixels, or warped."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal

from ..errors import SeriesError
from .crs import transformation
from .grid import Grid, Window
from .rasters import quiet_gdal
from .series import ImageSeries

Read = Callable[[Window], NDArray[np.float32]]

_LATTICE = 0.01  # pixels: how far two lattices may lie apart and still be one
_MARGIN = 4  # pixels of the source around what is asked for: what a cubic kernel reaches, and more
_EDGE_POINTS = 21  # of each side of a window, for its outline in another CRS


def extent_on(source: Grid, target: Grid) -> tuple[float, float, float, float] | None:
    """Return the extent of one grid in the CRS of another; None where it has no place there."""
    return _transformed(source.extent, source, target)


class SeriesOnGrid(ImageSeries):
    """An image series read on another grid: reflectance is resampled as it is read (cubic).

    "No value" stays out of the kernel, and a pixel outside the series has no value. A window of
    a pixel gives the value that the whole raster has there.
    """

    def __init__(self, source: ImageSeries, grid: Grid) -> None:
        super().__init__(
            source.path, source._dataset, grid, source._acquisitions, source.moved_years
        )
        self._source = source

    def reopen(self) -> SeriesOnGrid:
        """Return the same acquisitions on a dataset of its own, for another thread."""
        return SeriesOnGrid(self._source.reopen(), self.grid)

    def subset(self, dates: Iterable[date]) -> SeriesOnGrid:
        """Return the series of some of the dates, on a dataset of its own."""
        return SeriesOnGrid(self._source.subset(dates), self.grid)

    def read(self, window: Window, acquisition: int) -> NDArray[np.float32]:
        """Return one acquisition in a window of the grid, as `ImageSeries.read` gives it."""
        return read_on_grid(
            lambda part: self._source.read(part, acquisition),
            self._source.grid,
            self.grid,
            window,
            "cubic",
        )


def read_on_grid(
    read: Read, source: Grid, target: Grid, window: Window, resampling: str
) -> NDArray[np.float32]:
    """Return a window of `target` from a raster on `source`.

    Where the two lattices are one, pixels are taken as they are.

    Args:
        read: gives `(bands, H, W)` float32 of a window of the source, NaN for no value.
        source: grid of the raster.
        target: grid of the window.
        window: pixels of the target; it may reach beyond the source.
        resampling: "cubic" or "bilinear".

    Returns:
        `(bands, H, W)` float32, NaN for no value and outside the source.

    Raises:
        SeriesError: the file cannot be read, or the two CRS have no transformation.
    """
    shift = _whole_pixels(source, target)
    if shift is not None:
        return _shifted(read, source, window, *shift)
    part = _source_window(source, target, window)
    if part is None:
        bands = len(read(Window(0, 0, 1, 1)))
        return np.full((bands, window.height, window.width), np.nan, np.float32)
    scale = _scale(source, target)
    return _warp(read(part), source.subgrid(part), target.subgrid(window), resampling, scale)


def _whole_pixels(source: Grid, target: Grid) -> tuple[int, int] | None:
    """Return columns and rows from the source's corner to the target's; None for other lattices."""
    dx, dy = source.pixel_size
    target_dx, target_dy = target.pixel_size
    size = max(target.width, target.height)
    if (
        not source.same_crs(target)
        or abs(target_dx - dx) * size > _LATTICE * dx
        or abs(target_dy - dy) * size > _LATTICE * dy
    ):
        return None
    cols = (target.geotransform[0] - source.geotransform[0]) / dx
    rows = (source.geotransform[3] - target.geotransform[3]) / dy
    if abs(cols - round(cols)) > _LATTICE or abs(rows - round(rows)) > _LATTICE:
        return None
    return round(cols), round(rows)


def _shifted(read: Read, source: Grid, window: Window, cols: int, rows: int) -> NDArray[np.float32]:
    moved = Window(window.col + cols, window.row + rows, window.width, window.height)
    left, top = max(moved.col, 0), max(moved.row, 0)
    right, bottom = min(moved.col_end, source.width), min(moved.row_end, source.height)
    inside = left < right and top < bottom
    part = Window(left, top, right - left, bottom - top) if inside else Window(0, 0, 1, 1)
    values = read(part)
    if part == moved:
        return values
    out = np.full((len(values), window.height, window.width), np.nan, np.float32)
    if inside:
        out[(slice(None), *part.slices_in(moved))] = values
    return out


def _source_window(source: Grid, target: Grid, window: Window) -> Window | None:
    """Return what a window of the target needs of the source; None where they do not meet."""
    extent = _transformed(target.subgrid(window).extent, target, source)
    if extent is None:
        return None
    # A coarser target takes a wider kernel.
    ratio = max(
        1.0,
        (extent[2] - extent[0]) / source.pixel_size[0] / window.width,
        (extent[3] - extent[1]) / source.pixel_size[1] / window.height,
    )
    margin = int(np.ceil(_MARGIN * ratio))
    try:
        return source.window_of(extent).expand(margin, source.window)
    except SeriesError:
        return None


def _scale(source: Grid, target: Grid) -> tuple[float, float]:
    """Return pixels of the target for each pixel of the source, in the middle of the target."""
    middle = target.subgrid(Window(target.width // 2, target.height // 2, 1, 1))
    extent = _transformed(middle.extent, target, source)
    if extent is None:
        return 1.0, 1.0
    dx, dy = source.pixel_size
    return dx / (extent[2] - extent[0]), dy / (extent[3] - extent[1])


@lru_cache(maxsize=256)  # the dates of a tile ask for the same windows
def _transformed(
    extent: tuple[float, float, float, float], source: Grid, target: Grid
) -> tuple[float, float, float, float] | None:
    """Return the box around an extent's outline in another CRS."""
    if source.same_crs(target):
        return extent
    xmin, ymin, xmax, ymax = extent
    along = np.linspace(0, 1, _EDGE_POINTS)
    x, y = xmin + along * (xmax - xmin), ymin + along * (ymax - ymin)
    outline = [(u, v) for u in x for v in (ymin, ymax)] + [(u, v) for v in y for u in (xmin, xmax)]
    points = []
    with quiet_gdal():
        points = transformation(source.crs_wkt, target.crs_wkt).TransformPoints(outline)
    corners = np.array([point[:2] for point in points], dtype=float).reshape(-1, 2)
    if not len(corners) or not np.isfinite(corners).all():
        return None
    (left, bottom), (right, top) = corners.min(0), corners.max(0)
    return float(left), float(bottom), float(right), float(top)


def _warp(
    values: NDArray[np.float32],
    source: Grid,
    target: Grid,
    resampling: str,
    scale: tuple[float, float],
) -> NDArray[np.float32]:
    bands, height, width = values.shape
    out = np.full((bands, target.height, target.width), np.nan, np.float32)
    done = None
    with quiet_gdal() as failures:
        given = _memory(source, bands)
        given.WriteRaster(0, 0, width, height, np.ascontiguousarray(values))
        made = _memory(target, bands)
        made.WriteRaster(0, 0, target.width, target.height, out)
        done = gdal.Warp(
            made,
            given,
            resampleAlg=resampling,
            srcNodata="nan",
            dstNodata="nan",
            # An approximate transformation, and the width of the kernel that GDAL chooses,
            # depend on the window.
            errorThreshold=0,
            warpOptions=[
                "UNIFIED_SRC_NODATA=NO",
                f"XSCALE={scale[0]!r}",
                f"YSCALE={scale[1]!r}",
            ],
        )
        if done:
            made.ReadRaster(
                0, 0, target.width, target.height, buf_type=gdal.GDT_Float32, buf_obj=out
            )
    if not done or failures:
        reason = f" ({failures[0]})" if failures else ""
        raise SeriesError(
            f"The second series cannot be read on the grid of the first{reason}; warp it to that "
            "grid first (gdalwarp)."
        )
    return out


def _memory(grid: Grid, bands: int) -> gdal.Dataset:
    dataset = gdal.GetDriverByName("MEM").Create(
        "", grid.width, grid.height, bands, gdal.GDT_Float32
    )
    dataset.SetProjection(grid.crs_wkt)
    dataset.SetGeoTransform(grid.geotransform)
    for index in range(bands):
        dataset.GetRasterBand(index + 1).SetNoDataValue(float("nan"))
    return dataset
