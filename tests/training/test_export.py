"""PyTorch and onnxruntime agree to 1e-4, whatever the sizes and the masks."""

import argparse

import numpy as np
import onnxruntime
import pytest
import torch

from alise_plugin.errors import AliseError, ModelPackageError
from alise_plugin.model.package import load_package
from training.export import command, package
from training.export.command import untrained
from training.export.spatial import spatial_graph
from training.export.temporal import decoder_graph, temporal_graph
from training.models.alise import receptive_halo
from training.models.checkpoint import save_alise


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
