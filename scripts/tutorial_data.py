"""Writes docs/tutorials/data from ../shared/data: python -m scripts.tutorial_data.

The tutorials need only what it has written, which is committed; see the README there.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal, ogr, osr

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT.parent / "shared" / "data"
TARGET = ROOT / "docs" / "tutorials" / "data"
BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
CLASSES = {11: "crops", 13: "grassland", 99: "other"}
# Their sources give no coordinates: these lie at made-up places of their UTM zones.
VILLAGE_CORNER = (600000.0, 5650000.0)
PIXEL_CORNER = (700000.0, 3800000.0)
_SQUARE, _POLYGONS = 5, 5  # pixels along a polygon's side, polygons of a class

Transform = tuple[float, float, float, float, float, float]


def write_stack(
    path: Path,
    reflectance: NDArray[np.uint16],
    days: list[str],
    transform: Transform,
    epsg: int,
    bands: tuple[str, ...] = BANDS,
) -> None:
    """Write (T, 10, H, W) as one GeoTIFF of the given bands, each described as `2019-05-14 B02`."""
    planes = [BANDS.index(band) for band in bands]
    count, (height, width) = len(days) * len(bands), reflectance.shape[2:]
    driver = gdal.GetDriverByName("GTiff")
    layout = "PIXEL" if height * width == 1 else "BAND"
    options = ["COMPRESS=DEFLATE", "ZLEVEL=9", f"INTERLEAVE={layout}", f"BLOCKYSIZE={height}"]
    target = driver.Create(str(path), width, height, count, gdal.GDT_UInt16, options)
    _place(target, transform, epsg)
    names = [f"{day} {band}" for day in days for band in bands]
    for index, (name, values) in enumerate(
        zip(names, reflectance[:, planes].reshape(count, height, width)), start=1
    ):
        band = target.GetRasterBand(index)
        band.SetDescription(name)
        band.SetNoDataValue(0)
        band.SetScale(1e-4)
        band.WriteArray(values)


def _place(target: gdal.Dataset, transform: Transform, epsg: int) -> None:
    system = osr.SpatialReference()
    system.ImportFromEPSG(epsg)
    target.SetGeoTransform(transform)
    target.SetProjection(system.ExportToWkt())


def village() -> None:
    """Write half the acquisitions of a year in Belgium, and a few polygons of three covers."""
    with np.load(SOURCE / "image_series" / "wc_0000280849BAC91C.npz") as file:
        days = [str(day)[:10] for day in file["dates"]]
        year = [i for i, day in enumerate(days) if "2018-11" <= day < "2019-11"][::2]
        transform = (VILLAGE_CORNER[0], 10.0, 0.0, VILLAGE_CORNER[1], 0.0, -10.0)
        reflectance = file["reflectance"][year]
        write_stack(TARGET / "village.tif", reflectance, [days[i] for i in year], transform, 32631)
        write_polygons(TARGET / "village_fields.gpkg", file["labels"], transform)


def write_polygons(path: Path, labels: NDArray[np.uint16], transform: Transform) -> None:
    """Write squares that lie wholly in a class, as far from one another as a draw finds them."""
    path.unlink(missing_ok=True)
    system = osr.SpatialReference()
    system.ImportFromEPSG(32631)
    source = ogr.GetDriverByName("GPKG").CreateDataSource(str(path))
    layer = source.CreateLayer("village_fields", system, ogr.wkbPolygon)
    layer.CreateField(ogr.FieldDefn("cover", ogr.OFTString))
    random = np.random.default_rng(0)
    taken = np.zeros(labels.shape, bool)
    for code, name in CLASSES.items():
        found = 0
        for _ in range(5000):
            row, col = random.integers(0, labels.shape[0] - _SQUARE, 2)
            window = np.s_[row : row + _SQUARE, col : col + _SQUARE]
            if found < _POLYGONS and (labels[window] == code).all() and not taken[window].any():
                taken[max(0, row - 3) : row + 8, max(0, col - 3) : col + 8] = True
                left, top = transform[0] + 10 * col, transform[3] - 10 * row
                right, bottom = left + 10 * _SQUARE, top - 10 * _SQUARE
                ring = f"{left} {top},{right} {top},{right} {bottom},{left} {bottom},{left} {top}"
                feature = ogr.Feature(layer.GetLayerDefn())
                feature.SetGeometry(ogr.CreateGeometryFromWkt(f"POLYGON (({ring}))"))
                feature.SetField("cover", name)
                layer.CreateFeature(feature)
                found += 1


def forest() -> None:
    """Write two years of a part of a forest in Lorraine."""
    with np.load(SOURCE / "image_series_few_bands" / "lorraine_forest.npz") as file:
        left, _, _, top = (float(value) for value in file["bounds"])
        days = [str(day)[:10] for day in file["dates"]]
        rows = cols = slice(20, 60)
        transform = (left + 10 * cols.start, 10.0, 0.0, top - 10 * rows.start, 0.0, -10.0)
        for year in ("2018", "2019"):
            chosen = [i for i, day in enumerate(days) if day[:4] == year]
            write_stack(
                TARGET / f"forest_{year}.tif",
                file["reflectance"][chosen][:, :, rows, cols],
                [days[i] for i in chosen],
                transform,
                32631,
                ("B02", "B03", "B04", "B8A", "B11", "B12"),
            )


def pixel() -> None:
    """Write three years of one pixel of cropland in Henan."""
    with np.load(SOURCE / "pixel_series" / "henan_crop_pixel.npz") as file:
        days = [str(day)[:10] for day in file["dates"]]
        chosen = [i for i, day in enumerate(days) if "2019" <= day < "2022"]
        transform = (PIXEL_CORNER[0], 10.0, 0.0, PIXEL_CORNER[1], 0.0, -10.0)
        write_stack(
            TARGET / "pixel.tif",
            file["reflectance"][chosen][:, :, None, None],
            [days[i] for i in chosen],
            transform,
            32649,
        )


def harvest() -> None:
    """Write the series of each harvested field, and what the combine harvester weighed."""
    (TARGET / "harvest").mkdir(exist_ok=True)
    with np.load(SOURCE / "measurements" / "bavaria_yield.npz") as file:
        measured = dict(file)
    starts = measured["offset"]
    for index, name in enumerate(measured["field"]):
        height, width = (int(value) for value in measured["shape"][index])
        west, south, east, north = (float(v) for v in measured["bounds_epsg3857"][index])
        transform = (west, (east - west) / width, 0.0, north, 0.0, (south - north) / height)
        with np.load(SOURCE / str(measured["series_file"][index])) as series:
            days = [str(day)[:10] for day in series["dates"]]
            path = TARGET / "harvest" / f"{name}.tif"
            write_stack(path, series["reflectance"], days, transform, 3857)
        values = measured["yield_t_ha"][starts[index] : starts[index + 1]].reshape(height, width)
        write_values(TARGET / "harvest" / f"{name}_yield.tif", values, transform)


def write_values(path: Path, values: NDArray[np.float32], transform: Transform) -> None:
    """Write measured tonnes a hectare to the hundredth, -9999 where nothing was weighed."""
    known = np.where(np.isfinite(values), np.round(values, 2), -9999).astype(np.float32)
    driver = gdal.GetDriverByName("GTiff")
    options = ["COMPRESS=DEFLATE", "PREDICTOR=3"]
    height, width = values.shape
    target = driver.Create(str(path), width, height, 1, gdal.GDT_Float32, options)
    _place(target, transform, 3857)
    target.GetRasterBand(1).SetNoDataValue(-9999)
    target.GetRasterBand(1).SetDescription("yield in t/ha")
    target.GetRasterBand(1).WriteArray(known)


def main() -> None:
    """Write all files."""
    gdal.UseExceptions()
    ogr.UseExceptions()
    TARGET.mkdir(parents=True, exist_ok=True)
    for part in (village, forest, pixel, harvest):
        part()


if __name__ == "__main__":
    main()
