"""Half precision: the same graphs in float16 where that is safe, for GPUs.

Convolutions, the transformer's products and what lies between them become float16. Float32 stay
the day encoding (a day of 4000 has no float16 neighbours closer than 2), normalisation over a whole
image (its sums overflow), and all that follows the last layer normalisation (the temporal
projector: few operations, and scores whose exponent multiplies their error). Softmax and layer
normalisation are float16 outside; onnxruntime's CUDA kernels sum in float32 inside.

Made from the float32 graphs of a package, not from a checkpoint, so that any package can get them.
onnxruntime's own converter rounds between two nodes that are to stay float32, which breaks days.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from alise_plugin.model.package import HALF, MANIFEST, load_package
from training.files import write_file

# Stands for what masks attention: within float16, and far below any score (thousands were seen).
LARGEST = 3e4
# Nodes whose result has another type than their first input: the input that has it.
_TYPE_OF = {"Where": 1}
_FLOAT32, _FLOAT16 = int(TensorProto.FLOAT), int(TensorProto.FLOAT16)
_KINDS: dict[int, np.dtype] = {_FLOAT32: np.dtype(np.float32), _FLOAT16: np.dtype(np.float16)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("--model", type=Path, required=True, help="folder of the package")


def run(args: argparse.Namespace) -> int:
    """Give a package its half-precision graphs and say how large they are."""
    size = add_half(args.model)
    print(f"{args.model}: {', '.join(HALF.values())}, {size / 1e6:.2f} MB")
    return 0


def add_half(folder: Path) -> int:
    """Write the half-precision graphs of a package into it; the manifest is replaced last.

    Returns:
        Their bytes.

    Raises:
        ModelPackageError: `folder` is no model package, or a broken one.
    """
    load_package(folder)
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    files, size = manifest["files"], 0
    for name, half in HALF.items():
        content = half_graph(onnx.load(folder / name)).SerializeToString()
        write_file(folder / half, content)
        files[half] = {
            "sha256": hashlib.sha256(content).hexdigest(),
            "bytes": len(content),
            "of": files[name]["sha256"],
        }
        size += len(content)
    write_file(folder / MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())
    return size


def half_graph(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph of ours in half precision.

    Args:
        model: spatial or temporal graph in float32, its nodes in order.

    Returns:
        A graph with the same inputs and output, but for `features`, which pass from one graph to
        the other as float16.
    """
    graph = model.graph
    exact = _exact_nodes(graph)
    weights = {weight.name: numpy_helper.to_array(weight) for weight in graph.initializer}
    kinds = {weight.name: int(weight.data_type) for weight in graph.initializer}
    ends = [helper.make_tensor_value_info("", 0, None) for _ in (*graph.input, *graph.output)]
    for end, old in zip(ends, (*graph.input, *graph.output)):
        end.CopyFrom(old)
        if old.name == "features":
            end.type.tensor_type.elem_type = _FLOAT16
    inputs, outputs = ends[: len(graph.input)], ends[len(graph.input) :]
    kinds.update({end.name: end.type.tensor_type.elem_type for end in inputs})
    nodes: list[onnx.NodeProto] = []
    used: dict[str, np.ndarray] = {}

    def as_kind(name: str, kind: int) -> str:
        """Return a value as float32 or float16; whole numbers and truths as they are."""
        if name in weights:
            value = weights[name]
            if kinds[name] not in _KINDS:
                used[name] = value
                return name
            if kind == _FLOAT16:
                value = np.clip(value, -LARGEST, LARGEST)
            typed = f"{name}_{_KINDS[kind]}"
            used[typed] = value.astype(_KINDS[kind])
            return typed
        if kinds[name] not in _KINDS or kinds[name] == kind:
            return name
        typed = f"{name}_{_KINDS[kind]}"
        if typed not in kinds:
            nodes.append(helper.make_node("Cast", [name], [typed], to=kind))
            kinds[typed] = kind
        return typed

    for number, old in enumerate(graph.node):
        kind = _FLOAT32 if number in exact else _FLOAT16
        node = onnx.NodeProto()
        node.CopyFrom(old)
        del node.input[:]
        node.input.extend(as_kind(name, kind) for name in old.input)
        first = kinds[old.input[_TYPE_OF.get(old.op_type, 0)]]
        made = kind if first in _KINDS else first
        if old.op_type == "Shape":
            made = int(TensorProto.INT64)
        if old.op_type == "Cast":
            (to,) = (attribute for attribute in node.attribute if attribute.name == "to")
            made = to.i = kind if to.i in _KINDS else to.i
        nodes.append(node)
        kinds[node.output[0]] = made
    for end in outputs:
        wanted = end.type.tensor_type.elem_type
        if kinds[end.name] != wanted:
            _rename(nodes, end.name, f"{end.name}_raw")
            nodes.append(helper.make_node("Cast", [f"{end.name}_raw"], [end.name], to=wanted))
    half = helper.make_model(
        helper.make_graph(
            nodes,
            graph.name,
            inputs,
            outputs,
            [numpy_helper.from_array(value, name) for name, value in used.items()],
        ),
        ir_version=model.ir_version,
        opset_imports=model.opset_import,
        producer_name=model.producer_name,
    )
    onnx.checker.check_model(half)
    return half


def _exact_nodes(graph: onnx.GraphProto) -> set[int]:
    """Return places of the nodes that stay in float32."""
    weights = {weight.name for weight in graph.initializer}
    of_days = {"days"}
    exact = set()
    last = max(
        (i for i, node in enumerate(graph.node) if node.op_type == "LayerNormalization"),
        default=len(graph.node),
    )
    for number, node in enumerate(graph.node):
        values = {name for name in node.input if name not in weights}
        if values and values <= of_days:
            of_days.update(node.output)
            exact.add(number)
        elif number > last or node.op_type == "InstanceNormalization":
            exact.add(number)
    return exact


def _rename(nodes: list[onnx.NodeProto], old: str, new: str) -> None:
    for node in nodes:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == old:
                    names[place] = new
