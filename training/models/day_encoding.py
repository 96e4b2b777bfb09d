"""The encoding of the acquisition day (ALISE section III-A; PE in Eq. 8)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class DayEncoding(nn.Module):
    """Sines and cosines of the day: feature 2i is sin(day / T^(2i/d)), feature 2i + 1 its cosine.

    Args:
        d_model: features out, even.
        base: T; the longest period is about 2 pi T days.
    """

    frequencies: Tensor

    def __init__(self, d_model: int, base: float) -> None:
        super().__init__()
        exponents = torch.arange(0, d_model, 2, dtype=torch.float64) / d_model
        # Derived from the configuration, hence not stored in checkpoints.
        self.register_buffer("frequencies", (base**-exponents).float(), persistent=False)

    def forward(self, days: Tensor) -> Tensor:
        """(...) days since 2014-03-03 -> (..., d_model), in float32 whatever the precision."""
        angles = days.float().unsqueeze(-1) * self.frequencies
        return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)
