"""Whether probabilities are as often right as they say, and the temperature that makes them so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...arrays import Float, Index

BINS = 10


_LEAST_CHANCE = 1e-7


# Temperatures that are tried: from four times as sure as the classifier says to thirty times less.
_TEMPERATURES = np.geomspace(0.25, 30, 120)


_FEW_GROUPS = 10  # left out: with fewer, a temperature is chance


@dataclass(frozen=True)
class Calibration:
    """How far probabilities are from what is right.

    Attributes:
        error: expected calibration error: mean difference between the probability of the class
            shown and the share that is right, over BINS bins of equal width (Guo et al. 2017).
        brier: Brier score: mean squared difference of the probabilities of all classes from 1 for
            the true class and 0 for the others.
        stated: `(B,)` mean probability of the class shown in each bin that holds samples.
        right: `(B,)` share of these that are right.
        count: `(B,)` how many.
    """

    error: float
    brier: float
    stated: NDArray[np.float64]
    right: NDArray[np.float64]
    count: NDArray[np.int64]


def calibration(probabilities: Float, target: Index) -> Calibration:
    """Compare `(N, K)` probabilities with `(N,)` true classes; at least one sample."""
    shown, sure = probabilities.argmax(1), probabilities.max(1).astype(np.float64)
    place = np.minimum((sure * BINS).astype(np.int64), BINS - 1)
    count = np.bincount(place, minlength=BINS)
    used = count > 0
    stated = np.bincount(place, sure, BINS)[used] / count[used]
    right = np.bincount(place, shown == target, BINS)[used] / count[used]
    error = float((np.abs(stated - right) * count[used]).sum() / len(target))
    of_truth = probabilities[np.arange(len(target)), target].astype(np.float64)
    squares = np.square(probabilities, dtype=np.float64).sum(1)
    brier = float((squares - 2 * of_truth + 1).mean())
    return Calibration(error, brier, stated, right, count[used])


def with_temperature(probabilities: Float, temperature: float) -> Float:
    """Return `(N, K)` probabilities of scores that are divided by a temperature."""
    scores = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny)) / temperature
    scores = np.exp(scores - scores.max(1, keepdims=True))
    return np.asarray(scores / scores.sum(1, keepdims=True), np.float32)


def choose_temperature(probabilities: Float, target: Index, group: Index) -> float:
    """Return the temperature of the least log-loss on samples that were left out (Guo et al. 2017).

    Args:
        probabilities: `(N, K)` of classifiers that had not seen the samples.
        target: `(N,)` true classes.
        group: `(N,)`; each group counts once, however many samples it has.

    Returns:
        1 where too few groups were left out.
    """
    _, which, members = np.unique(group, return_inverse=True, return_counts=True)
    if len(members) < _FEW_GROUPS:
        return 1.0
    weight = 1 / members[which.reshape(-1)]
    losses = []
    for temperature in _TEMPERATURES:
        changed = with_temperature(probabilities, float(temperature))
        right = changed[np.arange(len(target)), target]
        losses.append(-float((weight * np.log(np.maximum(right, _LEAST_CHANCE))).sum()))
    return float(_TEMPERATURES[int(np.argmin(losses))])


def calibrated(probabilities: Float, target: Index, group: Index, fold: Index) -> Float:
    """Return `(N, K)` probabilities, each fold with the temperature that the others choose.

    What is printed of them holds for samples that chose nothing.
    """
    out = probabilities.copy()
    for one in np.unique(fold):
        mine = fold == one
        rest = ~mine
        temperature = 1.0
        if rest.any():
            temperature = choose_temperature(probabilities[rest], target[rest], group[rest])
        out[mine] = with_temperature(probabilities[mine], temperature)
    return out
