"""Accuracy of classes: the usual measures, with confidence intervals that know about groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000


LEVEL = 0.95


OVERALL = ("overall accuracy", "kappa", "macro-F1", "mean IoU")


@dataclass(frozen=True)
class Measures:
    """Measures of one confusion matrix; NaN where a measure is not defined.

    Attributes:
        overall: overall accuracy, Cohen's kappa, macro-F1 and mean IoU (OVERALL), 0 to 1.
        precision, recall, f1, iou: `(K,)` per class; precision is the user's and recall the
            producer's accuracy.
    """

    overall: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    iou: NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A figure with its confidence interval."""

    value: float
    low: float
    high: float


def rounded(figures: Mapping[str, Interval]) -> dict[str, float | None]:
    """Return figures by name to four decimals; None for NaN, which JSON does not know."""
    return {
        name: round(figure.value, 4) if np.isfinite(figure.value) else None
        for name, figure in figures.items()
    }


def confusion(
    reference: NDArray[np.integer[Any]], predicted: NDArray[np.integer[Any]], count: int
) -> NDArray[np.int64]:
    """Return `(K, K)` numbers of samples, reference in rows and prediction in columns."""
    return np.bincount(reference * count + predicted, minlength=count * count).reshape(count, count)


def measures(matrix: NDArray[np.number[Any]]) -> Measures:
    """Return the measures of a confusion matrix.

    Means go over the classes that the reference holds; a class that nobody predicted has a
    precision that is not defined and an F1 of 0.

    Args:
        matrix: `(K, K)` counts or shares, reference in rows.
    """
    matrix = matrix.astype(np.float64)
    total = matrix.sum()
    hit, reference, predicted = np.diagonal(matrix), matrix.sum(1), matrix.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision, recall = hit / predicted, hit / reference
        in_reference = reference > 0
        f1 = np.where(in_reference, 2 * hit / (reference + predicted), np.nan)
        iou = np.where(in_reference, hit / (reference + predicted - hit), np.nan)
        accuracy = hit.sum() / total
        by_chance = (reference * predicted).sum() / total**2
        kappa = (accuracy - by_chance) / (1 - by_chance)
    any_class = in_reference.any()
    macro, mean_iou = (float(np.nanmean(v)) if any_class else np.nan for v in (f1, iou))
    return Measures(np.array([accuracy, kappa, macro, mean_iou]), precision, recall, f1, iou)


def resampled(
    reference: NDArray[np.integer[Any]],
    predicted: NDArray[np.integer[Any]],
    group: NDArray[np.integer[Any]],
    count: int,
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return percentile bootstrap over groups (Efron and Tibshirani 1993), 95 %.

    Pixels of one group are alike, so groups are drawn with replacement, not pixels.

    Args:
        reference, predicted: `(N,)` places of classes.
        group: `(N,)` numbers from 0 on.
        count: K.
        statistic: `(K, K)` matrix to figures.
        seed: of the resampling.
        resamples: how many.

    Returns:
        Lower and upper end of each figure; NaN where it is never defined.
    """
    rng = np.random.default_rng(seed)
    groups = int(group.max()) + 1
    # Pixels of one group and one cell of the matrix are drawn together: they are counted once.
    cells = count * count
    alike, pixels = np.unique(group * cells + reference * count + predicted, return_counts=True)
    group, cell = np.divmod(alike, cells)
    figures = []
    for _ in range(resamples):
        weight = np.bincount(rng.integers(0, groups, groups), minlength=groups)[group] * pixels
        counts: NDArray[Any] = np.bincount(cell, weights=weight, minlength=cells)
        figures.append(statistic(counts.reshape(count, count)))
    return _ends(np.array(figures))


def resampled_in_strata(
    cells: NDArray[np.integer[Any]],
    stratum: NDArray[np.integer[Any]],
    weights: NDArray[np.float64],
    count: int,
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    seed: int = 0,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return percentile bootstrap of a stratified sample, 95 %: each stratum is drawn by itself.

    Args:
        cells: `(N,)` place of each label in the `(K, K)` matrix.
        stratum: `(N,)` number of its stratum.
        weights: `(H,)` what a label of each stratum counts.
        count: K.
        statistic: `(K, K)` weighted matrix to figures.
        seed: of the resampling.

    Returns:
        Lower and upper end of each figure; NaN where it is never defined.
    """
    rng = np.random.default_rng(seed)
    drawn: NDArray[np.float64] = np.zeros((RESAMPLES, count * count))
    for one in np.unique(stratum):
        found = np.bincount(cells[stratum == one], minlength=count * count)
        number = int(found.sum())
        drawn += weights[one] * rng.multinomial(number, found / number, RESAMPLES)
    return _ends(np.array([statistic(row.reshape(count, count)) for row in drawn]))


def _ends(drawn: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ends of the middle 95 % of each column; NaN where it is never defined."""
    ends = np.full((2, drawn.shape[1]), np.nan)
    defined = np.isfinite(drawn).any(0)
    tails = [50 * (1 - LEVEL), 100 - 50 * (1 - LEVEL)]
    if defined.any():
        ends[:, defined] = np.nanpercentile(drawn[:, defined], tails, axis=0)
    return ends[0], ends[1]


def flat(result: Measures) -> NDArray[np.float64]:
    """Return all figures in one row: overall, then precision, recall, F1 and IoU of the classes."""
    return np.concatenate([result.overall, result.precision, result.recall, result.f1, result.iou])


def intervals(
    reference: NDArray[np.integer[Any]],
    predicted: NDArray[np.integer[Any]],
    group: NDArray[np.integer[Any]],
    count: int,
    seed: int = 0,
) -> tuple[dict[str, Interval], list[dict[str, Interval]]]:
    """Return overall figures by name, and those of each class, with intervals from the groups."""
    group = np.unique(group, return_inverse=True)[1].reshape(-1)
    values = flat(measures(confusion(reference, predicted, count)))
    low, high = resampled(
        reference, predicted, group, count, lambda matrix: flat(measures(matrix)), seed
    )
    figures = [Interval(*map(float, three)) for three in zip(values, low, high)]
    overall = dict(zip(OVERALL, figures))
    rest = [figures[4 + part * count : 4 + (part + 1) * count] for part in range(4)]
    names = ("precision", "recall", "F1", "IoU")
    return overall, [dict(zip(names, four)) for four in zip(*rest)]
