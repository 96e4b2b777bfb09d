"""Crop pixels of Arkansas: linear probe with many and with few labels (evaluation only).

The file's repository states no licence: it is read from outside the project, never copied into it
and never trained on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from alise_plugin.sits.acquisitions import days_since_reference
from training.data.real import DataMissingError

from .features import Features
from .probe import few_label_macro_f1, macro_f1

BANDS = 6  # of latitude


@dataclass(frozen=True)
class CropPixels:
    """Labelled pixels of one year.

    Attributes:
        reflectance: `(N, T, 10)`, NaN where no composite exists.
        days: `(T,)` since 2014-03-03.
        labels: `(N,)` class names.
        lonlat: `(N, 2)` degrees.
    """

    reflectance: np.ndarray
    days: np.ndarray
    labels: np.ndarray
    lonlat: np.ndarray

    @property
    def north(self) -> np.ndarray:
        """Return `(N,)` bool: the northern quarter, held out from training."""
        latitude = self.lonlat[:, 1]
        return np.asarray(latitude >= np.quantile(latitude, 0.75))

    def subset(self, keep: np.ndarray) -> CropPixels:
        """Return the pixels that an index array or a mask names."""
        return CropPixels(self.reflectance[keep], self.days, self.labels[keep], self.lonlat[keep])


def load(path: Path, pixels: int | None = None, seed: int = 0) -> CropPixels:
    """Read the file; with `pixels`, a random subset of that many.

    Raises:
        DataMissingError: there is no such file.
    """
    if not path.exists():
        raise DataMissingError(f"There are no crop pixels at {path}: give the folder of the data.")
    with np.load(path) as file:
        reflectance = file["reflectance"].astype(np.float32) / 10000.0
        reflectance[~file["valid"]] = np.nan
        days = days_since_reference([date.fromisoformat(str(d)) for d in file["dates"]])
        data = CropPixels(reflectance, days, file["labels"], file["lonlat"])
    if pixels is None or pixels >= len(data.labels):
        return data
    return data.subset(np.random.default_rng(seed).permutation(len(data.labels))[:pixels])


def score(data: CropPixels, features: Features) -> tuple[float, float]:
    """Return Macro-F1 on the northern quarter with all labels of the rest, and with ten a class."""
    return score_vectors(data, features(data.reflectance, data.days))


def score_vectors(data: CropPixels, vectors: np.ndarray) -> tuple[float, float]:
    """Return the same of features `(N, D)` that are there already."""
    north = data.north
    split = (vectors[~north], data.labels[~north], vectors[north], data.labels[north])
    # What is left out to choose the regularisation is another latitude too, as the test is.
    latitude = data.lonlat[~north, 1]
    bands = np.searchsorted(np.quantile(latitude, np.linspace(0, 1, BANDS + 1)[1:-1]), latitude)
    return macro_f1(*split, groups=bands), few_label_macro_f1(*split)
