"""`python -m training COMMAND`: pretrain, export, and what measures (see COMMANDS)."""

from __future__ import annotations

import argparse
import importlib
import sys

from alise_plugin.errors import AliseError

# Where each command lives, and what it says of itself.
COMMANDS = {
    "gather": (
        "training.data.gather.command",
        "bring real series of public repositories into one folder",
    ),
    "pretrain": ("training.pretrain.command", "train a model on series without labels"),
    "distill": ("training.pretrain.command", "train a small encoder on what a trained one gives"),
    "average": ("training.models.average", "the mean of the weights of several runs"),
    "export": ("training.export.command", "write a trained model as a package for the plugin"),
    "probe": ("training.segmentation.probe", "segment with one layer on frozen features"),
    "finetune": ("training.segmentation.finetune", "segment, a pre-trained encoder learns along"),
    "supervise": ("training.segmentation.supervise", "segment, everything from random weights"),
    "change": ("training.change.command", "measure change between two years without training"),
    "compact": ("training.export.compact", "give a model package its compact form (64 bytes)"),
    "half": ("training.export.half", "give a model package its half-precision graphs, for GPUs"),
    "trials": ("training.trials.command", "short trainings side by side, a table and curves"),
    "evaluate": ("training.evaluation.command", "measure a model package, print its tables"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run the command that the first argument names; 2 where the user has something to change."""
    parser = argparse.ArgumentParser(prog="python -m training")
    commands = parser.add_subparsers(dest="command", required=True)
    arguments = sys.argv[1:] if arguments is None else arguments
    for name, (module_name, text) in COMMANDS.items():
        sub = commands.add_parser(name, help=text)
        if arguments[:1] == [name]:
            # Imported only when asked for: each brings libraries of its own.
            module = importlib.import_module(module_name)
            module.add_arguments(sub)
            sub.set_defaults(run=module.run)
    args = parser.parse_args(arguments)
    try:
        return int(args.run(args))
    except AliseError as error:
        print(f"python -m training {args.command}: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
