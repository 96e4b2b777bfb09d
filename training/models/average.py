"""`python -m training average`: the mean of the weights of several runs as one model file.

Runs that began from the same weights lie in one valley; their mean is often better than each
(Wortsman et al. 2022, "Model soups", arXiv 2203.05482).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

from alise_plugin.errors import AliseError

from .alise import Alise
from .checkpoint import load_alise, save_alise


class AverageError(AliseError):
    """The files have no mean."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("models", type=Path, nargs="+", help="model files of runs")
    parser.add_argument(
        "--shares", type=float, nargs="+", help="of each in the mean, in any unit; equal by default"
    )
    parser.add_argument("--out", type=Path, required=True, help="model file to write")


def run(args: argparse.Namespace) -> int:
    """Write the mean."""
    model = average(args.models, args.shares)
    save_alise(args.out, model)
    print(f"{args.out}: mean of {len(args.models)} models")
    return 0


def average(paths: Sequence[Path], shares: Sequence[float] | None = None) -> Alise:
    """Return the mean of models of one architecture.

    Args:
        paths: their files.
        shares: positive, one for each; divided by their sum. Equal if not given.

    Raises:
        AverageError: architectures differ, or the shares do not fit.
        ModelFileError: a file is no model.
    """
    shares = [1.0] * len(paths) if shares is None else shares
    if len(shares) != len(paths) or not all(0 < share < math.inf for share in shares):
        raise AverageError(
            f"{len(paths)} models need as many positive shares; got {', '.join(map(str, shares))}."
        )
    models = [load_alise(path)[0] for path in paths]
    mean = models[0]
    if any(model.config != mean.config for model in models):
        raise AverageError("The models have different architectures: average runs of one.")
    parts = [share / sum(shares) for share in shares]
    states = [model.state_dict() for model in models]
    mean.load_state_dict(
        {
            name: value
            if not value.is_floating_point()
            else sum(part * state[name].double() for part, state in zip(parts, states, strict=True))
            for name, value in states[0].items()
        }
    )
    return mean
