"""PyTorch and onnxruntime agree to 1e-4, whatever the sizes and the masks."""

import numpy as np
import onnxruntime
import pytest
import torch

from training.export.command import untrained
from training.export.package import write_package
from training.export.spatial import spatial_graph
from training.export.temporal import decoder_graph, temporal_graph


@pytest.fixture(scope="module")
def model():
    return untrained("bundled")


def session(graph):
    return onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )


@pytest.mark.parametrize("size", [(16, 16), (24, 64), (40, 16)])
@pytest.mark.parametrize("dates", [1, 3])
def test_spatial_graph_equals_pytorch(model, size, dates):
    image = torch.randn(dates, 10, *size)
    with torch.no_grad():
        expected = model.spatial(image).permute(0, 2, 3, 1)
    found = session(spatial_graph(model.spatial)).run(None, {"image": image.numpy()})[0]
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("preset", ["bundled", "malice", "alise_minimal"])
@pytest.mark.parametrize("dates", [1, 2, 7, 30, 61])
@pytest.mark.parametrize("masked", [False, True])
def test_temporal_graph_equals_pytorch(preset, dates, masked):
    part = untrained(preset).temporal
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


def test_group_normalisation_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="group normalisation"):
        write_package(
            untrained("alise"),
            tmp_path / "package",
            name="x",
            version="1",
            statistics=np.ones((3, 10)),
            card="",
        )
    assert not list(tmp_path.iterdir())
