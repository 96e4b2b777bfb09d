"""How far two aligned vectors lie apart."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .encoder import Encoder

Float = NDArray[np.float32]
# Two vectors of each place, `(F, ...)` twice, NaN where there is none -> `(...)`.
Distance = Callable[[Float, Float], Float]


def squared_distance(before: Float, after: Float) -> Float:
    """Mean squared difference over the first axis (paper, Eq. 12): `(F, ...)` -> `(...)`.

    Features that one side lacks do not count; NaN where no feature has both.
    """
    difference = after - before
    np.square(difference, out=difference)
    if not np.isnan(difference).any():
        return difference.mean(0)
    known = np.isfinite(difference)
    difference[~known] = 0
    count = known.sum(0)
    with np.errstate(invalid="ignore"):
        return np.where(count > 0, difference.sum(0) / count, np.nan).astype(np.float32)


def cosine_distance(before: Float, after: Float) -> Float:
    """1 - the cosine of the angle between two vectors: `(F, ...)` -> `(...)`, 0 to 2.

    Half the squared distance of both at length 1, which is exactly 0 for equal ones. NaN where one
    side has no value.
    """
    difference = _unit(after) - _unit(before)
    np.square(difference, out=difference)
    return difference.sum(0) / 2


def _unit(vectors: Float) -> Float:
    length = np.sqrt(np.square(vectors).sum(0))
    return vectors / np.maximum(length, np.finfo(np.float32).tiny)


def compact_cosine(encoder: Encoder) -> Distance:
    """`cosine_distance` of the compact forms, or of all features if the model has none.

    The principal components that the compact form leaves out hold little of what changes between
    years, and much of what differs between two sets of dates of one year (README, "What changed").
    """
    if encoder.package.compact is None:
        return cosine_distance
    return lambda before, after: cosine_distance(encoder.compact(before), encoder.compact(after))
