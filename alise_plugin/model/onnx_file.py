"""Writing small ONNX files, without the package `onnx`: a head's dense layers, and a lookup.

ONNX is a published protocol-buffers schema (onnx/onnx.proto, IR version 8). They need six kinds
of its messages, which take fewer lines than the `onnx` and `protobuf` packages would take megabytes
in a QGIS profile, and cannot clash with the protobuf that QGIS's Python may have already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_IR_VERSION = 8
_OPSET = 17
# TensorProto.DataType
_FLOAT, _INT32, _HALF = 1, 6, 10
_VARINT, _BYTES = 0, 2  # wire types


def dense_bytes(
    mean: NDArray[np.floating[Any]],
    scale: NDArray[np.floating[Any]],
    layers: Sequence[tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]],
    last: str,
    output: str,
    metadata: Mapping[str, str],
) -> bytes:
    """Return a model: last(dense(relu(... dense((features - mean) / scale)))).

    Args:
        mean, scale: `(F,)` of each feature.
        layers: weights `(inputs, outputs)` and bias `(outputs,)` of each dense layer.
        last: the operator that ends it, "Softmax" or "Identity".
        output: what to call what comes out.
        metadata: the model's metadata properties.

    Returns:
        An ONNX file with the input "features" `(pixels, F)` and one output `(pixels, K)`, both
        float32.
    """
    constants = {"mean": mean, "scale": scale}
    nodes = [_node("Sub", ["features", "mean"], "centred")]
    nodes.append(_node("Div", ["centred", "scale"], "standardised"))
    value = "standardised"
    for number, (weights, bias) in enumerate(layers):
        names = f"weights_{number}", f"bias_{number}"
        constants.update(zip(names, (weights, bias)))
        nodes.append(_node("Gemm", [value, *names], f"dense_{number}"))
        value = f"dense_{number}"
        if number + 1 < len(layers):
            nodes.append(_node("Relu", [value], f"relu_{number}"))
            value = f"relu_{number}"
    nodes.append(_node(last, [value], output))
    graph = b"".join(_field(1, node) for node in nodes) + _text(2, "alise-head")
    graph += b"".join(_field(5, _tensor(name, array)) for name, array in constants.items())
    graph += _field(11, _value_info("features", ["pixels", len(mean)]))
    graph += _field(12, _value_info(output, ["pixels", len(layers[-1][1])]))
    return _model(graph, metadata)


def lookup_bytes(dtype: DTypeLike) -> bytes:
    """Return a model: rows[places], for memory that only a graph can read.

    Args:
        dtype: of the rows, float32 or float16.

    Returns:
        An ONNX file with the inputs "rows" `(N, d)` and "places" `(a, b)` int32, and the output
        "taken" `(a, b, d)`.
    """
    kind = _HALF if np.dtype(dtype) == np.float16 else _FLOAT
    graph = _field(1, _node("Gather", ["rows", "places"], "taken")) + _text(2, "alise-lookup")
    graph += _field(11, _value_info("rows", ["all", "features"], kind))
    graph += _field(11, _value_info("places", ["a", "b"], _INT32))
    graph += _field(12, _value_info("taken", ["a", "b", "features"], kind))
    return _model(graph, {})


def _model(graph: bytes, metadata: Mapping[str, str]) -> bytes:
    properties = (_text(1, key) + _text(2, text) for key, text in metadata.items())
    return (
        _number(1, _IR_VERSION)
        + _text(2, "alise-qgis")
        + _field(7, graph)
        + _field(8, _text(1, "") + _number(2, _OPSET))
        + b"".join(_field(14, entry) for entry in properties)
    )


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3 | _VARINT) + _varint(value)


def _field(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | _BYTES) + _varint(len(content)) + content


def _text(field: int, text: str) -> bytes:
    return _field(field, text.encode("utf-8"))


def _node(operator: str, inputs: Sequence[str], output: str) -> bytes:
    names = b"".join(_text(1, name) for name in inputs)
    return names + _text(2, output) + _text(3, output) + _text(4, operator)


def _tensor(name: str, values: NDArray[np.floating[Any]]) -> bytes:
    sizes = b"".join(_number(1, size) for size in values.shape)
    raw = np.ascontiguousarray(values, "<f4").tobytes()
    return sizes + _number(2, _FLOAT) + _text(8, name) + _field(9, raw)


def _value_info(name: str, sizes: Sequence[int | str], kind: int = _FLOAT) -> bytes:
    """Return a tensor; a free size is a name."""
    axes = (_text(2, size) if isinstance(size, str) else _number(1, size) for size in sizes)
    shape = b"".join(_field(1, axis) for axis in axes)
    tensor = _field(1, _number(1, kind) + _field(2, shape))
    return _text(1, name) + _field(2, tensor)
