"""Linear probes: what a single linear layer makes of frozen features (paper, section IV-B)."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import f1_score, r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def macro_f1(
    train_x: np.ndarray, train_y: np.ndarray, test_x: np.ndarray, test_y: np.ndarray
) -> float:
    """Macro-F1 of logistic regression on standardised features.

    Args:
        train_x, test_x: features `(N, D)`.
        train_y, test_y: labels `(N,)`.
    """
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(train_x, train_y)
    return float(f1_score(test_y, model.predict(test_x), average="macro"))


def few_label_macro_f1(
    train_x: np.ndarray,
    train_y: np.ndarray,
    test_x: np.ndarray,
    test_y: np.ndarray,
    *,
    per_class: int = 10,
    draws: int = 10,
    seed: int = 0,
) -> float:
    """Mean macro-F1 over random draws of `per_class` labelled samples a class."""
    rng = np.random.default_rng(seed)
    scores = []
    for _ in range(draws):
        chosen = np.concatenate(
            [
                rng.choice(np.flatnonzero(train_y == label), per_class, replace=False)
                for label in np.unique(train_y)
            ]
        )
        scores.append(macro_f1(train_x[chosen], train_y[chosen], test_x, test_y))
    return float(np.mean(scores))


def ridge_r2(
    train_x: np.ndarray, train_y: np.ndarray, test_x: np.ndarray, test_y: np.ndarray
) -> float:
    """R2 of ridge regression on standardised features, for a quantity such as LAI."""
    model = make_pipeline(StandardScaler(), Ridge(alpha=10.0))
    model.fit(train_x, train_y)
    return float(r2_score(test_y, model.predict(test_x)))
