"""What a pre-training is, read from a YAML file."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import torch
import yaml
from torch.utils.data import IterableDataset

from alise_plugin.errors import AliseError
from alise_plugin.sentinel2 import BANDS
from training.models.alise import Alise, AliseConfig
from training.models.ubarn import UBarn

T = TypeVar("T")
# What a number may be, and how that is said.
Limit = tuple[Callable[[float], bool], str]
COUNT: Limit = (lambda x: x >= 1, "1 or more")
POSITIVE: Limit = (lambda x: x > 0, "more than 0")
NOT_NEGATIVE: Limit = (lambda x: x >= 0, "0 or more")
SHARE: Limit = (lambda x: 0 <= x <= 1, "0 to 1")
DECAY: Limit = (lambda x: 0 <= x < 1, "0 to less than 1")
SEED: Limit = (lambda x: 0 <= x < 2**32, "0 to 4294967295")
SCHEDULE_LIMITS = {"warmup": NOT_NEGATIVE, "first_cycle": COUNT, "growth": COUNT, "floor": SHARE}
LIMITS = {
    **dict.fromkeys(("window", "d_embedding", "pixels_per_patch"), COUNT),
    **dict.fromkeys(("max_steps", "validate_every"), COUNT),
    **dict.fromkeys(("weight_reconstruction", "weight_invariance"), NOT_NEGATIVE),
    **dict.fromkeys(("weight_covariance", "weight_decay", "gradient_clip"), NOT_NEGATIVE),
    **dict.fromkeys(("drop_dates", "gaps", "drop_bands", "masking_rate"), SHARE),
    "longest_gap": NOT_NEGATIVE,
    "linear_from": POSITIVE,
    "learning_rate": POSITIVE,
    "ema": DECAY,
    "seed": SEED,
}
# What has a meaning only for weights that another run has made.
OF_A_BEGINNING = ("keep_statistics", "concentrate", "freeze_spatial", "freeze_encoder")
NOT_OF = {
    "ubarn": ("init_from", *OF_A_BEGINNING, "bfloat16", "linear_from"),
    "distill": (
        *OF_A_BEGINNING, "bfloat16", "linear_from", "window", "masking_rate", "d_embedding",
        "weight_reconstruction", "weight_invariance", "weight_covariance",
    ),
}  # fmt: skip
OF_A_UNET = ("keep_statistics", "concentrate", "bfloat16")
METHODS = ("alise", "ubarn", "distill")


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
        method: "alise", the two views of the paper, "ubarn", masked dates, or "distill", the
            vectors of a teacher.
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
        teacher: model file whose vectors "distill" learns.
        init_from: model file that the weights start from.
        keep_statistics: whether batch normalisation uses the statistics of `init_from`, which
            batches of several sources would pull to and fro.
        concentrate: whether weights trained on pixels begin on images (`unet.concentrate`).
        freeze_spatial: whether the U-Net keeps the weights of `init_from`: the rest learns faster.
        freeze_encoder: whether everything but the decoder keeps the weights of `init_from`:
            embeddings stay what they were. It needs `keep_statistics`.
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
    teacher: str | None = None
    init_from: str | None = None
    keep_statistics: bool = False
    concentrate: bool = False
    freeze_spatial: bool = False
    freeze_encoder: bool = False
    bfloat16: bool = False

    @classmethod
    def read(cls, path: Path) -> PretrainConfig:
        """Read a YAML file.

        Raises:
            ConfigError: the file is missing or no YAML, or as `from_dict`.
        """
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(f"{path} cannot be read as a YAML file: {error}") from error
        if not isinstance(content, dict):
            raise ConfigError(f"{path} holds no options; see training/configs for examples")
        try:
            return cls.from_dict(content)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> PretrainConfig:
        """Return from the options of a YAML file.

        Raises:
            ConfigError: an option does not exist or is not of its kind, a source is missing, no
                model can be built, the optimiser or the method is none of two, or an option lacks
                another one that it needs.
        """
        content = dict(content)
        content["schedule"] = known(Schedule, content.get("schedule", {}), SCHEDULE_LIMITS)
        config = known(cls, content, LIMITS)
        check(int, "validation: batches", config.validation.get("batches", 1), COUNT)
        if config.method not in METHODS:
            raise ConfigError(f"the method is {config.method!r}; write {', '.join(METHODS)}")
        if (config.method == "distill") != (config.teacher is not None):
            raise ConfigError("method: distill and teacher, a model file, belong together")
        if config.optimizer not in ("adam", "adamw"):
            raise ConfigError(f"the optimizer is {config.optimizer!r}; write adam or adamw")
        if vain := set(NOT_OF.get(config.method, ())) & set(content):
            raise ConfigError(f"the method {config.method} knows no {', '.join(sorted(vain))}")
        if not config.init_from and (vain := {n for n in OF_A_BEGINNING if getattr(config, n)}):
            raise ConfigError(f"{', '.join(sorted(vain))} without init_from: name a model file")
        config.check_model()
        additive = AliseConfig.from_dict(config.model).additive
        if config.freeze_encoder and not (config.keep_statistics or additive):
            raise ConfigError("freeze_encoder without keep_statistics: set both to true")
        return config

    def check_model(self) -> None:
        """Raise ConfigError where no model can be built, or one of other bands."""
        for name, hint in get_type_hints(AliseConfig).items():
            if name in self.model:
                check(hint, f"model: {name}", self.model[name])
        try:
            # Nothing is drawn and no memory is taken.
            with torch.device("meta"):
                built = AliseConfig.from_dict(self.model)
                (UBarn if self.method == "ubarn" else Alise)(built)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"model: {error}") from error
        if built.additive and (vain := [n for n in OF_A_UNET if getattr(self, n)]):
            raise ConfigError(f"an additive model has no U-Net for {', '.join(vain)}")
        if built.bands != len(BANDS):
            raise ConfigError(f"model: bands is {built.bands}; all sources have {len(BANDS)}")


def known(kind: type[T], options: Any, limits: Mapping[str, Limit] | None = None) -> T:
    """Return an instance of a dataclass from options.

    Raises:
        ConfigError: an option is unknown or not of its kind, or one that it needs is missing.
    """
    if not isinstance(options, dict):
        raise ConfigError(f"{options!r} stands where options should, each with its name")
    unknown = {str(name) for name in options} - {one.name for one in fields(kind)}  # type: ignore[arg-type]
    if unknown:
        raise ConfigError(f"unknown options {', '.join(sorted(unknown))}")
    hints = get_type_hints(kind)
    for name, value in options.items():
        check(hints[name], name, value, (limits or {}).get(name))
    try:
        return kind(**options)
    except TypeError as error:
        raise ConfigError(str(error).partition("() ")[2]) from error


def check(hint: Any, name: str, value: object, limit: Limit | None = None) -> None:
    """Look at the kind of a value as a YAML file gives it; lists are not looked into.

    Args:
        hint: type of a field.
        name: for the message.
        value: of it.
        limit: of a number.

    Raises:
        ConfigError: it is of another kind, or beyond the limit.
    """
    hints = get_args(hint) if type(None) in get_args(hint) else (hint,)
    kinds = [get_origin(one) or one for one in hints]
    if value is None and type(None) in kinds:
        return
    said = {
        int: "a whole number", bool: "true or false", str: "a text, in quotes",
        dict: "options, each with its name",
        float: "a number (1e-3 is a text for YAML, 1.0e-3 is none)",
    }  # fmt: skip
    wanted = next((one for one in kinds if one in said), None)
    if wanted is None:
        return
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    fits = is_number if wanted is float else isinstance(value, wanted)
    if not fits or (wanted is int and isinstance(value, bool)):
        raise ConfigError(f"{name} is {value!r}; write {said[wanted]}")
    if limit and isinstance(value, (int, float)) and not limit[0](value):
        raise ConfigError(f"{name} is {value}; write {limit[1]}")


def make_source(description: dict[str, Any], seed: int) -> IterableDataset[dict[str, Any]]:
    """Return the source of batches that a configuration describes.

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
