"""Neighbourhoods of class probabilities: Bayesian smoothing and majority.

Both look at a square window round each pixel and not further, so a window read with a margin of
half its side gives what the whole map would give.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ...arrays import Float

SMOOTHINGS = ("none", "bayes", "majority")


_LEAST = 1e-4  # probability: the step that probabilities are stored in


_ROWS_BYTES = 8e6  # of neighbours held at a time


def bayes(probabilities: Float, window: int, fraction: float, smoothness: float) -> Float:
    """Smooth probabilities as Camara et al. (2024, Remote Sensing 16, 4572) do.

    A class's logit x is taken as normal round the mean m of its neighbours with their variance
    s2, and as observed with the variance `smoothness`: the posterior mean is
    (s2 x + smoothness m) / (s2 + smoothness). Mean and variance are those of the neighbours with
    the highest logits, so that the border between two fields does not blur.

    Args:
        probabilities: `(K, H, W)`, NaN where there is no value.
        window: side of the neighbourhood in pixels, odd.
        fraction: share of the neighbours, those most likely of the class, that count.
        smoothness: variance that is expected of logits; larger smooths more.

    Returns:
        `(K, H, W)`, which adds up to 1 over the classes; NaN where the input is.
    """
    half = window // 2
    clipped = np.clip(probabilities, _LEAST, 1 - _LEAST)
    logits = np.log(clipped / (1 - clipped))
    out = np.empty_like(probabilities)
    height, width = probabilities.shape[1:]
    rows = max(1, int(_ROWS_BYTES / (4 * window**2 * width)))
    for kind, plane in enumerate(logits):
        padded = np.pad(plane, half, constant_values=np.nan)
        for top in range(0, height, rows):
            bottom = min(top + rows, height)
            near = sliding_window_view(padded[top : bottom + 2 * half], (window, window))
            ordered = near.reshape(bottom - top, width, -1).copy()
            ordered[np.isnan(ordered)] = -np.inf
            ordered = -np.sort(-ordered, axis=2)
            valid = np.isfinite(ordered)
            number = np.ceil(fraction * valid.sum(2))
            used = np.arange(window**2) < number[:, :, None]
            values = np.where(used, ordered, 0.0)
            number = np.maximum(number, 1)
            mean = values.sum(2) / number
            squares = np.where(used, (values - mean[:, :, None]) ** 2, 0.0).sum(2)
            variance = squares / np.maximum(number - 1, 1)
            weight = variance / (variance + smoothness)
            logit = weight * plane[top:bottom] + (1 - weight) * mean
            out[kind, top:bottom] = 1 / (1 + np.exp(-logit))
    out /= out.sum(0)
    out[:, np.isnan(probabilities[0])] = np.nan
    return out


def majority(classes: NDArray[np.int32], count: int, window: int) -> NDArray[np.int32]:
    """Return the class that most neighbours have; ties keep the pixel's own class.

    Args:
        classes: `(H, W)` place of the class, -1 where there is none.
        count: K.
        window: side of the neighbourhood in pixels, odd.

    Returns:
        `(H, W)`, -1 where the input is.
    """
    half = window // 2
    best = np.full(classes.shape, -1, np.int32)
    most = np.zeros(classes.shape, np.int32)
    for kind in range(count):
        mine = classes == kind
        if not mine.any():
            continue
        sums = np.pad(mine.astype(np.int32), half).cumsum(0).cumsum(1)
        sums = np.pad(sums, ((1, 0), (1, 0)))
        near = sums[window:, window:] - sums[:-window, window:]
        near += sums[:-window, :-window] - sums[window:, :-window]
        wins = (near > most) | ((near == most) & mine)
        best[wins], most[wins] = kind, near[wins]
    best[classes < 0] = -1
    return best
