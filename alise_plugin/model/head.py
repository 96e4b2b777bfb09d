"""Heads: a small ONNX graph from the features of one encoder to the probabilities of classes."""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import HeadError, ModelPackageError, OutputError
from .device import available_threads, open_session
from .onnx_file import classifier_bytes

SCHEMA = 1
# Keys of the file's metadata properties; all their values are JSON.
_SCHEMA_KEY, _CLASSES_KEY, _ENCODER_KEY = "alise_head", "alise_classes", "alise_encoder"
_CLASSIFIER_KEY, _PROVENANCE_KEY = "alise_classifier", "alise_provenance"
_COLOR = re.compile(r"#[0-9a-f]{6}")
_BLOCK = 8192  # pixels that go through the graph in one call


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
        """Red, green and blue, 0 to 255."""
        red, green, blue = bytes.fromhex(self.color[1:])
        return red, green, blue


@dataclass(frozen=True)
class Network:
    """A classifier as numbers: standardisation, then dense layers with ReLU between, then softmax.

    Linear classifiers have one layer.

    Attributes:
        mean, scale: `(F,)` standardisation of the features.
        layers: weights `(inputs, outputs)` and bias `(outputs,)` of each layer.
    """

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    layers: tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]

    def probabilities(self, features: NDArray[np.floating]) -> NDArray[np.float32]:
        """`(N, F)` features to `(N, K)` probabilities, computed with NumPy."""
        out = np.empty((len(features), len(self.layers[-1][1])), np.float32)
        for start in range(0, len(features), _BLOCK):
            values = (features[start : start + _BLOCK] - self.mean) / self.scale
            for number, (weights, bias) in enumerate(self.layers):
                values = (np.maximum(values, 0) if number else values) @ weights + bias
            values = np.exp(values - values.max(1, keepdims=True))
            out[start : start + _BLOCK] = values / values.sum(1, keepdims=True)
        return out


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
    content = classifier_bytes(
        network.mean,
        network.scale,
        network.layers,
        {
            _SCHEMA_KEY: json.dumps(SCHEMA),
            _CLASSES_KEY: json.dumps(classes, ensure_ascii=False),
            _ENCODER_KEY: json.dumps(encoder, ensure_ascii=False),
            _CLASSIFIER_KEY: json.dumps(description.classifier),
            _PROVENANCE_KEY: json.dumps(dict(description.provenance), ensure_ascii=False),
        },
    )
    final = os.fspath(path)
    temporary = f"{final}.{uuid.uuid4().hex[:8]}.partial"
    try:
        with open(temporary, "wb") as file:
            file.write(content)
        os.replace(temporary, final)
    except OSError as error:
        raise OutputError(
            f"{final} cannot be written ({error.strerror}); choose another folder or make room."
        ) from error
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


class Head:
    """A head at work, on the CPU: it costs little beside the encoder.

    Attributes:
        path: the file.
        description: classes, encoder and provenance.
        n_features: F.
    """

    def __init__(self, path: str | os.PathLike[str], threads: int | None = None) -> None:
        """Opens it.

        Raises:
            HeadError: the file is missing, no ONNX, no head, or newer than this plugin.
            RuntimeMissingError: onnxruntime is not there.
        """
        self.path = os.fspath(path)
        name = self.name
        if not os.path.isfile(self.path):
            raise HeadError(f"There is no head {self.path}; make one with Train Classifier.")
        try:
            session, _ = open_session(self.path, "cpu", threads or available_threads())
        except ModelPackageError as error:
            raise HeadError(
                f"{name} is not an ONNX file that onnxruntime can open; choose a head that Train "
                "Classifier wrote."
            ) from error
        items = session.get_modelmeta().custom_metadata_map
        self.description = _description(name, items)
        inputs, outputs = session.get_inputs(), session.get_outputs()
        shapes = [value.shape for value in [*inputs, *outputs] if value.type == "tensor(float)"]
        if (
            [value.name for value in inputs] != ["features"]
            or "probabilities" not in [value.name for value in outputs]
            or len(shapes) != len(inputs) + len(outputs)
            or len(shapes[0]) != 2
            or not isinstance(shapes[0][1], int)
        ):
            wants = ", ".join(f"{value.name} {value.shape}" for value in inputs)
            raise HeadError(
                f"{name} wants {wants} and not one vector of features per pixel, so it is no head "
                "of ALISE; choose one that Train Classifier wrote."
            )
        self.n_features: int = shapes[0][1]
        self._session = session

    @property
    def name(self) -> str:
        """Name of the file."""
        return os.path.basename(self.path)

    @property
    def classes(self) -> tuple[MapClass, ...]:
        """In the order of the probabilities."""
        return self.description.classes

    def require_encoder(self, sha256: str, encoder: str, n_features: int) -> None:
        """Make sure that features come from the encoder that the head was trained on.

        Args:
            sha256: hash of the encoder at hand.
            encoder: what to call it.
            n_features: how many features there are.

        Raises:
            HeadError: it is another one.
        """
        if sha256 != self.description.encoder_sha256:
            raise HeadError(
                f"{self.name} was trained on features of the model {self.description.encoder} and "
                f"not of {encoder}; choose that model, or train a head on this one."
            )
        if n_features != self.n_features:
            raise HeadError(
                f"{self.name} wants {self.n_features} features per pixel and there are "
                f"{n_features}; give it the kind of input that it was trained on."
            )

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities of the classes.

        Args:
            features: `(F, H, W)`, NaN for a pixel without any value.

        Returns:
            `(K, H, W)` float32, NaN where the features are.
        """
        count = len(self.classes)
        pixels = features.reshape(len(features), -1)
        out = np.full((count, pixels.shape[1]), np.nan, np.float32)
        seen = np.flatnonzero(np.isfinite(pixels[0]))
        for start in range(0, len(seen), _BLOCK):
            chosen = seen[start : start + _BLOCK]
            block = np.ascontiguousarray(pixels[:, chosen].T)
            out[:, chosen] = self._session.run(["probabilities"], {"features": block})[0].T
        return out.reshape(count, *features.shape[1:])


def _description(name: str, items: Mapping[str, str]) -> HeadDescription:
    if _SCHEMA_KEY not in items:
        raise HeadError(
            f"{name} is an ONNX file but no head of ALISE (it names no classes); choose one that "
            "Train Classifier wrote."
        )
    try:
        content = {key: json.loads(items[key]) for key in items if key.startswith("alise_")}
        if content[_SCHEMA_KEY] > SCHEMA:
            raise HeadError(
                f"{name} has schema {content[_SCHEMA_KEY]}, newer than the {SCHEMA} that this "
                "plugin reads; update the plugin."
            )
        entries = content[_CLASSES_KEY]
        if not entries or not all(_is_class(entry) for entry in entries):
            raise ValueError("classes")
        return HeadDescription(
            tuple(MapClass(*entry) for entry in entries),
            str(content[_ENCODER_KEY]["id"]),
            str(content[_ENCODER_KEY]["sha256"]),
            str(content[_CLASSIFIER_KEY]),
            dict(content[_PROVENANCE_KEY]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise HeadError(
            f"The description inside {name} is damaged ({error}); train the head again."
        ) from error


def _is_class(entry: Sequence[Any]) -> bool:
    code, name, color = entry
    return (
        isinstance(code, int)
        and isinstance(name, str)
        and isinstance(color, str)
        and _COLOR.fullmatch(color) is not None
    )
