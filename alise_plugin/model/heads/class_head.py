"""Heads that map classes: from the features of one encoder to the probabilities of classes."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .head_file import CLASS_KIND, HeadFile, Network, write_head_file

_CLASSIFIER_KEY = "alise_classifier"


_COLOR = re.compile(r"#[0-9a-f]{6}")


@dataclass(frozen=True)
class MapClass:
    """A class of a map.

    Attributes:
        code: its value in a class raster.
        name: for people.
        color: "#rrggbb", lower case.
    """

    code: int
    name: str
    color: str

    @property
    def rgb(self) -> tuple[int, int, int]:
        """Return red, green and blue, 0 to 255."""
        red, green, blue = bytes.fromhex(self.color[1:])
        return red, green, blue


@dataclass(frozen=True)
class HeadDescription:
    """What a head says about itself.

    Attributes:
        classes: in the order of the probabilities.
        encoder: name, version and the first digits of the hash of the encoder (`model_id`).
        encoder_sha256: hash of the encoder (`ModelPackage.sha256`).
        classifier: "linear", "prototype", "mlp" or a word of whoever made it.
        provenance: what it was trained on, when, how, and what it scored; JSON values.
    """

    classes: tuple[MapClass, ...]
    encoder: str
    encoder_sha256: str
    classifier: str
    provenance: Mapping[str, Any] = field(default_factory=dict)


def write_head(
    path: str | os.PathLike[str], network: Network, description: HeadDescription
) -> None:
    """Write a head, which appears when it is complete.

    Args:
        path: ONNX file.
        network: the classifier, one output per class.
        description: stored in the file's metadata properties.

    Raises:
        OutputError: the folder or the disk does not take it.
        ValueError: outputs and classes differ in number, or a class is not as `MapClass` says.
    """
    if len(network.layers[-1][1]) != len(description.classes):
        raise ValueError("as many classes as outputs are expected")
    classes = [[item.code, item.name, item.color] for item in description.classes]
    if not all(_is_class(entry) for entry in classes):
        raise ValueError(f"{classes} are not codes, names and colours such as #00ff00")
    encoder = {"id": description.encoder, "sha256": description.encoder_sha256}
    items = {CLASS_KIND.key: classes, _CLASSIFIER_KEY: description.classifier}
    write_head_file(path, network, CLASS_KIND, encoder, items, description.provenance)


class Head(HeadFile):
    """A classifier at work.

    Attributes:
        description: classes, encoder and provenance.
    """

    def __init__(self, path: str | os.PathLike[str], threads: int | None = None) -> None:
        """Open it.

        Raises:
            HeadError, RuntimeMissingError: see `HeadFile`.
        """
        super().__init__(path, CLASS_KIND, threads)
        self.description = self._read(self._description)

    @property
    def classes(self) -> tuple[MapClass, ...]:
        """Return in the order of the probabilities."""
        return self.description.classes

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return probabilities of the classes.

        Args:
            features: `(F, H, W)`, NaN for a pixel without any value.

        Returns:
            `(K, H, W)` float32, NaN where the features are.
        """
        return self._outputs(features, len(self.classes))

    def _description(self) -> HeadDescription:
        entries = self._said[CLASS_KIND.key]
        if not entries or not all(_is_class(entry) for entry in entries):
            raise ValueError("classes")
        return HeadDescription(
            tuple(MapClass(*entry) for entry in entries),
            self.encoder,
            self.encoder_sha256,
            str(self._said[_CLASSIFIER_KEY]),
            self.provenance,
        )


def _is_class(entry: Sequence[Any]) -> bool:
    code, name, color = entry
    return (
        isinstance(code, int)
        and isinstance(name, str)
        and isinstance(color, str)
        and _COLOR.fullmatch(color) is not None
    )
