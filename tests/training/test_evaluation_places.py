import json
from datetime import date, timedelta

import numpy as np
import pytest

from alise_plugin.sits.acquisitions import days_since_reference
from training.data.real import DataMissingError
from training.evaluation import places

TEN = ["B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12"]


def write(folder, labels, use="train", dates=12, **more):
    """A sample a label; DN 1000 + its number, the third date of each is cloud."""
    count = len(labels)
    days = [(date(2020, 1, 16) + timedelta(30 * k)).isoformat() for k in range(dates)]
    dn = np.repeat(1000 + np.arange(count), dates).astype(np.uint16)
    arrays = {
        "reflectance": np.repeat(dn[:, None], 10, 1),
        "cloud": np.tile((np.arange(dates) == 2).astype(np.float32), count),
        "dates": np.array(days * count),
        "offset": np.arange(count + 1) * dates,
        "labels": np.array(labels),
        **more,
    }
    np.savez(folder / "one.npz", **arrays)
    entry = {"file": "one.npz", "site": "one", "use": use, "bands": TEN}
    (folder / "index.json").write_text(json.dumps([entry]))


def test_classes_with_too_few_pixels_and_cloudy_dates_are_left_out(tmp_path):
    write(tmp_path, [5] * 20 + [6] * 19 + [7] * 25, use="evaluate only")
    (place,) = places.load(tmp_path)
    assert not place.trained_on
    assert place.labels.tolist() == [5] * 20 + [7] * 25
    assert place.reflectance[20][0, 0] == pytest.approx(0.1039)
    assert {len(days) for days in place.days} == {11}
    cloud_day = days_since_reference([date(2020, 3, 16)])[0]
    assert not any(cloud_day in days for days in place.days)


def test_of_a_large_set_some_are_drawn_always_the_same(tmp_path):
    count = places.MOST_SAMPLES + 300
    write(tmp_path, list(np.arange(count) % 3))
    first, again = (places.load(tmp_path)[0] for _ in range(2))
    assert len(first.labels) == places.MOST_SAMPLES
    for number, (pixel, label) in enumerate(zip(first.reflectance, first.labels, strict=True)):
        sample = round(float(pixel[0, 0]) * 10000) - 1000
        assert sample % 3 == label
        np.testing.assert_array_equal(pixel, again.reflectance[number])


def test_where_clouds_would_leave_too_little_they_stay(tmp_path):
    write(tmp_path, [5] * 20, cloud=np.ones(20 * 12, np.float32))
    (place,) = places.load(tmp_path)
    assert {len(days) for days in place.days} == {12}


def test_a_folder_without_index_or_labels_is_said(tmp_path):
    with pytest.raises(DataMissingError, match="training gather"):
        places.load(tmp_path)
    write(tmp_path, [1])
    (tmp_path / "index.json").write_text("[]")
    with pytest.raises(DataMissingError, match="labels"):
        places.load(tmp_path)


def test_the_raw_series_of_two_years_are_the_same_if_the_season_is():
    season = np.arange(8, 360, 12.0)
    value = np.repeat(np.sin(2 * np.pi * season / 365.25)[:, None], 10, 1)
    years = [
        days_since_reference([date(year, 1, 1)])[0] // 365.25 * 365.25 for year in (2017, 2022)
    ]
    place = places.Place("one", False, [value] * 2, [season + year for year in years], np.zeros(2))
    first, second = places.by_season(place)
    np.testing.assert_allclose(first, second, atol=1e-6)
    assert first.reshape(-1, 10)[:, 0].max() == pytest.approx(1, abs=0.01)


def test_vectors_of_ragged_pixels_keep_their_order_and_see_their_own_dates():
    seen = []

    def features(reflectance, days):
        seen.append((reflectance.shape, len(days)))
        return reflectance.mean((1, 2))[:, None]

    pixels = [np.full((n, 10), float(n)) for n in (6, 4, 9)]
    place = places.Place("one", False, pixels, [np.arange(len(p)) for p in pixels], np.zeros(3))
    assert places.one_by_one(features)(place).ravel().tolist() == [6, 4, 9]
    assert seen == [((1, 6, 10), 6), ((1, 4, 10), 4), ((1, 9, 10), 9)]


def test_ten_labels_tell_separable_classes_and_no_others():
    rng = np.random.default_rng(0)
    labels = np.repeat([3, 8], 60)
    told = rng.normal(size=(120, 4)) + 8 * (labels == 8)[:, None]
    assert places.ten_labels(told, labels, draws=3) > 0.98
    assert places.ten_labels(rng.normal(size=(120, 4)), labels, draws=3) < 0.65
