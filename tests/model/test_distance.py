"""Distances of two vectors, against what must hold for any."""

from types import SimpleNamespace

import numpy as np
import pytest

from alise_plugin.model.distance import CompactCosine, CosineDistance, SquaredDistance


class Compacting:
    """Its compact form is 5 of the rotated 12 features, and may have an offset."""

    package = SimpleNamespace(n_features=12, compact="there is one")

    def __init__(self, offset=0.0):
        axes = np.linalg.qr(np.random.default_rng(1).normal(size=(12, 5)))[0]
        self.axes, self.offset = axes.astype(np.float32), np.float32(offset)

    def compact(self, features):
        return np.tensordot(self.axes.T, features, 1) + self.offset


def test_the_cosine_sees_directions_only():
    one, two = np.random.default_rng(0).normal(size=(2, 64, 5, 7)).astype(np.float32)
    distance = CosineDistance()
    found = distance(one, two)
    assert (found > 0).all()
    assert (found < 2).all()
    np.testing.assert_allclose(distance(7 * one, two / 3), found, rtol=1e-4)
    np.testing.assert_allclose(distance(one, -one), 2, rtol=1e-6)
    assert not distance(one, one).any()
    one[:, 2, 3] = np.nan
    missing = np.isnan(distance(one, two))
    assert missing[2, 3]
    assert missing.sum() == 1


def test_features_that_one_side_lacks_do_not_count():
    before = np.array([[1.0, 2.0, np.nan], [3.0, np.nan, np.nan]], np.float32)
    after = np.array([[2.0, 4.0, 1.0], [5.0, 1.0, 1.0]], np.float32)
    np.testing.assert_allclose(SquaredDistance()(before, after), [2.5, 4.0, np.nan])


@pytest.mark.parametrize(
    ("distance", "features"),
    [
        (SquaredDistance(), 12),
        (CosineDistance(), 2),
        (CompactCosine(Compacting()), 2),
        (CompactCosine(Compacting(offset=3.0)), 2),
    ],
    ids=["squares", "cosine", "compact", "compact about a mean"],
)
def test_the_parts_add_up_to_the_distance(distance, features):
    before, after = np.random.default_rng(2).normal(size=(2, 12, 4, 3)).astype(np.float32)
    after[:, 1, 2] = np.nan
    parts = distance.parts(before, after)
    assert parts.shape == before.shape
    assert np.isnan(parts[:, 1, 2]).all()
    assert np.nanmin(parts) >= 0
    np.testing.assert_allclose(parts.sum(0) / features, distance(before, after), rtol=1e-4)


def test_the_compact_cosine_sees_only_what_the_compact_form_holds():
    encoder = Compacting()
    before = np.random.default_rng(3).normal(size=(12, 4)).astype(np.float32)
    held, lost = encoder.axes[:, :1], np.linalg.svd(encoder.axes.T)[2][-1][:, None]
    distance = CompactCosine(encoder)
    np.testing.assert_allclose(distance(before, before + 9 * lost), 0, atol=1e-5)
    assert distance(before, before + held).min() > 1e-3
    # All that differs lies along one component: the features of that component carry it.
    parts = CompactCosine(encoder).parts(held * 1.0, -held)
    np.testing.assert_allclose(parts / parts.sum(0), held**2, rtol=1e-3, atol=1e-6)
