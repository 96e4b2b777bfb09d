"""Places like a few examples: what comes first, what it depends on, and what is refused."""

import weakref
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from osgeo import gdal

from alise_plugin.errors import AliseError, Cancelled, LabelsError, OutputError, SeriesError
from alise_plugin.feedback import SilentFeedback
from alise_plugin.mapping.embedding.embed import embed
from alise_plugin.mapping.features.embedding_raster import EmbeddingRaster
from alise_plugin.mapping.features.sample import sample_features
from alise_plugin.mapping.features.series_features import SeriesFeatures
from alise_plugin.mapping.features.tiling import TileBudget
from alise_plugin.mapping.labels.layers import VectorLabels
from alise_plugin.mapping.labels.read import read_examples
from alise_plugin.mapping.maps.find_similar import Similarity, find_similar
from alise_plugin.mapping.samples.draw import draw_examples
from alise_plugin.model.encoder import load_encoder
from alise_plugin.sits.build import build_series
from tests.helpers.fake_encoder import FakeEncoder
from tests.helpers.features import features_from, packed
from tests.helpers.labelled_region import CODES, features_of, point, region, square, write_layer
from tests.helpers.rasters import TRANSFORM, days, utm, write_raster

BUNDLED = Path(__file__).resolve().parents[2] / "models" / "alise-s2"
STEP = 1e-4  # of what a raster holds


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("similar")
    found = region(folder / "data")
    found.examples = examples_in(found, folder, 0, 1)
    return found


@pytest.fixture(scope="module")
def encoder():
    pytest.importorskip("onnxruntime")
    return load_encoder(BUNDLED, "cpu", 2)


def examples_in(place, folder, *numbers, kind=0):
    """Polygons of some fields of one class."""
    mine = [shape for shape, each in zip(place.polygons, place.kinds) if each == kind]
    path = write_layer(folder / "examples.gpkg", [mine[number] for number in numbers])
    return read_examples(path)


def values_of(path):
    """`(H, W)` as a reader of the file gets them, NaN for no value."""
    raster = gdal.Open(str(path))
    band = raster.GetRasterBand(1)
    raw = band.ReadAsArray()
    return np.where(raw == band.GetNoDataValue(), np.nan, raw * band.GetScale() + band.GetOffset())


def first_are(values, truth, kind):
    """The share of the pixels of a class among as many that are most similar."""
    count = np.count_nonzero(truth == kind)
    first = np.argsort(-values.ravel())[:count]
    return (truth.ravel()[first] == kind).mean()


@pytest.mark.parametrize("kind", range(len(CODES)))
def test_two_fields_find_all_others_of_their_crop(place, encoder, tmp_path, kind):
    shown = examples_in(place, tmp_path, 0, 1, kind=kind)
    result = find_similar(features_from(place.series, encoder), shown, tmp_path / "s.tif")
    values = values_of(result.path)
    assert values.shape == place.truth.shape
    assert first_are(values, place.truth, kind) > 0.95
    assert (result.examples, result.samples, result.device) == (2, 40, "cpu")
    inside = values[place.truth == kind]
    outside = values[place.truth != kind]
    assert (inside >= result.level).mean() > 0.7
    assert (outside >= result.level).mean() < 0.05


def test_it_depends_neither_on_tiles_nor_on_the_extent(place, tmp_path):
    encoder = FakeEncoder()
    whole = find_similar(
        features_from(place.series, encoder), place.examples, tmp_path / "whole.tif"
    )
    values = values_of(whole.path)
    assert np.isfinite(values).all()
    assert np.ptp(values) > 0.5
    for side in (16, 48):
        path = tmp_path / f"{side}.tif"
        tiled = find_similar(
            features_from(place.series, encoder),
            place.examples,
            path,
            budget=TileBudget(tile_size=side),
        )
        assert np.abs(values_of(path) - values).max() <= STEP * 1.01
        assert tiled.level == pytest.approx(whole.level, abs=1e-5)
    left, dx, _, top, _, dy = TRANSFORM
    box = (left + 13 * dx, top + 70 * dy, left + 47 * dx, top + 31 * dy)
    part = find_similar(
        features_from(place.series, encoder), place.examples, tmp_path / "part.tif", extent=box
    )
    assert np.abs(values_of(part.path) - values[31:70, 13:47]).max() <= STEP * 1.01


