"""What a change map is made of: gap-filling, thresholds, and what a pair costs."""

from datetime import date

import numpy as np
import pytest
from osgeo import ogr

from alise_plugin.errors import AliseError, SeriesError
from alise_plugin.feedback import SilentFeedback
from alise_plugin.mapping.change.gapfilled import GapFilledPair, gap_filled
from alise_plugin.mapping.change.threshold import (
    ThresholdRule,
    exceeded_by,
    mixture,
    otsu,
    threshold_of,
)
from alise_plugin.mapping.change.zones import zone_changes
from alise_plugin.model.distance import SquaredDistance, compact_cosine
from alise_plugin.model.encoder import load_encoder
from alise_plugin.model.spatial_features import Period
from alise_plugin.sits.acquisitions import days_since_reference
from alise_plugin.sits.build import build_series
from alise_plugin.sits.years import days_of_years, whole_years
from tests.helpers.features import compare, features_from
from tests.helpers.pair_encoder import PairEncoder
from tests.helpers.rasters import TRANSFORM, digital_numbers, write_raster
from tests.helpers.real_series import real_series


def test_gap_filling_is_linear_between_valid_dates(rng):
    days = np.array([10, 14, 31, 47, 60], np.float32)
    values = rng.uniform(0, 1, (5, 3, 40)).astype(np.float32)
    values[rng.uniform(size=values.shape) < 0.4] = np.nan
    values[:, 1, 7] = np.nan  # a pixel and band without any value
    values[1:, 2, 9] = np.nan  # and one with a single one
    values[0, 2, 9] = 0.25
    calendar = np.arange(5, 70, 5, dtype=np.float32)
    found = gap_filled(values, days, calendar)
    for band in range(3):
        for pixel in range(40):
            series = values[:, band, pixel]
            ok = np.isfinite(series)
            expected = np.interp(calendar, days[ok], series[ok]) if ok.any() else np.nan
            np.testing.assert_allclose(found[:, band, pixel], expected, atol=1e-6)


def scenes(folder, rng, dates, name="series", values=None):
    folder.mkdir()
    paths = [
        write_raster(
            folder / f"S2_{day:%Y%m%d}.tif",
            digital_numbers(rng, 10, 20, 24) if values is None else values,
        )
        for day in dates
    ]
    return build_series(paths, folder / f"{name}.vrt")


def test_the_baseline_is_the_distance_of_one_season(rng, tmp_path):
    before = scenes(tmp_path / "a", rng, [date(2018, 1, 10), date(2018, 6, 1), date(2018, 11, 3)])
    after = scenes(tmp_path / "b", rng, [date(2020, 2, 20), date(2020, 5, 5), date(2020, 12, 30)])
    result = compare(before, after, None, tmp_path / "d.tif", method="gapfilled")
    assert (result.year_shift, result.encoded, result.model_id) == (730, 0, "")
    first, last = after.days[0] - 730, before.days[-1]
    calendar = np.arange(first, last + 1, 5)
    filled = [
        gap_filled(series.read_all(series.grid.window), days, calendar)
        for series, days in ((before, before.days), (after, after.days - 730))
    ]
    from osgeo import gdal

    expected = ((filled[0] - filled[1]) ** 2).mean((0, 1))
    np.testing.assert_allclose(
        gdal.Open(str(tmp_path / "d.tif")).ReadAsArray(), expected, rtol=1e-4
    )
    assert result.noise_floor > 0


def test_two_seasons_do_not_compare_as_reflectance(rng, tmp_path):
    summer = scenes(tmp_path / "a", rng, [date(2018, 6, 1), date(2018, 8, 1)], "summer")
    winter = scenes(tmp_path / "b", rng, [date(2019, 1, 1), date(2019, 2, 1)], "winter")
    with pytest.raises(SeriesError, match=r"summer.vrt .* winter.vrt .* no season in common"):
        GapFilledPair(features_from(summer), features_from(winter))
    assert compare(summer, winter, PairEncoder(), tmp_path / "d.tif").encoded == 4


def test_years_are_counted_from_the_middles():
    year = [date(2018, 1, 1), date(2018, 12, 31)]
    assert whole_years(year, [date(2019, 1, 5), date(2019, 12, 1)]) == 1
    assert whole_years(year, [date(2017, 5, 1), date(2017, 9, 1)]) == -1
    assert whole_years(year, [date(2018, 6, 1), date(2018, 12, 31)]) == 0
    assert whole_years([date(2019, 3, 1)], [date(2023, 2, 1)]) == 4
    assert [days_of_years(n) for n in (0, 1, 2, 3, 4, -1)] == [0, 365, 730, 1096, 1461, -365]


def test_otsu_parts_two_groups(rng):
    still, moved = rng.gamma(2, 0.02, 9000), rng.normal(0.8, 0.1, 3000)
    threshold = otsu(np.concatenate([still, moved]).astype(np.float32))
    assert (still < threshold).mean() > 0.99
    assert (moved > threshold).mean() > 0.99
    gap = otsu(np.array([0.1] * 5 + [0.9] * 3))
    assert 0.3 < gap < 0.7  # in the middle of nothing
    assert otsu(np.full(4, 0.25)) == 0.25


@pytest.mark.parametrize("changed", [2000, 9000])
@pytest.mark.parametrize("rate", [0.02, 0.05, 0.1])
def test_a_mixture_flags_the_share_of_the_unchanged_that_is_asked_for(rng, changed, rate):
    still, moved = rng.normal(0.25, 0.05, 12000) ** 2, rng.normal(0.5, 0.08, changed) ** 2
    threshold = mixture(np.concatenate([still, moved]).astype(np.float32), rate)
    assert (still > threshold).mean() == pytest.approx(rate, abs=0.4 * rate)
    assert (moved > threshold).mean() > 0.9


