"""An additive student learns the vectors of a teacher, and goes on where it was stopped."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from training.__main__ import main
from training.export.command import untrained
from training.models.checkpoint import load_alise, save_alise
from training.pretrain.command import MODEL_FILE, train, validation_batches
from training.pretrain.config import ConfigError, PretrainConfig, Schedule
from training.pretrain.distill import Distillation

SOURCE = {"class": "training.simulation.dataset:PixelWorlds", "batch_size": 24, "dates": 12}


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # small layers: a second thread costs more than it gives
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    path = tmp_path_factory.mktemp("teacher") / "teacher.pt"
    save_alise(path, untrained("bundled"))
    return path


def config(teacher, **changes):
    options = {
        "method": "distill",
        "teacher": str(teacher),
        "model": {"preset": "additive", "token_hidden": 32, "hidden": 32},
        "train": SOURCE,
        "validation": {**SOURCE, "batches": 1},
        "max_steps": 6,
        "validate_every": 3,
        "ema": 0.5,
        "gaps": 0.2,
        "learning_rate": 3e-3,
        "schedule": Schedule(warmup=2, first_cycle=100),
    }
    return PretrainConfig(**{**options, **changes})


def loss_of(module, options):
    held_out = validation_batches(options)
    module.measure(held_out)
    module.eval()
    torch.manual_seed(0)
    return float(
        module._loss(
            module.kept_model,
            held_out[0]["reflectance"].nan_to_num(),
            held_out[0]["days"],
            held_out[0]["observed"],
        )
    )


def test_the_student_comes_nearer_to_its_teacher_and_has_its_decoder(tmp_path, teacher):
    options = config(teacher, max_steps=40, validate_every=20)
    start = loss_of(Distillation(options), options)
    module = train(options, tmp_path, progress=False)
    assert loss_of(module, options) < 0.5 * start
    student, facts = load_alise(tmp_path / MODEL_FILE)
    assert facts["steps"] == 40
    assert student.config.additive
    wanted = load_alise(teacher)[0].decoder.state_dict()
    assert all(value.equal(wanted[name]) for name, value in student.decoder.state_dict().items())


def test_a_resumed_distillation_ends_with_the_weights_of_an_unbroken_one(tmp_path, teacher):
    options = config(teacher)
    whole = train(options, tmp_path / "whole", progress=False)
    train(replace(options, max_steps=3), tmp_path / "half", progress=False)
    resumed = train(
        options, tmp_path / "half", resume=tmp_path / "half" / "last.ckpt", progress=False
    )
    for one, other in (
        (whole.model, resumed.model),
        (whole.kept_model, resumed.kept_model),
        (whole.teacher, resumed.teacher),
    ):
        state = other.state_dict()
        assert all(value.equal(state[name]) for name, value in one.state_dict().items())


def test_what_cannot_be_distilled_is_said_in_one_sentence(tmp_path, teacher, capsys):
    with pytest.raises(ConfigError, match="10 vectors of 64 features, the model 5 of 64"):
        Distillation(config(teacher, model={"preset": "additive", "n_queries": 5}))
    with pytest.raises(ConfigError, match=r"teacher: .*nowhere\.pt"):
        Distillation(config(tmp_path / "nowhere.pt"))
    path = tmp_path / "run.yaml"
    path.write_text("train: {}\nvalidation: {}\n")
    assert main(["distill", "--config", str(path), "--out", str(tmp_path)]) == 2
    assert "names no teacher" in capsys.readouterr().err
