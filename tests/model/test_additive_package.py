"""The second package, whose encoder adds up over acquisitions: chosen by MODEL."""

from pathlib import Path

import numpy as np
import pytest

from alise_plugin.errors import HeadError
from alise_plugin.mapping.embedding.embed import embed
from alise_plugin.mapping.features.embedding_raster import EmbeddingRaster
from alise_plugin.mapping.features.tiling import TileBudget
from alise_plugin.mapping.learning.find_classes import find_classes
from alise_plugin.mapping.maps.segment import ClassMapOutputs, segment
from alise_plugin.model.encoder import load_encoder
from alise_plugin.model.heads.class_head import Head
from alise_plugin.model.package import MODELS
from alise_plugin.sits.acquisitions import days_since_reference
from alise_plugin.sits.build import build_series
from tests.helpers.features import features_from
from tests.helpers.rasters import write_raster
from tests.helpers.real_series import real_series

pytest.importorskip("onnxruntime")
ADDITIVE = MODELS / "alise-additive"


@pytest.fixture(scope="module")
def encoder():
    return load_encoder(ADDITIVE, "cpu", 1)


def clear_days(real, count=12):
    """Places of acquisitions of 2019, one a day, in the order of their days."""
    chosen = {day: place for place, day in enumerate(real.days) if day.year == 2019}
    order = [chosen[day] for day in sorted(chosen)]
    return order[:: max(1, len(order) // count)]


def test_neither_the_order_of_dates_nor_empty_ones_matter(encoder):
    real = real_series("belgian_fields")
    order = clear_days(real)
    values = real.reflectance[order][..., :8, :8]
    days = days_since_reference([real.days[place] for place in order])
    whole = encoder.encode(values, days)
    shuffled = np.random.default_rng(0).permutation(len(order))
    np.testing.assert_allclose(encoder.encode(values[shuffled], days[shuffled]), whole, atol=1e-4)
    empty = np.concatenate([values, np.full_like(values[:2], np.nan)])
    more = np.concatenate([days, days[:1] + 1, days[-1:] + 9])
    np.testing.assert_allclose(encoder.encode(empty, more), whole, atol=1e-4)


def test_a_pixel_does_not_know_its_neighbours(encoder):
    real = real_series("belgian_fields")
    order = clear_days(real)
    days = days_since_reference([real.days[place] for place in order])
    values = real.reflectance[order]
    whole = encoder.encode(values, days)
    alone = encoder.encode(values[:, :, 5:6, 7:8], days)
    np.testing.assert_allclose(alone[..., 0, 0], whole[..., 5, 7], atol=1e-4)
    assert encoder.package.halo == 0


def test_a_map_has_no_tiles_and_knows_whose_vectors_it_holds(encoder, tmp_path):
    real = real_series("belgian_fields")
    paths = [
        write_raster(tmp_path / f"S2_{real.days[place]:%Y%m%d}.tif", real.dn[place])
        for place in clear_days(real)
    ]
    with build_series(paths, tmp_path / "series.vrt", scale=1e-4, offset=0.0) as series:
        features = features_from(series, encoder)
        truth = encoder.encode(series.read_all(series.grid.window), series.days)
        embed(features, tmp_path / "map.tif", budget=TileBudget(tile_size=16))
        raster = EmbeddingRaster(tmp_path / "map.tif")
        found = raster.read(raster.grid.window)
        np.testing.assert_allclose(found, truth.reshape(found.shape), atol=1e-4)
        assert raster.identity.name.startswith("alise-additive 0.4.0")
        pytest.importorskip("sklearn")
        find_classes(raster, tmp_path / "head.onnx", classes=3)
        other = features_from(series, load_encoder(device="cpu", threads=1))
        with pytest.raises(HeadError, match="trained on features of the model alise-additive"):
            segment(other, Head(tmp_path / "head.onnx"), ClassMapOutputs(tmp_path / "no.tif"))


def test_it_shows_the_ground_below_clouds(encoder):
    """The site of `test_clouds_of_a_real_site_are_gone`, held out from its training too."""
    real = real_series("belgian_fields")
    chosen = [
        k for k, day in enumerate(real.days) if day.year == 2019 and real.days.index(day) == k
    ]
    covered = [k for k in chosen if not real.clear[k].any() and 4 <= real.days[k].month <= 9]
    days = days_since_reference([real.days[k] for k in chosen])
    embedding = encoder.encode(real.reflectance[chosen], days)
    images = encoder.decode(embedding, days_since_reference([real.days[k] for k in covered]))
    blue, red, infrared = images[:, 0], images[:, 2], images[:, 6]
    assert np.median(real.reflectance[covered][:, 0]) > 0.2
    assert np.quantile(blue, 0.99) < 0.15
    assert np.median((infrared - red) / (infrared + red)) > 0.4


def test_its_folder_holds_what_is_needed_and_its_card():
    names = {path.name for path in Path(ADDITIVE).iterdir()}
    assert {"model.json", "MODEL_CARD.md", "spatial.onnx", "temporal.onnx", "decoder.onnx"} <= names
