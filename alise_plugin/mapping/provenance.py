"""What maps and heads say about where they come from."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from .. import html_page
from ..model.encoder import Encoder
from ..model.head_file import HeadFile
from ..sits.bands import BANDS
from ..sits.series import ImageSeries
from .embed import provenance
from .feature_tiles import FeatureSource, needed_encoder
from .feedback import Feedback
from .labels import Labels, Values
from .samples import LabelledSource, have_polygons


def bands_of(source: FeatureSource) -> list[str] | None:
    """Names of the bands that features were made of; None where an embedding raster says none."""
    if isinstance(source, ImageSeries):
        return list(source.bands_present)
    stated = source.metadata.get("ALISE_BANDS", "")
    return stated.split(",") if stated else None


def provenance_of(source: FeatureSource, encoder: Encoder | None) -> dict[str, str]:
    """Metadata items of a map: what its features are made of, and which encoder made them."""
    if isinstance(source, ImageSeries):
        return provenance(source, needed_encoder(source, encoder))
    return {key: text for key, text in source.metadata.items() if key.startswith("ALISE_")}


def head_items(head: HeadFile) -> dict[str, str]:
    """Metadata items of a map that say which head made it."""
    content = Path(head.path).read_bytes()
    return {"ALISE_HEAD_SHA256": hashlib.sha256(content).hexdigest(), "ALISE_HEAD": head.name}


def warn_of_missing_bands(source: FeatureSource, head: HeadFile, feedback: Feedback) -> None:
    """Say which bands a head was trained with and the source lacks, where both say theirs."""
    present = bands_of(source)
    trained = head.provenance.get("bands", [])  # older heads do not say
    missing = [] if present is None else [band for band in trained if band not in present]
    if missing:
        feedback.info(
            f"{head.name} was trained with {', '.join(missing)}, which "
            f"{os.path.basename(source.path)} lacks: the map will be worse than its report says."
        )


def training_items(
    pairs: Sequence[LabelledSource[Labels | Values]],
    samples: int,
    strength: float,
    per_area: int,
    validation: str,
    block_size: float,
    seed: int,
) -> dict[str, Any]:
    """What a head says about its training; JSON values.

    Args:
        pairs: features and what was known of them.
        samples: how many pixels it learned from.
        strength: of regularisation.
        per_area, validation, block_size, seed: see `samples.draw_samples`.
    """
    polygons = validation == "polygons" and have_polygons(pairs)
    items: dict[str, Any] = {
        "made": date.today().isoformat(),
        "inputs": [
            {"features": pair.name, "dates": _dates(pair.source), "labels": pair.labels.name}
            for pair in pairs
        ],
        "strength": strength,
        "samples": samples,
        "pixels_per_area": per_area,
        "validation": "polygons" if polygons else f"blocks of {block_size:g} m",
        "seed": seed,
    }
    known = [bands for bands in (bands_of(pair.source) for pair in pairs) if bands is not None]
    if known:
        items["bands"] = [band for band in BANDS if all(band in bands for bands in known)]
    return items


def training_sections(
    about: Sequence[Sequence[object]], encoder: str, sha256: str, items: Mapping[str, Any]
) -> list[str]:
    """How a head was made, as pieces of a report.

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


def _dates(source: FeatureSource) -> str:
    if isinstance(source, ImageSeries):
        return f"{source.dates[0]} to {source.dates[-1]}, {len(source.dates)} dates"
    return source.metadata.get("ALISE_DATES", "")
