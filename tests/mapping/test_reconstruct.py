"""Images without clouds: values, tiles, sources, cautions, and what is refused."""

import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal

from alise_plugin.errors import Cancelled, OutputError, SeriesError
from alise_plugin.mapping.embedding.embed import embed
from alise_plugin.mapping.features.embedding_raster import EmbeddingRaster
from alise_plugin.mapping.features.tiling import TileBudget, choose_tile_size, tile_memory
from alise_plugin.mapping.maps.reconstruct import reconstruct
from alise_plugin.model.encoder import load_encoder
from alise_plugin.model.year_around import year_around
from alise_plugin.sentinel2 import BANDS
from alise_plugin.sits.acquisitions import days_since_reference
from alise_plugin.sits.build import SeriesOptions, build_series, plan_series
from alise_plugin.sits.grid import Window
from alise_plugin.sits.series import ImageSeries
from tests.helpers.features import features_from
from tests.helpers.rasters import dated_rasters, digital_numbers, write_raster
from tests.helpers.rasters import days as dates_of
from tests.helpers.real_series import real_series

ROOT = Path(__file__).resolve().parents[2]
DAYS = (date(2019, 1, 10), date(2019, 2, 3))
STEP = 1e-4  # what is written is rounded to it


@pytest.fixture(scope="module")
def encoder(tiny_package):
    pytest.importorskip("onnxruntime")
    return load_encoder(tiny_package, "cpu", 2)


class Heard:
    """A feedback that keeps what it is told, and cancels after some progress."""

    def __init__(self, cancel_after=2.0):
        self.lines, self.fractions, self.cancel_after = [], [0.0], cancel_after

    def progress(self, fraction):
        self.fractions.append(fraction)

    def cancelled(self):
        return max(self.fractions) >= self.cancel_after

    def info(self, text):
        self.lines.append(text)

    def warning(self, text):
        self.info(text)


def images(path):
    """Dates and `(T, 10, H, W)` reflectance of what was written."""
    with ImageSeries.open(path) as series:
        return series.dates, series.read_all(series.grid.window)


def decoded(series, encoder, days=DAYS):
    """The same of the whole series at once, without tiles and rounding.

    Random weights expect less than -0.2 here and there, which no raster of reflectance holds.
    """
    embedding = encoder.encode(series.read_all(series.grid.window), series.days)
    return np.maximum(encoder.decode(embedding, days_since_reference(days)), -0.2)


def test_the_images_are_the_decoded_series_whatever_the_tiles(series, encoder, tmp_path):
    truth = decoded(series, encoder)
    for tile_size in (None, 16, 64):
        path = tmp_path / f"{tile_size}.tif"
        result = reconstruct(
            features_from(series, encoder), path, budget=TileBudget(tile_size=tile_size), dates=DAYS
        )
        assert result.dates == DAYS
        assert (result.device, result.model_id) == ("cpu", encoder.package.model_id)
        dates, found = images(path)
        assert dates == DAYS
        np.testing.assert_allclose(found, truth, atol=STEP / 2 + 1e-4)
    # the first ten columns were never seen
    assert np.isnan(found[..., :10]).all()
    assert np.isfinite(found[..., 10:]).all()


def test_an_extent_has_the_values_of_the_whole(series, encoder, tmp_path):
    reconstruct(features_from(series, encoder), tmp_path / "whole.tif", dates=DAYS)
    left, top = series.grid.geotransform[0], series.grid.geotransform[3]
    box = (left + 235, top - 405, left + 505, top - 85)
    reconstruct(
        features_from(series, encoder),
        tmp_path / "part.tif",
        budget=TileBudget(tile_size=16),
        dates=DAYS,
        extent=box,
    )
    (_, whole), (_, part) = images(tmp_path / "whole.tif"), images(tmp_path / "part.tif")
    np.testing.assert_allclose(part, whole[:, :, 8:41, 23:51], atol=STEP + 1e-4)


@pytest.fixture(scope="module")
def years(tmp_path_factory):
    """A date every 14 days of two years and a half, 40 x 33 pixels, some of them out of a swath."""
    folder = tmp_path_factory.mktemp("years")
    dates = dates_of(65, date(2018, 3, 1), 14)
    rng = np.random.default_rng(3)
    paths = []
    for number, day in enumerate(dates):
        image = digital_numbers(rng, 10, 40, 33)
        image[:, : number % 5] = 0
        paths.append(write_raster(folder / f"S2_{day:%Y%m%d}.tif", image))
    return build_series(paths, folder / "series.vrt", scale=1e-4, offset=0.0)


