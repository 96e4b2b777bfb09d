"""A head maps any year: every series is moved by whole years onto the season that it learned."""

import shutil
from datetime import date, timedelta

import numpy as np
import pytest
from osgeo import gdal

from alise_plugin import run
from alise_plugin.mapping.embedding.embed import embed
from alise_plugin.mapping.features.embedding_raster import EmbeddingRaster
from alise_plugin.mapping.features.series_features import SeriesFeatures
from alise_plugin.mapping.labels.read import read_vector_labels
from alise_plugin.mapping.learning.train_classifier import train_classifier
from alise_plugin.mapping.samples.samples import LabelledSource
from alise_plugin.model.heads.class_head import Head, HeadDescription, write_head
from alise_plugin.sits.build import build_series
from alise_plugin.sits.years import days_of_years
from tests.helpers.fake_encoder import FakeEncoder
from tests.helpers.features import features_from, labelled_with, map_classes
from tests.helpers.labelled_region import map_codes, region

pytest.importorskip("onnxruntime")
pytest.importorskip("sklearn")


class Log:
    def __init__(self):
        self.lines, self.warnings = [], []

    def progress(self, fraction):
        pass

    def cancelled(self):
        return False

    def info(self, text):
        self.lines.append(text)

    def warning(self, text):
        self.warnings.append(text)


def in_other_years(folder, years):
    """The same rasters, so many years later to the day of the year."""
    other = folder.parent / f"years{years}"
    other.mkdir()
    for path in folder.glob("S2_*.tif"):
        text = path.stem[3:]
        day = date(int(text[:4]), int(text[4:6]), int(text[6:])) + timedelta(days_of_years(years))
        shutil.copy(path, other / f"S2_{day:%Y%m%d}.tif")
    return build_series([other], other / "series.vrt")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("region")
    found = region(folder / "data")
    found.encoder = FakeEncoder()
    found.labels = read_vector_labels(found.labels, "code", "crop", "color")
    found.head_path = str(folder / "head.onnx")
    pairs = labelled_with(found.encoder, [LabelledSource(found.series, found.labels)])
    train_classifier(pairs, found.head_path)
    found.head = Head(found.head_path)
    found.folder = folder / "data"
    found.later = in_other_years(found.folder, 2)
    return found


def test_the_same_place_in_another_year_gives_the_same_map(place, tmp_path):
    log = Log()
    map_classes(place.series, place.encoder, place.head, tmp_path / "a.tif")
    map_classes(place.later, place.encoder, place.head, tmp_path / "b.tif", feedback=log)
    np.testing.assert_array_equal(map_codes(tmp_path / "a.tif"), map_codes(tmp_path / "b.tif"))
    (said,) = [line for line in log.lines if "moved by" in line]
    assert "moved by -2 years" in said
    assert gdal.Open(str(tmp_path / "b.tif")).GetMetadataItem("ALISE_YEARS_MOVED") == "-2"
    # The days of another year are others to the encoder, so a series left where it is differs.
    window = place.series.grid.window
    values = place.series.read_all(window)
    here, there = (place.encoder.encode(values, one.days) for one in (place.series, place.later))
    assert np.abs(here - there).max() > 0.1


def test_training_on_two_years_learns_one_season(place, tmp_path):
    log = Log()
    sources = [LabelledSource(series, place.labels) for series in (place.series, place.later)]
    train_classifier(labelled_with(place.encoder, sources), tmp_path / "both.onnx", feedback=log)
    head = Head(tmp_path / "both.onnx")
    assert head.season == place.head.season == SeriesFeatures(place.series, place.encoder).season
    assert [line for line in log.lines if "moved by -2 years" in line]
    map_classes(place.later, place.encoder, head, tmp_path / "b.tif")
    map_classes(place.series, place.encoder, head, tmp_path / "a.tif")
    np.testing.assert_array_equal(map_codes(tmp_path / "a.tif"), map_codes(tmp_path / "b.tif"))


