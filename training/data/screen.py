"""Observations that a mask calls clear and that are no view of the ground.

Masks miss haze and the edges of shadows, and masks of clouds leave snow in. A model that is trained
to predict these learns to brighten winters and darken summers, for no other date says when they
come.
"""

from __future__ import annotations

import numpy as np

from alise_plugin.sentinel2 import BANDS

# Neighbours further away than this say nothing: fields are ploughed, mown and harvested meanwhile.
REACH_DAYS = 40.0
# Haze raises blue by this, and by as much again for 30 days to the neighbour, and red by no more
# than 1.5 times as much: bare soil after ploughing raises red more (Hagolle et al. 2010, Remote
# Sensing of Environment 114, 1747-1755; there for one neighbour before).
HAZE = 0.03
HAZE_DAYS = 30.0
SOIL_RED = 1.5
# A shadow darkens every band, near infrared to less than this share; mowing brightens red.
SHADOW = 0.7
# Sen2Cor classes without a view of the ground: no data, saturated, cloud shadow, unclassified,
# clouds of two confidences, cirrus (the paper's list, section IV-A), and snow.
HIDDEN_SCL = (0, 1, 3, 7, 8, 9, 10, 11)
# Snow is bright in green and dark at 1.6 um (the index of Dozier 1989, Remote Sensing of
# Environment 28, 9-22; the snow product of Sentinel-2 asks for 0.4 in a first pass and 0.15 in a
# second: Gascoin et al. 2019, Earth System Science Data 11, 493-514). Water has that index too, but
# is dark in blue.
# Blue of 0.25 is none of ground without snow, and tells where there is no B11. With these limits
# 86 % of the clear February dates of the Bavarian field means are snow, 41 % of those of March, and
# 0.1 % of those of April to December.
SNOW_INDEX = 0.3
SNOW_BLUE = 0.12
BRIGHTEST_BLUE = 0.25


def ground_in_sight(
    reflectance: np.ndarray, clear: np.ndarray, scl: np.ndarray | None = None
) -> np.ndarray:
    """Return which observations a mask calls clear and hold ground without snow.

    Every reader of real series whose clear dates become targets asks this function.

    Args:
        reflectance: `(T, 10, H, W)`, 1.0 = 100 %, NaN where there is no value.
        clear: `(T, H, W)` bool, the mask of the source.
        scl: `(T, H, W)` Sen2Cor classes, where the source has them.

    Returns:
        `(T, H, W)` bool, a part of `clear`.
    """
    seen = clear & np.isfinite(reflectance).any(1) & ~snow(reflectance)
    return np.asarray(seen if scl is None else seen & ~np.isin(scl, HIDDEN_SCL))


def snow(reflectance: np.ndarray) -> np.ndarray:
    """Return which observations are snow, by their colour alone.

    Args:
        reflectance: `(T, 10, H, W)`, 1.0 = 100 %. A band that is NaN does not count; without B02
            nothing is called snow.

    Returns:
        `(T, H, W)` bool.
    """
    blue, green, infrared = (reflectance[:, BANDS.index(band)] for band in ("B02", "B03", "B11"))
    with np.errstate(invalid="ignore", divide="ignore"):
        index = (green - infrared) / (green + infrared)
        return np.asarray((blue >= BRIGHTEST_BLUE) | ((index > SNOW_INDEX) & (blue > SNOW_BLUE)))


def doubtful(reflectance: np.ndarray, clear: np.ndarray, days: np.ndarray) -> np.ndarray:
    """Clear observations brighter than haze-free or darker than lit ground was before and after.

    Both neighbours in time must say so, the nearest clear dates of the same pixel within
    `REACH_DAYS` on each side; where one is missing nothing is doubted.

    Args:
        reflectance: `(T, 10, H, W)`, 1.0 = 100 %, NaN where there is no value.
        clear: `(T, H, W)` bool.
        days: `(T,)` ascending.

    Returns:
        `(T, H, W)` bool, a part of `clear`.
    """
    before, days_before = _last_clear(reflectance, clear, days)
    after, days_after = _last_clear(reflectance[::-1], clear[::-1], -days[::-1])
    after, days_after = after[::-1], days_after[::-1]
    near = clear & (days_before <= REACH_DAYS) & (days_after <= REACH_DAYS)
    blue, red = BANDS.index("B02"), BANDS.index("B04")
    with np.errstate(invalid="ignore"):
        above = reflectance - np.maximum(before, after)
        allowed = HAZE * (1 + np.minimum(days_before, days_after) / HAZE_DAYS)
        hazy = (above[:, blue] > allowed) & ~(above[:, red] > SOIL_RED * above[:, blue])
        # A band that the series does not have is not brighter.
        darker = ~(reflectance > np.minimum(before, after)).any(1)
        infrared = BANDS.index("B08")
        if not np.isfinite(reflectance[:, infrared]).any():
            infrared = BANDS.index("B8A")
        lit = np.minimum(before, after)[:, infrared]
        shaded = darker & (reflectance[:, infrared] < SHADOW * lit)
    return np.asarray(near & (hazy | shaded))


def _last_clear(
    reflectance: np.ndarray, clear: np.ndarray, days: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """For each date the clear values before it, and how many days before; NaN and infinity if none.

    Args:
        reflectance: `(T, 10, H, W)`.
        clear: `(T, H, W)`.
        days: `(T,)` ascending.
    """
    values = np.full_like(reflectance, np.nan)
    distance = np.full(clear.shape, np.inf, np.float32)
    last = np.full(reflectance.shape[1:], np.nan, reflectance.dtype)
    seen_on = np.full(clear.shape[1:], -np.inf)
    for t, day in enumerate(days):
        values[t], distance[t] = last, day - seen_on
        last = np.where(clear[t], reflectance[t], last)
        seen_on = np.where(clear[t], day, seen_on)
    return values, distance
