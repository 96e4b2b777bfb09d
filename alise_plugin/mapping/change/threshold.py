"""From a distance to a decision: thresholds from the distances themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import AliseError

RULES = ("none", "value", "quantile", "otsu", "unchanged", "noise")


_BINS = 512


@dataclass(frozen=True)
class ThresholdRule:
    """How the threshold is found; a pixel is changed where its distance is above it.

    Attributes:
        kind: "none"; "value": `value` itself; "quantile": the distance that a share of `value` of
            the pixels does not pass; "otsu": the one that parts the distances best in two classes
            (Otsu 1979); "unchanged": the one that a share of `false_alarm` of pixels known to be
            stable passes; "noise": the one that a share of `false_alarm` of the distances between
            even and odd acquisitions of a year passes.
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
        if self.kind in ("unchanged", "noise") and not 0 <= self.false_alarm < 1:
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
    return exceeded_by(noise, rule.false_alarm)


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
