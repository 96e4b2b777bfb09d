"""Small landscapes: fields, roads and hedges in space, clouds that have a shape."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from alise_plugin.sits.bands import BANDS

from .covers import NAMES
from .draws import Draws
from .pixels import Options, acquisition_days, draw_covers, ground_truth
from .spectra import cloud_bands

TWENTY_METRE = [BANDS.index(band) for band in ("B05", "B06", "B07", "B8A", "B11", "B12")]
# Covers of the narrow things between fields.
LINE_COVERS = [NAMES.index(name) for name in ("built-up", "bare ground", "meadow", "shrubland")]


@dataclass(frozen=True)
class Landscapes:
    """N landscapes of T dates and their truth.

    Attributes:
        reflectance: (N, T, 10, H, W); NaN where not observed.
        days: (N, T) since 2014-03-03.
        observed: (N, T, H, W) bool.
        clear: (N, T, H, W) bool: observed and not flagged as cloud or shadow.
        clean: (N, T, 10, H, W) the ground without atmosphere and noise.
        below_snow: (N, T, 10, H, W) the same without the snow that nobody can foresee.
        lai: (N, T, H, W) leaf area index.
        cover: (N, seasons, H, W) place in COVERS.
        field: (N, H, W) number of the field.
    """

    reflectance: Tensor
    days: Tensor
    observed: Tensor
    clear: Tensor
    clean: Tensor
    below_snow: Tensor
    lai: Tensor
    cover: Tensor
    field: Tensor


def simulate_landscapes(
    count: int, dates: int, size: int, seed: int, options: Options | None = None, fields: int = 12
) -> Landscapes:
    """Draw landscapes of `size` x `size` pixels of 10 m.

    Args:
        count: N.
        dates: T.
        size: H = W, even.
        seed: the same seed gives the same landscapes.
        options: of the worlds.
        fields: in a landscape.
    """
    options = options or Options()
    draws = Draws(seed)
    days, held = acquisition_days(draws, count, dates, options)
    every = count * fields
    seasons = draw_covers(draws, every, 6)
    # A landscape has few kinds of cover: fields borrow from their neighbours in the list.
    borrow = draws.chance(0.35, every)
    seasons = torch.where(borrow[:, None], seasons.roll(1, 0), seasons)
    lines = torch.tensor(LINE_COVERS)[draws.integers(0, len(LINE_COVERS), count)]
    last = torch.arange(fields - 1, every, fields)
    seasons[last] = lines[:, None]
    truth = ground_truth(
        draws,
        days.repeat_interleave(fields, 0),
        seasons,
        options,
        neighbours=fields,
    )
    field = field_map(draws, count, size, fields)
    index = field.flatten(1)[:, None, :]

    def to_space(values: Tensor) -> Tensor:
        """(N * fields, K) -> (N, K, H, W)."""
        per_field = values.unflatten(0, (count, fields)).transpose(1, 2)
        found = per_field.gather(2, index.expand(-1, per_field.shape[1], -1))
        return found.unflatten(2, (size, size))

    pattern = texture(draws, count, size)[:, None]
    ground, below_snow = (
        sharpness(torch.stack([to_space(bands[..., b]) for b in range(len(BANDS))], 2) * pattern)
        for bands in (truth.reflectance, truth.below_snow)
    )
    cover = to_space(seasons.float()).long()
    reflectance, observed, clear = observe_space(draws, ground, days, held, options)
    return Landscapes(
        reflectance,
        days,
        observed,
        clear,
        ground,
        below_snow,
        to_space(truth.lai),
        cover,
        field,
    )


def field_map(draws: Draws, count: int, size: int, fields: int) -> Tensor:
    """(N, H, W): convex fields of all forms; the last number is roads, hedges and ditches."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    grid = torch.stack([y, x], -1).float()[None, None]
    turn = draws.uniform(0, 3.14, count, 1, 1, 1)
    stretch = draws.uniform(1.0, 3.0, count, 1, 1, 1)
    seeds = draws.uniform(-4, size + 4, count, fields - 1, 1, 1, 2)
    offset = grid - seeds  # (N, F, H, W, 2)
    along = offset[..., 0] * turn.cos() + offset[..., 1] * turn.sin()
    across = offset[..., 1] * turn.cos() - offset[..., 0] * turn.sin()
    # Fields of straight sides, of round ones, and what lies between.
    power = draws.uniform(0.8, 2.2, count, 1, 1, 1)
    distance = (along.abs() ** power + (across * stretch).abs() ** power) ** (1 / power)
    near = distance.topk(2, 1, largest=False)
    field = near.indices[:, 0]
    gap = near.values[:, 1] - near.values[:, 0]
    wide = draws.uniform(0, 1.6, count, 1, 1) * draws.chance(0.6, count, 1, 1)
    return torch.where(gap < wide, fields - 1, field)


def smooth_noise(draws: Draws, size: int, coarse: Tensor | int, *shape: int) -> Tensor:
    """(*shape, size, size), about normal, correlated over `size / coarse` pixels."""
    cells = int(coarse)
    rough = draws.normal(1.0, *shape, cells + 1, cells + 1)
    flat = rough.flatten(0, -3)[:, None]
    smooth = F.interpolate(flat, (size, size), mode="bicubic", align_corners=True)
    return smooth[:, 0].unflatten(0, shape)


