"""Samples: features of pixels together with their class or measured value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..features.features import Features
from ..labels.layers import Labels, Values

# What lies on features: classes, or measured values.
Truth = TypeVar("Truth", bound="Labels | Values", covariant=True)


@dataclass(frozen=True)
class SampleDesign:
    """Which pixels samples are, and which of them are left out together.

    Attributes:
        per_area: most pixels of one polygon (of one class in one block, for label rasters).
        validation: groups are "polygons" (areas on one another count as one) or "blocks".
        block_size: side of the blocks in metres; an area belongs to the block of its middle.
        seed: of the choice.
    """

    per_area: int = 20
    validation: str = "polygons"
    block_size: float = 1000.0
    seed: int = 0


@dataclass(frozen=True)
class LabelledSource(Generic[Truth]):
    """Features and the labels that lie on them."""

    source: Features
    labels: Truth

    @property
    def name(self) -> str:
        """Return file of the features."""
        return self.source.name


@dataclass(frozen=True)
class Samples:
    """Labelled pixels.

    Attributes:
        features: `(N, F)` float32.
        target: `(N,)` place of the class in the list of classes, of which some may be absent.
        group: `(N,)` pixels of one group are never split between training and validation.
        warnings: sentences about what was left out.
    """

    features: NDArray[np.float32]
    target: NDArray[np.int64]
    group: NDArray[np.int64]
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ValueSamples:
    """Pixels where something was measured.

    Attributes:
        features: `(N, F)` float32.
        value: `(N,)` what was measured.
        area: `(N,)` pixels of one area have one value; each pixel of a raster is its own.
        group: `(N,)` pixels of one group are never split between training and validation.
        warnings: sentences about what was left out.
    """

    features: NDArray[np.float32]
    value: NDArray[np.float64]
    area: NDArray[np.int64]
    group: NDArray[np.int64]
    warnings: list[str] = field(default_factory=list)


@dataclass
class ChosenPixels:
    """Pixels of one source, chosen for their labels."""

    row: NDArray[np.int64]
    col: NDArray[np.int64]
    area: NDArray[np.int64]
    target: NDArray[np.number[Any]]  # place of the class, or what was measured
    rank: NDArray[np.int64]  # among the pixels of its area, in the order of chance
    priority: NDArray[np.uint64]

    def take(self, chosen: NDArray[Any]) -> ChosenPixels:
        """Return some of the pixels."""
        parts = (self.row, self.col, self.area, self.target, self.rank, self.priority)
        return ChosenPixels(*(part[chosen] for part in parts))
