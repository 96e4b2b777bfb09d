"""The order of bands that nothing describes, as the spectra of land show it.

Between 740 and 865 nm (B06, B07, B08, B8A) the reflectance of vegetation and soil rises slowly and
never jumps, and beyond, B12 lies below B11 (Jensen 2007, Remote Sensing of the Environment, chapter
11). In a wrong order a band of the red edge or the shortwave stands in that row, and the spectrum
jumps. Pixels of water, cloud and snow tell nothing and are left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import SeriesError
from ..sentinel2 import BANDS
from .bands import PRODUCT_ORDERS

_LEAST_PIXELS = 100  # of land: fewer decide nothing
_MARGIN = 0.1  # by which the best order has to beat the next
_OFFSET_DN = 1000
_VISIBLE_SHARE = 0.6  # of the third largest of the other bands: more is water, cloud or snow
# Largest median steps of the logarithm between neighbours, a little above the largest of 132
# groups of images of 31 real places (0.37, 0.11 and 0.13).
_STEPS = {("B06", "B07"): 0.40, ("B07", "B08"): 0.15, ("B08", "B8A"): 0.17}
# What the median of the logarithm of the first less that of the second may be at most (-0.08,
# -0.10 and 0.06 in the same images, and always below 0 for B04 and B05).
_BELOW = {
    ("B04", "B05"): 0.0,
    ("B05", "B06"): 0.0,
    ("B12", "B11"): -0.03,
    ("B02", "B04"): 0.1,
}
_SORTED = (*BANDS[:7], "B11", "B12", "B8A")  # names in the order of the alphabet
_TEN_METRES = ("B02", "B03", "B04", "B08", "B05", "B06", "B07")


@dataclass(frozen=True)
class Order:
    """An order of the bands of one date.

    Attributes:
        bands: their names; others than BANDS are not read.
        words: how to call it.
    """

    bands: tuple[str, ...]
    words: str


def known_orders(count: int) -> list[Order]:
    """Return the orders that programs write a number of bands in, the usual one first."""
    orders = {
        10: [
            Order(_SORTED, "of sorted names, B8A last"),
            Order((*_TEN_METRES, "B8A", "B11", "B12"), "with the bands of 10 m first"),
            Order((*_TEN_METRES, "B11", "B12", "B8A"), "with the bands of 10 m first, B8A last"),
        ],
        12: [
            Order(("B01", *BANDS[:7], "B09", "B11", "B12", "B8A"), "of sorted names, B8A last"),
            Order(
                (*_TEN_METRES, "B8A", "B11", "B12", "B01", "B09"),
                "by resolution, the bands of 10 m first",
            ),
            Order(
                (*_TEN_METRES, "B11", "B12", "B8A", "B01", "B09"),
                "by resolution, the bands of 10 m first, B8A after B12",
            ),
        ],
    }
    usual = Order(tuple(PRODUCT_ORDERS[count]), "of wavelengths")
    return [usual, *orders.get(count, [])]


def without_offset(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the pixels of one date that have a value in every band, DN without their offset.

    Args:
        values: `(bands, pixels)` as stored, NaN without a value.
    """
    kept = np.asarray(values[:, np.isfinite(values).all(0)], np.float64)
    if kept.size and np.percentile(kept, 1) >= _OFFSET_DN - 100:
        kept = kept - _OFFSET_DN  # as products since 2022-01-25 hold it
    return kept


def choose_order(name: str, pixels: NDArray[np.float64]) -> Order:
    """Return the order that the spectra of land show.

    Args:
        name: of the image or images, for messages.
        pixels: `(bands, n)` of `without_offset`, of one date or several.

    Raises:
        SeriesError: they show too little land, or fit no known order, or several.
    """
    orders = known_orders(len(pixels))
    jumps = [_jump(order, pixels) for order in orders]
    best, second = (int(place) for place in np.argsort(jumps)[:2])
    if math.isfinite(jumps[best]) and jumps[second] - jumps[best] >= _MARGIN:
        return orders[best]
    raise SeriesError(
        f"{name} names none of its {len(pixels)} bands, and its spectra do not tell their order; "
        "give BAND_ORDER, the names of the bands of a date in their order (B02, B03, ...)."
    )


def _jump(order: Order, pixels: NDArray[np.float64]) -> float:
    """Return how far the spectra of land jump in an order; infinity if they cannot be in it."""
    rows = dict(zip(order.bands, pixels))
    visible = np.stack([rows[band] for band in ("B02", "B03", "B04")])
    rest = np.stack([rows[band] for band in BANDS[3:]])
    land = (visible.min(0) > 0) & (rest.min(0) > 0)
    land &= visible.mean(0) < _VISIBLE_SHARE * np.sort(rest, axis=0)[-3]
    if np.count_nonzero(land) < _LEAST_PIXELS:
        return math.inf
    logs = {band: np.log(values[land]) for band, values in rows.items() if band in BANDS}
    greenness = logs["B08"] - logs["B04"]
    green = greenness >= np.quantile(greenness, 0.75)
    total = 0.0
    for (first, second), most in _STEPS.items():
        steps = np.abs(logs[second] - logs[first])
        step = float(np.median(steps))
        # Vegetation tells what soil, whose spectrum is nearly a line, does not.
        if max(step, float(np.median(steps[green]))) > most:
            return math.inf
        total += step
    for (lower, higher), most in _BELOW.items():
        if np.median(logs[lower] - logs[higher]) > most:
            return math.inf
    return total
