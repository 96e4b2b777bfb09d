"""Pixels spread evenly over a map: a sample of its features."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ...sits.grid import Window

SIDE = 32  # pixels: windows that are sampled, without a halo


_PIXELS = 5000  # of a strip or window, at most about


def valid_pixels(features: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Return `(pixels, features)` of pixels that have values, a few thousand evenly among them.

    One pixel of zeros where none has.
    """
    pixels = features.reshape(count, -1)
    chosen = np.flatnonzero(np.isfinite(pixels[0]))
    chosen = chosen[:: max(1, len(chosen) // _PIXELS)]
    return pixels[:, chosen].T if len(chosen) else np.zeros((1, count), dtype=np.float32)


def grown(window: Window, whole: Window) -> Window:
    """Return a window of a narrow map with what lies beside it, up to the side of a sample."""
    width, height = max(window.width, SIDE), max(window.height, SIDE)
    col = max(0, min(window.col - (width - window.width) // 2, whole.width - width))
    row = max(0, min(window.row - (height - window.height) // 2, whole.height - height))
    return Window(col, row, min(width, whole.width), min(height, whole.height))


def spread_windows(inner: Window, count: int) -> Iterator[Window]:
    """Yield windows spread evenly over another, in an order in which any first few are spread too.

    The points of the additive recurrence of the plastic number (R2 sequence).
    """
    width, height = min(SIDE, inner.width), min(SIDE, inner.height)
    for index in range(count):
        x, y = (0.5 + 0.7548776662 * index) % 1, (0.5 + 0.5698402910 * index) % 1
        yield Window(
            inner.col + int(x * (inner.width - width + 1)),
            inner.row + int(y * (inner.height - height + 1)),
            width,
            height,
        )
