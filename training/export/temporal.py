"""temporal.onnx and decoder.onnx: series of features to aligned vectors, and back to bands.

Written node by node rather than traced, so that the transformer can work on rows ordered date by
date. onnxruntime's `FusedMatMul` then reads the heads where they lie, and three of the four copies
that attention needs fall away. Its ready-made operators are left alone on purpose: measured on a
CPU, `Attention` takes a third longer than the nodes here up to 30 dates (and as long at 140), and
`SkipLayerNormalization` five times as long as `LayerNormalization` after a product that adds up.
ONNX's own `Attention` (opset 23) takes as long up to 60 dates and a tenth less at 140, but older
releases of onnxruntime lack it.
The tests hold both graphs to the PyTorch modules.
"""

from __future__ import annotations

import math

import onnx
import torch
from onnx import TensorProto
from torch import Tensor, nn

from training.models.additive import MASKED_SCORE
from training.models.alise import TemporalEncoder
from training.models.day_encoding import DayEncoding
from training.models.decoder import Decoder
from training.models.temporal_projector import TemporalProjector
from training.models.transformer import TransformerLayer

from .graph import FUSED, Graph


def temporal_graph(encoder: TemporalEncoder) -> onnx.ModelProto:
    """`features` (P, T, d), `days` (T,), `valid` (P, T) bool -> `embedding` (P, n_queries, d)."""
    graph = Graph()
    width = encoder.projector.key.in_features
    layers = [checked_layer(layer) for layer in encoder.transformer.layers]
    # The first layer's rows come with the first bias that its attention will add.
    days = day_encoding_nodes(graph, encoder.day_encoding, "days")
    encoded = graph.add("Add", "features", graph.add("Add", days, graph.weight(layers[0].out.bias)))
    by_date = graph.add("Transpose", encoded, perm=[1, 0, 2])
    shapes = Shapes(graph, by_date)
    mask = _mask(graph, shapes)
    rows = graph.add("Reshape", by_date, graph.weight([-1, width]))
    for layer, following in zip(layers, [*layers[1:], None]):
        ahead = torch.zeros_like(layer.out.bias) if following is None else following.out.bias
        rows = transformer_layer(graph, rows, mask, shapes, layer, ahead)
    _projector(graph, rows, shapes, encoder.projector)
    return graph.model(
        {
            "features": (TensorProto.FLOAT, ["pixels", "dates", width]),
            "days": (TensorProto.FLOAT, ["dates"]),
            "valid": (TensorProto.BOOL, ["pixels", "dates"]),
        },
        {"embedding": ["pixels", encoder.projector.query.shape[1], width]},
    )


def decoder_graph(decoder: Decoder, n_queries: int) -> onnx.ModelProto:
    """`embedding` (P, n_queries, d), `days` (T2,) -> `reflectance` (P, T2, bands) (Eq. 8, 9)."""
    graph = Graph()
    width = decoder.key.in_features
    days = day_encoding_nodes(graph, decoder.day_encoding, "days")
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
        {"reflectance": ["pixels", "dates", decoder.bands.out_features]},
    )


def day_encoding_nodes(graph: Graph, encoding: DayEncoding, days: str) -> str:
    """Map (T,) to (T, d): sines and cosines interleaved, as `DayEncoding`."""
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


class Shapes:
    """Shapes that follow from P and T, as nodes made once.

    Args:
        graph: that they are added to.
        by_date: name of values `(T, P, d)`.
    """

    def __init__(self, graph: Graph, by_date: str) -> None:
        self._graph = graph
        shape = graph.add("Shape", by_date)
        self._sizes = graph.add("Slice", shape, graph.weight([0]), graph.weight([2]))
        self._dates = graph.add("Slice", shape, graph.weight([0]), graph.weight([1]))
        self._made: dict[tuple[str | int, ...], str] = {}

    def __call__(self, *shape: str | int) -> str:
        """Return a shape as `Reshape` takes it: numbers, "T", and "T", "P" side by side."""
        if shape not in self._made:
            parts: list[str] = []
            places = iter(shape)
            for size in places:
                if isinstance(size, int):
                    parts.append(self._graph.weight([size]))
                elif shape[len(parts) : len(parts) + 2] == ("T", "P"):
                    parts.append(self._sizes)
                    next(places)
                else:
                    parts.append(self._dates)
            self._made[shape] = self._graph.add("Concat", *parts, axis=0)
        return self._made[shape]


def _mask(graph: Graph, shapes: Shapes) -> str:
    """Map what attention adds to its scores: (P, T) bool to (P, 1, T, T), the same in every row.

    The rows are written out because adding one row to many is slow in onnxruntime.
    """
    row = graph.add("Where", "valid", graph.weight(0.0), graph.weight(MASKED_SCORE))
    row = graph.add("Unsqueeze", row, graph.weight([1, 2]))
    return graph.add("Expand", row, shapes(1, 1, "T", 1))


def checked_layer(layer: nn.Module) -> TransformerLayer:
    """Return a layer of a transformer, whose list of modules does not say of what kind they are."""
    assert isinstance(layer, TransformerLayer)
    return layer


