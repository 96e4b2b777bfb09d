"""Trials: what a plan says, that done ones are not done again, and limited data."""

import copy
import itertools
import json

import pytest
import yaml

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from training.__main__ import main  # noqa: E402
from training.data.real import DATA_FOLDER  # noqa: E402
from training.evaluation.command import PROJECT  # noqa: E402
from training.evaluation.held_out import SITES  # noqa: E402
from training.pretrain.config import ConfigError, PretrainConfig  # noqa: E402
from training.simulation.dataset import PixelWorlds  # noqa: E402
from training.trials.command import FIGURES_FILE, draw, points_of  # noqa: E402
from training.trials.plan import Plan, merged  # noqa: E402

BUNDLED_PLAN = PROJECT / "training" / "configs" / "trials.yaml"
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
    content = copy.deepcopy(SMALL)
    content["trials"] = [{"name": str(steps), "steps": steps} for steps in (4, 300, 5000)]
    plan = Plan.read(written(tmp_path, content))
    for trial in plan.trials:
        found = plan.configuration(trial)
        assert found["max_steps"] == trial.steps
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


def test_every_trial_of_the_bundled_plan_can_be_trained_and_holds_out_what_is_measured(tmp_path):
    plan = Plan.read(BUNDLED_PLAN)
    for trial in plan.trials:
        configuration = plan.configuration(trial)
        PretrainConfig.read(written(tmp_path, configuration))
        for source in configuration["train"].get("sources", []):
            if source["class"].endswith(":RealSeries"):
                assert set(SITES) <= set(source["exclude"])


def test_points_of_a_curve_come_in_order():
    plan = Plan.read(BUNDLED_PLAN)
    for curve in plan.curves:
        points = points_of(plan, curve)
        assert [amount for amount, _ in points] == sorted({amount for amount, _ in points})
        assert "base" in [name for _, name in points]
        assert len(points) > 2


def test_the_picture_has_a_place_for_every_curve(tmp_path):
    plan = Plan.read(BUNDLED_PLAN)
    columns = ("steps", "loss", "30 d", "60 d", "90 d", "all labels", "10 a class")
    draw(
        plan, {trial.name: dict.fromkeys(columns, 0.5) for trial in plan.trials}, tmp_path / "a.png"
    )
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"


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
    figures = json.loads((out / "short" / FIGURES_FILE).read_text())
    assert figures["steps"] == 4
    assert 0 < figures["10 a class"] < 1
    assert "| short | 4 |" in table
    assert picture.exists()
    before = (out / "short" / FIGURES_FILE).stat().st_mtime_ns
    assert main(arguments) == 0
    assert capsys.readouterr().out == table
    assert (out / "short" / FIGURES_FILE).stat().st_mtime_ns == before
    content["base"]["model"]["heads"] = 7  # of 64 features: nothing that can be trained
    written(tmp_path, content)
    assert main(arguments) == 1
    assert "short" in capsys.readouterr().err
