"""How far two aligned vectors lie apart, and which of their features carry it."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ..arrays import Float
from .encoder import Encoder


class Distance(Protocol):
    """Of two vectors of each place, `(F, ...)` each, NaN where there is none."""

    def __call__(self, before: Float, after: Float) -> Float:
        """Return the distances, `(...)`."""

    def parts(self, before: Float, after: Float) -> Float:
        """Return what each feature brings to the distance, `(F, ...)`, at least 0, in any unit."""


class SquaredDistance:
    """Mean squared difference over the first axis (paper, Eq. 12).

    Features that one side lacks do not count; NaN where no feature has both.
    """

    def __call__(self, before: Float, after: Float) -> Float:
        """Return the distances."""
        difference = self.parts(before, after)
        if not np.isnan(difference).any():
            return np.asarray(difference.mean(0))
        known = np.isfinite(difference)
        difference[~known] = 0
        count = known.sum(0)
        with np.errstate(invalid="ignore"):
            return np.where(count > 0, difference.sum(0) / count, np.nan).astype(np.float32)

    def parts(self, before: Float, after: Float) -> Float:
        """Return squared differences."""
        difference = after - before
        return np.asarray(np.square(difference, out=difference))


class CosineDistance:
    """1 - the cosine of the angle between two vectors: 0 to 2.

    Half the squared distance of both at length 1, which is exactly 0 for equal ones. NaN where one
    side has no value.
    """

    def __call__(self, before: Float, after: Float) -> Float:
        """Return the distances."""
        return np.asarray(self.parts(before, after).sum(0) / 2)

    def parts(self, before: Float, after: Float) -> Float:
        """Return squared differences of both at length 1."""
        difference = _unit(after)
        difference -= _unit(before)
        return np.square(difference, out=difference)


class CompactCosine:
    """`CosineDistance` of the compact forms that a package makes of all features.

    The principal components that the compact form leaves out hold little of what changes between
    years, and much of what differs between two sets of dates of one year (`docs/change.md`).

    Args:
        encoder: of a package with a compact form.

    Raises:
        ModelPackageError: it has none.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        origin_and_axes = np.eye(encoder.package.n_features + 1, dtype=np.float32)[1:]
        projected = encoder.compact(origin_and_axes)
        self._back = np.ascontiguousarray((projected[:, 1:] - projected[:, :1]).T)

    def __call__(self, before: Float, after: Float) -> Float:
        """Return the distances."""
        return CosineDistance()(self._encoder.compact(before), self._encoder.compact(after))

    def parts(self, before: Float, after: Float) -> Float:
        """Return squared differences at length 1, taken back to all features.

        The components are orthonormal, so that these sum to the squared difference that the
        distance is half of.
        """
        one, two = (self._encoder.compact(vectors) for vectors in (before, after))
        difference = _unit(two) - _unit(one)
        spread = (self._back @ difference.reshape(len(difference), -1)).reshape(before.shape)
        return np.asarray(np.square(spread, out=spread))


def compact_cosine(encoder: Encoder) -> Distance:
    """Return `CompactCosine`, or `CosineDistance` if the model has no compact form."""
    return CompactCosine(encoder) if encoder.package.compact is not None else CosineDistance()


def _unit(vectors: Float) -> Float:
    length = np.sqrt(np.square(vectors).sum(0))
    return np.asarray(vectors / np.maximum(length, np.finfo(np.float32).tiny))
