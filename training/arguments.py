"""Numbers as the commands take them; argparse says what is wrong with others."""

from __future__ import annotations


def positive(text: str) -> int:
    """A number of at least one, for argparse.

    Raises:
        ValueError: it is none.
    """
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def not_negative(text: str) -> int:
    """A number of at least zero, as `positive`."""
    return positive(text) if int(text) else 0


def minutes(text: str) -> float:
    """More than none, as `positive`."""
    number = float(text)
    if not number > 0:
        raise ValueError(text)
    return number
