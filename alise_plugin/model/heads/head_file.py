"""What all heads share: a small ONNX graph from the features of one encoder, and what it says."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...errors import HeadError, ModelPackageError
from ...whole_files import write_bytes
from ..device import available_threads, open_session
from ..identity import FeatureIdentity
from ..onnx_file import dense_bytes

SCHEMA = 1


# Keys of the file's metadata properties; all their values are JSON.
_SCHEMA_KEY, _ENCODER_KEY, _PROVENANCE_KEY = "alise_head", "alise_encoder", "alise_provenance"


_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_BLOCK = 8192  # pixels that go through the graph in one call


Description = TypeVar("Description")


@dataclass(frozen=True)
class HeadKind:
    """One of the things that heads are for.

    Attributes:
        key: metadata property that every head of this kind has, and no other head.
        output: what its graph gives.
        last: the operator that ends the graph.
        does: what the kind does, for messages.
        made_by, used_by: names of algorithms, for messages.
    """

    key: str
    output: str
    last: str
    does: str
    made_by: str
    used_by: str


CLASS_KIND = HeadKind(
    "alise_classes",
    "probabilities",
    "Softmax",
    "maps classes",
    "Train classifier",
    "Segment",
)


VALUE_KIND = HeadKind(
    "alise_value",
    "values",
    "Identity",
    "estimates a value",
    "Train regression",
    "Estimate values",
)


KINDS = (CLASS_KIND, VALUE_KIND)


@dataclass(frozen=True)
class Network:
    """A head as numbers: standardisation, then dense layers with ReLU between.

    Linear ones have one layer.

    Attributes:
        mean, scale: `(F,)` standardisation of the features.
        layers: weights `(inputs, outputs)` and bias `(outputs,)` of each layer.
    """

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    layers: tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]

    def outputs(self, features: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Return `(N, F)` features to `(N, K)`, computed with NumPy."""
        out = np.empty((len(features), len(self.layers[-1][1])), np.float32)
        for start in range(0, len(features), _BLOCK):
            values = (features[start : start + _BLOCK] - self.mean) / self.scale
            for number, (weights, bias) in enumerate(self.layers):
                values = (np.maximum(values, 0) if number else values) @ weights + bias
            out[start : start + _BLOCK] = values
        return out

    def with_temperature(self, temperature: float) -> Network:
        """Return the network with its outputs divided by a temperature."""
        weights, bias = self.layers[-1]
        last = weights / np.float32(temperature), bias / np.float32(temperature)
        return replace(self, layers=(*self.layers[:-1], last))

    def probabilities(self, features: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Return `(N, F)` features to `(N, K)` probabilities: softmax of the outputs."""
        values = self.outputs(features)
        values = np.exp(values - values.max(1, keepdims=True))
        return np.asarray(values / values.sum(1, keepdims=True))


def write_head_file(
    path: str | os.PathLike[str],
    network: Network,
    kind: HeadKind,
    encoder: Mapping[str, str],
    items: Mapping[str, Any],
    provenance: Mapping[str, Any],
) -> None:
    """Write a head, which appears when it is complete.

    Args:
        path: ONNX file.
        network: what it computes.
        kind: what it is for.
        encoder: "id" and "sha256" of the encoder that it was trained on.
        items: metadata properties of its kind; JSON values.
        provenance: what it was trained on, when, how, and what it scored; JSON values.

    Raises:
        OutputError: the folder or the disk does not take it.
    """
    properties = {
        _SCHEMA_KEY: SCHEMA,
        _ENCODER_KEY: dict(encoder),
        _PROVENANCE_KEY: dict(provenance),
        **items,
    }
    content = dense_bytes(
        network.mean,
        network.scale,
        network.layers,
        kind.last,
        kind.output,
        {key: json.dumps(value, ensure_ascii=False) for key, value in properties.items()},
    )
    write_bytes(path, content)


class HeadFile:
    """A head at work, on the CPU: it costs little beside the encoder.

    Attributes:
        path: the file.
        kind: what it is for.
        encoder: name, version and the first digits of the hash of the encoder (`model_id`).
        encoder_sha256: hash of the encoder (`ModelPackage.sha256`).
        provenance: see `write_head_file`.
        n_features: F.
    """

    def __init__(
        self, path: str | os.PathLike[str], kind: HeadKind, threads: int | None = None
    ) -> None:
        """Open it.

        Raises:
            HeadError: the file is missing, no ONNX, no head, one of another kind, or newer than
                this plugin.
            RuntimeMissingError: onnxruntime is not there.
        """
        self.path = os.fspath(path)
        self.kind = kind
        name = self.name
        if not os.path.isfile(self.path):
            raise HeadError(f"There is no head {self.path}; make one with {kind.made_by}.")
        try:
            session, _ = open_session(self.path, "cpu", threads or available_threads())
        except ModelPackageError as error:
            raise HeadError(
                f"{name} is not an ONNX file that onnxruntime can open; choose a head that "
                f"{kind.made_by} wrote."
            ) from error
        self._items: dict[str, str] = session.get_modelmeta().custom_metadata_map
        self._require_kind()
        self._said = self._read(self._content)
        self.encoder, self.encoder_sha256 = self._read(
            lambda: tuple(str(self._said[_ENCODER_KEY][key]) for key in ("id", "sha256"))
        )
        self.provenance: Mapping[str, Any] = self._read(lambda: dict(self._said[_PROVENANCE_KEY]))
        inputs, outputs = session.get_inputs(), session.get_outputs()
        shapes = [value.shape for value in [*inputs, *outputs] if value.type == "tensor(float)"]
        if (
            [value.name for value in inputs] != ["features"]
            or kind.output not in [value.name for value in outputs]
            or len(shapes) != len(inputs) + len(outputs)
            or len(shapes[0]) != 2
            or not isinstance(shapes[0][1], int)
        ):
            wants = ", ".join(f"{value.name} {value.shape}" for value in inputs)
            raise HeadError(
                f"{name} wants {wants} and not one vector of features per pixel, so it is no head "
                f"of ALISE; choose one that {kind.made_by} wrote."
            )
        self.n_features: int = shapes[0][1]
        self._session = session

    @property
    def season(self) -> date | None:
        """Return the middle of the days that the head learned; None if it does not say them.

        Heads of before 0.9 say the dates of their inputs; the first counts.
        """
        stated = str(self.provenance.get("season") or "")
        inputs = self.provenance.get("inputs") or [{}]
        try:
            days = [date.fromisoformat(stated)] if stated else []
            if not days:
                found = _DATE.findall(str(dict(inputs[0]).get("dates") or ""))
                days = sorted(date.fromisoformat(text) for text in found)
        except (ValueError, TypeError, KeyError, IndexError):
            return None
        return days[0] + (days[-1] - days[0]) // 2 if days else None

    @property
    def name(self) -> str:
        """Return name of the file."""
        return os.path.basename(self.path)

    def _require_kind(self) -> None:
        kind = self.kind
        if _SCHEMA_KEY not in self._items:
            raise HeadError(
                f"{self.name} is an ONNX file but no head of ALISE (it does not say what it is "
                f"for); choose one that {kind.made_by} wrote."
            )
        for other in KINDS:
            if other != kind and other.key in self._items and kind.key not in self._items:
                raise HeadError(
                    f"{self.name} is a head that {other.does}: give it to {other.used_by}, or "
                    f"choose one that {kind.made_by} wrote."
                )

    def _content(self) -> dict[str, Any]:
        content = {
            key: json.loads(text) for key, text in self._items.items() if key.startswith("alise_")
        }
        if content[_SCHEMA_KEY] > SCHEMA:
            raise HeadError(
                f"{self.name} has schema {content[_SCHEMA_KEY]}, newer than the {SCHEMA} that this "
                "plugin reads; update the plugin."
            )
        return content

    def _read(self, what: Callable[[], Description]) -> Description:
        """Return what a function makes of the properties.

        Raises:
            HeadError: it finds something missing or odd.
        """
        try:
            return what()
        except (KeyError, TypeError, ValueError) as error:
            raise HeadError(
                f"The description inside {self.name} is damaged ({error}); train the head again."
            ) from error

    def require(self, identity: FeatureIdentity) -> None:
        """Make sure that features come from the encoder that the head was trained on.

        Args:
            identity: of the features at hand.

        Raises:
            HeadError: it is another one.
        """
        own = (self.encoder_sha256, *self.provenance.get("same_vectors_as", ()))
        if not any(identity.gives_vectors_of(sha256) for sha256 in own):
            raise HeadError(
                f"{self.name} was trained on features of the model {self.encoder} and not of "
                f"{identity.name}; choose that model, or train a head on this one."
            )
        if identity.n_features != self.n_features:
            raise HeadError(
                f"{self.name} wants {self.n_features} features per pixel and there are "
                f"{identity.n_features}; give it the kind of input that it was trained on."
            )

    def _outputs(self, features: NDArray[np.float32], count: int) -> NDArray[np.float32]:
        """Return map `(F, H, W)` to `(count, H, W)`, NaN where the features are."""
        pixels = features.reshape(len(features), -1)
        out = np.full((count, pixels.shape[1]), np.nan, np.float32)
        valid = np.flatnonzero(np.isfinite(pixels[0]))
        for start in range(0, len(valid), _BLOCK):
            chosen = valid[start : start + _BLOCK]
            block = np.ascontiguousarray(pixels[:, chosen].T)
            out[:, chosen] = self._session.run([self.kind.output], {"features": block})[0].T
        return out.reshape(count, *features.shape[1:])
