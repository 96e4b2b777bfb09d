"""Accuracy and area of a map from a stratified random sample of reference labels.

Where the strata are the classes of the map: the estimators of Olofsson et al. (2014), Good
practices for estimating area and assessing accuracy of land change, Remote Sensing of Environment
148, 42-57.
Where they are anything else, such as the classes of another map: those of Stehman (2014),
Estimating area and map accuracy for stratified random sampling when the strata are different from
the map classes, International Journal of Remote Sensing 35, 4923-4939.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .metrics import Interval

_Z = 1.96  # standard errors: 95 % of a normal distribution, rounded as in the paper


@dataclass(frozen=True)
class StratifiedEstimate:
    """Estimates with 95 % intervals; NaN where the sample does not say.

    Attributes:
        shares: `(K, K)` share of the area, map in rows and reference in columns (Eq. 4).
        overall: overall accuracy (Eq. 1, 5).
        users: user's accuracy of each class (Eq. 2, 6).
        producers: producer's accuracy of each class (Eq. 3, 7).
        areas: area of each reference class, adjusted for the map's errors, in the unit of the
            strata's areas (Eq. 9 to 11).
    """

    shares: NDArray[np.float64]
    overall: Interval
    users: list[Interval]
    producers: list[Interval]
    areas: list[Interval]


def stratum_shares(
    counts: NDArray[np.number[Any]], areas: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return share of the area of each pair of map and reference class (Eq. 4).

    Args:
        counts: `(K, K)` sample counts, map in rows and reference in columns.
        areas: `(K,)` area of each map class; one without a sample is left out of the whole.

    Returns:
        `(K, K)`, which adds up to 1.
    """
    number = counts.sum(1)
    sampled = np.where(number > 0, areas, 0.0)
    weight = sampled / sampled.sum()
    return np.asarray(weight[:, None] * counts / np.maximum(number, 1)[:, None])


def stratified_estimate(
    counts: NDArray[np.number[Any]],
    areas: NDArray[np.float64],
    complete: NDArray[np.bool_] | None = None,
) -> StratifiedEstimate:
    """Estimate accuracy and area.

    Args:
        counts: `(K, K)` sample counts, map in rows and reference in columns.
        areas: `(K,)` mapped area of each class, in any unit.
        complete: `(K,)` strata of which every pixel is in the sample: they add no error.
    """
    counts, areas = counts.astype(np.float64), areas.astype(np.float64)
    shares = stratum_shares(counts, areas)
    number = counts.sum(1)
    sampled = np.where(number > 0, areas, 0.0)
    total = float(sampled.sum())
    weight = sampled / total
    with np.errstate(invalid="ignore", divide="ignore"):
        within = counts / number[:, None]  # n_ij / n_i
        spread = within * (1 - within) / (number[:, None] - 1)
        # A stratum without area or sample adds nothing; one with a single point, an unknown.
        spread = np.where((number > 1)[:, None], spread, np.nan)
        spread[(number == 0) | (sampled == 0)] = 0.0
        if complete is not None:
            spread[complete] = 0.0
        users = np.diagonal(within)
        user_errors = np.sqrt(np.diagonal(spread))
        overall = float(np.trace(shares))
        overall_error = math.sqrt(float((weight**2 * np.diagonal(spread)).sum()))
        reference = shares.sum(0)
        producers = np.diagonal(shares) / reference
        squares = weight[:, None] ** 2 * spread
        own = np.diagonal(squares) * (1 - producers) ** 2
        others = (squares.sum(0) - np.diagonal(squares)) * producers**2
        producer_errors = np.sqrt(own + others) / reference
        area_errors = np.sqrt(squares.sum(0))

    def interval(value: float, error: float, most: float, unit: float = 1.0) -> Interval:
        low, high = np.clip([value - _Z * error, value + _Z * error], 0.0, most)  # NaN stays
        return Interval(value * unit, float(low) * unit, float(high) * unit)

    return StratifiedEstimate(
        shares,
        interval(overall, overall_error, 1.0),
        [interval(*pair, 1.0) for pair in zip(users.tolist(), user_errors.tolist())],
        [interval(*pair, 1.0) for pair in zip(producers.tolist(), producer_errors.tolist())],
        [interval(*pair, np.inf, total) for pair in zip(reference.tolist(), area_errors.tolist())],
    )


