"""Heads that estimate a value: from the features of one encoder to one number a pixel."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .head_file import VALUE_KIND, HeadFile, Network, write_head_file


@dataclass(frozen=True)
class ValueDescription:
    """What a head says about itself.

    Attributes:
        name: of what is estimated, such as "leaf area".
        low, high: the least and the largest value that it was trained on.
        encoder: name, version and the first digits of the hash of the encoder (`model_id`).
        encoder_sha256: hash of the encoder (`ModelPackage.sha256`).
        provenance: what it was trained on, when, how, and what it scored; JSON values.
    """

    name: str
    low: float
    high: float
    encoder: str
    encoder_sha256: str
    provenance: Mapping[str, Any] = field(default_factory=dict)


def write_value_head(
    path: str | os.PathLike[str], network: Network, description: ValueDescription
) -> None:
    """Write a head, which appears when it is complete.

    Args:
        path: ONNX file.
        network: of one output, in the unit of the value.
        description: stored in the file's metadata properties.

    Raises:
        OutputError: the folder or the disk does not take it.
        ValueError: there is more than one output, or the range is none.
    """
    if len(network.layers[-1][1]) != 1:
        raise ValueError("one output is expected")
    value = {"name": description.name, "low": description.low, "high": description.high}
    if not _is_range(description.low, description.high):
        raise ValueError(f"{value} has no range")
    encoder = {"id": description.encoder, "sha256": description.encoder_sha256}
    items = {VALUE_KIND.key: value}
    write_head_file(path, network, VALUE_KIND, encoder, items, description.provenance)


class ValueHead(HeadFile):
    """A regression at work.

    Attributes:
        description: what is estimated, its range, encoder and provenance.
    """

    def __init__(self, path: str | os.PathLike[str], threads: int | None = None) -> None:
        """Open it.

        Raises:
            HeadError, RuntimeMissingError: see `HeadFile`.
        """
        super().__init__(path, VALUE_KIND, threads)
        self.description = self._read(self._description)

    def values(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return estimates.

        Args:
            features: `(F, H, W)`, NaN for a pixel without any value.

        Returns:
            `(H, W)` float32, NaN where the features are.
        """
        return np.asarray(self._outputs(features, 1)[0])

    def _description(self) -> ValueDescription:
        said = self._said[VALUE_KIND.key]
        low, high = float(said["low"]), float(said["high"])
        if not _is_range(low, high):
            raise ValueError(f"low {low:g}, high {high:g}")
        return ValueDescription(
            str(said["name"]), low, high, self.encoder, self.encoder_sha256, self.provenance
        )


def _is_range(low: float, high: float) -> bool:
    return math.isfinite(low) and math.isfinite(high) and low < high
