"""Pre-training lowers the loss, resumes, and refuses what it does not know."""

import csv
import importlib.util
import itertools
import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

import lightning
from torch.utils.data import DataLoader, IterableDataset

from alise_plugin.errors import AliseError
from alise_plugin.sentinel2 import BANDS
from training.__main__ import main
from training.data.gather.sources import SOURCES
from training.data.real import DATA_FOLDER, read_sites
from training.evaluation.held_out import ELSEWHERE, SITES
from training.models.alise import Alise, AliseConfig
from training.models.checkpoint import load_alise, save_alise
from training.pretrain.averaged import moving_average
from training.pretrain.command import (
    BEST_FILE,
    MODEL_FILE,
    train,
    validation_batches,
)
from training.pretrain.config import (
    ConfigError,
    PretrainConfig,
    Schedule,
    make_source,
)
from training.pretrain.module import Pretraining
from training.pretrain.stream import Stream

CONFIGS = Path(__file__).resolve().parents[2] / "training" / "configs"


class Seasons(IterableDataset):
    """Series that follow a yearly cycle of their own amplitude and phase, clouds included."""

    def __init__(self, seed, batch_size=32, dates=16, size=1):
        self.seed, self.batch_size, self.dates, self.size = seed, batch_size, dates, size

    def __iter__(self):
        generator = torch.Generator().manual_seed(self.seed)

        def rand(*shape):
            return torch.rand(shape, generator=generator)

        while True:
            shape = (self.batch_size, self.dates, 1, self.size, self.size)
            days = (1000 + rand(self.batch_size, self.dates) * 365).sort(1).values
            angle = 2 * math.pi * days / 365 + 6.28 * rand(self.batch_size, 1)
            height = 0.5 + 0.5 * rand(self.batch_size, 1, 1, 1, 1)
            season = angle.sin()[:, :, None, None, None] * height
            reflectance = (0.25 + 0.15 * season).expand(-1, -1, 10, self.size, self.size).clone()
            cloudy = rand(*shape) < 0.1
            reflectance[cloudy.expand_as(reflectance)] = 0.9
            seen = torch.ones(shape, dtype=torch.bool)[:, :, 0]
            yield {
                "reflectance": reflectance,
                "days": days,
                "observed": seen,
                "clear": ~cloudy[:, :, 0],
            }


SMALL = {
    "encoder_widths": [16, 16, 16, 16],
    "decoder_widths": [16, 16, 16, 16],
    "layers": 1,
    "dropout": 0.0,
}


def config(**changes):
    source = {"class": f"{__name__}:Seasons"}
    options = {
        "model": SMALL,
        "train": source,
        "validation": {**source, "batches": 2},
        "max_steps": 120,
        "validate_every": 60,
        "ema": 0.9,
        "drop_dates": 0.2,
        "drop_bands": 0.0,
        "schedule": Schedule(warmup=10, first_cycle=200),
    }
    return PretrainConfig(**{**options, **changes})


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.setitem(sys.modules, __name__, sys.modules[Seasons.__module__])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # small layers: a second thread costs more than it gives
    yield
    torch.set_num_threads(threads)


def figures(module):
    return {name: float(value) for name, value in module.trainer.callback_metrics.items()}


@pytest.mark.skipif(
    importlib.util.find_spec("prosail") is None,
    reason="the leaf coefficients come with the package prosail",
)
def test_a_short_run_beats_the_mean_of_each_series(tmp_path):
    torch.set_num_threads(2)
    worlds = {
        "class": "training.simulation.dataset:PixelWorlds",
        "batch_size": 96,
        "dates": 32,
        "last_year": 2030,
    }
    options = config(
        model={"preset": "bundled", "dropout": 0.0},
        train=worlds,
        validation={**worlds, "batches": 4},
        learning_rate=4e-3,
        max_steps=300,
        validate_every=150,
        weight_invariance=0.0,
        schedule=Schedule(warmup=10, first_cycle=300),
    )
    module = train(options, tmp_path, progress=False)
    found = figures(module)
    assert found["val/reconstruction"] < 0.93 * found["val/series_mean"]
    model, facts = load_alise(tmp_path / MODEL_FILE)
    assert facts["steps"] == 300
    assert model.config == module.model.config
    assert (tmp_path / "reconstructions.png").stat().st_size > 10_000
    assert (tmp_path / "log" / "metrics.csv").exists()


