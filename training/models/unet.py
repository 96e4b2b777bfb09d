"""The spectral-spatial encoder: a U-Net that sees one acquisition alone.

ALISE paper (arXiv 2407.08448), section III-A and Table VIII; U-BARN, section III. The blocks are
those of U-TAE without its temporal attention: 3x3 convolutions with reflect padding, strided
convolutions down, transposed convolutions up, skips through a 1x1 convolution, and each block ends
in ``x + conv(x)``.

Every block also has a *pixel mode*, ``forward_pixels``: its answer to an image that is constant in
space, at the cost of a few matrix products per pixel instead of a whole image. Pre-training can so
begin on single pixels with the weights that later see images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alise_plugin.errors import AliseError


class ImageSizeError(AliseError, ValueError):
    """An image has a size that the U-Net cannot halve as often as it has to."""


NormName = Literal["batch", "group"]


@dataclass(frozen=True)
class Norms:
    """Which normalisation each part of the U-Net uses; ``groups`` counts for "group" only."""

    encoder: NormName = "batch"
    decoder: NormName = "batch"
    skip: NormName = "batch"
    groups: int = 4


# Rows that are enough for the statistics of a batch of pixels: those of all of them, tens of
# thousands, would cost more than the layers between.
STATISTICS_ROWS = 2048


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation of (N, C, H, W) images and, with the same statistics, (N, C) pixels."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() not in (2, 4):
            raise ValueError(f"expected (N, C, H, W) or (N, C), got {tuple(input.shape)}")

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (N, C, H, W) or (N, C)."""
        if input.dim() == 4:
            return super().forward(input)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.momentum is not None
        mean, variance = self.running_mean, self.running_var
        if self.training and len(input):
            some = input[:: max(1, len(input) // STATISTICS_ROWS)].to(mean.dtype)
            variance, mean = torch.var_mean(some, dim=0, unbiased=False)
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(variance, self.momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return torch.addcmul(self.bias - mean * scale, input, scale)


def build_norm(name: NormName, channels: int, groups: int) -> nn.Module:
    """Return normalisation layer over ``channels``.

    Raises:
        ValueError: if ``name`` is neither "batch" nor "group".
    """
    if name == "batch":
        return BatchNorm(channels)
    if name == "group":
        return nn.GroupNorm(groups, channels)
    raise ValueError(f"norm is {name!r}; write 'batch' or 'group'")


def conv3x3(channels_in: int, channels_out: int) -> nn.Conv2d:
    """Return a 3x3 convolution that keeps H and W (reflect padding)."""
    return nn.Conv2d(channels_in, channels_out, 3, padding=1, padding_mode="reflect")


def convolve_constant(conv: nn.Conv2d | nn.ConvTranspose2d, pixels: Tensor) -> Tensor:
    """Map what ``conv`` makes of an image that is constant in space: (N, C_in) to (N, C_out).

    A convolution sums its kernel over the window, which is exact. A transposed convolution answers
    a constant image with a pattern that repeats every ``stride`` pixels; its mean over that pattern
    is returned, which is exact for the mean and an approximation once a ReLU follows.
    """
    weight = conv.weight.sum(dim=(2, 3))
    if isinstance(conv, nn.ConvTranspose2d):
        weight = weight.t() / (conv.stride[0] * conv.stride[1])
    return F.linear(pixels, weight, conv.bias)


class ConvLayer(nn.Module):
    """Convolution, normalisation, ReLU."""

    def __init__(self, conv: nn.Conv2d | nn.ConvTranspose2d, norm: nn.Module) -> None:
        super().__init__()
        self.conv = conv
        self.norm = norm

    def forward(self, image: Tensor) -> Tensor:
        """Map (N, C_in, H, W) to (N, C_out, H', W')."""
        return F.relu(self.norm(self.conv(image)), inplace=True)

    def forward_pixels(self, pixels: Tensor) -> Tensor:
        """Map (N, C_in) to (N, C_out); see `convolve_constant`."""
        return F.relu(self.norm(convolve_constant(self.conv, pixels)), inplace=True)


class InputBlock(nn.Module):
    """Two 3x3 layers at full resolution, without a residual."""

    def __init__(self, bands: int, width: int, norms: Norms) -> None:
        super().__init__()
        norm = norms.encoder, width, norms.groups
        self.conv1 = ConvLayer(conv3x3(bands, width), build_norm(*norm))
        self.conv2 = ConvLayer(conv3x3(width, width), build_norm(*norm))

    def forward(self, image: Tensor) -> Tensor:
        """Map (N, bands, H, W) to (N, width, H, W)."""
        return self.conv2(self.conv1(image))

    def forward_pixels(self, pixels: Tensor) -> Tensor:
        """Map (N, bands) to (N, width)."""
        return self.conv2.forward_pixels(self.conv1.forward_pixels(pixels))


class DownBlock(nn.Module):
    """Strided convolution, one 3x3 layer, one residual 3x3 layer."""

    def __init__(
        self, width_in: int, width_out: int, strided: tuple[int, int, int], norms: Norms
    ) -> None:
        super().__init__()
        kernel, stride, padding = strided
        down = nn.Conv2d(width_in, width_in, kernel, stride, padding, padding_mode="reflect")
        norm = norms.encoder, width_out, norms.groups
        self.down = ConvLayer(down, build_norm(norms.encoder, width_in, norms.groups))
        self.conv1 = ConvLayer(conv3x3(width_in, width_out), build_norm(*norm))
        self.conv2 = ConvLayer(conv3x3(width_out, width_out), build_norm(*norm))

    def forward(self, image: Tensor) -> Tensor:
        """Map (N, width_in, H, W) to (N, width_out, H / stride, W / stride)."""
        image = self.conv1(self.down(image))
        return image + self.conv2(image)

    def forward_pixels(self, pixels: Tensor) -> Tensor:
        """Map (N, width_in) to (N, width_out)."""
        pixels = self.conv1.forward_pixels(self.down.forward_pixels(pixels))
        return pixels + self.conv2.forward_pixels(pixels)


class UpBlock(nn.Module):
    """Transposed convolution, joined by the 1x1 skip, one 3x3 layer, one residual 3x3 layer."""

    def __init__(
        self,
        width_in: int,
        width_out: int,
        width_skip: int,
        strided: tuple[int, int, int],
        norms: Norms,
    ) -> None:
        super().__init__()
        kernel, stride, padding = strided
        norm = norms.decoder, width_out, norms.groups
        self.skip = ConvLayer(
            nn.Conv2d(width_skip, width_skip, 1), build_norm(norms.skip, width_skip, norms.groups)
        )
        self.up = ConvLayer(
            nn.ConvTranspose2d(width_in, width_out, kernel, stride, padding), build_norm(*norm)
        )
        self.conv1 = ConvLayer(conv3x3(width_out + width_skip, width_out), build_norm(*norm))
        self.conv2 = ConvLayer(conv3x3(width_out, width_out), build_norm(*norm))

    def forward(self, image: Tensor, skip: Tensor) -> Tensor:
        """Map (N, width_in, H, W), (N, width_skip, sH, sW) to (N, width_out, sH, sW)."""
        image = self.conv1(torch.cat([self.up(image), self.skip(skip)], dim=1))
        return image + self.conv2(image)

    def forward_pixels(self, pixels: Tensor, skip: Tensor) -> Tensor:
        """Map (N, width_in), (N, width_skip) to (N, width_out)."""
        up, skip = self.up.forward_pixels(pixels), self.skip.forward_pixels(skip)
        pixels = self.conv1.forward_pixels(torch.cat([up, skip], dim=1))
        return pixels + self.conv2.forward_pixels(pixels)


class UNet(nn.Module):
    """U-Net from one normalised acquisition to ``d_model`` features at the same resolution.

    Args:
        bands: channels of the image.
        encoder_widths: channels on the way down, finest level first.
        decoder_widths: channels on the way up, finest level first; the last is the bottleneck's,
            equal to the encoder's.
        d_model: features out.
        strided: kernel, stride and padding of the strided and of the transposed convolutions.
        norms: normalisation of each part.
    """

    def __init__(
        self,
        bands: int,
        encoder_widths: Sequence[int],
        decoder_widths: Sequence[int],
        d_model: int,
        strided: tuple[int, int, int],
        norms: Norms,
    ) -> None:
        super().__init__()
        if len(encoder_widths) != len(decoder_widths) or encoder_widths[-1] != decoder_widths[-1]:
            raise ValueError(
                f"encoder widths {encoder_widths} and decoder widths {decoder_widths} "
                "need the same length and the same last width"
            )
        levels = range(len(encoder_widths) - 1)
        self.stride = strided[1] ** len(levels)
        self.input_block = InputBlock(bands, encoder_widths[0], norms)
        self.down_blocks = nn.ModuleList(
            DownBlock(encoder_widths[i], encoder_widths[i + 1], strided, norms) for i in levels
        )
        self.up_blocks = nn.ModuleList(
            UpBlock(decoder_widths[i + 1], decoder_widths[i], encoder_widths[i], strided, norms)
            for i in reversed(levels)
        )
        self.output = conv3x3(decoder_widths[0], d_model)

    def forward(self, image: Tensor) -> Tensor:
        """Map (N, bands, H, W) normalised to (N, d_model, H, W).

        Raises:
            ImageSizeError: H or W is no multiple of the stride (8), or less than twice it.
        """
        height, width = image.shape[2:]
        if height % self.stride or width % self.stride or min(height, width) < 2 * self.stride:
            raise ImageSizeError(
                f"Images of {height} x {width} pixels do not fit the model: both sides must be "
                f"multiples of {self.stride}, {2 * self.stride} or more."
            )
        levels = [self.input_block(image)]
        for down in self.down_blocks:
            levels.append(down(levels[-1]))
        features = levels.pop()
        for up in self.up_blocks:
            features = up(features, levels.pop())
        return self.output(features)

    def forward_pixels(self, pixels: Tensor) -> Tensor:
        """Map the answer to images constant in space: (N, bands) normalised to (N, d_model).

        Exact but for the transposed convolutions, whose periodic pattern is replaced by its mean
        (`convolve_constant`).
        """
        levels = [self.input_block.forward_pixels(pixels)]
        for down in self.down_blocks:
            levels.append(cast(DownBlock, down).forward_pixels(levels[-1]))
        features = levels.pop()
        for up in self.up_blocks:
            features = cast(UpBlock, up).forward_pixels(features, levels.pop())
        return convolve_constant(self.output, features)


def receptive_radius(levels: int, strided: tuple[int, int, int]) -> int:
    """Return pixels on each side that one output pixel of a `UNet` can depend on.

    Walks back from an output pixel through the deepest path, keeping the first and the last index
    that count; the shallower skips see less. The answer depends on where the pixel lies in the
    grid of the deepest level, so the largest over all positions is taken. Reflect padding at the
    border of the image only ever brings nearer pixels. Holds without group normalisation, which
    looks at the whole image.

    Args:
        levels: number of strided convolutions.
        strided: their kernel, stride and padding.
    """
    kernel, stride, padding = strided
    reach_of_two_convs = 2
    radius = 0
    for pixel in range(stride**levels):
        first, last = pixel - 1, pixel + 1  # the output convolution
        for _ in range(levels):
            first, last = first - reach_of_two_convs, last + reach_of_two_convs
            # Output o of a transposed convolution receives input i where o = i*stride - padding + t
            # with 0 <= t < kernel.
            first = -((-(first + padding - kernel + 1)) // stride)
            last = (last + padding) // stride
        for _ in range(levels):
            first, last = first - reach_of_two_convs, last + reach_of_two_convs
            first, last = first * stride - padding, last * stride - padding + kernel - 1
        first, last = first - reach_of_two_convs, last + reach_of_two_convs
        radius = max(radius, pixel - first, last - pixel)
    return radius


@torch.no_grad()
def concentrate(unet: UNet) -> None:
    """Begin training on images where training on pixels ended, without a blur nobody asked for.

    Training in pixel mode moves only the sum of a kernel; what its places hold is chance. Here the
    sum goes to the centre of each 3x3 kernel, and evenly to the places of strided and transposed
    kernels. Images constant in space are answered as before, exactly as in pixel mode.
    """
    for module in unet.modules():
        if isinstance(module, nn.ConvTranspose2d):
            strides = module.stride[0] * module.stride[1]
            total = module.weight.sum(dim=(2, 3), keepdim=True) / strides
            kernel = module.kernel_size[0] * module.kernel_size[1]
            module.weight.copy_((total * strides / kernel).expand_as(module.weight))
        elif isinstance(module, nn.Conv2d):
            total = module.weight.sum(dim=(2, 3))
            height, width = module.kernel_size
            if module.stride[0] > 1:
                even = total[:, :, None, None] / (height * width)
                module.weight.copy_(even.expand_as(module.weight))
            else:
                module.weight.zero_()
                module.weight[:, :, height // 2, width // 2] = total
