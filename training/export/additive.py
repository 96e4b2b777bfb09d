"""The graphs of an additive model.

`tokens.onnx` and `finish.onnx` let an engine stream: acquisitions to their terms, sums to the
embedding. `spatial.onnx` and `temporal.onnx` do the same work in the two steps that every package
has, so that a reader that knows nothing of sums runs such a package too.
"""

from __future__ import annotations

import onnx
import torch
from onnx import TensorProto
from torch import Tensor, nn

from training.models.additive import MISSING_VALUE, AdditiveEncoder, TokenNetwork

from .graph import Graph
from .temporal import (
    Shapes,
    checked_layer,
    day_encoding_nodes,
    projector_mix,
    projector_scores,
    transformer_layer,
)

TOKENS, FINISH = "tokens.onnx", "finish.onnx"


def token_image_graph(network: TokenNetwork) -> onnx.ModelProto:
    """Map `image` (N, bands, H, W) normalised to `features` (N, H, W, d_model)."""
    graph = Graph()
    bands = network.linear1.in_features // 2
    both = graph.add("Concat", "image", _present(graph, "image"), axis=1)
    hidden = graph.add("Relu", _pointwise(graph, both, network.linear1))
    features = _pointwise(graph, hidden, network.linear2)
    graph.add("Transpose", features, perm=[0, 2, 3, 1], output="features")
    return graph.model(
        {"image": (TensorProto.FLOAT, ["dates", bands, "height", "width"])},
        {"features": ["dates", "height", "width", network.linear2.out_features]},
    )


def additive_temporal_graph(encoder: AdditiveEncoder) -> onnx.ModelProto:
    """`features` (P, T, d), `days` (T,), `valid` (P, T) bool -> `embedding` (P, n_queries, d)."""
    graph = Graph()
    width = encoder.projector.key.in_features
    days = day_encoding_nodes(graph, encoder.day_encoding, "days")
    by_date = graph.add("Transpose", graph.add("Add", "features", days), perm=[1, 0, 2])
    shapes = Shapes(graph, by_date)
    rows = graph.add("Reshape", by_date, graph.weight([-1, width]))
    scores = projector_scores(graph, rows, "valid", shapes, encoder.projector)
    shares = graph.add("Softmax", scores, axis=-1)
    _finish(graph, projector_mix(graph, rows, shares, shapes, encoder.projector), encoder)
    return graph.model(
        {
            "features": (TensorProto.FLOAT, ["pixels", "dates", width]),
            "days": (TensorProto.FLOAT, ["dates"]),
            "valid": (TensorProto.BOOL, ["pixels", "dates"]),
        },
        {"embedding": ["pixels", encoder.projector.query.shape[1], width]},
    )


def tokens_graph(network: TokenNetwork, encoder: AdditiveEncoder) -> onnx.ModelProto:
    """Map acquisitions to what they add up to (`training.models.additive.Sums`).

    `image` (T, P, bands) normalised, `days` (T,), `valid` (T, P) bool -> `numerator`
    (P, n_queries, d), `denominator` and `maximum` (P, heads, n_queries). T is 1 for one acquisition
    alone. A pixel without a valid date has a maximum of MASKED_SCORE.
    """
    graph = Graph()
    projector = encoder.projector
    heads, n_queries, _ = projector.query.shape
    width, bands = projector.key.in_features, network.linear1.in_features // 2
    both = graph.add("Concat", "image", _present(graph, "image"), axis=2)
    pixels = graph.add("Reshape", both, graph.weight([-1, 2 * bands]))
    hidden = graph.add("Relu", graph.linear(pixels, network.linear1.weight, network.linear1.bias))
    features = graph.linear(hidden, network.linear2.weight, network.linear2.bias)
    shapes = Shapes(graph, "image")
    by_date = graph.add("Reshape", features, shapes("T", "P", width))
    days = day_encoding_nodes(graph, encoder.day_encoding, "days")
    by_date = graph.add("Add", by_date, graph.add("Unsqueeze", days, graph.weight([1])))
    # What stands for no value may be anything: it must not reach the sums.
    seen = graph.add("Unsqueeze", "valid", graph.weight([2]))
    by_date = graph.add("Where", seen, by_date, graph.weight(0.0))
    rows = graph.add("Reshape", by_date, graph.weight([-1, width]))
    by_pixel = graph.add("Transpose", "valid", perm=[1, 0])
    scores = projector_scores(graph, rows, by_pixel, shapes, projector)
    largest = graph.add("ReduceMax", scores, axes=[2], keepdims=1)
    weights = graph.add("Exp", graph.add("Sub", scores, largest))
    by_head = graph.weight([-1, heads, n_queries])
    graph.add("Reshape", largest, by_head, output="maximum")
    summed = graph.add("ReduceSum", weights, graph.weight([2]), keepdims=0)
    graph.add("Reshape", summed, by_head, output="denominator")
    projector_mix(graph, rows, weights, shapes, projector, output="numerator")
    return graph.model(
        {
            "image": (TensorProto.FLOAT, ["dates", "pixels", bands]),
            "days": (TensorProto.FLOAT, ["dates"]),
            "valid": (TensorProto.BOOL, ["dates", "pixels"]),
        },
        {
            "numerator": ["pixels", n_queries, width],
            "denominator": ["pixels", heads, n_queries],
            "maximum": ["pixels", heads, n_queries],
        },
    )


