"""Which model or product vectors come from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FeatureIdentity:
    """What tells vectors of one origin from those of another.

    Attributes:
        sha256: hash of the model.
        name: name, version and first digits of the hash, for messages.
        n_features: number of features of a pixel.
    """

    sha256: str
    name: str
    n_features: int