YEARS_DAYS = (date(2018, 3, 20), date(2019, 5, 17), date(2019, 6, 1), date(2020, 8, 1))


def from_the_year_around(series, encoder):
    """Each day from an encoding of its own, of the dates around it."""
    whole = series.read_all(series.grid.window)
    shown = []
    for day in YEARS_DAYS:
        (number,) = days_since_reference([day])
        near = year_around(series.days, float(number))
        assert 0 < len(near) < len(series.dates)
        embedding = encoder.encode(whole[near], series.days[near])
        shown.append(encoder.decode(embedding, np.array([number]))[0])
    return np.maximum(np.stack(shown), -0.2)


@pytest.mark.parametrize("tile_size", [None, 16])
def test_a_day_of_many_years_is_shown_from_the_one_around_it(years, encoder, tmp_path, tile_size):
    heard = Heard()
    reconstruct(
        features_from(years, encoder),
        tmp_path / "a.tif",
        budget=TileBudget(tile_size=tile_size),
        dates=YEARS_DAYS,
        feedback=heard,
    )
    dates, found = images(tmp_path / "a.tif")
    assert dates == YEARS_DAYS
    expected = from_the_year_around(years, encoder)
    np.testing.assert_allclose(found, expected, atol=STEP / 2 + 1e-4)
    # which is something else than the whole series says
    assert np.abs(found - decoded(years, encoder, YEARS_DAYS)).max() > 0.01
    assert heard.lines[-1] == "Each day is decoded from the acquisitions of the year around it."
    assert heard.fractions == sorted(heard.fractions)
    assert heard.fractions[-1] == 1.0
    # an extent, and one day without the others, show the same
    left, top = years.grid.geotransform[0], years.grid.geotransform[3]
    box = (left + 55, top - 305, left + 285, top - 115)
    reconstruct(
        features_from(years, encoder), tmp_path / "b.tif", dates=YEARS_DAYS[1:2], extent=box
    )
    _, part = images(tmp_path / "b.tif")
    np.testing.assert_allclose(part, found[1:2, :, 11:31, 5:29], atol=STEP + 1e-4)
    items = gdal.Open(str(tmp_path / "b.tif")).GetMetadata()
    assert items["ALISE_DATES"].split(",") == [str(day) for day in years.dates]


def test_acquisitions_far_from_the_days_shown_are_not_read(encoder, tmp_path):
    dates = dates_of(65, date(2018, 3, 1), 14)
    rng = np.random.default_rng(3)
    paths = [
        write_raster(tmp_path / f"S2_{day:%Y%m%d}.tif", digital_numbers(rng, 10, 20, 20))
        for day in dates
    ]
    series = build_series(paths, tmp_path / "series.vrt", scale=1e-4, offset=0.0)
    reconstruct(features_from(series, encoder), tmp_path / "a.tif", dates=[date(2019, 5, 17)])
    for path in (paths[0], paths[-1]):
        Path(path).unlink()
    with ImageSeries.open(series.path) as again:
        reconstruct(features_from(again, encoder), tmp_path / "b.tif", dates=[date(2019, 5, 17)])
    np.testing.assert_array_equal(images(tmp_path / "a.tif")[1], images(tmp_path / "b.tif")[1])


def test_days_come_in_order_and_once(series, encoder, tmp_path):
    for name, days in (("a", DAYS), ("b", (DAYS[1], DAYS[0], DAYS[1]))):
        reconstruct(features_from(series, encoder), tmp_path / f"{name}.tif", dates=days)
    first, second = images(tmp_path / "a.tif"), images(tmp_path / "b.tif")
    assert first[0] == second[0] == DAYS
    np.testing.assert_array_equal(first[1], second[1])


def test_without_days_there_are_regular_ones(series, encoder, tmp_path):
    result = reconstruct(features_from(series, encoder), tmp_path / "a.tif", every=7)
    first, last = series.dates[0], series.dates[-1]
    wanted = [first + timedelta(days=n) for n in range(0, (last - first).days + 1, 7)]
    assert list(result.dates) == wanted
    assert len(wanted) > 2
    dataset = gdal.Open(str(tmp_path / "a.tif"))
    names = [f"{day} {band}" for day in wanted for band in BANDS]
    found = [dataset.GetRasterBand(n + 1).GetDescription() for n in range(dataset.RasterCount)]
    assert found == names
    assert dataset.GetMetadataItem("ALISE_RECONSTRUCTED_BY") == encoder.package.model_id


