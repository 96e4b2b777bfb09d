"""Tables of the accuracy of classes, for reports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import html_page
from ...model.heads.class_head import MapClass
from .charts import confusion_chart
from .metrics import OVERALL, Interval


def overall_table(overall: dict[str, Interval]) -> str:
    """Return the overall figures of a report with their intervals."""
    rows = [[name, overall[name].value, range_text(overall[name])] for name in OVERALL]
    return html_page.table(["measure", "value", "95 % interval"], rows)


def class_table(
    classes: Sequence[MapClass],
    by_class: Sequence[dict[str, Interval]],
    groups: NDArray[np.int64],
    samples: NDArray[np.int64],
) -> str:
    """Return the figures of each class with their intervals."""
    header = ["code", "class", "groups", "samples"]
    for name in ("precision", "recall", "F1", "IoU"):
        header += [name, ""]
    rows: list[list[object]] = []
    for item, figures, group, sample in zip(classes, by_class, groups, samples):
        row: list[object] = [item.code, item.name, int(group), int(sample)]
        for figure in figures.values():
            row += [figure.value if np.isfinite(figure.value) else "-", range_text(figure)]
        rows.append(row)
    return html_page.table(header, rows)


def confusion_sections(matrix: NDArray[np.integer[Any]], names: Sequence[str]) -> list[str]:
    """Return a confusion matrix as a picture and as numbers."""
    rows: list[list[object]] = []
    for name, counts in zip(names, matrix):
        rows.append([name, *map(int, counts)])
    return [
        html_page.heading("Confusion matrix"),
        confusion_chart(
            matrix, names, "Rows: reference, columns: predicted; per cent of the reference."
        ),
        html_page.table(["reference \\ predicted", *names], rows),
    ]


def range_text(figure: Interval) -> str:
    """Return the ends of an interval, for a report; empty where they are not known."""
    if not np.isfinite(figure.low):
        return ""
    return f"{figure.low:.3f} to {figure.high:.3f}"