@pytest.mark.parametrize(("form", "near"), [("float32", 0.02), ("int8", 0.03)])
def test_vectors_give_what_their_series_gives(place, encoder, tmp_path, form, near):
    embed(features_from(place.series, encoder), tmp_path / "vectors.tif", format=form)
    vectors = EmbeddingRaster(tmp_path / "vectors.tif")
    same = find_similar(features_from(vectors), place.examples, tmp_path / "same.tif")
    assert same.device == ""
    direct = find_similar(
        features_from(place.series, encoder), place.examples, tmp_path / "direct.tif"
    )
    assert np.abs(values_of(same.path) - values_of(direct.path)).max() < near


def test_it_is_the_same_again_and_in_any_order_of_examples(place, tmp_path):
    for name, numbers in (("a", (0, 1, 2)), ("b", (0, 1, 2)), ("c", (2, 0, 1))):
        folder = tmp_path / name
        folder.mkdir()
        shown = examples_in(place, folder, *numbers)
        find_similar(features_from(place.series, FakeEncoder()), shown, folder / "s.tif")
    first, second, third = (values_of(tmp_path / name / "s.tif") for name in "abc")
    assert (first == second).all()
    assert np.abs(first - third).max() <= STEP * 1.01


def test_pixels_without_a_value_have_no_similarity(tmp_path):
    rng = np.random.default_rng(0)
    paths = []
    for day in days(3):
        image = rng.integers(500, 3000, (10, 64, 64)).astype(np.uint16)
        image[:, :, 40:] = 0
        paths.append(write_raster(tmp_path / f"S2_{day:%Y%m%d}.tif", image))
    series = build_series(paths, tmp_path / "series.vrt", scale=1e-4, offset=0.0)
    shapes = [square(30, 10, 20, 4), point(5, 5)]  # half of the first lies where nothing is seen
    shown = read_examples(write_layer(tmp_path / "examples.gpkg", shapes))
    result = find_similar(
        features_from(series, FakeEncoder()), shown, tmp_path / "s.tif", per_area=1000
    )
    values = values_of(result.path)
    assert np.isfinite(values[:, :40]).all()
    assert np.isnan(values[:, 40:]).all()
    assert (result.examples, result.samples) == (2, 41)


def test_examples_of_different_kinds_are_pointed_out(place, encoder, tmp_path):
    class Log(SilentFeedback):
        def __init__(self):
            self.text = ""

        def info(self, text):
            self.text += text

        def warning(self, text):
            self.info(text)

    shapes = [place.polygons[place.kinds.index(kind)] for kind in range(len(CODES))]
    mixed = read_examples(write_layer(tmp_path / "mixed.gpkg", shapes))
    for shown, warned in ((mixed, True), (place.examples, False)):
        log = Log()
        result = find_similar(
            features_from(place.series, encoder), shown, tmp_path / "s.tif", feedback=log
        )
        assert ("are all of one kind?" in log.text) == warned == (result.level <= 0)


def test_the_raster_says_what_it_is(place, tmp_path):
    result = find_similar(
        features_from(place.series, FakeEncoder()), place.examples, tmp_path / "s.tif"
    )
    raster = gdal.Open(result.path)
    items = raster.GetMetadata()
    assert items["ALISE_EXAMPLES"] == "examples.gpkg"
    assert float(items["ALISE_LEVEL"]) == pytest.approx(result.level, abs=1e-4)
    assert items["ALISE_MODEL"] == "fake"
    assert raster.GetRasterBand(1).GetDescription() == "similarity"
    assert "singlebandpseudocolor" in (tmp_path / "s.qml").read_text()
    # The map states its model, as vectors do.
    with pytest.raises(SeriesError, match="is not an embedding raster"):
        EmbeddingRaster(result.path)


