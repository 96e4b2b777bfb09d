"""Observations that a mask calls clear and the dates around them do not.

Masks miss haze and the edges of shadows. What is trained to foretell them learns to brighten
winters and darken summers, for no other date says when they come.
"""

from __future__ import annotations

import numpy as np

from alise_plugin.sits.bands import BANDS

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
