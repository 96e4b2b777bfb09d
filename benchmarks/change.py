"""How well distances tell change, beside the gap-filled baseline, and what alignment does.

    python -m benchmarks.change [--model models/alise-s2] [--nrt FOLDER] [--places 24]

Prints ROC AUC, average precision and the medians of what stayed and of what changed for each form
of the distance on simulated rotations (other weather, other dates, the same crop sown and cut on
other days) and, where --nrt names the folder of the cubes that scripts/demo.sh fetches
(build/demo/data), on the Romanian series, 2018 against 2020. There the truth is weak: pixels of
forest that lose more than 0.3 of their summer NDVI. Also the noise floor: the median distance
between the even and the odd acquisitions of one year, and its ratio to the median distance of what
changed.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from osgeo import gdal
from sklearn.metrics import average_precision_score, roc_auc_score

from alise_plugin.mapping.change.gapfilled import STEP_DAYS, gap_filled
from alise_plugin.model.distance import SquaredDistance, compact_cosine
from alise_plugin.model.encoder import Encoder
from alise_plugin.model.package import load_package
from alise_plugin.model.spatial_features import Period
from alise_plugin.sentinel2 import BANDS
from alise_plugin.sits.build import build_series
from alise_plugin.sits.years import days_of_years
from training.change.simulated import simulated_rotations

PROJECT = Path(__file__).resolve().parents[1]

BASELINE = "gap-filled reflectance, clouds masked"
UNMASKED = "gap-filled reflectance, clouds in"
COSINE = "cosine of the compact form, years aligned (default)"
SQUARES = "Eq. 12, years aligned"
# Sen2Cor classes that are surely ground: plants, soil, water. Of all choices of classes that were
# tried, this one serves the baseline best.
CLEAR = (4, 5, 6)
SUMMER = (6, 7, 8)
FOREST_NDVI = 0.7
FOREST_COVER = 50  # per cent of trees
LOST_NDVI = 0.3


@dataclass(frozen=True)
class Pair:
    """Two years of a place: reflectance (T, 10, H, W), days (T,), clear (T, H, W), truth (H, W)."""

    reflectance: tuple[np.ndarray, np.ndarray]
    days: tuple[np.ndarray, np.ndarray]
    clear: tuple[np.ndarray, np.ndarray]
    changed: np.ndarray
    known: np.ndarray


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=PROJECT / "models" / "alise-s2")
    parser.add_argument("--nrt", type=Path)
    parser.add_argument("--places", type=int, default=24, help="simulated, 32 x 32 pixels each")
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    package = load_package(args.model)
    encoder = Encoder(package, threads=args.threads)
    print(f"Model: {package.model_id}.")
    if args.places:
        pairs = simulated(args.places)
        show(f"Simulated rotations, {args.places} places", encoder, pairs)
    if args.nrt:
        show("Romania, 2018 against 2020, forest only", encoder, iter([romania(args.nrt)]))


def simulated(places: int) -> Iterator[Pair]:
    """Yield rotations of `training.change`; what lies between fields is left out."""
    for rotation in simulated_rotations(places):
        years = rotation.before, rotation.after
        yield Pair(
            (years[0].reflectance, years[1].reflectance),
            (years[0].days, years[1].days),
            (years[0].clear, years[1].clear),
            rotation.changed,
            rotation.known,
        )


def romania(folder: Path) -> Pair:
    """Return the series of the package nrt with its cloud classes and tree cover."""
    cubes = sorted(folder.glob("sentinel2_cube_subset_romania_*.nc"))
    with tempfile.TemporaryDirectory() as scratch:
        series = build_series(cubes, Path(scratch) / "romania.vrt")
        reflectance = series.read_all(series.grid.window)
    clear = clear_of(cubes[0])
    red, infrared = reflectance[:, BANDS.index("B04")], reflectance[:, BANDS.index("B08")]
    with np.errstate(invalid="ignore", divide="ignore"):
        ndvi = np.where(clear, (infrared - red) / (infrared + red), np.nan)
    years, summers = [], []
    for year in (2018, 2020):
        chosen = [i for i, day in enumerate(series.dates) if day.year == year]
        summer = [i for i in chosen if series.dates[i].month in SUMMER]
        summers.append(np.nanmedian(ndvi[summer], 0))
        years.append((reflectance[chosen], series.days[chosen], clear[chosen]))
    (wheel,) = folder.glob("nrt-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if re.search(r"tree_cover.*\.tif$", n)]
        gdal.FileFromMemBuffer("/vsimem/trees.tif", archive.read(name))
    trees = gdal.Open("/vsimem/trees.tif").ReadAsArray()
    trees = np.kron(trees, np.ones((2, 2)))  # 20 m, on the same corner
    forest = (summers[0] > FOREST_NDVI) & (trees > FOREST_COVER)
    lost = summers[0] - summers[1] > LOST_NDVI
    before, after = years
    return Pair(*zip(before, after), changed=lost & forest, known=forest)


def clear_of(cube: Path) -> np.ndarray:
    """Return `(T, H, W)` bool: what the cloud classes of a cube of nrt call clear."""
    classes = gdal.OpenEx(
        f'NETCDF:"{cube}":SCL',
        gdal.OF_RASTER,
        open_options=["IGNORE_XY_AXIS_NAME_CHECKS=YES"],
    )
    return np.isin(classes.ReadAsArray(), CLEAR)


def show(title: str, encoder: Encoder, pairs: Iterator[Pair]) -> None:
    """Print one table of all pixels of all pairs."""
    distances: dict[str, list[np.ndarray]] = {}
    noises: dict[str, list[np.ndarray]] = {}
    truth = []
    for pair in pairs:
        measured, noise = measure(encoder, pair)
        for name, values in measured.items():
            distances.setdefault(name, []).append(values[pair.known])
        for name, values in noise.items():
            noises.setdefault(name, []).append(values[pair.known])
        truth.append(pair.changed[pair.known])
    changed = np.concatenate(truth)
    print(f"\n**{title}**: {len(changed)} pixels, {int(changed.sum())} of them changed.\n")
    print("| distance | ROC AUC | precision | unchanged | changed | noise floor | its ratio |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, parts in distances.items():
        values = np.concatenate(parts)
        known = np.isfinite(values)
        auc = roc_auc_score(changed[known], values[known])
        precision = average_precision_score(changed[known], values[known])
        still, moved = (np.median(values[known & (changed == kind)]) for kind in (False, True))
        floor = ratio = "-"
        if name in noises:
            level = np.nanmedian(np.concatenate(noises[name]))
            floor, ratio = f"{level:.4f}", f"{level / moved:.2f}"
        print(
            f"| {name} | {auc:.3f} | {precision:.3f} | {still:.4f} | {moved:.4f} | {floor} "
            f"| {ratio} |"
        )


def measure(encoder: Encoder, pair: Pair) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Every variant of the distance (H, W), and the distance of even and odd dates of a year."""
    shift = days_of_years(round(float(pair.days[1].mean() - pair.days[0].mean()) / 365.25))
    days = [pair.days[0], pair.days[1], pair.days[1] - np.float32(shift)]
    count = len(days[0])
    first, second = np.arange(count), np.arange(count, count + len(days[1]))
    periods = [
        Period(first, days[0]),
        Period(second, days[1]),
        Period(second, days[2]),
        *(Period(first[k::2], days[0][k::2]) for k in (0, 1)),
        *(Period(second[k::2], days[2][k::2]) for k in (0, 1)),
    ]
    reflectance = np.concatenate(pair.reflectance)
    embeddings = [
        vectors.reshape(-1, *vectors.shape[2:])
        for vectors in encoder.encode_periods(reflectance, len(reflectance), periods)
    ]
    before, after, aligned, *halves = embeddings
    cosine, squares = compact_cosine(encoder), SquaredDistance()
    found = {
        BASELINE: baseline(pair, days, masked=True),
        UNMASKED: baseline(pair, days, masked=False),
        COSINE: cosine(before, aligned),
        "cosine, absolute days": cosine(before, after),
        "cosine, years aligned, less the scene's shift": cosine(
            before, aligned - typical(aligned - before)
        ),
        SQUARES: squares(before, aligned),
        "Eq. 12, absolute days (paper)": squares(before, after),
        "Eq. 12, years aligned, less the scene's shift": squares(
            before, aligned - typical(aligned - before)
        ),
    }
    floors = {
        name: np.mean([distance(halves[k], halves[k + 1]) for k in (0, 2)], 0)
        for name, distance in ((COSINE, cosine), (SQUARES, squares))
    }
    return found, floors


def typical(difference: np.ndarray) -> np.ndarray:
    """Return median over the scene: (F, 1, 1)."""
    return np.nanmedian(difference, axis=(1, 2), keepdims=True)


def baseline(pair: Pair, days: list[np.ndarray], masked: bool) -> np.ndarray:
    """Return the paper's GF: both years every five days of their common season, as reflectance."""
    calendar = np.arange(max(days[0][0], days[2][0]), min(days[0][-1], days[2][-1]) + 1, STEP_DAYS)
    filled = []
    for reflectance, when, clear in zip(pair.reflectance, (days[0], days[2]), pair.clear):
        valid = clear[:, None] if masked else True
        values = gap_filled(np.where(valid, reflectance, np.nan), when, calendar)
        filled.append(values.reshape(-1, *values.shape[2:]))
    return SquaredDistance()(filled[0], filled[1])


if __name__ == "__main__":
    main()
