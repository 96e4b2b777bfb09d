"""Maps from few polygons: aligned features against gap-filled raw series.

    python -m benchmarks.segment [--region FOLDER] [--model FOLDER]
        [--tables curve years together clusters similar values calibration]

Prints Markdown tables, of both kinds of features with the plugin's own classifier and regression:
curve: macro-F1 over the pixels of test polygons by polygons a class;
years: what a head of 2019 loses on 2020;
together: what vectors of both years at once lose against those of the year that is mapped;
clusters: how well classes found without labels (k-means) agree with the truth over the whole map:
    adjusted Rand index (0 by chance, 1 for the same partition);
similar: how well a few example polygons of one class find the rest of it: average precision (the
    class's share by chance, 1 where all of it comes first);
calibration: expected calibration error and Brier score of the head's probabilities over the pixels
    of test polygons, as fitted and with the temperature of groups left out, in the same and in the
    next year; means over draws of polygons and their standard deviation;
values: how well the mean leaf area index of test polygons is estimated from that of others: R2 (1
    where all are right, 0 for the mean of all everywhere).
The raw series are gap-filled with the simulator's cloud mask, which ALISE does not get.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from osgeo import gdal
from sklearn.metrics import adjusted_rand_score, average_precision_score, r2_score

from alise_plugin.feedback import SilentFeedback
from alise_plugin.mapping.labels.on_grid import AreaRasterizer, on_grid
from alise_plugin.mapping.labels.read import read_vector_labels, read_vector_values
from alise_plugin.mapping.learning.classifier import fit_and_choose, leave_out
from alise_plugin.mapping.learning.find_classes import k_means
from alise_plugin.mapping.learning.regression import by_area, fit_and_choose_value
from alise_plugin.mapping.maps.find_similar import Similarity
from alise_plugin.mapping.samples.samples import ValueSamples
from alise_plugin.mapping.scores.calibration import calibration, choose_temperature
from alise_plugin.mapping.scores.metrics import confusion, measures
from alise_plugin.model.encoder import Encoder
from alise_plugin.model.package import load_package
from alise_plugin.sits.series import ImageSeries
from scripts.simulated_region import CLASSES, YEARS, make_region

SIZES = (1, 2, 5, 10, 20)  # polygons a class
DRAWS = 3  # of the polygons
CALIBRATION_DRAWS = 5
PIXELS = 8  # of a polygon at most
CLUSTERS = (8, 12, 20)
MAP_PIXELS = 4000  # that are clustered, or searched
EXAMPLES = (1, 2, 5)  # polygons
MEASURED = (12, 30, 60, 120, 240)  # polygons of any class
SEARCHES = 5  # of a class, and of measured polygons, each with others
NAMES = ("raw", "ALISE")
TABLES = ("curve", "years", "together", "clusters", "similar", "values", "calibration")
PARTS = ("train", "test")
STEP = 5  # days between two points of a gap-filled series, as in the paper


def polygon_pixels(path: Path, year: int, series: ImageSeries) -> tuple[np.ndarray, ...]:
    """Return row, column, class and polygon of pixels in polygons."""
    labels = read_vector_labels(str(path), f"code_{year}")
    grid = series.grid
    polygon, _ = AreaRasterizer(on_grid(labels, grid), grid).burn(grid.window)
    rng = np.random.default_rng(0)
    rows, cols = np.nonzero(polygon >= 0)
    number = polygon[rows, cols]
    order = rng.permutation(len(rows))
    rank = np.zeros(len(rows), int)
    for one in np.unique(number):
        mine = order[number[order] == one]
        rank[mine] = np.arange(len(mine))
    kept = rank < PIXELS
    kind = np.array(labels.values)[number] - 1
    return rows[kept], cols[kept], kind[kept], number[kept]


def raw_features(series: ImageSeries, clear_path: Path, rows: np.ndarray, cols: np.ndarray):  # noqa: ANN201
    """`(N, D)` series of clear dates, interpolated every five days of the year."""
    values = series.read_all(series.grid.window)[:, :, rows, cols]  # (T, 10, N)
    clear = gdal.Open(str(clear_path)).ReadAsArray()[:, rows, cols] == 1
    first = np.datetime64(f"{series.dates[0].year}-01-01")
    day = np.array([(np.datetime64(date) - first).astype(int) for date in series.dates])
    points = np.arange(0, 365, STEP)
    out = np.zeros((len(rows), len(points), values.shape[1]), np.float32)
    for pixel in range(len(rows)):
        ok = clear[:, pixel] & np.isfinite(values[:, 0, pixel])
        if ok.any():
            for band in range(values.shape[1]):
                out[pixel, :, band] = np.interp(points, day[ok], values[ok, band, pixel])
    return out.reshape(len(rows), -1)


def macro_f1(train: tuple, test: tuple) -> float:
    """Return of the plugin's linear classifier, fitted to (features, class, group)."""
    fitted = fit_and_choose("linear", *train, len(CLASSES), 0, SilentFeedback())
    predicted = fitted.network.probabilities(test[0]).argmax(1)
    return float(measures(confusion(test[1], predicted, len(CLASSES))).overall[2])


