"""spatial.onnx: the U-Net on one date, batch normalisation folded into the convolutions.

Group normalisation cannot be folded, for its statistics are those of the image: it stays as nodes.
"""

from __future__ import annotations

import onnx
import torch
from onnx import TensorProto
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from training.models.unet import ConvLayer, DownBlock, UNet, UpBlock

from .graph import Graph


def spatial_graph(unet: UNet) -> onnx.ModelProto:
    """Map `image` (N, bands, H, W) normalised to `features` (N, H, W, d_model)."""
    graph = Graph()
    levels = [_layers(graph, "image", unet.input_block.conv1, unet.input_block.conv2)]
    for down in unet.down_blocks:
        assert isinstance(down, DownBlock)
        image = _layers(graph, levels[-1], down.down, down.conv1)
        levels.append(graph.add("Add", image, _layers(graph, image, down.conv2)))
    image = levels.pop()
    for up in unet.up_blocks:
        assert isinstance(up, UpBlock)
        joined = graph.add(
            "Concat",
            _layers(graph, image, up.up),
            _layers(graph, levels.pop(), up.skip),
            axis=1,
        )
        image = _layers(graph, joined, up.conv1)
        image = graph.add("Add", image, _layers(graph, image, up.conv2))
    image = _convolution(graph, image, unet.output, unet.output.weight, unet.output.bias)
    # Channels last: the temporal graph takes a pixel's features side by side.
    graph.add("Transpose", image, perm=[0, 2, 3, 1], output="features")
    bands = unet.input_block.conv1.conv.in_channels
    return graph.model(
        {"image": (TensorProto.FLOAT, ["dates", bands, "height", "width"])},
        {"features": ["dates", "height", "width", unet.output.out_channels]},
    )


def _layers(graph: Graph, image: str, *layers: ConvLayer) -> str:
    for layer in layers:
        conv, norm = layer.conv, layer.norm
        if isinstance(norm, nn.BatchNorm2d):
            image = _convolution(graph, image, conv, *_folded(conv, norm))
        else:
            assert isinstance(norm, nn.GroupNorm)
            image = _convolution(graph, image, conv, conv.weight, conv.bias)
            image = _group_normalisation(graph, image, norm)
        image = graph.add("Relu", image)
    return image


def _folded(
    conv: nn.Conv2d | nn.ConvTranspose2d, norm: nn.BatchNorm2d
) -> tuple[Tensor, Tensor | None]:
    """Return weight and bias of a convolution that does the work of the normalisation after it."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return fuse_conv_bn_weights(
        conv.weight,
        conv.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
        transpose=isinstance(conv, nn.ConvTranspose2d),
    )


def _group_normalisation(graph: Graph, image: str, norm: nn.GroupNorm) -> str:
    """Return each group of channels becomes one channel of an instance normalisation."""
    shape = graph.add("Shape", image)
    ones, zeros = torch.ones(norm.num_groups), torch.zeros(norm.num_groups)
    grouped = graph.add(
        "InstanceNormalization",
        graph.add("Reshape", image, graph.weight([0, norm.num_groups, -1])),
        graph.weight(ones),
        graph.weight(zeros),
        epsilon=norm.eps,
    )
    image = graph.add("Reshape", grouped, shape)
    scaled = graph.add("Mul", image, graph.weight(norm.weight[:, None, None]))
    return graph.add("Add", scaled, graph.weight(norm.bias[:, None, None]))


def _convolution(
    graph: Graph,
    image: str,
    conv: nn.Conv2d | nn.ConvTranspose2d,
    weight: Tensor,
    bias: Tensor | None,
) -> str:
    """Return a convolution with weights of its own; reflect padding is a node before it."""
    pad_y, pad_x = int(conv.padding[0]), int(conv.padding[1])
    pads = [pad_y, pad_x, pad_y, pad_x]
    if conv.padding_mode == "reflect" and any(pads):
        ends = graph.weight([0, 0, pad_y, pad_x] * 2)
        image = graph.add("Pad", image, ends, mode="reflect")
        pads = [0, 0, 0, 0]
    operands = [image, graph.weight(weight)]
    if bias is not None:
        operands.append(graph.weight(bias))
    return graph.add(
        "ConvTranspose" if isinstance(conv, nn.ConvTranspose2d) else "Conv",
        *operands,
        kernel_shape=list(conv.kernel_size),
        strides=list(conv.stride),
        pads=pads,
    )
