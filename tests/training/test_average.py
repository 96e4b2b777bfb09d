import pytest
import torch

from training.__main__ import main
from training.models.alise import Alise, AliseConfig
from training.models.checkpoint import load_alise, save_alise


@pytest.fixture
def files(tmp_path):
    """Three models with weights of chance, the last with fewer queries."""
    paths = []
    for seed, options in enumerate([{}, {}, {"n_queries": 4}]):
        torch.manual_seed(seed)
        config = AliseConfig.from_dict({"preset": "bundled", **options})
        paths.append(tmp_path / f"{seed}.pt")
        save_alise(paths[-1], Alise(config))
    return paths


def average(*arguments):
    return main(["average", *map(str, arguments)])


def states(*paths):
    return [load_alise(path)[0].state_dict() for path in paths]


def test_the_mean_has_the_shares_asked_for(files, tmp_path):
    assert average(*files[:2], "--shares", 3, 1, "--out", tmp_path / "mean.pt") == 0
    mean, first, second = states(tmp_path / "mean.pt", *files[:2])
    assert mean.keys() == first.keys()
    for name, value in mean.items():
        expected = first[name] * 0.75 + second[name] * 0.25
        torch.testing.assert_close(value, expected.to(value.dtype), rtol=1e-5, atol=1e-6)


def test_a_model_with_itself_is_itself(files, tmp_path):
    assert average(files[0], files[0], "--out", tmp_path / "mean.pt") == 0
    mean, first = states(tmp_path / "mean.pt", files[0])
    for name, value in mean.items():
        torch.testing.assert_close(value, first[name])


def test_the_folder_of_the_mean_is_made(files, tmp_path):
    assert average(*files[:2], "--out", tmp_path / "runs" / "mean.pt") == 0
    assert (tmp_path / "runs" / "mean.pt").exists()


@pytest.mark.parametrize(
    ("chosen", "shares", "sentence"),
    [
        ((0, 2), (), "different architectures"),
        ((0, 1), (1,), "as many positive shares"),
        ((0, 1), (1, 0), "as many positive shares"),
        ((0, 1), ("nan", 1), "as many positive shares"),
        ((0, 1), (1, "inf"), "as many positive shares"),
    ],
)
def test_what_has_no_mean_is_refused(files, tmp_path, capsys, chosen, shares, sentence):
    options = ["--shares", *shares] if shares else []
    out = tmp_path / "mean.pt"
    assert average(*(files[k] for k in chosen), *options, "--out", out) == 2
    assert sentence in capsys.readouterr().err
    assert not out.exists()


def test_a_file_of_something_else_is_named(files, tmp_path, capsys):
    other = tmp_path / "other.pt"
    other.write_bytes(b"no model")
    assert average(files[0], other, "--out", tmp_path / "mean.pt") == 2
    assert str(other) in capsys.readouterr().err