@pytest.mark.parametrize(("form", "tolerance"), [("float32", STEP), ("int8", 0.01)])
def test_an_embedding_raster_gives_the_same_images(series, encoder, tmp_path, form, tolerance):
    embed(features_from(series, encoder), tmp_path / "vectors.tif", format=form)
    raster = EmbeddingRaster(tmp_path / "vectors.tif")
    reconstruct(
        features_from(raster, encoder),
        tmp_path / "images.tif",
        budget=TileBudget(tile_size=32),
        dates=DAYS,
    )
    _, found = images(tmp_path / "images.tif")
    np.testing.assert_allclose(found, decoded(series, encoder), atol=tolerance)
    # and its dates are those of the series
    regular = reconstruct(features_from(raster, encoder), tmp_path / "regular.tif", every=10)
    assert regular.dates[0] == series.dates[0]


def test_the_images_are_an_image_series(series, encoder, tmp_path):
    reconstruct(features_from(series, encoder), tmp_path / "images.tif", dates=DAYS)
    with ImageSeries.open(tmp_path / "images.tif") as again:
        result = embed(features_from(again, encoder), tmp_path / "vectors.tif")
    assert result.dates == DAYS
    raster = EmbeddingRaster(tmp_path / "vectors.tif")
    assert np.isfinite(raster.read(raster.grid.window)[..., 10:]).all()


def test_a_search_takes_what_a_model_made_for_no_acquisition(series, encoder, tmp_path):
    """They may lie beside the downloads that the next series is built of."""
    made = tmp_path / "made" / "images.tif"
    made.parent.mkdir()
    reconstruct(features_from(series, encoder), made, dates=DAYS)
    with pytest.raises(SeriesError, match="images that a model made; give it by itself"):
        plan_series([made.parent], tmp_path / "s.vrt", SeriesOptions())
    plan = plan_series([made], tmp_path / "s.vrt", SeriesOptions())
    assert tuple(item.acquisition.day for item in plan.dates) == DAYS


def test_it_says_what_nobody_has_seen(series, encoder, tmp_path):
    heard = Heard()
    outside = (DAYS[0], date(2021, 1, 1))
    reconstruct(features_from(series, encoder), tmp_path / "a.tif", dates=outside, feedback=heard)
    sentence, what = heard.lines
    assert sentence.startswith("1 of 2 dates lie outside the series")
    assert "2021-01-01" in sentence
    assert (
        what == f"83 x 70 pixels, 2 days, 1 tiles of 96, model {encoder.package.model_id} on cpu."
    )
    heard = Heard()
    later = [date(2021, 1, 1) + timedelta(days=n) for n in range(300)]
    reconstruct(features_from(series, encoder), tmp_path / "a.tif", dates=later, feedback=heard)
    assert heard.lines[0].startswith("300 of 300 dates lie outside")
    assert "2021-01-01, 2021-01-02" in heard.lines[0]
    assert len(heard.lines[0]) < 250
    folder = tmp_path / "few"
    folder.mkdir()
    names = ["B02", "B03", "B04", "B08"]
    values = np.full((4, 20, 20), 1000, np.uint16)
    paths = [
        write_raster(folder / f"2019010{day}.tif", values + day, descriptions=names)
        for day in (1, 3)
    ]
    heard = Heard()
    with build_series(paths, folder / "series.vrt", scale=1e-4, offset=0.0) as few:
        reconstruct(
            features_from(few, encoder),
            tmp_path / "b.tif",
            dates=[date(2019, 1, 2)],
            feedback=heard,
        )
    assert "no B05, B06, B07, B8A, B11, B12" in heard.lines[0]
    # and the file goes on saying it, which shows ten bands
    items = gdal.Open(str(tmp_path / "b.tif")).GetMetadata()
    assert items["ALISE_BANDS"] == "B02,B03,B04,B08"
    assert items["ALISE_DATES"] == "2019-01-01,2019-01-03"


