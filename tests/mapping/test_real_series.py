"""Maps of real series: tiles, extents and bytes."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from alise_plugin.mapping.embedding.embed import embed
from alise_plugin.mapping.features.embedding_raster import EmbeddingRaster
from alise_plugin.mapping.features.tiling import TileBudget
from alise_plugin.model.encoder import load_encoder
from alise_plugin.sits.build import build_series
from alise_plugin.sits.grid import Window
from tests.helpers.features import features_from
from tests.helpers.rasters import write_raster
from tests.helpers.real_series import real_series

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="module")
def encoder():
    pytest.importorskip("onnxruntime")
    return load_encoder(ROOT / "models" / "alise-s2", "cpu", 2)


def series_of(folder, values, days):
    """A series of DN (T, 10, H, W); 0 where a band or a pixel is not there."""
    paths = [write_raster(folder / f"S2_{d:%Y%m%d}.tif", v) for d, v in zip(days, values)]
    return build_series(paths, folder / "series.vrt", scale=1e-4, offset=0.0)


def truth(series, encoder):
    whole = encoder.encode(series.read_all(series.grid.window), series.days)
    return whole.reshape(-1, *whole.shape[2:])


def read(path):
    raster = EmbeddingRaster(path)
    return raster.read(raster.grid.window)


@pytest.fixture(scope="module")
def mountains(tmp_path_factory):
    """Alto Adige, four bands: 45 x 389 pixels, so that a tile of any size has a neighbour."""
    path = DATA / "image_series_few_bands" / "eurac_alto_adige.npz"
    if not path.is_file():
        pytest.skip("../shared/data is not there")
    with np.load(path) as data:
        values = data["reflectance"][3:12:6, :, 101:146, 3:392]
        days = [date.fromisoformat(str(day)[:10]) for day in data["dates"][3:12:6]]
    return series_of(tmp_path_factory.mktemp("mountains"), values, days)


@pytest.fixture(scope="module")
def mountain_truth(mountains, encoder):
    return truth(mountains, encoder)


@pytest.fixture(scope="module")
def fields(tmp_path_factory):
    """Belgian fields, clouds included: seven dates of 23 x 69 pixels, the same thrice."""
    real = real_series("belgian_fields", 10)
    values = real.dn[:7, :, 1:, 1:]
    wide = np.concatenate([values, values[..., ::-1], values], axis=3)
    return series_of(tmp_path_factory.mktemp("fields"), wide, real.days[:7])


@pytest.fixture(scope="module")
def field_truth(fields, encoder):
    return truth(fields, encoder)


@pytest.mark.parametrize("tile_size", [64, 96, 256, 1000])
def test_tiles_of_a_real_series_do_not_show(
    mountains, encoder, mountain_truth, tmp_path, tile_size
):
    embed(
        features_from(mountains, encoder),
        tmp_path / "map.tif",
        budget=TileBudget(tile_size=tile_size),
    )
    np.testing.assert_allclose(read(tmp_path / "map.tif"), mountain_truth, atol=1e-4)


def test_nor_do_they_in_the_map_that_a_small_memory_cuts(fields, encoder, field_truth, tmp_path):
    embed(features_from(fields, encoder), tmp_path / "map.tif", budget=TileBudget(memory_mb=60))
    np.testing.assert_allclose(read(tmp_path / "map.tif"), field_truth, atol=1e-4)
    embed(
        features_from(fields, encoder),
        tmp_path / "tiles.tif",
        budget=TileBudget(tile_size=(16, 48)),
    )
    np.testing.assert_allclose(read(tmp_path / "tiles.tif"), field_truth, atol=1e-4)


@pytest.mark.parametrize("window", [Window(5, 3, 131, 41), Window(301, 13, 77, 32)])
def test_a_real_extent_that_starts_anywhere_has_the_values_of_the_whole(
    mountains, encoder, mountain_truth, tmp_path, window
):
    extent = mountains.grid.subgrid(window).extent
    embed(
        features_from(mountains, encoder),
        tmp_path / "map.tif",
        budget=TileBudget(tile_size=96),
        extent=extent,
    )
    exact = mountain_truth[(slice(None), *window.slices_in(mountains.grid.window))]
    np.testing.assert_allclose(read(tmp_path / "map.tif"), exact, atol=1e-4)


def test_a_map_of_150_dates_is_that_of_the_untiled_series(encoder, tmp_path):
    """The dates of a real place again and again, two days apart."""
    values = np.resize(real_series("belgian_fields").dn[:, :, :11, :], (150, 10, 11, 24))
    values = np.concatenate([values, values[..., ::-1], values, values[..., ::-1]], axis=3)[
        ..., :90
    ]
    first = date(2019, 1, 1).toordinal()
    paths = [
        write_raster(tmp_path / f"S2_{date.fromordinal(first + 2 * i):%Y%m%d}.tif", image)
        for i, image in enumerate(values)
    ]
    series = build_series(paths, tmp_path / "series.vrt", scale=1e-4, offset=0.0)
    assert len(series.dates) == 150
    embed(
        features_from(series, encoder), tmp_path / "map.tif", budget=TileBudget(tile_size=(32, 64))
    )
    np.testing.assert_allclose(read(tmp_path / "map.tif"), truth(series, encoder), atol=1e-4)


@pytest.mark.parametrize("tile_size", [64, None])
def test_bytes_err_by_half_a_per_cent_of_the_spread_at_most(
    mountains, encoder, mountain_truth, tmp_path, tile_size
):
    """In every feature, wherever it is inside its spread, whether the map is one tile or many."""
    path = tmp_path / "map.tif"
    result = embed(
        features_from(mountains, encoder),
        path,
        budget=TileBudget(tile_size=tile_size),
        format="int8",
    )
    low, high = np.percentile(mountain_truth, (0.5, 99.5), axis=(1, 2))
    low, high = low[:, None, None], high[:, None, None]
    error = np.abs(read(path) - mountain_truth) / (high - low)
    inside = (mountain_truth >= low) & (mountain_truth <= high)
    assert error[inside].max() <= 0.005
    assert result.clipped < 0.001
    assert np.mean(error > 0.005) < 0.001
