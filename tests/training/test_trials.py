"""Trials: what a plan says, that done ones are not done again, and limited data."""

import contextlib
import copy
import itertools
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from training.__main__ import main
from training.data.real import DATA_FOLDER
from training.evaluation.command import PROJECT
from training.evaluation.held_out import SITES
from training.models.alise import Alise, AliseConfig
from training.pretrain.command import MODEL_FILE
from training.pretrain.config import ConfigError, PretrainConfig, make_source
from training.simulation.dataset import PixelWorlds
from training.trials.command import (
    CONFIG_FILE,
    FIGURES_FILE,
    HEADER,
    draw,
    held_out_loss,
    points_of,
)
from training.trials.plan import Plan, merged

BUNDLED_PLAN = PROJECT / "training" / "trials" / "plan.yaml"
WORLDS = {"class": "training.simulation.dataset:PixelWorlds", "batch_size": 8, "dates": 8}
SMALL = {
    "steps": 8,
    "base": {
        "model": {"preset": "bundled", "dropout": 0.0, "layers": 1},
        "train": WORLDS,
        "validation": {**WORLDS, "batches": 1},
    },
    "curves": {"steps": "steps"},
    "trials": [
        {"name": "short", "steps": 4, "at": {"steps": 4}},
        {"name": "base", "at": {"steps": 8}},
        {"name": "no hidden bands", "change": {"drop_bands": 0.0, "model": {"layers": 2}}},
    ],
}


def written(tmp_path, content):
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_a_trial_changes_only_what_it_names(tmp_path):
    plan = Plan.read(written(tmp_path, SMALL))
    short, base, other = (plan.configuration(trial) for trial in plan.trials)
    assert base["model"] == SMALL["base"]["model"]
    assert other["model"] == {"preset": "bundled", "dropout": 0.0, "layers": 2}
    assert {key for key in base if base[key] != other.get(key)} == {"model"}
    assert other["drop_bands"] == 0.0
    assert {key for key in base if base[key] != short[key]} == {
        "max_steps",
        "validate_every",
        "schedule",
    }


def test_the_schedule_ends_with_the_training(tmp_path):
    content = {**SMALL, "curves": {}}
    content["trials"] = [{"name": str(steps), "steps": steps} for steps in (4, 300, 5000)]
    plan = Plan.read(written(tmp_path, content))
    for trial in plan.trials:
        found = plan.configuration(trial)
        assert found["max_steps"] == trial.steps
        assert 0 < found["schedule"]["warmup"] <= 100
        assert found["schedule"]["warmup"] + found["schedule"]["first_cycle"] == trial.steps


