import os
from datetime import date, timedelta

import numpy as np
import pytest
from osgeo import gdal, ogr, osr

from alise_plugin.errors import AliseError, Cancelled, OutputError, SeriesError
from alise_plugin.mapping.change.periods import within
from alise_plugin.mapping.change.prepare import UNITS
from alise_plugin.mapping.change.threshold import ThresholdRule
from alise_plugin.mapping.embedding.embed import embed
from alise_plugin.mapping.features.embedding_raster import EmbeddingRaster
from alise_plugin.sits.acquisitions import days_since_reference
from alise_plugin.sits.build import build_series
from alise_plugin.sits.grid import Window
from alise_plugin.sits.pixel_area import PixelAreas
from tests.helpers.features import compare, features_from
from tests.helpers.pair_encoder import PairEncoder
from tests.helpers.rasters import TRANSFORM, write_raster

BEFORE = [date(2018, 2, 3), date(2018, 5, 14), date(2018, 7, 20), date(2018, 10, 30)]
AFTER = [date(2020, 3, 9), date(2020, 6, 1), date(2020, 9, 12)]
SIZE = 70, 83  # rows, columns


@pytest.fixture
def encoder():
    return PairEncoder()


def smooth(rng, bands=10, height=SIZE[0], width=SIZE[1]):
    """DN that change little from pixel to pixel, so that a resampled image can be compared."""
    y, x = np.mgrid[:height, :width]
    phase = rng.uniform(0, 6, (bands, 1, 1))
    wave = np.sin(x / 17 + phase) + np.cos(y / 13 + phase)
    return (2500 + 900 * wave).astype(np.uint16)


def make_series(folder, dates, images, name="series", **options):
    folder.mkdir(exist_ok=True)
    paths = [
        write_raster(folder / f"S2_{day:%Y%m%d}.tif", image, **options)
        for day, image in zip(dates, images)
    ]
    return build_series(paths, folder / f"{name}.vrt")


@pytest.fixture
def years(tmp_path, rng):
    """Two years with swath edges: before has nothing in 10 columns, after in 5 rows."""
    before = [smooth(rng) for _ in BEFORE]
    after = [smooth(rng) for _ in AFTER]
    for image in before:
        image[:, :, :10] = 0
    for image in after:
        image[:, :5] = 0
    before[0][:, 40:] = 0
    after[1][:, :, 55:] = 0
    return (
        make_series(tmp_path / "before", BEFORE, before),
        make_series(tmp_path / "after", AFTER, after),
    )


def encoded(series, encoder, shift=0):
    features = encoder.encode(series.read_all(series.grid.window), series.days - shift)
    return features.reshape(-1, *features.shape[2:])


def read(path, band=None):
    dataset = gdal.Open(str(path))
    return dataset.ReadAsArray() if band is None else dataset.GetRasterBand(band).ReadAsArray()


def box(col, row, width, height, grid_transform=TRANSFORM):
    """WKB of a rectangle of pixels."""
    left, dx, _, top, _, dy = grid_transform
    x0, x1 = left + dx * col, left + dx * (col + width)
    y0, y1 = top + dy * row, top + dy * (row + height)
    ring = f"{x0} {y0}, {x1} {y0}, {x1} {y1}, {x0} {y1}, {x0} {y0}"
    return bytes(ogr.CreateGeometryFromWkt(f"POLYGON(({ring}))").ExportToWkb())


def squares(one, two):
    return ((one - two) ** 2).mean(0)


def cosine(one, two):
    one, two = one.astype(np.float64), two.astype(np.float64)
    return 1 - (one * two).sum(0) / np.sqrt((one**2).sum(0) * (two**2).sum(0))


def compact_cosine(one, two):
    compact = PairEncoder().compact
    return cosine(compact(one), compact(two))


# The distances that a method stands for, and encoders that it is used with.
DISTANCES = {
    "alise": ("alise", squares, PairEncoder),
    "alise, all features of a model with a compact form": (
        "alise",
        squares,
        lambda: PairEncoder().with_compact_form(),
    ),
    "cosine": ("cosine", cosine, PairEncoder),
    "cosine of the compact form": (
        "cosine",
        compact_cosine,
        lambda: PairEncoder().with_compact_form(),
    ),
}


