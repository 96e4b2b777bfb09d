"""The measuring stick measures what it says: known answers on small made-up data."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("sklearn")

from alise_plugin.errors import AliseError
from alise_plugin.model.encoder import load_encoder
from training.__main__ import main
from training.evaluation import features, probe, reconstruction, report, robustness
from training.evaluation.arkansas import CropPixels
from training.models.checkpoint import load_alise
from training.pretext.normalise import normalise

ROOT = Path(__file__).resolve().parents[2]


def two_classes(count, rng):
    labels = np.array(["a", "b"])[np.arange(count) % 2]
    x = rng.normal(size=(count, 4)) + 3.0 * (labels == "a")[:, None]
    return x, labels


def test_separable_classes_score_high_and_labels_of_chance_do_not():
    rng = np.random.default_rng(0)
    x, y = two_classes(400, rng)
    assert probe.macro_f1(x[:200], y[:200], x[200:], y[200:]) > 0.97
    assert probe.few_label_macro_f1(x[:200], y[:200], x[200:], y[200:]) > 0.9
    chance = rng.choice(["a", "b"], 400)
    assert probe.macro_f1(x[:200], chance[:200], x[200:], chance[200:]) < 0.65


def test_a_class_too_rare_to_draw_from_is_named():
    x = np.zeros((25, 2))
    y = np.array(["rice"] * 20 + ["oats"] * 5)
    with pytest.raises(AliseError, match="Class oats has 5 training samples, 10 are drawn"):
        probe.few_label_macro_f1(x, y, x, y)


def test_ridge_recovers_a_linear_quantity():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(500, 5))
    y = x @ np.arange(5.0)
    assert probe.ridge_r2(x[:250], y[:250], x[250:], y[250:]) > 0.99


def test_gap_filling_is_exact_on_a_straight_line():
    days = np.array([0.0, 10.0, 20.0, 40.0])
    pixel = np.repeat((days / 100.0)[:, None], 10, 1).astype(np.float32)
    pixel[2] = np.nan
    filled = features.gap_filled(pixel[None], days, step=5).reshape(9, 10)
    np.testing.assert_allclose(filled[:, 3], np.arange(0, 41, 5) / 100.0, atol=1e-6)


def line_series():
    days = np.arange(0.0, 400.0, 10.0)
    values = 0.1 + 0.0005 * days
    reflectance = np.broadcast_to(values[:, None, None, None], (40, 10, 2, 3)).astype(np.float32)
    return reflectance.copy(), np.ones((40, 2, 3), bool), days


def test_linear_prediction_sees_clear_dates_only():
    reflectance, clear, days = line_series()
    reflectance[10], clear[10] = 0.9, False
    kept = days != 110.0
    out = reconstruction.linear(reflectance[kept], clear[kept], days[kept], 110.0)
    np.testing.assert_allclose(out, 0.1 + 0.0005 * 110, atol=1e-6)


def test_linear_prediction_repeats_the_nearest_date_outside():
    reflectance, clear, days = line_series()
    out = reconstruction.linear(reflectance[5:], clear[5:], days[5:], 0.0)
    np.testing.assert_allclose(out, reflectance[5], atol=1e-6)


def test_harmonic_fit_recovers_a_yearly_cycle():
    days = np.arange(0.0, 730.0, 7.0)
    wave = 0.3 + 0.1 * np.sin(2 * np.pi * days / 365.25)
    reflectance = np.broadcast_to(wave[:, None, None, None], (len(days), 10, 1, 1))
    clear = np.ones((len(days), 1, 1), bool)
    out = reconstruction.harmonic(reflectance, clear, days, 100.0)
    assert out == pytest.approx(0.3 + 0.1 * np.sin(2 * np.pi * 100 / 365.25), abs=2e-3)


def test_the_model_is_asked_as_the_plugin_asks_it():
    """From the year around the day, where the series has more than one."""
    days = np.arange(0.0, 1100.0, 10.0)
    reflectance = np.broadcast_to(days[:, None, None, None], (len(days), 10, 1, 1))

    class Watching:
        def encode(self, reflectance, days):
            self.days = days
            np.testing.assert_array_equal(reflectance[:, 0, 0, 0], days)
            return "embedding"

        def decode(self, embedding, days):
            assert embedding == "embedding"
            return np.full((1, 10, 1, 1), days[0])

    watching = Watching()
    clear = np.ones((len(days), 1, 1), bool)
    for predict, least, most in (
        (reconstruction.from_the_year_around(watching), 360, 366),
        (reconstruction.decoded(watching), 1090, 1090),
    ):
        assert predict(reflectance, clear, days, 555.0)[0, 0, 0] == 555
        assert least <= np.ptp(watching.days) <= most


def test_errors_are_pooled_over_clear_pixels():
    sums = reconstruction.SquaredErrors()
    truth = np.zeros((10, 1, 2))
    guess = np.stack([np.full((1, 2), 0.1)] * 10)
    guess[:, 0, 1] = 9.0
    sums.add(guess, truth, np.array([[True, False]]))
    np.testing.assert_allclose(sums.rmse[:10], 0.1)


def test_reductions_hide_what_they_say():
    days = np.arange(0.0, 365.0, 10.0)
    data = CropPixels(
        np.ones((3, len(days), 10), np.float32), days, np.array(list("abc")), np.zeros((3, 2))
    )
    four = robustness.REDUCTIONS["four bands (10 m)"](data)
    assert np.isfinite(four.reflectance).any((0, 1)).sum() == 4
    half = robustness.REDUCTIONS["half the dates"](data)
    assert half.reflectance.shape[1] == len(half.days) == 19
    season = robustness.REDUCTIONS["one season (May to August)"](data)
    assert 11 <= len(season.days) <= 13


def test_tables_replace_what_stood_between_the_marks(tmp_path):
    page = tmp_path / "README.md"
    page.write_text("# Title\n\ntext\n")
    report.write_between_marks(page, "first")
    report.write_between_marks(page, report.table(["a", "b"], [["x", 0.5], ["y", None]]))
    content = page.read_text()
    assert "first" not in content
    assert "| x | 0.500 |" in content
    assert "| y | - |" in content
    assert content.startswith("# Title\n\ntext\n")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--measures", "1", "--data", "nowhere"), "no real site at nowhere"),
        (("--measures", "2", "--data", "nowhere"), "no crop pixels at nowhere"),
        (("--measures", "25"), "no measure 5"),
        (("--pixels", "-5"), "--pixels"),
        (("--malice", "nowhere.onnx"), "there is no nowhere.onnx"),
        (("--checkpoints", "nowhere.pt", "--data", "nowhere"), "nowhere"),
    ],
)
def test_what_cannot_be_measured_is_said_in_one_sentence(capsys, options, says):
    try:
        code = main(["evaluate", *options])
    except SystemExit as end:  # of argparse
        code = end.code
    assert code == 2
    assert says in capsys.readouterr().err


def test_the_bundled_package_is_the_committed_checkpoint():
    model, _ = load_alise(ROOT / "training" / "checkpoints" / "alise-s2.pt")
    encoder = load_encoder(ROOT / "models" / "alise-s2", device="cpu")
    days = np.arange(400, 760, 30, np.float32)
    reflectance = np.random.default_rng(0).uniform(0.02, 0.5, (3, len(days), 10)).astype(np.float32)
    reflectance[0, 4:6] = np.nan
    reflectance[1, :, 3] = np.nan
    with torch.no_grad():
        image = torch.from_numpy(reflectance)[..., None, None].expand(-1, -1, -1, 16, 16)
        observed = image.isfinite().any(2)
        encoded = model.encode_dates(normalise(image), observed)[..., 8, 8]
        aligned = model.temporal(encoded, torch.from_numpy(days).expand(3, -1), observed[..., 8, 8])
    np.testing.assert_allclose(
        features.alise(encoder)(reflectance, days), aligned.flatten(1), atol=2e-4
    )
    # A pixel alone stands for the mean of the places that a transposed convolution writes.
    alone = features.checkpoint(model)(reflectance, days)
    assert np.corrcoef(alone.ravel(), aligned.flatten())[0, 1] > 0.98


def test_vectors_of_the_version_before_stay_valid():
    folder = ROOT / "training" / "checkpoints"
    before, now = (
        load_alise(folder / name)[0].state_dict() for name in ("version-0.3.0.pt", "alise-s2.pt")
    )
    changed = {
        name.partition(".")[0] for name, value in before.items() if not value.equal(now[name])
    }
    assert changed == {"decoder"}
    manifest = json.loads((ROOT / "models" / "alise-s2" / "model.json").read_text())
    assert any(sha256.startswith("59ff2fa7") for sha256 in manifest["same_vectors_as"])


def test_one_byte_keeps_what_a_feature_says():
    vectors = np.random.default_rng(2).uniform(-1, 1, (500, 6)).astype(np.float32)
    vectors *= np.arange(1, 7)
    bytes_back = features.in_one_byte(vectors)
    assert bytes_back.shape == vectors.shape
    spread = np.ptp(np.percentile(vectors, (0.5, 99.5), axis=0), axis=0)
    assert (np.abs(bytes_back - vectors) < 0.005 * spread).all()
    assert not np.array_equal(bytes_back, vectors)
