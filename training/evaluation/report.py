"""Figures as Markdown, and their place in MODEL_CARD.md and docs/results.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from training.files import write_file

BEGIN = "<!-- evaluation: written by `python -m training evaluate` -->"
END = "<!-- end of evaluation -->"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table; floats with three decimals, None as a dash."""
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    for row in rows:
        lines.append("| " + " | ".join(cell(value) for value in row) + " |")
    return "\n".join(lines)


def cell(value: object) -> str:
    """Return one cell of a table."""
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def write_between_marks(path: Path, text: str) -> None:
    """Replace what stands between the marks of `path`; without marks it is added at the end."""
    content = path.read_text(encoding="utf-8")
    block = f"{BEGIN}\n\n{text.strip()}\n\n{END}"
    if BEGIN in content and END in content:
        head, rest = content.split(BEGIN, 1)
        content = head + block + rest.split(END, 1)[1]
    else:
        content = content.rstrip() + "\n\n" + block + "\n"
    write_file(path, content.encode())
