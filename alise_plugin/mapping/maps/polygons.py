"""Class polygons of a map: each with its class, true area and mean confidence."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal, ogr, osr

from ...feedback import Feedback, stop_if_cancelled
from ...model.heads.class_head import MapClass
from ...sits.grid import Grid
from ...sits.pixel_area import PixelAreas
from ...sits.rasters import open_raster, quiet_gdal, read_bands
from ...whole_files import whole_file
from ..rasters.rasterize import rasterize
from ..rasters.style import polygon_style, write_style

LAYER, FIELD = "classes", "code"  # of the GeoPackage; the field holds the code of the class


_SIDE = 1024  # pixels: windows in which polygons are measured


_COMMIT = 10_000  # features of a transaction


@dataclass(frozen=True)
class Polygons:
    """What polygons are made of.

    Attributes:
        legend: classes in the order of their numbers; "unclassified" may be the last.
        numbers: raster of class numbers, 254 for "unclassified".
        probability: raster of the probability of the class.
    """

    legend: Sequence[MapClass]
    numbers: str
    probability: str


def write_polygons(path: str | os.PathLike[str], polygons: Polygons, feedback: Feedback) -> None:
    """Write a GeoPackage, which appears when it is complete, and its style.

    Patches of one class that touch at a corner only are two polygons. Outlines follow pixels.

    Raises:
        OutputError: the folder or the disk does not take it.
        Cancelled: the feedback says so; nothing is left.
    """
    final = os.fspath(path)
    traced = os.path.join(os.path.dirname(polygons.numbers), "traced.gpkg")
    with whole_file(final, ".gpkg") as temporary:
        with quiet_gdal() as failures:
            count = _trace(polygons.numbers, traced, feedback)
            stop_if_cancelled(feedback)
            sizes, probabilities = _measure(polygons, traced, count, feedback)
            _copy(polygons.legend, traced, temporary, sizes, probabilities, feedback)
        stop_if_cancelled(feedback)
        if failures:
            raise OSError(0, failures[0])
    write_style(final, polygon_style(polygons.legend, FIELD))


def _trace(numbers: str, traced: str, feedback: Feedback) -> int:
    """Return outlines of the patches, numbered from 1 on; how many there are."""
    raster = gdal.Open(numbers)
    band = raster.GetRasterBand(1)
    source = ogr.GetDriverByName("GPKG").CreateDataSource(traced)
    layer = source.CreateLayer("traced", raster.GetSpatialRef(), ogr.wkbPolygon)
    layer.CreateField(ogr.FieldDefn("class", ogr.OFTInteger))
    layer.CreateField(ogr.FieldDefn("number", ogr.OFTInteger))
    layer.StartTransaction()
    gdal.Polygonize(
        band,
        band.GetMaskBand(),
        layer,
        0,
        [],
        callback=lambda *_: 0 if feedback.cancelled() else 1,
    )
    layer.CommitTransaction()
    source.ExecuteSQL("UPDATE traced SET number = fid")
    return int(layer.GetFeatureCount())


def _measure(
    polygons: Polygons, traced: str, count: int, feedback: Feedback
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return true area in m2 and mean probability `(count + 1,)` of each polygon."""
    probability_raster = open_raster(polygons.probability)
    grid = Grid.from_dataset(probability_raster, "map")
    areas = PixelAreas(grid)
    source = gdal.OpenEx(traced, gdal.OF_VECTOR)
    sizes, probabilities, pixels = np.zeros((3, count + 1))
    windows = grid.window.squares(_SIDE)
    for done, window in enumerate(windows):
        stop_if_cancelled(feedback)
        number = rasterize(source, grid.subgrid(window), 0).ravel()
        box = window.col, window.row, window.width, window.height
        probability = np.nan_to_num(read_bands(probability_raster, [1], *box)[0].ravel())
        sizes += np.bincount(number, areas.of(window).ravel(), minlength=count + 1)
        probabilities += np.bincount(number, probability, minlength=count + 1)
        pixels += np.bincount(number, minlength=count + 1)
        feedback.progress(0.5 * (done + 1) / len(windows))
    return sizes, probabilities / np.maximum(pixels, 1)


def _copy(
    legend: Sequence[MapClass],
    traced: str,
    path: str,
    sizes: NDArray[np.float64],
    probabilities: NDArray[np.float64],
    feedback: Feedback,
) -> None:
    """Write the polygons with their class, areas and confidence."""
    outlines = gdal.OpenEx(traced, gdal.OF_VECTOR)
    source = outlines.GetLayer(0)
    target = ogr.GetDriverByName("GPKG").CreateDataSource(path)
    reference: osr.SpatialReference = source.GetSpatialRef()
    layer = target.CreateLayer(LAYER, reference, ogr.wkbPolygon)
    for name, kind in (
        (FIELD, ogr.OFTInteger64),
        ("class", ogr.OFTString),
        ("area_m2", ogr.OFTReal),
        ("area_ha", ogr.OFTReal),
        ("confidence", ogr.OFTReal),
    ):
        layer.CreateField(ogr.FieldDefn(name, kind))
    layer.StartTransaction()
    stop_if_cancelled(feedback)
    for done, outline in enumerate(source):
        if done % _COMMIT == _COMMIT - 1:
            stop_if_cancelled(feedback)
            layer.CommitTransaction()
            layer.StartTransaction()
            feedback.progress(0.5 + 0.5 * done / max(1, len(sizes)))
        place, number = outline.GetField(0), outline.GetField(1)
        item = legend[place] if place < len(legend) else legend[-1]  # 254: unclassified
        feature = ogr.Feature(layer.GetLayerDefn())
        feature.SetGeometry(outline.GetGeometryRef())
        feature.SetField(0, item.code)
        feature.SetField(1, item.name)
        feature.SetField(2, float(sizes[number]))
        feature.SetField(3, float(sizes[number]) / 1e4)
        feature.SetField(4, float(probabilities[number]))
        layer.CreateFeature(feature)
    layer.CommitTransaction()
