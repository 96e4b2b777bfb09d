"""All operations, in the order in which work flows."""

from __future__ import annotations

from . import (
    assess_accuracy,
    build_time_series,
    detect_change,
    draw_sample,
    embed,
    estimate_values,
    extract_curves,
    find_classes,
    find_similar,
    phenology,
    reconstruct,
    segment,
    series_of_area,
    train_classifier,
    train_regression,
    use_embeddings,
)
from .operation import Operation

OPERATIONS: dict[str, Operation] = {
    module.OPERATION.name: module.OPERATION
    for module in (
        series_of_area,
        build_time_series,
        embed,
        use_embeddings,
        train_classifier,
        find_classes,
        find_similar,
        segment,
        train_regression,
        estimate_values,
        draw_sample,
        assess_accuracy,
        detect_change,
        reconstruct,
        extract_curves,
        phenology,
    )
}
