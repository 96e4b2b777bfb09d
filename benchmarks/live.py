"""How long a click in the dock takes: the classes of a screen, and the curve of a pixel.

    python -m benchmarks.live [--pixels N] [--dates T] [--threads N]

Classes: a compact embedding raster of N x N pixels as `embed` writes it, random vectors, read and
classified as the tab Classes does it; the first example reads the screen, further ones do not.
Curve: a pixel of a series of T dates, first from what lies near it and then exactly.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from osgeo import gdal

from alise_plugin.feedback import SilentFeedback
from alise_plugin.mapping.curves.pixel_curves import curves_of_pixels
from alise_plugin.mapping.features.embedding_raster import EmbeddingRaster
from alise_plugin.mapping.features.series_features import SeriesFeatures
from alise_plugin.mapping.features.tiling import TileBudget
from alise_plugin.mapping.learning.live_classes import classify, fit_live, read_pixel, read_screen
from alise_plugin.mapping.rasters.form import RasterForm
from alise_plugin.mapping.rasters.geotiff import RasterOutput
from alise_plugin.mapping.samples.samples import ChosenPixels
from alise_plugin.model.encoder import load_encoder
from alise_plugin.sentinel2 import BANDS
from alise_plugin.sits.build import build_series
from alise_plugin.sits.crs import reference_of
from alise_plugin.sits.grid import Grid
from training.evaluation import report

COMPACT = 64  # features
FIRST_LOOK = 8  # pixels around the clicked one, as in gui/curve_task.py
CLASSES = 5


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pixels", type=int, default=1000)
    parser.add_argument("--dates", type=int, default=60)
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = classes_of_a_screen(Path(folder), args.pixels)
        rows += curve_of_a_pixel(Path(folder), args.dates, args.threads)
    print(report.table(["click", "seconds"], rows))


def seconds(work: Callable[[], object]) -> float:
    """Return how long some work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def classes_of_a_screen(folder: Path, side: int) -> list[list[str | float]]:
    """Return rows of the table for the classes of a raster of `side` x `side` pixels."""
    rng = np.random.default_rng(0)
    raster = folder / "compact.tif"
    write_compact(raster, side, rng)
    opened = EmbeddingRaster(raster)
    places = rng.integers(0, side, (4 * CLASSES, 2))
    target = np.arange(len(places)) % CLASSES

    def click() -> None:
        features = np.stack([read_pixel(opened, int(row), int(col)) for row, col in places])
        classify(screen, fit_live(features, target, CLASSES))

    start = time.perf_counter()
    screen = read_screen(opened, opened.grid.extent, (side, side))
    click()
    first = time.perf_counter() - start
    name = f"an example, {side} x {side} pixels of {COMPACT} features"
    return [[f"{name}, the first", first], [f"{name}, another", seconds(click)]]


def write_compact(path: Path, side: int, rng: np.random.Generator) -> None:
    """Write a raster like one that `embed` writes in the compact form."""
    names = [f"c{number:02d}" for number in range(COMPACT)]
    items = {"ALISE_MODEL_SHA256": "0" * 64, "ALISE_MODEL": "random", "ALISE_MODEL_VERSION": "0"}
    scale = [0.05] * COMPACT
    dtype = np.dtype(np.int16)
    form = RasterForm(names, dtype, -32768, scale, [0.0] * COMPACT, items, fast=True)
    grid = Grid(utm(), (600_000.0, 10.0, 0.0, 5_000_000.0, 0.0, -10.0), side, side)
    coarse = rng.integers(-90, 90, (COMPACT, side // 20 + 1, side // 20 + 1))
    values = coarse.repeat(20, 1).repeat(20, 2)[:, :side, :side]
    values = values + rng.integers(-8, 9, values.shape)
    with RasterOutput(path, grid, form, (128, 128)) as output:
        for window in grid.window.squares(128):
            rows, columns = window.slices_in(grid.window)
            output.write(window, values[:, rows, columns].astype(dtype))


def curve_of_a_pixel(folder: Path, dates: int, threads: int | None) -> list[list[str | float]]:
    """Return rows of the table for the curve of the middle of a series of 300 x 300 pixels."""
    rng = np.random.default_rng(0)
    days = [date(2019, 1, 1) + timedelta(days=6 * number) for number in range(dates)]
    paths = []
    for day in days:
        path = folder / f"S2_{day:%Y%m%d}.tif"
        image = rng.integers(200, 4000, (10, 300, 300)).astype(np.uint16)
        made = gdal.GetDriverByName("GTiff").Create(
            str(path), 300, 300, 10, gdal.GDT_UInt16, ["TILED=YES", "COMPRESS=DEFLATE"]
        )
        made.SetGeoTransform((600_000.0, 10.0, 0.0, 5_000_000.0, 0.0, -10.0))
        made.SetProjection(utm())
        for number, plane in enumerate(image):
            band = made.GetRasterBand(number + 1)
            band.SetDescription(BANDS[number])
            band.WriteRaster(0, 0, 300, 300, plane.tobytes())
        del band, made
        paths.append(str(path))
    series = build_series(paths, folder / "series.vrt", scale=1e-4, offset=0.0)
    source = SeriesFeatures(series, load_encoder(device="cpu", threads=threads))
    one = np.zeros(1, np.int64)
    chosen = ChosenPixels(one + 150, one + 150, one, one, one, one.astype(np.uint64))

    def click(halo: int | None) -> None:
        further = [days[0] + timedelta(days=5 * n) for n in range((days[-1] - days[0]).days // 5)]
        curves_of_pixels(
            source, chosen, further, budget=TileBudget(), feedback=SilentFeedback(), halo=halo
        )

    click(FIRST_LOOK)  # onnxruntime plans its memory in the first call
    name = f"a pixel, {dates} dates"
    return [
        [f"{name}, first look", seconds(lambda: click(FIRST_LOOK))],
        [f"{name}, exact", seconds(lambda: click(None))],
    ]


def utm() -> str:
    """Return the CRS of the rasters."""
    return str(reference_of("EPSG:32631").ExportToWkt())


if __name__ == "__main__":
    main()