def test_what_it_cannot_decode_is_refused_in_a_sentence(series, encoder, tmp_path):
    embed(features_from(series, encoder), tmp_path / "vectors.tif")
    dataset = gdal.Open(str(tmp_path / "vectors.tif"), gdal.GA_Update)
    dataset.SetMetadataItem("ALISE_MODEL_SHA256", "0" * 64)
    dataset.SetMetadataItem("ALISE_DATES", None)
    dataset = None
    other = EmbeddingRaster(tmp_path / "vectors.tif")
    with pytest.raises(SeriesError, match=r"was made by tiny 0\.0\.1 00000000, not by tiny 0"):
        reconstruct(features_from(other, encoder), tmp_path / "a.tif", dates=DAYS)
    gdal.Translate(
        str(tmp_path / "64.tif"), str(tmp_path / "vectors.tif"), bandList=[*range(1, 65)]
    )
    few = EmbeddingRaster(tmp_path / "64.tif")
    with pytest.raises(SeriesError, match=r"does not hold the 640 features"):
        reconstruct(features_from(few, encoder), tmp_path / "a.tif", dates=DAYS)
    other.metadata["ALISE_MODEL_SHA256"] = encoder.package.sha256
    with pytest.raises(SeriesError, match="does not say its dates"):
        reconstruct(features_from(other, encoder), tmp_path / "a.tif")
    with pytest.raises(SeriesError, match="EVERY is 0 days"):
        reconstruct(features_from(series, encoder), tmp_path / "a.tif", every=0)
    many = [DAYS[0] + timedelta(days=n) for n in range(7000)]
    with pytest.raises(SeriesError, match="7000 days are more than a GeoTIFF holds"):
        reconstruct(features_from(series, encoder), tmp_path / "a.tif", dates=many)
    with pytest.raises(OutputError, match="also an input"):
        reconstruct(features_from(other, encoder), tmp_path / "vectors.tif", dates=DAYS)
    assert not (tmp_path / "a.tif").exists()


@pytest.mark.parametrize("form", ["series", "embedding raster"])
def test_progress_is_steady_where_images_take_most_of_the_time(series, encoder, tmp_path, form):
    source = series
    if form != "series":
        embed(features_from(series, encoder), tmp_path / "vectors.tif")
        source = EmbeddingRaster(tmp_path / "vectors.tif")
    heard = Heard()
    days = [DAYS[0] + timedelta(days=n) for n in range(300)]
    reconstruct(features_from(source, encoder), tmp_path / "a.tif", dates=days, feedback=heard)
    assert heard.fractions == sorted(heard.fractions)
    assert heard.fractions[-1] == 1.0
    assert max(np.diff(heard.fractions)) < 0.25


@pytest.mark.parametrize(("tile_size", "days"), [(None, 2), (None, 40), (176, 2), (176, 40)])
def test_blocks_are_never_small(tiny_package, encoder, tmp_path, tile_size, days):
    """176 is 11 x 16 pixels, which squares of 16 pixels alone would fill."""
    folder = tmp_path / "scenes"
    folder.mkdir()
    paths, _, _ = dated_rasters(folder, np.random.default_rng(0), 2, height=40, width=190)
    wanted = [DAYS[0] + timedelta(days=n) for n in range(days)]
    with build_series(paths, folder / "series.vrt") as wide:
        reconstruct(
            features_from(wide, encoder),
            tmp_path / "a.tif",
            budget=TileBudget(tile_size=tile_size),
            dates=wanted,
        )
    dataset = gdal.Open(str(tmp_path / "a.tif"))
    columns, rows = dataset.GetRasterBand(1).GetBlockSize()
    assert columns * rows >= 2500


def test_tiles_of_an_embedding_raster_are_read_in_a_few_seconds_and_cut_well(tmp_path):
    path = write_raster(
        tmp_path / "vectors.tif",
        np.zeros((640, 1, 600), np.float32),
        metadata={"ALISE_MODEL_SHA256": "0" * 64},
    )
    raster = EmbeddingRaster(path)
    sides = {
        memory: raster.tiles(raster.grid.window, TileBudget(memory))[0]
        for memory in (64_000, 256, 12)
    }
    assert sides == {64_000: 512, 256: 192, 12: 32}
    assert raster.tiles(raster.grid.window, TileBudget(256), beside=20_000)[0] == 64


def test_what_is_held_beside_the_features_makes_tiles_of_a_series_smaller(encoder):
    raster, inner = Window(0, 0, 2000, 2000), Window(0, 0, 2000, 2000)
    alone, beside = (choose_tile_size(encoder, 12, raster, inner, 2048, n) for n in (0, 60_000))
    assert beside < 0.7 * alone
    assert tile_memory(encoder, 12, beside, raster) + 60_000 * beside**2 < 2048e6


