"""PyTorch and onnxruntime agree to 1e-4, whatever the sizes and the masks."""

import argparse
import copy
import json

import numpy as np
import onnxruntime
import pytest
import torch

from alise_plugin.errors import AliseError, ModelPackageError
from alise_plugin.model.encoder import Encoder
from alise_plugin.model.package import load_package
from training.export import command, package
from training.export.additive import finish_graph, tokens_graph
from training.export.command import untrained
from training.export.spatial import spatial_graph
from training.export.temporal import decoder_graph, temporal_graph
from training.models.additive import Sums
from training.models.alise import receptive_halo
from training.models.checkpoint import save_alise
from training.pretext.normalise import normalise


@pytest.fixture(scope="module")
def model():
    return untrained("bundled")


def session(graph):
    return onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )


@pytest.mark.parametrize("size", [(16, 16), (24, 64), (40, 16)])
@pytest.mark.parametrize("dates", [1, 3])
@pytest.mark.parametrize("preset", ["bundled", "alise", "alise_minimal"])
def test_spatial_graph_equals_pytorch(preset, size, dates):
    unet = untrained(preset).spatial
    image = torch.randn(dates, 10, *size)
    with torch.no_grad():
        expected = unet(image).permute(0, 2, 3, 1)
    found = session(spatial_graph(unet)).run(None, {"image": image.numpy()})[0]
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("preset", ["bundled", "malice", "alise_minimal"])
@pytest.mark.parametrize("dates", [1, 2, 7, 30, 61])
@pytest.mark.parametrize("masked", [False, True])
def test_temporal_graph_equals_pytorch(preset, dates, masked):
    part = untrained(preset).temporal
    with torch.no_grad():
        for parameter in part.parameters():
            if parameter.ndim == 1:  # Biases begin at zero: folded or forgotten would be the same.
                parameter += 0.3 * torch.randn_like(parameter)
    rng = np.random.default_rng(dates)
    features = rng.normal(size=(9, dates, 64)).astype(np.float32)
    days = np.sort(rng.integers(400, 9000, dates)).astype(np.float32)
    valid = rng.random((9, dates)) > 0.5 if masked else np.ones((9, dates), bool)
    valid[:, 0] = True
    with torch.no_grad():
        expected = part(torch.tensor(features), torch.tensor(days), torch.tensor(valid))
    found = session(temporal_graph(part)).run(
        None, {"features": features, "days": days, "valid": valid}
    )[0]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_temporal_graph_is_finite_without_any_valid_date(model):
    found = session(temporal_graph(model.temporal)).run(
        None,
        {
            "features": np.ones((2, 3, 64), np.float32),
            "days": np.array([1, 2, 3], np.float32),
            "valid": np.zeros((2, 3), bool),
        },
    )[0]
    assert np.isfinite(found).all()


@pytest.mark.parametrize("dates", [1, 5])
def test_decoder_graph_equals_pytorch(model, dates):
    embedding = torch.randn(6, 10, 64)
    days = torch.linspace(1000, 5000, dates)
    with torch.no_grad():
        expected = model.decoder(embedding, days)
    found = session(decoder_graph(model.decoder, 10)).run(
        None, {"embedding": embedding.numpy(), "days": days.numpy()}
    )[0]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def export(*arguments):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args([*map(str, arguments)]))


def test_the_command_exports_a_checkpoint_with_its_card(tmp_path, model):
    checkpoint, out, card = (tmp_path / name for name in ("model.pt", "package", "card.md"))
    save_alise(checkpoint, model, steps=7)
    card.write_text("# Mine\n")
    arguments = "--checkpoint", checkpoint, "--out", out, "--name", "mine", "--version", "1.2.3"
    arguments += ("--no-compact",)
    assert export(*arguments) == 0
    assert "steps: 7" in (out / "MODEL_CARD.md").read_text()
    assert export(*arguments, "--card", card) == 0
    assert (out / "MODEL_CARD.md").read_text() == "# Mine\n"
    loaded = load_package(out)
    assert loaded.model_id.startswith("mine 1.2.3 ")
    assert loaded.halo == receptive_halo(model.config)


