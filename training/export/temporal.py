"""temporal.onnx and decoder.onnx: series of features to aligned vectors, and back to bands.

Written node by node rather than traced, for onnxruntime's fused `Attention` (the three projections,
the masked softmax and the mixing). Its `SkipLayerNormalization` is left alone on purpose: on the
CPU it takes five times as long as `Add` and `LayerNormalization`, which are vectorised. The tests
hold both graphs to the PyTorch modules.
"""

from __future__ import annotations

import math

import onnx
import torch
from onnx import TensorProto

from training.models.alise import TemporalEncoder
from training.models.day_encoding import DayEncoding
from training.models.decoder import Decoder
from training.models.temporal_projector import TemporalProjector
from training.models.transformer import TransformerLayer

from .graph import FUSED, Graph

# Far below any score, and finite: a pixel without a valid date must not give NaN.
MASKED_SCORE = -1e9


def temporal_graph(encoder: TemporalEncoder) -> onnx.ModelProto:
    """`features` (P, T, d), `days` (T,), `valid` (P, T) bool -> `embedding` (P, n_queries, d)."""
    graph = Graph()
    width = encoder.projector.key.in_features
    encoded = graph.add("Add", "features", _day_encoding(graph, encoder.day_encoding, "days"))
    mask = graph.add("Cast", "valid", to=TensorProto.INT32)
    series_shape = graph.add("Shape", "features")
    rows = graph.add("Reshape", encoded, graph.weight([-1, width]))
    for layer in encoder.transformer.layers:
        assert isinstance(layer, TransformerLayer)
        rows = _transformer_layer(graph, rows, mask, series_shape, layer)
    _projector(graph, rows, series_shape, encoder.projector)
    return graph.model(
        {
            "features": (TensorProto.FLOAT, ["pixels", "dates", width]),
            "days": (TensorProto.FLOAT, ["dates"]),
            "valid": (TensorProto.BOOL, ["pixels", "dates"]),
        },
        "embedding",
        ["pixels", encoder.projector.query.shape[1], width],
    )


def decoder_graph(decoder: Decoder, n_queries: int) -> onnx.ModelProto:
    """`embedding` (P, n_queries, d), `days` (T2,) -> `reflectance` (P, T2, bands) (Eq. 8, 9)."""
    graph = Graph()
    width = decoder.key.in_features
    days = _day_encoding(graph, decoder.day_encoding, "days")
    query = graph.add("Add", days, graph.weight(decoder.mask_token))
    # (W_q q) . (W_k y) = ((W_q q)^T W_k) y: the key projection moves to the few queries.
    query = graph.linear(query, decoder.query.weight, None)
    query = graph.add("MatMul", query, graph.weight(decoder.key.weight / math.sqrt(width)))
    scores = graph.add("MatMul", "embedding", graph.add("Transpose", query, perm=[1, 0]))
    shares = graph.add("Transpose", graph.add("Softmax", scores, axis=1), perm=[0, 2, 1])
    mixed = graph.add("MatMul", shares, "embedding")
    bands = graph.add("MatMul", mixed, graph.weight(decoder.bands.weight.detach().t()))
    graph.add("Add", bands, graph.weight(decoder.bands.bias), output="reflectance")
    return graph.model(
        {
            "embedding": (TensorProto.FLOAT, ["pixels", n_queries, width]),
            "days": (TensorProto.FLOAT, ["dates"]),
        },
        "reflectance",
        ["pixels", "dates", decoder.bands.out_features],
    )


def _day_encoding(graph: Graph, encoding: DayEncoding, days: str) -> str:
    """(T,) -> (T, d): sines and cosines interleaved, as `DayEncoding`."""
    column = graph.add("Unsqueeze", days, graph.weight([1]))
    angles = graph.add("Mul", column, graph.weight(encoding.frequencies))
    last = graph.weight([2])
    pairs = graph.add(
        "Concat",
        graph.add("Unsqueeze", graph.add("Sin", angles), last),
        graph.add("Unsqueeze", graph.add("Cos", angles), last),
        axis=2,
    )
    return graph.add("Reshape", pairs, graph.weight([-1, 2 * len(encoding.frequencies)]))


def _transformer_layer(
    graph: Graph, rows: str, mask: str, series_shape: str, layer: TransformerLayer
) -> str:
    """One post-norm layer on rows (P * T, d)."""
    projections = (layer.query, layer.key, layer.value)
    attention = graph.add(
        "Attention",
        graph.add("Reshape", rows, series_shape),
        graph.weight(torch.cat([p.weight.detach().t() for p in projections], dim=1)),
        graph.weight(torch.cat([p.bias.detach() for p in projections])),
        mask,
        domain=FUSED,
        num_heads=layer.heads,
        mask_filter_value=MASKED_SCORE,
    )
    flat = graph.add("Reshape", attention, graph.weight([-1, layer.out.in_features]))
    rows = _add_and_normalise(
        graph, graph.linear(flat, layer.out.weight, layer.out.bias), rows, layer.norm1
    )
    hidden = graph.add("Relu", graph.linear(rows, layer.linear1.weight, layer.linear1.bias))
    return _add_and_normalise(
        graph, graph.linear(hidden, layer.linear2.weight, layer.linear2.bias), rows, layer.norm2
    )


def _add_and_normalise(graph: Graph, change: str, rows: str, norm: torch.nn.LayerNorm) -> str:
    return graph.add(
        "LayerNormalization",
        graph.add("Add", change, rows),
        graph.weight(norm.weight),
        graph.weight(norm.bias),
        epsilon=norm.eps,
    )


def _projector(graph: Graph, rows: str, series_shape: str, projector: TemporalProjector) -> None:
    """Eq. 1, with the key projection folded into the learned queries.

    Every head weighs all features of a date, then keeps its own share of them: the same sums as
    splitting the values first, in one product.
    """
    heads, n_queries, d_key = projector.query.shape
    width = projector.key.in_features
    key = projector.key.weight.detach().unflatten(0, (heads, d_key))
    folded = torch.einsum("hnk,hkd->dhn", projector.query.detach(), key) / math.sqrt(d_key)
    series = graph.add("Reshape", rows, series_shape)
    scores = graph.add("MatMul", series, graph.weight(folded.flatten(1)))
    seen = graph.add("Unsqueeze", "valid", graph.weight([2]))
    scores = graph.add("Where", seen, scores, graph.weight(MASKED_SCORE))
    shares = graph.add("Transpose", graph.add("Softmax", scores, axis=1), perm=[0, 2, 1])
    mixed = graph.add("MatMul", shares, series)
    parts = []
    for head in range(heads):
        start = [head * n_queries, head * (width // heads)]
        end = [(head + 1) * n_queries, (head + 1) * (width // heads)]
        parts.append(
            graph.add("Slice", mixed, graph.weight(start), graph.weight(end), graph.weight([1, 2]))
        )
    graph.add("Concat", *parts, axis=2, output="embedding")
