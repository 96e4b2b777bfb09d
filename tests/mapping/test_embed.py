import os
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal

from alise_plugin.errors import AliseError, Cancelled, OutputError, SeriesError
from alise_plugin.mapping.embedding.embed import embed, feature_names
from alise_plugin.mapping.features import tiling
from alise_plugin.mapping.features.embedding_raster import EmbeddingRaster
from alise_plugin.mapping.features.tiling import TileBudget
from alise_plugin.model.encoder import load_encoder
from alise_plugin.sits.grid import Grid, Window
from tests.helpers.fake_encoder import FakeEncoder
from tests.helpers.features import features_from, packed


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


def read(path):
    raster = EmbeddingRaster(path)
    return raster.read(raster.grid.window)


def truth(series, encoder, window=None):
    """Encoded at once, without tiles."""
    whole = series.grid.window
    crop = (window or whole).slices_in(whole)
    features = encoder.encode(series.read_all(whole), series.days, crop=crop)
    return features.reshape(-1, *features.shape[2:])


@pytest.mark.parametrize("tile_size", [None, 16, 37, 64, 96, 500])
def test_tiles_do_not_show(series, encoder, tmp_path, tile_size):
    path = tmp_path / "map.tif"
    result = embed(features_from(series, encoder), path, budget=TileBudget(tile_size=tile_size))
    np.testing.assert_allclose(read(path), truth(series, encoder), atol=1e-5)
    assert (result.path, result.dates, result.device) == (str(path), series.dates, "cpu")
    assert result.model_id == "fake 1.2 00000000"


@pytest.mark.parametrize(
    "window", [Window(13, 5, 41, 60), Window(79, 66, 4, 4), Window(0, 1, 1, 1)]
)
def test_the_extent_does_not_change_values(series, encoder, tmp_path, window):
    path = tmp_path / "map.tif"
    grid = series.grid.subgrid(window)
    embed(features_from(series, encoder), path, budget=TileBudget(tile_size=32), extent=grid.extent)
    assert EmbeddingRaster(path).grid.same_grid(grid)
    np.testing.assert_allclose(read(path), truth(series, encoder, window), atol=1e-5)


def test_the_raster_says_what_it_is(series, encoder, tmp_path):
    path = tmp_path / "map.tif"
    embed(features_from(series, encoder), path)
    dataset = gdal.Open(str(path))
    assert Grid.from_dataset(dataset, "map").same_grid(series.grid)
    names = [dataset.GetRasterBand(i + 1).GetDescription() for i in range(dataset.RasterCount)]
    assert names == ["q00_d00", "q00_d01", "q00_d02", "q01_d00", "q01_d01", "q01_d02"]
    items = dataset.GetMetadata()
    assert items["ALISE_MODEL"] == "fake"
    assert items["ALISE_MODEL_VERSION"] == "1.2"
    assert items["ALISE_MODEL_SHA256"] == "0" * 64
    assert items["ALISE_DATES"].split(",") == [str(day) for day in series.dates]
    assert items["ALISE_BANDS"].split(",") == list(series.bands_present)
    assert (items["ALISE_SERIES"], items["ALISE_DEVICE"]) == ("series.vrt", "cpu")
    assert len(feature_names(10, 64)) == 640
    assert feature_names(10, 64)[3 * 64 + 17] == "q03_d17"


def test_pixels_without_any_date_have_no_value(series, encoder, tmp_path):
    path = tmp_path / "map.tif"
    for form in ("float32", "int8"):
        embed(features_from(series, encoder), path, budget=TileBudget(tile_size=32), format=form)
        got = read(path)
        assert np.isnan(got[:, :, :10]).all()
        assert np.isfinite(got[:, :, 10:]).all()


@pytest.mark.parametrize("tile_size", [None, 32])
def test_int8_keeps_half_a_per_cent(series, encoder, tmp_path, tile_size):
    path = tmp_path / "map.tif"
    result = embed(
        features_from(series, encoder), path, budget=TileBudget(tile_size=tile_size), format="int8"
    )
    dataset = gdal.Open(str(path))
    assert dataset.GetRasterBand(1).DataType == gdal.GDT_Byte
    assert dataset.GetRasterBand(1).GetNoDataValue() == 0
    assert "ALISE_QUANTISATION" in dataset.GetMetadata()
    exact = truth(series, encoder)
    low, high = np.nanpercentile(exact, (0.5, 99.5), axis=(1, 2))
    error = np.abs(read(path) - exact)
    kept = np.nanpercentile(error, 99, axis=(1, 2))
    assert (kept <= 0.005 * (high - low)).all()
    assert result.clipped < 0.01


def test_int8_finds_a_range_where_most_of_the_map_is_empty(series, encoder, tmp_path):
    path = tmp_path / "map.tif"
    left, _, _, top, _, _ = series.grid.geotransform
    extent = (left, top - 400, left + 110, top)  # 11 columns, 10 of them without any date
    embed(
        features_from(series, encoder),
        path,
        budget=TileBudget(tile_size=16),
        format="int8",
        extent=extent,
    )
    exact = truth(series, encoder, Window(0, 0, 11, 40))
    error = np.abs(read(path) - exact)[:, :, 10]
    assert np.percentile(error, 90) < 0.01


