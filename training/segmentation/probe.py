"""`python -m training probe`: one linear layer on frozen features (ALISE^LP, U-BARN^FR)."""

from __future__ import annotations

import argparse
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
from torch import nn

from alise_plugin.model.encoder import Encoder
from alise_plugin.model.heads.class_head import HeadDescription, write_head
from alise_plugin.model.heads.head_file import Network
from alise_plugin.model.package import ModelPackage, load_package
from training.models.ubarn import UBarn
from training.pretrain.config import ConfigError

from .batches import FeatureBatches, ImageBatches
from .command import MEASURES, add_common_arguments, plain, read_arguments, run_all
from .networks import UBarnSegmenter, linear_head, load_encoder
from .protocol import Trained
from .series import LabelledSet

PROJECT = Path(__file__).resolve().parents[2]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    add_common_arguments(parser)
    parser.add_argument("--model", type=Path, default=PROJECT / "models" / "alise-s2")
    parser.add_argument("--ubarn", type=Path, help="model file of U-BARN, instead of --model")


def run(args: argparse.Namespace) -> int:
    """Train the layer on every split, print the table."""
    data, protocol = read_arguments(args)
    classes = len(data.classes)
    if args.ubarn:
        ubarn = load_encoder(args.ubarn)
        if not isinstance(ubarn, UBarn):
            raise ConfigError(f"{args.ubarn} holds ALISE: give its model package with --model.")
        run_all(
            args,
            f"U-BARN {args.ubarn}, frozen",
            data,
            protocol,
            lambda: UBarnSegmenter(ubarn, classes, frozen=True),
            ImageBatches(data, protocol.crop, protocol.batch_size),
            lambda number, trained: None,
        )
        return 0
    package = load_package(args.model)
    batches = FeatureBatches(
        data, Encoder(package, threads=args.threads), protocol.crop, protocol.batch_size
    )

    def make_network() -> nn.Module:
        return linear_head(package.n_features, classes)

    def keep(number: int, trained: Trained) -> None:
        if args.out:
            path = args.out / f"head_{number}.onnx"
            write_probe(path, trained, data, package, labels=args.config.stem)

    title = f"{package.model_id}, linear probe"
    run_all(args, title, data, protocol, make_network, batches, keep)
    return 0


def write_probe(
    path: Path, trained: Trained, data: LabelledSet, package: ModelPackage, labels: str
) -> None:
    """Write a trained layer as a head, which the plugin maps with.

    Args:
        path: ONNX file; its folder is made.
        trained: an experiment whose network is `linear_head`.
        data: the set, for its classes.
        package: the encoder that made the features.
        labels: what the layer was trained on, for the provenance.
    """
    layer = trained.network
    assert isinstance(layer, nn.Linear)
    assert layer.bias is not None
    weights = layer.weight.detach().numpy().T.astype(np.float32)
    features = len(weights)
    # The paper's layer sees the features as they are: nothing is standardised.
    network = Network(
        np.zeros(features, np.float32),
        np.ones(features, np.float32),
        ((weights, layer.bias.detach().numpy().astype(np.float32)),),
    )
    provenance = {
        "made by": "python -m training probe",
        "when": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "labels": labels,
        "series": len(data),
        "epochs": trained.epochs,
        "test scores": {name: plain(getattr(trained.scores, name)) for name in MEASURES},
    }
    description = HeadDescription(
        data.classes, package.model_id, package.sha256, "linear", provenance
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_head(path, network, description)