@pytest.mark.parametrize("kind", DISTANCES)
@pytest.mark.parametrize("tile_size", [None, 16, 37, 64])
def test_the_distance_is_what_the_method_says(years, tmp_path, tile_size, kind):
    before, after = years
    method, distance, make = DISTANCES[kind]
    encoder = make()
    path = tmp_path / "distance.tif"
    result = compare(before, after, encoder, path, method=method, align="none", tile_size=tile_size)
    expected = distance(encoded(before, encoder), encoded(after, encoder))
    np.testing.assert_allclose(read(path), expected, rtol=1e-3, atol=1e-6)
    assert np.isnan(read(path)[:, :10]).all()
    assert np.isnan(read(path)[:5]).all()
    assert np.isfinite(read(path)[5:, 10:]).all()
    assert (result.encoded, result.year_shift, result.threshold) == (7, 0, None)
    assert result.median_distance == pytest.approx(np.nanmedian(expected), rel=1e-4)
    items = gdal.Open(str(path)).GetMetadata()
    assert items["ALISE_UNIT"] == UNITS[method]
    assert (items["ALISE_PRECISION"], items["ALISE_ALIGN"]) == (encoder.precision, "none")
    assert items["ALISE_DATES_AFTER"] == "2020-03-09,2020-06-01,2020-09-12"
    assert sorted(os.listdir(tmp_path)) == ["after", "before", "distance.qml", "distance.tif"]


def test_years_are_aligned_to_the_days_of_the_first(years, encoder, tmp_path):
    before, after = years
    path = tmp_path / "distance.tif"
    result = compare(before, after, encoder, path)
    assert result.year_shift == 730
    expected = cosine(encoded(before, encoder), encoded(after, encoder, 730))
    np.testing.assert_allclose(read(path), expected, rtol=1e-3, atol=1e-6)
    assert gdal.Open(str(path)).GetMetadataItem("ALISE_DAYS_SHIFTED") == "-730"


def test_the_order_does_not_matter_and_is_said(years, encoder, tmp_path):
    before, after = years
    listener = Listener()
    compare(before, after, encoder, tmp_path / "one.tif", align="none")
    compare(after, before, encoder, tmp_path / "two.tif", align="none", feedback=listener)
    one, two = read(tmp_path / "one.tif"), read(tmp_path / "two.tif")
    np.testing.assert_allclose(one, two, rtol=1e-4)
    assert any("before BEFORE" in text for text in listener.texts)


class Listener:
    """Keeps what it is told, and cancels once `cancel_at` is reached."""

    def __init__(self, cancel_at=2.0):
        self.fractions, self.texts, self.cancel_at = [], [], cancel_at

    def progress(self, fraction):
        self.fractions.append(fraction)

    def cancelled(self):
        return bool(self.fractions) and self.fractions[-1] >= self.cancel_at

    def info(self, text):
        self.texts.append(text)

    def warning(self, text):
        self.info(text)


@pytest.mark.parametrize("align", ["none", "years", "shift", "both"])
def test_a_series_is_at_distance_0_of_itself(years, encoder, tmp_path, align):
    before, _ = years
    result = compare(before, before, encoder, tmp_path / "distance.tif", align=align)
    values = read(tmp_path / "distance.tif")
    assert (values[:, 10:] == 0).all()
    assert result.encoded == len(BEFORE)


def test_an_acquisition_in_both_is_encoded_once(years, encoder, tmp_path):
    files = [tmp_path / "before" / f"S2_{day:%Y%m%d}.tif" for day in BEFORE]
    files += [tmp_path / "after" / f"S2_{day:%Y%m%d}.tif" for day in AFTER]
    early = build_series(files[:5], tmp_path / "early.vrt")
    (tmp_path / "elsewhere").mkdir()
    late = build_series(files[2:], tmp_path / "elsewhere" / "late.vrt")
    result = compare(early, late, encoder, tmp_path / "two.tif", align="none")
    assert result.encoded == len(encoder.reads) == 7
    whole = build_series(files, tmp_path / "whole.vrt")
    first, second = within(whole, None, AFTER[0], "BEFORE"), within(whole, BEFORE[2], None, "AFTER")
    encoder.reads.clear()
    result = compare(first, second, encoder, tmp_path / "one.tif", align="none")
    assert result.encoded == len(encoder.reads) == 7
    np.testing.assert_allclose(
        read(tmp_path / "one.tif"), read(tmp_path / "two.tif"), rtol=1e-4, atol=1e-7
    )


def test_a_copy_with_other_values_is_not_taken_for_the_same(years, encoder, tmp_path, rng):
    before, _ = years
    copy = make_series(tmp_path / "copy", BEFORE, [smooth(rng) for _ in BEFORE])
    result = compare(before, copy, encoder, tmp_path / "distance.tif")
    assert result.encoded == 2 * len(BEFORE)
    assert result.median_distance > 0


def test_after_may_be_cut_otherwise(years, encoder, tmp_path, rng):
    """A larger raster on the same lattice gives what a cut of it gives."""
    before, _ = years
    images = [smooth(rng, height=95, width=120) for _ in AFTER]
    corner = (TRANSFORM[0] - 200, 10.0, 0.0, TRANSFORM[3] + 100, 0.0, -10.0)
    wide = make_series(tmp_path / "wide", AFTER, images, transform=corner)
    cut = make_series(tmp_path / "cut", AFTER, [image[:, 10:80, 20:103] for image in images])
    compare(before, wide, encoder, tmp_path / "wide.tif", tile_size=32)
    compare(before, cut, encoder, tmp_path / "cut.tif")
    np.testing.assert_allclose(read(tmp_path / "wide.tif"), read(tmp_path / "cut.tif"), rtol=1e-4)


