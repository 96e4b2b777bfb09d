"""Classes without labels: what is found, in what order, of which pixels, and what is refused."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal

from alise_plugin.errors import AliseError, Cancelled, OutputError, SeriesError
from alise_plugin.mapping.embedding.embed import embed
from alise_plugin.mapping.features.embedding_raster import EmbeddingRaster
from alise_plugin.mapping.learning.find_classes import find_classes
from alise_plugin.mapping.maps.segment import ClassMapOutputs, segment
from alise_plugin.model.encoder import load_encoder
from alise_plugin.model.heads.class_head import Head
from alise_plugin.sits.build import build_series
from tests.helpers.features import features_from
from tests.helpers.rasters import days, write_raster

metrics = pytest.importorskip("sklearn.metrics")

SIDE = 96


BUNDLED = Path(__file__).resolve().parents[2] / "models" / "alise-s2"


@pytest.fixture(scope="module")
def encoder():
    pytest.importorskip("onnxruntime")
    return load_encoder(BUNDLED, "cpu", 2)


@pytest.fixture(scope="module")
def truth():
    """Three covers: a half, three eighths and an eighth of the map."""
    cover = np.zeros((SIDE, SIDE), int)
    cover[:, 48:] = 1
    cover[:24, 48:] = 2
    return cover


@pytest.fixture(scope="module")
def fields(tmp_path_factory, truth):
    """Five dates on which the covers grow unlike one another, with noise; ten rows unseen."""
    folder = tmp_path_factory.mktemp("fields")
    rng = np.random.default_rng(1)
    level = np.array(
        [[900, 3000, 4000, 2000, 800], [2500, 1000, 900, 3500, 3000], [400, 500, 400, 300, 500]]
    )
    bands = np.linspace(0.5, 1.5, 10)
    paths = []
    for number, day in enumerate(days(5)):
        image = level[:, number][truth] * bands[:, None, None]
        image = image + rng.normal(0, 60, image.shape)
        image[:, -10:] = 0
        path = folder / f"S2_{day:%Y%m%d}.tif"
        paths.append(write_raster(path, np.maximum(image, 0).astype(np.uint16)))
    return build_series(paths, folder / "series.vrt", scale=1e-4, offset=0.0)


def mapped(source, encoder, head, path):
    """The classes of a head, `(H, W)` codes, 0 where there is no value."""
    segment(features_from(source, encoder), Head(head), ClassMapOutputs(path))
    return gdal.Open(str(path)).ReadAsArray()


def test_the_covers_of_a_map_are_found_the_largest_first(fields, truth, encoder, tmp_path):
    found = find_classes(features_from(fields, encoder), tmp_path / "head.onnx", classes=3)
    assert found.samples == SIDE * (SIDE - 10)
    assert [item.code for item in found.classes] == [1, 2, 3]
    assert [item.name for item in found.classes] == ["class 1", "class 2", "class 3"]
    assert len({item.color for item in found.classes}) == 3
    assert found.shares == pytest.approx([1 / 2, 31 / 86, 12 / 86], abs=0.03)
    codes = mapped(fields, encoder, found.path, tmp_path / "map.tif")
    assert (codes[-10:] == 0).all()
    seen = codes[:-10]
    assert metrics.adjusted_rand_score(truth[:-10].ravel(), seen.ravel()) > 0.9
    assert np.bincount(seen.ravel())[1:] / seen.size == pytest.approx(found.shares, abs=0.03)
    assert Head(found.path).description.classifier == "k-means"


def test_of_a_large_map_some_pixels_everywhere_are_enough(fields, truth, encoder, tmp_path):
    found = find_classes(
        features_from(fields, encoder), tmp_path / "head.onnx", classes=3, pixels=400
    )
    assert found.samples == 400
    codes = mapped(fields, encoder, found.path, tmp_path / "map.tif")[:-10]
    assert metrics.adjusted_rand_score(truth[:-10].ravel(), codes.ravel()) > 0.9


def test_the_same_seed_gives_the_same_file(fields, encoder, tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        find_classes(
            features_from(fields, encoder), tmp_path / name, classes=3, pixels=500, seed=seed
        )
    first, second, third = ((tmp_path / name).read_bytes() for name in "abc")
    assert first == second
    assert first != third


@pytest.mark.parametrize("form", ["float32", "int8"])
def test_vectors_have_the_classes_of_their_series(fields, encoder, tmp_path, form):
    embed(features_from(fields, encoder), tmp_path / "vectors.tif", format=form)
    raster = EmbeddingRaster(tmp_path / "vectors.tif")
    found = find_classes(features_from(raster), tmp_path / "vectors.onnx", classes=3)
    assert found.device == ""
    of_vectors = mapped(raster, None, found.path, tmp_path / "a.tif")
    of_series = find_classes(features_from(fields, encoder), tmp_path / "series.onnx", classes=3)
    assert of_series.device == "cpu"
    codes = mapped(fields, encoder, of_series.path, tmp_path / "b.tif")
    assert (codes == of_vectors).mean() > 0.98
    # and a head of vectors maps the series
    assert (mapped(fields, encoder, found.path, tmp_path / "c.tif") == codes).mean() > 0.98


def test_only_the_extent_is_looked_at(fields, encoder, tmp_path):
    left, top = fields.grid.geotransform[0], fields.grid.geotransform[3]
    box = (left + 480, top - 860, left + 960, top)  # the two covers of the right half
    found = find_classes(
        features_from(fields, encoder), tmp_path / "head.onnx", classes=2, extent=box
    )
    assert found.samples == 48 * 86
    assert found.shares == pytest.approx([62 / 86, 24 / 86], abs=0.05)


def test_mistakes_are_one_sentence_and_leave_nothing(fields, encoder, tiny_package, tmp_path):
    head = tmp_path / "head.onnx"
    left, top = fields.grid.geotransform[0], fields.grid.geotransform[3]
    unseen = (left, top - 960, left + 960, top - 870)
    for error, says, options in (
        (AliseError, "1 classes cannot be found: choose 2 to 250", {"classes": 1}),
        (AliseError, "251 classes cannot be found", {"classes": 251}),
        (AliseError, r"0 pixels of series\.vrt have a value", {"extent": unseen}),
        (SeriesError, "extent", {"extent": (0, 0, 10, 10)}),
    ):
        with pytest.raises(error, match=says):
            find_classes(features_from(fields, encoder), head, **options)
    other = load_encoder(shutil.copytree(tiny_package, tmp_path / "model"), "cpu", 1)
    with pytest.raises(OutputError, match="also an input"):
        find_classes(features_from(fields, other), tmp_path / "model" / "spatial.onnx")
    shutil.rmtree(tmp_path / "model")
    with pytest.raises(OutputError, match="is not a folder"):
        find_classes(features_from(fields, encoder), tmp_path / "nowhere" / "head.onnx")

    class Stop:
        def progress(self, fraction):
            self.done = fraction

        def cancelled(self):
            return getattr(self, "done", 0) > 0.5

        def info(self, text):
            raise AssertionError("it has not stopped")

        def warning(self, text):
            self.info(text)

    with pytest.raises(Cancelled):
        find_classes(features_from(fields, encoder), head, feedback=Stop())
    assert not list(tmp_path.iterdir())
