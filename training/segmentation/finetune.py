"""`python -m training finetune`: a pre-trained encoder learns along with the layer (ALISE^FT)."""

from __future__ import annotations

import argparse
from pathlib import Path

from torch import nn

from .batches import ImageBatches
from .command import add_common_arguments, read_arguments, run_all
from .networks import load_encoder, save_encoder, segmenter

PROJECT = Path(__file__).resolve().parents[2]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    add_common_arguments(parser)
    parser.add_argument(
        "--checkpoint",
        type=Path,
        default=PROJECT / "training" / "checkpoints" / "alise-s2.pt",
        help="model file that pretrain wrote, of ALISE or of U-BARN",
    )


def run(args: argparse.Namespace) -> int:
    """Train encoder and layer on every split, print the table."""
    load_encoder(args.checkpoint)  # a wrong file is said before a large set is opened
    data, protocol = read_arguments(args)

    def make_network() -> nn.Module:
        return segmenter(load_encoder(args.checkpoint), len(data.classes))

    run_all(
        args,
        f"{args.checkpoint.name}, fine-tuned",
        data,
        protocol,
        make_network,
        ImageBatches(data, protocol.crop, protocol.batch_size),
        lambda number, trained: save_encoder(args.out, number, trained.network),
    )
    return 0
