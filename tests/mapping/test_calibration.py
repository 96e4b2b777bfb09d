"""Probabilities that are as often right as they say, on draws whose truth is known."""

import numpy as np
import pytest

from alise_plugin.feedback import SilentFeedback
from alise_plugin.mapping.learning.classifier import fit_and_choose, leave_out
from alise_plugin.mapping.scores.calibration import (
    calibrated,
    calibration,
    choose_temperature,
    with_temperature,
)


def drawn(rng, count=20_000, classes=4):
    """Probabilities, and classes that are drawn by them."""
    scores = rng.normal(0, 2, (count, classes))
    chances = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    target = (chances.cumsum(1) < rng.uniform(size=(count, 1))).sum(1)
    return chances.astype(np.float32), np.minimum(target, classes - 1)


def test_probabilities_that_hold_have_no_error(rng):
    chances, target = drawn(rng)
    found = calibration(chances, target)
    assert found.error < 0.02
    assert found.brier == pytest.approx(1 - (chances.astype(float) ** 2).sum(1).mean(), abs=0.02)
    assert found.count.sum() == len(target)
    np.testing.assert_allclose(found.stated, found.right, atol=0.05)


def test_brier_score_and_error_of_a_case_by_hand():
    chances = np.array([[0.95, 0.05], [0.95, 0.05], [0.25, 0.75]], np.float32)
    found = calibration(chances, np.array([0, 1, 1]))
    assert found.brier == pytest.approx((0.005 + 1.805 + 0.125) / 3, abs=1e-6)
    assert found.error == pytest.approx((2 * 0.45 + 0.25) / 3, abs=1e-6)


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_the_temperature_takes_back_what_made_a_classifier_too_sure(rng, factor):
    chances, target = drawn(rng)
    too_sure = with_temperature(chances, 1 / factor)
    group = np.arange(len(target)) // 20
    assert choose_temperature(too_sure, target, group) == pytest.approx(factor, rel=0.06)
    fold = group % 5
    assert calibration(calibrated(too_sure, target, group, fold), target).error < 0.02


def test_few_groups_choose_no_temperature(rng):
    chances, target = drawn(rng, 200)
    assert choose_temperature(chances, target, np.arange(200) % 9) == 1.0
    assert choose_temperature(chances[:0], target[:0], target[:0]) == 1.0


def test_a_group_counts_once_however_large_it_is(rng):
    chances, target = drawn(rng, 2000)
    group = np.arange(2000)
    more = np.r_[group, np.repeat(0, 20_000)]
    alone = choose_temperature(chances, target, group)
    assert choose_temperature(chances[more], target[more], group[more]) == alone


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_new_polygons_are_as_often_right_as_a_head_says(kind):
    """The mean of four draws: a temperature of a few polygons is right on the average only."""
    plain, held = [], []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        means = rng.normal(0, 0.6, (4, 20))

        train, test = (polygons(rng, means, groups) for groups in (12, 200))
        fitted = fit_and_choose(kind, *train, 4, 0, SilentFeedback())
        left_out = leave_out(kind, *train, 4, fitted, 0, SilentFeedback())
        temperature = choose_temperature(
            left_out.probabilities, train[1][left_out.sample], train[2][left_out.sample]
        )
        warm = fitted.network.with_temperature(temperature)
        before, after = (one.probabilities(test[0]) for one in (fitted.network, warm))
        np.testing.assert_array_equal(before.argmax(1), after.argmax(1))
        plain.append(calibration(before, test[1]))
        held.append(calibration(after, test[1]))
    error = np.mean([one.error for one in held])
    assert error < 0.05
    assert error < np.mean([one.error for one in plain])
    assert np.mean([one.brier for one in held]) < np.mean([one.brier for one in plain])


def polygons(rng, means, groups):
    """Pixels of a polygon are alike, so that a head that saw them is too sure of new ones."""
    target = np.repeat(np.arange(4), groups * 8)
    group = np.repeat(np.arange(4 * groups), 8)
    middle = means[target] + rng.normal(0, 1, (4 * groups, 20))[group]
    return (middle + rng.normal(0, 0.2, middle.shape)).astype(np.float32), target, group
