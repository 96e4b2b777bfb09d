"""A simulated region with its truth: fields of twelve covers, two years of Sentinel-2, polygons.

    python -m scripts.simulated_region OUT_FOLDER [--size 160] [--fields 540] [--seed 3]

Writes OUT_FOLDER/2019 and OUT_FOLDER/2020 (one GeoTIFF per date, clouds and swath edges included),
series_2019.vrt and series_2020.vrt, truth_2019.tif and truth_2020.tif (class codes), clear_2019.tif
and clear_2020.tif (a cloud mask with its mistakes, one band a date, which only baselines need),
train.gpkg and test.gpkg (polygons in the fields, with the crop and the mean leaf area index of both
years). Fields of annual
crops change their crop from year to year, permanent covers stay.
"""

from __future__ import annotations

import argparse
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
from osgeo import gdal, ogr, osr
from scipy.ndimage import binary_erosion
from scipy.spatial import cKDTree

from alise_plugin.sentinel2 import REFERENCE_DATE
from alise_plugin.sits.build import build_series
from training.simulation.covers import COVERS
from training.simulation.draws import Draws
from training.simulation.landscapes import observe_space, sharpness, texture
from training.simulation.pixels import FIRST_YEAR_DAY, YEAR, Options, ground_truth

CLASSES = {
    "winter wheat": "#e8c84a",
    "rapeseed": "#f5ff3d",
    "maize": "#f28e2b",
    "sunflower": "#b5651d",
    "soybean": "#9acd32",
    "sugar beet": "#c71585",
    "potato": "#8b4f9f",
    "rice": "#4ec4d8",
    "meadow": "#7ccd7c",
    "broadleaf forest": "#2e7d32",
    "evergreen forest": "#0b3d1e",
    "built-up": "#9e9e9e",
}
YEARS = (2019, 2020)
TRANSFORM = (500000.0, 10.0, 0.0, 5000000.0, 0.0, -10.0)  # UTM 31 N
STEPS = ((2, 14), (6, 13))  # first day of each year and days between two acquisitions
LEAST = 6  # pixels of a polygon


def crs() -> osr.SpatialReference:
    """Return UTM 31 N."""
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(32631)
    return reference


