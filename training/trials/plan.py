"""A file of trials: one base configuration of pre-training, and what each trial changes in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from training.pretrain.config import ConfigError, known


@dataclass(frozen=True)
class Trial:
    """One short training.

    Attributes:
        name: of its folder and its row.
        at: where it lies on each curve that it is a point of, in the unit of the axis.
        steps: how long it trains; the schedule of the learning rate ends there.
        change: what it changes in the base, as a nested mapping.
    """

    name: str
    at: dict[str, float] = field(default_factory=dict)
    steps: int | None = None
    change: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """All trials of a file.

    Attributes:
        steps: of trials that do not say how many.
        base: configuration of pre-training, without the options that follow from the steps.
        curves: the curves, each with the label of its axis.
        trials: the trials; the base itself is one with nothing changed.
    """

    steps: int
    base: dict[str, Any]
    trials: tuple[Trial, ...]
    curves: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Plan:
        """Read a YAML file.

        Raises:
            ConfigError: it cannot be read, names an option that does not exist, or two trials
                share a name, or a trial lies on a curve that has no axis.
        """
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as error:
            raise ConfigError(f"{path} cannot be read as a YAML file: {error}") from error
        if not isinstance(content, dict) or not isinstance(content.get("trials"), list):
            raise ConfigError(f"{path} lists no trials; see training/configs/trials.yaml")
        try:
            trials = tuple(known(Trial, trial) for trial in content["trials"])
            plan = known(cls, {**content, "trials": trials})
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error
        names = [trial.name for trial in trials]
        if len(set(names)) < len(names):
            raise ConfigError(f"{path}: two trials have the same name; give each its own")
        for trial in trials:
            if unknown := set(trial.at) - set(plan.curves):
                raise ConfigError(
                    f"{path}: {trial.name} lies on {', '.join(sorted(unknown))}, which has no axis"
                )
        return plan

    def configuration(self, trial: Trial) -> dict[str, Any]:
        """What `pretrain --config` takes: the base with the trial's changes and its steps."""
        steps = trial.steps or self.steps
        content = merged(self.base, trial.change)
        warmup = min(100, steps // 4)
        content["max_steps"] = steps
        content["validate_every"] = steps
        content["schedule"] = {"warmup": warmup, "first_cycle": steps - warmup}
        return content


def merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """The base with the change laid over it; a mapping that names a `class` replaces its whole."""
    out = dict(base)
    for key, value in change.items():
        old = out.get(key)
        nested = isinstance(value, dict) and isinstance(old, dict) and "class" not in value
        out[key] = merged(old, value) if nested else value  # type: ignore[arg-type]
    return out
