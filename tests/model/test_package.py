"""A model package is checked before it runs, and says in one sentence what is wrong with it."""

import hashlib
import json
import shutil
import sys

import pytest

from alise_plugin.errors import ModelPackageError, RuntimeMissingError
from alise_plugin.model import package as package_module
from alise_plugin.model.encoder import Encoder, load_encoder
from alise_plugin.model.identity import FeatureIdentity
from alise_plugin.model.package import load_package
from alise_plugin.sentinel2 import BANDS, REFERENCE_DATE


@pytest.fixture
def package(tiny_package, tmp_path):
    return shutil.copytree(tiny_package, tmp_path / "modèle avec espaces")


def edit(package, **changes):
    path = package / "model.json"
    content = json.loads(path.read_text())
    content.update(changes)
    path.write_text(json.dumps(content))


def refusal(package):
    with pytest.raises(ModelPackageError) as caught:
        load_package(package)
    message = str(caught.value)
    assert message.endswith(".")
    assert "\n" not in message
    return message


def test_a_package_states_what_it_is(package):
    loaded = load_package(package)
    assert loaded.model_id.startswith("tiny 0.0.1 ")
    assert (loaded.n_queries, loaded.d_model, loaded.n_features) == (10, 64, 640)
    assert loaded.bands[0] == "B02"
    assert loaded.halo % loaded.stride == 0
    assert loaded.reference_date.isoformat() == "2014-03-03"


def test_the_model_id_changes_with_the_weights(package, tmp_path):
    training = pytest.importorskip("training.export.command")
    import numpy as np

    from training.export.package import write_package

    other = tmp_path / "other"
    write_package(
        training.untrained("bundled", seed=1),
        other,
        name="tiny",
        version="0.0.1",
        statistics=np.array([[0.1] * 10, [0.01] * 10, [0.5] * 10]),
        card="",
    )
    assert load_package(other).model_id != load_package(package).model_id


def test_an_altered_graph_is_refused(package):
    with open(package / "temporal.onnx", "ab") as file:
        file.write(b"x")
    assert "temporal.onnx" in refusal(package)


def test_a_missing_graph_is_refused(package):
    (package / "spatial.onnx").unlink()
    assert "spatial.onnx" in refusal(package)


def test_a_newer_schema_asks_for_a_newer_plugin(package):
    edit(package, schema=99)
    assert "update the plugin" in refusal(package)


def test_a_folder_that_is_not_there(tmp_path):
    assert "nowhere" in refusal(tmp_path / "nowhere")


def test_a_folder_without_manifest(tmp_path):
    assert "model.json" in refusal(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", '{"schema": "one"}', '{"schema": 1}'])
def test_a_broken_manifest(package, content):
    (package / "model.json").write_text(content)
    assert "model.json" in refusal(package)


def test_a_band_without_statistics(package):
    edit(package, normalisation={})
    assert "B02" in refusal(package)


@pytest.mark.parametrize(
    ("key", "value"), [("stride", 0), ("d_model", True), ("bands", []), ("halo", -8)]
)
def test_a_value_that_makes_no_sense(package, key, value):
    edit(package, **{key: value})
    assert key in refusal(package)


@pytest.mark.parametrize(
    ("key", "value"),
    [("bands", BANDS[::-1]), ("bands", BANDS[:4]), ("reference_date", "2015-01-01")],
)
def test_a_model_that_reads_series_otherwise(package, key, value):
    edit(package, **{key: value})
    assert "an image series holds B02 B03" in refusal(package)
    assert (BANDS, REFERENCE_DATE) == (package_module.BANDS, package_module.REFERENCE_DATE)


def test_a_graph_that_onnxruntime_refuses_says_what_to_do(package):
    content = b"not a graph"
    (package / "temporal.onnx").write_bytes(content)
    files = json.loads((package / "model.json").read_text())["files"]
    files["temporal.onnx"]["sha256"] = hashlib.sha256(content).hexdigest()
    edit(package, files=files)
    with pytest.raises(ModelPackageError, match=r"temporal\.onnx.*update onnxruntime"):
        load_encoder(package, "cpu")


def test_without_onnxruntime_the_package_still_loads(package, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    loaded = load_package(package)
    with pytest.raises(RuntimeMissingError, match="install"):
        Encoder(loaded, "cpu")


def test_a_gpu_that_does_not_start_is_not_replaced_in_silence(package, monkeypatch):
    """An onnxruntime that offers CUDA and falls back, as it does where the driver is too old."""
    onnxruntime = pytest.importorskip("onnxruntime")
    real = onnxruntime.InferenceSession
    offered = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: offered)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None, raising=False)
    monkeypatch.setattr(
        onnxruntime,
        "InferenceSession",
        lambda path, options, providers: real(path, options, providers=["CPUExecutionProvider"]),
    )
    loaded = load_package(package)
    with pytest.raises(RuntimeMissingError, match="CUDA was asked for"):
        Encoder(loaded, "cuda")
    assert Encoder(loaded, "auto").device_used == "cpu"


def test_a_package_with_another_decoder_gives_the_same_vectors(tiny_package, tmp_path):
    """Heads and embedding rasters of the version before stay valid."""
    folder = shutil.copytree(tiny_package, tmp_path / "next")
    manifest = json.loads((folder / "model.json").read_text())
    manifest["same_vectors_as"] = ["a" * 64]
    (folder / "model.json").write_text(json.dumps(manifest))
    package = load_package(folder)
    assert package.gives_vectors_of(FeatureIdentity("a" * 64, "before", 640))
    assert package.gives_vectors_of(FeatureIdentity(package.sha256, "itself", 640))
    assert package.gives_vectors_of(FeatureIdentity("b" * 64, "later", 640, (package.sha256,)))
    assert not package.gives_vectors_of(FeatureIdentity("c" * 64, "other", 640))
