import json
import os

import numpy as np
import pytest

from alise_plugin.errors import HeadError, OutputError
from alise_plugin.model.heads.class_head import Head, HeadDescription, MapClass, write_head
from alise_plugin.model.heads.head_file import Network
from alise_plugin.model.identity import FeatureIdentity

pytest.importorskip("onnxruntime")
CLASSES = (
    MapClass(3, "blé d'hiver", "#c8b41e"),
    MapClass(1, 'forêt "noire"', "#0a5a14"),
    MapClass(700, "水", "#0000ff"),
)
SHA = "ab" * 32
DESCRIPTION = HeadDescription(CLASSES, "fake 1.0 abababab", SHA, "mlp", {"labels": ["a.gpkg"]})


def network(rng, *widths):
    sizes = (12, *widths, 3)
    layers = tuple(
        (rng.normal(size=pair).astype(np.float32), rng.normal(size=pair[1]).astype(np.float32))
        for pair in zip(sizes, sizes[1:])
    )
    mean, scale = rng.normal(size=(2, 12)).astype(np.float32)
    return Network(mean, np.abs(scale) + 0.5, layers)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture
def written(tmp_path, rng):
    path = tmp_path / "head.onnx"
    write_head(path, network(rng), DESCRIPTION)
    return path


@pytest.mark.parametrize("widths", [(), (7,), (9, 5)])
def test_the_file_computes_what_the_numbers_say(tmp_path, rng, widths):
    path = tmp_path / "head.onnx"
    numbers = network(rng, *widths)
    write_head(path, numbers, DESCRIPTION)
    features = rng.normal(size=(12, 110, 90)).astype(np.float32)
    features[:, 3, 4] = np.nan
    got = Head(path).probabilities(features)
    expected = numbers.probabilities(features.reshape(12, -1).T).T.reshape(3, 110, 90)
    assert got.dtype == np.float32
    assert np.isnan(got[:, 3, 4]).all()
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.delete(got.reshape(3, -1), 3 * 90 + 4, 1).sum(0), 1, atol=1e-5)


def test_the_file_is_onnx_as_its_makers_define_it(written):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(str(written))
    onnx.checker.check_model(model, full_check=True)
    assert model.opset_import[0].version == 17
    assert [node.op_type for node in model.graph.node] == ["Sub", "Div", "Gemm", "Softmax"]


def test_it_says_what_it_is(written):
    head = Head(written)
    assert head.description == DESCRIPTION
    assert head.n_features == 12
    assert head.classes[1].rgb == (10, 90, 20)
    assert os.listdir(written.parent) == ["head.onnx"]


def refuse(says, action):
    with pytest.raises(HeadError, match=says) as caught:
        action()
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


def test_features_of_another_encoder_are_refused(written):
    head = Head(written)
    head.require(FeatureIdentity(SHA, "fake 1.0 abababab", 12))
    refuse("not of other 2.0", lambda: head.require(FeatureIdentity("0" * 64, "other 2.0", 12)))
    refuse("wants 12 features", lambda: head.require(FeatureIdentity(SHA, "fake", 32)))


def test_files_that_are_no_head(tmp_path, written, rng):
    refuse("There is no head", lambda: Head(tmp_path / "none.onnx"))
    text = tmp_path / "text.onnx"
    text.write_text("not a graph")
    refuse("not an ONNX file", lambda: Head(text))
    onnx = pytest.importorskip("onnx")
    model = onnx.load(str(written))

    def changed(name, change):
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        change(copy)
        path = tmp_path / name
        onnx.save(copy, str(path))
        return path

    def without_properties(copy):
        del copy.metadata_props[:]

    def with_property(key, value):
        def change(copy):
            for item in copy.metadata_props:
                if item.key == key:
                    item.value = value

        return change

    def other_input(copy):
        copy.graph.input[0].name = copy.graph.node[0].input[0] = "image"

    refuse("no head of ALISE", lambda: Head(changed("bare.onnx", without_properties)))
    refuse("wants image", lambda: Head(changed("image.onnx", other_input)))
    newer = changed("newer.onnx", with_property("alise_head", "9"))
    refuse("update the plugin", lambda: Head(newer))
    for number, value in enumerate(["[", "[]", '[[1, "a"]]', '[[1, "a", "red"]]', "{}"]):
        damaged = changed(f"damaged_{number}.onnx", with_property("alise_classes", value))
        refuse("damaged", lambda damaged=damaged: Head(damaged))
    wrong = changed("encoder.onnx", with_property("alise_encoder", json.dumps({"id": "x"})))
    refuse("damaged", lambda: Head(wrong))


def test_what_cannot_be_written(tmp_path, rng):
    with pytest.raises(OutputError, match="cannot be written"):
        write_head(tmp_path / "nowhere" / "head.onnx", network(rng), DESCRIPTION)
    with pytest.raises(ValueError, match="as many classes"):
        write_head(
            tmp_path / "head.onnx",
            network(rng),
            HeadDescription(CLASSES[:2], "fake", SHA, "linear"),
        )
    assert os.listdir(tmp_path) == []
