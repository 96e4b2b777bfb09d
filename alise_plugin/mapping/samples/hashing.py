"""A pseudo-random number for each pixel that depends on its place and a seed alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def pixel_hash(numbers: NDArray[np.int64], seed: int) -> NDArray[np.uint64]:
    """Return a random 64-bit number for each number and seed (SplitMix64, Steele et al. 2014).

    A function of the pixel and not a stream, so that the order of reading does not matter.
    """
    with np.errstate(over="ignore"):
        mixed = numbers.astype(np.uint64) + np.uint64((seed * 0x9E3779B97F4A7C15) % 2**64)
        mixed += np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
