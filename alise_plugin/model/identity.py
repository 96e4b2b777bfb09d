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
        same_vectors_as: hashes of other models that give the same vectors: an earlier version
            whose decoder alone was trained further.
    """

    sha256: str
    name: str
    n_features: int
    same_vectors_as: tuple[str, ...] = ()

    def gives_vectors_of(self, sha256: str) -> bool:
        """Return whether the vectors are those of a model."""
        return sha256 == self.sha256 or sha256 in self.same_vectors_as