def test_progress_rises_to_the_end(series, encoder, tmp_path):
    listener = Listener()
    embed(
        features_from(series, encoder),
        tmp_path / "map.tif",
        budget=TileBudget(tile_size=32),
        feedback=listener,
    )
    assert listener.fractions == sorted(listener.fractions)
    assert len(listener.fractions) > 4 * 9
    assert listener.fractions[-1] == pytest.approx(1)
    assert "4 dates" in listener.texts[0]
    assert "cpu" in listener.texts[0]


@pytest.mark.parametrize("form", ["float32", "int8"])
@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("tile_size", [32, (96, 32), 96])
def test_progress_never_falls(series, encoder, tmp_path, form, resume, tile_size):
    listener = Listener()
    options = {"tile_size": tile_size, "format": form, "resume": resume}
    embed(
        features_from(series, encoder),
        tmp_path / "map.tif",
        feedback=listener,
        cog=True,
        **packed(options),
    )
    assert listener.fractions == sorted(listener.fractions)
    assert listener.fractions[-1] == pytest.approx(1)
    if tile_size == 96:
        assert len(encoder.reads) == 4  # nothing was encoded twice


@pytest.mark.parametrize("resume", [False, True])
def test_cancel_while_it_becomes_a_cog(series, encoder, tmp_path, resume):
    folder = tmp_path / "out"
    folder.mkdir()
    listener = Listener(cancel_at=0.92)
    options = {"tile_size": 32, "cog": True, "resume": resume}
    with pytest.raises(Cancelled):
        embed(
            features_from(series, encoder), folder / "map.tif", feedback=listener, **packed(options)
        )
    assert os.listdir(folder) == ["map.tif.blocks"] * resume


@pytest.mark.parametrize("form", ["float32", "int8"])
@pytest.mark.parametrize("moment", [0.0, 0.5, 0.9])
def test_cancel_leaves_nothing(series, encoder, tmp_path, moment, form):
    folder = tmp_path / "out"
    folder.mkdir()
    listener = Listener(cancel_at=moment)
    with pytest.raises(Cancelled):
        embed(
            features_from(series, encoder),
            folder / "map.tif",
            budget=TileBudget(tile_size=32),
            feedback=listener,
            format=form,
        )
    assert os.listdir(folder) == []
    assert listener.fractions[-1] < moment + 0.1  # and it stopped at once


def test_memory_is_a_limit(series, encoder, tmp_path):
    encoder.bytes_per_read_pixel = 3000
    whole = embed(
        features_from(series, encoder), tmp_path / "whole.tif", budget=TileBudget(memory_mb=1000)
    )
    largest = max(height * width for height, width in encoder.reads)
    encoder.reads.clear()
    embed(features_from(series, encoder), tmp_path / "tiles.tif", budget=TileBudget(memory_mb=17))
    assert max(height * width for height, width in encoder.reads) * 3000 < 17e6
    assert largest == series.grid.window.pixels
    np.testing.assert_allclose(read(tmp_path / "tiles.tif"), read(whole.path), atol=1e-5)
    with pytest.raises(AliseError, match="allow at least") as error:
        embed(features_from(series, encoder), tmp_path / "none.tif", budget=TileBudget(memory_mb=1))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("resume", [False, True])
def test_gdal_keeps_no_more_than_its_share_of_the_memory(series, tmp_path, resume):
    before, caches = gdal.GetCacheMax(), []

    class Looks(FakeEncoder):
        def spatial(self, image):
            caches.append(gdal.GetCacheMax())
            return super().spatial(image)

    embed(
        features_from(series, Looks()),
        tmp_path / "map.tif",
        budget=TileBudget(memory_mb=100),
        resume=resume,
    )
    assert caches
    assert max(caches) <= 0.1 * 100e6 < before
    assert gdal.GetCacheMax() == before


def test_mistakes_are_said(series, encoder, tmp_path):
    with pytest.raises(SeriesError, match="does not overlap"):
        embed(features_from(series, encoder), tmp_path / "map.tif", extent=(0, 0, 10, 10))
    with pytest.raises(OutputError, match="is not a folder"):
        embed(features_from(series, encoder), tmp_path / "nowhere" / "map.tif")
    os.remove(tmp_path / "scenes" / os.path.basename(sorted(os.listdir(tmp_path / "scenes"))[1]))
    with pytest.raises(SeriesError, match="cannot be read"):
        embed(features_from(series.reopen(), encoder), tmp_path / "map.tif")
    assert os.listdir(tmp_path) == ["scenes"]


def test_a_device_that_falls_back_is_said(series, tiny_package, tmp_path):

    encoder = load_encoder(tiny_package, "cpu", threads=1)
    encoder.fell_back = True
    listener = Listener()
    extent = series.grid.subgrid(Window(0, 0, 16, 16)).extent
    embed(features_from(series, encoder), tmp_path / "map.tif", extent=extent, feedback=listener)
    assert any("on cpu, because onnxruntime has CUDA but could" in text for text in listener.texts)


