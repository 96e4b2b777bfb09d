"""Classes of the visible part of an embedding raster, quickly enough to follow each example."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...arrays import Float
from ...errors import LabelsError, SeriesError
from ...model.heads.head_file import Network
from ...sits.grid import Window
from ..features.embedding_raster import EmbeddingRaster
from .classifier import fit

NO_CLASS = 255  # in a picture of classes
LIVE_CLASSES = 64  # classes at most
KIND = "prototype"
"""The classifier: one of those of Train classifier that needs no scikit-learn."""
_STRENGTH = 1.0

# Values that a screen holds at most: a thousand by a thousand pixels of 64 features.
_MOST_VALUES = 64_000_000
_PART = 1 << 16  # pixels that are classified at once


@dataclass(frozen=True)
class Screen:
    """Vectors of a window of an embedding raster, as coarse as a screen shows it.

    Attributes:
        window: the pixels of the raster that it covers.
        features: `(F, h, w)`, NaN for a pixel without any value.
    """

    window: Window
    features: Float


def read_screen(raster: EmbeddingRaster, extent: Sequence[float], size: tuple[int, int]) -> Screen:
    """Read the vectors of an extent, from overviews where the screen is coarser.

    Args:
        raster: the embedding raster.
        extent: (xmin, ymin, xmax, ymax) in its CRS.
        size: rows and columns of the screen; fewer are read if the vectors are long.

    Raises:
        SeriesError: the extent lies outside, or the file cannot be read.
    """
    window = raster.grid.window_of(extent)
    rows, columns = min(size[0], window.height), min(size[1], window.width)
    shrink = min(1.0, math.sqrt(_MOST_VALUES / (len(raster.names) * rows * columns)))
    shown = max(1, int(rows * shrink)), max(1, int(columns * shrink))
    return Screen(window, raster.read(window, shown))


def read_pixel(raster: EmbeddingRaster, row: int, col: int) -> Float:
    """Return the vector `(F,)` of a pixel.

    Raises:
        SeriesError: the pixel lies outside or has no value.
    """
    grid = raster.grid
    if not (0 <= row < grid.height and 0 <= col < grid.width):
        raise SeriesError(f"This place lies outside {raster.name}: click inside it.")
    vector: Float = raster.read(Window(col, row, 1, 1))[:, 0, 0]
    if not np.isfinite(vector[0]):
        raise SeriesError(f"This pixel of {raster.name} has no value: click another one.")
    return vector


def fit_live(features: Float, target: NDArray[np.int64], classes: int) -> Network:
    """Fit classes to examples, each of which counts the same.

    Args:
        features: `(N, F)`.
        target: `(N,)` place of the class.
        classes: K.

    Raises:
        LabelsError: fewer than two classes have an example.
    """
    if len(np.unique(target)) < 2:
        raise LabelsError("A map needs examples of two classes at least: click one of another.")
    group = np.arange(len(target))
    return fit(KIND, features, target, group, classes, _STRENGTH, seed=0)


def classify(screen: Screen, network: Network) -> tuple[NDArray[np.uint8], Float]:
    """Return `(h, w)` place of the likeliest class, `NO_CLASS` for none, and its probability."""
    features = screen.features.reshape(len(screen.features), -1)
    (weights, bias), *more = network.layers
    assert not more  # nosec B101  # a linear head has one layer
    # Standardisation goes into the weights: one product for all pixels.
    weights = (weights / network.scale[:, None]).T
    bias = bias - weights @ network.mean
    pixels = features.shape[1]
    best, sure = np.empty(pixels, np.uint8), np.empty(pixels, np.float32)
    for start in range(0, pixels, _PART):
        part = slice(start, start + _PART)
        scores = weights @ features[:, part] + bias[:, None]
        top = scores.max(0)
        best[part] = scores.argmax(0)
        sure[part] = 1 / np.exp(scores - top).sum(0)
    best[~np.isfinite(features[0])] = NO_CLASS
    shape = screen.features.shape[1:]
    return best.reshape(shape), sure.reshape(shape)
