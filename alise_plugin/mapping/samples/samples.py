"""Samples: features of pixels together with their class or measured value."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..features.source import FeatureSource
from ..labels.layers import Labels, Values

# What lies on features: classes, or measured values.
Truth = TypeVar("Truth", bound="Labels | Values", covariant=True)


@dataclass(frozen=True)
class LabelledSource(Generic[Truth]):
    """Features and the labels that lie on them."""

    source: FeatureSource
    labels: Truth

    @property
    def name(self) -> str:
        """File of the features."""
        return os.path.basename(self.source.path)


@dataclass(frozen=True)
class Samples:
    """Labelled pixels.

    Attributes:
        features: `(N, F)` float32.
        target: `(N,)` place of the class in the list of classes, of which some may be absent.
        group: `(N,)` pixels of one group are never split between training and validation.
        notes: sentences about what was left out.
    """

    features: NDArray[np.float32]
    target: NDArray[np.int64]
    group: NDArray[np.int64]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ValueSamples:
    """Pixels where something was measured.

    Attributes:
        features: `(N, F)` float32.
        value: `(N,)` what was measured.
        area: `(N,)` pixels of one area have one value; each pixel of a raster is its own.
        group: `(N,)` pixels of one group are never split between training and validation.
        notes: sentences about what was left out.
    """

    features: NDArray[np.float32]
    value: NDArray[np.float64]
    area: NDArray[np.int64]
    group: NDArray[np.int64]
    notes: list[str] = field(default_factory=list)


@dataclass
class ChosenPixels:
    """Pixels of one source, chosen for their labels."""

    row: NDArray[np.int64]
    col: NDArray[np.int64]
    area: NDArray[np.int64]
    target: NDArray[np.number]  # place of the class, or what was measured
    rank: NDArray[np.int64]  # among the pixels of its area, in the order of chance
    priority: NDArray[np.uint64]

    def take(self, chosen: NDArray) -> ChosenPixels:
        """Return some of the pixels."""
        parts = (self.row, self.col, self.area, self.target, self.rank, self.priority)
        return ChosenPixels(*(part[chosen] for part in parts))