def fields_of(size: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return `(size, size)` number of the field: cells round points of a shaken grid."""
    side = int(np.ceil(np.sqrt(count)))
    step = size / side
    rows, cols = np.divmod(np.arange(count), side)
    points = (np.stack([rows, cols], 1) + 0.5 + rng.uniform(-0.3, 0.3, (count, 2))) * step
    pixels = np.stack(np.mgrid[:size, :size], -1).reshape(-1, 2) + 0.5
    return cKDTree(points).query(pixels)[1].reshape(size, size)


def covers_of(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return `(count, 2)` place in CLASSES of each field in each year."""
    names = list(CLASSES)
    first = rng.permutation(np.resize(np.arange(len(names)), count))
    by_name = {cover.name: cover for cover in COVERS}
    annual = np.array([by_name[name].annual for name in names])
    second = first.copy()
    rotating = np.flatnonzero(annual[first])
    second[rotating] = rng.permutation(first[rotating])
    return np.stack([first, second], 1)


def observed(
    size: int, field: np.ndarray, covers: np.ndarray, seed: int, sparse: int
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Return what each year shows, and what there is.

    Returns:
        `(T,)` days, `(T, 10, H, W)` reflectance (NaN: none), `(T, H, W)` clear, and the mean leaf
        area index of each field on these days.
    """
    draws = Draws(seed)
    count = len(covers)
    places = [[cover.name for cover in COVERS].index(name) for name in CLASSES]
    kinds = torch.tensor(np.array(places)[covers])
    seasons = torch.stack([kinds[:, 0], kinds[:, 0], kinds[:, 1], kinds[:, 1]], 1)
    days = [
        FIRST_YEAR_DAY
        + (year - 2015) * YEAR
        + torch.arange(float(first), 365.0, float(step * sparse))
        for year, (first, step) in zip(YEARS, STEPS)
    ]
    every = torch.cat(days).floor()
    options = Options(change_share=0.0)
    truth = ground_truth(draws, every.expand(count, -1), seasons, options, neighbours=count)
    pattern = texture(draws, 1, size)[0]  # (10, H, W)
    index = torch.as_tensor(field)
    out = []
    start = 0
    for part in days:
        ground = truth.reflectance[:, start : start + len(part)]  # (F, T, 10)
        leaf_area = truth.lai[:, start : start + len(part)].mean(1).numpy()
        start += len(part)
        image = ground[index].permute(2, 3, 0, 1) * pattern  # (T, 10, H, W)
        held = torch.ones((1, len(part)), dtype=torch.bool)
        image = sharpness(image[None])
        seen, _, clear = observe_space(draws, image, part.floor()[None], held, options)
        out.append((part.floor().numpy(), seen[0].numpy(), clear[0].numpy(), leaf_area))
    return out


def write_raster(path: Path, values: np.ndarray, kind: int, nodata: float) -> None:
    """Write a GeoTIFF of `(bands, H, W)`."""
    count, height, width = values.shape
    options = ["COMPRESS=DEFLATE", "TILED=YES"]
    dataset = gdal.GetDriverByName("GTiff").Create(str(path), width, height, count, kind, options)
    dataset.SetProjection(crs().ExportToWkt())
    dataset.SetGeoTransform(TRANSFORM)
    dataset.GetRasterBand(1).SetNoDataValue(nodata)
    dataset.WriteArray(values)
    dataset.FlushCache()


def write_polygons(
    path: Path, field: np.ndarray, covers: np.ndarray, leaf_area: np.ndarray, chosen: np.ndarray
) -> None:
    """Write the inside of the chosen fields, a pixel from their border, with their facts."""
    memory = gdal.GetDriverByName("MEM").Create("", *field.shape[::-1], 1, gdal.GDT_Int32)
    memory.SetProjection(crs().ExportToWkt())
    memory.SetGeoTransform(TRANSFORM)
    inside = np.zeros(field.shape, np.int32)
    for number in chosen:
        inside[binary_erosion(field == number)] = number + 1
    memory.WriteArray(inside)
    traced = ogr.GetDriverByName("Memory").CreateDataSource("")
    outlines = traced.CreateLayer("outlines", crs(), ogr.wkbPolygon)
    outlines.CreateField(ogr.FieldDefn("field", ogr.OFTInteger))
    gdal.Polygonize(memory.GetRasterBand(1), None, outlines, 0, ["8CONNECTED=8"])
    largest: dict[int, ogr.Geometry] = {}
    for feature in outlines:
        number, shape = feature.GetField(0) - 1, feature.GetGeometryRef()
        least = largest[number].GetArea() if number in largest else LEAST * 100
        if number >= 0 and shape.GetArea() >= least:
            largest[number] = shape.Clone()
    names, colors = list(CLASSES), list(CLASSES.values())
    source = ogr.GetDriverByName("GPKG").CreateDataSource(str(path))
    layer = source.CreateLayer("fields", crs(), ogr.wkbPolygon)
    layer.CreateField(ogr.FieldDefn("field", ogr.OFTInteger))
    for year in YEARS:
        for name in ("crop", "color"):
            layer.CreateField(ogr.FieldDefn(f"{name}_{year}", ogr.OFTString))
        layer.CreateField(ogr.FieldDefn(f"code_{year}", ogr.OFTInteger))
        layer.CreateField(ogr.FieldDefn(f"leaf_area_{year}", ogr.OFTReal))
    for number, shape in largest.items():
        feature = ogr.Feature(layer.GetLayerDefn())
        feature.SetGeometry(shape)
        feature.SetField("field", int(number))
        for year, kind, area in zip(YEARS, covers[number], leaf_area[number]):
            feature.SetField(f"leaf_area_{year}", float(area))
            feature.SetField(f"crop_{year}", names[kind])
            feature.SetField(f"color_{year}", colors[kind])
            feature.SetField(f"code_{year}", int(kind) + 1)
        layer.CreateFeature(feature)


def make_region(
    folder: Path, size: int = 160, fields: int = 540, seed: int = 3, sparse: int = 1
) -> None:
    """Write the whole region.

    Args:
        folder: made if needed.
        size: pixels of a side, even.
        fields: how many; half of each class becomes training polygons, half test polygons.
        seed: of everything.
        sparse: how many times fewer dates.
    """
    rng = np.random.default_rng(seed)
    field = fields_of(size, fields, rng)
    covers = covers_of(fields, rng)
    leaf_areas = []
    for year, place, (days, images, clear, leaf_area) in zip(
        YEARS, range(2), observed(size, field, covers, seed, sparse)
    ):
        leaf_areas.append(leaf_area)
        (folder / str(year)).mkdir(parents=True, exist_ok=True)
        paths = []
        for day, image in zip(days, images):
            date = REFERENCE_DATE + timedelta(days=int(day))
            numbers = np.nan_to_num(np.clip(image, 1e-4, 6.0) * 1e4).astype(np.uint16)
            path = folder / str(year) / f"S2_{date:%Y%m%d}.tif"
            write_raster(path, numbers, gdal.GDT_UInt16, 0)
            paths.append(str(path))
        build_series(paths, folder / f"series_{year}.vrt").close()
        path = folder / f"clear_{year}.tif"
        write_raster(path, clear.astype(np.uint8), gdal.GDT_Byte, 255)
        codes = covers[:, place][field].astype(np.uint8) + 1
        write_raster(folder / f"truth_{year}.tif", codes[None], gdal.GDT_Byte, 0)
    train: list[int] = []
    for kind in range(len(CLASSES)):
        mine = np.flatnonzero(covers[:, 0] == kind)
        train += mine[: len(mine) // 2].tolist()
    test = np.setdiff1d(np.arange(fields), train)
    known = field, covers, np.stack(leaf_areas, 1)
    write_polygons(folder / "train.gpkg", *known, np.array(train))
    write_polygons(folder / "test.gpkg", *known, test)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--fields", type=int, default=540)
    parser.add_argument("--seed", type=int, default=3)
    given = parser.parse_args()
    make_region(given.folder, given.size, given.fields, given.seed)