def main() -> None:
    """Measure and print."""
    bundled = Path(__file__).resolve().parents[1] / "models" / "alise-s2"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--region", type=Path, help="of simulated_region; a new one if missing")
    parser.add_argument("--model", type=Path, default=bundled)
    parser.add_argument("--tables", nargs="+", default=TABLES, choices=TABLES)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.region or Path(scratch) / "region"
        if not (folder / "train.gpkg").exists():
            make_region(folder)
        package = load_package(given.model)
        encoder = Encoder(
            package, "cpu", threads=int(os.environ.get("OMP_NUM_THREADS", "0")) or None
        )
        features: dict[tuple[str, int, str], tuple] = {}
        measured: dict[tuple[str, int, str], ValueSamples] = {}
        everywhere: dict[int, dict[str, np.ndarray]] = {}
        for year in YEARS:
            series = ImageSeries.open(folder / f"series_{year}.vrt")
            series = series.moved(YEARS[0] - year)  # as Segment does for a head of the first year
            began = time.process_time()
            window = series.grid.window
            ours = encoder.encode(series.read_all(window), series.days)
            ours = ours.reshape(-1, *ours.shape[2:])
            print(
                f"{year}: {len(series.dates)} dates, {window.pixels} pixels encoded in "
                f"{time.process_time() - began:.0f} s of CPU",
                file=sys.stderr,
            )
            everywhere[year] = map_pixels(folder, year, series, ours)
            for part in PARTS:
                rows, cols, kind, polygon = polygon_pixels(folder / f"{part}.gpkg", year, series)
                raw = raw_features(series, folder / f"clear_{year}.tif", rows, cols)
                mine = np.ascontiguousarray(ours[:, rows, cols].T)
                seen = np.isfinite(mine[:, 0])
                leaf_area = leaf_areas(folder / f"{part}.gpkg", year)[polygon]
                for name, values in (("ALISE", mine), ("raw", raw)):
                    features[name, year, part] = values[seen], kind[seen], polygon[seen]
                    measured[name, year, part] = ValueSamples(
                        values[seen], leaf_area[seen], polygon[seen], polygon[seen]
                    )
    print(f"Model: {package.model_id}.")
    if "curve" in given.tables:
        print("\n| polygons a class | gap-filled raw series | ALISE |\n| --- | --- | --- |")
        for size in SIZES:
            sides = [[features[name, 2019, part] for part in PARTS] for name in NAMES]
            print_row([size], [mean_score(train, test, size) for train, test in sides])
    if "years" in given.tables:
        print(
            "\n| trained on | mapped | gap-filled raw series | ALISE |\n| --- | --- | --- | --- |"
        )
        for year in YEARS:
            scores = [
                macro_f1(features[name, year, "train"], features[name, 2020, "test"])
                for name in NAMES
            ]
            print_row([year, 2020], scores)
    if "together" in given.tables:
        print(
            "\n| mapped | polygons a class | vectors of both years | of that year |\n"
            "| --- | --- | --- | --- |"
        )
        both = of_both_years(folder, encoder)
        for year in YEARS:
            series = ImageSeries.open(folder / f"series_{year}.vrt")
            together = [labelled(folder / f"{part}.gpkg", year, series, both) for part in PARTS]
            alone = [features["ALISE", year, part] for part in PARTS]
            for size in SIZES[-2:]:
                scores = [mean_score(train, test, size) for train, test in (together, alone)]
                print_row([year, size], scores)
    if "clusters" in given.tables:
        print(
            "\n| classes found | year | gap-filled raw series | ALISE |\n| --- | --- | --- | --- |"
        )
        for count in CLUSTERS:
            for year, values in everywhere.items():
                scores = [agreement(values[name], values["truth"], count) for name in NAMES]
                print_row([count, year], scores)
    if "similar" in given.tables:
        print("\n| examples | year | gap-filled raw series | ALISE |\n| --- | --- | --- | --- |")
        for size in EXAMPLES:
            for year, values in everywhere.items():
                scores = [
                    precision(features[name, year, "train"], values[name], values["truth"], size)
                    for name in NAMES
                ]
                print_row([size, year], scores)

    if "calibration" in given.tables:
        print(
            "\n| classifier | polygons a class | mapped | ECE as fitted | ECE | Brier as fitted "
            "| Brier |\n| --- | --- | --- | --- | --- | --- | --- |"
        )
        for kind in ("linear", "mlp"):
            for size in SIZES[1:]:
                print_calibration(kind, size, features)
    if "values" in given.tables:
        print(
            "\n| polygons | trained on | mapped | gap-filled raw series | ALISE |\n"
            "| --- | --- | --- | --- | --- |"
        )
        for count in MEASURED:
            for year in YEARS:
                scores = [
                    determined(measured[name, 2019, "train"], measured[name, year, "test"], count)
                    for name in NAMES
                ]
                print_row([count, 2019, year], scores)


