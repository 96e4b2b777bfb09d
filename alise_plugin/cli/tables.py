"""Tables as CSV files."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence

from ..errors import OutputError


def write_table(path: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows of the same columns, which appear when they are complete.

    Raises:
        OutputError: the folder or the disk does not take it.
    """
    temporary = f"{path}.{os.getpid()}.partial"
    try:
        with open(temporary, "w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, list(rows[0]) if rows else [])
            table.writeheader()
            table.writerows(rows)
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror}).") from error
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)
