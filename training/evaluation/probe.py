"""Linear probes: what a single linear layer makes of frozen features (paper, section IV-B)."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import f1_score, r2_score
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from alise_plugin.errors import AliseError

STRENGTHS = (1.0, 0.1, 0.01, 0.001)  # C of scikit-learn, from weak to strong regularisation
FOLDS = 3
CHOOSING_PIXELS = 2000


def macro_f1(
    train_x: np.ndarray,
    train_y: np.ndarray,
    test_x: np.ndarray,
    test_y: np.ndarray,
    groups: np.ndarray | None = None,
) -> float:
    """Return Macro-F1 of logistic regression on standardised features.

    Its regularisation is chosen by cross-validation on the training samples, as the plugin's own
    linear classifier does: one strength would favour features of one number and not of another.

    Args:
        train_x, test_x: features `(N, D)`.
        train_y, test_y: labels `(N,)`.
        groups: `(N,)` of the training samples; those of one group are never on both sides.
    """
    model = classifier(best_strength(train_x, train_y, groups))
    model.fit(train_x, train_y)
    return float(f1_score(test_y, model.predict(test_x), average="macro"))


def classifier(strength: float) -> Pipeline:
    """Standardisation and logistic regression, in double precision: its solver needs that."""
    double = FunctionTransformer(np.float64)
    return make_pipeline(double, StandardScaler(), LogisticRegression(C=strength, max_iter=1000))


def best_strength(x: np.ndarray, y: np.ndarray, groups: np.ndarray | None) -> float:
    """Return the C of STRENGTHS with the best macro-F1 on left-out folds of some pixels."""
    chosen = np.random.default_rng(0).permutation(len(y))[:CHOOSING_PIXELS]
    x, y = x[chosen], y[chosen]
    folds = StratifiedKFold(FOLDS) if groups is None else StratifiedGroupKFold(FOLDS)
    split = list(folds.split(x, y, None if groups is None else groups[chosen]))
    scores = [
        np.mean(
            [
                f1_score(
                    y[test], classifier(c).fit(x[train], y[train]).predict(x[test]), average="macro"
                )
                for train, test in split
            ]
        )
        for c in STRENGTHS
    ]
    return STRENGTHS[int(np.argmax(scores))]


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
    """Return mean macro-F1 over random draws of `per_class` labelled samples a class.

    Raises:
        AliseError: a class has fewer samples than that.
    """
    rng = np.random.default_rng(seed)
    counts = dict(zip(*np.unique(train_y, return_counts=True), strict=True))
    rarest = min(counts, key=lambda label: counts[label])
    if counts[rarest] < per_class:
        raise AliseError(
            f"Class {rarest} has {counts[rarest]} training samples, {per_class} are drawn of each: "
            "take more pixels."
        )
    scores = []
    for _ in range(draws):
        chosen = drawn(train_y, per_class, rng)
        scores.append(macro_f1(train_x[chosen], train_y[chosen], test_x, test_y))
    return float(np.mean(scores))


def drawn(labels: np.ndarray, per_class: int, rng: np.random.Generator) -> np.ndarray:
    """Return places of `per_class` random samples of each class of `labels` `(N,)`."""
    return np.concatenate(
        [
            rng.choice(np.flatnonzero(labels == label), per_class, replace=False)
            for label in np.unique(labels)
        ]
    )


def ridge_r2(
    train_x: np.ndarray, train_y: np.ndarray, test_x: np.ndarray, test_y: np.ndarray
) -> float:
    """Return R2 of ridge regression on standardised features, for a quantity such as LAI."""
    model = make_pipeline(StandardScaler(), Ridge(alpha=10.0))
    model.fit(train_x, train_y)
    return float(r2_score(test_y, model.predict(test_x)))
