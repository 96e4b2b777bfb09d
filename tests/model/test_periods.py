"""Several embeddings of one reading: a date that two periods share is encoded once."""

import numpy as np
import pytest

from alise_plugin.model.encoder import load_encoder
from alise_plugin.model.spatial_features import Period

pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def encoder(tiny_package):
    return load_encoder(tiny_package, "cpu", threads=1)


@pytest.fixture(scope="module")
def series():
    rng = np.random.default_rng(6)
    reflectance = rng.uniform(0, 0.6, (6, 10, 24, 20)).astype(np.float32)
    reflectance[1, :, :, :7] = np.nan
    reflectance[4] = np.nan
    reflectance[:, :, 5, 5] = np.nan
    return reflectance, np.array([1500, 1560, 1612, 1700, 1866, 1935], np.float32)


@pytest.fixture
def spatial_dates(encoder, monkeypatch):
    """How many dates went through the spatial graph."""
    counts = []

    run = encoder._spatial.run

    def counting(inputs, batched, options):
        counts.append(len(inputs["image"]))
        return run(inputs, batched, options)

    monkeypatch.setattr(encoder._spatial, "run", counting)
    return lambda: sum(counts)


@pytest.mark.parametrize("dates", [[0, 1, 2], [3, 4, 5], [0, 2, 5], [1, 2, 3, 5]])
def test_a_period_is_the_series_of_its_dates(encoder, series, dates):
    reflectance, days = series
    periods = [Period(np.array(dates), days[dates]), Period(np.arange(6), days)]
    part, whole = encoder.encode_periods(reflectance, 6, periods)
    np.testing.assert_allclose(part, encoder.encode(reflectance[dates], days[dates]), atol=1e-5)
    np.testing.assert_allclose(whole, encoder.encode(reflectance, days), atol=1e-5)


def test_a_shared_date_is_encoded_once(encoder, series, spatial_dates):
    reflectance, days = series
    shifted = days - 365
    periods = [
        Period(np.array([0, 1, 2, 3]), days[:4]),
        Period(np.array([2, 3, 4, 5]), shifted[2:]),
    ]
    first, second = encoder.encode_periods(reflectance, 6, periods)
    assert spatial_dates() == 5  # six, less the one without a value
    np.testing.assert_allclose(first, encoder.encode(reflectance[:4], days[:4]), atol=1e-5)
    np.testing.assert_allclose(second, encoder.encode(reflectance[2:], shifted[2:]), atol=1e-5)


def test_a_lattice_is_some_of_the_pixels(encoder, series):
    reflectance, days = series
    crop = (slice(3, 20), slice(2, 18))
    periods = [Period(np.arange(6), days), Period(np.arange(6), days, every=4)]
    whole, some = encoder.encode_periods(reflectance, 6, periods, crop=crop)
    assert some.shape == (10, 64, 5, 4)
    np.testing.assert_allclose(some, whole[:, :, ::4, ::4], atol=1e-5)


def test_a_period_without_a_value_has_none(encoder, series):
    reflectance, days = series
    periods = [Period(np.array([4]), days[[4]]), Period(np.array([0]), days[[0]])]
    empty, full = encoder.encode_periods(reflectance, 6, periods)
    assert np.isnan(empty).all()
    assert np.isnan(full[:, :, 5, 5]).all()
    assert np.isfinite(full[:, :, 6, 6]).all()
