"""The encoding of the acquisition day (ALISE section III-A; PE in Eq. 8)."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

Frequencies = Literal["geometric", "year"]
YEAR_DAYS = 365.25
# Bounds of the scale of the slow frequencies beside the harmonics of the year, in days.
SHORTEST, LONGEST = 4.0, 4000.0


class DayEncoding(nn.Module):
    """Sines and cosines of the day: feature 2i is sin(day w_i), feature 2i + 1 its cosine.

    Args:
        d_model: features out, even; 8 or more for "year".
        base: T; the longest period is about 2 pi T days.
        kind: "geometric", as in the paper, w_i = T^(-2i/d); or "year", half of them harmonics of
            the year. No frequency of the former has a period of a year: over the fifteen years of
            an archive, the same day of the year drifts through all phases.
    """

    frequencies: Tensor

    def __init__(self, d_model: int, base: float, kind: Frequencies = "geometric") -> None:
        super().__init__()
        least = 8 if kind == "year" else 2
        if d_model % 2 or d_model < least:
            raise ValueError(f"d_model {d_model} is no even number of {least} or more")
        if kind == "year":
            count = d_model // 4
            harmonics = 2 * math.pi / YEAR_DAYS * torch.arange(1, count + 1, dtype=torch.float64)
            share = torch.arange(d_model // 2 - count, dtype=torch.float64) / (count - 1)
            slow = 1 / (SHORTEST * (LONGEST / SHORTEST) ** share)
            self.register_buffer(
                "frequencies", torch.cat([harmonics, slow]).float(), persistent=False
            )
            return
        exponents = torch.arange(0, d_model, 2, dtype=torch.float64) / d_model
        # Derived from the configuration, hence not stored in checkpoints.
        self.register_buffer("frequencies", (base**-exponents).float(), persistent=False)

    def forward(self, days: Tensor) -> Tensor:
        """(...) days since 2014-03-03 -> (..., d_model), in float32 whatever the precision."""
        angles = days.float().unsqueeze(-1) * self.frequencies
        return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)
