"""Numbers and files as the commands take them; argparse says what is wrong with others."""

from __future__ import annotations

import argparse
from pathlib import Path


def positive(text: str) -> int:
    """Return a number of at least one, for argparse.

    Raises:
        ValueError: it is none.
    """
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def not_negative(text: str) -> int:
    """Return a number of at least zero, as `positive`."""
    return positive(text) if int(text) else 0


def minutes(text: str) -> float:
    """Return more than none, as `positive`."""
    number = float(text)
    if not number > 0:
        raise ValueError(text)
    return number


def existing(text: str) -> Path:
    """Return a file or folder that is there, for argparse.

    Raises:
        ArgumentTypeError: it is not.
    """
    if not Path(text).exists():
        raise argparse.ArgumentTypeError(f"there is no {text}")
    return Path(text)
