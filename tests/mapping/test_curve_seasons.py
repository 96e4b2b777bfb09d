"""Seasons of curves whose start, peak and end are known."""

import numpy as np
import pytest

from alise_plugin.mapping.curves.seasons import METRICS, STEP, SeasonRules, find_seasons

DAYS = np.arange(0, 365, STEP, dtype=np.float32)
RULES = SeasonRules(0, 364)


def trapezium(start, top, fall, end, height, base=0.2):
    """Rises from one day to another, stays, and falls."""
    return base + np.interp(DAYS, [start, top, fall, end], [0, height, height, 0])


def triangle(start, peak, end, height, base=0.2):
    return trapezium(start, peak, peak, end, height, base)


def seasons(*curves, rules=RULES, **more):
    found = find_seasons(np.stack(curves, 1).astype(np.float32), DAYS, rules, **more)
    return [
        [dict(zip(METRICS, found[number, :, pixel])) for number in range(2)]
        for pixel in range(len(curves))
    ]


def test_one_season_is_told_as_timesat_and_hr_vpp_define_it():
    ((season, none),) = seasons(triangle(60, 160, 260, 0.6))
    assert season["start"] == pytest.approx(60 + 25, abs=0.5)
    assert season["end"] == pytest.approx(260 - 15, abs=0.5)
    assert season["peak"] == pytest.approx(160, abs=0.5)
    assert season["length"] == pytest.approx(160, abs=1)
    assert season["base"] == pytest.approx(0.2, abs=1e-6)
    assert season["amplitude"] == pytest.approx(0.6, abs=1e-6)
    # two trapeziums: 75 days from 0.15 to 0.6, 85 days from 0.6 to 0.09
    assert season["integral"] == pytest.approx(75 * 0.375 + 85 * 0.345, abs=0.2)
    assert np.isnan(season["quality"])  # nothing is known of observations
    assert np.isnan(list(none.values())).all()


def test_each_side_is_measured_from_its_own_lowest_value():
    left, right = np.interp(DAYS, [60, 160], [0.0, 0.8]), np.interp(DAYS, [160, 260], [0.8, 0.4])
    ((season, _),) = seasons(np.where(DAYS <= 160, left, right))
    assert season["base"] == pytest.approx(0.2, abs=1e-6)
    assert season["amplitude"] == pytest.approx(0.6, abs=1e-6)
    assert season["start"] == pytest.approx(85, abs=0.5)
    assert season["end"] == pytest.approx(245, abs=0.5)


def test_two_seasons_come_in_the_order_of_time():
    small, large = triangle(20, 70, 140, 0.35), triangle(160, 220, 300, 0.6)
    curve = np.maximum(small, large)
    ((first, second),) = seasons(curve)
    assert first["peak"] == pytest.approx(70, abs=3)
    assert second["peak"] == pytest.approx(220, abs=3)
    assert first["end"] < second["start"]
    ((first, second),) = seasons(curve, rules=SeasonRules(150, 364))
    assert first["peak"] == pytest.approx(220, abs=3)
    assert np.isnan(second["peak"])
    ripple = triangle(60, 160, 260, 0.6) + 0.02 * np.sin(DAYS / 8)
    assert np.isnan(seasons(ripple)[0][1]["peak"])


def test_absolute_thresholds_are_values():
    rules = SeasonRules(0, 364, 0.5, 0.35, relative=False)
    found, low = seasons(triangle(60, 160, 260, 0.6), triangle(60, 160, 260, 0.2), rules=rules)
    assert found[0]["start"] == pytest.approx(110, abs=0.5)
    assert found[0]["end"] == pytest.approx(235, abs=0.5)
    assert np.isnan(low[0]["start"])  # never reaches 0.5 ...
    assert low[0]["peak"] == pytest.approx(160, abs=0.5)  # ... but is a season


def test_what_is_too_small_or_not_there_is_no_season():
    small, missing, falling = (
        triangle(60, 160, 260, 0.08),
        np.full(len(DAYS), np.nan),
        np.linspace(0.8, 0.2, len(DAYS)),
    )
    for pixel in seasons(small, missing, falling):
        assert np.isnan([list(season.values()) for season in pixel]).all()
    assert find_seasons(np.empty((len(DAYS), 0), np.float32), DAYS, RULES).shape == (2, 8, 0)


def test_a_season_cut_by_the_edge_of_the_series_has_no_start():
    ((season, _),) = seasons(triangle(-80, 30, 140, 0.6))
    assert np.isnan([season["start"], season["length"], season["integral"]]).all()
    assert season["end"] == pytest.approx(140 - 0.15 * 110, abs=0.5)
    assert season["peak"] == pytest.approx(30, abs=0.5)


def test_quality_counts_the_days_with_a_clear_observation_near():
    observed = np.array([90, 165, 300], np.float32)
    season = triangle(60, 160, 260, 0.6)  # from day 85 to 245
    clear = np.array([[True, True, False], [True, False, False], [True, True, True]])
    found = seasons(season, season, season, clear=clear, observed_days=observed)
    assert [pixel[0]["quality"] for pixel in found] == [3, 2, 1]


def test_many_curves_at_once_are_as_one_by_one():
    rng = np.random.default_rng(5)
    curves = [
        triangle(s, s + a, s + a + b, h) + rng.normal(0, 0.02, len(DAYS)).cumsum() / 4
        for s, a, b, h in zip(
            rng.uniform(0, 100, 60),
            rng.uniform(20, 100, 60),
            rng.uniform(20, 100, 60),
            rng.uniform(0, 0.7, 60),
        )
    ]
    together = find_seasons(np.stack(curves, 1).astype(np.float32), DAYS, RULES)
    alone = [find_seasons(one[:, None].astype(np.float32), DAYS, RULES) for one in curves]
    np.testing.assert_array_equal(together, np.concatenate(alone, 2))
    assert np.isfinite(together[0, 0]).mean() > 0.5
