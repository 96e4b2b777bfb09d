"""Training a regression: what the report and the head say, and what is left where it fails."""

import os

import numpy as np
import pytest

from alise_plugin.errors import OutputError
from alise_plugin.feedback import SilentFeedback
from alise_plugin.mapping.labels.read import read_vector_values
from alise_plugin.mapping.learning.train_regression import train_regression
from alise_plugin.mapping.samples.samples import LabelledSource
from alise_plugin.model.heads.value_head import ValueHead
from tests.helpers.fake_encoder import FakeEncoder
from tests.helpers.features import labelled_with, packed
from tests.helpers.labelled_region import square, write_layer
from tests.helpers.measured_region import measured_region

pytest.importorskip("onnxruntime")
pytest.importorskip("sklearn")


class Log(SilentFeedback):
    def __init__(self):
        self.texts = []

    def info(self, text):
        self.texts.append(text)

    def warning(self, text):
        self.info(text)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return measured_region(tmp_path_factory.mktemp("measured") / "data")


def fields(place, path, side=9):
    """Nine fields of 36 pixels, with the mean of what is there."""
    cells = [(row, col) for row in range(0, 3 * side, side) for col in range(0, 3 * side, side)]
    means = [float(place.truth[r : r + 6, c : c + 6].mean()) for r, c in cells]
    return write_layer(path, [square(col, row, 6, 6) for row, col in cells], v=means), means


def train(place, path, head, **options):
    pair = LabelledSource(place.series, read_vector_values(str(path), "v"))
    return train_regression(
        labelled_with(FakeEncoder(), [pair]), head, "v", **packed(options, design=True)
    )


def weights(path):
    features = np.random.default_rng(0).normal(size=(6, 4, 4)).astype(np.float32)
    return ValueHead(path).values(features)


def test_the_head_and_the_report_say_what_was_learned_from(place, tmp_path):
    path, means = fields(place, tmp_path / "fields.gpkg")
    log = Log()
    report = tmp_path / "r.html"
    result = train(place, path, tmp_path / "h.onnx", report=report, per_area=4, feedback=log)
    assert (result.samples, result.areas, result.groups) == (36, 9, 9)
    said = ValueHead(tmp_path / "h.onnx").provenance
    assert (said["samples"], said["areas"], said["groups"]) == (36, 9, 9)
    assert said["accuracy"]["R2"] == pytest.approx(result.figures["R2"].value, rel=1e-4)
    weak = "Only 9 polygons or blocks: the figures are weak."
    assert result.warnings == [weak]
    assert weak in log.texts
    page = report.read_text(encoding="utf-8")
    assert weak in page
    assert f"deviate by {np.std(means):.4g} (standard deviation)" in page


def test_blocks_hold_several_fields(place, tmp_path):
    path, _ = fields(place, tmp_path / "fields.gpkg")
    whole = train(place, path, tmp_path / "h.onnx", validation="blocks", block_size=1e6)
    assert (whole.areas, whole.groups, whole.figures) == (9, 1, {})
    some = train(place, path, tmp_path / "h.onnx", validation="blocks", block_size=170)
    assert 1 < some.groups < some.areas == 9
    said = ValueHead(tmp_path / "h.onnx").provenance
    assert said["validation"] == "blocks of 170 m"
    assert (said["areas"], said["groups"]) == (9, some.groups)


def test_the_seed_chooses_the_pixels(place, tmp_path):
    path, _ = fields(place, tmp_path / "fields.gpkg")
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(place, path, tmp_path / f"{name}.onnx", per_area=2, seed=seed)
    one, again, other = (weights(tmp_path / f"{name}.onnx") for name in "abc")
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 1e-6


def test_without_a_head_there_is_no_report(place, tmp_path, monkeypatch):
    def full(path, *_):
        raise OutputError(f"{path} cannot be written (No space left on device); make room.")

    monkeypatch.setattr("alise_plugin.mapping.learning.train_regression.write_value_head", full)
    path, _ = fields(place, tmp_path / "fields.gpkg")
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(OutputError, match="No space left"):
        train(place, path, tmp_path / "h.onnx", report=tmp_path / "r.html")
    assert sorted(os.listdir(tmp_path)) == before


def test_no_head_takes_the_place_of_a_series(place, tmp_path):
    path, _ = fields(place, tmp_path / "fields.gpkg")
    with open(place.path, "rb") as file:
        content = file.read()
    for outputs in ((place.path, None), (tmp_path / "h.onnx", place.path)):
        with pytest.raises(OutputError):
            train(place, path, outputs[0], report=outputs[1])
    with open(place.path, "rb") as file:
        assert file.read() == content
