"""From a distance to a decision: thresholds from the distances themselves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import AliseError

RULES = ("none", "value", "quantile", "otsu", "unchanged", "noise", "mixture")

# The share of the acquisition noise that may pass the threshold "noise". It is no false-alarm rate.
NOISE_SHARE = 0.05


_BINS = 512


# The distance of two components in deviations from which they stand apart (Ashman et al. 1994).
_APART = 2.0


_ENOUGH = 1e-6  # gain of log-likelihood a pixel at which a mixture is fitted


@dataclass(frozen=True)
class ThresholdRule:
    """How the threshold is found; a pixel is changed where its distance is above it.

    Attributes:
        kind: "none"; "value": `value` itself; "quantile": the distance that a share of `value` of
            the pixels does not pass; "otsu": the one that parts the distances best in two classes
            (Otsu 1979); "unchanged": the one that a share of `false_alarm` of pixels known to be
            stable passes; "noise": the one that 5 % of the distances between even and odd
            acquisitions of one year pass, a lower bound, for those hold no difference between
            years; "mixture": the one that a share of `false_alarm` of the lower of two components
            of the map's own distances passes (see `mixture`).
        value: a distance, or a share from 0 to 1.
        false_alarm: a share from 0 to 1.
    """

    kind: str = "none"
    value: float | None = None
    false_alarm: float = 0.05

    def __post_init__(self) -> None:
        if self.kind not in RULES:
            raise ValueError(f"kind is {self.kind!r}; choose one of {', '.join(RULES)}")
        if self.kind in ("value", "quantile") and self.value is None:
            raise AliseError(f'The threshold "{self.kind}" needs a number; give it.')
        value = 0.0 if self.value is None else self.value
        if self.kind == "value" and not 0 <= value < np.inf:
            raise AliseError(f"The threshold {value:g} is no distance; give 0 or more.")
        if self.kind == "quantile" and not 0 < value < 1:
            raise AliseError(
                f"The quantile {value:g} is outside its range; give a share between 0 and 1, such "
                "as 0.95."
            )
        if self.kind in ("unchanged", "mixture") and not 0 <= self.false_alarm < 1:
            raise AliseError(
                f"The false-alarm rate {self.false_alarm:g} is outside its range; give a share "
                "from 0 to less than 1, such as 0.05."
            )


def threshold_of(
    rule: ThresholdRule,
    distances: NDArray[np.floating[Any]],
    unchanged: NDArray[np.floating[Any]],
    noise: NDArray[np.floating[Any]],
) -> float:
    """Return the threshold that a rule gives.

    Args:
        rule: not "none".
        distances: `(n,)` of the map, finite, at least one.
        unchanged: `(m,)` of the pixels that are known to be stable, finite.
        noise: `(k,)` between even and odd acquisitions, finite.

    Raises:
        AliseError: the rule has no pixels to work on.
    """
    if rule.kind == "value":
        return float(rule.value or 0.0)
    if rule.kind == "quantile":
        return float(np.quantile(distances, rule.value or 0.0))
    if rule.kind == "otsu":
        return otsu(distances)
    if rule.kind == "mixture":
        return mixture(distances, rule.false_alarm)
    if rule.kind == "unchanged":
        if not len(unchanged):
            raise AliseError(
                "The unchanged areas cover no pixel that has a distance; draw them inside the map."
            )
        return exceeded_by(unchanged, rule.false_alarm)
    if not len(noise):
        raise AliseError(
            "There is no noise floor, which needs two image series of two dates or more; choose "
            "another threshold."
        )
    return exceeded_by(noise, NOISE_SHARE)


def exceeded_by(values: NDArray[np.floating[Any]], share: float) -> float:
    """Return the least of the values that at most a share of them exceeds."""
    ordered = np.sort(values)
    allowed = int(np.floor(share * len(ordered) + 1e-9))
    return float(ordered[len(ordered) - 1 - min(allowed, len(ordered) - 1)])


def otsu(distances: NDArray[np.floating[Any]]) -> float:
    """Return the distance that divides distances in two classes as different as can be.

    Otsu (1979).

    Args:
        distances: `(n,)` finite, 0 or more.
    """
    values = distances.astype(np.float64)
    if values.min() == values.max():
        return float(values.max())
    counts, edges = np.histogram(values, _BINS)
    centres = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)[:-1]
    above = counts.sum() - below
    sums = np.cumsum(counts * centres)
    gap = sums[:-1] / below - (sums[-1] - sums[:-1]) / above  # the outer bins are never empty
    between = below * above * gap**2
    # Where several edges are equally good (an empty gap between the classes), the middle one.
    best = np.flatnonzero(between >= between.max() * (1 - 1e-12))
    return float(edges[1 + best[len(best) // 2]])


@dataclass(frozen=True)
class _Component:
    """A normal distribution with its share of all values."""

    weight: float
    mean: float
    deviation: float

    def log_density(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the logarithm of the weighted density."""
        standard = (values - self.mean) / self.deviation
        scale = self.weight / (self.deviation * math.sqrt(2 * math.pi))
        return np.asarray(math.log(scale) - 0.5 * standard**2)


def mixture(distances: NDArray[np.floating[Any]], false_alarm: float) -> float:
    """Return the distance that a share of the unchanged component of a mixture passes.

    The square roots of the distances, which are less skewed, are taken for a mixture of two normal
    distributions, and the lower one for what did not change (Bruzzone and Fernandez Prieto 2000).
    Where the two do not stand apart (Ashman's D below 2), most of the map counts as unchanged: one
    log-normal distribution is put through the median and the lower half of the distances.

    Args:
        distances: `(n,)` finite, 0 or more.
        false_alarm: a share from 0 to less than 1; at 0 the largest distance is returned.
    """
    positive = distances[distances > 0].astype(np.float64)
    if not len(positive) or positive.min() == positive.max() or false_alarm <= 0:
        return float(distances.max())
    tail = NormalDist().inv_cdf(1 - false_alarm)
    lower, upper = _two_components(np.sqrt(positive))
    spread = math.sqrt((lower.deviation**2 + upper.deviation**2) / 2)
    if upper.mean - lower.mean >= _APART * spread:
        return max(0.0, lower.mean + tail * lower.deviation) ** 2
    low, middle = np.quantile(np.log(positive), [NormalDist().cdf(-1), 0.5])
    return math.exp(middle + tail * (middle - low))


def _two_components(values: NDArray[np.float64]) -> tuple[_Component, _Component]:
    """Fit a mixture by expectation and maximisation on a histogram; the lower one comes first."""
    counts, edges = np.histogram(values, _BINS)
    centres = (edges[1:] + edges[:-1]) / 2
    total, width = int(counts.sum()), float(edges[1] - edges[0])
    upper = np.asarray(centres > otsu(values), np.float64)
    likelihood = -np.inf
    while True:
        found = []
        for member in (1 - upper, upper):
            weight = max(1e-9, float((counts * member).sum()))
            mean = float((counts * member * centres).sum() / weight)
            variance = float((counts * member * (centres - mean) ** 2).sum() / weight)
            found.append(_Component(weight / total, mean, max(width, math.sqrt(variance))))
        densities = [component.log_density(centres) for component in found]
        both = np.logaddexp(*densities)
        upper = np.exp(densities[1] - both)
        before, likelihood = likelihood, float((counts * both).sum())
        if likelihood - before < _ENOUGH * total:
            break
    first, second = sorted(found, key=lambda component: component.mean)
    return first, second
