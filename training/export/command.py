"""`python -m training export`: a checkpoint, or random weights, to a model package."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from alise_plugin.errors import AliseError
from alise_plugin.model.package import load_package
from training.models.alise import PRESETS, Alise, AliseConfig
from training.models.checkpoint import load_alise
from training.pretext.normalise import EUROPE

from .compact import add_compact
from .half import add_half
from .package import replace_decoder, sees_whole_tile, write_package

# Stands until somebody who knows the model writes a card.
CARD = """# {name} {version}

ALISE (arXiv 2407.08448): {parameters} parameters, exported by `python -m training export`.

## Training

{facts}

## Scores

Not measured yet: `python -m training evaluate --model FOLDER` measures them.

## Limits

{limits}
"""
NO_LIMITS = "Not stated yet."
SEAMS = (
    "Group normalisation makes each pixel depend on its whole tile: maps show seams between tiles, "
    "and cropping changes values. Use it to compare models, not to make maps."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--checkpoint", type=Path, help="model file that pretrain wrote")
    source.add_argument(
        "--untrained", action="store_true", help="random weights, to compare and to test"
    )
    parser.add_argument(
        "--preset", choices=sorted(PRESETS), default="bundled", help="of --untrained"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the package")
    parser.add_argument("--name", required=True)
    parser.add_argument("--version", default="0.1.0")
    parser.add_argument(
        "--keep-encoder",
        action="store_true",
        help="only replace the decoder of the package in --out, whose encoder is the same",
    )
    parser.add_argument("--card", type=Path, help="text for MODEL_CARD.md")
    parser.add_argument(
        "--compact",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="learn the compact form of a checkpoint too (see `compact`)",
    )
    parser.add_argument(
        "--half",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="write the graphs in half precision too (see `half`)",
    )


def run(args: argparse.Namespace) -> int:
    """Write the package and say where.

    Raises:
        ModelFileError: the checkpoint is none.
        ModelPackageError: the package whose encoder is to be kept has another one.
        AliseError: the card cannot be read.
    """
    if args.untrained:
        model, facts = untrained(args.preset), {"training": "none, random weights"}
    else:
        model, facts = load_alise(args.checkpoint)
    if args.keep_encoder:
        replace_decoder(model, args.out, args.version)
        print(f"{args.out}: {load_package(args.out).model_id}, its encoder as it was")
        return 0
    write_package(
        model,
        args.out,
        name=args.name,
        version=args.version,
        statistics=np.stack([EUROPE.median, EUROPE.q05, EUROPE.q95]),
        card=_card(args, model, facts),
    )
    print(f"{args.out}: {args.name} {args.version}, {model.encoder_parameters()} parameters")
    if args.compact and args.checkpoint:
        variance = add_compact(args.out)
        print(f"its compact form keeps {100 * variance:.2f} % of the variance")
    # The graphs in half precision are for the U-Net on a GPU; a token network needs none.
    if args.half and not model.config.additive:
        print(f"its graphs in half precision take {add_half(args.out) / 1e6:.2f} MB")
    if sees_whole_tile(model.config):
        print(f"Caution: {SEAMS}")
    return 0


def _card(args: argparse.Namespace, model: Alise, facts: dict[str, Any]) -> str:
    if args.card:
        try:
            return str(args.card.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise AliseError(f"The card {args.card} cannot be read: {error}.") from error
    return CARD.format(
        name=args.name,
        version=args.version,
        parameters=model.encoder_parameters(),
        facts="\n".join(f"- {key}: {value}" for key, value in facts.items()) or "Not stated.",
        limits=SEAMS if sees_whole_tile(model.config) else NO_LIMITS,
    )


def untrained(preset: str, seed: int = 0) -> Alise:
    """Return a model with random weights, also in its normalisations, to show folding."""
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
