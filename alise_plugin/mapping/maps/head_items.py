"""What a map says of the head that it was made with."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ...feedback import Feedback
from ...model.heads.head_file import HeadFile
from ..features.features import Features


def head_items(head: HeadFile) -> dict[str, str]:
    """Return metadata items of a map that say which head made it."""
    content = Path(head.path).read_bytes()
    return {"ALISE_HEAD_SHA256": hashlib.sha256(content).hexdigest(), "ALISE_HEAD": head.name}


def warn_of_missing_bands(source: Features, head: HeadFile, feedback: Feedback) -> None:
    """Say which bands a head was trained with and the source lacks, where both say theirs."""
    present = source.bands
    trained = head.provenance.get("bands", [])  # older heads do not say
    missing = [] if present is None else [band for band in trained if band not in present]
    if missing:
        feedback.info(
            f"{head.name} was trained with {', '.join(missing)}, which "
            f"{source.name} lacks: the map will be worse than its report says."
        )
