"""A small region of square fields whose class is known, as a series and as polygons."""

from types import SimpleNamespace

import numpy as np
from osgeo import gdal, ogr, osr

from alise_plugin.sits.build import build_series
from tests.helpers.rasters import TRANSFORM, days, utm, write_raster

FIELD = 10  # pixels: side of a field
CLASSES = ("blé d'hiver", "maïs", 'forêt "noire"')
CODES = (11, 12, 40)
COLORS = ("#c8b41e", "#ffcc00", "#0a5a14")


def square(col, row, width, height):
    """A polygon of whole pixels."""
    left, dx, _, top, _, dy = TRANSFORM
    ring = ogr.Geometry(ogr.wkbLinearRing)
    for x, y in ((0, 0), (0, 1), (1, 1), (1, 0), (0, 0)):
        ring.AddPoint_2D(left + dx * (col + x * width), top + dy * (row + y * height))
    polygon = ogr.Geometry(ogr.wkbPolygon)
    polygon.AddGeometry(ring)
    return polygon


def point(col, row):
    left, dx, _, top, _, dy = TRANSFORM
    geometry = ogr.Geometry(ogr.wkbPoint)
    geometry.AddPoint_2D(left + dx * (col + 0.5), top + dy * (row + 0.5))
    return geometry


KINDS = {int: ogr.OFTInteger64, str: ogr.OFTString, float: ogr.OFTReal, type(None): ogr.OFTString}


def write_layer(path, geometries, crs=None, **columns):
    """A GeoPackage with one feature per geometry; columns are lists, None is NULL."""
    source = ogr.GetDriverByName("GPKG").CreateDataSource(str(path))
    layer = source.CreateLayer("labels", crs or utm(), ogr.wkbUnknown)
    for name, values in columns.items():
        kind = next((type(value) for value in values if value is not None), str)
        layer.CreateField(ogr.FieldDefn(name, KINDS[kind]))
    layer.StartTransaction()
    for number, geometry in enumerate(geometries):
        feature = ogr.Feature(layer.GetLayerDefn())
        feature.SetGeometry(geometry)
        for name, values in columns.items():
            if values[number] is not None:
                feature.SetField(name, values[number])
        layer.CreateFeature(feature)
    layer.CommitTransaction()
    return str(path)


def moved(geometry, epsg):
    """The geometry in another CRS."""
    target = osr.SpatialReference()
    target.ImportFromEPSG(epsg)
    target.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    copy = geometry.Clone()
    copy.Transform(osr.CoordinateTransformation(utm(), target))
    return copy, target


def region(folder, seed=0, columns=9, rows=8, dates=4, noise=120.0):
    """Series, polygons (one a field, a pixel inside its border) and the truth.

    Every date has its own reflectance per class, so that classes are told apart by their seasons.
    """
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(seed)
    field_class = np.resize(np.arange(len(CLASSES)), rows * columns)
    field_class = rng.permutation(field_class).reshape(rows, columns)
    truth = field_class.repeat(FIELD, 0).repeat(FIELD, 1)
    season = np.random.default_rng(99).uniform(800, 4000, (dates, 10, len(CLASSES)))
    paths = []
    for number, day in enumerate(days(dates, step=60)):
        values = season[number][:, truth] + rng.normal(0, noise, (10, *truth.shape))
        paths.append(
            write_raster(folder / f"S2_{day:%Y%m%d}.tif", values.clip(1, 9999).astype(np.uint16))
        )
    cells = [(row, col) for row in range(rows) for col in range(columns)]
    kinds = [int(field_class[cell]) for cell in cells]
    polygons = [
        square(col * FIELD + 1, row * FIELD + 1, FIELD - 2, FIELD - 2) for row, col in cells
    ]
    labels = write_layer(
        folder / "labels.gpkg",
        polygons,
        crop=[CLASSES[kind] for kind in kinds],
        code=[CODES[kind] for kind in kinds],
        color=[COLORS[kind] for kind in kinds],
        area=[1.5 + number for number in range(len(kinds))],
    )
    series = build_series(paths, folder / "series.vrt")
    return SimpleNamespace(
        series=series,
        path=str(folder / "series.vrt"),
        truth=truth,
        labels=labels,
        polygons=polygons,
        kinds=kinds,
        cells=cells,
    )


def map_codes(path):
    return gdal.Open(str(path)).ReadAsArray()


def features_of(path):
    """The attributes of every feature of a vector file."""
    source = ogr.Open(str(path))
    return [feature.items() for feature in source.GetLayer(0)]


def write_class_raster(path, codes, like, nodata=0, dtype=gdal.GDT_Int32):
    """A GeoTIFF of class codes on the grid of another raster."""
    source = gdal.Open(str(like))
    height, width = codes.shape
    raster = gdal.GetDriverByName("GTiff").Create(str(path), width, height, 1, dtype)
    raster.SetProjection(source.GetProjection())
    raster.SetGeoTransform(source.GetGeoTransform())
    raster.GetRasterBand(1).SetNoDataValue(nodata)
    raster.WriteArray(codes)
    raster = None
    return str(path)
