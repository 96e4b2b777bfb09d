"""Labels and measured values on the pixel grid of an image series."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal, ogr

from ...errors import LabelsError, SeriesError
from ...sits.crs import transformation
from ...sits.grid import Grid, Window
from ...sits.rasters import is_integer, open_raster, quiet_gdal
from ...sits.target import extent_in
from ..rasters.rasterize import numbered_shapes, rasterize
from .layers import NOT_LABELLED, Areas, RasterLabels, RasterValues


def whole_window(dataset: gdal.Dataset) -> Window:
    """Return the window of a whole raster."""
    return Window(0, 0, dataset.RasterXSize, dataset.RasterYSize)


def read_values_of(dataset: gdal.Dataset, window: Window) -> NDArray[np.float64]:
    """Return `(H, W)` of the first band; float64 holds every 32-bit code."""
    values = np.empty((window.height, window.width))
    done = None
    with quiet_gdal() as failures:
        done = dataset.ReadRaster(
            window.col,
            window.row,
            window.width,
            window.height,
            buf_type=gdal.GDT_Float64,
            band_list=[1],
            buf_obj=values,
        )
    if done is None or failures:
        name = os.path.basename(dataset.GetDescription())
        raise SeriesError(f"{name} cannot be read; check that the file is complete.")
    return values


def on_grid(labels: Areas, grid: Grid) -> list[ogr.Geometry | None]:
    """Return the geometries in the CRS of a grid; None for one that cannot be brought there.

    An area smaller than a pixel becomes a point inside it, so that it is not lost between pixel
    centres.
    """
    transform = transformation(labels.crs_wkt, grid.crs_wkt)
    width, height = grid.pixel_size
    out: list[ogr.Geometry | None] = []
    for geometry in labels.geometries:
        moved = geometry.Clone()
        failed: int | None = None
        with quiet_gdal():
            failed = moved.Transform(transform)
            if failed == 0 and 0 < moved.GetArea() < width * height:
                moved = moved.PointOnSurface() or moved.Centroid()
        out.append(moved if failed == 0 else None)
    return out


class AreaRasterizer:
    """Finds the pixels of many areas, window by window.

    Args:
        geometries: in the CRS of the grid; None for none.
        grid: of the raster.
        target: class or value of each area; then the area on top and that at the bottom are of
            one only where all areas of the pixel are.
    """

    def __init__(
        self,
        geometries: Sequence[ogr.Geometry | None],
        grid: Grid,
        target: NDArray[np.number[Any]] | None = None,
    ) -> None:
        self.grid = grid
        self._sources = []
        order = [index for index, geometry in enumerate(geometries) if geometry is not None]
        if target is not None:
            order.sort(key=lambda index: float(target[index]))
        for direction in (1, -1):  # where areas overlap, each direction shows another one
            shapes = ((index, geometries[index]) for index in order[::direction])
            self._sources.append(numbered_shapes(shapes, grid.crs_wkt))

    def burn(self, window: Window) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return `(H, W)` area on top and `(H, W)` area at the bottom of each pixel, -1 for none.

        A pixel belongs to the polygons that hold its centre.
        """
        part = self.grid.subgrid(window)
        top, bottom = (rasterize(source, part, NOT_LABELLED) for source in self._sources)
        return top, bottom


def _warped(
    raster: RasterLabels | RasterValues,
    grid: Grid,
    resampling: str,
    source: gdal.Dataset | None = None,
    **options: Any,
) -> gdal.Dataset:
    """Return a raster, or `source` in its place, on another grid; `options` are gdal.WarpOptions's.

    Raises:
        LabelsError: it cannot be brought there.
    """
    warped = None
    with quiet_gdal() as failures:
        warped = gdal.Warp(
            "",
            raster.path if source is None else source,
            format="VRT",
            outputBounds=grid.extent,
            width=grid.width,
            height=grid.height,
            dstSRS=grid.crs_wkt,
            resampleAlg=resampling,
            **options,
        )
    if warped is None:
        reason = failures[0] if failures else "unknown reason"
        raise LabelsError(
            f"{raster.name} cannot be brought to the grid of the series ({reason}); check its CRS."
        )
    return warped


class WarpedLabels:
    """A label raster seen on another grid, nearest neighbour."""

    def __init__(self, labels: RasterLabels, grid: Grid) -> None:
        self._labels = labels
        nodata = labels.nodata
        self._dataset = _warped(labels, grid, "near", srcNodata=nodata, dstNodata=nodata)
        self._indices = {value: index for index, value in enumerate(labels.values)}

    def read(self, window: Window) -> NDArray[np.int32]:
        """Return `(H, W)` place of each pixel's value in `labels.values`, -1 for no label."""
        values = read_values_of(self._dataset, window)
        out = np.full(values.shape, NOT_LABELLED, np.int32)
        for value, index in self._indices.items():
            out[values == value] = index
        return out


def _with_nan(values: RasterValues, source: gdal.Dataset) -> gdal.Dataset | None:
    """Return a VRT of measured values in which all that stands for no value is NaN.

    The warper knows one nodata value, and a raster may hold three: the one that it declares, one
    that it does not, and NaN. Return None where the declared one is all there is, or where GDAL
    cannot make the VRT (BuildVRT takes no raster with rows from south to north).
    """
    band = source.GetRasterBand(1)
    if is_integer(band.DataType) and values.fill is None:
        return None
    made = None
    with quiet_gdal():
        made = gdal.Translate(
            "", source, format="VRT", bandList=[1], outputType=gdal.GDT_Float64, noData="none"
        )
        for missing in (band.GetNoDataValue(), values.fill, math.nan):
            if made is not None and missing is not None:
                made = gdal.BuildVRT("", [made], srcNodata=missing, VRTNodata=math.nan)
    return made


class WarpedValues:
    """A raster of measured values seen on another grid.

    Finer pixels are averaged over those of the grid; of coarser ones the nearest counts.
    """

    def __init__(self, values: RasterValues, grid: Grid) -> None:
        source = open_raster(values.path)
        band = source.GetRasterBand(1)
        self._scale = 1.0 if band.GetScale() is None else band.GetScale()
        self._offset = band.GetOffset() or 0.0
        self._source = _with_nan(values, source)
        nodata = band.GetNoDataValue() if values.fill is None else values.fill
        self._dataset = _warped(
            values,
            grid,
            "average" if _finer(Grid.from_dataset(source, values.name), grid) else "near",
            self._source,
            outputType=gdal.GDT_Float64,
            srcNodata=nodata if self._source is None else math.nan,
            dstNodata=math.nan,
            # Else GDAL takes nodata in one band for a value where another band has one.
            warpOptions=["UNIFIED_SRC_NODATA=NO"],
        )

    def read(self, window: Window) -> NDArray[np.float64]:
        """Return `(H, W)` measured values, NaN where there is none."""
        values = read_values_of(self._dataset, window) * self._scale + self._offset
        values[~np.isfinite(values)] = np.nan
        return values


def _finer(one: Grid, other: Grid) -> bool:
    """Return whether the pixels of a grid are smaller than those of another, whatever their CRS."""
    left, bottom, right, top = extent_in(other, one.crs_wkt)
    pixel = (right - left) * (top - bottom) / (other.width * other.height)
    return bool(one.pixel_size[0] * one.pixel_size[1] < 0.99 * pixel)
