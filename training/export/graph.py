"""A small writer of ONNX graphs: nodes are added in order and named after what they hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

OPSET = 17
# onnxruntime's own operators.
FUSED = "com.microsoft"


class Graph:
    """Collects nodes and weights, then makes the model."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []

    def weight(self, value: Tensor | np.ndarray | list[int] | float) -> str:
        """Return a constant; tensors and floats become float32, lists of integers int64."""
        if isinstance(value, Tensor):
            array = value.detach().cpu().numpy().astype(np.float32)
        elif isinstance(value, list):
            array = np.array(value, np.int64)
        elif isinstance(value, np.ndarray):
            array = value
        else:
            array = np.array(value, np.float32)
        name = f"w{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def add(
        self, operator: str, *inputs: str, domain: str = "", output: str = "", **attributes: Any
    ) -> str:
        """Add a node with one output; return the output's name."""
        name = output or f"n{len(self._nodes)}"
        self._nodes.append(
            helper.make_node(operator, list(inputs), [name], domain=domain, **attributes)
        )
        return name

    def linear(self, x: str, weight: Tensor, bias: Tensor | None) -> str:
        """Return `x W^T + b` for rows `(N, in)` and a weight `(out, in)` as PyTorch keeps it."""
        operands = [x, self.weight(weight.detach().t())]
        if bias is not None:
            operands.append(self.weight(bias))
        return self.add("Gemm", *operands)

    def added_to(self, rows: str, x: str, weight: Tensor) -> str:
        """Return `rows + x W^T`, in one product that begins with the rows."""
        return self.add("Gemm", x, self.weight(weight.detach().t()), rows)

    def model(self, inputs: dict[str, Any], outputs: dict[str, list[Any]]) -> onnx.ModelProto:
        """Return the checked model.

        Args:
            inputs: name -> (element type, shape), with names for free sizes.
            outputs: name -> shape of each result, float32.
        """
        graph = helper.make_graph(
            self._nodes,
            "alise",
            [
                helper.make_tensor_value_info(name, kind, dims)
                for name, (kind, dims) in inputs.items()
            ],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
                for name, shape in outputs.items()
            ],
            self._weights,
        )
        model = helper.make_model(
            graph,
            ir_version=9,
            opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(FUSED, 1)],
            producer_name="alise-training",
        )
        onnx.checker.check_model(model)
        return model
