"""The same pixels, seen worse: fewer bands, fewer dates, one season."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import numpy as np

from alise_plugin.sentinel2 import BANDS, REFERENCE_DATE

from .arkansas import CropPixels

TEN_METRE = ("B02", "B03", "B04", "B08")
SIX = (*TEN_METRE, "B8A", "B11")
SEASON_MONTHS = (5, 6, 7, 8)


def keep_bands(names: tuple[str, ...]) -> Callable[[CropPixels], CropPixels]:
    """Return a series in which only the bands named have a value."""

    def reduce(data: CropPixels) -> CropPixels:
        absent = [BANDS.index(band) for band in BANDS if band not in names]
        reflectance = data.reflectance.copy()
        reflectance[..., absent] = np.nan
        return CropPixels(reflectance, data.days, data.labels, data.lonlat)

    return reduce


def keep_dates(which: Callable[[np.ndarray], np.ndarray]) -> Callable[[CropPixels], CropPixels]:
    """Return a series with only the dates that `which(days)` (bool, `(T,)`) names."""

    def reduce(data: CropPixels) -> CropPixels:
        keep = which(data.days)
        return CropPixels(data.reflectance[:, keep], data.days[keep], data.labels, data.lonlat)

    return reduce


def in_season(days: np.ndarray) -> np.ndarray:
    """Return whether a day falls in the four months of northern summer."""
    months = [(REFERENCE_DATE + timedelta(days=int(day))).month for day in days]
    return np.isin(months, SEASON_MONTHS)


REDUCTIONS: dict[str, Callable[[CropPixels], CropPixels]] = {
    "four bands (10 m)": keep_bands(TEN_METRE),
    "six bands": keep_bands(SIX),
    "half the dates": keep_dates(lambda days: np.arange(len(days)) % 2 == 0),
    "one season (May to August)": keep_dates(in_season),
}
