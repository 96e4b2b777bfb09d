"""Tables as CSV files."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence

from ..whole_files import whole_file


def write_table(path: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows of the same columns, which appear when they are complete.

    Raises:
        OutputError: the folder or the disk does not take it.
    """
    with (
        whole_file(path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as file,
    ):
        table = csv.DictWriter(file, list(rows[0]) if rows else [])
        table.writeheader()
        table.writerows(rows)