def test_group_normalisation_exports_with_a_caution(tmp_path, capsys):
    out = tmp_path / "package"
    export("--untrained", "--preset", "alise", "--out", out, "--name", "group")
    assert "seams" in capsys.readouterr().out
    assert "seams" in (out / "MODEL_CARD.md").read_text()
    assert load_package(out).halo > 0


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("four years")
    with pytest.raises(ModelPackageError, match="something else"):
        export("--untrained", "--out", tmp_path, "--name", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(ModelPackageError, match="something else"):
        export("--untrained", "--out", tmp_path / "thesis.txt", "--name", "x")
    with pytest.raises(AliseError, match=r"card.*absent\.md"):
        export("--untrained", "--out", tmp_path / "new", "--name", "x", "--card", "absent.md")


def test_a_failed_export_keeps_the_package_that_was_there(tmp_path, monkeypatch):
    out = tmp_path / "package"
    export("--untrained", "--out", out, "--name", "first")
    monkeypatch.setattr(package.onnx, "save", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export("--untrained", "--out", out, "--name", "second")
    assert load_package(out).name == "first"
    assert list(tmp_path.iterdir()) == [out]


@pytest.fixture(scope="module")
def additive():
    network = untrained("additive")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return network


def additive_series(dates=9, pixels=6):
    rng = np.random.default_rng(3)
    image = rng.normal(size=(dates, pixels, 10)).astype(np.float32)
    image[2, :, 4] = 0.0  # a band that is not there
    days = np.sort(rng.integers(400, 9000, dates)).astype(np.float32)
    valid = rng.random((dates, pixels)) > 0.4
    valid[0] = True
    return image, days, valid


def test_acquisitions_one_by_one_through_the_graphs_give_the_embedding(additive):
    image, days, valid = additive_series()
    with torch.no_grad():
        features = additive.spatial.forward_pixels(torch.tensor(image)).transpose(0, 1)
        expected = additive.temporal(features, torch.tensor(days), torch.tensor(valid).T)
    tokens = session(tokens_graph(additive.spatial, additive.temporal))
    finish = session(finish_graph(additive.temporal))

    def summed(image, days, valid):
        found = tokens.run(None, {"image": image, "days": days, "valid": valid})
        return Sums(*map(torch.tensor, found))

    one_by_one = None
    for t in np.random.default_rng(4).permutation(len(days)):
        part = summed(image[t : t + 1], days[t : t + 1], valid[t : t + 1])
        one_by_one = part if one_by_one is None else one_by_one + part
    for sums in (one_by_one, summed(image, days, valid)):
        (found,) = finish.run(
            None, {"numerator": sums.numerator.numpy(), "denominator": sums.denominator.numpy()}
        )
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_an_additive_package_runs_where_sums_are_not_known(tmp_path, additive):
    checkpoint, out = tmp_path / "model.pt", tmp_path / "package"
    save_alise(checkpoint, additive)
    export("--checkpoint", checkpoint, "--out", out, "--name", "sum", "--no-compact")
    loaded = load_package(out)
    assert (loaded.halo, loaded.stride, loaded.minimum_size) == (0, 1, 1)
    assert sorted(path.name for path in out.glob("*.onnx")) == [
        "decoder.onnx", "finish.onnx", "spatial.onnx", "temporal.onnx", "tokens.onnx",
    ]  # fmt: skip
    rng = np.random.default_rng(5)
    reflectance = rng.uniform(0.02, 0.5, (8, 10, 3, 5)).astype(np.float32)
    reflectance[2] = np.nan
    reflectance[4, 3] = np.nan
    days = np.arange(1000, 1080, 10, np.float32)
    found = Encoder(loaded, device="cpu").encode(reflectance, days)
    image = normalise(torch.tensor(reflectance))[None]
    observed = torch.tensor(np.isfinite(reflectance).any(1))[None]
    with torch.no_grad():
        expected = additive(image, torch.tensor(days)[None], observed)[0]
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_a_new_decoder_leaves_the_files_of_the_encoder_as_they_are(tmp_path, model):
    checkpoint, out = tmp_path / "model.pt", tmp_path / "package"
    save_alise(checkpoint, model)
    arguments = "--checkpoint", checkpoint, "--out", out, "--name", "one"
    export(*arguments, "--no-compact")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    first = load_package(out).sha256
    changed = copy.deepcopy(model)
    with torch.no_grad():
        changed.decoder.bands.bias += 1.0
    save_alise(checkpoint, changed)
    export(*arguments, "--version", "0.1.1", "--keep-encoder")
    after = {path.name: path.read_bytes() for path in out.iterdir()}
    assert {name for name, content in before.items() if content != after[name]} == {
        "decoder.onnx", "model.json",
    }  # fmt: skip
    loaded = load_package(out)
    assert loaded.version == "0.1.1"
    assert loaded.half
    assert json.loads((out / "model.json").read_text())["same_vectors_as"] == [first]
    with torch.no_grad():
        changed.temporal.projector.query += 0.01
    save_alise(checkpoint, changed)
    with pytest.raises(ModelPackageError, match="another encoder"):
        export(*arguments, "--version", "0.1.2", "--keep-encoder")
    assert load_package(out).version == "0.1.1"
