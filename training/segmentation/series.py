"""Labelled image series and the sets that hold them."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from alise_plugin.errors import AliseError
from alise_plugin.model.heads.class_head import MapClass

IGNORED = -1
"""Target of a pixel that neither trains nor counts: background, void, or no label at all."""


class LabelledDataError(AliseError):
    """A folder of labelled series is not there, or not laid out as published."""


@dataclass(frozen=True)
class LabelledSeries:
    """One image series and what stood there.

    Attributes:
        name: of the series, for messages.
        reflectance: `(T, 10, H, W)` float32, 1.0 = 100 %, NaN where there is no value.
        days: `(T,)` float32, ascending, since 2014-03-03.
        labels: `(H, W)` int64, codes as published.
    """

    name: str
    reflectance: np.ndarray
    days: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Split:
    """Places of the series of one experiment in their set."""

    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]


class LabelledSet(Protocol):
    """What a reader of labelled series offers.

    Attributes:
        classes: the classes that are learned; every other code is ignored.
    """

    classes: tuple[MapClass, ...]

    def __len__(self) -> int:
        """Return number of series."""

    def read(self, index: int) -> LabelledSeries:
        """Return one series."""

    def labels(self, index: int) -> np.ndarray:
        """Return `(H, W)` codes of one series, without reading its images."""

    def splits(self) -> list[Split]:
        """Return the experiments whose scores are averaged."""


def named_classes(names: dict[int, str]) -> tuple[MapClass, ...]:
    """Return classes of codes and names, with colours that are as far apart as they can be."""
    found = []
    for place, (code, name) in enumerate(names.items()):
        # Neighbours in the list lie a golden angle apart and differ in lightness too.
        rgb = colorsys.hls_to_rgb(place * 0.618 % 1.0, (0.42, 0.6, 0.5)[place % 3], 0.65)
        color = "#" + "".join(f"{round(255 * part):02x}" for part in rgb)
        found.append(MapClass(code, name, color))
    return tuple(found)


def targets(labels: np.ndarray, classes: tuple[MapClass, ...]) -> np.ndarray:
    """Map codes to places in `classes`; `IGNORED` for every code that is none of them."""
    found = np.full(labels.shape, IGNORED, np.int64)
    for place, one in enumerate(classes):
        found[labels == one.code] = place
    return found


def rotating_folds(fold: np.ndarray) -> list[Split]:
    """Return the five experiments of PASTIS: three folds train, the next validates, the next tests.

    Args:
        fold: `(N,)` number of the fold of each series, 1 to 5.
    """
    experiments = []
    for first in range(5):
        order = [(first + step) % 5 + 1 for step in range(5)]
        parts = (np.isin(fold, part) for part in (order[:3], order[3:4], order[4:]))
        experiments.append(Split(*(tuple(np.flatnonzero(part).tolist()) for part in parts)))
    return experiments
