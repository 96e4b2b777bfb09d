"""`python -m training export`: a checkpoint, or random weights, to a model package."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import nn
from training.pretext.normalise import EUROPE

from training.models.alise import Alise, AliseConfig
from training.models.checkpoint import load_alise

from .package import write_package

CARD = """# {name} {version}

ALISE (arXiv 2407.08448), exported by `python -m training export`.

{facts}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--checkpoint", type=Path, help="model file that pretrain wrote")
    source.add_argument(
        "--untrained", metavar="PRESET", help="random weights of a preset, to compare and to test"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the package")
    parser.add_argument("--name", required=True)
    parser.add_argument("--version", default="0.1.0")
    parser.add_argument("--card", type=Path, help="text for MODEL_CARD.md")


def run(args: argparse.Namespace) -> int:
    """Write the package and say where."""
    if args.untrained:
        model, facts = untrained(args.untrained), {"training": "none: random weights"}
    else:
        model, facts = load_alise(args.checkpoint)
    listed = "\n".join(f"- {key}: {value}" for key, value in facts.items())
    card = (
        args.card.read_text(encoding="utf-8")
        if args.card
        else CARD.format(name=args.name, version=args.version, facts=listed)
    )
    statistics = np.stack([EUROPE.median, EUROPE.q05, EUROPE.q95])
    write_package(
        model, args.out, name=args.name, version=args.version, statistics=statistics, card=card
    )
    print(f"{args.out}: {args.name} {args.version}, {model.encoder_parameters()} parameters")
    return 0


def untrained(preset: str, seed: int = 0) -> Alise:
    """A model with random weights, also in its normalisations, so that folding them shows."""
    torch.manual_seed(seed)
    model = Alise(AliseConfig.from_dict({"preset": preset}))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
    return model.eval()
