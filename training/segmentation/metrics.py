"""Measures of a segmentation, all from one confusion matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Scores:
    """Measures in [0, 1] (kappa down to -1).

    Attributes:
        f1: macro-averaged F1.
        accuracy: overall accuracy.
        kappa: Cohen's kappa.
        iou: mean intersection over union.
        f1_by_class: `(K,)`, NaN for a class that the truth does not hold.
    """

    f1: float
    accuracy: float
    kappa: float
    iou: float
    f1_by_class: np.ndarray


def confusion_matrix(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Return `(K, K)` counts, truth in rows; a negative truth is ignored.

    Args:
        truth, predicted: places of classes, of one shape.
        classes: K.
    """
    known = truth >= 0
    pairs = truth[known] * classes + predicted[known]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def scores(confusion: np.ndarray) -> Scores:
    """Return measures of a confusion matrix.

    The averages run over the classes that the truth holds: a class that does not occur in a fold
    has no F1. What is taken for it all the same counts as an error of the class that was there.

    Args:
        confusion: `(K, K)` counts, truth in rows.
    """
    total = confusion.sum()
    hits = np.diag(confusion).astype(np.float64)
    truth, predicted = confusion.sum(1), confusion.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        f1 = np.where(truth > 0, 2 * hits / (truth + predicted), np.nan)
        iou = np.where(truth > 0, hits / (truth + predicted - hits), np.nan)
        accuracy = hits.sum() / total
        chance = float((truth / total) @ (predicted / total))
        kappa = (accuracy - chance) / (1 - chance)
    return Scores(
        f1=float(np.nanmean(f1)) if total else float("nan"),
        accuracy=float(accuracy),
        kappa=float(kappa),
        iou=float(np.nanmean(iou)) if total else float("nan"),
        f1_by_class=f1,
    )
