"""A trained `Alise` in one small file: its configuration, its normalisation and its weights."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from .alise import Alise, AliseConfig


def save_alise(path: str | Path, model: Alise, **facts: Any) -> None:
    """Write the weights of ``model``, its configuration and ``facts`` (plain numbers and texts)."""
    state = {name: value.detach().cpu() for name, value in model.state_dict().items()}
    torch.save({"config": asdict(model.config), "state": state, "facts": facts}, path)


def load_alise(path: str | Path) -> tuple[Alise, dict[str, Any]]:
    """Read what `save_alise` wrote: the model in evaluation mode, and the facts.

    Raises:
        ValueError: the file is something else.
    """
    content = torch.load(path, map_location="cpu", weights_only=True)
    if not {"config", "state", "facts"} <= set(content):
        raise ValueError(f"{path} is not a model of save_alise")
    model = Alise(AliseConfig.from_dict(content["config"]))
    model.load_state_dict(content["state"])
    return model.eval(), content["facts"]
