"""How many unchanged pixels each threshold of Detect change flags, cover by cover.

    python -m benchmarks.false_alarms [--model models/alise-s2] [--nrt FOLDER] [--places 24]

Each threshold is asked for 5 % where it takes a rate. Prints the share of unchanged pixels above it
and F1 of change, beside F1 of the best threshold that knows the truth. Intervals are 95 % of 1000
resamples of places (of blocks of 16 x 16 pixels in Romania). Covers are those of the first year.
The truth of Romania is weak: see `benchmarks.change`.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.metrics import precision_recall_curve

from alise_plugin.mapping.change.threshold import ThresholdRule, threshold_of
from alise_plugin.model.distance import compact_cosine
from alise_plugin.model.encoder import Encoder
from alise_plugin.model.package import load_package
from alise_plugin.model.spatial_features import Period
from alise_plugin.sits.years import days_of_years
from benchmarks.change import PROJECT, Pair, romania
from training.change.pairs import CROPS
from training.change.simulated import simulated_rotations

RATE = 0.05  # asked for
RULES = ("noise", "otsu", "mixture", "unchanged")
RESAMPLES = 1000
BLOCK = 16  # pixels
LEAST = 100  # unchanged pixels of a cover


@dataclass(frozen=True)
class Pixels:
    """Known pixels of all places: distance, noise, truth, cover and place, each `(n,)`."""

    distance: np.ndarray
    noise: np.ndarray
    changed: np.ndarray
    cover: np.ndarray
    place: np.ndarray


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
    print(f"Model: {package.model_id}. Asked for: {RATE:.0%}.")
    if args.places:
        show(f"Simulated rotations, {args.places} places", rotations(encoder, args.places))
    if args.nrt:
        show("Romania, 2018 against 2020, forest", forest(encoder, args.nrt))


def rotations(encoder: Encoder, places: int) -> Pixels:
    """Return the pixels of simulated fields."""
    parts = []
    for number, rotation in enumerate(simulated_rotations(places)):
        years = rotation.before, rotation.after
        pair = Pair(
            (years[0].reflectance, years[1].reflectance),
            (years[0].days, years[1].days),
            (years[0].clear, years[1].clear),
            rotation.changed,
            rotation.known,
        )
        distance, noise = distances(encoder, pair)
        cover = np.vectorize(lambda code: CROPS.get(code, ""))(rotation.crop_before)
        place = np.full(distance.shape, number)
        parts.append([a[pair.known] for a in (distance, noise, pair.changed, cover, place)])
    return Pixels(*(np.concatenate(columns) for columns in zip(*parts)))


def forest(encoder: Encoder, folder: Path) -> Pixels:
    """Return the forest pixels of the Romanian series."""
    pair = romania(folder)
    distance, noise = distances(encoder, pair)
    rows, cols = np.indices(distance.shape) // BLOCK
    place = np.unique(rows * 1000 + cols, return_inverse=True)[1].reshape(distance.shape)
    cover = np.full(distance.shape, "forest")
    return Pixels(*(a[pair.known] for a in (distance, noise, pair.changed, cover, place)))


def distances(encoder: Encoder, pair: Pair) -> tuple[np.ndarray, np.ndarray]:
    """Return `(H, W)` distances of the two years, and `(H, W)` of even and odd dates of one."""
    years = round(float(pair.days[1].mean() - pair.days[0].mean()) / 365.25)
    days = pair.days[0], pair.days[1] - np.float32(days_of_years(years))
    count = len(days[0])
    first, second = np.arange(count), np.arange(count, count + len(days[1]))
    periods = [
        Period(first, days[0]),
        Period(second, days[1]),
        *(Period(first[k::2], days[0][k::2]) for k in (0, 1)),
    ]
    reflectance = np.concatenate(pair.reflectance)
    before, after, even, odd = (
        vectors.reshape(-1, *vectors.shape[2:])
        for vectors in encoder.encode_periods(reflectance, len(reflectance), periods)
    )
    distance = compact_cosine(encoder)
    return distance(before, after), distance(even, odd)


def show(title: str, pixels: Pixels) -> None:
    """Print one table: thresholds in rows, covers in columns."""
    changed, distance = pixels.changed, pixels.distance
    covers, counts = np.unique(pixels.cover[~changed], return_counts=True)
    covers = covers[counts >= LEAST]
    precision, recall, _ = precision_recall_curve(changed, distance)
    best = float((2 * precision * recall / np.maximum(precision + recall, 1e-9)).max())
    print(f"\n**{title}**: {len(distance)} pixels, {int(changed.sum())} of them changed.")
    print(f"F1 of the best threshold: {best:.2f}.\n")
    print("| threshold | F1 | all unchanged | " + " | ".join(covers) + " |")
    print("| --- " * (3 + len(covers)) + "|")
    # What a user would draw as stable: all unchanged pixels of every third place.
    drawn = ~changed & (pixels.place % 3 == 0)
    for rule in RULES:
        threshold = threshold_of(
            ThresholdRule(rule, false_alarm=RATE), distance, distance[drawn], pixels.noise
        )
        above = distance > threshold
        f1 = 2 * (above & changed).sum() / (above.sum() + changed.sum())
        rest = ~changed & ~drawn if rule == "unchanged" else ~changed
        cells = [share(above, rest, pixels.place)]
        cells += [share(above, rest & (pixels.cover == cover), pixels.place) for cover in covers]
        print(f"| {rule} | {f1:.2f} | " + " | ".join(cells) + " |")


def share(above: np.ndarray, chosen: np.ndarray, place: np.ndarray) -> str:
    """Return the per cent of chosen pixels above a threshold, with its interval over places."""
    if not chosen.any():
        return "-"
    places = int(place.max()) + 1
    total = np.bincount(place[chosen], minlength=places)
    hits = np.bincount(place[chosen], above[chosen], places)
    used = np.flatnonzero(total)
    drawn = np.random.default_rng(0).choice(used, (RESAMPLES, len(used)))
    low, high = np.percentile(hits[drawn].sum(1) / total[drawn].sum(1), [2.5, 97.5])
    return f"{hits.sum() / total.sum():.0%} ({low:.0%} to {high:.0%})"


if __name__ == "__main__":
    main()
