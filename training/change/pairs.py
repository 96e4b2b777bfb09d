"""Two years of one place, and which crops stood there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# The crop codes of RotCrop (Figure 11, completed in the order of section IV-A4); every other code
# is background.
CROPS = {
    5: "rapeseed",
    6: "cereal",
    7: "proteaginous",
    8: "soybean",
    9: "sunflower",
    10: "maize",
    11: "rice",
    12: "tubers",
    13: "grassland",
}


@dataclass(frozen=True)
class AnnualSeries:
    """A year of a place.

    Attributes:
        reflectance: `(T, 10, H, W)` float32, 1.0 = 100 %, NaN where there is no value.
        days: `(T,)` float32, ascending, since 2014-03-03.
        clear: `(T, H, W)` bool: what the cloud mask calls valid; only the baseline asks for it.
    """

    reflectance: np.ndarray
    days: np.ndarray
    clear: np.ndarray


@dataclass(frozen=True)
class Rotation:
    """Two annual series of one place.

    Attributes:
        name: of the place.
        before: the first year.
        after: the second.
        crop_before: `(H, W)` int64 codes of the first year.
        crop_after: the same of the second.
        changed: `(H, W)` bool.
    """

    name: str
    before: AnnualSeries
    after: AnnualSeries
    crop_before: np.ndarray
    crop_after: np.ndarray
    changed: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """Return `(H, W)` bool: a crop stood there in both years; the rest is background."""
        codes = list(CROPS)
        return np.isin(self.crop_before, codes) & np.isin(self.crop_after, codes)
