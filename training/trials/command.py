"""`python -m training trials`: train what is missing, measure it, print a table of all."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
import yaml

from training.evaluation import report
from training.evaluation.command import PROJECT, CheckpointScores
from training.models.checkpoint import load_alise
from training.pretrain.command import BEST_FILE, MODEL_FILE, train
from training.pretrain.config import ConfigError, PretrainConfig

from .plan import Plan, Trial

CONFIG_FILE = "config.yaml"
FIGURES_FILE = "figures.json"
LOG_FILE = "train.log"
HEADER = ["trial", "steps", "loss", "30 d", "60 d", "90 d", "all labels", "10 a class"]
# What the picture draws of a trial: a column of HEADER each.
DRAWN = ("loss", "30 d", "10 a class", "all labels")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    configs = PROJECT / "training" / "configs"
    parser.add_argument("--plan", type=Path, default=configs / "trials.yaml", help="YAML file")
    parser.add_argument("--out", type=Path, default=Path("runs/trials"), help="a folder a trial")
    parser.add_argument("--data", type=Path, default=PROJECT.parent / "shared" / "data")
    parser.add_argument("--pixels", type=int, default=None, help="of Arkansas; all by default")
    parser.add_argument("--processes", type=int, default=1, help="trials at a time")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of each")
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
    missing = [trial for trial in plan.trials if not is_done(plan, trial, args.out)]
    with ThreadPoolExecutor(args.processes) as pool:
        codes = list(pool.map(lambda trial: in_a_process(trial, args), missing))
    failed = [trial.name for trial, code in zip(missing, codes, strict=True) if code]
    if failed:
        print(f"Failed, see {LOG_FILE} in their folders: {', '.join(failed)}", file=sys.stderr)
        return 1
    figures = {trial.name: read_figures(args.out / trial.name) for trial in plan.trials}
    print(report.table(HEADER, [[name, *figures[name].values()] for name in figures]))
    if args.picture:
        draw(plan, figures, args.picture)
    return 0


def is_done(plan: Plan, trial: Trial, out: Path) -> bool:
    """Whether the folder of a trial holds the figures of just this configuration."""
    folder = out / trial.name
    try:
        before = yaml.safe_load((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    except OSError:
        return False
    return (folder / FIGURES_FILE).exists() and before == plan.configuration(trial)


def in_a_process(trial: Trial, args: argparse.Namespace) -> int:
    """Run one trial in a process of its own; its exit code."""
    folder = args.out / trial.name
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "training", "trials", "--only", trial.name]
    for option in ("plan", "out", "data", "pixels", "threads"):
        value = getattr(args, option)
        if value is not None:
            command += [f"--{option}", str(value)]
    with (folder / LOG_FILE).open("w", encoding="utf-8") as log:
        return subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False).returncode


def one_trial(plan: Plan, trial: Trial, args: argparse.Namespace) -> None:
    """Train and measure one trial; its figures are written last, once everything is there."""
    torch.set_num_threads(args.threads)
    folder = args.out / trial.name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FIGURES_FILE).unlink(missing_ok=True)
    (folder / CONFIG_FILE).write_text(yaml.safe_dump(plan.configuration(trial)), encoding="utf-8")
    config = PretrainConfig.read(folder / CONFIG_FILE)
    train(config, folder, progress=False)
    _, facts = load_alise(folder / BEST_FILE)
    row = CheckpointScores(args.data, args.pixels, args.threads).row(folder / MODEL_FILE)
    figures = dict(zip(HEADER[1:], [config.max_steps, facts["validation_loss"], *row], strict=True))
    (folder / FIGURES_FILE).write_text(json.dumps(figures, indent=1), encoding="utf-8")


def read_figures(folder: Path) -> dict[str, float]:
    """The figures of a trial, by column of HEADER."""
    figures: dict[str, float] = json.loads((folder / FIGURES_FILE).read_text(encoding="utf-8"))
    return figures


def draw(plan: Plan, figures: dict[str, dict[str, float]], path: Path) -> None:
    """A row of axes for each figure, a column for each curve; other trials are grey points."""
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
            axis.grid(alpha=0.3)
            if column == 0:
                axis.set_ylabel(name)
        axes[-1, column].set_xlabel(label)
    drawn.tight_layout()
    drawn.savefig(path, dpi=80)
    plt.close(drawn)


def points_of(plan: Plan, curve: str) -> Sequence[tuple[float, str]]:
    """The trials of a curve as (amount, name), ascending."""
    return sorted((trial.at[curve], trial.name) for trial in plan.trials if curve in trial.at)
