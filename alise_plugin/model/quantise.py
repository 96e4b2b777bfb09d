"""Features in one byte each: a fixed range per feature, 255 levels, 0 for "no value"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

NODATA = 0
_LEVELS = 254  # steps between raw 1 and raw 255
_TAILS = (0.5, 99.5)  # per cent of the sample: its spread
_MARGIN = 0.4  # of the spread, on either side, for what the sample did not see
_LEAST_SPREAD = 1e-6  # a feature that is constant in the sample still has a scale


@dataclass(frozen=True)
class Quantiser:
    """value = raw x scale + offset, for raw 1 to 255.

    Half a step is 0.35 % of a feature's spread (its range from the 0.5th to the 99.5th percentile
    of the sample), which is the largest error inside the range; values outside are clipped.

    Attributes:
        scale: `(features,)` float64.
        offset: `(features,)` float64.
    """

    scale: NDArray[np.float64]
    offset: NDArray[np.float64]

    @classmethod
    def from_sample(cls, sample: NDArray[np.floating[Any]]) -> Quantiser:
        """Return ranges from sampled pixels.

        Args:
            sample: `(pixels, features)`, finite, at least one pixel.
        """
        low, high = np.percentile(sample, _TAILS, axis=0).astype(np.float64)
        spread = np.maximum(high - low, _LEAST_SPREAD)
        scale = spread * (1 + 2 * _MARGIN) / _LEVELS
        return cls(scale, low - _MARGIN * spread - scale)

    def encode(self, features: NDArray[np.floating[Any]]) -> tuple[NDArray[np.uint8], int]:
        """Return `(features, H, W)` values to bytes, and how many were clipped; NaN becomes 0."""
        column = (slice(None), None, None)
        scale, offset = self.scale.astype(np.float32), self.offset.astype(np.float32)
        raw = features - offset[column]
        raw /= scale[column]
        np.rint(raw, out=raw)
        clipped = int(np.count_nonzero((raw < 1) | (raw > 255)))
        np.clip(raw, 1, 255, out=raw)
        raw[np.isnan(raw)] = NODATA
        return raw.astype(np.uint8), clipped

    def decode(self, raw: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return `(features, H, W)` bytes to values; 0 becomes NaN."""
        column = (slice(None), None, None)
        values = raw * self.scale.astype(np.float32)[column]
        values += self.offset.astype(np.float32)[column]
        values[raw == NODATA] = np.nan
        return values
