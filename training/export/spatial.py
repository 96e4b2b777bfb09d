"""spatial.onnx: the U-Net on one date, batch normalisation folded into the convolutions."""

from __future__ import annotations

import onnx
from onnx import TensorProto
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from training.models.unet import ConvLayer, UNet

from .graph import Graph


def spatial_graph(unet: UNet) -> onnx.ModelProto:
    """`image` (N, bands, H, W) normalised -> `features` (N, H, W, d_model).

    Raises:
        ValueError: the U-Net uses group normalisation, which cannot be folded.
    """
    graph = Graph()
    levels = [_layers(graph, "image", unet.input_block.conv1, unet.input_block.conv2)]
    for down in unet.down_blocks:
        image = _layers(graph, levels[-1], down.down, down.conv1)
        levels.append(graph.add("Add", image, _layers(graph, image, down.conv2)))
    image = levels.pop()
    for up in unet.up_blocks:
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
        "features",
        ["dates", "height", "width", unet.output.out_channels],
    )


def _layers(graph: Graph, image: str, *layers: ConvLayer) -> str:
    for layer in layers:
        conv, norm = layer.conv, layer.norm
        if not isinstance(norm, nn.BatchNorm2d):
            raise ValueError(
                "a model with group normalisation makes seams in a map and has no halo; "
                "export one with batch normalisation"
            )
        weight, bias = fuse_conv_bn_weights(
            conv.weight,
            conv.bias,
            norm.running_mean,
            norm.running_var,
            norm.eps,
            norm.weight,
            norm.bias,
            transpose=isinstance(conv, nn.ConvTranspose2d),
        )
        image = graph.add("Relu", _convolution(graph, image, conv, weight, bias))
    return image


def _convolution(
    graph: Graph,
    image: str,
    conv: nn.Conv2d | nn.ConvTranspose2d,
    weight: Tensor,
    bias: Tensor | None,
) -> str:
    """A convolution with weights of its own; reflect padding is a node before it."""
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
