import importlib.util

import numpy as np
import pytest
import torch

# Its table is read, its code is not run: importing it would need more packages.
if importlib.util.find_spec("prosail") is None:
    pytest.skip("the leaf coefficients come with the package prosail", allow_module_level=True)

from training.simulation.realism import (
    LARGEST_LAG,
    autocorrelation,
    clear_bands,
    clear_gaps,
    farmland,
    ndvi_by_season,
    weather_facts,
)


def test_correlation_falls_with_distance_and_vanishes_for_noise():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(64, 64))
    smooth = np.cumsum(np.cumsum(noise, 0), 1)
    assert np.abs(autocorrelation(noise)[1:]).max() < 0.1
    correlation = autocorrelation(smooth)
    assert len(correlation) == LARGEST_LAG + 1
    assert correlation[0] == 1
    assert (np.diff(correlation) < 0).all()


def test_flat_and_incomplete_images_have_no_correlation():
    assert autocorrelation(np.ones((20, 20))) is None
    hole = np.random.default_rng(0).normal(size=(20, 20))
    hole[3, 3] = np.nan
    assert autocorrelation(hole) is None


def test_gaps_and_persistence_of_a_known_weather():
    days = np.arange(0, 60, 10)
    clear = np.array([True, True, False, False, True, True])
    assert clear_gaps(days, clear).tolist() == [10, 30, 10]
    facts = weather_facts([(days, clear)])
    assert facts["clear after clear"] == pytest.approx(2 / 3)
    assert facts["clear after cloud"] == pytest.approx(1 / 2)
    assert facts["clear share of dates"] == pytest.approx(4 / 6)


def test_seasons_are_counted_from_the_greenest_date():
    days = torch.arange(0, 300, 30.44)
    count = len(days)
    spectra = torch.full((1, count, 10, 1, 1), 0.1)
    spectra[0, :, 7] = 0.2
    spectra[0, 4, 7] = 0.6
    always = torch.ones(1, count, 1, 1, dtype=torch.bool)
    rows = ndvi_by_season([{"reflectance": spectra, "days": days[None], "clear": always}])
    assert rows[rows[:, 1].argmax(), 0] == 0
    assert rows[:, 0].tolist() == list(range(-4, count - 4))


def test_farmland_series_are_clear_where_counted():
    batch = farmland(60, 12, seed=0)
    assert 20 < len(batch["days"]) < 60
    spectra = clear_bands([batch])
    assert len(spectra) == batch["clear"].sum()
    assert np.isfinite(spectra).all()
