"""How well a distance tells what changed: ROC, precision and recall, rates of each transition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import (
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

# Share of what stayed that may be flagged, where the rates of the transitions are read.
FALSE_ALARMS = 0.1
# Points of the curve of precision over recall.
RECALLS = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class ChangeScores:
    """Measures of one distance.

    Attributes:
        auc: area under the ROC curve.
        precision: average precision, the area under precision over recall.
        precision_at: precision where each of RECALLS is reached.
        recall: share of what changed that is flagged at `FALSE_ALARMS`.
        threshold: of the distance, at which that many false alarms arise.
    """

    auc: float
    precision: float
    precision_at: tuple[float, ...]
    recall: float
    threshold: float


def change_scores(distance: np.ndarray, changed: np.ndarray) -> ChangeScores:
    """Return measures over pixels.

    Args:
        distance: `(N,)`, finite.
        changed: `(N,)` bool, both of them present.
    """
    alarms, found, thresholds = roc_curve(changed, distance)
    precision, recall, _ = precision_recall_curve(changed, distance)
    place = int(np.flatnonzero(alarms <= FALSE_ALARMS)[-1])
    return ChangeScores(
        auc=float(roc_auc_score(changed, distance)),
        precision=float(average_precision_score(changed, distance)),
        precision_at=tuple(float(precision[recall >= least].max()) for least in RECALLS),
        recall=float(found[place]),
        threshold=float(thresholds[place]),
    )


def transition_shares(before: np.ndarray, after: np.ndarray, codes: tuple[int, ...]) -> np.ndarray:
    """Return the change matrix (Figure 11): what became of each crop of the first year.

    Args:
        before, after: `(N,)` codes.
        codes: of the crops, K of them.

    Returns:
        `(K, K)`, rows sum to 1; NaN for a crop that the first year does not hold.
    """
    counts = _counts(before, after, codes, np.ones(len(before)))
    with np.errstate(invalid="ignore"):
        return counts / counts.sum(1, keepdims=True)


def transition_rates(
    before: np.ndarray, after: np.ndarray, codes: tuple[int, ...], flagged: np.ndarray
) -> np.ndarray:
    """Return share of the pixels of each transition that is flagged as changed.

    On the diagonal these are false alarms, elsewhere detections.

    Args:
        before, after: `(N,)` codes.
        codes: of the crops, K of them.
        flagged: `(N,)` bool.

    Returns:
        `(K, K)`, first year in rows; NaN for a transition that does not occur.
    """
    with np.errstate(invalid="ignore"):
        return _counts(before, after, codes, flagged.astype(np.float64)) / _counts(
            before, after, codes, np.ones(len(before))
        )


def _counts(
    before: np.ndarray, after: np.ndarray, codes: tuple[int, ...], weight: np.ndarray
) -> np.ndarray:
    place = {code: number for number, code in enumerate(codes)}
    rows = np.array([place[int(code)] for code in before], np.int64)
    columns = np.array([place[int(code)] for code in after], np.int64)
    total = len(codes)
    return np.bincount(rows * total + columns, weight, total**2).reshape(total, total)