def transformer_layer(
    graph: Graph, rows: str, mask: str, shapes: Shapes, layer: TransformerLayer, ahead: Tensor
) -> str:
    """Return one post-norm layer on rows (T * P, d).

    The product that ends a branch takes the rows that skip it as what it adds to, in the place of
    its bias. So these rows already hold that bias, and what else reads them takes it away again
    through a bias of its own.

    Args:
        rows: come with `layer.out.bias` added.
        ahead: `(d,)`, to be added to the result, for the layer that follows.
    """
    width = layer.out.in_features
    d_head = width // layer.heads

    def project(weight: Tensor, bias: Tensor | None) -> str:
        """Map (T * P, d) to (T, P, heads, d_head)."""
        out = graph.linear(rows, weight, bias)
        return graph.add("Reshape", out, shapes("T", "P", layer.heads, d_head))

    scale = 1 / math.sqrt(d_head)
    query = project(layer.query.weight * scale, _without(layer.out.bias, layer.query) * scale)
    # What a bias of the keys adds to a score is the same for every date, which softmax cancels.
    key = project(layer.key.weight, None)

    # transBatch moves the first axis behind the next two: (P, heads, T, d_head) without a copy.
    scores = graph.add(
        "FusedMatMul",
        query,
        key,
        domain=FUSED,
        transBatchA=1,
        transBatchB=1,
        transB=1,
    )
    shares = graph.add("Softmax", graph.add("Add", scores, mask), axis=-1)
    value = project(layer.value.weight, _without(layer.out.bias, layer.value))
    mixed = graph.add("FusedMatMul", shares, value, domain=FUSED, transBatchB=1)
    mixed = graph.add("Transpose", mixed, perm=[2, 0, 1, 3])
    flat = graph.add("Reshape", mixed, graph.weight([-1, width]))
    attended = graph.added_to(rows, flat, layer.out.weight)
    rows = _normalise(graph, attended, layer.norm1, layer.linear2.bias)
    first = _without(layer.linear2.bias, layer.linear1)
    hidden = graph.add("Relu", graph.linear(rows, layer.linear1.weight, first))
    return _normalise(graph, graph.added_to(rows, hidden, layer.linear2.weight), layer.norm2, ahead)


def _without(constant: Tensor, linear: nn.Linear) -> Tensor:
    """Return the bias with which a layer gives the same for rows that hold a constant too much."""
    return (linear.bias.double() - linear.weight.double() @ constant.double()).float()


def _normalise(graph: Graph, rows: str, norm: nn.LayerNorm, ahead: Tensor) -> str:
    """Return layer normalisation, with a constant on top."""
    weight, bias = graph.weight(norm.weight), graph.weight(norm.bias + ahead)
    return graph.add("LayerNormalization", rows, weight, bias, epsilon=norm.eps)


def _projector(graph: Graph, rows: str, shapes: Shapes, projector: TemporalProjector) -> None:
    """Eq. 1 on rows (T * P, d)."""
    scores = projector_scores(graph, rows, "valid", shapes, projector)
    shares = graph.add("Softmax", scores, axis=-1)
    projector_mix(graph, rows, shares, shapes, projector, output="embedding")


def projector_scores(
    graph: Graph, rows: str, valid: str, shapes: Shapes, projector: TemporalProjector
) -> str:
    """Return scores (P, heads * n_queries, T) of rows (T * P, d).

    The key projection is folded into the learned queries.

    Args:
        valid: name of (P, T) bool.
    """
    heads, n_queries, d_key = projector.query.shape
    key = projector.key.weight.detach().unflatten(0, (heads, d_key))
    folded = torch.einsum("hnk,hkd->dhn", projector.query.detach(), key) / math.sqrt(d_key)
    seen = graph.add("Transpose", valid, perm=[1, 0])
    mask = graph.add("Where", seen, graph.weight(0.0), graph.weight(MASKED_SCORE))
    mask = graph.add("Reshape", mask, graph.weight([-1, 1]))
    scores = graph.add("Gemm", rows, graph.weight(folded.flatten(1)), mask)
    scores = graph.add("Reshape", scores, shapes("T", "P", heads * n_queries))
    return graph.add("Transpose", scores, perm=[1, 2, 0])


def projector_mix(
    graph: Graph,
    rows: str,
    weights: str,
    shapes: Shapes,
    projector: TemporalProjector,
    output: str = "",
) -> str:
    """Return rows (T * P, d) summed with weights (P, heads * n_queries, T): (P, n_queries, d).

    Every head weighs all features of a date, then keeps its own share of them: the same sums as
    splitting the values first, in one product.
    """
    heads, n_queries, _ = projector.query.shape
    width = projector.key.in_features
    by_date = graph.add("Reshape", rows, shapes("T", "P", width))
    mixed = graph.add("FusedMatMul", weights, by_date, domain=FUSED, transBatchB=1)
    parts = []
    for head in range(heads):
        start = [head * n_queries, head * (width // heads)]
        end = [(head + 1) * n_queries, (head + 1) * (width // heads)]
        parts.append(
            graph.add("Slice", mixed, graph.weight(start), graph.weight(end), graph.weight([1, 2]))
        )
    return graph.add("Concat", *parts, axis=2, output=output)
