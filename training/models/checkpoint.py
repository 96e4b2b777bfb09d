"""A trained `Alise` in one small file: its configuration, its normalisation and its weights."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch

from alise_plugin.errors import AliseError
from training.files import write_file

from .alise import Alise, AliseConfig

T = TypeVar("T", bound=torch.nn.Module)


class ModelFileError(AliseError, ValueError):
    """A file is not there, or is not a model file of a run."""


def save_alise(path: str | Path, model: Alise, **facts: Any) -> None:
    """Write the weights of ``model``, its configuration and ``facts`` (plain numbers and texts)."""
    write_model_file(path, {"config": asdict(model.config), "facts": facts}, model)


def load_alise(path: str | Path) -> tuple[Alise, dict[str, Any]]:
    """Read what `save_alise` wrote: the model in evaluation mode, and the facts.

    Raises:
        ModelFileError: the file is something else.
    """
    content = read_model_file(path)
    if "config" not in content:
        raise ModelFileError(f"{path} is not a model file of ALISE but of U-BARN: give another.")
    return filled(Alise, content["config"], content["state"], path), content["facts"]


def filled(
    kind: Callable[[AliseConfig], T],
    options: dict[str, Any],
    state: dict[str, Any],
    path: str | Path,
) -> T:
    """Return a model of some options and weights, in evaluation mode.

    Raises:
        ModelFileError: the weights are of another model, as those of another version may be.
    """
    try:
        model = kind(AliseConfig.from_dict(options))
        model.load_state_dict(state)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ModelFileError(
            f"{path} is not a model file of this version of the package ({reason})."
        ) from error
    return model.eval()


def write_model_file(path: str | Path, content: dict[str, Any], model: torch.nn.Module) -> None:
    """Write `content` and the weights, whole or not at all: a run that is stopped spoils none."""
    state = {name: value.detach().cpu() for name, value in model.state_dict().items()}
    buffer = io.BytesIO()
    torch.save({**content, "state": state}, buffer)
    write_file(Path(path), buffer.getvalue())


def read_model_file(path: str | Path) -> dict[str, Any]:
    """Return what a model file of either kind holds: `config` or `ubarn`, `state` and `facts`.

    Raises:
        ModelFileError: it is none, or only a part of one.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        if not {"state", "facts"} <= set(content) or not {"config", "ubarn"} & set(content):
            raise ValueError("it holds something else")
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise ModelFileError(f"{path} is not a model file: {error.strerror}.") from error
    except Exception as error:  # whatever torch.load meets in a file of another kind
        raise ModelFileError(
            f"{path} is not a model file of pretrain, or only a part of one: give model.pt or "
            "best.pt of a run."
        ) from error
    return dict(content)
