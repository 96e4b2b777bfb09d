"""What differs between two acquisitions of one ground: the satellite and the direction of view.

Sentinel-2A and 2B have other responses, most of all in B06 and B12: `CanopyTable.to_b` takes what A
measures to what B does. Neighbouring orbits see a place from the east and from the west, against
the light and with it. How much that changes follows the kernels of Ross (dense) and Li (sparse,
reciprocal) with the mean weights of Roy et al. 2016 and 2017 for the bands of Landsat 8 and
Sentinel-2, relative to the view from above; leaves scatter in their volume, sparse stands throw
shadows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .draws import Draws
from .spectra import canopy_table

YEAR = 365.25
# Days from the model's reference date (2014-03-03) to a 1 January.
NEW_YEAR = 304
# Passes of both satellites on one orbit.
PASS_DAYS = 5.0
ISOTROPIC = (0.0774, 0.1306, 0.1690, 0.2085, 0.2316, 0.2599, 0.3093, 0.3093, 0.3430, 0.2658)
VOLUME = (0.0372, 0.0580, 0.0574, 0.0845, 0.1003, 0.1197, 0.1535, 0.1535, 0.1154, 0.0639)
GEOMETRY = (0.0079, 0.0178, 0.0227, 0.0256, 0.0273, 0.0294, 0.0330, 0.0330, 0.0453, 0.0387)
# Of the places, those seen by one satellite only.
ONLY_A, ONLY_B = 0.15, 0.1
# Degrees from the vertical at the edge of the swath.
EDGE_OF_SWATH = 11.0


@dataclass(frozen=True)
class Passes:
    """From where each date was taken.

    Attributes:
        from_b: (N, T) bool: by Sentinel-2B.
        volume: (N, T) Ross kernel of the view, less that of the view from above.
        geometry: (N, T) the same of the Li kernel.
    """

    from_b: Tensor
    volume: Tensor
    geometry: Tensor


def draw_passes(draws: Draws, days: Tensor) -> Passes:
    """Return satellites that alternate every five days, on one orbit or two, over days (N, T)."""
    count = len(days)
    since = days + draws.uniform(0, 2 * PASS_DAYS, count, 1)
    in_turn = (since / PASS_DAYS).floor() % 2 == 1
    kind = draws.uniform(0, 1, count, 1)
    from_b = (kind >= ONLY_A) & (in_turn | (kind < ONLY_A + ONLY_B))
    # Where two orbits overlap, one sees the place from the east and the other from the west.
    orbit = (since % PASS_DAYS >= PASS_DAYS / 2).long()
    view = draws.uniform(0, EDGE_OF_SWATH, count, 2).gather(1, orbit)
    toward_sun = draws.chance(0.5, count, 1) ^ (orbit == 1)
    # The satellite looks across its track, a morning sun stands about 50 degrees from there.
    azimuth = draws.uniform(25, 75, count, 1)
    azimuth = torch.where(toward_sun, azimuth, 180 - azimuth)
    low = torch.cos(2 * math.pi * (days - NEW_YEAR + 10) / YEAR)
    sun = draws.uniform(30, 48, count, 1) + draws.uniform(3, 22, count, 1) * low
    sun, view, azimuth = (torch.deg2rad(angle) for angle in (sun.clamp(15, 70), view, azimuth))
    overhead = torch.zeros_like(view)
    above = kernels(sun, overhead, azimuth)
    volume, geometry = (a - b for a, b in zip(kernels(sun, view, azimuth), above))
    # Places differ in how much direction matters.
    return Passes(
        from_b,
        volume * draws.uniform(0.4, 1.6, count, 1),
        geometry * draws.uniform(0.4, 1.6, count, 1),
    )


def kernels(sun: Tensor, view: Tensor, azimuth: Tensor) -> tuple[Tensor, Tensor]:
    """Ross-Thick and Li-Sparse-Reciprocal kernels (Lucht et al. 2000, crowns h/b 2 and b/r 1).

    Args:
        sun: zenith angle in radians.
        view: zenith angle in radians.
        azimuth: between both in radians, 0 with the light behind the satellite.
    """
    cos_phase = sun.cos() * view.cos() + sun.sin() * view.sin() * azimuth.cos()
    phase = cos_phase.clamp(-1, 1).acos()
    ross = ((math.pi / 2 - phase) * cos_phase + phase.sin()) / (sun.cos() + view.cos())
    secants = 1 / sun.cos() + 1 / view.cos()
    tan_sun, tan_view = sun.tan(), view.tan()
    apart = tan_sun**2 + tan_view**2 - 2 * tan_sun * tan_view * azimuth.cos()
    apart = apart.clamp(min=0) + (tan_sun * tan_view * azimuth.sin()) ** 2
    overlap_angle = (2 * apart.sqrt() / secants).clamp(-1, 1).acos()
    overlap = (overlap_angle - overlap_angle.sin() * overlap_angle.cos()) * secants / math.pi
    li = overlap - secants + 0.5 * (1 + cos_phase) / sun.cos() / view.cos()
    return ross - math.pi / 4, li


def as_seen(ground: Tensor, lai: Tensor, passes: Passes, neighbours: int = 1) -> Tensor:
    """Return the ground as each pass sees it.

    Args:
        ground: (N, T, 10), of Sentinel-2A, from above.
        lai: (N, T).
        passes: of the N / neighbours places.
        neighbours: so many successive rows lie in one place.

    Returns:
        (N, T, 10).
    """
    from_b, volume, geometry = (
        values.repeat_interleave(neighbours, 0)[..., None]
        for values in (passes.from_b, passes.volume, passes.geometry)
    )
    leaves = 1 - torch.exp(-0.5 * lai)[..., None]
    isotropic = torch.tensor(ISOTROPIC)
    gain = 1 + volume * (0.5 + leaves) * (torch.tensor(VOLUME) / isotropic)
    gain = gain + geometry * (1.3 - 0.6 * leaves) * (torch.tensor(GEOMETRY) / isotropic)
    seen = torch.where(from_b, ground @ canopy_table(0).to_b, ground)
    return (seen * gain).clamp(min=0.0)
