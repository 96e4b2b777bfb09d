"""What a pre-training is, read from a YAML file."""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import yaml
from torch.utils.data import IterableDataset

from alise_plugin.errors import AliseError
from training.models.alise import AliseConfig

T = TypeVar("T")


class ConfigError(AliseError, ValueError):
    """A configuration asks for something that does not exist."""


@dataclass(frozen=True)
class Schedule:
    """Cosine annealing with warm restarts (paper, section III-C), counted in steps.

    Attributes:
        warmup: steps of linear growth before it.
        first_cycle: steps of the first cycle.
        growth: each cycle is this many times as long as the one before.
        floor: learning rate at the end of a cycle, as a share of the largest.
    """

    warmup: int = 100
    first_cycle: int = 1000
    growth: int = 1
    floor: float = 0.01


@dataclass(frozen=True)
class PretrainConfig:
    """Every choice of a pre-training run.

    Attributes:
        method: "alise", the two views of the paper, or "ubarn", masked dates.
        model: preset and changed options of the architecture (`AliseConfig.from_dict`).
        train: source of training batches, `class` (module:name) and its arguments.
        validation: source of validation batches, with `batches`, how many of them.
        window: t_w, successive dates of one view (Eq. 3).
        weight_reconstruction, weight_invariance, weight_covariance: of Eq. 2.
        d_embedding: d_emb, width of the embedding head.
        drop_dates: greatest share of a view's dates that is hidden.
        gaps: share of the series that lose all dates of some spell.
        longest_gap: days that such a spell lasts at most.
        drop_bands: share of the series that lose bands.
        linear_from: errors of real targets, normalised, that are larger grow linearly in the loss.
        pixels_per_patch: pixels of a patch that go through the temporal part and the loss.
        optimizer: "adam" or "adamw".
        learning_rate: the largest.
        weight_decay: of AdamW.
        gradient_clip: largest norm of the gradient.
        ema: decay of the averaged weights, which are the ones that are kept; 0 averages nothing.
        max_steps: where training ends.
        validate_every: steps between validations and checkpoints.
        schedule: of the learning rate.
        masking_rate: share of the dates that "ubarn" corrupts.
        seed: of everything random.
        init_from: model file that the weights start from.
        keep_statistics: whether batch normalisation uses the statistics of `init_from`, which
            batches of several sources would pull to and fro.
        concentrate: whether weights trained on pixels begin on images (`unet.concentrate`).
        freeze_spatial: whether the U-Net keeps the weights of `init_from`: the rest learns faster.
        bfloat16: whether the U-Net runs in that precision on a CPU: about three times as fast on
            images where the processor has matrix instructions for it, slower where not.
    """

    train: dict[str, Any]
    validation: dict[str, Any]
    method: str = "alise"
    model: dict[str, Any] = field(default_factory=dict)
    window: int = 2
    weight_reconstruction: float = 1.0
    weight_invariance: float = 1.0
    weight_covariance: float = 0.0
    d_embedding: int = 128
    drop_dates: float = 0.6
    gaps: float = 0.0
    longest_gap: float = 120.0
    drop_bands: float = 0.3
    linear_from: float = math.inf
    pixels_per_patch: int = 64
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    gradient_clip: float = 1.0
    ema: float = 0.999
    max_steps: int = 1000
    validate_every: int = 200
    schedule: Schedule = field(default_factory=Schedule)
    masking_rate: float = 0.6
    seed: int = 0
    init_from: str | None = None
    keep_statistics: bool = False
    concentrate: bool = False
    freeze_spatial: bool = False
    bfloat16: bool = False

    @classmethod
    def read(cls, path: Path) -> PretrainConfig:
        """Read a YAML file.

        Raises:
            ConfigError: the file is missing or no YAML, or as `from_dict`.
        """
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as error:
            raise ConfigError(f"{path} cannot be read as a YAML file: {error}") from error
        if not isinstance(content, dict):
            raise ConfigError(f"{path} holds no options; see training/configs for examples")
        try:
            return cls.from_dict(content)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> PretrainConfig:
        """From the options of a YAML file.

        Raises:
            ConfigError: an option does not exist, a source is missing, or the optimiser or the
                method is none of two.
        """
        content = dict(content)
        try:
            content["schedule"] = known(Schedule, content.get("schedule", {}))
            config = known(cls, content)
            AliseConfig.from_dict(config.model)
        except (TypeError, ValueError) as error:
            raise ConfigError(str(error)) from error
        if config.method not in ("alise", "ubarn"):
            raise ConfigError(f"the method is {config.method!r}; write alise or ubarn")
        if config.optimizer not in ("adam", "adamw"):
            raise ConfigError(f"the optimizer is {config.optimizer!r}; write adam or adamw")
        return config


def known(kind: type[T], options: dict[str, Any]) -> T:
    """An instance of a dataclass from options.

    Raises:
        ConfigError: an option is unknown, or one that it needs is missing.
    """
    unknown = set(options) - {one.name for one in fields(kind)}  # type: ignore[arg-type]
    if unknown:
        raise ConfigError(f"unknown options {', '.join(sorted(unknown))}")
    try:
        return kind(**options)
    except TypeError as error:
        raise ConfigError(str(error).partition("() ")[2]) from error


def make_source(description: dict[str, Any], seed: int) -> IterableDataset[dict[str, Any]]:
    """The source of batches that a configuration describes.

    Args:
        description: `class` as module:name, and its arguments.
        seed: handed to it.

    Raises:
        ConfigError: there is no such class, or it does not take these arguments.
    """
    arguments = dict(description)
    place = str(arguments.pop("class", ""))
    module, _, name = place.partition(":")
    try:
        source_class = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"no source of batches at {place!r}; write module:Class") from error
    try:
        source: IterableDataset[dict[str, Any]] = source_class(seed=seed, **arguments)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{place} does not take these arguments: {error}") from error
    return source