def leaf_areas(path: Path, year: int) -> np.ndarray:
    """Return mean leaf area index of each polygon."""
    return np.array(read_vector_values(str(path), f"leaf_area_{year}").values)


def determined(train: ValueSamples, test: ValueSamples, count: int) -> float:
    """R2 of the plugin's regression on test polygons, mean of a few draws of so many others."""
    scores = []
    for draw in range(SEARCHES):
        chosen = np.random.default_rng(draw).permutation(np.unique(train.group))[:count]
        kept = np.isin(train.group, chosen)
        part = ValueSamples(
            train.features[kept], train.value[kept], train.area[kept], train.group[kept]
        )
        network = fit_and_choose_value(part, 0, SilentFeedback()).network
        found = network.outputs(test.features)[:, 0].astype(np.float64)
        truth, means, _ = by_area(test, np.arange(len(found)), found)
        scores.append(r2_score(truth, means))
    return float(np.mean(scores))


def map_pixels(
    folder: Path, year: int, series: ImageSeries, ours: np.ndarray
) -> dict[str, np.ndarray]:
    """Return features of both kinds and the true class of random pixels of the whole map."""
    rows, cols = np.nonzero(np.isfinite(ours[0]))
    chosen = np.random.default_rng(0).permutation(len(rows))[:MAP_PIXELS]
    rows, cols = rows[chosen], cols[chosen]
    return {
        "raw": raw_features(series, folder / f"clear_{year}.tif", rows, cols),
        "ALISE": np.ascontiguousarray(ours[:, rows, cols].T),
        "truth": gdal.Open(str(folder / f"truth_{year}.tif")).ReadAsArray()[rows, cols],
    }


