"""Figures with intervals that operations return."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ..mapping.scores.metrics import Interval

# Name of the output, key of the figure, title of the output.
ACCURACY_FIGURES = (
    ("OVERALL_ACCURACY", "overall accuracy", "Overall accuracy"),
    ("KAPPA", "kappa", "Kappa"),
    ("MACRO_F1", "macro-F1", "Macro-F1"),
    ("MEAN_IOU", "mean IoU", "Mean IoU"),
)
ERROR_FIGURES = (
    ("RMSE", "RMSE", "RMSE"),
    ("MEAN_ABSOLUTE_ERROR", "mean absolute error", "Mean absolute error"),
    ("BIAS", "bias", "Bias"),
    ("R2", "R2", "R2"),
)


def figure_values(
    figures: tuple[tuple[str, str, str], ...], found: Mapping[str, Interval]
) -> dict[str, object]:
    """Return value, lower and upper end of each figure; NaN for one that is not defined."""
    values: dict[str, object] = {}
    for name, key, _ in figures:
        figure = found.get(key, Interval(math.nan, math.nan, math.nan))
        values[name] = figure.value
        values[f"{name}_LOW"], values[f"{name}_HIGH"] = figure.low, figure.high
    return values