def test_only_what_both_cover_is_mapped(years, encoder, tmp_path, rng):
    before, _ = years
    corner = (TRANSFORM[0] + 300, 10.0, 0.0, TRANSFORM[3] - 200, 0.0, -10.0)
    part = make_series(tmp_path / "part", AFTER, [smooth(rng) for _ in AFTER], transform=corner)
    compare(before, part, encoder, tmp_path / "distance.tif")
    dataset = gdal.Open(str(tmp_path / "distance.tif"))
    assert (dataset.RasterXSize, dataset.RasterYSize) == (SIZE[1] - 30, SIZE[0] - 20)
    assert dataset.GetGeoTransform() == corner
    assert np.isfinite(dataset.ReadAsArray()).all()


def other_crs(folder, series, dates):
    """The rasters of a series, warped to UTM 32 at 8 m."""
    folder.mkdir()
    paths = []
    for day in dates:
        source = gdal.Open(os.path.join(os.path.dirname(series.path), f"S2_{day:%Y%m%d}.tif"))
        path = str(folder / f"S2_{day:%Y%m%d}.tif")
        options = {"dstSRS": "EPSG:32632", "xRes": 8, "yRes": 8, "resampleAlg": "cubic"}
        gdal.Warp(path, source, srcNodata=0, dstNodata=0, errorThreshold=0, **options)
        paths.append(path)
    return build_series(paths, folder / "series.vrt")


def test_after_may_have_another_crs(tmp_path, rng, encoder):
    images = [smooth(rng) for _ in BEFORE]
    before = make_series(tmp_path / "before", BEFORE, images)
    later = [day + timedelta(days=365) for day in BEFORE]
    after = make_series(tmp_path / "after", later, [smooth(rng) for _ in later])
    there = other_crs(tmp_path / "there", after, later)
    compare(before, after, encoder, tmp_path / "plain.tif")
    plain, warped = read(tmp_path / "plain.tif"), {}
    for tile_size in (None, 32):
        path = tmp_path / f"warped_{tile_size}.tif"
        compare(before, there, encoder, path, tile_size=tile_size)
        warped[tile_size] = read(path)
    np.testing.assert_allclose(warped[None], warped[32], rtol=1e-3, atol=1e-8)
    inside = np.s_[12:-12, 12:-12]
    assert np.isfinite(warped[None][inside]).all()
    scale = np.std(plain)
    assert np.abs(warped[None] - plain)[inside].max() < 0.02 * scale + 0.02 * plain.max()


def test_embedding_rasters_give_what_their_series_give(years, encoder, tmp_path):
    before, after = years
    for name, series in (("one", before), ("two", after)):
        embed(features_from(series, encoder), tmp_path / f"{name}.tif")
    rasters = [EmbeddingRaster(tmp_path / f"{name}.tif") for name in ("one", "two")]
    compare(*years, encoder, tmp_path / "series.tif", align="none")
    listener = Listener()
    result = compare(*rasters, None, tmp_path / "rasters.tif", tile_size=32, feedback=listener)
    assert any("years are not aligned" in text for text in listener.texts)
    for pair, align in ((rasters, "none"), (rasters[:1] * 2, "years")):
        listener = Listener()
        compare(*pair, None, tmp_path / "other.tif", align=align, feedback=listener)
        assert not any("aligned" in text for text in listener.texts)
    np.testing.assert_allclose(
        read(tmp_path / "rasters.tif"), read(tmp_path / "series.tif"), rtol=1e-4
    )
    assert (result.encoded, result.noise_floor) == (0, None)
    assert result.model_id == "fake 1.2 00000000"
    assert result.dates == (before.dates, after.dates)


@pytest.mark.parametrize("kind", DISTANCES)
def test_the_noise_floor_is_the_distance_of_even_and_odd_dates(years, tmp_path, kind):
    before, after = years
    method, distance, make = DISTANCES[kind]
    encoder = make()
    expected = []
    for series, shift in ((before, 0), (after, 730)):
        halves = [
            encoder.encode(
                series.read_all(series.grid.window)[k::2], series.days[k::2] - np.float32(shift)
            )
            for k in (0, 1)
        ]
        halves = [half.reshape(-1, *half.shape[2:]) for half in halves]
        expected.append(distance(*halves)[::4, ::4])
    values = np.concatenate([part[np.isfinite(part)] for part in expected])
    for tile_size in (None, 16):  # neither the figure nor the threshold depends on tiles
        path = tmp_path / "distance.tif"
        rule = ThresholdRule("noise", false_alarm=0.1)  # a rate that noise does not take
        result = compare(
            before, after, encoder, path, method=method, rule=rule, tile_size=tile_size
        )
        assert result.noise_floor == pytest.approx(np.median(values), rel=1e-3)
        assert (values > result.threshold * 1.0001).mean() <= 0.05
        assert (values > result.threshold * 0.98).mean() >= 0.05
        large = np.nanquantile(read(path), 0.99)
        assert result.noise_ratio == pytest.approx(result.noise_floor / large, rel=1e-4)