def test_mistakes_are_one_sentence_and_leave_nothing(place, tmp_path):
    folder = tmp_path / "inputs"
    folder.mkdir()
    before = set(tmp_path.rglob("*"))
    far = VectorLabels("far", place.examples.crs_wkt, [square(500, 500, 5, 5)], [1], None)
    path = square(10.1, 10, 0.1, 20)  # between two columns of pixel centres
    thin = VectorLabels("thin", place.examples.crs_wkt, [path], [1], None)
    output = tmp_path / "s.tif"
    encoder = FakeEncoder()
    for error, says, change in (
        (LabelsError, "far and series.vrt do not overlap; choose layers", {"examples": far}),
        (LabelsError, "hold no pixel centre of series.vrt; draw them larger.$", {"examples": thin}),
        (OutputError, "is not a folder", {"output": tmp_path / "nowhere" / "s.tif"}),
        (OutputError, "also an input", {"output": place.path}),
        (SeriesError, "extent", {"extent": (0, 0, 10, 10)}),
    ):
        given = {"examples": place.examples, "output": output, **change}
        chosen = (given.pop("examples"), given.pop("output"))
        with pytest.raises(error, match=says):
            find_similar(features_from(place.series, encoder), *chosen, **packed(given))
    assert set(tmp_path.rglob("*")) == before


def test_examples_where_nothing_is_seen_are_refused(tmp_path):
    image = np.full((10, 40, 40), 1000, np.uint16)
    image[:, :, 20:] = 0
    paths = [write_raster(tmp_path / f"S2_{day:%Y%m%d}.tif", image) for day in days(2)]
    series = build_series(paths, tmp_path / "series.vrt", scale=1e-4, offset=0.0)
    shown = read_examples(write_layer(tmp_path / "e.gpkg", [point(30, 5), point(33, 8)]))
    with pytest.raises(LabelsError, match=r"No pixel of e\.gpkg has a value in series\.vrt"):
        find_similar(features_from(series, FakeEncoder()), shown, tmp_path / "s.tif")
    assert not (tmp_path / "s.tif").exists()


def test_a_map_with_hardly_a_value_is_refused(tmp_path):
    """Such as a scene's edge in a raster of the whole country."""
    path = str(tmp_path / "vectors.tif")
    raster = gdal.GetDriverByName("GTiff").Create(
        path, 8000, 8000, 2, gdal.GDT_Float32, ["SPARSE_OK=TRUE", "TILED=YES"]
    )
    raster.SetGeoTransform(TRANSFORM)
    raster.SetProjection(utm().ExportToWkt())
    raster.SetMetadata({"ALISE_MODEL_SHA256": "0" * 64})
    for number in (1, 2):
        band = raster.GetRasterBand(number)
        band.SetDescription(f"c0{number - 1}")
        band.SetNoDataValue(np.nan)
        band.WriteArray(np.arange(36.0).reshape(6, 6))
    del raster, band
    shown = read_examples(write_layer(tmp_path / "e.gpkg", [square(1, 1, 3, 3)]))
    with pytest.raises(AliseError, match=r"vectors\.tif has so few pixels with a value"):
        find_similar(features_from(EmbeddingRaster(path)), shown, tmp_path / "s.tif")
    assert not (tmp_path / "s.tif").exists()


def test_samples_leave_the_memory_to_the_tiles(place, tmp_path, monkeypatch):
    held = []

    def sampled(*given):
        features = sample_features(*given)
        held.append(weakref.ref(features))
        return features

    def drawn(*given, **options):
        examples = draw_examples(*given, **packed(options))
        held.append(weakref.ref(examples))
        return examples

    class Watched(SeriesFeatures):
        reads = 0

        def read_tiles(self, tiles, feedback):
            self.reads += 1
            if self.reads == 2:  # the first is that of the examples
                assert [each() for each in held] == [None, None]
            return super().read_tiles(tiles, feedback)

    for name, instead in (("sample_features", sampled), ("draw_examples", drawn)):
        monkeypatch.setattr(f"alise_plugin.mapping.maps.find_similar.{name}", instead)
    features = Watched(place.series, FakeEncoder)
    find_similar(features, place.examples, tmp_path / "s.tif")
    assert features.reads == 2


