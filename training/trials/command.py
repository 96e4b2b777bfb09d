"""`python -m training trials`: train what is missing, measure it, print a table of all."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import lightning
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
import yaml
from torch.utils.data import DataLoader, Dataset

from alise_plugin.errors import AliseError
from training.arguments import positive
from training.evaluation import report
from training.evaluation.command import PROJECT, CheckpointScores
from training.files import write_file
from training.models.alise import Alise
from training.models.checkpoint import load_alise
from training.pretrain.averaged import Batch
from training.pretrain.command import MODEL_FILE, train, validation_batches
from training.pretrain.config import ConfigError, PretrainConfig
from training.pretrain.module import Pretraining

from .plan import Plan, Trial

CONFIG_FILE = "config.yaml"
FIGURES_FILE = "figures.json"
LOG_FILE = "train.log"
HEADER = ["trial", "steps", "1000 x loss", "30 d", "60 d", "90 d", "all labels", "10 a class"]
# What the picture draws of a trial: a column of HEADER each.
DRAWN = ("1000 x loss", "30 d", "10 a class", "all labels")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    bundled = Path(__file__).with_name("plan.yaml")
    parser.add_argument("--plan", type=Path, default=bundled, help="YAML file")
    parser.add_argument("--out", type=Path, default=Path("runs/trials"), help="a folder a trial")
    parser.add_argument(
        "--data",
        type=Path,
        default=PROJECT.parent / "shared" / "data",
        help="what trials are measured on; the plan says what they are trained on",
    )
    parser.add_argument("--pixels", type=positive, default=None, help="of Arkansas; all by default")
    parser.add_argument("--processes", type=positive, default=1, help="trials at a time")
    parser.add_argument("--threads", type=positive, default=1, help="CPU threads of each")
    parser.add_argument("--only", help="train and measure this one, print nothing")
    parser.add_argument("--picture", type=Path, help="PNG of the curves")


def run(args: argparse.Namespace) -> int:
    """Train and measure the trials that are not there yet, then print the table of all."""
    plan = Plan.read(args.plan)
    if args.only:
        chosen = [trial for trial in plan.trials if trial.name == args.only]
        if not chosen:
            raise ConfigError(f"{args.plan} has no trial {args.only}; correct the name")
        one_trial(plan, chosen[0], args)
        return 0
    if args.picture and not args.picture.resolve().parent.is_dir():
        raise AliseError(f"There is no folder for {args.picture}: create it or choose another.")
    # What would fail after hours of training shall fail now.
    CheckpointScores(args.data, args.pixels, args.threads)
    missing = [trial for trial in plan.trials if not is_measured(plan, trial, args)]
    failed = in_processes(missing, args)
    if failed:
        print(f"Failed, see {LOG_FILE} in their folders: {', '.join(failed)}", file=sys.stderr)
        return 1
    figures = {trial.name: found_in(args.out / trial.name)["figures"] for trial in plan.trials}
    print(report.table(HEADER, [[name, *figures[name].values()] for name in figures]))
    if args.picture:
        draw(plan, figures, args.picture)
    return 0


def configuration_in(folder: Path) -> object:
    """Return what a trial's folder was trained with; None if nothing readable says it."""
    try:
        return yaml.safe_load((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return None


def found_in(folder: Path) -> dict[str, Any]:
    """Return the `figures` of a trial and their `pixels`; empty if not written in full."""
    try:
        found: dict[str, Any] = json.loads((folder / FIGURES_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def is_measured(plan: Plan, trial: Trial, args: argparse.Namespace) -> bool:
    """Return whether the figures of just this configuration, of as many pixels, are there."""
    folder = args.out / trial.name
    found = found_in(folder)
    same = configuration_in(folder) == plan.configuration(trial)
    return bool(found) and found["pixels"] == args.pixels and same


def is_trained(config: dict[str, Any], folder: Path) -> bool:
    """Return whether the folder holds the model of this configuration, trained to its end."""
    if configuration_in(folder) != config or not (folder / MODEL_FILE).exists():
        return False
    _, facts = load_alise(folder / MODEL_FILE)
    return bool(facts["steps"] == config["max_steps"])


def in_processes(trials: Sequence[Trial], args: argparse.Namespace) -> list[str]:
    """Run trials, each in a process of its own; the names of those that failed.

    The processes end with this one, also where it is killed by SIGTERM or Ctrl-C.
    """
    children: list[subprocess.Popen[bytes]] = []

    def one(trial: Trial) -> int:
        folder = args.out / trial.name
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "training", "trials", "--only", trial.name]
        for option in ("plan", "out", "data", "pixels", "threads"):
            value = getattr(args, option)
            if value is not None:
                command += [f"--{option}", str(value)]
        path = os.pathsep.join([str(PROJECT), os.environ.get("PYTHONPATH", "")])
        with (folder / LOG_FILE).open("wb") as log:
            children.append(
                subprocess.Popen(
                    command,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, "PYTHONPATH": path},
                )
            )
            return children[-1].wait()

    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with ThreadPoolExecutor(max(1, args.processes)) as pool:
        try:
            codes = list(pool.map(one, trials))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in children:
                child.terminate()
            signal.signal(signal.SIGTERM, before)
    return [trial.name for trial, code in zip(trials, codes, strict=True) if code]


def one_trial(plan: Plan, trial: Trial, args: argparse.Namespace) -> None:
    """Train a trial, if its model is not there, and measure it; its figures are written last."""
    torch.set_num_threads(args.threads)
    scores = CheckpointScores(args.data, args.pixels, args.threads)
    folder = args.out / trial.name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FIGURES_FILE).unlink(missing_ok=True)
    content = plan.configuration(trial)
    if not is_trained(content, folder):
        (folder / MODEL_FILE).unlink(missing_ok=True)
        write_file(folder / CONFIG_FILE, yaml.safe_dump(content).encode())
        train(PretrainConfig.read(folder / CONFIG_FILE), folder, progress=False)
    model, _ = load_alise(folder / MODEL_FILE)
    loss = held_out_loss(model, PretrainConfig.from_dict(plan.configuration(Trial("base"))))
    values = [content["max_steps"], 1000 * loss, *scores.row(folder / MODEL_FILE)]
    figures = dict(zip(HEADER[1:], values, strict=True))
    found = {"pixels": args.pixels, "figures": figures}
    write_file(folder / FIGURES_FILE, json.dumps(found, indent=1).encode())


def held_out_loss(model: Alise, base: PretrainConfig) -> float:
    """Loss of reconstruction (Eq. 10) on the validation series and with the views of the base.

    That of a trial's own validation would not do: t_w and the seed change what is asked.
    """
    config = replace(base, model=asdict(model.config), init_from=None)
    module = Pretraining(config)
    module.kept_model.load_state_dict(model.state_dict())
    trainer = lightning.Trainer(
        logger=False, enable_progress_bar=False, enable_model_summary=False, accelerator="cpu"
    )
    batches = cast("Dataset[Batch]", validation_batches(base))
    (result,) = trainer.validate(module, DataLoader(batches, batch_size=None), verbose=False)
    return float(result["val/reconstruction"])


def draw(plan: Plan, figures: dict[str, dict[str, float]], path: Path) -> None:
    """Draw a row of axes for each figure, a column for each curve."""
    columns = len(plan.curves)
    drawn, axes = plt.subplots(
        len(DRAWN), columns, figsize=(4 * columns, 2.2 * len(DRAWN)), squeeze=False, sharey="row"
    )
    for column, (curve, label) in enumerate(plan.curves.items()):
        points = points_of(plan, curve)
        for row, name in enumerate(DRAWN):
            axis = axes[row, column]
            amounts = [amount for amount, _ in points]
            axis.plot(amounts, [figures[trial][name] for _, trial in points], "o-", ms=4)
            axis.set_xscale("symlog", linthresh=min(a for a in amounts if a > 0))
            axis.set_xticks(amounts, [f"{amount:g}" for amount in amounts], fontsize=8)
            axis.minorticks_off()
            axis.grid(alpha=0.3)
            if column == 0:
                axis.set_ylabel(name)
        axes[-1, column].set_xlabel(label)
    drawn.tight_layout()
    drawn.savefig(path, dpi=80)
    plt.close(drawn)


def points_of(plan: Plan, curve: str) -> Sequence[tuple[float, str]]:
    """Return the trials of a curve as (amount, name), ascending."""
    return sorted((trial.at[curve], trial.name) for trial in plan.trials if curve in trial.at)