def test_changed_pixels_share_and_area(years, encoder, tmp_path):
    path, change = tmp_path / "distance.tif", tmp_path / "change.tif"
    rule = ThresholdRule("quantile", 0.8)
    result = compare(*years, encoder, path, rule=rule, change=change, tile_size=32)
    distance, codes = read(path), read(change)
    known = np.isfinite(distance)
    assert result.threshold == pytest.approx(np.quantile(distance[known], 0.8), rel=1e-5)
    np.testing.assert_array_equal(codes == 1, known & (distance > result.threshold))
    np.testing.assert_array_equal(codes == 255, ~known)
    at_most = ThresholdRule("value", float(distance[known].max()))  # which nothing is above
    assert compare(*years, encoder, path, rule=at_most).changed_share == 0
    assert result.changed_share == pytest.approx(0.2, abs=0.01)
    areas = PixelAreas(years[0].grid).of(Window(0, 0, *SIZE[::-1]))
    assert result.changed_area == pytest.approx(areas[codes == 1].sum())
    dataset = gdal.Open(str(change))
    assert dataset.GetRasterBand(1).GetNoDataValue() == 255
    assert dataset.GetRasterBand(1).GetCategoryNames() == ["unchanged", "changed"]
    assert dataset.GetMetadataItem("ALISE_THRESHOLD") == repr(result.threshold)


def test_the_changed_area_is_what_lies_on_the_ground(tmp_path, rng, encoder):
    """In Web Mercator at 60 degrees north, a fourth of what the map says."""
    mercator = osr.SpatialReference()
    mercator.ImportFromEPSG(3857)
    place = {"crs": mercator, "transform": (0.0, 10.0, 0.0, 8399737.9, 0.0, -10.0)}
    years = [
        make_series(tmp_path / name, dates, [smooth(rng) for _ in dates], **place)
        for name, dates in (("before", BEFORE), ("after", AFTER))
    ]
    rule = ThresholdRule("value", 0.0)
    result = compare(*years, encoder, tmp_path / "distance.tif", rule=rule)
    assert result.changed_share == 1
    assert result.changed_area == pytest.approx(25 * SIZE[0] * SIZE[1], rel=0.01)


def test_unchanged_areas_set_the_false_alarms(years, encoder, tmp_path):
    path = tmp_path / "distance.tif"
    stable = [box(20, 10, 15, 12), box(60, 40, 9, 9)]
    rule = ThresholdRule("unchanged", false_alarm=0.1)
    result = compare(*years, encoder, path, rule=rule, unchanged=stable)
    distance = read(path)
    inside = np.concatenate([distance[10:22, 20:35].ravel(), distance[40:49, 60:69].ravel()])
    assert (inside > result.threshold).sum() == int(0.1 * len(inside))


def test_zones_are_summed_up(years, encoder, tmp_path):
    path = tmp_path / "distance.tif"
    zones = [
        box(12, 8, 20, 10),
        box(25, 12, 30, 30),  # overlaps the first
        box(500, 500, 3, 3),  # outside the map
        box(40.2, 30.2, 0.2, 0.2),  # holds no pixel's centre
        box(0, 20, 10.3, 10),  # where nothing was seen before, but for a sliver
        b"",
    ]
    rule = ThresholdRule("quantile", 0.7)
    result = compare(*years, encoder, path, rule=rule, zones=zones, changed_from=0.25)
    distance = read(path)
    first, second, outside, tiny, unseen, none = result.zones
    inside = distance[8:18, 12:32]
    assert first.pixels == 200
    assert first.mean == pytest.approx(inside.mean(), rel=1e-4)
    assert first.median == pytest.approx(np.median(inside), rel=1e-4)
    assert first.changed_share == pytest.approx((inside > result.threshold).mean())
    assert first.changed == (first.changed_share >= 0.25)
    assert second.pixels == 900
    assert tiny.pixels == 1
    assert tiny.mean == pytest.approx(distance[30, 40], rel=1e-4)
    for zone in (outside, unseen, none):
        assert (zone.pixels, zone.mean, zone.rank, zone.changed) == (0, None, None, None)
    ranked = sorted((first, second, tiny), key=lambda zone: zone.mean, reverse=True)
    assert [zone.rank for zone in ranked] == [1, 2, 3]


