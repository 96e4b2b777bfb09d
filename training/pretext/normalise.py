"""Robust normalisation of reflectance (ALISE section IV-A, after U-BARN)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class BandStatistics:
    """Per-band statistics, `(10,)` each, in reflectance, in the order of `BANDS`."""

    median: np.ndarray
    q05: np.ndarray
    q95: np.ndarray


# Published statistics of the authors' European pre-training set, there in DN = reflectance x 10^4.
EUROPE = BandStatistics(
    median=np.array([414, 675, 570, 1132, 2374, 2744, 2885, 3016, 2003, 1117]) / 1e4,
    q05=np.array([130, 247, 168, 442, 907, 1044, 1069, 1160, 493, 299]) / 1e4,
    q95=np.array([3780, 3704, 3554, 3885, 4644, 5296, 5478, 5494, 3747, 2892]) / 1e4,
)
# What stands for a value that is not there: the median of its band.
MISSING_VALUE = 0.0


# Reflectance that clear ground without snow has: more is a cloud that a mask has missed.
GROUND = (0.0, 0.7)


def normalise(reflectance: Tensor, statistics: BandStatistics = EUROPE) -> Tensor:
    """Clip to [q05, q95], subtract the median, divide by q95 - q05; NaN becomes `MISSING_VALUE`.

    Args:
        reflectance: (..., 10, H, W), 1.0 = 100 %.
        statistics: of the bands.
    """
    median, low, high = _columns(statistics, reflectance)
    image = (reflectance.clamp(min=low, max=high) - median) / (high - low)
    return image.nan_to_num(nan=MISSING_VALUE)


def normalise_target(reflectance: Tensor, statistics: BandStatistics = EUROPE) -> Tensor:
    """Do as `normalise`, for what is to be predicted: clipped to `GROUND` only.

    A model that learns from clipped targets never decodes dark water or a canopy at its brightest.
    """
    median, low, high = _columns(statistics, reflectance)
    image = (reflectance.clamp(*GROUND) - median) / (high - low)
    return image.nan_to_num(nan=MISSING_VALUE)


def _columns(statistics: BandStatistics, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return median, q05 and q95 as (10, 1, 1)."""
    median, low, high = (
        torch.as_tensor(values, dtype=torch.float32, device=like.device)[:, None, None]
        for values in (statistics.median, statistics.q05, statistics.q95)
    )
    return median, low, high
