"""Labels and features in, a head and its accuracy report out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import html_page
from ...feedback import Feedback, Part, SilentFeedback
from ...model.heads.class_head import HeadDescription, MapClass, write_head
from ...whole_files import write_text
from ..features.tiling import TileBudget
from ..labels.layers import Labels, Legend
from ..labels.legend import class_list
from ..rasters.destinations import require_outputs
from ..samples.draw import draw_samples
from ..samples.samples import LabelledSource, SampleDesign, Samples
from ..scores.calibration import calibrated, calibration, choose_temperature
from ..scores.charts import curve_chart, scatter_chart
from ..scores.metrics import Interval, confusion, intervals
from ..scores.tables import class_table, confusion_sections, overall_table
from .classifier import (
    CLASSIFIERS,
    LeftOut,
    Validation,
    fit_and_choose,
    group_counts,
    leave_out,
    require_scikit_learn,
    validate,
)
from .training_record import in_one_season, say_model, training_items, training_sections

# Progress of a run: drawing samples ends at 70 %, leaving groups out at 90 %.
_SAMPLING, _VALIDATED = 0.7, 0.9


_FEW = 5  # groups: with fewer, a class's figures say little


_TITLES = {
    "linear": "multinomial logistic regression",
    "prototype": "nearest class mean",
    "mlp": "network with one hidden layer",
}


@dataclass(frozen=True)
class TrainResult:
    """What `train_classifier` wrote, and how good it is on groups that it had not seen.

    Attributes:
        path: the head.
        classes: of the map, in the order of the probabilities.
        overall: overall accuracy, kappa, macro-F1, mean IoU; empty where nothing was left out.
        by_class: precision, recall, F1 and IoU of each class; empty likewise.
        samples, groups: how many pixels in how many polygons or blocks.
        warnings: what was left out, and classes with few samples.
    """

    path: str
    classes: list[MapClass]
    overall: dict[str, Interval]
    by_class: list[dict[str, Interval]]
    samples: int
    groups: int
    warnings: list[str]


def train_classifier(
    pairs: Sequence[LabelledSource[Labels]],
    head: str | os.PathLike[str],
    *,
    report: str | os.PathLike[str] | None = None,
    legends: Sequence[Legend] = (),
    classifier: str = "linear",
    design: SampleDesign | None = None,
    budget: TileBudget | None = None,
    feedback: Feedback | None = None,
) -> TrainResult:
    """Train a head on labelled features and report its accuracy (paper, section IV-B).

    The head is fitted to all samples. Its accuracy is that of five others, each fitted without one
    fifth of the groups and tested on them, with regularisation chosen anew inside each.

    Args:
        pairs: features with the labels on them; several areas or years train one head.
        head: ONNX file to write.
        report: HTML page to write.
        legends: names and colours of the classes where the labels' fields state none.
        classifier: one of CLASSIFIERS.
        design: which pixels, and which groups are left out.
        budget: memory and tile size.
        feedback: progress and cancelling.

    Raises:
        LabelsError: see `class_list` and `draw_samples`.
        HeadError: the sources come from different encoders.
        RuntimeMissingError: scikit-learn is not there.
        OutputError: a file cannot be written, or would overwrite an input.
        Cancelled: the feedback says so; nothing is left.
    """
    if classifier not in CLASSIFIERS:
        raise ValueError(f"classifier is {classifier!r}; choose one of {', '.join(CLASSIFIERS)}")
    require_scikit_learn()
    require_outputs((head, report), [file for pair in pairs for file in pair.source.files])
    feedback = feedback or SilentFeedback()
    design, budget = design or SampleDesign(), budget or TileBudget()
    say_model(pairs, feedback)
    pairs = in_one_season(pairs, feedback)
    classes, values = class_list([pair.labels for pair in pairs], legends)
    samples = draw_samples(
        pairs,
        values,
        design=design,
        budget=budget,
        feedback=Part(feedback, 0.0, _SAMPLING),
    )
    present = np.unique(samples.target)
    if len(present) < len(values):
        kept = [values[place] for place in present]
        classes, values = class_list([pair.labels for pair in pairs], legends, kept)
        indices = np.array([values.index(value) for value in kept])
        samples = replace(samples, target=indices[np.searchsorted(present, samples.target)])
    data = samples.features, samples.target, samples.group
    step, last = Part(feedback, _SAMPLING, _VALIDATED), Part(feedback, _VALIDATED, 1.0)
    checked = validate(classifier, *data, len(classes), design.seed, step)
    fitted = fit_and_choose(classifier, *data, len(classes), design.seed, step)
    warnings = [*samples.warnings, *_alike(classes), *_few(classes, samples, checked)]
    for text in warnings:
        feedback.warning(text)
    overall: dict[str, Interval] = {}
    by_class: list[dict[str, Interval]] = []
    left_out = leave_out(classifier, *data, len(classes), fitted, design.seed, last)
    temperature = choose_temperature(
        left_out.probabilities,
        samples.target[left_out.sample],
        samples.group[left_out.sample],
    )
    network = fitted.network.with_temperature(temperature)
    if len(checked.sample):
        truth = samples.target[checked.sample]
        group = samples.group[checked.sample]
        overall, by_class = intervals(truth, checked.predicted, group, len(classes), design.seed)
    identity = pairs[0].source.identity
    counts = group_counts(samples.target, samples.group, len(classes))
    provenance: dict[str, Any] = {
        **training_items(
            pairs,
            len(samples.target),
            fitted.strength,
            design,
        ),
        "groups": {item.name: int(count) for item, count in zip(classes, counts)},
        "accuracy": {name: round(figure.value, 4) for name, figure in overall.items()},
        "temperature": round(temperature, 4),
    }
    description = HeadDescription(
        tuple(classes), identity.name, identity.sha256, classifier, provenance
    )
    if report:
        sure = _calibration_sections(samples, left_out, temperature) if overall else []
        page = _report(description, samples, checked, overall, by_class, counts, warnings, sure)
        write_text(report, page)
    try:
        write_head(head, network, description)
    except BaseException:
        if report:
            os.remove(report)
        raise
    groups = int(samples.group.max()) + 1
    return TrainResult(
        os.fspath(head), classes, overall, by_class, len(samples.target), groups, warnings
    )


def _alike(classes: Sequence[MapClass]) -> list[str]:
    """Return sentences about classes whose names differ in nothing but capitals."""
    by_name: dict[str, list[str]] = {}
    for item in classes:
        by_name.setdefault(item.name.casefold(), []).append(f'"{item.name}" ({item.code})')
    return [
        f"The names of the classes {' and '.join(names)} differ at most in capitals; if they mean "
        "one class, give them one value in the labels and train again."
        for names in by_name.values()
        if len(names) > 1
    ]


def _few(classes: Sequence[MapClass], samples: Samples, checked: Validation) -> list[str]:
    """Return sentences about classes whose figures mean little or nothing."""
    counts = group_counts(samples.target, samples.group, len(classes))
    untested = ", ".join(f'"{classes[place].name}"' for place in checked.single_group_classes)
    few = ", ".join(
        f'"{item.name}" ({count})' for item, count in zip(classes, counts) if 1 < count < _FEW
    )
    warnings = []
    if untested:
        warnings.append(
            f"Classes with one polygon or block only were trained on and not tested: {untested}; "
            "draw more of them to know how good they are."
        )
    if few:
        warnings.append(f"Classes with fewer than {_FEW} polygons or blocks, tested weakly: {few}.")
    return warnings


def _calibration_sections(samples: Samples, left_out: LeftOut, temperature: float) -> list[str]:
    """Return how right the probabilities are, before and after the temperature."""
    truth, group = samples.target[left_out.sample], samples.group[left_out.sample]
    before = calibration(left_out.probabilities, truth)
    after = calibration(calibrated(left_out.probabilities, truth, group, left_out.fold), truth)
    rows: list[list[object]] = [
        ["expected calibration error", before.error, after.error],
        ["Brier score", before.brier, after.brier],
    ]
    return [
        html_page.heading("Probabilities"),
        html_page.paragraph(
            "The scores of the head are divided by a temperature, chosen on the polygons or blocks "
            f"left out: {temperature:.2f}. Above 1 it makes the head less sure. In another year "
            "or place probabilities are less right than this."
        ),
        html_page.table(["", "as fitted", "with the temperature"], rows),
        scatter_chart(
            after.right,
            after.stated,
            "share of right pixels",
            "Reliability: mean probability of the class shown (estimated) against the share that "
            "is right (measured), in ten bins. On the line, probabilities are what they say.",
        ),
    ]


def _report(
    description: HeadDescription,
    samples: Samples,
    checked: Validation,
    overall: dict[str, Interval],
    by_class: list[dict[str, Interval]],
    counts: NDArray[np.int64],
    warnings: Sequence[str],
    probabilities: Sequence[str],
) -> str:
    classes, provenance = description.classes, description.provenance
    names = [item.name for item in classes]
    sections = [html_page.paragraph(text, warning=True) for text in warnings]
    if overall:
        sections += [
            html_page.paragraph(
                "Each polygon or block, but the only ones of a class, was left out once and "
                "classified by a head that had not seen it. Intervals hold 95 % of 1000 resamples "
                "of polygons or blocks."
            ),
            html_page.heading("Overall"),
            overall_table(overall),
            html_page.heading("Classes"),
            class_table(classes, by_class, counts, np.bincount(samples.target)),
        ]
        matrix = confusion(samples.target[checked.sample], checked.predicted, len(classes))
        sections += confusion_sections(matrix, names)
    else:
        sections.append(
            html_page.paragraph(
                "No class has two polygons or blocks, so nothing could be left out and the "
                "accuracy is not known.",
                warning=True,
            )
        )
    if len(checked.sample):
        sections += probabilities
    if len(checked.curve) > 1:
        sections += [
            html_page.heading("Learning curve"),
            curve_chart(
                checked.curve,
                "polygons or blocks per class",
                "macro-F1",
                "Macro-F1 on groups left out, by how many of each class the head was trained on; "
                "bars are one standard deviation over the folds.",
            ),
        ]
    sections += training_sections(
        [["classifier", _TITLES[description.classifier]]],
        description.encoder,
        description.encoder_sha256,
        provenance,
    )
    return html_page.page("Accuracy of the classifier", sections)
