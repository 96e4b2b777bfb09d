"""A sample of the features of a whole map, at a small part of its cost."""

from __future__ import annotations

import math

import numpy as np

from ...arrays import Float
from ...feedback import Feedback, stop_if_cancelled
from ...sits.grid import Window
from .features import Features
from .spread_windows import SIDE, spread_windows, valid_pixels

_EVERY = 4  # rows and columns from one pixel of a window to the next, on maps that are large enough


def sample_features(
    source: Features,
    inner: Window,
    pixels: int,
    seed: int,
    feedback: Feedback,
) -> Float:
    """Return features of pixels spread evenly over a map, `(N, F)`; of all of a small one.

    They are encoded without what lies around their window, and so not quite as the map will be.

    Args:
        source: the features.
        inner: the map.
        pixels: N, about; fewer where fewer have a value.
        seed: of the choice among those that were seen.
        feedback: progress and cancelling.

    Raises:
        SeriesError: a file cannot be read.
        Cancelled: the feedback says so.
    """
    every = int(np.clip(math.isqrt(inner.pixels // pixels), 1, _EVERY))
    windows = inner.squares(SIDE)
    enough = len(windows) * SIDE**2
    if every == _EVERY:
        # Not every window has values.
        windows = list(spread_windows(inner, 4 * math.ceil(pixels * _EVERY**2 / SIDE**2)))
        enough = pixels
    parts: list[Float] = []
    held = 0
    for done, window in enumerate(windows):
        features = source.read_some(window, every, feedback)
        if np.isfinite(features[0]).any():
            parts.append(valid_pixels(features, len(features)))
            held += len(parts[-1])
        share = max((done + 1) / len(windows), held / enough)
        feedback.progress(min(1.0, share))
        stop_if_cancelled(feedback)
        if held >= enough:
            break
    if not parts:
        return np.empty((0, 1), np.float32)
    features = np.concatenate(parts)
    chosen = np.random.default_rng(seed).permutation(len(features))[:pixels]
    return features[np.sort(chosen)]