def agreement(values: np.ndarray, truth: np.ndarray, count: int) -> float:
    """Return adjusted Rand index of so many clusters, mean of a few seeds."""
    found = [k_means(values, count, seed, SilentFeedback()) for seed in range(DRAWS)]
    return float(np.mean([adjusted_rand_score(truth, each) for each in found]))


def precision(samples: tuple, values: np.ndarray, truth: np.ndarray, size: int) -> float:
    """Average precision of the similarity to so many polygons of a class, mean over the classes."""
    scores = []
    for draw in range(SEARCHES):
        examples, kind, polygon = some(samples, size, draw)
        for one in np.unique(kind):
            mine = kind == one
            similarity = Similarity(values, examples[mine], polygon[mine])
            found = similarity(values.T[:, None])[0]
            scores.append(average_precision_score(truth == one + 1, found))
    return float(np.mean(scores))


def of_both_years(folder: Path, encoder: Encoder) -> np.ndarray:
    """Return `(F, H, W)` vectors of the acquisitions of both years at once."""
    years = [ImageSeries.open(folder / f"series_{year}.vrt") for year in YEARS]
    values = np.concatenate([series.read_all(series.grid.window) for series in years])
    vectors = encoder.encode(values, np.concatenate([series.days for series in years]))
    return vectors.reshape(-1, *vectors.shape[2:])


def labelled(path: Path, year: int, series: ImageSeries, vectors: np.ndarray) -> tuple:
    """Return features, class and polygon of the pixels in polygons."""
    rows, cols, kind, polygon = polygon_pixels(path, year, series)
    mine = np.ascontiguousarray(vectors[:, rows, cols].T)
    seen = np.isfinite(mine[:, 0])
    return mine[seen], kind[seen], polygon[seen]


def mean_score(train: tuple, test: tuple, size: int) -> float:
    """Return mean macro-F1 of a few draws of so many polygons a class."""
    draws = range(DRAWS if size < SIZES[-1] else 1)
    return float(np.mean([macro_f1(some(train, size, draw), test) for draw in draws]))


def print_calibration(kind: str, size: int, features: dict) -> None:
    """Print what a temperature does to the probabilities of heads of so many polygons a class."""
    found: dict[int, list[list[float]]] = {year: [] for year in YEARS}
    for draw in range(CALIBRATION_DRAWS):
        train = some(features["ALISE", YEARS[0], "train"], size, draw)
        common = (kind, *train, len(CLASSES), 0, SilentFeedback())
        fitted = fit_and_choose(*common)
        network = fitted.network
        left_out = leave_out(kind, *train, len(CLASSES), fitted, 0, SilentFeedback())
        temperature = choose_temperature(
            left_out.probabilities, train[1][left_out.sample], train[2][left_out.sample]
        )
        for year in YEARS:
            values, truth, _ = features["ALISE", year, "test"]
            plain, warm = (
                calibration(one.probabilities(values), truth)
                for one in (network, network.with_temperature(temperature))
            )
            found[year].append([plain.error, warm.error, plain.brier, warm.brier])
    for year, rows in found.items():
        cells = [f"{m:.3f} ± {s:.3f}" for m, s in zip(np.mean(rows, 0), np.std(rows, 0, ddof=1))]
        print(f"| {kind} | {size} | {year} | " + " | ".join(cells) + " |", flush=True)


def print_row(start: list, scores: list[float]) -> None:
    """Print a line of a Markdown table."""
    print("| " + " | ".join([*map(str, start), *(f"{score:.3f}" for score in scores)]) + " |")
    sys.stdout.flush()


def some(samples: tuple, size: int, draw: int) -> tuple:
    """Return the samples of so many polygons of each class."""
    rng = np.random.default_rng(draw)
    _, kind, polygon = samples
    kept = np.zeros(len(kind), bool)
    for one in np.unique(kind):
        chosen = rng.permutation(np.unique(polygon[kind == one]))[:size]
        kept |= np.isin(polygon, chosen)
    return tuple(part[kept] for part in samples)


if __name__ == "__main__":
    main()
