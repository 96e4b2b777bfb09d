"""Measure 1 by month: a fault of one month shows there, with an interval, and nowhere else."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from alise_plugin.sentinel2 import BANDS
from training.data.real import DataMissingError
from training.evaluation import months, reconstruction
from training.evaluation.held_out import MOST_FIELDS, RealSeries, read_fields, read_site

REFERENCE = date(2014, 3, 3)


def day(year, month, of_month):
    return float((date(year, month, of_month) - REFERENCE).days)


def year_series(seed, name="here"):
    """A field that is seen every ten days of a year and a half, with noise."""
    rng = np.random.default_rng(seed)
    days = day(2020, 12, 1) + np.arange(0.0, 540.0, 10.0)
    reflectance = 0.2 + rng.normal(0, 0.02, (len(days), 10, 1, 1))
    return RealSeries(name, reflectance.astype(np.float32), np.ones((len(days), 1, 1), bool), days)


def snow_in_february(reflectance, clear, days, wanted):
    """As linear interpolation, but white in February."""
    guess = reconstruction.linear(reflectance, clear, days, wanted)
    return guess + 0.2 if months._month(wanted) == 2 else guess


PREDICTORS = {"ALISE": snow_in_february, "linear": reconstruction.linear}


def test_a_month_in_which_a_model_invents_something_is_seen():
    dates = [d for k in range(6) for d in months.hidden_dates(year_series(k), PREDICTORS, seed=k)]
    rows = {(row[0], row[1]): row for row in months.rows(dates)}
    assert rows["30 d", "March"][5] == pytest.approx(1.0)
    assert rows["30 d", "all but February"][5] == pytest.approx(1.0)
    february = rows["30 d", "February"]
    assert february[5] > 5
    assert february[8] == pytest.approx(0.2, abs=0.02)
    low, high = map(float, february[6].split(" to "))
    assert 1 < low < february[5] < high
    assert february[2] == "12 of 3 days" or february[2].startswith("12 of")


def test_dates_of_a_month_are_hidden_with_what_lies_around_them():
    seen = []

    def watching(reflectance, clear, days, wanted):
        seen.append((wanted, np.abs(days - wanted).min()))
        return reflectance[0]

    found = months.hidden_dates(year_series(0), {"ALISE": watching, "linear": watching})
    assert {d.gap for d in found} == {0, 30}
    assert max(np.unique([d.month for d in found if d.gap == 30], return_counts=True)[1]) == 2
    assert {distance for _, distance in seen} == {10.0, 20.0}
    # The first February is not left out, though it is near the beginning.
    assert any(d.month == 2 and d.day < day(2021, 3, 1) for d in found)


def test_the_interval_draws_days_with_all_their_fields():
    """Forty fields that share one error tell no more than one of them."""
    one = [months.HiddenDate("a", float(d), 0, {"ALISE": e, "linear": 1.0}, {"ALISE": 0.0})
           for d, e in enumerate(np.linspace(0.5, 2, 12))]  # fmt: skip
    assert months.interval(one) == pytest.approx(months.interval(one * 40))
    assert months.ratio(one) == pytest.approx(months.ratio(one * 40))


def test_some_fields_of_a_ragged_file_are_read_without_clouds_and_snow(tmp_path):
    fields, dates = MOST_FIELDS + 20, 5
    dn = np.full((fields * dates, 10), 2000, np.uint16)
    dn[1::dates] = 0
    dn[2::dates, :3] = 6000
    days = [f"2021-0{month}-10" for month in range(1, 6)]
    path = tmp_path / "fields.npz"
    arrays = {
        "reflectance": dn,
        "dates": np.array(days * fields),
        "offset": np.arange(fields + 1) * dates,
    }
    np.savez(path, **arrays)
    found = read_fields(path)
    assert len(found) == MOST_FIELDS
    assert found[0].reflectance.shape == (4, 10, 1, 1)
    assert found[-1].clear[:, 0, 0].tolist() == [True, False, True, True]
    np.savez(path, cloud=np.tile([0, 0, 0, 0.5, 0], fields), **arrays)
    assert read_fields(path)[3].clear[:, 0, 0].tolist() == [True, False, False, True]
    with pytest.raises(DataMissingError, match="no real site"):
        read_fields(tmp_path / "absent.npz")


def test_snow_of_a_site_is_not_asked_for(tmp_path):
    path = tmp_path / "site.npz"
    dn = np.full((3, 10, 2, 2), 2000, np.uint16)
    dn[1, BANDS.index("B02")] = 6000
    days = np.array(["2021-01-10", "2021-02-10", "2021-03-10"])
    np.savez(path, reflectance=dn, clear=np.ones((3, 2, 2), bool), dates=days)
    assert read_site(Path(path)).clear.all((1, 2)).tolist() == [True, False, True]


def test_invented_snow_is_counted_by_month():
    """An encoder that decodes white ground in February, half of the pixels of one of two sites."""

    class White:
        def encode(self, reflectance, days):
            return reflectance[0]

        def decode(self, embedding, days):
            decoded = np.broadcast_to(embedding, (len(days), *embedding.shape)).copy()
            february = [k for k, day in enumerate(days) if months._month(day) == 2]
            if embedding.shape[-1] > 1:
                decoded[february, BANDS.index("B02"), :, 0] = 0.5
            return decoded

    one = year_series(0)
    wide = RealSeries("wide", one.reflectance.repeat(2, -1), one.clear.repeat(2, -1), one.days)
    shares = months.invented_snow(White(), [one, wide])
    assert shares == [0.0, 0.25] + [0.0] * 10
    summer = one.days < day(2021, 4, 1)
    short = RealSeries("short", one.reflectance[summer], one.clear[summer], one.days[summer])
    assert months.invented_snow(White(), [short])[4:8] == [None] * 4