def test_zones_without_a_threshold_have_no_decision(years, encoder, tmp_path):
    result = compare(*years, encoder, tmp_path / "d.tif", zones=[box(12, 8, 20, 10)])
    (zone,) = result.zones
    assert zone.mean is not None
    assert (zone.changed_share, zone.changed, result.changed_share) == (None, None, None)


def test_a_shift_of_the_whole_scene_can_be_left_out(tmp_path, rng, encoder):
    """Every pixel is brighter by the same: with `shift` that is no change, elsewhere it is."""
    images = [smooth(rng) for _ in BEFORE]
    later = [day.replace(year=2019) for day in BEFORE]
    brighter = [image + np.uint16(400) for image in images]
    brighter[1][:, 20:40, 30:60] += 1500
    before = make_series(tmp_path / "before", BEFORE, images)
    after = make_series(tmp_path / "after", later, brighter)
    for tile_size in (None, 32):
        path = tmp_path / "distance.tif"
        compare(before, after, encoder, path, align="both", tile_size=tile_size)
        values = read(path)
        assert np.median(values) < 0.02 * values[25:35, 40:50].mean()
    compare(before, after, encoder, tmp_path / "years.tif", align="years")
    assert np.median(read(tmp_path / "years.tif")) > 10 * np.median(values)


def unit(vectors):
    return vectors / np.sqrt((vectors.astype(np.float64) ** 2).sum(0))


# What each feature brings to a distance.
PARTS = {
    "alise": lambda one, two: (one - two) ** 2,
    "cosine": lambda one, two: (unit(one) - unit(two)) ** 2,
    "cosine of the compact form": lambda one, two: (
        np.tensordot(
            PairEncoder.axes().T,
            unit(np.tensordot(PairEncoder.axes(), one, 1))
            - unit(np.tensordot(PairEncoder.axes(), two, 1)),
            1,
        )
        ** 2
    ),
}


@pytest.mark.parametrize("kind", PARTS)
def test_the_explanation_says_why(years, kind, tmp_path):
    method, _, make_encoder = DISTANCES[kind]
    encoder, parts_of = make_encoder(), PARTS[kind]
    path, why = tmp_path / "distance.tif", tmp_path / "why.tif"
    compare(*years, encoder, path, method=method, explanation=why, tile_size=32)
    dataset = gdal.Open(str(why))
    names = [dataset.GetRasterBand(i + 1).GetDescription() for i in range(dataset.RasterCount)]
    assert names[:3] == ["share_q00", "share_q01", "top_query"]
    bands = dict(zip(names, dataset.ReadAsArray()))
    known = np.isfinite(read(path))
    for band in bands.values():
        np.testing.assert_array_equal(np.isfinite(band), known)
    before, after = years
    parts = parts_of(encoded(before, encoder), encoded(after, encoder, 730))
    share = parts.reshape(2, 3, *SIZE).sum(1) / parts.sum(0)
    np.testing.assert_allclose(bands["share_q01"], share[1], rtol=1e-3)
    top = (bands["top_query"] * 3 + bands["top_feature"])[known].astype(int)
    largest = np.take_along_axis(parts[:, known], top[None], 0)[0]
    np.testing.assert_allclose(largest, parts[:, known].max(0), rtol=1e-3)
    gap = encoded(after, encoder, 730)[0] - encoded(before, encoder)[0]
    np.testing.assert_allclose(
        (bands["ndvi_before"] - bands["ndvi_after"])[known], gap[known], atol=1e-3
    )
    assert 68 <= bands["day_of_year"][known].min() <= bands["day_of_year"][known].max() <= 255


@pytest.mark.parametrize(("align", "later"), [("years", 0), ("none", 730)])
def test_ndvi_is_that_of_the_days_that_the_vectors_speak_of(years, tmp_path, align, later):
    asked = []

    class Asked(PairEncoder):
        def decode(self, embedding, days):
            asked.append(np.array(days))
            return super().decode(embedding, days)

    why = tmp_path / "why.tif"
    compare(*years, Asked(), tmp_path / "distance.tif", align=align, explanation=why)
    before, after = asked
    np.testing.assert_array_equal(after - before, later)


@pytest.mark.parametrize("method", ["cosine", "alise", "gapfilled"])
def test_years_of_other_seasons_are_told_or_refused(years, encoder, tmp_path, method):
    before, after = years

    def cautions(first, second):
        listener = Listener()
        compare(first, second, encoder, tmp_path / "d.tif", method=method, feedback=listener)
        return [text for text in listener.texts if text.startswith("Caution")]

    assert not cautions(before, after)
    spring = within(after, None, date(2020, 6, 1), "AFTER")
    (caution,) = cautions(before, spring)
    assert "84 of 269 days (2018-03-10 to 2018-06-02) in common" in caution
    until_may = within(before, date(2018, 5, 1), date(2018, 5, 30), "BEFORE")
    assert not cautions(until_may, until_may)
    autumn = within(before, date(2018, 10, 1), None, "BEFORE")
    if method == "gapfilled":
        refused((autumn, spring), encoder, tmp_path, "have no season in common", method=method)
    else:
        (caution,) = cautions(autumn, spring)
        assert "no day in common" in caution


