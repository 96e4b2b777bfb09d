"""`python -m training supervise`: the same network from random weights (ALISE^FS, U-BARN^FS)."""

from __future__ import annotations

import argparse

from torch import nn

from training.models.alise import PRESETS, Alise, AliseConfig
from training.models.ubarn import UBarn

from .batches import ImageBatches
from .command import add_common_arguments, read_arguments, run_all
from .networks import save_encoder, segmenter


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    add_common_arguments(parser)
    parser.add_argument("--preset", choices=sorted(PRESETS), default="bundled")
    parser.add_argument("--ubarn", action="store_true", help="U-BARN instead of ALISE")


def run(args: argparse.Namespace) -> int:
    """Train on every split, print the table."""
    data, protocol = read_arguments(args)
    config = AliseConfig.from_dict({"preset": args.preset})
    kind = UBarn if args.ubarn else Alise

    def make_network() -> nn.Module:
        return segmenter(kind(config), len(data.classes))

    run_all(
        args,
        f"{'U-BARN' if args.ubarn else 'ALISE'} {args.preset}, fully supervised",
        data,
        protocol,
        make_network,
        ImageBatches(data, protocol.crop, protocol.batch_size),
        lambda number, trained: save_encoder(args.out, number, trained.network),
    )
    return 0