def test_half_the_digits_in_the_convolutions_learn_the_same_and_are_kept_in_full(tmp_path):
    """As far as both runs see the same batches, from the same weights."""
    images = {"class": f"{__name__}:Seasons", "size": 16, "batch_size": 8}
    options = config(
        train=images, validation={**images, "batches": 2}, max_steps=40, validate_every=40
    )
    full = train(options, tmp_path / "full", progress=False)
    quick = train(replace(options, bfloat16=True), tmp_path / "quick", progress=False)
    assert figures(quick)["val/reconstruction"] == pytest.approx(
        figures(full)["val/reconstruction"], rel=0.05
    )
    state = load_alise(tmp_path / "quick" / MODEL_FILE)[0].state_dict()
    assert {value.dtype for value in state.values() if value.is_floating_point()} == {torch.float32}
    other = load_alise(tmp_path / "full" / MODEL_FILE)[0].state_dict()
    assert not all(value.equal(other[name]) for name, value in state.items())


def test_a_resumed_run_ends_with_the_weights_of_an_unbroken_one(tmp_path):
    short = config(max_steps=8, validate_every=4, model={**SMALL, "dropout": 0.1}, drop_bands=0.5)
    whole = train(replace(short, max_steps=12), tmp_path / "whole", progress=False)
    train(short, tmp_path / "parts", progress=False)
    resumed = train(
        replace(short, max_steps=12),
        tmp_path / "parts",
        resume=tmp_path / "parts" / "last.ckpt",
        progress=False,
    )
    assert resumed.global_step == whole.global_step == 12
    for expected, found in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(expected, found)
    assert (tmp_path / "parts" / "log" / "metrics.csv").exists()
    assert (tmp_path / "parts" / "log" / "from_step_8" / "metrics.csv").exists()


def test_a_run_that_was_broken_anywhere_goes_on_as_if_broken_once(tmp_path):
    """A checkpoint in between sees other batches, but never the same ones twice."""
    options = config(max_steps=6, validate_every=4)
    train(options, tmp_path, progress=False)
    (tmp_path / "last.ckpt").rename(tmp_path / "at_6.ckpt")

    def resumed(steps, checkpoint, folder):
        more = replace(options, max_steps=steps)
        return train(more, tmp_path / folder, resume=tmp_path / checkpoint, progress=False)

    once = resumed(12, "at_6.ckpt", "once")
    resumed(8, "at_6.ckpt", "twice")
    twice = resumed(12, "twice/last.ckpt", "twice")
    for expected, found in zip(once.parameters(), twice.parameters(), strict=True):
        assert torch.equal(expected, found)


def test_what_a_run_cannot_go_on_from_is_said_in_one_sentence(tmp_path, capsys):
    source = {"class": f"{__name__}:Seasons", "batch_size": 2}
    options = {"train": source, "validation": {**source, "batches": 1}, "max_steps": 2}
    path = tmp_path / "run.yaml"

    def pretrain(checkpoint, **changes):
        path.write_text(yaml.safe_dump({**options, "model": SMALL, **changes}))
        out = ["--out", str(tmp_path / "run")]
        resume = ["--resume", str(tmp_path / checkpoint)] if checkpoint else []
        return main(["pretrain", "--config", str(path), *out, *resume])

    assert pretrain(None) == 0
    whole = (tmp_path / "run" / "last.ckpt").read_bytes()
    (tmp_path / "half.ckpt").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.ckpt").write_text("four years")
    for checkpoint in ("absent.ckpt", "half.ckpt", "text.ckpt", "run/model.pt", "run"):
        assert pretrain(checkpoint) == 2
        assert Path(checkpoint).name in capsys.readouterr().err
    for changes in ({"model": {**SMALL, "layers": 2}}, {"method": "ubarn"}, {"d_embedding": 8}):
        assert pretrain("run/last.ckpt", **changes) == 2
        assert "another model" in capsys.readouterr().err
    (tmp_path / "run" / "file").write_text("")
    assert main(["pretrain", "--config", str(path), "--out", str(tmp_path / "run" / "file")]) == 2
    assert "cannot be made" in capsys.readouterr().err


def test_a_source_without_batches_does_not_keep_the_run_waiting(monkeypatch):
    monkeypatch.setattr(Seasons, "__iter__", lambda self: iter(()))
    with pytest.raises(ConfigError, match="Seasons brings no batches"):
        next(iter(Stream({"class": f"{__name__}:Seasons"}, seed=0, length=3)))