@pytest.mark.parametrize("at", [0.05, 0.15, 0.6])
def test_cancelled_it_leaves_nothing(place, tmp_path, at):
    class Stop:
        done = 0.0

        def progress(self, fraction):
            assert fraction >= self.done - 1e-9
            self.done = fraction

        def cancelled(self):
            return self.done >= at

        def info(self, text):
            pass

        def warning(self, text):
            self.info(text)

    stop = Stop()
    with pytest.raises(Cancelled):
        find_similar(
            features_from(place.series, FakeEncoder()),
            place.examples,
            tmp_path / "s.tif",
            budget=TileBudget(tile_size=16),
            feedback=stop,
        )
    assert at <= stop.done < at + 0.3
    assert not list(tmp_path.iterdir())


def test_examples_are_polygons_or_points(tmp_path):
    from osgeo import ogr

    line = ogr.CreateGeometryFromWkt("LINESTRING (0 0, 1 1)")
    with pytest.raises(LabelsError, match=r"holds a linestring .*; examples are polygons or poin"):
        read_examples(write_layer(tmp_path / "line.gpkg", [line]))
    with pytest.raises(LabelsError, match=r"holds no example"):
        read_examples(write_layer(tmp_path / "none.gpkg", []))
    mixed = write_layer(tmp_path / "mixed.gpkg", [point(1, 1), square(3, 3, 2, 2)])
    assert len(read_examples(mixed).geometries) == len(features_of(mixed)) == 2


arrays = st.integers(0, 2**32 - 1).map(np.random.default_rng)


@settings(deadline=None)
@given(rng=arrays, count=st.integers(1, 6))
def test_likeness_is_a_cosine_of_what_sets_the_examples_apart(rng, count):
    of_map = rng.normal(0, 1, (200, 5)).astype(np.float32)
    examples = rng.normal(1, 0.3, (count, 5)).astype(np.float32)
    area = rng.integers(0, 3, count)
    likeness = Similarity(of_map, examples, area)
    values = likeness(of_map.T[:, None])[0]
    assert (np.abs(values) <= 1).all()
    assert -1 <= likeness.level <= 1
    # The middle of the examples is most like them, and what lies opposite least.
    middles = np.stack([examples[area == one].mean(0) for one in np.unique(area)])
    mean = of_map.mean(0, dtype=np.float64)
    both = np.stack([middles.mean(0), 2 * mean - middles.mean(0)]).astype(np.float32)
    assert likeness(both.T[:, None])[0] == pytest.approx([1, -1], abs=1e-3)
    # Neither the unit of a feature nor its origin matters.
    unit, origin = rng.uniform(0.1, 10, 5), rng.normal(0, 3, 5)
    moved = Similarity(of_map * unit + origin, examples * unit + origin, area)
    assert moved((of_map * unit + origin).T[:, None])[0] == pytest.approx(values, abs=1e-3)


def test_a_large_example_counts_as_much_as_a_small_one():
    rng = np.random.default_rng(0)
    of_map = rng.normal(0, 1, (500, 4)).astype(np.float32)
    one = np.array([[3, 0, 0, 0]], np.float32)
    other = np.array([[0, 3, 0, 0]], np.float32)
    even = Similarity(of_map, np.concatenate([one, other]), np.array([0, 1]))
    many = np.concatenate([one.repeat(50, 0), other])
    uneven = Similarity(of_map, many, np.array([0] * 50 + [1]))
    features = of_map.T[:, None]
    assert uneven(features) == pytest.approx(even(features), abs=1e-5)


def test_the_level_is_that_of_examples_left_out():
    rng = np.random.default_rng(0)
    of_map = rng.normal(0, 1, (500, 4)).astype(np.float32)
    apart = np.array([[3, 0, 0, 0], [0, 3, 0, 0]], np.float32)
    likeness = Similarity(of_map, apart, np.array([4, 9]))
    assert abs(likeness.level) < 0.15  # each is unlike the other, if not unlike their mean
    assert likeness(apart.T[:, None])[0] == pytest.approx([0.7, 0.7], abs=0.1)
    for example in rng.normal(0, 1, (100, 1, 4)).astype(np.float32):
        alone = Similarity(of_map, example, np.array([4]))
        assert alone.level == pytest.approx(1, abs=1e-5)
        assert alone.level <= 1
