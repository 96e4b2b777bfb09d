"""How QGIS shows an image series: one clear date in natural colour."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...errors import SeriesError
from ...sentinel2 import BANDS
from ...sits.build import PlannedDate, SeriesPlan
from ...sits.grid import Window
from ...sits.series import ImageSeries
from .style import color_style, write_style

_NATURAL = ("B04", "B03", "B02")  # red, green, blue


_BRIGHT = 0.2  # reflectance that is shown in full brightness


_DATES = 12  # that are looked at where no product states its clouds


_SIDE = 16  # pixels: windows of a date that are looked at


_PLACES = (0.25, 0.75)  # of the windows, as shares of width and height


_CLEARLY = 0.9  # of the valid pixels of the best date: a date with fewer lies at a swath edge


def write_series_style(series: ImageSeries, plan: SeriesPlan) -> None:
    """Write the style of a series beside it.

    Args:
        series: just written.
        plan: that it was written from.

    Raises:
        OutputError: the folder does not take it.
    """
    write_style(series.path, natural_color(_clear_date(series, plan)))


def natural_color(number: int) -> str:
    """Return the style that shows one date of a series, by its number from 0 on."""
    bands = [number * len(BANDS) + BANDS.index(name) + 1 for name in _NATURAL]
    return color_style(bands, _BRIGHT)


def _clear_date(series: ImageSeries, plan: SeriesPlan) -> int:
    """Return the date that shows most of the ground, as products state or a few pixels show."""
    shown = [
        number
        for number, item in enumerate(plan.dates)
        if all(name in item.acquisition.layers for name in _NATURAL)
    ] or [0]
    usable = {number: _usable(plan.dates[number]) for number in shown}
    stated = {number: share for number, share in usable.items() if share is not None}
    if stated:
        return max(stated, key=lambda number: stated[number])
    some = [shown[i] for i in np.unique(np.linspace(0, len(shown) - 1, _DATES).astype(int))]
    blue = {number: _blue(series, number) for number in some}
    most = max(len(values) for values in blue.values())
    if not most:
        return shown[0]
    covering = {number: v for number, v in blue.items() if len(v) and len(v) >= _CLEARLY * most}
    return int(
        min(covering, key=lambda number: float(np.mean(covering[number])))
    )  # clouds are bright


def _usable(item: PlannedDate) -> float | None:
    """Return share of a date that shows the ground, 0 to 1; None where nobody states its clouds."""
    cloud, valid = item.fractions.cloud, item.fractions.valid
    if cloud is None:
        clouds = [product.cloud for product in item.products if product.cloud is not None]
        valids = [product.valid for product in item.products if product.valid is not None]
        if not clouds:
            return None
        cloud, valid = max(clouds), min(valids, default=1.0)
    return (1 - cloud) * (1.0 if valid is None else valid)


def _blue(series: ImageSeries, number: int) -> NDArray[np.float32]:
    """Return reflectance of B02 of some pixels of a date, those that have a value."""
    whole = series.grid.window
    width, height = min(_SIDE, whole.width), min(_SIDE, whole.height)
    values = []
    for y in _PLACES:
        for x in _PLACES:
            col, row = int(x * (whole.width - width)), int(y * (whole.height - height))
            try:
                window = series.read(Window(col, row, width, height), number)
            except SeriesError:  # a file that cannot be read is said where it is needed
                continue
            values.append(window[BANDS.index("B02")].ravel())
    found = np.concatenate(values) if values else np.empty(0, np.float32)
    return np.asarray(found[np.isfinite(found)])