def test_processes_validate_on_the_same_batches_each_counted_once(tmp_path):
    source = {"class": "test_pretrain:Seasons", "batch_size": 4}
    options = {
        "model": SMALL, "train": source, "validation": {**source, "batches": 3}, "max_steps": 1,
        "validate_every": 1,
    }  # fmt: skip
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(options))
    here = Path(__file__)
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += [
        "-m",
        "training",
        "pretrain",
        "--config",
        str(tmp_path / "run.yaml"),
        "--out",
        str(tmp_path),
        "--threads",
        "1",
    ]
    environment = {**os.environ, "PYTHONPATH": f"{here.parents[2]}{os.pathsep}{here.parent}"}
    done = subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with (tmp_path / "log" / "metrics.csv").open(newline="") as file:
        found = [row["val/reconstruction"] for row in csv.DictReader(file)]
    alone = config(validation={**config().train, "batch_size": 4, "batches": 3})
    batches, module = validation_batches(alone), Pretraining(alone)
    module.kept_model.load_state_dict(load_alise(tmp_path / MODEL_FILE)[0].state_dict())
    trainer = lightning.Trainer(logger=False, enable_progress_bar=False, accelerator="cpu")
    (expected,) = trainer.validate(module, DataLoader(batches, batch_size=None), verbose=False)
    assert float(max(found)) == pytest.approx(expected["val/reconstruction"], rel=1e-4)


def test_workers_that_would_bring_batches_twice_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="no multiple of 2 workers"):
        train(config(validate_every=5), tmp_path, workers=2)


@pytest.mark.parametrize("method", ["alise", "ubarn"])
def test_a_run_that_diverges_ends_before_its_model_is_lost(tmp_path, method):
    options = config(max_steps=8, validate_every=2, method=method)
    train(replace(options, max_steps=2), tmp_path, progress=False)
    before = (tmp_path / MODEL_FILE).read_bytes()
    with pytest.raises(AliseError, match=r"The loss is .* lower learning_rate"):
        train(replace(options, learning_rate=1e38, gradient_clip=0.0), tmp_path, progress=False)
    assert (tmp_path / MODEL_FILE).read_bytes() == before


def first_days(stream, count):
    return [batch["days"][0, 0].item() for batch in itertools.islice(stream, count)]


def test_the_stream_goes_on_after_a_break_and_differs_between_processes():
    source = {"class": f"{__name__}:Seasons"}
    days = first_days(Stream(source, seed=1, length=3), 9)
    assert len(set(days)) == 9
    assert first_days(Stream(source, seed=1, length=3, done=6), 3) == days[6:]
    # Within a segment: others for the rest of it, nothing comes twice, in the second break neither.
    resumed = first_days(Stream(source, seed=1, length=3, done=4), 5)
    assert resumed[2:] == days[6:]
    assert not set(resumed[:2]) & set(days)
    assert first_days(Stream(source, seed=1, length=3, done=5), 2)[0] not in {*days, *resumed}
    assert not set(first_days(Stream(source, seed=1, length=3, rank=1), 9)) & set(days)


def test_the_best_model_is_kept_beside_the_last(tmp_path):
    module = train(config(max_steps=30, validate_every=10), tmp_path, progress=False)
    _, facts = load_alise(tmp_path / BEST_FILE)
    assert facts["validation_loss"] == pytest.approx(figures(module)["val/reconstruction"])


def test_the_averaged_weights_leave_the_start_behind_at_once():
    averaged, update = torch.zeros(3), moving_average(0.999)
    count = torch.zeros(2, dtype=torch.int64)
    for step in range(1, 31):
        update([averaged, count], [torch.ones(3), torch.full((2,), step)], step)
    assert (averaged > 0.99).all()
    assert count.tolist() == [30, 30]
    # Then the decay is the one asked for.
    update([averaged.zero_()], [torch.ones(3)], 10**6)
    assert averaged[0].item() == pytest.approx(0.001)


