"""Options that several commands share, and what their values become."""

from __future__ import annotations

import argparse
import math
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from ..errors import AliseError, OutputError, SeriesError
from ..feedback import Feedback
from ..mapping.features.source import FeatureSource, open_source
from ..model.device import DEVICES
from ..model.encoder import Encoder
from ..model.package import PRECISIONS, load_package
from ..sits.acquisitions import parse_date
from ..sits.build import build_series
from ..sits.grid import Grid

BUNDLED_MODEL = Path(__file__).resolve().parents[2] / "models" / "alise-s2"


def add_input(
    parser: argparse.ArgumentParser, name: str = "--input", text: str = "", required: bool = True
) -> None:
    """--input, one or more rasters."""
    parser.add_argument(
        name,
        nargs="+",
        default=[],
        required=required,
        metavar="RASTER",
        help=text or "an image series, or one raster per date",
    )


def add_dates(parser: argparse.ArgumentParser, name: str = "--dates") -> None:
    """--dates, for rasters that do not say theirs."""
    parser.add_argument(
        name,
        nargs="+",
        type=day,
        metavar="DATE",
        help="dates, when the rasters do not say: 2019-05-14 2019-05-29 ...",
    )


def add_model(parser: argparse.ArgumentParser) -> None:
    """--model."""
    parser.add_argument("--model", default="", help="folder of a model (default: the bundled one)")


def add_extent(parser: argparse.ArgumentParser) -> None:
    """--extent."""
    parser.add_argument(
        "--extent",
        nargs=4,
        type=float,
        metavar=("XMIN", "YMIN", "XMAX", "YMAX"),
        help="in the CRS of the input (default: all)",
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """--device, --precision and --threads."""
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="float32",
        help="float16: for a GPU, within 1 %% (float32)",
    )
    parser.add_argument("--threads", type=ranged(0, kind=int), default=0, help="0: all cores")


def add_engine(parser: argparse.ArgumentParser) -> None:
    """--device, --precision, --threads, --memory and --tile-size."""
    add_device(parser)
    count = ranged(0, kind=int)
    parser.add_argument("--memory", type=count, default=2048, help="MB to use at most (2048)")
    parser.add_argument(
        "--tile-size", type=count, default=0, help="pixels; 0: as large as the memory allows"
    )


def encoder_of(args: argparse.Namespace) -> Encoder:
    """The encoder that --model, --device, --precision and --threads ask for."""
    package = load_package(args.model or BUNDLED_MODEL)
    return package.encoder(args.device, args.threads or None, args.precision)


@contextmanager
def opened(
    paths: Sequence[str], dates: Sequence[date] | None, feedback: Feedback
) -> Iterator[FeatureSource]:
    """One image series or embedding raster; a temporary series of anything else.

    Raises:
        SeriesError: the rasters make no series.
    """
    if len(paths) == 1 and not dates:
        try:
            source = open_source(paths[0])
        except SeriesError:
            # Not yet a series; what makes one of it says best what is wrong with it.
            feedback.info("Building an image series of the input.")
        else:
            yield source
            return
    with tempfile.TemporaryDirectory(prefix="alise-") as folder:
        path = os.path.join(folder, "series.vrt")
        yield build_series(list(paths), path, dates=list(dates) if dates else None)


def require_ending(path: str, endings: Sequence[str], what: str) -> None:
    """Make sure that an output has the right file type.

    Raises:
        OutputError: it has another.
    """
    if path and Path(path).suffix.lower() not in endings:
        raise OutputError(f"{path}: {what}, let its name end in {endings[0]}.")


def day(text: str) -> date:
    """A date written as 2019-05-14."""
    found = parse_date(text)
    if found is None or not re.fullmatch(r"\d{4}-\d\d-\d\d|\d{8}", text):
        raise argparse.ArgumentTypeError(f'"{text}" is not a date such as 2019-05-14')
    return found


def days_as_text(days: Sequence[date]) -> str:
    """Dates as the algorithms return them."""
    return ", ".join(one.isoformat() for one in days)


def ranged(
    least: float, most: float = math.inf, kind: Callable[[str], float] = float
) -> Callable[[str], float]:
    """What turns the text of an option into a number of a range, which is finite.

    Args:
        least, most: of the range; those of the algorithm's parameter.
        kind: int for whole numbers.
    """

    def parsed(text: str) -> float:
        value = kind(text)
        if not least <= value <= most or math.isinf(value):
            range_text = f"from {least:g} to {most:g}" if most < math.inf else f"{least:g} or more"
            raise argparse.ArgumentTypeError(f"{text} is not {range_text}")
        return value

    parsed.__name__ = kind.__name__  # argparse names it where the text is no number
    return parsed


def add_seed(parser: argparse.ArgumentParser) -> None:
    """--seed."""
    parser.add_argument("--seed", type=ranged(0, 2**31 - 1, int), default=0)


def extent_or_none(args: argparse.Namespace, grid: Grid) -> Sequence[float] | None:
    """--extent, checked.

    Raises:
        AliseError: it is upside down, or endless.
    """
    if not args.extent:
        return None
    xmin, ymin, xmax, ymax = args.extent
    if not (xmin < xmax and ymin < ymax and all(map(math.isfinite, args.extent))):
        raise AliseError(
            "--extent is empty, endless or turned round: give xmin, ymin, xmax and ymax, in the "
            "CRS of the input, which covers "
            f"{' '.join(f'{value:.10g}' for value in grid.extent)}."
        )
    return args.extent
