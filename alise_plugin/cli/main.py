"""`python -m alise_plugin COMMAND`: what each algorithm does, under the name that it has in QGIS.

Parameters are those of the algorithms in lower case, with dashes: MINIMUM_AREA is --minimum-area.
Results are printed as `NAME: value` lines, progress and messages go to standard error.

Exit codes: 0 done; 1 a mistake that one sentence explains; 2 the command line is wrong;
130 stopped by Ctrl-C or SIGTERM, which leave nothing half-written.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from ..errors import OUT_OF_MEMORY, AliseError, Cancelled
from .progress import Progress

# Where each command lives, and what it says of itself.
COMMANDS = {
    "buildtimeseries": "put rasters of several dates into one image series (VRT)",
    "embed": "turn an image series into one vector of features per pixel",
    "trainclassifier": "learn classes from labels: a head and a report of its accuracy",
    "findclasses": "find classes without labels: a head of pixels that are alike",
    "findsimilar": "map where else it looks like at a few examples",
    "segment": "map the classes of a head",
    "trainregression": "learn to estimate what was measured: a head and its report",
    "estimatevalues": "map the value of a head",
    "drawsample": "draw the stratified random points that a class map is judged by",
    "assessaccuracy": "compare a class map with reference labels and estimate true areas",
    "detectchange": "map what changed between two years",
    "reconstruct": "show the ground without clouds on any day, as the model expects it",
}
DONE, MISTAKE, STOPPED = 0, 1, 130


def parser_for(command: str | None) -> argparse.ArgumentParser:
    """The parser; only the named command's options are declared, for each imports its own room."""
    parser = argparse.ArgumentParser(
        prog="python -m alise_plugin",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in COMMANDS.items():
        sub = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        if name == command:
            module = importlib.import_module(f".{name}", __package__)
            module.add_arguments(sub)
            sub.add_argument("--quiet", action="store_true", help="no progress, no messages")
            sub.set_defaults(run=module.run)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the first argument names; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    args = parser_for(given[0] if given else None).parse_args(given)
    with Progress(quiet=args.quiet) as feedback:
        try:
            results = args.run(args, feedback)
        except Cancelled as error:
            feedback.end()
            print(f"python -m alise_plugin {args.command}: {error}", file=sys.stderr)
            return STOPPED
        except (AliseError, MemoryError) as error:
            feedback.end()
            text = OUT_OF_MEMORY if isinstance(error, MemoryError) else error
            print(f"python -m alise_plugin {args.command}: {text}", file=sys.stderr)
            return MISTAKE
    for name, value in results.items():
        if value not in (None, ""):
            _print(f"{name}: {value}")
    return DONE


def _print(text: str) -> None:
    """To standard output, also where that has no letters for the name of a file."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding))
