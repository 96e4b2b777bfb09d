"""Tables of canopy reflectance: PROSAIL once per kind of plant, interpolation ever after.

A table holds, for each of many soils and kinds of canopy, the ten bands at three stages of the
leaves (green, turning, dry), several leaf area indices and two soil moistures. A series then costs
a look-up per date instead of a canopy.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from .bands import band_weights, bands_to_nodes
from .covers import CANOPIES
from .draws import Draws
from .prosail import Geometry, Leaves, Prosail

LAI_LEVELS = (0.0, 0.25, 0.6, 1.2, 2.2, 3.8, 7.0)
STAGES = 3
MOISTURES = 2

# Ranges per canopy: structure, chlorophyll, water (cm), dry matter (g/cm2), leaf angle, and how
# much gaps between crowns darken it.
_TRAITS = {
    "cereal": ((1.2, 1.8), (30, 65), (0.008, 0.022), (0.003, 0.007), (50, 75), (0.9, 1.0)),
    "broadleaf": ((1.2, 1.9), (30, 70), (0.008, 0.028), (0.002, 0.007), (28, 55), (0.92, 1.0)),
    "legume": ((1.1, 1.7), (25, 52), (0.006, 0.018), (0.002, 0.005), (22, 50), (0.94, 1.0)),
    "cotton": ((1.3, 1.9), (35, 68), (0.010, 0.026), (0.003, 0.008), (30, 58), (0.85, 1.0)),
    "maize": ((1.2, 1.7), (35, 75), (0.009, 0.022), (0.003, 0.007), (45, 68), (0.85, 1.0)),
    "rice": ((1.2, 1.9), (25, 60), (0.008, 0.018), (0.003, 0.007), (55, 78), (0.92, 1.0)),
    "grass": ((1.2, 2.0), (20, 60), (0.006, 0.022), (0.003, 0.009), (45, 75), (0.9, 1.0)),
    "tree": ((1.4, 2.3), (25, 60), (0.007, 0.018), (0.005, 0.013), (25, 60), (0.55, 0.95)),
    "conifer": ((1.6, 2.8), (35, 70), (0.012, 0.035), (0.012, 0.032), (40, 70), (0.35, 0.75)),
    "shrub": ((1.4, 2.3), (20, 50), (0.006, 0.02), (0.006, 0.018), (35, 65), (0.6, 0.95)),
}


@dataclass(frozen=True)
class CanopyTable:
    """Reflectance by soil, canopy, stage, leaf area and moisture.

    Attributes:
        bands: (soils, canopies, STAGES, len(LAI_LEVELS), MOISTURES, 10), of Sentinel-2A.
        to_b: (10, 10) matrix that takes bands of Sentinel-2A to those of 2B, fitted to every
            canopy of the table; off by 4e-4 or less in root mean square, where the difference
            between both is up to 4e-3.
    """

    bands: Tensor
    to_b: Tensor

    def look_up(self, entry: Tensor, stage: Tensor, lai: Tensor, moisture: Tensor) -> Tensor:
        """Return linear interpolation in stage, leaf area and moisture.

        Args:
            entry: (...) soil * canopies + canopy.
            stage: (...) 0 green, 1 turning, 2 dry.
            lai: (...) m2 per m2.
            moisture: (...) 0 dry, 1 wet.

        Returns:
            (..., 10).
        """
        levels = torch.tensor(LAI_LEVELS, device=lai.device)
        lai = lai.clamp(0, LAI_LEVELS[-1] - 1e-3)
        low = torch.searchsorted(levels, lai.contiguous(), right=True) - 1
        lai_part = (lai - levels[low]) / (levels[low + 1] - levels[low])
        stage = stage.clamp(0, STAGES - 1 - 1e-3)
        first = stage.long()
        stage_part = stage - first
        flat = self.bands.flatten(0, 4)
        base = ((entry * STAGES + first) * len(LAI_LEVELS) + low) * MOISTURES
        out = torch.zeros((), device=lai.device)
        for step_stage in (0, 1):
            for step_lai in (0, 1):
                for wet in (0, 1):
                    share = (
                        (stage_part if step_stage else 1 - stage_part)
                        * (lai_part if step_lai else 1 - lai_part)
                        * (moisture if wet else 1 - moisture)
                    )
                    place = base + (step_stage * len(LAI_LEVELS) + step_lai) * MOISTURES + wet
                    out = out + share[..., None] * flat[place]
        return out


@lru_cache(maxsize=2)
def canopy_table(seed: int, soils: int = 400) -> CanopyTable:
    """Draw soils and plants and run PROSAIL on all of them (about a quarter of a minute).

    Args:
        seed: of the draws.
        soils: how many; each gets one plant of every canopy.
    """
    draws = Draws(seed)
    prosail = Prosail()
    dry = soil_bands(draws, soils)
    wet = dry * draws.uniform(0.48, 0.8, soils, 1) * _wet_colour(draws, soils)
    to_nodes = torch.from_numpy(bands_to_nodes())
    weights, of_b = (torch.from_numpy(band_weights(satellite)) for satellite in "AB")
    grounds = torch.stack([dry, wet], 1).clamp(0.005, 0.9) @ to_nodes  # (soils, 2, nodes)
    levels = torch.tensor(LAI_LEVELS)
    shape = (soils, STAGES, len(LAI_LEVELS), MOISTURES)
    tables, pairs = [], []
    for canopy in CANOPIES:
        structure, cab, water, dry_matter, angle, shade = (
            draws.uniform(*bounds, soils) for bounds in _TRAITS[canopy]
        )
        geometry = Geometry(
            draws.uniform(22, 62, soils), draws.uniform(0, 11, soils), draws.uniform(0, 360, soils)
        )
        leaf_r, leaf_t = [], []
        turning, dead = draws.uniform(0.15, 0.5, soils), draws.uniform(0.0, 0.06, soils)
        for stage in range(STAGES):
            green = (torch.ones(soils), turning, dead)[stage]
            brown = (
                draws.uniform(0.0, 0.1, soils),
                draws.uniform(0.1, 0.5, soils),
                draws.uniform(0.3, 1.0, soils),
            )[stage]
            wetness = (torch.ones(soils), draws.uniform(0.5, 0.9, soils), dead + 0.08)[stage]
            leaves = Leaves(
                structure + 0.3 * stage,
                cab * green,
                cab * green / draws.uniform(3.5, 6.0, soils) + 1.5 * stage,
                draws.uniform(0.0, 2.0, soils),
                brown,
                water * wetness,
                dry_matter,
            )
            reflectance, transmittance = prosail.leaf(leaves)
            leaf_r.append(reflectance)
            leaf_t.append(transmittance)

        def spread(values: Tensor, axes: tuple[int, ...]) -> Tensor:
            view = [1, 1, 1, 1]
            for axis, size in zip(axes, values.shape):
                view[axis] = size
            tail = values.shape[len(axes) :]
            return values.view(*view, *tail).expand(*shape, *tail).flatten(0, 3)

        hotspot = draws.uniform(0.03, 0.3, soils)
        nodes = prosail.canopy(
            spread(torch.stack(leaf_r, 1), (0, 1)),
            spread(torch.stack(leaf_t, 1), (0, 1)),
            spread(levels, (2,)),
            spread(angle, (0,)),
            spread(hotspot, (0,)),
            Geometry(*(spread(x, (0,)) for x in (geometry.sun, geometry.view, geometry.azimuth))),
            spread(grounds, (0, 3)),
        )
        # Gaps between crowns darken what stands high, not the bare ground.
        covered = 1 - torch.exp(-0.6 * levels)
        darkening = 1 - (1 - shade)[:, None] * covered
        pairs.append((nodes @ weights, nodes @ of_b))
        bands = pairs[-1][0].view(*shape, 10) * darkening[:, None, :, None, None]
        tables.append(bands)
    of_a, of_b = (torch.cat(values) for values in zip(*pairs))
    return CanopyTable(torch.stack(tables, 1).contiguous(), _adjustment(of_a, of_b))


def _adjustment(of_a: Tensor, of_b: Tensor) -> Tensor:
    """(10, 10): least squares from spectra (N, 10) of A to those of B, drawn toward no change."""
    of_a, of_b = of_a.double(), of_b.double()
    products = of_a.T @ of_a
    ridge = 1e-5 * products.trace() * torch.eye(len(products), dtype=torch.double)
    change = torch.linalg.solve(products + ridge, of_a.T @ (of_b - of_a))
    return (torch.eye(len(products), dtype=torch.double) + change).float()


def soil_bands(draws: Draws, count: int) -> Tensor:
    """Dry soils (count, 10): brightness, a convex rise, iron in the visible, clay at 2.2 um."""
    nm = torch.tensor([492, 560, 665, 704, 740, 783, 833, 865, 1612, 2194.0])
    bright = draws.uniform(0.17, 0.55, count, 1)
    bend = draws.uniform(180, 900, count, 1)
    start = draws.uniform(280, 400, count, 1)
    rise = 1 - torch.exp(-(nm - start) / bend)
    red = 1 - draws.uniform(0, 0.45, count, 1) * torch.exp(-(((nm - 450) / 130) ** 2))
    clay = torch.ones(count, 10)
    clay[:, 9] = draws.uniform(0.72, 1.02, count)
    tilt = 1 + draws.uniform(-0.15, 0.2, count, 1) * (nm - 1300) / 900
    return (bright * rise * red * clay * tilt).clamp(0.02, 0.75)


def ground_bands(draws: Draws, ground: str, count: int) -> Tensor:
    """Return grounds that carry no field (count, 10): "water", "urban" or "rock"."""
    nm = torch.tensor([492, 560, 665, 704, 740, 783, 833, 865, 1612, 2194.0])
    if ground == "rock":
        return soil_bands(draws, count) * draws.uniform(0.9, 1.5, count, 1)
    if ground == "urban":
        base = draws.uniform(0.06, 0.3, count, 1)
        slope = draws.uniform(-0.2, 0.7, count, 1)
        return (base * (1 + slope * (nm - 560) / 1600)).clamp(0.02, 0.7)
    murky = draws.uniform(0, 1, count, 1) ** 2
    clear_water = 0.035 * torch.exp(-(nm - 492) / 160)
    silt = 0.16 * torch.exp(-(((nm - 600) / 160) ** 2)) * (nm < 1000)
    return clear_water * draws.uniform(0.3, 1.5, count, 1) + murky * silt + 0.004


def snow_bands(draws: Draws, count: int) -> Tensor:
    """Return snow, fresh to old (count, 10)."""
    fresh = torch.tensor([0.93, 0.93, 0.92, 0.91, 0.89, 0.87, 0.86, 0.84, 0.12, 0.10])
    return fresh * draws.uniform(0.55, 1.05, count, 1)


def _wet_colour(draws: Draws, count: int) -> Tensor:
    swir = torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.05, 0.05, 0.6, 1.0])
    return 1 - draws.uniform(0.05, 0.4, count, 1) * swir


def cloud_bands(draws: Draws, *shape: int) -> Tensor:
    """Return tops of clouds (*shape, 10): bright, a little bluish, darker where ice absorbs."""
    level = draws.uniform(0.25, 1.0, *shape, 1)
    ice = draws.uniform(0.35, 0.95, *shape, 1)
    form = torch.tensor(np.array([1.03, 1.0, 0.99, 1.0, 1.01, 1.02, 1.02, 1.02, 0, 0], np.float32))
    swir = torch.tensor([0, 0, 0, 0, 0, 0, 0, 0, 0.85, 0.62])
    return level * (form + ice * swir)
