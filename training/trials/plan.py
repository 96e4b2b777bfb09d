"""A file of trials: one base configuration of pre-training, and what each trial changes in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from training.pretrain.config import ConfigError, PretrainConfig, known


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
        steps: of trials that do not say how many, and of the base.
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
            ConfigError: it cannot be read, names an option that does not exist, or as `check`.
        """
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(f"{path} cannot be read as a YAML file: {error}") from error
        if not isinstance(content, dict) or not isinstance(content.get("trials"), list):
            raise ConfigError(f"{path} lists no trials; see training/trials/plan.yaml")
        try:
            trials = tuple(known(Trial, trial) for trial in content["trials"])
            plan = known(cls, {**content, "trials": trials})
        except (ConfigError, TypeError, ValueError) as error:
            raise ConfigError(f"{path}: {error}") from error
        try:
            plan.check()
        except (ConfigError, TypeError, AttributeError, ValueError) as error:
            raise ConfigError(f"{path}: {error}") from error
        return plan

    def check(self) -> None:
        """Raise ConfigError where two trials share a name, or one cannot be trained or drawn."""
        names = [trial.name for trial in self.trials]
        if not names:
            raise ConfigError("it lists no trials")
        if len(set(names)) < len(names):
            raise ConfigError("two trials have the same name; give each its own")
        for trial in self.trials:
            steps = self.steps if trial.steps is None else trial.steps
            if steps < 1:
                raise ConfigError(f"{trial.name} has {steps} steps; write a number from 1 on")
            if unknown := set(trial.at) - set(self.curves):
                raise ConfigError(f"{trial.name} lies on {', '.join(unknown)}, which has no axis")
            PretrainConfig.from_dict(self.configuration(trial))
        for curve in self.curves:
            if not any(trial.at.get(curve, 0) > 0 for trial in self.trials):
                raise ConfigError(f"no trial lies on {curve} above 0; take the curve away")

    def configuration(self, trial: Trial) -> dict[str, Any]:
        """Return what `pretrain --config` takes: the base with the trial's changes."""
        steps = self.steps if trial.steps is None else trial.steps
        content = merged(self.base, trial.change)
        warmup = min(100, steps // 4)
        content["max_steps"] = steps
        content["validate_every"] = steps
        content["schedule"] = {"warmup": warmup, "first_cycle": steps - warmup}
        return content


def merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Return the base with the change laid over it; one that names a `class` replaces all."""
    out = dict(base)
    for key, value in change.items():
        old = out.get(key)
        nested = isinstance(value, dict) and isinstance(old, dict) and "class" not in value
        out[key] = merged(old, value) if nested else value  # type: ignore[arg-type]
    return out
