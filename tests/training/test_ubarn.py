"""U-BARN: its pretext hides dates, it learns to recover them, its classifier is the paper's."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from training.models.alise import AliseConfig
from training.models.checkpoint import load_alise
from training.models.ubarn import (
    ShallowClassifier,
    UBarn,
    begin_with_neighbours,
    load_ubarn,
    save_ubarn,
)
from training.pretext.ubarn import corrupted_dates, permuted
from training.pretrain.command import BEST_FILE, MODEL_FILE, train
from training.pretrain.config import ConfigError, PretrainConfig, Schedule

CONFIGS = Path(__file__).resolve().parents[2] / "training" / "configs"
SMALL = AliseConfig(encoder_widths=(8, 8, 8, 8), decoder_widths=(8, 8, 8, 8), layers=1, dropout=0.0)


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_six_dates_of_ten_are_corrupted_and_never_all():
    torch.manual_seed(0)
    seen = torch.ones(50, 10, dtype=torch.bool)
    assert (corrupted_dates(seen).sum(1) == 6).all()
    seen[:, 4:] = False
    found = corrupted_dates(seen)
    assert not (found & ~seen).any()
    assert (found.sum(1) == 2).all()
    assert found.float().mean(0)[:4].min() > 0.3
    seen[:, 1:] = False
    assert not corrupted_dates(seen, rate=1.0).any()


def test_corrupted_embeddings_are_exchanged_and_the_others_are_not():
    torch.manual_seed(0)
    features = torch.randn(20, 8, 4)
    corrupted = torch.rand(20, 8) < 0.6
    found = permuted(features, corrupted)
    torch.testing.assert_close(found[~corrupted], features[~corrupted])
    assert (found[corrupted] != features[corrupted]).float().mean() > 0.9
    # Of any corrupted pixel, date and feature (U-BARN, section III-B1).
    before, after = (x[corrupted].flatten().sort().values for x in (features, found))
    torch.testing.assert_close(before, after)
    of_others = ~torch.isin(found[corrupted][:, 0], features[corrupted][:, 0])
    assert 0.6 < of_others.float().mean() < 0.9  # three of four features


def test_the_shallow_classifier_has_the_size_that_the_paper_states():
    head = ShallowClassifier(64, 19)
    assert round(sum(p.numel() for p in head.parameters()) / 1000, 1) == 13.8


def test_the_shallow_classifier_does_not_see_dates_that_do_not_count():
    torch.manual_seed(0)
    head = ShallowClassifier(64, 3).eval()
    encoded = torch.randn(5, 9, 64)
    valid = torch.ones(5, 9, dtype=torch.bool)
    valid[:, 6:] = False
    other = encoded.clone()
    other[:, 6:] = 100.0
    torch.testing.assert_close(head(encoded, valid), head(other, valid))
    torch.testing.assert_close(head(encoded, valid), head(encoded[:, :6], valid[:, :6]))
    assert head(encoded, torch.zeros_like(valid)).isfinite().all()


def test_the_encoder_keeps_the_dates_of_a_series():
    torch.manual_seed(0)
    model = UBarn(SMALL).eval()
    image = torch.randn(2, 5, 10, 16, 16)
    days = torch.arange(5.0).expand(2, -1) * 10 + 1800
    observed = torch.ones(2, 5, 16, 16, dtype=torch.bool)
    observed[0, 3] = False
    with torch.no_grad():
        found = model(image, days, observed)
        image[0, 3] = 7.0
        again = model(image, days, observed)
    assert found.shape == (2, 5, 64, 16, 16)
    kept = [0, 1, 2, 4]
    torch.testing.assert_close(found[0, kept], again[0, kept])


def test_model_files_tell_the_two_models_apart(tmp_path):
    model = UBarn(SMALL).eval()
    save_ubarn(tmp_path / "u.pt", model, steps=3)
    loaded, facts = load_ubarn(tmp_path / "u.pt")
    assert facts == {"steps": 3}
    assert loaded.config == SMALL
    with pytest.raises(ValueError, match=r"u\.pt is not a model file of ALISE"):
        load_alise(tmp_path / "u.pt")
    with pytest.raises(ValueError, match="not a model file of U-BARN"):
        load_ubarn(CONFIGS.parent / "checkpoints" / "alise-s2.pt")


def test_the_first_attention_begins_at_the_same_time_of_the_year():
    torch.manual_seed(0)
    model = UBarn(replace(SMALL, layers=2))
    begin_with_neighbours(model)
    days = 1800 + torch.tensor([[0.0, 10.0, 90.0, 180.0, 270.0]])
    encoded = model.day_encoding(days)
    layer = model.transformer.layers[0]
    query, key = (
        p(encoded).unflatten(-1, (4, -1)).transpose(1, 2) for p in (layer.query, layer.key)
    )
    weight = (query @ key.transpose(-1, -2) / 4).softmax(-1).mean(1)[0]
    assert weight[0, :2].sum() > 0.8
    assert weight[3].argmax() == 3
    with pytest.raises(ValueError, match="year"):
        begin_with_neighbours(UBarn(replace(SMALL, day_frequencies="geometric")))


WORLDS = {
    "class": "training.simulation.dataset:PixelWorlds",
    "batch_size": 64,
    "dates": 32,
    "last_year": 2030,
}


@pytest.mark.skipif(
    importlib.util.find_spec("prosail") is None,
    reason="the leaf coefficients come with the package prosail",
)
def test_a_short_run_lowers_the_loss_and_resumes(tmp_path):
    options = PretrainConfig(
        method="ubarn",
        model={"preset": "bundled", "dropout": 0.0},
        train=WORLDS,
        validation={**WORLDS, "batches": 4},
        learning_rate=1e-3,
        drop_bands=0.0,
        ema=0.9,
        max_steps=30,
        validate_every=30,
        schedule=Schedule(warmup=10, first_cycle=200),
    )
    first = train(options, tmp_path, progress=False)
    early = float(first.trainer.callback_metrics["val/reconstruction"])
    module = train(
        replace(options, max_steps=120),
        tmp_path,
        resume=tmp_path / "last.ckpt",
        progress=False,
    )
    found = {name: float(value) for name, value in module.trainer.callback_metrics.items()}
    assert module.global_step == 120
    assert found["val/reconstruction"] < 0.95 * early
    assert load_ubarn(tmp_path / MODEL_FILE)[1]["steps"] == 120
    assert (tmp_path / BEST_FILE).exists()


def test_an_unknown_method_is_refused(tmp_path):
    text = (CONFIGS / "ubarn.yaml").read_text().replace("method: ubarn", "method: bert")
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError, match="bert"):
        PretrainConfig.read(tmp_path / "c.yaml")