def test_half_precision_trains(tmp_path):
    """What a GPU does, on the processor: the same casts."""
    module = Pretraining(config(weight_covariance=0.1, model={**SMALL, "dropout": 0.1}))
    module.log_dict = lambda *_, **__: None
    pixels, patches = Seasons(0, batch_size=4), Seasons(0, batch_size=2, dates=8, size=16)
    for batch in (next(iter(pixels)), next(iter(patches))):
        with torch.autocast("cpu", torch.bfloat16):
            loss = module.training_step(batch)
        loss.backward()
        assert loss.isfinite()
        gradients = [one.grad for one in module.parameters() if one.requires_grad]
        assert all(gradient.isfinite().all() for gradient in gradients)


def test_a_batch_of_clouds_without_any_view_costs_nothing(tmp_path):
    module = Pretraining(config(drop_dates=0.0))
    module.log_dict = lambda *_, **__: None
    batch = next(iter(Seasons(0, batch_size=4)))
    batch["observed"][:] = False
    batch["clear"][:] = False
    batch["reflectance"][:] = torch.nan
    assert module.training_step(batch).item() == 0
    state = module.state_dict()
    assert all(value.isfinite().all() for value in state.values() if value.is_floating_point())


def test_patches_train_on_some_of_their_pixels(tmp_path):
    patches = {"class": f"{__name__}:Seasons", "batch_size": 2, "dates": 8, "size": 16}
    options = config(
        train=patches,
        validation={**patches, "batches": 1},
        max_steps=4,
        validate_every=2,
        pixels_per_patch=8,
    )
    module = train(options, tmp_path, progress=False)
    assert math.isfinite(figures(module)["val/reconstruction"])


def test_a_patch_run_can_begin_from_a_pixel_run(tmp_path):
    first = train(config(max_steps=4, validate_every=2), tmp_path / "a", progress=False)
    start = str(tmp_path / "a" / MODEL_FILE)
    second = Pretraining(config(init_from=start))
    kept = first.averaged.module.state_dict()
    assert all(torch.equal(kept[name], value) for name, value in second.model.state_dict().items())


def test_statistics_stay_where_a_run_keeps_them(tmp_path):
    train(config(max_steps=4, validate_every=2), tmp_path / "a", progress=False)
    options = config(
        init_from=str(tmp_path / "a" / MODEL_FILE), keep_statistics=True, max_steps=4,
        validate_every=2,
    )  # fmt: skip
    before = Pretraining(options).model.state_dict()
    after = train(options, tmp_path / "b", progress=False).model.state_dict()
    statistics = [name for name in before if "running_" in name]
    assert statistics
    assert all(torch.equal(before[name], after[name]) for name in statistics)
    assert not torch.equal(before["decoder.bands.weight"], after["decoder.bands.weight"])


@pytest.mark.parametrize("size", [1, 16])
def test_a_frozen_encoder_of_images_stays_while_the_rest_learns(tmp_path, size):
    source = {"class": f"{__name__}:Seasons", "batch_size": 4, "dates": 8, "size": size}
    options = config(
        train=source, validation={**source, "batches": 1}, max_steps=4, validate_every=2,
        freeze_spatial=True, keep_statistics=True, gaps=0.5,
    )  # fmt: skip
    save_alise(tmp_path / "start.pt", Pretraining(options).model)
    options = replace(options, init_from=str(tmp_path / "start.pt"))
    before = Pretraining(options).model.state_dict()
    after = train(options, tmp_path, progress=False).model.state_dict()
    changed = {name for name, value in before.items() if not value.equal(after[name])}
    assert {name.partition(".")[0] for name in changed} == {"temporal", "decoder"}


def test_a_frozen_encoder_leaves_the_decoder_alone_to_learn(tmp_path):
    save_alise(tmp_path / "start.pt", Pretraining(config()).model)
    options = config(
        init_from=str(tmp_path / "start.pt"), freeze_encoder=True, keep_statistics=True,
        max_steps=4, validate_every=2,
    )  # fmt: skip
    train(options, tmp_path, progress=False)
    before, after = (
        load_alise(tmp_path / name)[0].state_dict() for name in ("start.pt", MODEL_FILE)
    )
    changed = {name for name, value in before.items() if not value.equal(after[name])}
    assert "decoder.bands.weight" in changed
    assert {name.partition(".")[0] for name in changed} == {"decoder"}