def test_the_extent_does_not_change_values(years, encoder, tmp_path):
    compare(*years, encoder, tmp_path / "all.tif")
    window = Window(21, 13, 40, 33)
    extent = years[0].grid.subgrid(window).extent
    compare(*years, encoder, tmp_path / "part.tif", extent=extent, tile_size=16)
    np.testing.assert_allclose(
        read(tmp_path / "part.tif"), read(tmp_path / "all.tif")[13:46, 21:61], rtol=1e-4
    )


def test_progress_rises_to_the_end(years, encoder, tmp_path):
    listener = Listener()
    asked = {"rule": ThresholdRule("otsu"), "zones": [box(20, 20, 5, 5)] * 3}
    compare(*years, encoder, tmp_path / "d.tif", tile_size=32, feedback=listener, **asked)
    assert listener.fractions == sorted(listener.fractions)
    assert listener.fractions.count(1) == 1  # nothing is left to do then
    assert len(listener.fractions) > 7 * 9
    assert listener.fractions[-1] == pytest.approx(1)


@pytest.mark.parametrize("cancel_at", [0.01, 0.5, 0.95])
def test_a_cancelled_run_leaves_nothing(years, encoder, tmp_path, cancel_at):
    (tmp_path / "out").mkdir()
    paths = [tmp_path / "out" / name for name in ("distance.tif", "change.tif", "why.tif")]
    with pytest.raises(Cancelled):
        compare(
            *years,
            encoder,
            paths[0],
            rule=ThresholdRule("otsu"),
            change=paths[1],
            explanation=paths[2],
            tile_size=32,
            feedback=Listener(cancel_at),
        )
    assert os.listdir(tmp_path / "out") == []


@pytest.mark.parametrize("many", ["zones", "unchanged"])
def test_many_zones_are_stopped_between_two(years, encoder, tmp_path, many):
    """Parcels of a country take minutes."""
    (tmp_path / "out").mkdir()

    class Impatient(Listener):
        asked = 0

        def cancelled(self):
            self.asked += bool(self.fractions) and self.fractions[-1] >= 0.95
            return self.asked > 10

    listener = Impatient()
    rule = ThresholdRule("unchanged" if many == "unchanged" else "value", 0.1)
    polygons = {many: [box(20, 10, 15, 12)] * 50}
    path = tmp_path / "out" / "d.tif"
    with pytest.raises(Cancelled):
        compare(*years, encoder, path, rule=rule, feedback=listener, **polygons)
    assert os.listdir(tmp_path / "out") == []


def test_memory_sets_the_tiles(years, tmp_path):
    listener = Listener()
    encoder = PairEncoder(bytes_per_read_pixel=3000)
    compare(*years, encoder, tmp_path / "d.tif", memory_mb=17, feedback=listener)
    assert not any("in 1 tiles" in text for text in listener.texts)
    assert max(height * width for height, width in encoder.reads) < SIZE[0] * SIZE[1]


def refused(years, encoder, folder, *says, kind=AliseError, **options):
    """One sentence that holds `says`; nothing is written."""
    folder = folder / "out"
    folder.mkdir(exist_ok=True)
    with pytest.raises(kind) as caught:
        compare(*years, encoder, options.pop("path", folder / "d.tif"), **options)
    message = str(caught.value)
    for text in says:
        assert text in message
    assert "\n" not in message
    assert message.endswith(".")
    assert os.listdir(folder) == []


def test_two_places_are_refused(years, encoder, tmp_path, rng):
    far = (TRANSFORM[0] + 90000, 10.0, 0.0, TRANSFORM[3], 0.0, -10.0)
    there = make_series(tmp_path / "far", AFTER, [smooth(rng) for _ in AFTER], transform=far)
    refused((years[0], there), encoder, tmp_path, "does not overlap", "one area", kind=SeriesError)
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(32735)
    south = make_series(
        tmp_path / "south", AFTER, [smooth(rng) for _ in AFTER], transform=far, crs=reference
    )
    refused((years[0], south), encoder, tmp_path, "does not overlap", kind=SeriesError)


def test_an_empty_year_is_named(years, encoder, tmp_path):
    empty = years[0].grid.subgrid(Window(0, 20, 10, 10)).extent
    refused(
        years, encoder, tmp_path, "series.vrt (2018-02-03", "no value in the extent", extent=empty
    )
    strip = years[0].grid.subgrid(Window(20, 0, 30, 5)).extent
    refused(years, encoder, tmp_path, "series.vrt (2020-03-09", extent=strip)


