"""Random draws of one generator on one device, in the few shapes that the simulator needs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Draws:
    """A seeded stream of random tensors: the only source of chance in the simulator.

    Args:
        seed: any integer; the same seed on the same device gives the same tensors.
        device: torch device of every tensor drawn.
    """

    def __init__(self, seed: int, device: str | torch.device = "cpu") -> None:
        self.device = torch.device(device)
        self.generator = torch.Generator(device=self.device)
        self.generator.manual_seed(int(seed) % (2**63))

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Return uniform in [low, high), float32."""
        unit = torch.rand(shape, generator=self.generator, device=self.device)
        return low + (high - low) * unit

    def between(self, low: Tensor, high: Tensor) -> Tensor:
        """Return uniform between two tensors of one shape."""
        unit = torch.rand(low.shape, generator=self.generator, device=self.device)
        return low + (high - low) * unit

    def normal(self, scale: float, *shape: int) -> Tensor:
        """Return normal draws with mean 0 and standard deviation `scale`."""
        return scale * torch.randn(shape, generator=self.generator, device=self.device)

    def chance(self, probability: float, *shape: int) -> Tensor:
        """Return boolean, True with `probability`."""
        return torch.rand(shape, generator=self.generator, device=self.device) < probability

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """Return integers in [low, high), int64."""
        return torch.randint(low, high, shape, generator=self.generator, device=self.device)

    def category(self, weights: Tensor, count: int = 1) -> Tensor:
        """`count` categories with replacement for each row of `weights` (N, K): (N, count)."""
        return torch.multinomial(weights, count, replacement=True, generator=self.generator)

    def pick(self, values: Sequence[float], *shape: int) -> Tensor:
        """Return one of `values`, with equal chance."""
        table = torch.tensor(list(values), dtype=torch.float32, device=self.device)
        return table[self.integers(0, len(values), *shape)]
