"""Pixels of other places with ten labels a class: what `python -m training gather` has brought.

Small sets of composites that were gathered for other purposes, with a crop or land-cover code each.
A model may have trained on some of them without their labels; the table says on which.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from alise_plugin.sits.acquisitions import days_since_reference
from training.data.gather.samples import LEAST_DATES
from training.data.real import LARGEST_CLOUD, YEAR_DAYS, DataMissingError

from .features import Features
from .probe import drawn, macro_f1

PER_CLASS = 10
# Fewer would leave too few to measure on.
LEAST_SAMPLES = 2 * PER_CLASS
# Of a set; drawn at random from a larger one.
MOST_SAMPLES = 500
DRAWS = 30
GRID_DAYS = 5  # of the paper's gap filling


@dataclass(frozen=True)
class Place:
    """Labelled pixels of one set, each with dates of its own.

    Attributes:
        name: of the set.
        trained_on: whether its index lets a model train on the series.
        reflectance: `(T, 10)` a pixel, NaN where there is no value.
        days: `(T,)` a pixel.
        labels: `(N,)`, of classes with at least `LEAST_SAMPLES` pixels.
    """

    name: str
    trained_on: bool
    reflectance: list[np.ndarray]
    days: list[np.ndarray]
    labels: np.ndarray


def load(folder: Path) -> list[Place]:
    """Return the labelled sets of a folder that `gather` wrote.

    Raises:
        DataMissingError: there is no index, or no labelled set.
    """
    try:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise DataMissingError(
            f"No index of places at {folder / 'index.json'}: write one with "
            "python -m training gather."
        ) from error
    places = []
    for entry in index:
        with np.load(folder / entry["file"]) as file:
            if "labels" in file:
                places.append(_place(entry["site"], entry["use"] == "train", file))
    if not places:
        raise DataMissingError(f"No set of {folder} has labels: gather more repositories.")
    return places


def _place(name: str, trained_on: bool, file: np.lib.npyio.NpzFile) -> Place:
    held = np.sort(np.random.default_rng(0).permutation(len(file["labels"]))[:MOST_SAMPLES])
    labels = file["labels"][held]
    classes, counts = np.unique(labels, return_counts=True)
    chosen = held[np.isin(labels, classes[counts >= LEAST_SAMPLES])]
    bounds = list(itertools.pairwise(file["offset"].tolist()))
    dn, cloud, dates = file["reflectance"], file["cloud"], file["dates"]
    reflectance, days = [], []
    for start, stop in (bounds[pixel] for pixel in chosen):
        clear = cloud[start:stop] <= LARGEST_CLOUD
        # Too few clear ones say less than all of them.
        shown = np.flatnonzero(clear) if clear.sum() >= LEAST_DATES else np.arange(stop - start)
        values = dn[start:stop][shown] / np.float32(10000.0)
        values[values == 0] = np.nan
        reflectance.append(values)
        when = [date.fromisoformat(str(day)) for day in dates[start:stop][shown]]
        days.append(days_since_reference(when))
    return Place(name, trained_on, reflectance, days, file["labels"][chosen])


def by_season(place: Place) -> np.ndarray:
    """Return Gap-filled raw series on a grid of one year, whatever year they are of: `(N, D)`."""
    grid = np.arange(0, YEAR_DAYS, GRID_DAYS)
    out = np.zeros((len(place.labels), len(grid), 10), np.float32)
    for n, (pixel, days) in enumerate(zip(place.reflectance, place.days, strict=True)):
        for b, band in enumerate(pixel.T):
            ok = np.isfinite(band)
            if ok.any():
                out[n, :, b] = np.interp(grid, days[ok] % YEAR_DAYS, band[ok], period=YEAR_DAYS)
    return out.reshape(len(out), -1)


def one_by_one(features: Features) -> Callable[[Place], np.ndarray]:
    """Return a way to make vectors of pixels that share no dates: `(N, D)`."""

    def vectors(place: Place) -> np.ndarray:
        pairs = zip(place.reflectance, place.days, strict=True)
        return np.concatenate([features(pixel[None], days) for pixel, days in pairs])

    return vectors


def ten_labels(vectors: np.ndarray, labels: np.ndarray, draws: int = DRAWS) -> float:
    """Return mean macro-F1 over draws of ten labels a class, measured on all the others.

    Args:
        vectors: features `(N, D)`.
        labels: `(N,)`.
        draws: how many.
    """
    rng = np.random.default_rng(0)
    scores = []
    for _ in range(draws):
        train = drawn(labels, PER_CLASS, rng)
        test = np.setdiff1d(np.arange(len(labels)), train)
        scores.append(macro_f1(vectors[train], labels[train], vectors[test], labels[test]))
    return float(np.mean(scores))
