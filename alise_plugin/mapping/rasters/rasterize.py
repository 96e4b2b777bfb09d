"""Areas drawn as pixels: the one rasteriser of the plugin."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal, ogr, osr

from ...sits.grid import Grid
from ...sits.rasters import quiet_gdal

_FIELD = "number"


def numbered_shapes(shapes: Iterable[tuple[int, ogr.Geometry]], crs_wkt: str) -> ogr.DataSource:
    """Return a layer in memory of numbered shapes; where they overlap, a later one lies on top."""
    # GDAL 3.11 made one driver of those for vectors and rasters in memory.
    driver = ogr.GetDriverByName("Memory") or ogr.GetDriverByName("MEM")
    source = driver.CreateDataSource("")
    reference = osr.SpatialReference()
    reference.ImportFromWkt(crs_wkt)
    layer = source.CreateLayer("shapes", reference, ogr.wkbUnknown)
    layer.CreateField(ogr.FieldDefn(_FIELD, ogr.OFTInteger))
    for number, shape in shapes:
        feature = ogr.Feature(layer.GetLayerDefn())
        feature.SetGeometry(shape)
        feature.SetField(0, number)
        layer.CreateFeature(feature)
    return source


def rasterize(
    source: ogr.DataSource, grid: Grid, background: int, *, all_touched: bool = False
) -> NDArray[np.int32]:
    """Return the number of the shape in each pixel of a grid.

    A pixel belongs to the shapes that hold its centre.

    Args:
        source: its first layer, in the CRS of the grid, has numbers in a field "number".
        grid: the pixels, `(H, W)`.
        background: what a pixel without a shape has.
        all_touched: whether a pixel belongs to every shape that touches it.
    """
    layer = source.GetLayer(0)
    layer.SetSpatialFilterRect(*grid.extent)
    numbers = np.full((grid.height, grid.width), background, np.int32)
    if layer.GetFeatureCount() == 0:
        return numbers
    options = [f"ATTRIBUTE={_FIELD}", f"ALL_TOUCHED={'TRUE' if all_touched else 'FALSE'}"]
    with quiet_gdal():
        raster = gdal.GetDriverByName("MEM").Create("", grid.width, grid.height, 1, gdal.GDT_Int32)
        raster.SetGeoTransform(grid.geotransform)
        raster.SetProjection(grid.crs_wkt)
        raster.GetRasterBand(1).Fill(background)
        gdal.RasterizeLayer(raster, [1], layer, options=options)
        raster.ReadRaster(0, 0, grid.width, grid.height, buf_obj=numbers)
    return numbers
