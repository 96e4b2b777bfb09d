"""Bytes per pixel of each form of an embedding raster, and what the form loses.

    python -m benchmarks.forms --model FOLDER [--size 96] [--dates 16]

On a simulated landscape that neither training nor the compact form has seen. Error of a feature:
beside its spread (0.5th to 99.5th percentile), for values inside the spread; clipped: values that
lie outside the range of the bytes. A map of one tile is its own sample, one of many tiles takes its
ranges from a few windows: both are measured. Error of a distance: between pairs of pixels, beside
the distance of their float32 features. What the forms lose in a classification is in the tables of
`python -m training evaluate`.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
from osgeo import gdal, osr

from alise_plugin.mapping.embedding.embed import embed
from alise_plugin.mapping.features.embedding_raster import EmbeddingRaster
from alise_plugin.mapping.features.series_features import SeriesFeatures
from alise_plugin.mapping.features.tiling import TileBudget
from alise_plugin.model.encoder import Encoder
from alise_plugin.model.package import load_package
from alise_plugin.sentinel2 import REFERENCE_DATE
from alise_plugin.sits.build import build_series
from alise_plugin.sits.series import ImageSeries
from training.simulation.landscapes import simulate_landscapes

PROJECT = Path(__file__).resolve().parents[1]

SEED = 612_345_881
PAIRS = 4000
ROWS = (
    ("float32", "float32", None),
    ("int8, one tile", "int8", None),
    ("int8, tiles of 32", "int8", 32),
    ("compact", "compact", None),
)
LATEST = 3900  # days since the reference date: simulated years may lie in the future


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=PROJECT / "models" / "alise-s2")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--dates", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    package = load_package(args.model)
    encoder = Encoder(package, "cpu", args.threads)
    pairs = np.random.default_rng(0).integers(0, args.size**2, (2, PAIRS))
    print("| format | bytes per pixel | on disk | error, rms | largest | clipped | of a distance |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        series = landscape_series(Path(folder), args.size, args.dates)
        exact = np.empty(0)
        for title, name, tile_size in ROWS:
            if name == "compact" and package.compact is None:
                print("| compact | - | - | this package has none | - | - | - |")
                continue
            path = Path(folder) / f"{name}.tif"
            result = embed(
                SeriesFeatures(series, lambda: encoder),
                path,
                format=name,
                budget=TileBudget(tile_size=tile_size),
            )
            raster = EmbeddingRaster(path)
            values = raster.read(raster.grid.window).reshape(len(raster.names), -1)
            if name == "float32":
                exact = values
            reference = encoder.compact(exact[:, None])[:, 0] if name == "compact" else exact
            low, high = np.percentile(reference, (0.5, 99.5), axis=1)[:, :, None]
            error = np.abs(values - reference) / (high - low)
            error = error[(reference >= low) & (reference <= high)]
            far = distances(exact, pairs)
            apart = np.median(np.abs(distances(values, pairs) - far) / np.maximum(far, 1e-9))
            each = np.dtype(np.float32 if name == "float32" else np.uint8).itemsize * len(values)
            print(
                f"| {title} | {each} | {os.path.getsize(path) / args.size**2:.0f} "
                f"| {100 * np.sqrt((error**2).mean()):.2f} % | {100 * error.max():.2f} % "
                f"| {100 * result.clipped:.3f} % | {100 * apart:.2f} % |",
                flush=True,
            )


def distances(features: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Return Euclidean distances of pairs of pixels."""
    return np.linalg.norm(features[:, pairs[0]] - features[:, pairs[1]], axis=0)


def landscape_series(folder: Path, size: int, dates: int) -> ImageSeries:
    """Return a simulated landscape as rasters of DN, 0 where there is no value."""
    world = simulate_landscapes(1, dates, size, SEED)
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(32631)
    later = 365 * max(0, -(-(int(world.days.max()) - LATEST) // 365))
    paths, order = [], []
    for day, image, observed in zip(world.days[0], world.reflectance[0], world.observed[0]):
        values = np.clip(np.nan_to_num(image.numpy()) * 10_000, 1, 20_000).astype(np.uint16)
        values[:, ~observed.numpy()] = 0
        when = np.datetime64(REFERENCE_DATE) + int(day) - later
        path = str(folder / f"S2_{str(when).replace('-', '')}.tif")
        dataset = gdal.GetDriverByName("GTiff").Create(path, size, size, 10, gdal.GDT_UInt16)
        dataset.SetProjection(reference.ExportToWkt())
        dataset.SetGeoTransform((600000, 10, 0, 5000000, 0, -10))
        dataset.WriteArray(values)
        dataset = None
        paths.append(path)
        order.append(when.item())
    return build_series(paths, folder / "series.vrt", dates=order, scale=1e-4, offset=0.0)


if __name__ == "__main__":
    main()
