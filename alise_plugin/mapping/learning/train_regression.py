"""Measurements and features in, a head that estimates a value and its accuracy report out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import html_page
from ...feedback import Feedback, Part, SilentFeedback
from ...model.heads.value_head import ValueDescription, write_value_head
from ...whole_files import write_text
from ..features.tiling import TileBudget
from ..labels.layers import Values
from ..rasters.destinations import require_outputs
from ..samples.draw import draw_values
from ..samples.samples import LabelledSource, SampleDesign
from ..scores.charts import curve_chart, scatter_chart
from ..scores.metrics import Interval
from ..scores.tables import range_text
from .classifier import require_scikit_learn
from .regression import (
    FIGURES,
    ValueValidation,
    fit_and_choose_value,
    validate_value,
    value_figures,
)
from .training_record import in_one_season, say_model, training_items, training_sections

_SAMPLING = 0.7  # of a run's progress


_FEW = 10  # groups: with fewer, figures say little


@dataclass(frozen=True)
class RegressionResult:
    """What `train_regression` wrote, and how good it is on groups that it had not seen.

    Attributes:
        path: the head.
        figures: RMSE, mean absolute error, bias and R2; empty where nothing was left out.
        low, high: the least and the largest value that was learned from.
        samples, areas, groups: how many pixels, areas, and polygons or blocks.
        warnings: what was left out, and what the figures do not say.
    """

    path: str
    figures: dict[str, Interval]
    low: float
    high: float
    samples: int
    areas: int
    groups: int
    warnings: list[str]


def train_regression(
    pairs: Sequence[LabelledSource[Values]],
    head: str | os.PathLike[str],
    name: str,
    *,
    report: str | os.PathLike[str] | None = None,
    design: SampleDesign | None = None,
    budget: TileBudget | None = None,
    feedback: Feedback | None = None,
) -> RegressionResult:
    """Train a head that estimates what was measured, and report its accuracy.

    The head is fitted to all samples. Its accuracy is that of five others, each fitted without one
    fifth of the groups and tested on them, with regularisation chosen anew. Each area counts once:
    its estimate is the mean over its pixels.

    Args:
        pairs: features with the measurements on them; several areas or years train one head.
        head: ONNX file to write.
        name: of what was measured.
        report: HTML page to write.
        design: which pixels, and which groups are left out.
        budget: memory and tile size.
        feedback: progress and cancelling.

    Raises:
        LabelsError: see `draw_values`.
        HeadError: the sources come from different encoders.
        RuntimeMissingError: scikit-learn is not there.
        OutputError: a file cannot be written, or would overwrite an input.
        Cancelled: the feedback says so; nothing is left.
    """
    require_scikit_learn()
    require_outputs((head, report), [file for pair in pairs for file in pair.source.files])
    feedback = feedback or SilentFeedback()
    design, budget = design or SampleDesign(), budget or TileBudget()
    say_model(pairs, feedback)
    pairs = in_one_season(pairs, feedback)
    samples = draw_values(
        pairs,
        design=design,
        budget=budget,
        feedback=Part(feedback, 0.0, _SAMPLING),
    )
    step = Part(feedback, _SAMPLING, 1.0)
    checked = validate_value(samples, design.seed, step)
    fitted = fit_and_choose_value(samples, design.seed, step)
    groups, areas = int(samples.group.max()) + 1, int(samples.area.max()) + 1
    warnings = [*samples.warnings, *_few(groups)]
    for text in warnings:
        feedback.warning(text)
    figures = value_figures(checked, design.seed)
    low, high = float(samples.value.min()), float(samples.value.max())
    identity = pairs[0].source.identity
    count = len(samples.value)
    provenance: dict[str, Any] = {
        **training_items(pairs, count, fitted.strength, design),
        "areas": areas,
        "groups": groups,
        "accuracy": {key: float(f"{figure.value:.6g}") for key, figure in figures.items()},
    }
    description = ValueDescription(name, low, high, identity.name, identity.sha256, provenance)
    if report:
        write_text(report, _report(description, checked, figures, warnings))
    try:
        write_value_head(head, fitted.network, description)
    except BaseException:
        if report:
            os.remove(report)
        raise
    return RegressionResult(os.fspath(head), figures, low, high, count, areas, groups, warnings)


def _few(groups: int) -> list[str]:
    """Return sentences about figures that mean little or nothing."""
    if groups == 1:
        return [
            "All was measured in one polygon or block, so nothing could be left out and the "
            "accuracy is not known; measure in more of them."
        ]
    if groups < _FEW:
        return [f"Only {groups} polygons or blocks: the figures are weak."]
    return []


def _report(
    description: ValueDescription,
    checked: ValueValidation,
    figures: dict[str, Interval],
    warnings: Sequence[str],
) -> str:
    provenance = description.provenance
    sections = [html_page.paragraph(text, warning=True) for text in warnings]
    if figures:
        rows = [[key, _number(figures[key].value), _ends(figures[key])] for key in FIGURES[:-1]]
        determined = figures[FIGURES[-1]]
        rows.append([FIGURES[-1], f"{determined.value:.3f}", range_text(determined)])
        spread = float(np.std(checked.measured))
        sections += [
            html_page.paragraph(
                f"{len(checked.measured)} areas, each left out once with its polygon or block and "
                "estimated by a head that had not seen it; the estimate of an area is the mean "
                "of its pixels. Bias is estimated less measured. Intervals hold 95 % of 1000 "
                "resamples of polygons or blocks."
            ),
            html_page.paragraph(
                f"The measurements deviate by {_number(spread)} (standard deviation): that is the "
                "RMSE of a map that shows their mean everywhere."
            ),
            html_page.heading("Accuracy"),
            html_page.table(["measure", "value", "95 % interval"], rows),
            scatter_chart(
                checked.measured,
                checked.estimated,
                description.name,
                "Areas left out; on the dashed line both are the same.",
            ),
        ]
    if len(checked.curve) > 1:
        sections += [
            html_page.heading("Learning curve"),
            curve_chart(
                checked.curve,
                "polygons or blocks",
                "R2",
                "R2 on groups left out, by how many the head was trained on; bars are one standard "
                "deviation over the folds. Values below 0 are drawn at 0.",
            ),
        ]
    about = [
        ["estimates", description.name],
        ["learned from", f"{_number(description.low)} to {_number(description.high)}"],
        ["regression", "ridge regression"],
        ["areas", str(provenance["areas"])],
    ]
    sections += training_sections(
        about, description.encoder, description.encoder_sha256, provenance
    )
    return html_page.page(f"Accuracy of the estimates: {description.name}", sections)


def _number(value: float) -> str:
    return f"{value:.4g}"


def _ends(figure: Interval) -> str:
    return f"{_number(figure.low)} to {_number(figure.high)}"