def texture(draws: Draws, count: int, size: int) -> Tensor:
    """(N, 10, H, W) factor: gradients and damage inside fields, rows, and pixel noise."""
    level = draws.uniform(0.01, 0.12, count, 1, 1)
    pattern = level * smooth_noise(draws, size, 5, count) + 0.5 * level * smooth_noise(
        draws, size, size // 2, count
    )
    rows = draws.uniform(0, 0.06, count, 1, 1) * draws.chance(0.3, count, 1, 1)
    phase = torch.arange(size) * 1.0
    pattern = pattern + rows * torch.sin(phase * 2.4)[None, None]
    # Where plants are thin, red and SWIR rise while the near infrared falls.
    tint = torch.tensor([0.8, 0.8, 1.2, 0.8, -0.5, -0.9, -1.0, -1.0, 0.8, 1.1])
    tint = tint[None] * draws.uniform(-0.3, 1.0, count, 1)
    return (1 + pattern[:, None] * tint[:, :, None, None]).clamp(0.5, 1.6)


def sharpness(ground: Tensor) -> Tensor:
    """What the instrument resolves: a little blur, and 20 m bands resampled to 10 m (bicubic)."""
    shape = ground.shape
    image = ground.flatten(0, 1)
    weights = torch.tensor([0.12, 0.76, 0.12])
    kernel = (weights[:, None] * weights[None]).expand(shape[2], 1, 3, 3)
    image = F.conv2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), kernel, groups=shape[2])
    coarse = F.avg_pool2d(image[:, TWENTY_METRE], 2)
    image[:, TWENTY_METRE] = F.interpolate(
        coarse, scale_factor=2, mode="bicubic", align_corners=False
    )
    return image.unflatten(0, shape[:2]).clamp(min=0.0)


def observe_space(
    draws: Draws, ground: Tensor, days: Tensor, held: Tensor, options: Options
) -> tuple[Tensor, Tensor, Tensor]:
    """What the satellite delivers (N, T, 10, H, W), where it looked, and what is called clear."""
    count, dates, bands, size, _ = ground.shape
    column = (count, dates, 1, 1, 1)
    ground = displaced(draws, ground)
    gain = 1 + draws.normal(0.035, *column)
    colour = 1 + draws.normal(0.015, count, dates, bands, 1, 1)
    scatter = torch.tensor([1, 0.7, 0.5, 0.4, 0.3, 0.27, 0.25, 0.22, 0.05, 0.02])
    haze = draws.normal(0.008, *column) * scatter[:, None, None]
    seen = ground * gain * colour + haze + draws.normal(0.004, *ground.shape)

    cloudiness = 0.08 + 0.75 * draws.uniform(0, 1, count, 1, 1, 1)
    filtered = draws.chance(options.composite_share, count, 1, 1, 1)
    cloudiness = torch.where(filtered, cloudiness * 0.12, cloudiness)
    # One draw for the date and one for the place: some days are clear, some closed, some broken.
    field = 1.6 * draws.normal(1.0, count, dates, 1, 1)
    field = field + 0.8 * smooth_noise(draws, size, 4, count, dates)
    limit = torch.special.ndtri(1 - cloudiness) * 1.8
    depth = (field - limit) / 0.5
    opacity = torch.sigmoid(2.5 * depth) * (depth > -1.5)
    thin = draws.chance(0.35, count, dates, 1, 1)
    opacity = torch.where(thin, 0.4 * opacity, opacity)
    tops = cloud_bands(draws, count, dates)[..., None, None]
    step_y, step_x = (int(v) for v in draws.integers(-6, 7, 2))
    shadow = opacity.roll((step_y, step_x), (2, 3)) * (1 - opacity)
    darkness = torch.tensor([0.8, 0.75, 0.68, 0.66, 0.64, 0.62, 0.62, 0.6, 0.55, 0.52])
    seen = seen * (1 - 0.8 * shadow[:, :, None] * darkness[:, None, None])
    seen = seen + opacity[:, :, None] * (tops - seen)

    flagged = (opacity > draws.uniform(0.1, 0.35, count, dates, 1, 1)) | (shadow > 0.35)
    flagged &= ~draws.chance(0.04, count, dates, 1, 1)
    observed = held[:, :, None, None] & ~outside_swath(draws, count, dates, size)
    reflectance = torch.where(observed[:, :, None], seen.clamp(1e-4, 1.6), torch.nan)
    return reflectance, observed, observed & ~flagged


def displaced(draws: Draws, ground: Tensor) -> Tensor:
    """Every date lies a part of a pixel, at most 0.4, beside where it should, as real ones do."""
    count, dates, bands, height, width = ground.shape
    image = ground.reshape(1, -1, height, width)
    padded = F.pad(image, (1, 1, 1, 1), mode="replicate").view(count, dates, bands, height + 2, -1)
    for axis in (3, 4):
        shift = draws.uniform(-0.4, 0.4, count, dates, 1, 1, 1)
        size = padded.shape[axis] - 2
        before, here, after = (padded.narrow(axis, start, size) for start in range(3))
        padded = shift.clamp(min=0) * before + (1 - shift.abs()) * here - shift.clamp(max=0) * after
    return padded


def outside_swath(draws: Draws, count: int, dates: int, size: int) -> Tensor:
    """(N, T, H, W): on some dates one side of a slanting line lies beyond the swath."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    edge = draws.uniform(-0.4, 1.4, count, 1, 1, 1) * size
    side = draws.chance(0.5, count, 1, 1, 1)
    line = x + 0.25 * y
    beyond = torch.where(side, line > edge, line < edge)
    has_edge = draws.chance(0.15, count, 1, 1, 1)
    return beyond & has_edge & draws.chance(0.4, count, dates, 1, 1)