def test_other_rasters_are_not_embeddings(series):
    with pytest.raises(SeriesError, match="is not an embedding raster"):
        EmbeddingRaster(series.path)


@pytest.fixture(scope="module")
def real_encoder(tiny_package):
    pytest.importorskip("onnxruntime")

    return load_encoder(tiny_package, "cpu", threads=2)


@pytest.mark.parametrize(
    ("tile_size", "window"),
    [(64, None), (96, None), (37, Window(20, 11, 45, 50)), (None, Window(77, 3, 6, 61))],
)
def test_tiles_do_not_show_with_the_real_architecture(
    large_series, real_encoder, real_truth, tmp_path, tile_size, window
):
    path = tmp_path / "map.tif"
    window = window or large_series.grid.window
    extent = large_series.grid.subgrid(window).extent
    embed(
        features_from(large_series, real_encoder),
        path,
        budget=TileBudget(tile_size=tile_size),
        extent=extent,
    )
    exact = real_truth[(slice(None), *window.slices_in(large_series.grid.window))]
    np.testing.assert_allclose(read(path), exact, atol=1e-4)


@pytest.mark.parametrize("tile_size", [64, 96, 256, 1000])
def test_tiles_of_any_size_do_not_show(
    long_series, bundled_encoder, long_truth, tmp_path, tile_size
):
    path = tmp_path / "map.tif"
    embed(features_from(long_series, bundled_encoder), path, budget=TileBudget(tile_size=tile_size))
    np.testing.assert_allclose(read(path), long_truth, atol=1e-4)


def test_an_extent_that_starts_anywhere_has_the_values_of_the_whole(
    long_series, bundled_encoder, long_truth, tmp_path
):
    window = Window(333, 7, 131, 41)
    extent = long_series.grid.subgrid(window).extent
    for form in ("float32", "int8"):
        embed(
            features_from(long_series, bundled_encoder),
            tmp_path / f"{form}.tif",
            extent=extent,
            format=form,
        )
    exact = long_truth[(slice(None), *window.slices_in(long_series.grid.window))]
    np.testing.assert_allclose(read(tmp_path / "float32.tif"), exact, atol=1e-4)
    low, high = np.percentile(exact, (0.5, 99.5), axis=(1, 2))
    error = np.abs(read(tmp_path / "int8.tif") - exact)
    assert (np.percentile(error, 99, axis=(1, 2)) <= 0.005 * (high - low)).all()


def test_a_halo_that_is_too_small_shows(
    long_series, bundled_encoder, long_truth, tmp_path, monkeypatch
):
    """The tests above would see a seam: without a halo there is one."""
    monkeypatch.setattr(tiling, "tile_halo", lambda encoder: 0)
    embed(
        features_from(long_series, bundled_encoder),
        tmp_path / "map.tif",
        budget=TileBudget(tile_size=64),
    )
    assert np.abs(read(tmp_path / "map.tif") - long_truth).max() > 1e-4


@pytest.fixture(scope="module")
def bundled_encoder():
    """Trained weights look farther than random ones do."""
    pytest.importorskip("onnxruntime")

    folder = Path(__file__).resolve().parents[2] / "models" / "alise-s2"
    return load_encoder(folder, "cpu", threads=2)


@pytest.fixture(scope="module")
def long_series(tmp_path_factory):
    """One date of 1043 x 61 pixels: both sides odd, longer than any tile."""
    from alise_plugin.sits.build import build_series
    from tests.helpers.rasters import write_raster

    rng = np.random.default_rng(2)
    folder = tmp_path_factory.mktemp("long")
    values = np.kron(rng.integers(200, 5000, (10, 31, 522)), np.ones((2, 2))).astype(np.uint16)
    path = write_raster(folder / "20190514.tif", values[:, :61, :1043])
    return build_series([path], folder / "series.vrt")


@pytest.fixture(scope="module")
def long_truth(long_series, bundled_encoder):
    return truth(long_series, bundled_encoder)


@pytest.fixture(scope="module")
def large_series(tmp_path_factory):
    """Three smooth dates of 210 x 150 pixels, more than the halo on every side of a tile."""
    from alise_plugin.sits.build import build_series
    from tests.helpers.rasters import days, write_raster

    rng = np.random.default_rng(1)
    folder = tmp_path_factory.mktemp("large")
    paths = []
    for day in days(3):
        values = np.kron(rng.integers(200, 5000, (10, 75, 105)), np.ones((2, 2))).astype(np.uint16)
        values[:, :, 190:] *= day.month != 1
        paths.append(write_raster(folder / f"{day:%Y%m%d}.tif", values))
    return build_series(paths, folder / "series.vrt")


@pytest.fixture(scope="module")
def real_truth(large_series, real_encoder):
    return truth(large_series, real_encoder)


def test_it_does_not_write_over_its_own_scenes(series, encoder, tmp_path):
    scene = sorted((tmp_path / "scenes").glob("*.tif"))[0]
    before = scene.read_bytes()
    with pytest.raises(OutputError, match="is also an input"):
        embed(features_from(series, encoder), scene)
    assert scene.read_bytes() == before
