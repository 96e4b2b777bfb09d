"""`alise COMMAND`, or `python -m alise_plugin COMMAND`: each operation, under its name in QGIS.

Options are the parameters of QGIS in lower case, with dashes: MINIMUM_AREA is --minimum-area.
Results are printed as `NAME: value` lines, progress and messages go to standard error.

Exit codes: 0 done; 1 a mistake that one sentence explains; 2 the command line is wrong;
130 stopped by Ctrl-C or SIGTERM, which leave nothing half-written.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence

from ..errors import OUT_OF_MEMORY, AliseError, Cancelled
from ..operations.catalogue import OPERATIONS
from ..operations.operation import Operation
from .options import add_options, given_in
from .progress import Progress

DONE, MISTAKE, STOPPED = 0, 1, 130


def parser_for(command: str | None) -> argparse.ArgumentParser:
    """Return the parser, with the options of one command.

    Args:
        command: first argument of the command line.
    """
    parser = argparse.ArgumentParser(
        prog=_program(),
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, operation in OPERATIONS.items():
        sub = commands.add_parser(name, help=operation.summary, description=operation.summary)
        if name == command:
            add_options(sub, operation)
            sub.add_argument("--quiet", action="store_true", help="Print no progress or messages.")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the first argument names; return the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    args = parser_for(given[0] if given else None).parse_args(given)
    operation = OPERATIONS[args.command]
    with Progress(quiet=args.quiet) as feedback:
        try:
            results = operation(given_in(operation, args), feedback)
        except (AliseError, MemoryError) as error:
            feedback.end()
            text = OUT_OF_MEMORY if isinstance(error, MemoryError) else str(error)
            sentence = with_option_names(text, operation)
            print(f"{_program()} {args.command}: {sentence}", file=sys.stderr)
            return STOPPED if isinstance(error, Cancelled) else MISTAKE
    for name, value in results.values.items():
        if value not in (None, "") and value == value:  # a figure that is not defined is NaN
            _print(f"{name}: {value}")
    return DONE


def _program() -> str:
    """Return what the user typed before the command."""
    name = os.path.basename(sys.argv[0])
    return "alise" if name.startswith("alise") else "python -m alise_plugin"


def with_option_names(text: str, operation: Operation) -> str:
    """Return a sentence in which parameters have their names on the command line."""
    for parameter in sorted(operation.parameters, key=lambda one: -len(one.name)):
        text = re.sub(
            rf"(?<![\w./\\\"'-]){parameter.name}(?![\w/\\\"'-]|\.\w)", parameter.option, text
        )
    return text


def _print(text: str) -> None:
    """Print to standard output, also if it has no letters for the name of a file."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding))