def test_another_architecture_cannot_be_the_beginning(tmp_path):
    save_alise(tmp_path / "other.pt", Alise(AliseConfig(layers=1)))
    with pytest.raises(ConfigError, match=r"other\.pt holds another architecture"):
        Pretraining(config(init_from=str(tmp_path / "other.pt")))
    with pytest.raises(ConfigError, match=r"absent\.pt is not a model file"):
        Pretraining(config(init_from=str(tmp_path / "absent.pt")))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("train: {}\nvalidation: {}\nlearning_rats: 1\n", "learning_rats"),
        ("train: {}\nvalidation: {}\nschedule: {cycle: 1}\n", "cycle"),
        ("train: {}\nvalidation: {}\nmodel: {preset: big}\n", "preset 'big'"),
        ("train: {}\nvalidation: {}\noptimizer: sgd\n", "write adam or adamw"),
        ("train: {}\n", "validation"),
        ("train: worlds\nvalidation: {}\n", "train is 'worlds'; write options"),
        ("train: {}\nvalidation: {batches: 0}\n", "batches is 0; write 1 or more"),
        ("train: {}\nvalidation: {}\nlearning_rate: 1e-3\n", r"'1e-3'.*1\.0e-3"),
        ("train: {}\nvalidation: {}\nlearning_rate: -1.0\n", "more than 0"),
        ("train: {}\nvalidation: {}\nvalidate_every: 0\n", "validate_every is 0"),
        ("train: {}\nvalidation: {}\nmax_steps: 10.5\n", "max_steps is 10.5; write a whole"),
        ("train: {}\nvalidation: {}\nmax_steps: true\n", "max_steps is True"),
        ("train: {}\nvalidation: {}\nwindow: 0\n", "window is 0"),
        ("train: {}\nvalidation: {}\nseed: -1\n", "seed is -1"),
        ("train: {}\nvalidation: {}\nema: 1.0\n", r"ema is 1\.0; write 0 to less than 1"),
        ("train: {}\nvalidation: {}\ndrop_dates: .nan\n", "drop_dates is nan; write 0 to 1"),
        ("train: {}\nvalidation: {}\nschedule: {first_cycle: 0}\n", "first_cycle is 0"),
        ("train: {}\nvalidation: {}\nschedule: fast\n", "'fast' stands where options should"),
        ("train: {}\nvalidation: {}\nmodel: bundled\n", "model is 'bundled'"),
        ("train: {}\nvalidation: {}\nmodel: {n_queries: '9'}\n", "n_queries is '9'"),
        ("train: {}\nvalidation: {}\nmodel: {n_queries: 0}\n", "n_queries is 0"),
        ("train: {}\nvalidation: {}\nmodel: {heads: 3}\n", "64 is not a multiple of 3 heads"),
        ("train: {}\nvalidation: {}\nmodel: {d_model: 4}\n", "d_model 4 is no even number of 8"),
        ("train: {}\nvalidation: {}\nmodel: {strided: [3, 2, 1]}\n", "must be the stride"),
        ("train: {}\nvalidation: {}\nmodel: {decoder_widths: [8, 8]}\n", "same length"),
        ("train: {}\nvalidation: {}\nmodel: {bands: 4}\n", "bands is 4; all sources have 10"),
        ("train: {}\nvalidation: {}\nkeep_statistics: true\n", "keep_statistics without init_from"),
        (
            "train: {}\nvalidation: {}\ninit_from: a.pt\nfreeze_encoder: true\n",
            "freeze_encoder without keep_statistics",
        ),
        ("train: {}\nvalidation: {}\nmethod: ubarn\ninit_from: a.pt\n", "ubarn knows no init_from"),
        ("train: {}\nvalidation: {}\nmethod: distill\n", "distill and teacher"),
        ("train: {}\nvalidation: {}\nteacher: a.pt\n", "distill and teacher"),
        (
            "train: {}\nvalidation: {}\nmethod: distill\nteacher: a.pt\nwindow: 2\n",
            "distill knows no window",
        ),
        (
            "train: {}\nvalidation: {}\nmodel: {preset: additive}\nbfloat16: true\n",
            "no U-Net for bfloat16",
        ),
        ("", "no options"),
        ("train: [", "YAML"),
    ],
)
def test_what_a_configuration_asks_in_vain_is_named(tmp_path, capsys, text, says):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=says):
        PretrainConfig.read(path)
    path.write_bytes("# Pflügen".encode("latin-1"))
    with pytest.raises(ConfigError, match="YAML"):
        PretrainConfig.read(path)
    path.write_text(text)
    assert main(["pretrain", "--config", str(path)]) == 2
    assert "run.yaml" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["nowhere:Worlds", "training.pretrain.config:Worlds", "Worlds"])