def test_overviews_of_very_many_images_are_left_out(encoder, tmp_path):
    """A block of it has 64 x 64 pixels of all images: 82 kB a day."""
    folder = tmp_path / "scenes"
    folder.mkdir()
    paths, _, _ = dated_rasters(folder, np.random.default_rng(0), 2, height=4, width=300)
    with build_series(paths, folder / "series.vrt") as wide:
        for days, overviews in ((400, 1), (401, 0)):
            wanted = [DAYS[0] + timedelta(days=n) for n in range(days)]
            reconstruct(features_from(wide, encoder), tmp_path / "a.tif", dates=wanted)
            dataset = gdal.Open(str(tmp_path / "a.tif"))
            assert dataset.GetRasterBand(1).GetOverviewCount() == overviews


@pytest.mark.parametrize("after", [0.3, 0.8])
def test_a_cancelled_run_leaves_nothing(series, years, encoder, tmp_path, after):
    folder = tmp_path / "out"
    folder.mkdir()
    for source, days in ((series, DAYS), (years, YEARS_DAYS)):
        heard = Heard(after)
        with pytest.raises(Cancelled):
            reconstruct(
                features_from(source, encoder),
                folder / "a.tif",
                budget=TileBudget(tile_size=32),
                dates=days,
                feedback=heard,
            )
        assert heard.fractions[-1] < 1
        assert not list(folder.iterdir())


RUN = """
import sys
from alise_plugin.mapping.maps.reconstruct import reconstruct
from alise_plugin.model.encoder import load_encoder
from alise_plugin.sits.series import ImageSeries
from alise_plugin.mapping.features.series_features import SeriesFeatures
from alise_plugin.mapping.features.tiling import TileBudget

encoder = load_encoder(sys.argv[1], "cpu", threads=1)
series = ImageSeries.open(sys.argv[2])
reconstruct(SeriesFeatures(series, lambda: encoder), sys.argv[3], every=1, budget=TileBudget(256))
status = open("/proc/self/status").read()
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="VmHWM is Linux's")
def test_many_images_stay_within_the_memory(tmp_path, tiny_package):
    """124 images of 160 x 160 pixels are 130 MB in float32, beside 66 MB of features."""
    pytest.importorskip("onnxruntime")
    folder = tmp_path / "scenes"
    folder.mkdir()
    paths, _, _ = dated_rasters(folder, np.random.default_rng(0), 12, height=160, width=160)
    with build_series(paths, folder / "series.vrt") as series:
        days = (series.dates[-1] - series.dates[0]).days
        command = [sys.executable, "-c", RUN, tiny_package, series.path, tmp_path / "images.tif"]
    assert days > 100
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 150 < int(done.stdout.split()[-1]) / 1000 < 256 + 500


def test_clouds_of_a_real_site_are_gone(tmp_path):
    """Belgium, held out from training: four of five acquisitions of a summer lie under cloud."""
    pytest.importorskip("onnxruntime")
    real = real_series("belgian_fields")
    values, clear, days = real.dn, real.clear, real.days
    # the tiles of one day would be one acquisition
    chosen = [i for i, day in enumerate(days) if day.year == 2019 and days.index(day) == i]
    paths = [write_raster(tmp_path / f"S2_{days[i]:%Y%m%d}.tif", values[i]) for i in chosen]
    covered = [i for i in chosen if not clear[i].any() and 4 <= days[i].month <= 9]
    assert len(covered) >= 5
    encoder = load_encoder(ROOT / "models" / "alise-s2", "cpu", 2)
    with build_series(paths, tmp_path / "series.vrt", scale=1e-4, offset=0.0) as series:
        reconstruct(
            features_from(series, encoder),
            tmp_path / "images.tif",
            dates=[days[i] for i in covered],
        )
    _, found = images(tmp_path / "images.tif")
    blue, red, infrared = (found[:, BANDS.index(name)] for name in ("B02", "B04", "B08"))
    seen = values[covered][:, BANDS.index("B02")] / 10_000
    assert np.isfinite(found).all()
    assert np.median(seen) > 0.2  # clouds
    assert np.quantile(blue, 0.99) < 0.15
    assert np.median((infrared - red) / (infrared + red)) > 0.4  # fields in summer
