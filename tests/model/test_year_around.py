"""Which acquisitions a day is reconstructed from, for any series and any day."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alise_plugin.model.year_around import YEAR, by_year_around, year_around

# A busy machine is no mistake.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
any_days = st.lists(st.integers(0, 4000), min_size=1, max_size=150, unique=True).map(
    lambda days: np.array(sorted(days), np.float32)
)
any_day = st.floats(-2000, 6000)


def every(step, first=1000, last=2095):
    """An acquisition every so many days of three years."""
    return np.arange(first, last + 1, step).astype(np.float32)


@unhurried
@given(any_days, any_day)
def test_there_are_always_acquisitions_and_each_comes_once(days, day):
    near = year_around(days, day)
    assert len(near)
    assert (np.diff(near) > 0).all()
    assert 0 <= near[0] <= near[-1] < len(days)


@unhurried
@given(any_days, any_day, st.randoms())
def test_the_order_of_the_dates_does_not_matter(days, day, random):
    order = list(range(len(days)))
    random.shuffle(order)
    mixed = days[order]
    np.testing.assert_array_equal(
        np.sort(mixed[year_around(mixed, day)]), days[year_around(days, day)]
    )


@unhurried
@given(any_days, st.lists(any_day, min_size=1, max_size=40))
def test_a_day_has_the_same_acquisitions_whatever_is_shown_beside_it(days, wanted):
    groups = by_year_around(days, np.array(wanted))
    assert sorted(place for _, places in groups for place in places) == list(range(len(wanted)))
    for near, places in groups:
        for place in places:
            np.testing.assert_array_equal(near, year_around(days, wanted[place]))
    assert len({tuple(near) for near, _ in groups}) == len(groups)


@unhurried
@given(any_days, any_day)
def test_a_series_of_a_year_is_one(days, day):
    year = days[days <= days[0] + YEAR]
    np.testing.assert_array_equal(year_around(year, day), np.arange(len(year)))


def test_of_many_years_it_is_the_one_around_the_day():
    days = every(5)
    for day in (1300, 1500.5, 1800):
        near = days[year_around(days, day)]
        assert 360 <= np.ptp(near) <= YEAR
        # the day lies about in its middle: what is shared has 61 days
        assert abs(near.mean() - day) < 34
        # and nothing in it is left out
        assert (np.diff(near) == 5).all()


def test_at_its_ends_and_beyond_it_is_the_half_year_there():
    days = every(5)
    for day, end in ((-500, 1000), (1001, 1000), (2094, 2095), (9000, 2095)):
        near = days[year_around(days, day)]
        assert end in near
        assert 180 <= np.ptp(near) < 220


@pytest.mark.parametrize(("step", "years"), [(15, 1), (16, 2), (40, 2), (90, 2), (120, 3)])
def test_where_a_year_has_few_acquisitions_it_is_two_years_or_all(step, years):
    days = every(step)
    found = np.ptp(days[year_around(days, 1550)])
    assert years * YEAR - 2 * step < found <= years * YEAR


def test_a_hole_in_the_series_is_shown_from_all_of_it():
    days = np.concatenate([every(5, 0, 600), every(5, 3000, 3600)])
    np.testing.assert_array_equal(year_around(days, 1800), np.arange(len(days)))


def test_days_of_two_months_go_together():
    days = every(5)
    groups = by_year_around(days, np.arange(1000, 2096).astype(np.float32))
    assert 18 <= len(groups) <= 20


def test_a_series_without_dates_has_none():
    assert not len(year_around(np.empty(0, np.float32), 5.0))