def test_a_source_that_does_not_exist_is_named(place):
    with pytest.raises(ConfigError, match=place):
        make_source({"class": place}, seed=0)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"dates": 0}, "dates is 0"),
        ({"size": 9}, "size is 9"),
    ],
)
def test_a_source_of_nothing_is_refused(changes, says):
    with pytest.raises(ConfigError, match=says):
        make_source({"class": "training.simulation.dataset:PatchWorlds", **changes}, seed=0)


def test_series_or_images_that_do_not_fit_the_run_are_said_in_one_sentence(tmp_path):
    module = Pretraining(config(window=9))
    with pytest.raises(AliseError, match="16 dates do not make two windows of 9"):
        module.training_step(next(iter(Seasons(0, batch_size=2))))
    for size in (8, 20):
        image = next(iter(Seasons(0, batch_size=2, size=size)))
        with pytest.raises(AliseError, match=rf"{size} x {size} pixels do not fit.*multiples of 8"):
            Pretraining(config()).training_step(image)


@pytest.mark.parametrize("d_key", [4, 64, 80])
def test_keys_of_any_width_begin_with_seasons(d_key):
    projector = Pretraining(config(model={**SMALL, "d_key": d_key})).model.temporal.projector
    assert projector.query.abs().max().item() == pytest.approx(1.5)
    # One query looks at no date alone: each differs from the next.
    assert (projector.query[0].diff(dim=0).abs().amax(1) > 0.1).all()


@pytest.mark.parametrize(
    "option", [("--threads", "0"), ("--workers", "-1"), ("--max-minutes", "0")]
)
def test_numbers_that_mean_nothing_are_refused(tmp_path, capsys, option):
    with pytest.raises(SystemExit):
        main(["pretrain", "--config", str(tmp_path / "run.yaml"), *option])
    assert option[0] in capsys.readouterr().err


def test_a_source_says_which_argument_it_does_not_take():
    with pytest.raises(ConfigError, match="sizes"):
        make_source({"class": f"{__name__}:Seasons", "sizes": 3}, seed=0)


@pytest.fixture
def gathered(tmp_path):
    """A folder such as `python -m training gather` writes, with one field and one image."""
    days = [f"2021-{month:02d}-16" for month in range(1, 13)]
    np.savez(
        tmp_path / "one.npz",
        reflectance=np.full((12, 10), 2000, np.uint16),
        cloud=np.zeros(12, np.float32),
        dates=np.array(days),
        offset=np.array([0, 12]),
    )
    np.savez(
        tmp_path / "two.npz",
        reflectance=np.full((12, 10, 3, 4), 2000, np.uint16),
        clear=np.ones((12, 3, 4), bool),
        dates=np.array(days),
    )
    index = [
        {"file": f"{site}.npz", "site": site, "bands": list(BANDS), "use": "train"}
        for site in ("one", "two")
    ]
    (tmp_path / "index.json").write_text(json.dumps(index))
    return str(tmp_path)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_configurations_that_come_with_the_project_are_valid(path, gathered):
    config = PretrainConfig.from_dict(
        yaml.safe_load(path.read_text().replace("data: runs/places", f"data: {gathered}"))
    )
    if "RealSeries" in path.read_text() and not DATA_FOLDER.exists():
        pytest.skip("the folder of real series is not there")
    for source in (config.train, config.validation):
        described = {key: value for key, value in source.items() if key != "batches"}
        assert isinstance(make_source(described, seed=0), IterableDataset)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_no_configuration_trains_on_what_the_evaluation_measures_on(path):
    def sources(node):
        if isinstance(node, dict):
            if str(node.get("class", "")).endswith("RealSeries"):
                yield node
            node = list(node.values())
        if isinstance(node, list):
            for child in node:
                yield from sources(child)

    if DATA_FOLDER.exists():
        names = {site.name for site in read_sites()}
        assert not {Path(file).stem for file in ELSEWHERE} & names
    for source in sources(PretrainConfig.read(path).train):
        if source.get("data") == "runs/places":  # other sites, whose names `gather` gives
            assert not set(SITES) & {one.site for one in SOURCES}
        else:
            assert "data" not in source
            assert set(SITES) <= set(source["exclude"])