def finish_graph(encoder: AdditiveEncoder) -> onnx.ModelProto:
    """Map `numerator` (P, n_queries, d), `denominator` (P, heads, n_queries) to `embedding`."""
    graph = Graph()
    projector = encoder.projector
    heads, n_queries, _ = projector.query.shape
    width = projector.key.in_features
    # Each head's denominator stands beside its own share of the features.
    per_query = graph.add("Transpose", "denominator", perm=[0, 2, 1])
    per_head = graph.add("Unsqueeze", per_query, graph.weight([3]))
    split = graph.add("Reshape", "numerator", graph.weight([-1, n_queries, heads, width // heads]))
    mean = graph.add("Div", split, per_head)
    mean = graph.add("Reshape", mean, graph.weight([-1, n_queries, width]))
    _finish(graph, mean, encoder)
    return graph.model(
        {
            "numerator": (TensorProto.FLOAT, ["pixels", n_queries, width]),
            "denominator": (TensorProto.FLOAT, ["pixels", heads, n_queries]),
        },
        {"embedding": ["pixels", n_queries, width]},
    )


def _finish(graph: Graph, mean: str, encoder: AdditiveEncoder) -> None:
    """Add the layers on the queries: weighted means (P, n_queries, d) to `embedding`."""
    width = encoder.projector.key.in_features
    layers = [checked_layer(layer) for layer in encoder.transformer.layers]
    # A layer's rows come with the bias that its attention will add (`transformer_layer`).
    start = encoder.place + layers[0].out.bias
    by_query = graph.add("Add", graph.add("Transpose", mean, perm=[1, 0, 2]),
                         graph.weight(start[:, None]))  # fmt: skip
    shapes = Shapes(graph, by_query)
    rows = graph.add("Reshape", by_query, graph.weight([-1, width]))
    nothing_hidden = graph.weight(0.0)
    for layer, following in zip(layers, [*layers[1:], None]):
        ahead = torch.zeros_like(layer.out.bias) if following is None else following.out.bias
        rows = transformer_layer(graph, rows, nothing_hidden, shapes, layer, ahead)
    rows = graph.linear(rows, encoder.out.weight, encoder.out.bias)
    by_query = graph.add("Reshape", rows, shapes("T", "P", width))
    graph.add("Transpose", by_query, perm=[1, 0, 2], output="embedding")


def _present(graph: Graph, image: str) -> str:
    """Return 1 where an image holds a value, 0 where it holds the one that stands for none."""
    absent = graph.add("Equal", image, graph.weight(MISSING_VALUE))
    return graph.add("Where", absent, graph.weight(0.0), graph.weight(1.0))


def _pointwise(graph: Graph, image: str, linear: nn.Linear) -> str:
    """Return a linear layer on the bands of every pixel (N, C, H, W)."""
    weight: Tensor = linear.weight.detach()[:, :, None, None]
    return graph.add(
        "Conv", image, graph.weight(weight), graph.weight(linear.bias), kernel_shape=[1, 1]
    )
