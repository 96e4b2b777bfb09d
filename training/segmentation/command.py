"""What `python -m training probe | finetune | supervise` share: configuration, runs, tables."""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import torch
import yaml
from torch import nn

from training.arguments import positive
from training.evaluation.report import table
from training.files import make_folder, write_file
from training.pretrain.config import (
    COUNT,
    DECAY,
    NOT_NEGATIVE,
    POSITIVE,
    SEED,
    ConfigError,
    check,
    known,
)

from .batches import Batches
from .networks import trainable
from .protocol import Protocol, Trained, experiments, run_experiment
from .series import LabelledSet

# Readers by name: where they live, and whether they want a folder.
SETS = {
    "pastis": ("training.segmentation.pastis:Pastis", True),
    "multisenge": ("training.segmentation.multisenge:MultiSenGE", True),
    "simulated": ("training.segmentation.simulated:SimulatedSegmentation", False),
}
LIMITS = {
    **dict.fromkeys(("epochs", "batch_size", "crop", "few", "draws"), COUNT),
    **dict.fromkeys(("patience", "smallest_rate"), NOT_NEGATIVE),
    "learning_rate": POSITIVE,
    "decay": DECAY,
    "seed": SEED,
}
MEASURES = {"f1": "macro-F1", "accuracy": "OA", "kappa": "kappa", "iou": "mIoU"}


@dataclass(frozen=True)
class SegmentationConfig:
    """A labelled set and how to train on it, read from a YAML file.

    Attributes:
        dataset: `name`, one of SETS, and further arguments of its reader.
        protocol: of training.
    """

    dataset: dict[str, Any]
    protocol: Protocol = field(default_factory=Protocol)

    @classmethod
    def read(cls, path: Path) -> SegmentationConfig:
        """Read a YAML file.

        Raises:
            ConfigError: the file is missing or no YAML, or names something that does not exist.
        """
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(f"{path} cannot be read as a YAML file: {error}") from error
        if not isinstance(content, dict):
            raise ConfigError(f"{path} holds no options; see training/configs/segmentation.")
        try:
            content["protocol"] = known(Protocol, content.get("protocol") or {}, LIMITS)
            config = known(cls, content)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}.") from error
        if not isinstance(config.dataset, dict) or config.dataset.get("name") not in SETS:
            raise ConfigError(
                f"{path}: write dataset: {{name: ...}} with one of {', '.join(SETS)}."
            )
        return config


def open_set(description: dict[str, Any], folder: Path | None) -> LabelledSet:
    """Return the labelled set that a configuration describes.

    Raises:
        ConfigError: a folder is wanted and not given, or an argument is unknown or of another kind.
        LabelledDataError: the folder is not laid out as published.
    """
    options = dict(description)
    name = options.pop("name")
    place, wants_folder = SETS[name]
    module, _, kind = place.partition(":")
    reader = getattr(importlib.import_module(module), kind)
    unknown = set(options) - (set(inspect.signature(reader).parameters) - {"folder"})
    if unknown:
        raise ConfigError(f"The set {name} has no option {', '.join(sorted(unknown))}.")
    hints = get_type_hints(reader.__init__)
    for option, value in options.items():
        check(hints[option], f"dataset: {option}", value)
    if wants_folder and folder is None:
        raise ConfigError(f"The set {name} is read from a folder: give it with --data.")
    found: LabelledSet = reader(folder, **options) if wants_folder else reader(**options)
    return found


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that the three commands share."""
    parser.add_argument("--config", type=Path, required=True, help="YAML file")
    parser.add_argument("--data", type=Path, help="folder of the labelled set")
    parser.add_argument("--out", type=Path, help="folder for the figures and the weights")
    parser.add_argument("--epochs", type=positive, help="another limit than the configuration's")
    parser.add_argument("--splits", type=positive, help="run only the first so many experiments")
    parser.add_argument("--threads", type=positive, help="CPU threads of PyTorch")
    parser.add_argument("--quiet", action="store_true", help="print the table only")


def read_arguments(args: argparse.Namespace) -> tuple[LabelledSet, Protocol]:
    """Return the labelled set and the protocol that the arguments name."""
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.out:
        make_folder(args.out)
    config = SegmentationConfig.read(args.config)
    protocol = config.protocol
    if args.epochs is not None:
        protocol = Protocol(**{**asdict(protocol), "epochs": args.epochs})
    return open_set(config.dataset, args.data), protocol


def run_all(
    args: argparse.Namespace,
    title: str,
    data: LabelledSet,
    protocol: Protocol,
    make_network: Callable[[], nn.Module],
    batches: Batches,
    keep: Callable[[int, Trained], None],
) -> list[Trained]:
    """Return every experiment of the set, its table printed and, with `--out`, written as JSON.

    Args:
        args: of the command.
        title: of the table.
        data: the set.
        protocol: of training.
        make_network: see `run_experiment`.
        batches: of the set.
        keep: called with the number of each experiment and what came of it.
    """

    def say(text: str) -> None:
        if not args.quiet:
            print(text, flush=True)

    runs: list[Trained] = []
    for number, (seed, split) in enumerate(experiments(data, protocol), start=1):
        if args.splits is not None and number > args.splits:
            break
        say(f"experiment {number}: {len(split.train)} series train")
        trained = run_experiment(
            make_network, batches, split, len(data.classes), protocol, seed, say
        )
        say(f"experiment {number}: macro-F1 {trained.scores.f1:.3f} ({trained.epochs} epochs)")
        keep(number, trained)
        runs.append(trained)
    text = f"**{title}** {summary(runs, data)}"
    print(text)
    if args.out:
        content = {"title": title, "protocol": asdict(protocol), "experiments": figures(runs)}
        write_file(args.out / "scores.json", (json.dumps(content, indent=1) + "\n").encode())
    return runs


def summary(runs: list[Trained], data: LabelledSet) -> str:
    """Return mean and standard deviation over the experiments, as Markdown."""
    count = trainable(runs[0].network)
    rows: list[list[object]] = []
    for name, label in MEASURES.items():
        values = np.array([getattr(run.scores, name) for run in runs])
        known_values = values[~np.isnan(values)]  # kappa of a single class is none
        if len(known_values):
            rows.append([label, float(known_values.mean()), float(known_values.std())])
    by_class = np.stack([run.scores.f1_by_class for run in runs])
    for place, one in enumerate(data.classes):
        present = by_class[:, place][~np.isnan(by_class[:, place])]
        if len(present):
            rows.append([f"F1 {one.name}", float(present.mean()), float(present.std())])
    return (
        f"({len(runs)} experiments, {len(data)} series, {len(data.classes)} classes, {count} "
        "parameters learned)\n\n" + table(["measure", "mean", "deviation"], rows)
    )


def figures(runs: list[Trained]) -> list[dict[str, Any]]:
    """Return scores and confusion matrices as plain numbers."""
    found = []
    for run in runs:
        scores: dict[str, Any] = {name: plain(getattr(run.scores, name)) for name in MEASURES}
        scores["f1_by_class"] = [plain(value) for value in run.scores.f1_by_class]
        found.append({**scores, "confusion": run.confusion.tolist(), "epochs": run.epochs})
    return found


def plain(value: float) -> float | None:
    """As JSON can say it: kappa of one class alone is none, nor F1 of a class that is not there."""
    return None if np.isnan(value) else float(value)
