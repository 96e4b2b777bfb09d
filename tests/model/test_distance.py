"""Distances of two vectors, against what must hold for any."""

import numpy as np

from alise_plugin.model.distance import cosine_distance, squared_distance


def test_the_cosine_sees_directions_only():
    one, two = np.random.default_rng(0).normal(size=(2, 64, 5, 7)).astype(np.float32)
    found = cosine_distance(one, two)
    assert (found > 0).all()
    assert (found < 2).all()
    np.testing.assert_allclose(cosine_distance(7 * one, two / 3), found, rtol=1e-4)
    np.testing.assert_allclose(cosine_distance(one, -one), 2, rtol=1e-6)
    assert not cosine_distance(one, one).any()
    one[:, 2, 3] = np.nan
    missing = np.isnan(cosine_distance(one, two))
    assert missing[2, 3]
    assert missing.sum() == 1


def test_features_that_one_side_lacks_do_not_count():
    before = np.array([[1.0, 2.0, np.nan], [3.0, np.nan, np.nan]], np.float32)
    after = np.array([[2.0, 4.0, 1.0], [5.0, 1.0, 1.0]], np.float32)
    np.testing.assert_allclose(squared_distance(before, after), [2.5, 4.0, np.nan])