def test_no_pixel_in_common_is_said(tmp_path, rng, encoder):
    left, right = smooth(rng), smooth(rng)
    left[:, :, 30:], right[:, :, :30] = 0, 0
    before = make_series(tmp_path / "before", BEFORE[:1], [left], name="left")
    after = make_series(tmp_path / "after", AFTER[:1], [right], name="right")
    refused((before, after), encoder, tmp_path, "both left.vrt and right.vrt")


def test_a_period_without_acquisitions_names_those_there_are(years):
    with pytest.raises(SeriesError) as caught:
        within(years[0], date(2019, 1, 1), date(2019, 12, 31), "BEFORE")
    message = str(caught.value)
    assert "2018-02-03, 2018-05-14, 2018-07-20, 2018-10-30" in message
    assert "from 2019-01-01 to 2019-12-31" in message
    assert within(years[0], None, None, "BEFORE") is years[0]
    assert within(years[0], date(2018, 5, 14), None, "BEFORE").dates == tuple(BEFORE[1:])


def test_rasters_of_two_models_are_refused(years, encoder, tmp_path):
    embed(features_from(years[0], encoder), tmp_path / "one.tif")
    encoder.package.sha256 = "1" * 64
    embed(features_from(years[1], encoder), tmp_path / "two.tif")
    rasters = [EmbeddingRaster(tmp_path / f"{name}.tif") for name in ("one", "two")]
    refused(rasters, None, tmp_path, "one.tif", "fake 1.2 00000000", "two.tif", "fake 1.2 11111111")
    # Under one name, their folders tell them apart.
    for folder, name in (("2018", "one"), ("2020", "two")):
        (tmp_path / folder).mkdir()
        os.link(tmp_path / f"{name}.tif", tmp_path / folder / "year.tif")
    namesakes = [EmbeddingRaster(tmp_path / folder / "year.tif") for folder in ("2018", "2020")]
    refused(namesakes, None, tmp_path, "2018/year.tif was made", "2020/year.tif by")
    # And one that was made by another model than the one that would explain it.
    refused(
        (rasters[0], rasters[0]),
        encoder,
        tmp_path,
        "fake 1.2 00000000",
        "cannot explain",
        explanation=tmp_path / "out" / "why.tif",
    )


def test_forms_that_do_not_compare_are_refused(years, encoder, tmp_path):
    for name, series in (("one", years[0]), ("two", years[1])):
        embed(features_from(series, encoder), tmp_path / f"{name}.tif")
    short = str(tmp_path / "short.tif")
    source = gdal.Open(str(tmp_path / "two.tif"))
    gdal.Translate(short, source, bandList=[1, 2, 3], creationOptions=["TILED=YES"])
    one, two = EmbeddingRaster(tmp_path / "one.tif"), EmbeddingRaster(short)
    refused((one, two), None, tmp_path, "one.tif holds 6 features and short.tif 3", "one format")
    why = {"explanation": tmp_path / "out" / "why.tif"}
    refused((two, two), encoder, tmp_path, "short.tif holds the compact form", **why)


def test_a_series_and_an_embedding_raster_are_refused(years, encoder, tmp_path):
    embed(features_from(years[1], encoder), tmp_path / "two.tif")
    mixed = (years[0], EmbeddingRaster(tmp_path / "two.tif"))
    refused(mixed, encoder, tmp_path, "two.tif is an embedding raster", "series.vrt an image")


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (("value", -0.1), "-0.1 is no distance"),
        (("value", None), '"value" needs a number'),
        (("quantile", 1.5), "The quantile 1.5 is outside its range"),
        (("quantile", 0.0), "outside its range"),
        (("mixture", None, 1.5), "The false-alarm rate 1.5 is outside its range"),
        (("unchanged", None, -0.1), "outside its range"),
    ],
)
def test_a_threshold_outside_its_range_is_refused(rule, says):
    with pytest.raises(AliseError, match=says):
        ThresholdRule(*rule)


def test_what_does_not_go_together_is_said(years, encoder, tmp_path):
    out = tmp_path / "out"
    refused(years, encoder, tmp_path, "needs a threshold", change=out / "c.tif")
    refused(years, encoder, tmp_path, "known to be stable", rule=ThresholdRule("unchanged"))
    refused(
        years,
        encoder,
        tmp_path,
        "cover no pixel",
        rule=ThresholdRule("unchanged"),
        unchanged=[box(500, 500, 3, 3)],
    )
    one = (years[0].subset(BEFORE[:1]), years[1])
    refused(one, encoder, tmp_path, "two dates or more", rule=ThresholdRule("noise"))