def test_a_mixture_finds_no_second_group_where_nothing_changed(rng):
    still = rng.lognormal(-3, 0.4, 20000).astype(np.float32)
    assert (still > mixture(still, 0.05)).mean() == pytest.approx(0.05, abs=0.015)
    assert mixture(still, 0) == still.max()
    assert mixture(np.full(5, 0.25), 0.05) == 0.25
    assert mixture(np.zeros(5), 0.05) == 0


@pytest.mark.parametrize("share", [0, 0.05, 0.37, 0.999])
def test_no_more_than_the_share_passes(rng, share):
    values = rng.uniform(0, 1, 1001)
    threshold = exceeded_by(values, share)
    assert (values > threshold).mean() <= share
    lower = values[values < threshold]
    assert not len(lower) or (values > lower.max()).mean() > share


def test_rules_without_pixels_to_work_on_say_so():
    some, none = np.array([0.1, 0.2]), np.empty(0)
    with pytest.raises(AliseError, match="unchanged areas cover no pixel"):
        threshold_of(ThresholdRule("unchanged"), some, none, none)
    with pytest.raises(AliseError, match="no noise floor"):
        threshold_of(ThresholdRule("noise"), some, none, none)
    assert threshold_of(ThresholdRule("value", 0.15), some, none, none) == 0.15


def test_equal_zones_share_a_rank_and_limits_belong_to_one_side(tmp_path):
    """A pixel is changed above the threshold, a zone from the share on."""
    values = np.full((1, 4, 8), 0.5, np.float32)
    values[0, :, 6:] = 0.75
    path = write_raster(tmp_path / "distance.tif", values)
    left, top = TRANSFORM[0], TRANSFORM[3]

    def columns(first, last):
        x0, x1, y1 = left + 10 * first, left + 10 * last, top - 40
        ring = f"{x0} {top}, {x1} {top}, {x1} {y1}, {x0} {y1}, {x0} {top}"
        return bytes(ogr.CreateGeometryFromWkt(f"POLYGON(({ring}))").ExportToWkb())

    zones = [columns(0, 2), columns(2, 4), columns(4, 8)]
    found = zone_changes(path, zones, 0.5, 0.5, SilentFeedback())
    assert [zone.rank for zone in found] == [2, 2, 1]
    assert [zone.changed_share for zone in found] == [0, 0, 0.5]
    assert [zone.changed for zone in found] == [False, False, True]


def test_a_pair_costs_little_more_than_two_embeddings(tiny_package, rng, tmp_path, monkeypatch):
    """Pixels x dates through each of the two graphs, noise floor included, against one series."""
    pytest.importorskip("onnxruntime")
    from alise_plugin.mapping.embedding.embed import embed

    encoder = load_encoder(tiny_package, "cpu", threads=1)
    work = {"_spatial": 0, "_temporal": 0}

    def counting(name, run):
        def counted(inputs, batched, *rest):
            valid = inputs.get("valid")
            work[name] += inputs["image"].size if valid is None else valid.size
            return run(inputs, batched, *rest)

        return counted

    for name in work:
        graph = getattr(encoder, name)
        monkeypatch.setattr(graph, "run", counting(name, graph.run))
    dates = [date(2018, month, 5) for month in (2, 4, 6, 8, 10)]
    later = [date(2019, month, 17) for month in (1, 3, 5, 7, 9)]
    before = scenes(tmp_path / "a", rng, dates)
    after = scenes(tmp_path / "b", rng, later)
    embed(features_from(before, encoder), tmp_path / "e.tif")
    one = dict(work)
    work.update(_spatial=0, _temporal=0)
    result = compare(before, after, encoder, tmp_path / "d.tif", rule=ThresholdRule("noise"))
    assert result.noise_floor is not None
    assert work["_spatial"] == 2 * one["_spatial"]
    # Either graph is about half of the work.
    shares = [work[name] / one[name] for name in work]
    assert sum(shares) / 2 <= 2.1
    # Periods that share three of five dates cost as many dates as there are.
    work.update(_spatial=0, _temporal=0)
    files = [tmp_path / "a" / f"S2_{day:%Y%m%d}.tif" for day in dates]
    early, late = (build_series(files[k : k + 4], tmp_path / f"{k}.vrt") for k in (0, 1))
    compare(early, late, encoder, tmp_path / "shared.tif")
    assert work["_spatial"] == one["_spatial"]


def test_two_halves_of_a_real_year_are_near_beside_two_places():
    """Even and odd acquisitions, clouds included, against pixels of one site with one another."""
    pytest.importorskip("onnxruntime")
    real = real_series("belgian_fields")
    year = [k for k, day in enumerate(real.days) if day.year == 2019]
    order = sorted(year, key=lambda k: real.days[k])[:40]
    reflectance = real.reflectance[order]
    days = days_since_reference([real.days[k] for k in order])
    encoder = load_encoder(device="cpu", threads=1)
    count = len(order)
    whole, even, odd = encoder.encode_periods(
        reflectance,
        count,
        [Period(np.arange(count)[k], days[k]) for k in np.s_[:, ::2, 1::2]],
    )
    year, even, odd = (vectors.reshape(640, -1) for vectors in (whole, even, odd))
    elsewhere = np.roll(year, year.shape[1] // 2 + 5, 1)
    ratios = []
    for distance in (SquaredDistance(), compact_cosine(encoder)):
        noise, others = (
            distance(one[:, None], two[:, None]) for one, two in ((even, odd), (year, elsewhere))
        )
        ratios.append(np.nanmedian(noise) / np.nanmedian(others))
    squares, cosine = ratios
    assert squares < 0.8
    # What the compact form leaves out is noise more than it is place.
    assert cosine < 0.8 * squares
