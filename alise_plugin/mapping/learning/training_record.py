"""What maps and heads say about where they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from ... import html_page
from ...feedback import Feedback
from ...model.identity import FeatureIdentity
from ...sentinel2 import BANDS
from ..features.features import Features
from ..labels.layers import Labels, Values
from ..samples.groups import have_polygons
from ..samples.samples import LabelledSource, SampleDesign, Truth


def same_vectors(identity: FeatureIdentity) -> dict[str, Any]:
    """Return what a head says of other models that give the vectors that it learned from."""
    others = list(identity.same_vectors_as)
    return {"same_vectors_as": others} if others else {}


def say_model(pairs: Sequence[LabelledSource[Labels | Values]], feedback: Feedback) -> None:
    """Write to the log which model encodes the image series, if there are some."""
    for pair in pairs:
        if pair.source.on_device:
            feedback.info(f"Model {pair.source.identity.name}{pair.source.on_device}.")
            return


def in_one_season(
    pairs: Sequence[LabelledSource[Truth]], feedback: Feedback
) -> list[LabelledSource[Truth]]:
    """Return the sources with their days moved by whole years onto the season of the first."""
    season = pairs[0].source.season
    return [replace(pair, source=pair.source.in_season(season, feedback)) for pair in pairs]


def season_item(source: Features) -> dict[str, str]:
    """Return what a head says of the season that it learned."""
    return {"season": source.season.isoformat()} if source.season is not None else {}


def training_items(
    pairs: Sequence[LabelledSource[Labels | Values]],
    samples: int,
    strength: float,
    design: SampleDesign,
) -> dict[str, Any]:
    """Return what a head says about its training; JSON values.

    Args:
        pairs: features and what was known of them.
        samples: how many pixels it learned from.
        strength: of regularisation.
        design: of the samples.
    """
    polygons = design.validation == "polygons" and have_polygons(pairs)
    items: dict[str, Any] = {
        "made": date.today().isoformat(),
        "inputs": [
            {"features": pair.name, "dates": pair.source.dates_text, "labels": pair.labels.name}
            for pair in pairs
        ],
        "strength": strength,
        "samples": samples,
        "pixels_per_area": design.per_area,
        "validation": "polygons" if polygons else f"blocks of {design.block_size:g} m",
        "seed": design.seed,
        **season_item(pairs[0].source),
        **same_vectors(pairs[0].source.identity),
    }
    known = [bands for bands in (pair.source.bands for pair in pairs) if bands is not None]
    if known:
        items["bands"] = [band for band in BANDS if all(band in bands for bands in known)]
    return items


def training_sections(
    about: Sequence[Sequence[object]], encoder: str, sha256: str, items: Mapping[str, Any]
) -> list[str]:
    """Return how a head was made, as pieces of a report.

    Args:
        about: rows that come first.
        encoder: name, version and the first digits of the hash of the encoder (`model_id`).
        sha256: hash of the encoder.
        items: of `training_items`.
    """
    rows: list[list[object]] = [
        *[[*row] for row in about],
        ["strength of regularisation", f"{items['strength']:g}"],
        ["model", encoder],
        ["SHA-256 of the model", sha256],
        ["samples", int(items["samples"])],
        ["pixels of an area, at most", int(items["pixels_per_area"])],
        ["left out", str(items["validation"])],
        ["seed", int(items["seed"])],
        ["made on", str(items["made"])],
    ]
    inputs = [[item["features"], item["dates"], item["labels"]] for item in items["inputs"]]
    return [
        html_page.heading("Head"),
        html_page.table(["", ""], rows),
        html_page.table(["features", "dates", "labels"], inputs),
    ]
