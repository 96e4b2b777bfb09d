"""Ridge regression of areas: what counts once, what is left out, and what the figures mean."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alise_plugin.feedback import SilentFeedback
from alise_plugin.mapping.learning.regression import (
    FIGURES,
    STRENGTHS,
    ValueValidation,
    by_area,
    fit_and_choose_value,
    fit_value,
    validate_value,
    value_figures,
    value_folds,
)
from alise_plugin.mapping.samples.samples import ValueSamples

pytest.importorskip("sklearn")
QUIET = SilentFeedback()


def samples(rng, areas=60, pixels=3, features=12, noise=0.1, groups=None):
    """Values that are linear in some features, all pixels of an area around one vector."""
    middle = rng.normal(size=(areas, features))
    direction = np.zeros(features)
    direction[:4] = (3, -2, 1, 0.5)
    value = 10 + middle @ direction + rng.normal(0, noise, areas)
    area = np.repeat(np.arange(areas), pixels)
    values = middle[area] + rng.normal(0, 0.05, (len(area), features))
    group = area if groups is None else np.asarray(groups)[area]
    return ValueSamples(values.astype(np.float32), value[area], area, group)


def estimates(network, features):
    return network.outputs(features)[:, 0]


def test_what_is_linear_is_found(rng):
    learned, unseen = samples(rng), samples(rng)
    fitted = fit_and_choose_value(learned, 0, QUIET)
    got = estimates(fitted.network, unseen.features)
    assert np.sqrt(np.mean((got - unseen.value) ** 2)) < 0.3
    checked = validate_value(learned, 0, QUIET)
    figures = value_figures(checked, 0)
    assert figures["R2"].value > 0.98
    assert figures["RMSE"].value < 0.3


def test_noise_is_not_learned(rng):
    made = samples(rng, areas=80)
    noise = ValueSamples(made.features, rng.normal(size=80)[made.area], made.area, made.group)
    figures = value_figures(validate_value(noise, 0, QUIET), 0)
    assert figures["R2"].value < 0.15
    assert figures["R2"].low <= figures["R2"].value <= figures["R2"].high


def test_an_area_counts_once_however_many_pixels_it_has(rng):
    made = samples(rng, pixels=2)
    first = made.area == 0
    again = [np.r_[part, np.repeat(part[first], 50, 0)] for part in (made.features, made.value)]
    more = ValueSamples(
        *again,
        np.r_[made.area, np.zeros(50 * first.sum(), np.int64)],
        np.r_[made.group, np.zeros(50 * first.sum(), np.int64)],
    )
    for strength in (1e-6, 30.0):
        one, other = (estimates(fit_value(each, strength), made.features) for each in (made, more))
        np.testing.assert_allclose(one, other, atol=1e-4)
        # What counting pixels would give is another thing.
        by_pixel = ValueSamples(more.features, more.value, np.arange(len(more.value)), more.group)
        third = estimates(fit_value(by_pixel, strength), made.features)
        assert np.abs(third - one).max() > 0.02


def test_the_fit_is_the_ridge_of_scikit_learn(rng):
    from sklearn.linear_model import Ridge

    made = samples(rng)
    made.features[:] = made.features * np.geomspace(0.01, 100, 12) + 1234.5678
    strengths = (0.5, 20.0, 300.0)
    got = fit_value(made, *strengths).outputs(made.features)
    data = made.features.astype(np.float64)
    data = (data - data.mean(0)) / data.std(0)
    for number, strength in enumerate(strengths):
        model = Ridge(strength).fit(data, made.value, np.full(len(data), 1 / 3))
        np.testing.assert_allclose(got[:, number], model.predict(data), atol=2e-4)


def test_a_fit_holds_two_copies_of_the_features_at_most(rng):
    made = samples(rng, areas=2000, pixels=5, features=100)
    fit_value(made, 1.0)
    tracemalloc.start()
    fit_value(made, *STRENGTHS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.4 * 2 * made.features.nbytes  # of eight bytes a number instead of four


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.integers(1, 40), st.integers(2, 6))
def test_groups_are_never_split_and_folds_are_even(seed, groups, count):
    rng = np.random.default_rng(seed)
    made = samples(rng, areas=3 * groups, pixels=2, groups=np.arange(3 * groups) % groups)
    folds = value_folds(made, count, seed)
    assert all(len(np.unique(folds[made.group == one])) == 1 for one in range(groups))
    sizes = np.bincount([folds[made.group == one][0] for one in range(groups)], minlength=count)
    assert sizes.max() <= -(-groups // count)
    assert len(np.unique(folds)) == min(groups, count)


def test_every_fold_has_low_and_high_values(rng):
    made = samples(rng, areas=100)
    folds = value_folds(made, 5, 0)
    middle = np.median(made.value)
    for fold in range(5):
        mine = made.value[folds == fold]
        assert mine.min() < middle < mine.max()


def test_no_fold_has_the_least_values_always(rng):
    made = samples(rng, areas=50)
    least = {int(value_folds(made, 5, seed)[made.value.argmin()]) for seed in range(30)}
    assert least == set(range(5))


def test_each_area_is_estimated_once_by_a_head_that_had_not_seen_its_group(rng):
    # Two areas a group. Values are chance, so who has seen a group's twin area would know it.
    groups = np.arange(60) // 2
    made = samples(rng, areas=60, features=200, groups=groups)
    value = rng.normal(size=30)[made.group]
    twin = made.features[np.searchsorted(made.area, 2 * made.group)]  # alike within a group
    learned = ValueSamples(twin, value, made.area, made.group)
    checked = validate_value(learned, 0, QUIET)
    assert len(checked.measured) == 60
    np.testing.assert_array_equal(np.sort(np.unique(checked.group)), np.arange(30))
    assert value_figures(checked, 0)["R2"].value < 0.3
    # Left out pixel by pixel, the same data would look learned.
    careless = ValueSamples(twin, value, made.area, made.area)
    assert value_figures(validate_value(careless, 0, QUIET), 0)["R2"].value > 0.7


def test_the_figures_are_those_of_scikit_learn(rng):
    from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

    measured = rng.normal(5, 2, 200)
    estimated = measured + rng.normal(0.3, 0.7, 200)
    checked = ValueValidation(measured, estimated, np.arange(200) // 4, [])
    figures = value_figures(checked, 0)
    expected = (
        np.sqrt(mean_squared_error(measured, estimated)),
        mean_absolute_error(measured, estimated),
        np.mean(estimated - measured),
        r2_score(measured, estimated),
    )
    assert [figures[name].value for name in FIGURES] == pytest.approx(expected)
    for figure in figures.values():
        assert figure.low < figure.value < figure.high
    # Pixels that repeat their group tell nothing more.
    again = ValueValidation(
        *(np.tile(part, 9) for part in (measured, estimated, np.arange(200) // 4)), []
    )
    wide, same = figures["RMSE"], value_figures(again, 0)["RMSE"]
    assert same.high - same.low == pytest.approx(wide.high - wide.low)


def test_what_was_measured_in_a_group_has_no_part_in_its_estimate(rng):
    made = samples(rng, areas=12, features=30, noise=1.0)
    # The largest value stays it, so that the folds stay too.
    largest = made.group == made.group[made.value.argmax()]
    wild = ValueSamples(made.features, np.where(largest, 1e4, made.value), made.area, made.group)
    for seed in range(6):
        one, other = (validate_value(each, seed, QUIET) for each in (made, wild))
        place = one.measured.argmax()
        assert other.measured[place] == 1e4
        assert other.estimated[place] == pytest.approx(one.estimated[place])


def test_resamples_of_one_value_have_no_r2():
    # One resample in nine holds one area three times: its variance is nothing but rounding.
    measured = np.array([0.0, 0.7, 0.1])
    estimated = measured + np.array([0.1, -0.2, 0.2])
    figure = value_figures(ValueValidation(measured, estimated, np.arange(3), []), 0)["R2"]
    assert -30 < figure.low < figure.value <= figure.high <= 1


def test_of_two_groups_nothing_can_be_chosen(rng):
    # A head of one area estimates its value everywhere, whatever the penalty is.
    strengths = set()
    for _ in range(5):
        strengths.add(fit_and_choose_value(samples(rng, areas=2), 0, QUIET).strength)
    assert strengths == {1000}


def test_one_group_cannot_be_left_out(rng):
    made = samples(rng, areas=10, groups=np.zeros(10, int))
    checked = validate_value(made, 0, QUIET)
    assert len(checked.measured) == 0
    assert value_figures(checked, 0) == {}
    assert np.isfinite(estimates(fit_and_choose_value(made, 0, QUIET).network, made.features)).all()


def test_more_areas_do_better_on_the_curve(rng):
    made = samples(rng, areas=253, features=40, noise=0.5)
    curve = validate_value(made, 0, QUIET).curve
    assert [point[0] for point in curve] == [5, 10, 20, 50, 100, 202]
    assert curve[0][1] < curve[-1][1]


def test_the_curve_does_not_depend_on_the_order_of_the_areas(rng):
    made = samples(rng, areas=60)
    # Sorted, as a table may be: the first five alone would say nothing about high values.
    order = np.argsort(made.value, kind="stable")
    area = np.repeat(np.arange(60), 3)
    curve = validate_value(
        ValueSamples(made.features[order], made.value[order], area, area), 0, QUIET
    ).curve
    assert curve[0][0] == 5
    assert curve[0][1] > -0.5


@pytest.mark.parametrize("areas", [9, 14, 40])
def test_the_curve_ends_where_the_figures_are(areas):
    for seed in range(3):
        made = samples(np.random.default_rng(seed), areas=areas, features=40)
        checked = validate_value(made, 0, QUIET)
        assert checked.curve[-1][1] == pytest.approx(value_figures(checked, 0)["R2"].value)


def test_a_feature_that_does_not_vary_does_no_harm(rng):
    made = samples(rng)
    made.features[:, 7] = 3.5
    network = fit_value(made, 1.0)
    assert np.isfinite(network.outputs(made.features)).all()


def test_the_estimate_of_an_area_is_the_mean_of_its_pixels():
    area = np.array([4, 4, 9, 9, 9])
    made = ValueSamples(np.zeros((5, 1), np.float32), np.array([1.0, 1, 2, 2, 2]), area, area * 2)
    measured, estimated, group = by_area(made, np.arange(1, 5), np.array([5.0, 1, 2, 6]))
    np.testing.assert_array_equal(measured, [1, 2])
    np.testing.assert_array_equal(estimated, [5, 3])
    np.testing.assert_array_equal(group, [8, 18])
