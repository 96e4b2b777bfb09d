import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alise_plugin.sentinel2 import BANDS
from training.data.screen import REACH_DAYS, doubtful, ground_in_sight, snow
from training.simulation.pixels import simulate_pixels

FIELD = np.array([0.04, 0.07, 0.05, 0.11, 0.28, 0.35, 0.38, 0.40, 0.20, 0.11])
BLUE, GREEN, RED, NIR = (BANDS.index(band) for band in ("B02", "B03", "B04", "B08"))
VISIBLE = [BLUE, GREEN, RED]


def field(dates=7, step=5):
    """A field that stays as it is."""
    series = np.broadcast_to(FIELD[None, :, None, None], (dates, 10, 1, 1)).astype(np.float32)
    return series.copy(), np.ones((dates, 1, 1), bool), np.arange(dates) * float(step)


def doubted(series, clear, days):
    return np.flatnonzero(doubtful(series, clear, days)[:, 0, 0]).tolist()


def test_an_undisturbed_series_is_not_doubted():
    assert doubted(*field()) == []


def test_haze_and_shadow_of_one_date_are_doubted():
    series, clear, days = field()
    series[2, VISIBLE] += 0.06
    series[4] *= 0.5
    assert doubted(series, clear, days) == [2, 4]


def test_what_people_do_to_a_field_is_not():
    mown, clear, days = field()
    mown[3, NIR] = 0.22
    mown[3, RED] += 0.03
    assert doubted(mown, clear, days) == []
    ploughed, clear, days = field()
    ploughed[3, BLUE] += 0.04
    ploughed[3, RED] += 0.10
    assert doubted(ploughed, clear, days) == []
    harvested, clear, days = field()
    harvested[4:] *= 0.5
    assert doubted(harvested, clear, days) == []


def test_neighbours_must_be_near_on_both_sides_and_clear():
    series, clear, days = field(3)
    series[[0, 1, 2], BLUE] += [[[0.0]], [[0.06]], [[0.0]]]
    assert doubted(series, clear, days) == [1]
    assert doubted(series, clear, np.array([0.0, REACH_DAYS + 1, REACH_DAYS + 5])) == []
    assert doubted(series[1:], clear[1:], days[1:]) == []
    clear[0] = False
    assert doubted(series, clear, days) == []


def test_more_haze_is_allowed_to_neighbours_further_away():
    series, clear, _ = field(3)
    series[1, BLUE] += 0.045
    assert doubted(series, clear, np.array([0.0, 5.0, 10.0])) == [1]
    assert doubted(series, clear, np.array([0.0, 25.0, 50.0])) == []


@pytest.mark.parametrize("absent", [[NIR], VISIBLE], ids=["B08", "visible"])
def test_a_series_that_lacks_bands_is_judged_by_the_others(absent):
    series, clear, days = field()
    series[:, absent] = np.nan
    series[3] *= 0.5
    assert doubted(series, clear, days) == [3]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_only_clear_dates_are_doubted_and_time_has_no_direction(seed):
    rng = np.random.default_rng(seed)
    series = rng.uniform(0.02, 0.5, (12, 10, 2, 3)).astype(np.float32)
    series[rng.random(series.shape) < 0.1] = np.nan
    clear = rng.random((12, 2, 3)) < 0.7
    days = np.sort(rng.choice(200, 12, replace=False)).astype(float)
    found = doubtful(series, clear, days)
    assert not (found & ~clear).any()
    backwards = doubtful(series[::-1], clear[::-1], -days[::-1])
    np.testing.assert_array_equal(found, backwards[::-1])


def test_snow_is_told_from_ground_in_simulated_winters():
    world = simulate_pixels(300, 48, seed=5)
    ground, bare = (
        part.numpy().transpose(1, 2, 0)[..., None] for part in (world.clean, world.below_snow)
    )
    seen = world.observed.numpy().T[..., None]
    brighter = (ground - bare)[:, BLUE]
    covered, free = seen & (brighter > 0.2), seen & (brighter < 0.01)
    assert covered.sum() > 100
    assert snow(ground)[covered].mean() > 0.97
    assert snow(ground)[free].mean() < 0.02  # bright water and roofs


def test_a_band_that_is_missing_does_not_make_snow():
    snowy = np.array([0.6, 0.6, 0.58, 0.6, 0.6, 0.6, 0.6, 0.6, 0.1, 0.1], np.float32)
    thin = np.array([0.2, 0.2, 0.2, 0.25, 0.3, 0.3, 0.3, 0.3, 0.1, 0.08], np.float32)
    series = np.stack([snowy, thin, FIELD.astype(np.float32)])[:, :, None, None]
    assert snow(series)[:, 0, 0].tolist() == [True, True, False]
    series[:, BANDS.index("B11")] = np.nan
    assert snow(series)[:, 0, 0].tolist() == [True, False, False]
    series[:, BLUE] = np.nan
    assert not snow(series).any()


def test_ground_in_sight_is_clear_free_of_snow_and_of_hidden_classes():
    series, clear, _ = field(5)
    series[1] = np.nan
    series[2, :, 0, 0] = [0.6, 0.6, 0.58, 0.6, 0.6, 0.6, 0.6, 0.6, 0.1, 0.1]
    clear[3] = False
    assert ground_in_sight(series, clear)[:, 0, 0].tolist() == [True, False, False, False, True]
    scl = np.array([11, 4, 4, 4, 5])[:, None, None]
    assert ground_in_sight(series, clear, scl)[:, 0, 0].tolist() == [False] * 4 + [True]