@dataclass(frozen=True)
class DesignSample:
    """Labels with the strata that they were drawn from.

    Attributes:
        stratum: `(N,)` number of the stratum of each label, 0 to H - 1.
        areas: `(H,)` area of each stratum, in any unit.
        shown: `(N,)` class that the map shows.
        reference: `(N,)` true class.
        count: K, classes.
    """

    stratum: NDArray[np.int64]
    areas: NDArray[np.float64]
    shown: NDArray[np.int64]
    reference: NDArray[np.int64]
    count: int

    @property
    def weights(self) -> NDArray[np.float64]:
        """Return `(H,)` share of the area that one label of each stratum stands for."""
        number = np.bincount(self.stratum, minlength=len(self.areas))
        sampled = np.where(number > 0, self.areas, 0.0)
        return np.asarray(sampled / sampled.sum() / np.maximum(number, 1))

    def shares(self) -> NDArray[np.float64]:
        """Return `(K, K)` share of the area, map in rows and reference in columns."""
        cells = self.shown * self.count + self.reference
        found = np.bincount(cells, self.weights[self.stratum], self.count**2)
        return np.asarray(found.reshape(self.count, self.count))


def design_estimate(sample: DesignSample) -> StratifiedEstimate:
    """Estimate accuracy and area from a sample with strata of its own (Stehman 2014).

    Accuracies and areas are ratios of two means over the area, each a mean over the strata; their
    variances are those of Eq. 25 to 28. A stratum with one label makes them unknown.
    """
    total = float(sample.areas[np.unique(sample.stratum)].sum())
    right = sample.shown == sample.reference
    everywhere = np.ones(len(right), bool)

    def interval(y: NDArray[np.bool_], x: NDArray[np.bool_], unit: float = 1.0) -> Interval:
        value, error = _ratio(sample, y.astype(np.float64), x.astype(np.float64))
        most = 1.0 if unit == 1.0 else np.inf
        low, high = np.clip([value - _Z * error, value + _Z * error], 0.0, most)  # NaN stays
        return Interval(value * unit, float(low) * unit, float(high) * unit)

    classes = range(sample.count)
    return StratifiedEstimate(
        sample.shares(),
        interval(right, everywhere),
        [interval(right & (sample.shown == one), sample.shown == one) for one in classes],
        [interval(right & (sample.reference == one), sample.reference == one) for one in classes],
        [interval(sample.reference == one, everywhere, total) for one in classes],
    )


def _ratio(
    sample: DesignSample, y: NDArray[np.float64], x: NDArray[np.float64]
) -> tuple[float, float]:
    """Return the ratio of the means of y and x over the area, and its standard error."""
    strata = len(sample.areas)
    number = np.bincount(sample.stratum, minlength=strata)
    sampled = np.where(number > 0, sample.areas, 0.0)
    share = sampled / sampled.sum()

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(sample.stratum, values, strata) / np.maximum(number, 1))

    below = float((share * mean(x)).sum())
    if below <= 0:
        return float("nan"), float("nan")
    ratio = float((share * mean(y)).sum()) / below
    rest = np.asarray(
        y - ratio * x, np.float64
    )  # s_y^2 + R^2 s_x^2 - 2 R s_xy is the variance of this
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = (mean(np.square(rest)) - np.square(mean(rest))) * number / (number - 1)
        terms = share**2 * np.where(number > 1, spread, np.nan) / number
    used = (number > 0) & (sampled > 0)
    return ratio, math.sqrt(max(0.0, float(terms[used].sum()))) / below


def sample_size(areas: NDArray[np.float64], users_accuracy: float, standard_error: float) -> int:
    """Return the points for a standard error of the overall accuracy (Cochran 1977, Eq. 13).

    Args:
        areas: `(K,)` of the strata.
        users_accuracy: expected in every stratum, 0 to 1.
        standard_error: wanted.
    """
    deviation = math.sqrt(users_accuracy * (1 - users_accuracy))
    weight = areas / areas.sum()
    return max(1, math.ceil((float((weight * deviation).sum()) / standard_error) ** 2 - 1e-9))


def allocate(pixels: NDArray[np.integer[Any]], size: int, minimum: int) -> NDArray[np.int64]:
    """Return the points of each stratum: in proportion to area, with a minimum (section 5.1.2).

    Args:
        pixels: `(K,)` of the strata; no stratum gets more points than it has pixels.
        size: points in all; more where the minimum asks for it.
        minimum: points of a stratum.
    """
    floor = np.minimum(pixels, minimum)
    points = floor.copy()
    large = pixels > 0
    while True:
        left = size - int(points[~large].sum())
        share = np.zeros(len(pixels))
        if large.any():
            share[large] = max(0, left) * pixels[large] / pixels[large].sum()
        small = large & (share < floor)
        if not small.any():
            break
        large &= ~small
    share = np.where(large, np.minimum(share, pixels), points)
    points = np.floor(share)
    # The points that rounding down leaves go where it takes most.
    left = round(float(share.sum() - points.sum()))
    points[np.argsort(points - share, kind="stable")[:left]] += 1
    return points.astype(np.int64)