def test_too_little_memory_says_how_much(years, tmp_path):
    refused(years, PairEncoder(10**6), tmp_path, "7 dates of two years", "MB", memory_mb=20)


def test_an_output_that_cannot_be_written_is_said_before_the_work(years, encoder, tmp_path):
    path = tmp_path / "nowhere" / "d.tif"
    refused(years, encoder, tmp_path, "nowhere", kind=OutputError, path=path)
    assert encoder.reads == []


def test_a_threshold_that_nothing_reaches_is_said(years, encoder, tmp_path):
    listener = Listener()
    rule = ThresholdRule("value", 1e6)
    result = compare(*years, encoder, tmp_path / "d.tif", rule=rule, feedback=listener)
    assert (result.changed_share, result.changed_area) == (0, 0)
    assert any("No pixel is changed" in text for text in listener.texts)


def test_a_few_changed_pixels_of_a_large_map_are_not_denied(years, encoder, tmp_path, monkeypatch):
    """Statistics come from a sample, which may lack them."""
    compare(*years, encoder, tmp_path / "d.tif")
    ordered = np.sort(read(tmp_path / "d.tif")[5:, 10:].ravel())
    monkeypatch.setattr("alise_plugin.mapping.change.distances._SAMPLE", 64)
    listener = Listener()
    rule = ThresholdRule("value", float(ordered[-2:].mean()))
    result = compare(*years, encoder, tmp_path / "d.tif", rule=rule, feedback=listener)
    assert result.changed_share == pytest.approx(1 / len(ordered))
    assert not any("No pixel is changed" in text for text in listener.texts)
    rule = ThresholdRule("value", 1.0)
    compare(*years, encoder, tmp_path / "d.tif", rule=rule, feedback=listener)
    assert f"the largest distance {ordered[-1]:.4g}." in listener.texts[-1]


def test_bands_that_one_year_lacks_are_said(years, encoder, tmp_path, rng):
    folder = tmp_path / "few"
    folder.mkdir()
    few = ["B02", "B03", "B04", "B08"]
    paths = [
        write_raster(folder / f"S2_{day:%Y%m%d}.tif", smooth(rng, 4), descriptions=few)
        for day in AFTER
    ]
    after = build_series(paths, folder / "few.vrt")
    listener = Listener()
    compare(years[0], after, encoder, tmp_path / "d.tif", feedback=listener)
    (said,) = [text for text in listener.texts if "lacks" in text]
    assert said.startswith("few.vrt lacks B05, B06, B07, B8A, B11, B12, which the other has")


def test_days_are_the_only_thing_that_years_change(years, encoder, tmp_path):
    compare(*years, encoder, tmp_path / "d.tif")
    np.testing.assert_allclose(encoder.days[0], days_since_reference(BEFORE))
    np.testing.assert_allclose(encoder.days[1], days_since_reference(AFTER) - 730)


def test_it_does_not_write_over_what_it_reads(years, encoder, tmp_path):
    rasters = []
    for number, series in enumerate(years):
        path = tmp_path / f"{number}.tif"
        embed(features_from(series, encoder), path)
        rasters.append(EmbeddingRaster(path))
    for number in (0, 1):
        taken = tmp_path / f"{number}.tif"
        with pytest.raises(OutputError, match=f"{number}.tif is also an input"):
            compare(*rasters, None, taken)
        assert EmbeddingRaster(taken).grid.same_grid(rasters[number].grid)
    scene = next((tmp_path / "after").glob("*.tif"))
    with pytest.raises(OutputError, match="is also an input"):
        compare(*years, encoder, tmp_path / "d.tif", explanation=scene)
    same = {"rule": ThresholdRule("otsu"), "change": tmp_path / "d.tif"}
    refused(years, encoder, tmp_path, "as two outputs", path=tmp_path / "d.tif", **same)


def test_what_is_not_used_and_what_lies_outside_is_said(years, encoder, tmp_path):
    listener = Listener()
    compare(
        *years,
        encoder,
        tmp_path / "d.tif",
        rule=ThresholdRule("otsu", 0.3),
        zones=[box(20, 20, 5, 5), box(5000, 20, 5, 5), b""],
        unchanged=[box(20, 20, 5, 5)],
        feedback=listener,
    )
    assert any("unchanged areas are not used" in text for text in listener.texts)
    assert any("threshold value 0.3 is not used" in text for text in listener.texts)
    assert any("2 of 3 zones hold no pixel" in text for text in listener.texts)
    quiet = Listener()
    rule = ThresholdRule("value", 0.3)
    zones = [box(20, 20, 5, 5)]
    compare(*years, encoder, tmp_path / "d.tif", rule=rule, zones=zones, feedback=quiet)
    assert not any("not used" in text or "zones hold" in text for text in quiet.texts)
