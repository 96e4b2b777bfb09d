"""Simulated rotations: other weather, other calendars and other dates in the second year.

The hard case of Figure 10 is part of it: the same crop, sown, cut and harvested on other days.
"""

from __future__ import annotations

import numpy as np

from training.segmentation.farmland import Year, simulate_farmlands
from training.simulation.covers import NAMES

from .pairs import CROPS, AnnualSeries, Rotation

# What grows, and the crop of RotCrop that it counts as; barley after wheat is no change.
GROWN = {
    "rapeseed": "rapeseed",
    "winter wheat": "cereal",
    "winter barley": "cereal",
    "spring cereal": "cereal",
    "soybean": "soybean",
    "sunflower": "sunflower",
    "maize": "maize",
    "rice": "rice",
    "potato": "tubers",
    "meadow": "grassland",
    "pasture": "grassland",
}
# Far from the seeds that pre-training and the other measures draw from.
SEED = 982_451_719
SOWN_ANEW = 0.6


def simulated_rotations(count: int, size: int = 32, seed: int = SEED) -> list[Rotation]:
    """Draw places of two years; what lies between fields is background.

    Args:
        count: how many.
        size: H = W, even.
        seed: the same seed gives the same places.
    """
    code_of = {name: code for code, name in CROPS.items()}
    code = np.zeros(len(NAMES), np.int64)
    for grown, crop in GROWN.items():
        code[NAMES.index(grown)] = code_of[crop]
    found = []
    farmlands = simulate_farmlands(count, 2, seed, tuple(GROWN), size=size, rotation=SOWN_ANEW)
    for number, farmland in enumerate(farmlands):
        before, after = farmland.years
        crops = code[before.cover], code[after.cover]
        found.append(
            Rotation(
                f"farmland {number}",
                _annual(before),
                _annual(after),
                *crops,
                changed=crops[0] != crops[1],
            )
        )
    return found


def _annual(year: Year) -> AnnualSeries:
    return AnnualSeries(year.reflectance, year.days, year.clear)
