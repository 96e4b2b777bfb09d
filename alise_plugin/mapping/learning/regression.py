"""From feature vectors to a measured value, and how well that does on groups it has not seen.

Ridge regression on standardised features (Hoerl and Kennard 1970), every area counting once however
many of its pixels were taken. scikit-learn fits, NumPy and ONNX compute.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...arrays import Index, Real
from ...feedback import Feedback, stop_if_cancelled
from ...model.heads.head_file import Network
from ..samples.samples import ValueSamples
from ..scores.metrics import LEVEL, RESAMPLES, Interval
from .classifier import require_scikit_learn

FOLDS = 5


FIGURES = ("RMSE", "mean absolute error", "bias", "R2")


# What regularisation is chosen from: strength of the penalty, against one for each area.
STRENGTHS = (1.0, 10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4, 1e5)


_WITHOUT_CHOICE = 1e3


_SPLITS = 3  # in threes, each by another seed: one alone often picks too weak a penalty


_CHOOSING = 5000  # samples at most that regularisation is chosen on


CURVE = (5, 10, 20, 50, 100, 200, 500)  # groups


_ROUNDING = 1e-12  # share of a sum of squares that is no variance but rounding


@dataclass(frozen=True)
class FittedValue:
    """A regression and the strength of regularisation that was chosen for it."""

    network: Network
    strength: float


@dataclass(frozen=True)
class ValueValidation:
    """Estimates for areas that the regression did not see, and a learning curve.

    Attributes:
        measured, estimated: `(A,)` of each area, estimates being means over its pixels.
        group: `(A,)`.
        curve: groups, R2 (errors against the variance of all areas) and its standard deviation
            over the folds.
    """

    measured: Real
    estimated: Real
    group: Index
    curve: list[tuple[int, float, float]]


def fit_value(samples: ValueSamples, *strengths: float) -> Network:
    """Fit a regression of one output for each strength of regularisation.

    Raises:
        RuntimeMissingError: scikit-learn is not there.
    """
    linear_model, _ = require_scikit_learn()
    _, which, sizes = np.unique(samples.area, return_inverse=True, return_counts=True)
    counted = 1 / sizes[which.reshape(-1)]
    share = counted / counted.sum()
    # One copy of the features, changed in place: given weights, scikit-learn makes more of them.
    data = samples.features.astype(np.float64)
    mean = (share @ data).astype(np.float32)
    data -= mean
    scale = np.sqrt(np.einsum("n,nf,nf->f", share, data, data)).astype(np.float32)
    scale[scale < 1e-6 * max(1e-12, float(scale.max()))] = 1  # a feature that does not vary
    data /= scale
    rest = share @ data  # of rounding the mean
    data -= rest
    data *= np.sqrt(counted)[:, None]
    level = share @ samples.value
    values = np.tile(((samples.value - level) * np.sqrt(counted))[:, None], len(strengths))
    model = linear_model.Ridge(alpha=np.array(strengths), fit_intercept=False, copy_X=False)
    model.fit(data, values)
    weights = np.atleast_2d(model.coef_).T
    bias = level - rest @ weights
    return Network(mean, scale, ((weights.astype(np.float32), bias.astype(np.float32)),))


def fit_and_choose_value(samples: ValueSamples, seed: int, feedback: Feedback) -> FittedValue:
    """Fit with the strength of regularisation that has the least error on groups left out.

    Raises:
        RuntimeMissingError: scikit-learn is not there.
        Cancelled: the feedback says so.
    """
    strength = _choose(samples, seed, feedback)
    stop_if_cancelled(feedback)
    return FittedValue(fit_value(samples, strength), strength)


def validate_value(samples: ValueSamples, seed: int, feedback: Feedback) -> ValueValidation:
    """Leave groups out in turn: five folds, regularisation chosen anew inside each.

    For the sizes of the learning curve it is chosen in the first fold. Where all is of one group,
    nothing is left out.

    Raises:
        RuntimeMissingError: scikit-learn is not there.
        Cancelled: the feedback says so.
    """
    folds = value_folds(samples, FOLDS, seed)
    used = np.unique(folds)
    if len(used) < 2:
        used = used[:0]
    count = len(np.unique(samples.group))
    most = count - -(-count // FOLDS)  # groups that are left where most are left out
    sizes = [size for size in CURVE if size < 0.75 * most]
    estimated = np.full(len(samples.value), np.nan)
    # A fold of few areas has hardly any variance of its own to compare errors with.
    variance = float(by_area(samples, np.arange(len(estimated)), estimated)[0].var())
    curve: dict[int, list[tuple[float, int]]] = {}  # R2 and areas of each fold
    strengths: dict[int, float] = {}
    for done, fold in enumerate(used):
        out, rest = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        groups = np.random.default_rng(seed + done).permutation(np.unique(samples.group[rest]))
        for size in [*sizes, 0]:
            chosen = groups[: size or None]
            part = _of(samples, rest[np.isin(samples.group[rest], chosen)])
            if size == 0 or size not in strengths:
                strengths[size] = _choose(part, seed, feedback)
            stop_if_cancelled(feedback)
            found = fit_value(part, strengths[size]).outputs(samples.features[out])[:, 0]
            measured, means, _ = by_area(samples, out, found.astype(np.float64))
            score = 1 - float(((means - measured) ** 2).mean()) / variance
            curve.setdefault(size or most, []).append((score, len(measured)))
        estimated[out] = found
        feedback.progress((done + 1) / len(used))
    points = [(size, *_mean_and_deviation(scores)) for size, scores in sorted(curve.items())]
    valid = np.flatnonzero(np.isfinite(estimated))
    return ValueValidation(*by_area(samples, valid, estimated[valid]), points)


def value_folds(samples: ValueSamples, count: int, seed: int) -> Index:
    """Return the fold `(N,)` of each sample: each fold has groups with low and high values."""
    _, which = np.unique(samples.group, return_inverse=True)
    which = which.reshape(-1)
    means = np.bincount(which, samples.value) / np.bincount(which)
    rng = np.random.default_rng(seed)
    order = np.lexsort((rng.random(len(means)), means))
    fold = np.empty(len(means), np.int64)
    for start in range(0, len(order), count):
        some = order[start : start + count]
        fold[some] = rng.permutation(count)[: len(some)]
    if len(means) < count:
        fold = np.arange(len(means))
    return fold[which]


def by_area(samples: ValueSamples, chosen: Index, estimated: Real) -> tuple[Real, Real, Index]:
    """Return the measured value, mean estimate and group `(A,)` of the areas of some samples."""
    _, first, which, sizes = np.unique(
        samples.area[chosen], return_index=True, return_inverse=True, return_counts=True
    )
    means = np.bincount(which.reshape(-1), estimated, len(first)) / np.maximum(sizes, 1)
    return samples.value[chosen][first], means, samples.group[chosen][first]


def value_figures(checked: ValueValidation, seed: int) -> dict[str, Interval]:
    """Return RMSE, mean absolute error, bias (estimated less measured) and R2 of areas left out.

    Intervals hold 95 % of resamples of the groups (percentile bootstrap, Efron and Tibshirani
    1993); nothing where nothing was left out.
    """
    if not len(checked.measured):
        return {}
    _, which = np.unique(checked.group, return_inverse=True)
    which = which.reshape(-1)
    error = checked.estimated - checked.measured
    centred = checked.measured - checked.measured.mean()
    columns = (np.ones(len(error)), error**2, np.abs(error), error, centred, centred**2)
    sums = np.stack([np.bincount(which, column) for column in columns], 1)
    groups = len(sums)
    rng = np.random.default_rng(seed)
    drawn = np.stack(
        [
            np.bincount(rng.integers(0, groups, groups), minlength=groups) @ sums
            for _ in range(RESAMPLES)
        ]
    )
    values = _figures(sums.sum(0)[None])[0]
    tails = [50 * (1 - LEVEL), 100 - 50 * (1 - LEVEL)]
    low, high = np.nanpercentile(_figures(drawn), tails, axis=0)
    return {
        name: Interval(*map(float, three)) for name, three in zip(FIGURES, zip(values, low, high))
    }


def _figures(sums: Real) -> Real:
    """Return `(R, 6)` sums of 1, squared, absolute and plain errors, values and squared values."""
    count, squared, absolute, plain, value, squares = sums.T
    spread = squares - value**2 / count
    varies = spread > _ROUNDING * squares
    determined = np.where(varies, 1 - squared / np.where(varies, spread, 1), np.nan)
    return np.stack([np.sqrt(squared / count), absolute / count, plain / count, determined], 1)


def _mean_and_deviation(scores: Sequence[tuple[float, int]]) -> tuple[float, float]:
    """Return of values that each count so many times."""
    values, counts = np.array(scores).T
    mean = np.average(values, weights=counts)
    return float(mean), float(np.sqrt(np.average((values - mean) ** 2, weights=counts)))


def _choose(samples: ValueSamples, seed: int, feedback: Feedback) -> float:
    if len(samples.value) > _CHOOSING:
        chosen = np.random.default_rng(seed).permutation(len(samples.value))[:_CHOOSING]
        samples = _of(samples, chosen)
    if len(np.unique(samples.group)) < 3:  # of two, one alone says nothing about the other
        return _WITHOUT_CHOICE
    errors = np.zeros(len(STRENGTHS))
    for split in range(_SPLITS):
        folds = value_folds(samples, 3, seed + split)
        for fold in np.unique(folds):
            stop_if_cancelled(feedback)
            out = np.flatnonzero(folds == fold)
            network = fit_value(_of(samples, np.flatnonzero(folds != fold)), *STRENGTHS)
            for number, found in enumerate(network.outputs(samples.features[out]).T):
                measured, means, _ = by_area(samples, out, found.astype(np.float64))
                errors[number] += float(((means - measured) ** 2).sum())
    return STRENGTHS[int(np.argmin(errors))]


def _of(samples: ValueSamples, chosen: Index) -> ValueSamples:
    return ValueSamples(
        samples.features[chosen],
        samples.value[chosen],
        samples.area[chosen],
        samples.group[chosen],
    )
