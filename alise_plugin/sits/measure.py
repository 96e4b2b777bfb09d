"""How much of each acquisition holds values, and how much of that is cloud."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..feedback import Feedback, report_step
from ..sentinel2 import BANDS
from .grid import Grid, Window
from .no_value import RawValues
from .rasters import open_raster, read_bands
from .sources.record import Product
from .target import extent_in
from .vrt.layers import CLOUD, Acquisition
from .vrt.write import series_in_memory

_WHOLE = 1_000_000  # pixels: up to here all are counted
_SPOTS = 4  # beyond, 4 x 4 windows spread over the grid are
_SPOT = 256  # pixels: side of such a window
_STATED = 0.002  # of the grid's size: how well a product must fit it to speak for it


@dataclass(frozen=True)
class Fractions:
    """Shares of one acquisition.

    Attributes:
        valid: of the grid's pixels, those with a value; None if not known.
        cloud: of the valid pixels, those that the product's mask calls cloud; None without mask.
        how: where the figures come from.
    """

    valid: float | None = None
    cloud: float | None = None
    how: str = ""


def measure(
    grid: Grid,
    acquisitions: Sequence[Acquisition],
    products: Sequence[Sequence[Product]],
    feedback: Feedback,
) -> list[Fractions]:
    """Return the fractions of every acquisition.

    What a product states of itself counts where it and the grid have the same extent. Elsewhere
    pixels are counted: all, or those of 16 windows where the grid has more than a million.

    Args:
        grid: of the series.
        acquisitions: its dates.
        products: those of each date.
        feedback: told about every date; may stop.
    """
    stated = [
        _stated(grid, acquisition, items) for acquisition, items in zip(acquisitions, products)
    ]
    rest = [number for number, item in enumerate(stated) if item is None]
    results = [item or Fractions() for item in stated]
    if not rest:
        return results
    windows = _windows(grid)
    how = "counted" if grid.window.pixels <= _WHOLE else f"counted in {len(windows)} windows"
    with series_in_memory(grid, [acquisitions[number] for number in rest]) as (series, masks):
        values, classes = open_raster(series), open_raster(masks)
        for position, number in enumerate(rest):
            report_step(feedback, position, len(rest))
            acquisition = acquisitions[number]
            plane = next(p for p, band in enumerate(BANDS) if band in acquisition.layers)
            if "B04" in acquisition.layers:
                plane = BANDS.index("B04")
            index = position * len(BANDS) + plane + 1
            raw = RawValues.of([values.GetRasterBand(index)])
            pixels = valid = cloud = 0
            for window in windows:
                place = (window.col, window.row, window.width, window.height)
                read = read_bands(values, [index], *place)
                raw.to_reflectance(read)
                observed = np.isfinite(read[0])
                pixels += observed.size
                valid += int(observed.sum())
                if acquisition.masks:
                    mask = read_bands(classes, [position + 1], *place)[0]
                    cloud += int((observed & (mask == CLOUD)).sum())
            share = None
            text = how
            if acquisition.masks:
                share = cloud / valid if valid else None
            else:
                named = [item.cloud for item in products[number] if item.cloud is not None]
                if named:
                    share = float(np.mean(named))
                    text += ", cloud as stated for the whole product"
            results[number] = Fractions(valid / max(pixels, 1), share, text)
        del values, classes
    return results


def _stated(grid: Grid, acquisition: Acquisition, products: Sequence[Product]) -> Fractions | None:
    """Return what the one product of a date states of itself, if it speaks for the grid."""
    if len(products) != 1 or products[0].cloud is None or products[0].valid is None:
        return None
    tolerance = _STATED * max(
        grid.extent[2] - grid.extent[0],
        grid.extent[3] - grid.extent[1],
    )
    for layers in acquisition.layers.values():
        for layer in layers:
            box = extent_in(layer.source.grid, grid.crs_wkt)
            if any(abs(a - b) > tolerance for a, b in zip(box, grid.extent)):
                return None
    return Fractions(products[0].valid, products[0].cloud, "stated by the product")


def _windows(grid: Grid) -> list[Window]:
    if grid.window.pixels <= _WHOLE:
        rows = max(1, _WHOLE // 4 // grid.width)
        return [
            Window(0, row, grid.width, min(rows, grid.height - row))
            for row in range(0, grid.height, rows)
        ]
    width, height = min(_SPOT, grid.width), min(_SPOT, grid.height)
    return [
        Window(
            (grid.width - width) * col // (_SPOTS - 1),
            (grid.height - height) * row // (_SPOTS - 1),
            width,
            height,
        )
        for row in range(_SPOTS)
        for col in range(_SPOTS)
    ]