def test_heads_of_before_know_their_season_by_their_inputs(place, tmp_path):
    description = place.head.description
    old = dict(description.provenance)
    del old["season"]
    network = _network(place)
    items = HeadDescription(
        description.classes, description.encoder, description.encoder_sha256, "linear", old
    )
    write_head(tmp_path / "old.onnx", network, items)
    assert abs((Head(tmp_path / "old.onnx").season - place.head.season).days) <= 1
    silent = {key: value for key, value in old.items() if key != "inputs"}
    items = HeadDescription(
        description.classes, description.encoder, description.encoder_sha256, "linear", silent
    )
    write_head(tmp_path / "silent.onnx", network, items)
    head = Head(tmp_path / "silent.onnx")
    assert head.season is None
    log = Log()
    map_classes(place.later, place.encoder, head, tmp_path / "map.tif", feedback=log)
    assert not [line for line in log.lines if "moved by" in line]


def _network(place):
    """The numbers of the head, from the file."""
    from alise_plugin.mapping.learning.classifier import fit

    rng = np.random.default_rng(0)
    features = rng.normal(size=(30, place.head.n_features)).astype(np.float32)
    target = np.arange(30) % len(place.head.classes)
    return fit("prototype", features, target, np.arange(30), len(place.head.classes), 1.0, 0)


def test_an_embedding_of_another_year_is_warned_of(place, tmp_path):
    embed(features_from(place.later, place.encoder), tmp_path / "later.tif")
    log = Log()
    raster = EmbeddingRaster(tmp_path / "later.tif")
    map_classes(raster, place.encoder, place.head, tmp_path / "map.tif", feedback=log)
    (said,) = log.warnings
    assert "was made with the days of" in said
    assert said.endswith(f"with YEAR {place.head.season.year}.")
    # Embedded in the year of the head, it gives the map of the series itself.
    moved = features_from(place.later, place.encoder).in_year(place.head.season.year, Log())
    embed(moved, tmp_path / "moved.tif")
    raster = EmbeddingRaster(tmp_path / "moved.tif")
    assert raster.season == place.head.season
    log = Log()
    map_classes(raster, place.encoder, place.head, tmp_path / "map.tif", feedback=log)
    assert not log.warnings
    map_classes(place.later, place.encoder, place.head, tmp_path / "direct.tif")
    np.testing.assert_array_equal(
        map_codes(tmp_path / "map.tif"), map_codes(tmp_path / "direct.tif")
    )


def test_embed_in_one_year_by_the_operation(place, tiny_package, tmp_path):
    given = {"MODEL": tiny_package, "DEVICE": "cpu", "TILE_SIZE": 64}
    extent = place.series.grid.subgrid(place.series.grid.window.squares(16)[0]).extent
    year = place.series.dates[0].year
    run("embed", INPUT=place.path, OUTPUT=tmp_path / "a.tif", YEAR=year, EXTENT=extent, **given)
    run(
        "embed",
        INPUT=place.later.path,
        OUTPUT=tmp_path / "b.tif",
        YEAR=year,
        EXTENT=extent,
        **given,
    )
    first, second = (gdal.Open(str(tmp_path / name)) for name in ("a.tif", "b.tif"))
    np.testing.assert_array_equal(first.ReadAsArray(), second.ReadAsArray())
    assert first.GetMetadataItem("ALISE_YEARS_MOVED") is None
    assert second.GetMetadataItem("ALISE_YEARS_MOVED") == "-2"


def test_a_moved_series_stays_moved(place):
    moved = place.series.moved(3)
    for other in (moved, moved.reopen(), moved.subset(moved.dates[:2])):
        assert other.dates == place.series.dates[: len(other.dates)]
        days = place.series.days[: len(other.days)] + days_of_years(3)
        np.testing.assert_array_equal(other.days, days)
