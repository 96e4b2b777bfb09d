import json
import math

import numpy as np
import pytest

from alise_plugin.errors import HeadError
from alise_plugin.model.heads.class_head import Head, HeadDescription, MapClass, write_head
from alise_plugin.model.heads.head_file import Network
from alise_plugin.model.heads.value_head import ValueDescription, ValueHead, write_value_head
from alise_plugin.model.identity import FeatureIdentity

pytest.importorskip("onnxruntime")
SHA = "ab" * 32
DESCRIPTION = ValueDescription("hauteur (m)", -0.5, 31.25, "fake 1.0 abababab", SHA, {"seed": 3})


def network(rng, outputs=1):
    weights = rng.normal(size=(12, outputs)).astype(np.float32)
    mean, scale = rng.normal(size=(2, 12)).astype(np.float32)
    return Network(mean, np.abs(scale) + 0.5, ((weights, np.full(outputs, 4, np.float32)),))


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture
def written(tmp_path, rng):
    path = tmp_path / "head.onnx"
    write_value_head(path, network(rng), DESCRIPTION)
    return path


def test_the_file_computes_what_the_numbers_say(tmp_path, rng):
    path = tmp_path / "head.onnx"
    numbers = network(rng)
    write_value_head(path, numbers, DESCRIPTION)
    features = rng.normal(size=(12, 110, 90)).astype(np.float32)
    features[:, 3, 4] = np.nan
    got = ValueHead(path).values(features)
    assert got.shape == (110, 90)
    assert got.dtype == np.float32
    assert np.isnan(got[3, 4])
    assert np.count_nonzero(np.isnan(got)) == 1
    flat = features.reshape(12, -1).T
    expected = ((flat - numbers.mean) / numbers.scale) @ numbers.layers[0][0][:, 0] + 4
    np.testing.assert_allclose(got.ravel(), expected, rtol=1e-4, atol=1e-5)


def test_the_file_is_onnx_as_its_makers_define_it(written):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(str(written))
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == ["Sub", "Div", "Gemm", "Identity"]


def test_it_says_what_it_is(written):
    head = ValueHead(written)
    assert head.description == DESCRIPTION
    assert head.n_features == 12
    head.require(FeatureIdentity(SHA, "fake 1.0 abababab", 12))
    with pytest.raises(HeadError, match=r"not of other 2\.0"):
        head.require(FeatureIdentity("0" * 64, "other 2.0", 12))


def test_a_head_of_one_kind_is_not_taken_for_another(written, tmp_path, rng):
    with pytest.raises(HeadError, match=r"estimates a value: give it to Estimate values"):
        Head(written)
    classes = (MapClass(1, "a", "#00ff00"), MapClass(2, "b", "#ff0000"))
    other = tmp_path / "classes.onnx"
    write_head(other, network(rng, 2), HeadDescription(classes, "fake", SHA, "linear"))
    with pytest.raises(HeadError, match=r"maps classes: give it to Segment"):
        ValueHead(other)


@pytest.mark.parametrize(
    "value",
    [[], {}, {"name": "x", "low": 1.0}, {"name": "x", "low": 2, "high": 1}, {"low": 1, "high": 2}],
)
def test_a_damaged_description_is_refused(written, value, tmp_path):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(str(written))
    for item in model.metadata_props:
        if item.key == "alise_value":
            item.value = json.dumps(value)
    path = tmp_path / "damaged.onnx"
    onnx.save(model, str(path))
    with pytest.raises(HeadError, match="damaged"):
        ValueHead(path)


def test_what_is_no_value_head_is_not_written(tmp_path, rng):
    path = tmp_path / "h.onnx"
    with pytest.raises(ValueError, match="one output"):
        write_value_head(path, network(rng, 2), DESCRIPTION)
    for low, high in ((1.0, 1.0), (2.0, 1.0), (math.nan, 1.0), (0.0, math.inf)):
        with pytest.raises(ValueError, match="range"):
            write_value_head(path, network(rng), ValueDescription("x", low, high, "f", SHA))
    assert not path.exists()
