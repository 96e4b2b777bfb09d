"""Held-out clear observations: how well a hidden date is predicted, by length of the gap.

A clear acquisition of a real series is hidden with everything near it; the model encodes what is
left, clouds included, and decodes the hidden day. Two classical methods see the clear dates that
are left: linear interpolation in time, and a fit of two harmonics of the year.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from alise_plugin.model.encoder import Encoder
from alise_plugin.model.year_around import year_around
from alise_plugin.sentinel2 import BANDS

GAPS_DAYS = (0, 30, 60, 90)
# Acquisitions that must be left when some are hidden.
LEAST_KEPT = 4
YEAR_DAYS = 365.25

# Series (T, 10, H, W) with NaN, clear (T, H, W), days (T,), hidden day -> (10, H, W).
Predictor = Callable[[np.ndarray, np.ndarray, np.ndarray, float], np.ndarray]


def linear(reflectance: np.ndarray, clear: np.ndarray, days: np.ndarray, day: float) -> np.ndarray:
    """Return linear interpolation between the clear dates around `day`, per pixel and band."""
    usable = clear[:, None] & np.isfinite(reflectance)
    before = usable & (days <= day)[:, None, None, None]
    after = usable & (days > day)[:, None, None, None]
    last = np.where(before, np.arange(len(days))[:, None, None, None], -1).max(0)
    first = np.where(after, np.arange(len(days))[:, None, None, None], len(days)).min(0)
    # Outside the clear dates the nearest one is repeated.
    left = np.where(last < 0, first, last).clip(0, len(days) - 1)
    right = np.where(first >= len(days), last, first).clip(0, len(days) - 1)
    value_left = np.take_along_axis(reflectance, left[None], 0)[0]
    value_right = np.take_along_axis(reflectance, right[None], 0)[0]
    span = days[right] - days[left]
    weight = np.where(span > 0, (day - days[left]) / np.where(span > 0, span, 1), 0.0)
    found = (last >= 0) | (first < len(days))
    return np.where(found, value_left + weight * (value_right - value_left), np.nan)


def harmonic(
    reflectance: np.ndarray, clear: np.ndarray, days: np.ndarray, day: float
) -> np.ndarray:
    """Least squares of a mean and two harmonics of the year on the clear dates, lightly damped."""

    def design(when: np.ndarray) -> np.ndarray:
        angle = 2 * np.pi * np.asarray(when, np.float64) / YEAR_DAYS
        columns = [np.ones_like(angle)]
        for k in (1, 2):
            columns += [np.cos(k * angle), np.sin(k * angle)]
        return np.stack(columns, -1)

    matrix = design(days)
    damping = np.diag([1e-6, 1e-2, 1e-2, 1e-1, 1e-1])
    usable = (clear[:, None] & np.isfinite(reflectance)).astype(np.float64)
    values = np.nan_to_num(reflectance) * usable
    normal = np.einsum("tbhw,ti,tj->bhwij", usable, matrix, matrix) + damping
    right = np.einsum("tbhw,ti->bhwi", values, matrix)
    coefficients = np.linalg.solve(normal, right[..., None])[..., 0]
    prediction = coefficients @ design(np.array([day]))[0]
    return np.where(usable.sum(0) > 0, prediction, np.nan)


def from_the_year_around(encoder: Encoder) -> Predictor:
    """Return as the plugin reconstructs a day: from what is left of the year around it."""
    predict_from = decoded(encoder)

    def predict(
        reflectance: np.ndarray, clear: np.ndarray, days: np.ndarray, day: float
    ) -> np.ndarray:
        near = year_around(days, day)
        return predict_from(reflectance[near], clear[near], days[near], day)

    return predict


def decoded(encoder: Encoder) -> Predictor:
    """Return the model's prediction: encode what is left, clouds too; decode the hidden day."""

    def predict(
        reflectance: np.ndarray, clear: np.ndarray, days: np.ndarray, day: float
    ) -> np.ndarray:
        embedding = encoder.encode(reflectance.astype(np.float32), days)
        return encoder.decode(embedding, np.array([day], np.float32))[0]

    return predict


@dataclass
class SquaredErrors:
    """Running sums of squared errors of the ten bands and of NDVI."""

    sums: np.ndarray = field(default_factory=lambda: np.zeros(len(BANDS) + 1))
    counts: np.ndarray = field(default_factory=lambda: np.zeros(len(BANDS) + 1))

    def add(self, predicted: np.ndarray, truth: np.ndarray, clear: np.ndarray) -> None:
        """Add `(10, H, W)` predictions where `clear` `(H, W)` and both are finite."""
        layers = zip(
            np.concatenate([predicted, ndvi(predicted)[None]]),
            np.concatenate([truth, ndvi(truth)[None]]),
        )
        for i, (p, t) in enumerate(layers):
            ok = clear & np.isfinite(p) & np.isfinite(t)
            self.sums[i] += float(((p - t)[ok] ** 2).sum())
            self.counts[i] += int(ok.sum())

    @property
    def rmse(self) -> np.ndarray:
        """Return `(11,)` root mean square error: the ten bands, then NDVI; NaN without a sample."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.sqrt(self.sums / self.counts)


def ndvi(reflectance: np.ndarray) -> np.ndarray:
    """Return NDVI of `(10, H, W)` reflectance."""
    red, nir = reflectance[BANDS.index("B04")], reflectance[BANDS.index("B08")]
    # Predictions may be negative; the index of a surface lies between -1 and 1.
    return np.clip((nir - red) / np.maximum(nir + red, 1e-6), -1.0, 1.0)


def evaluate_site(
    reflectance: np.ndarray,
    clear: np.ndarray,
    days: np.ndarray,
    predictors: dict[str, Predictor],
    errors: dict[tuple[str, int], SquaredErrors],
    *,
    targets: int = 12,
    truth: np.ndarray | None = None,
) -> None:
    """Hide up to `targets` clear dates of one site in turn and add every method's errors.

    Args:
        reflectance: `(T, 10, H, W)`, NaN where there is no value.
        clear: `(T, H, W)` bool.
        days: `(T,)` ascending, since 2014-03-03.
        predictors: the methods, by name.
        errors: sums by method and gap, added to.
        targets: dates hidden, spread over the series.
        truth: `(T, 10, H, W)`, where it is known better than by the date that is hidden.
    """
    mostly_clear = np.flatnonzero(clear.mean((1, 2)) > 0.5)
    # Interpolation needs a date on each side: the ends of the series are no test of it.
    inside = [
        t
        for t in mostly_clear
        if days[t] - days[0] > max(GAPS_DAYS) / 2 and days[-1] - days[t] > max(GAPS_DAYS) / 2
    ]
    if not inside:
        return
    chosen = np.unique(np.linspace(0, len(inside) - 1, targets).round().astype(int))
    for t in (inside[i] for i in chosen):
        for gap in GAPS_DAYS:
            kept = np.abs(days - days[t]) > gap / 2
            if kept.sum() < LEAST_KEPT:
                continue
            for name, predict in predictors.items():
                guess = predict(reflectance[kept], clear[kept], days[kept], float(days[t]))
                sums = errors.setdefault((name, gap), SquaredErrors())
                sums.add(guess, (reflectance if truth is None else truth)[t], clear[t])