def test_another_source_takes_the_place_of_the_whole_of_the_first():
    source = {"class": "a:B", "size": 1}
    assert merged({"train": WORLDS}, {"train": source}) == {"train": source}
    assert merged({"model": {"a": 1, "b": 2}}, {"model": {"b": 3}}) == {"model": {"a": 1, "b": 3}}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"trials": [{"name": "a"}, {"name": "a"}]}, "same name"),
        ({"trials": [{"name": "a", "at": {"sites": 1}}]}, "no axis"),
        ({"trials": [{"name": "a", "stepz": 1}]}, "stepz"),
        ({"trials": None}, "lists no trials"),
        ({"basis": {}}, "basis"),
        ({"trials": []}, "lists no trials"),
        ({"trials": [3]}, "plan.yaml"),
        ({"trials": [{"name": 600}]}, "name is 600; write a text, in quotes"),
        ({"trials": [{"name": "a", "steps": 0}]}, "a has 0 steps"),
        ({"trials": [{"name": "a", "steps": "many"}]}, "steps is 'many'; write a whole number"),
        ({"trials": [{"name": "a", "at": None}]}, "plan.yaml"),
        ({"trials": [{"name": "a", "change": None}]}, "plan.yaml"),
        ({"trials": [{"name": "a", "change": {"optimizer": "sgd"}}]}, "sgd"),
        ({"trials": [{"name": "a", "at": {"steps": 0}}]}, "no trial lies on steps above 0"),
        ({"base": {}}, "train"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(tmp_path, change, said):
    with pytest.raises(ConfigError, match=said):
        Plan.read(written(tmp_path, {**SMALL, **change}))


def test_a_missing_plan_and_an_unknown_trial_are_said_in_a_sentence(tmp_path, capsys):
    assert main(["trials", "--plan", str(tmp_path / "none.yaml")]) == 2
    assert "none.yaml cannot be read" in capsys.readouterr().err
    plan = written(tmp_path, SMALL)
    assert main(["trials", "--plan", str(plan), "--only", "longest"]) == 2
    assert "no trial longest" in capsys.readouterr().err


def test_every_trial_of_the_bundled_plan_has_sources_and_holds_out_what_is_measured():
    plan = Plan.read(BUNDLED_PLAN)
    for trial in plan.trials:
        configuration = plan.configuration(trial)
        sources = configuration["train"].get("sources", [])
        real = [source for source in sources if source["class"].endswith(":RealSeries")]
        assert all(set(SITES) <= set(source["exclude"]) for source in real)
        if DATA_FOLDER.exists() or not real:
            assert next(iter(make_source(configuration["train"], 0)))["days"].shape[1] > 3


def test_points_of_a_curve_come_in_order():
    plan = Plan.read(BUNDLED_PLAN)
    for curve in plan.curves:
        points = points_of(plan, curve)
        assert [amount for amount, _ in points] == sorted({amount for amount, _ in points})
        assert "base" in [name for _, name in points]
        assert len(points) > 2


def test_the_picture_shows_the_figures(tmp_path):
    plan = Plan.read(BUNDLED_PLAN)
    pictures = []
    for changed in (0.5, 0.9):
        figures = {trial.name: dict.fromkeys(HEADER[1:], 0.5) for trial in plan.trials}
        figures["base"]["10 a class"] = changed
        draw(plan, figures, tmp_path / "curves.png")
        pictures.append((tmp_path / "curves.png").read_bytes())
    assert pictures[0][:4] == b"\x89PNG"
    assert pictures[0] != pictures[1]


def test_the_loss_does_not_depend_on_what_a_trial_asks_of_itself(tmp_path):
    content = {**SMALL, "curves": {}}
    content["trials"] = [{"name": "base"}, {"name": "other", "change": {"window": 4, "seed": 3}}]
    plan = Plan.read(written(tmp_path, content))
    torch.manual_seed(0)
    model = Alise(AliseConfig(layers=2, n_queries=4)).eval()
    base, other = (PretrainConfig.from_dict(plan.configuration(trial)) for trial in plan.trials)
    first = held_out_loss(model, base)
    assert held_out_loss(model, base) == first > 0
    assert held_out_loss(model, other) != first


def test_fewer_series_or_sites_than_make_sense_are_refused():
    with pytest.raises(ConfigError, match="100 distinct series do not fill a batch of 192"):
        make_source({**WORLDS, "batch_size": 192, "distinct": 100}, 0)
    with pytest.raises(ConfigError, match="most_sites is 0"):
        make_source({"class": "training.data.real:RealSeries", "most_sites": 0}, 0)


def test_distinct_series_are_the_same_in_every_stream():
    def seen(seed, distinct):
        worlds = PixelWorlds(seed, batch_size=4, dates=6, distinct=distinct)
        batches = itertools.islice(worlds, 60)
        return {batch["ground"].nan_to_num().numpy().tobytes() for batch in batches}

    assert seen(1, 12) == seen(2, 12)
    assert len(seen(1, 12)) == 3
    assert seen(1, 12) < seen(1, 40)
    assert len(seen(1, None)) == 60


@pytest.mark.skipif(not DATA_FOLDER.exists(), reason="needs ../shared/data, which is not here")
def test_trials_are_trained_once_and_again_only_when_changed(tmp_path, capsys):
    content = copy.deepcopy(SMALL)
    content["trials"] = content["trials"][:1]
    out, picture = tmp_path / "out", tmp_path / "curves.png"
    arguments = ["trials", "--plan", str(written(tmp_path, content)), "--out", str(out)]
    arguments += ["--pixels", "600", "--picture", str(picture)]
    assert main(arguments) == 0
    table = capsys.readouterr().out
    figures = json.loads((out / "short" / FIGURES_FILE).read_text())["figures"]
    assert figures["steps"] == 4
    assert 0 < figures["10 a class"] < 1
    assert "| short | 4 |" in table
    assert picture.exists()
    before = (out / "short" / MODEL_FILE).stat().st_mtime_ns
    assert main(arguments) == 0
    assert capsys.readouterr().out == table
    # A file that was cut off is no figure, and needs no new training.
    (out / "short" / FIGURES_FILE).write_text('{"pixels": 6')
    assert main(arguments) == 0
    assert capsys.readouterr().out == table
    assert (out / "short" / MODEL_FILE).stat().st_mtime_ns == before
    content["base"]["train"]["class"] = "nowhere:Worlds"  # which only the trial itself finds out
    written(tmp_path, content)
    assert main(arguments) == 1
    assert "short" in capsys.readouterr().err
    content["base"]["model"]["heads"] = 7  # of 64 features: nothing that can be trained
    written(tmp_path, content)
    assert main(arguments) == 2
    assert "64 is not a multiple of 7 heads" in capsys.readouterr().err


def test_what_cannot_be_measured_is_said_before_any_training(tmp_path, capsys):
    plan, out = written(tmp_path, SMALL), tmp_path / "out"
    arguments = ["trials", "--plan", str(plan), "--out", str(out)]
    assert main([*arguments, "--data", str(tmp_path)]) == 2
    assert "no crop pixels" in capsys.readouterr().err
    assert main([*arguments, "--picture", str(tmp_path / "missing" / "a.png")]) == 2
    assert "no folder" in capsys.readouterr().err
    assert not out.exists()


def processes_with(text):
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and text in (folder / "cmdline").read_text():
                found.append(folder.name)
    return found


@pytest.mark.skipif(not DATA_FOLDER.exists(), reason="needs ../shared/data, which is not here")
def test_a_command_that_is_killed_leaves_no_training_behind(tmp_path):
    content = copy.deepcopy(SMALL)
    content["trials"] = [{"name": "endless", "steps": 10**6, "at": {"steps": 10**6}}]
    plan, out = written(tmp_path, content), tmp_path / "out"
    command = [sys.executable, "-m", "training", "trials", "--plan", str(plan), "--out", str(out)]
    with subprocess.Popen(command, cwd=PROJECT) as process:
        end = time.monotonic() + 120
        while not (out / "endless" / CONFIG_FILE).exists() and time.monotonic() < end:
            time.sleep(0.2)
        assert len(processes_with(str(out))) == 2
        process.terminate()
        assert process.wait(60) == 1
    end = time.monotonic() + 30
    while processes_with(str(out)) and time.monotonic() < end:
        time.sleep(0.2)
    assert processes_with(str(out)) == []
