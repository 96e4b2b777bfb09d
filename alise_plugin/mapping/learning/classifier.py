"""Classifiers on feature vectors, and how well they do on groups that they have not seen.

scikit-learn fits, NumPy and ONNX compute: whatever is fitted here becomes a `Network` of dense
layers, which is what is validated and what a head holds.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...arrays import Float, Index
from ...errors import RuntimeMissingError
from ...feedback import Feedback, SilentFeedback, stop_if_cancelled
from ...model.heads.head_file import Network
from ..features.standardise import standardised
from ..scores.metrics import confusion, measures

CLASSIFIERS = ("linear", "prototype", "mlp")


FOLDS = 5


CURVE = (1, 2, 5, 10, 20, 50, 100, 200, 500)  # groups a class


# What regularisation is chosen from: inverse strength C of logistic regression; how sharp the
# probabilities of a prototype are, against a rule of thumb.
CANDIDATES: dict[str, tuple[float, ...]] = {
    "linear": (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0),
    "prototype": (0.03, 0.1, 0.3, 1.0, 3.0),
    "mlp": (1.0,),
}


_CHOOSING = 1000  # samples at most that regularisation is chosen on: it depends on them slowly


# Steps of the solver at most: for a head, and where only its score is wanted.
_STEPS, _FEW_STEPS = 300, 40


_WITHOUT_CHOICE = {"linear": 1e-2, "prototype": 1.0, "mlp": 1.0}


# Values of the samples above which the solver pauses every so many steps, to ask for Cancel.
_LARGE, _PAUSE = 4_000_000, 25


_HIDDEN = 64  # units of the network with a hidden layer


_NEVER = np.float32(-1e9)  # the score of a class that a fold has not seen


_THUMB = 9.0  # a prototype is about 0.99 sure of itself against its nearest neighbour


@dataclass(frozen=True)
class Fitted:
    """A classifier and the strength of regularisation that was chosen for it."""

    network: Network
    strength: float


@dataclass(frozen=True)
class Validation:
    """Predictions for samples that the classifier did not see, and a learning curve.

    Attributes:
        sample: `(M,)` which samples were left out once and predicted.
        predicted: `(M,)` place of the class.
        curve: groups a class, macro-F1 and its standard deviation over the folds.
        single_group_classes: the classes with one group only, which cannot be validated.
    """

    sample: Index
    predicted: Index
    curve: list[tuple[int, float, float]]
    single_group_classes: list[int]


@dataclass(frozen=True)
class LeftOut:
    """Probabilities of samples that the classifier did not see, at one strength.

    Attributes:
        sample: `(M,)` which samples were left out once.
        probabilities: `(M, K)` of the classes.
        fold: `(M,)` in which fold.
    """

    sample: Index
    probabilities: Float
    fold: Index


def require_scikit_learn() -> Any:
    """Return scikit-learn's linear_model and neural_network.

    Raises:
        RuntimeMissingError: it is not installed.
    """
    try:
        from sklearn import linear_model, neural_network
    except ImportError as error:
        raise RuntimeMissingError(
            f"scikit-learn cannot be imported ({error}); run the algorithm "
            '"Install runtime" of ALISE, or: pip install scikit-learn.'
        ) from error
    return linear_model, neural_network


def folds_of(target: Index, group: Index, count: int, seed: int) -> tuple[Index, list[int]]:
    """Split groups into folds, so that every class is spread over them.

    A group of several classes goes where its rarest class is needed.

    Args:
        target: `(N,)` place of the class.
        group: `(N,)`.
        count: of folds.
        seed: of the shuffling.

    Returns:
        `(N,)` fold of each sample, -1 for groups that are never left out because their class has
        no other; and these classes.
    """
    rng = np.random.default_rng(seed)
    members = np.unique(np.stack([target, group]), axis=1)  # which class is in which group
    groups_of = np.bincount(members[0])
    single_group_classes = np.flatnonzero(groups_of == 1)
    fold_of: dict[int, int] = {}
    load = np.zeros(count, int)
    for place in np.argsort(np.where(groups_of == 0, np.iinfo(int).max, groups_of), kind="stable"):
        mine = members[1, members[0] == place]
        taken = np.zeros(count, int)
        for one in mine:
            if fold_of.get(int(one), -1) >= 0:
                taken[fold_of[int(one)]] += 1
        for one in rng.permutation([one for one in mine if int(one) not in fold_of]):
            if place in single_group_classes:
                fold_of[int(one)] = -1
                continue
            best = np.lexsort((load, taken))[0]
            fold_of[int(one)] = int(best)
            taken[best] += 1
            load[best] += 1
    numbers, which = np.unique(group, return_inverse=True)
    folds = np.array([fold_of[int(one)] for one in numbers])[which.reshape(-1)]
    return folds, single_group_classes.tolist()


def fit(
    kind: str,
    features: Float,
    target: Index,
    group: Index,
    classes: int,
    strength: float,
    seed: int,
    steps: int = _STEPS,
    feedback: Feedback | None = None,
) -> Network:
    """Fit a classifier of one kind.

    Args:
        kind: one of CLASSIFIERS. "linear" is multinomial logistic regression (the paper's linear
            probe); "prototype" the nearest class mean, each group counting once; "mlp" one hidden
            layer of 64 units.
        features: `(N, F)`.
        target: `(N,)` place of the class; a class may be absent.
        group: `(N,)`.
        classes: K.
        strength: see CANDIDATES.
        seed: of the first weights.
        steps: of the solver of "linear" at most.
        feedback: asked now and then whether to stop.

    Returns:
        A network of K outputs; a class without a sample is never predicted.

    Raises:
        RuntimeMissingError: scikit-learn is not there.
        Cancelled: the feedback says so.
    """
    feedback = feedback or SilentFeedback()
    mean, scale, standard = standardised(features)
    present, place = np.unique(target, return_inverse=True)
    place = place.reshape(-1)
    if len(present) == 1:
        layers = [(np.zeros((features.shape[1], 1), np.float32), np.zeros(1, np.float32))]
    elif kind == "prototype":
        layers = [_prototypes(standard, place, group, len(present), strength)]
    elif kind == "linear":
        layers = [_logistic(standard, place, strength, steps, feedback)]
    elif kind == "mlp":
        layers = _perceptron(standard, place, seed)
    else:
        raise ValueError(f"the classifier {kind!r} is unknown")
    weights, bias = layers[-1]
    all_weights = np.zeros((len(weights), classes), np.float32)
    all_bias = np.full(classes, _NEVER, np.float32)
    all_weights[:, present], all_bias[present] = weights, bias
    return Network(mean, scale, (*layers[:-1], (all_weights, all_bias)))


def _logistic(
    standard: Float, place: Index, strength: float, steps: int, feedback: Feedback
) -> tuple[Float, Float]:
    linear_model, _ = require_scikit_learn()
    piece = steps if standard.size < _LARGE else _PAUSE
    model = linear_model.LogisticRegression(C=strength, max_iter=piece, warm_start=True)
    with warnings.catch_warnings():
        # Weak regularisation of separable classes never converges and is not chosen either.
        warnings.simplefilter("ignore")
        for _ in range(0, steps, piece):
            stop_if_cancelled(feedback)
            model.fit(standard, place)
            if int(np.max(model.n_iter_)) < piece:
                break
    return _two_or_more(model.coef_.T, model.intercept_)


def _two_or_more(weights: NDArray[Any], bias: NDArray[Any]) -> tuple[Float, Float]:
    """Return scikit-learn has one output for two classes; softmax of (0, z) is its sigmoid of z."""
    if weights.shape[1] == 1:
        weights = np.concatenate([np.zeros_like(weights), weights], 1)
        bias = np.concatenate([np.zeros_like(bias), bias])
    return weights.astype(np.float32), bias.astype(np.float32)


def _prototypes(
    standard: Float, place: Index, group: Index, classes: int, strength: float
) -> tuple[Float, Float]:
    """Return the nearest mean as a linear layer: m.x - |m|^2 / 2 for each mean m."""
    both, which = np.unique(np.stack([place, group]), axis=1, return_inverse=True)
    which = which.reshape(-1)
    sums = np.zeros((both.shape[1], standard.shape[1]))
    np.add.at(sums, which, standard)
    of_groups = sums / np.bincount(which)[:, None]
    means = np.stack([of_groups[both[0] == number].mean(0) for number in range(classes)])
    apart = ((means[:, None] - means[None]) ** 2).sum(2) + np.diag(np.full(classes, np.inf))
    width = max(1e-12, float(np.median(apart.min(1)))) / _THUMB / strength
    weights, bias = means.T / width, -0.5 * (means**2).sum(1) / width
    return weights.astype(np.float32), bias.astype(np.float32)


def _perceptron(standard: Float, place: Index, seed: int) -> list[tuple[Float, Float]]:
    _, neural_network = require_scikit_learn()
    model = neural_network.MLPClassifier(
        (_HIDDEN,), alpha=1e-2, max_iter=100, random_state=seed, n_iter_no_change=5, tol=1e-3
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a hundred epochs are enough, converged or not
        model.fit(standard, place)
    hidden = model.coefs_[0].astype(np.float32), model.intercepts_[0].astype(np.float32)
    return [hidden, _two_or_more(model.coefs_[1], model.intercepts_[1])]


def fit_and_choose(
    kind: str,
    features: Float,
    target: Index,
    group: Index,
    classes: int,
    seed: int,
    feedback: Feedback,
) -> Fitted:
    """Fit with the strength of regularisation that has the least log-loss on groups left out.

    Raises:
        Cancelled: the feedback says so.
    """
    strength = _choose(kind, features, target, group, classes, seed, feedback)
    stop_if_cancelled(feedback)
    network = fit(kind, features, target, group, classes, strength, seed, feedback=feedback)
    return Fitted(network, strength)


def _choose(
    kind: str,
    features: Float,
    target: Index,
    group: Index,
    classes: int,
    seed: int,
    feedback: Feedback,
) -> float:
    candidates = CANDIDATES[kind]
    if len(candidates) == 1:
        return candidates[0]
    if len(features) > _CHOOSING:
        chosen = np.random.default_rng(seed).permutation(len(features))[:_CHOOSING]
        features, target, group = features[chosen], target[chosen], group[chosen]
    folds, _ = folds_of(target, group, 3, seed)
    if len(np.unique(folds[folds >= 0])) < 2:
        return _WITHOUT_CHOICE[kind]
    best, least = candidates[0], np.inf
    for strength in candidates:  # from strong to weak, until it gets worse
        loss = 0.0
        for fold in np.unique(folds[folds >= 0]):
            stop_if_cancelled(feedback)
            out = folds == fold
            rest = features[~out], target[~out], group[~out]
            network = fit(kind, *rest, classes, strength, seed, _FEW_STEPS)
            right = network.probabilities(features[out])[np.arange(out.sum()), target[out]]
            loss -= float(np.log(np.maximum(right, 1e-7)).sum())
        if loss > least:
            break
        best, least = strength, loss
    return best


def validate(
    kind: str,
    features: Float,
    target: Index,
    group: Index,
    classes: int,
    seed: int,
    feedback: Feedback,
) -> Validation:
    """Leave groups out in turn: five folds, regularisation chosen anew inside each.

    Raises:
        Cancelled: the feedback says so.
    """
    folds, single_group_classes = folds_of(target, group, FOLDS, seed)
    used = np.unique(folds[folds >= 0])
    samples, predictions = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    curve: dict[int, list[float]] = {}
    strengths: dict[int, float] = {}  # of a size, chosen in the first fold
    for done, fold in enumerate(used):
        out = np.flatnonzero(folds == fold)
        rest = np.flatnonzero(folds != fold)

        def learn(part: Index) -> tuple[Float, Index, Index, int, int]:
            return features[part], target[part], group[part], classes, seed

        sizes = _curve_sizes(target[rest], group[rest])
        for number, size in enumerate(sizes):
            part = _some_groups(rest, target, group, size, seed + done)
            if size not in strengths:
                strengths[size] = _choose(kind, *learn(part), feedback)
            stop_if_cancelled(feedback)
            network = fit(kind, *learn(part)[:4], strengths[size], seed, _FEW_STEPS, feedback)
            predicted = _predict(network, features[out])
            score = measures(confusion(target[out], predicted, classes)).overall[2]
            curve.setdefault(size, []).append(float(score))
            feedback.progress((done + (number + 1) / (len(sizes) + 1)) / len(used))
        fitted = fit_and_choose(kind, *learn(rest), feedback)
        samples.append(out)
        predictions.append(_predict(fitted.network, features[out]))
        feedback.progress((done + 1) / len(used))
    points = [
        (size, float(np.mean(scores)), float(np.std(scores)))
        for size, scores in sorted(curve.items())
        if len(scores) == len(used)
    ]
    return Validation(
        np.concatenate(samples), np.concatenate(predictions), points, single_group_classes
    )


def leave_out(
    kind: str,
    features: Float,
    target: Index,
    group: Index,
    classes: int,
    fitted: Fitted,
    seed: int,
    feedback: Feedback,
) -> LeftOut:
    """Return what heads of the strength that was chosen say of groups that they did not see.

    How sure a classifier is depends on its strength, which `validate` chooses anew in each fold:
    what it predicts says how right a head is, and not how sure.

    Raises:
        Cancelled: the feedback says so.
    """
    folds, _ = folds_of(target, group, FOLDS, seed)
    sample = np.flatnonzero(folds >= 0)
    probabilities = np.empty((len(target), classes), np.float32)
    used = np.unique(folds[sample])
    for done, fold in enumerate(used):
        stop_if_cancelled(feedback)
        out = folds == fold
        rest = features[~out], target[~out], group[~out]
        network = fit(kind, *rest, classes, fitted.strength, seed, feedback=feedback)
        probabilities[out] = network.probabilities(features[out])
        feedback.progress((done + 1) / len(used))
    return LeftOut(sample, probabilities[sample], folds[sample])


def _predict(network: Network, features: Float) -> Index:
    return np.asarray(network.probabilities(features).argmax(1))


def _curve_sizes(target: Index, group: Index) -> list[int]:
    """Return numbers of groups a class up to what the median class has."""
    members = np.unique(np.stack([target, group]), axis=1)
    most = int(np.median(np.bincount(members[0])[np.unique(members[0])]))
    return [size for size in CURVE if size <= most]


def _some_groups(samples: Index, target: Index, group: Index, size: int, seed: int) -> Index:
    """Return the samples of `size` groups of each class, chosen at random."""
    rng = np.random.default_rng(seed)
    kept = []
    for place in np.unique(target[samples]):
        mine = samples[target[samples] == place]
        some = rng.permutation(np.unique(group[mine]))[:size]
        kept.append(mine[np.isin(group[mine], some)])
    return np.sort(np.concatenate(kept))


def group_counts(target: Index, group: Index, classes: int) -> Index:
    """Return `(K,)` in how many groups each class occurs."""
    members = np.unique(np.stack([target, group]), axis=1)
    return np.bincount(members[0], minlength=classes)
