"""Small landscapes: fields, woods, villages, rivers; clouds that have a shape.

A landscape is a mosaic of units: fields, and what is no field. Its plan is drawn on a grid of 5 m.
A pixel is the mean of the units in its footprint, so that borders are mixed as real ones are, and
everything that is linear in area (reflectance, leaf area) comes from one table of shares.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from alise_plugin.sentinel2 import BANDS

from .covers import NAMES
from .draws import Draws
from .pixels import SCATTER, Options, acquisition_days, draw_covers, ground_truth
from .spectra import cloud_bands
from .views import as_seen, draw_passes

TWENTY_METRE = [BANDS.index(band) for band in ("B05", "B06", "B07", "B8A", "B11", "B12")]
TEN_METRE = [BANDS.index(band) for band in ("B02", "B03", "B04", "B08")]
# Covers of the narrow things between fields.
LINE_COVERS = [NAMES.index(name) for name in ("built-up", "bare ground", "meadow", "shrubland")]
# What is no field, in the order of the units that follow the fields, and what may cover it.
OTHERS: dict[str, tuple[str, ...]] = {
    "wood": ("broadleaf forest", "broadleaf forest", "evergreen forest"),
    "other wood": (
        "broadleaf forest",
        "evergreen forest",
        "evergreen broadleaf forest",
        "shrubland",
    ),
    "water": ("water", "water", "water", "wetland"),
    "roofs": ("built-up",),
    "streets": ("built-up",),
    "lawns": ("meadow", "pasture"),
    "garden trees": ("orchard", "broadleaf forest"),
    "lines": tuple(NAMES[place] for place in LINE_COVERS),
}
WOOD_SHARE, VILLAGE_SHARE, RIVER_SHARE, LAKE_SHARE, ROAD_SHARE = 0.4, 0.15, 0.07, 0.06, 0.25
"""Shares of the landscapes that hold one."""
# Of the landscapes, those whose 20 m pixels were doubled, not interpolated.
DOUBLED_SHARE = 0.35
# Cells of the plan along a pixel.
FINE = 2
# Days that a patch in a field is at most ahead of the field or behind it.
MOST_AHEAD = 10.0


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
    count: int, dates: int, size: int, seed: int, options: Options | None = None, fields: int = 20
) -> Landscapes:
    """Draw landscapes of `size` x `size` pixels of 10 m.

    Args:
        count: N.
        dates: T.
        size: H = W, even.
        seed: the same seed gives the same landscapes.
        options: of the worlds.
        fields: the most in a landscape; the fewest is one. What is no field has numbers from
            `fields` on, in the order of OTHERS.
    """
    options = options or Options()
    draws = Draws(seed)
    days, held = acquisition_days(draws, count, dates, options)
    units = fields + len(OTHERS)
    seasons = draw_unit_covers(draws, count, fields, options.seasons)
    truth = ground_truth(
        draws, days.repeat_interleave(units, 0), seasons, options, neighbours=units
    )
    # How the 20 m pixels lie and were resampled.
    blocks = draws.chance(DOUBLED_SHARE, count, 1, 1, 1)
    corner = (int(draws.integers(0, 2, 1)), int(draws.integers(0, 2, 1)))
    fine = blur(unit_shares(plan(draws, count, size, fields), units))
    twenty = twenty_metre(fine, blocks, corner)
    field = fine.argmax(1)
    pattern, thin = texture_and_thinness(draws, count, size, field)
    pattern, thin = blur(pattern), blur(thin[:, None])[:, 0]
    pattern[:, TWENTY_METRE] = twenty_metre(pattern[:, TWENTY_METRE], blocks, corner)
    ahead = draws.uniform(0, 5, count, 1, 1) * (smooth_noise(draws, size, 5, count) + thin) / 1.4
    ahead = (ahead / MOST_AHEAD).clamp(-1, 1)

    def per_unit(values: Tensor) -> Tensor:
        return values.unflatten(0, (count, units))

    def in_time(values: Tensor) -> Tensor:
        return torch.cat([values, *time_steps(values, days)], 1)

    def moved(shares: Tensor) -> Tensor:
        """Return for what `in_time` gives: pixels ahead of their unit, or behind it."""
        on, back = ahead.clamp(min=0)[:, None], (-ahead).clamp(min=0)[:, None]
        return torch.cat([shares, shares * on, shares * back], 1)

    sharp = moved(fine), moved(twenty)
    below_snow = in_space(in_time(per_unit(truth.below_snow)), *sharp)
    below_snow = (below_snow * pattern[:, None]).clamp(min=0.0)
    snow = per_unit(truth.reflectance - truth.below_snow)
    ground = (below_snow + in_space(snow, fine, twenty)).clamp(min=0.0)
    passes = draw_passes(draws, days)
    seen = per_unit(as_seen(truth.reflectance, truth.lai, passes, units) - truth.reflectance)
    seen = (ground + in_space(seen, fine, twenty)).clamp(min=0.0)
    # Thin patches have fewer leaves.
    lai = mixed(in_time(per_unit(truth.lai)[..., None]), sharp[0])[:, :, 0]
    lai = lai * torch.exp(-thin)[:, None]
    cover = seasons.unflatten(0, (count, units)).transpose(1, 2)
    cover = cover.gather(2, field.flatten(1)[:, None].expand(-1, cover.shape[1], -1))
    reflectance, observed, clear = observe_space(draws, seen, days, held, options)
    return Landscapes(
        reflectance,
        days,
        observed,
        clear,
        ground,
        below_snow,
        lai,
        cover.unflatten(2, (size, size)),
        field,
    )


def mixed(values: Tensor, shares: Tensor) -> Tensor:
    """(N, T, K, H, W): the mean of units (N, units, T, K) by their shares (N, units, H, W)."""
    found = values.flatten(2).transpose(1, 2) @ shares.flatten(2)
    return found.view(len(values), *values.shape[2:], *shares.shape[2:])


def in_space(values: Tensor, fine: Tensor, twenty: Tensor) -> Tensor:
    """(N, T, 10, H, W): the same for reflectance, with the shares of 10 m and of 20 m bands."""
    count, _, dates, bands = values.shape
    out = torch.empty(count, dates, bands, *fine.shape[2:])
    out[:, :, TEN_METRE] = mixed(values[..., TEN_METRE], fine)
    out[:, :, TWENTY_METRE] = mixed(values[..., TWENTY_METRE], twenty)
    return out


def draw_unit_covers(draws: Draws, count: int, fields: int, seasons: int) -> Tensor:
    """Return (N * units, seasons): covers of the fields and of what is no field."""
    grown = draw_covers(draws, count * fields, seasons)
    # A landscape has few kinds of cover: fields borrow from their neighbours in the list.
    borrow = draws.chance(0.35, count * fields)
    grown = torch.where(borrow[:, None], grown.roll(1, 0), grown).unflatten(0, (count, -1))
    others = []
    for names in OTHERS.values():
        places = torch.tensor([NAMES.index(name) for name in names])
        others.append(places[draws.integers(0, len(names), count)])
    constant = torch.stack(others, 1)[..., None].expand(-1, -1, seasons)
    return torch.cat([grown, constant], 1).flatten(0, 1)


def time_steps(values: Tensor, days: Tensor) -> tuple[Tensor, Tensor]:
    """Return what a patch differs that is MOST_AHEAD days ahead, and one that is as much behind.

    A patch that is ahead looks today as the field will on a later date: linear between the dates,
    and never beyond the next one, so that nothing appears that the field does not go through.

    Args:
        values: (N, units, T, K).
        days: (N, T).

    Returns:
        Two tensors (N, units, T, K).
    """
    step = (
        values.diff(dim=2) * (MOST_AHEAD / days.diff(dim=1).clamp(min=MOST_AHEAD))[:, None, :, None]
    )
    none = torch.zeros_like(values[:, :, :1])
    return torch.cat([step, none], 2), torch.cat([none, -step], 2)


def unit_shares(units: Tensor, count: int) -> Tensor:
    """Shares (N, count, H, W) of pixels of 10 m, of a plan (N, FINE * H, FINE * W) of units."""
    one_hot = torch.zeros(len(units), count, *units.shape[1:]).scatter_(1, units[:, None], 1.0)
    return F.avg_pool2d(one_hot, FINE)


def plan(draws: Draws, count: int, size: int, fields: int) -> Tensor:
    """Return (N, FINE * size, FINE * size): the unit of each cell of 5 m."""
    cells = FINE * size
    # From one field to all of them in a square of 320 m, as often large as small.
    number = torch.exp(draws.uniform(0.4, math.log(fields + 0.99), count)).floor()
    unit, gap = parcels(draws, count, cells, number, fields)
    wood, other_wood, water, roofs, streets, lawns, trees, lines = range(
        fields, fields + len(OTHERS)
    )
    each = (count, 1, 1)
    wide = draws.uniform(0, 1.6, *each) * draws.chance(0.6, *each)
    unit = torch.where(gap < wide, lines, unit)

    coarse = smooth_noise(draws, cells, max(2, size // 10), count)
    middle = smooth_noise(draws, cells, max(3, size // 4), count)
    rough = draws.uniform(0.1, 0.9, *each)
    blobs = (coarse + rough * middle) / (1 + rough**2).sqrt()
    kinds = smooth_noise(draws, cells, max(2, size // 8), count)
    # Woods fray out: single trees and gaps along their edge, more in some places than in others.
    frayed = blobs + draws.uniform(0.0, 0.45, *each) * draws.normal(1.0, count, cells, cells)
    share = 0.03 + 0.6 * draws.uniform(0, 1, *each) ** 2
    is_wood = (frayed > torch.special.ndtri(1 - share)) & draws.chance(WOOD_SHARE, *each)
    unit = torch.where(is_wood, torch.where(kinds > 0.3, other_wood, wood), unit)

    across, along = turned(draws, count, cells)
    bend = draws.uniform(0, 4, *each) * torch.sin(along / draws.uniform(3, 12, *each))
    from_river = (across + draws.uniform(-0.45, 0.45, *each) * size + bend + 0.7 * middle).abs()
    half = 0.5 * 12 ** draws.uniform(0, 1, *each)
    river = draws.chance(RIVER_SHARE, *each)
    bank = draws.uniform(0, 2.5, *each)
    unit = torch.where(river & (from_river < half + bank), other_wood, unit)
    lake = kinds + 0.15 * middle > torch.special.ndtri(1 - draws.uniform(0.02, 0.35, *each))
    lake &= draws.chance(LAKE_SHARE, *each)
    unit = torch.where(lake | (river & (from_river < half)), water, unit)

    across, along = turned(draws, count, cells)
    way = (across + draws.uniform(-0.45, 0.45, *each) * size).abs() < draws.uniform(0.3, 0.9, *each)
    unit = torch.where(way & draws.chance(ROAD_SHARE, *each), streets, unit)

    centre = draws.uniform(-0.5, 0.5, count, 1, 1, 2) * size
    reach = 4 * 8 ** draws.uniform(0, 1, *each)
    away = (across - centre[..., 0]) ** 2 + (along - centre[..., 1]) ** 2
    village = (away.sqrt() < reach * (1 + 0.25 * middle)) & draws.chance(VILLAGE_SHARE, *each)
    houses = torch.special.ndtr(1.3 * smooth_noise(draws, cells, size, count))
    built = draws.uniform(0.2, 0.6, *each)
    inside = torch.where(houses < built, roofs, torch.where(houses < built + 0.25, lawns, trees))
    block = draws.uniform(5, 12, *each)
    street = ((across % block) < 0.8) | ((along % (1.6 * block)) < 0.8)
    return torch.where(village, torch.where(street, streets, inside), unit)


def turned(draws: Draws, count: int, cells: int) -> tuple[Tensor, Tensor]:
    """Coordinates (N, cells, cells) in pixels from the middle, along two axes of any direction."""
    line = (torch.arange(cells) - (cells - 1) / 2) / FINE
    turn = draws.uniform(0, math.pi, count, 1, 1)
    y, x = line[:, None], line[None]
    return x * turn.cos() + y * turn.sin(), y * turn.cos() - x * turn.sin()


def parcels(
    draws: Draws, count: int, cells: int, number: Tensor, most: int
) -> tuple[Tensor, Tensor]:
    """Return fields of all forms and sizes: cells round points, or strips cut into rectangles.

    Args:
        draws: of everything random.
        count: N.
        cells: along a side of the plan.
        number: (N,) of the fields that a landscape has.
        most: of the fields, of all landscapes.

    Returns:
        (N, cells, cells) the field, and about twice the distance to its border in pixels.
    """
    each = (count, 1, 1)
    size = cells / FINE
    across, along = turned(draws, count, cells)
    across = across + draws.uniform(0, 0.8, *each) * smooth_noise(draws, cells, 6, count)

    stretch = draws.uniform(1.0, 3.0, count, 1, 1, 1)
    seeds = draws.uniform(-size / 2 - 4, size / 2 + 4, count, most, 1, 1, 2)
    # Those that a landscape lacks lie beyond every other.
    seeds = seeds + 1e4 * (torch.arange(most) >= number[:, None])[..., None, None, None]
    aside, ahead = across[:, None] - seeds[..., 0], (along[:, None] - seeds[..., 1]) * stretch
    # Borders are straight, or, where the second term weighs more, bent.
    bent = draws.uniform(0, 1, count, 1, 1, 1) * draws.chance(0.4, count, 1, 1, 1)
    distance = (aside.square() + ahead.square()).sqrt() + bent * (aside.abs() + ahead.abs())
    nearest, round_points = distance.min(1)
    second = distance.scatter_(1, round_points[:, None], torch.inf).min(1).values

    area = size**2 / number[:, None, None]
    slender = draws.uniform(1, 4, *each)
    width, length = (area / slender).sqrt(), (area * slender).sqrt()
    place = across / width + draws.uniform(0, 40, *each)
    place = place + 0.2 * torch.sin(2.3 * place)  # strips are not all as wide
    strip = place.floor()
    shifts = draws.uniform(0, 1, count, 64).gather(1, (strip.long() % 64).flatten(1))
    position = along / length + 20 + shifts.view_as(strip)
    part = position.floor()
    in_strips = (strip * 7 + part * 3) % number[:, None, None]
    to_side = torch.minimum(place - strip, 1 - place + strip) * width
    to_end = torch.minimum(position - part, 1 - position + part) * length

    cut = draws.chance(0.5, *each)
    border = torch.where(cut, 2 * torch.minimum(to_side, to_end), second - nearest)
    return torch.where(cut, in_strips.long(), round_points), border


def field_map(draws: Draws, count: int, size: int, fields: int) -> Tensor:
    """Return (N, H, W): fields of all forms; the last number is roads, hedges and ditches."""
    number = torch.full((count,), float(fields - 1))
    field, gap = parcels(draws, count, FINE * size, number, fields - 1)
    wide = draws.uniform(0, 1.6, count, 1, 1) * draws.chance(0.6, count, 1, 1)
    return torch.where(gap < wide, fields - 1, field)[:, ::FINE, ::FINE]


def smooth_noise(draws: Draws, size: int, coarse: Tensor | int, *shape: int) -> Tensor:
    """Return (*shape, size, size), about normal, correlated over `size / coarse` pixels."""
    cells = int(coarse)
    rough = draws.normal(1.0, *shape, cells + 1, cells + 1)
    flat = rough.flatten(0, -3)[:, None]
    smooth = F.interpolate(flat, (size, size), mode="bicubic", align_corners=True)
    return smooth[:, 0].unflatten(0, shape)


def texture(draws: Draws, count: int, size: int) -> Tensor:
    """Return (N, 10, H, W) factor: gradients and damage, rows, and pixel noise, in one field."""
    whole = torch.zeros(count, size, size, dtype=torch.long)
    return texture_and_thinness(draws, count, size, whole)[0]


def texture_and_thinness(
    draws: Draws, count: int, size: int, field: Tensor
) -> tuple[Tensor, Tensor]:
    """Return a factor (N, 10, H, W) and the logarithm (N, H, W) of fewer leaves.

    Args:
        draws: of everything random.
        count: N.
        size: H = W.
        field: (N, H, W); each has rows of its own direction, or none.
    """
    numbers = (field % 64).flatten(1)

    def own(values: Tensor) -> Tensor:
        return values.gather(1, numbers).view_as(field)

    level = draws.uniform(0.02, 0.14, count, 1, 1) * own(draws.uniform(0.4, 1.6, count, 64))
    pattern = smooth_noise(draws, size, 5, count) + 0.35 * smooth_noise(
        draws, size, size // 2, count
    )
    turn = own(draws.uniform(0, math.pi, count, 64))
    line = torch.arange(float(size))
    across = line * turn.cos() + line[:, None] * turn.sin()
    period = own(draws.uniform(2.2, 8.0, count, 64))
    rows = own(draws.uniform(0, 0.08, count, 64) * draws.chance(0.35, count, 64))
    pattern = level * pattern + rows * torch.sin(2 * math.pi * across / period)
    # Where plants are thin, red and SWIR rise while the near infrared falls.
    tint = torch.tensor([0.8, 0.8, 1.2, 0.8, -0.5, -0.9, -1.0, -1.0, 0.8, 1.1])
    strength = draws.uniform(-0.3, 1.0, count, 1, 1)
    factor = (1 + (pattern * strength)[:, None] * tint[:, None, None]).clamp(0.5, 1.6)
    # Near infrared falls by about half as much as leaf area, relative to each.
    return factor, 2.0 * pattern * strength


def blur(image: Tensor) -> Tensor:
    """Return (N, C, H, W) as the optics blur it."""
    weights = torch.tensor([0.12, 0.76, 0.12])
    kernel = (weights[:, None] * weights[None])[None, None]
    padded = F.pad(image, (1, 1, 1, 1), mode="replicate").flatten(0, 1)[:, None]
    return F.conv2d(padded, kernel).view(image.shape)


def twenty_metre(
    image: Tensor, blocks: Tensor | None = None, corner: tuple[int, int] = (0, 0)
) -> Tensor:
    """Return a 20 m band on the 10 m grid.

    Args:
        image: (N, C, H, W) at 10 m.
        blocks: (N, 1, 1, 1) bool: where pixels were doubled; elsewhere resampling is bicubic.
        corner: rows and columns, 0 or 1, by which a 20 m pixel begins before the image.
    """
    height, width = image.shape[2:]
    y, x = corner
    coarse = F.avg_pool2d(F.pad(image, (x, x, y, y), mode="replicate"), 2)
    smooth = F.interpolate(coarse, scale_factor=2, mode="bicubic", align_corners=False)
    if blocks is not None:
        doubled = F.interpolate(coarse, scale_factor=2, mode="nearest")
        smooth = torch.where(blocks, doubled, smooth)
    return smooth[:, :, y : y + height, x : x + width]


def sharpness(ground: Tensor) -> Tensor:
    """Return what the instrument resolves: some blur, 20 m bands at 10 m (bicubic)."""
    image = blur(ground.flatten(0, 1))
    image[:, TWENTY_METRE] = twenty_metre(image[:, TWENTY_METRE])
    return image.unflatten(0, ground.shape[:2]).clamp(min=0.0)


def observe_space(
    draws: Draws, ground: Tensor, days: Tensor, held: Tensor, options: Options
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what the satellite delivers (N, T, 10, H, W), where it looked, and what is clear."""
    count, dates, bands, size, _ = ground.shape
    column = (count, dates, 1, 1, 1)
    seen = displaced(draws, ground)  # a copy: what follows may change it in place
    gain = 1 + draws.normal(0.035, *column)
    colour = 1 + draws.normal(0.015, count, dates, bands, 1, 1)
    haze = draws.normal(0.008, *column) * torch.tensor(SCATTER)[:, None, None]
    noise = draws.uniform(0.0005, 0.003, count, 1, 1, 1, 1)
    seen.mul_(gain * colour).add_(haze).addcmul_(noise, draws.normal(1.0, *ground.shape))

    cloudiness = 0.08 + 0.75 * draws.uniform(0, 1, count, 1, 1, 1)
    filtered = draws.chance(options.composite_share, count, 1, 1, 1)
    cloudiness = torch.where(filtered, cloudiness * 0.12, cloudiness)
    opacity, shadow = clouds(draws, cloudiness, dates, size)
    tops = cloud_bands(draws, count, dates)[..., None, None]
    darkness = torch.tensor([0.8, 0.75, 0.68, 0.66, 0.64, 0.62, 0.62, 0.6, 0.55, 0.52])
    depth = draws.uniform(0.5, 0.95, count, dates, 1, 1) * shadow
    seen.mul_(1 - depth[:, :, None] * darkness[:, None, None])
    seen.lerp_(tops.expand_as(seen), opacity[:, :, None].expand_as(seen))

    flagged = mask_of(draws, opacity, shadow)
    observed = held[:, :, None, None] & ~outside_swath(draws, count, dates, size)
    seen.clamp_(1e-4, 1.6).masked_fill_(~observed[:, :, None], torch.nan)
    return seen, observed, observed & ~flagged


def clouds(draws: Draws, cloudiness: Tensor, dates: int, size: int) -> tuple[Tensor, Tensor]:
    """Decks with soft edges, broken heaps, veils in streaks, and the shadows that they throw.

    Args:
        draws: of everything random.
        cloudiness: (N, 1, 1, 1) share of the ground below clouds, on average.
        dates: T.
        size: H = W.

    Returns:
        Opacity and depth of shadow, each (N, T, H, W) in 0 to 1.
    """
    count = len(cloudiness)
    each = (count, dates, 1, 1)
    # Shadows come from clouds beside the landscape, too.
    reach = min(3 * size // 8, 24)
    canvas = size + 2 * reach
    wide = smooth_noise(draws, canvas, max(2, canvas // 12), count, dates)
    narrow = smooth_noise(draws, canvas, max(2, canvas // 6), count, dates)
    narrow = narrow + 0.35 * smooth_noise(draws, canvas, canvas // 2, count, dates)
    # Streaks of a veil lie along the wind.
    across, _ = turned(draws, count, FINE * canvas)
    across = across[:, None, ::FINE, ::FINE] / draws.uniform(1.5, 7.0, *each)
    streaks = torch.sin(across + 2 * wide + draws.uniform(0, 2 * math.pi, *each))
    kind = draws.integers(0, 20, *each)
    heap, veil = kind < 7, kind >= 15
    form = torch.where(heap, 0.6 * wide + narrow, torch.where(veil, streaks, wide + 0.25 * narrow))
    # One draw for the date and one for the place: some days are clear, some closed, some broken.
    of_place = torch.where(heap, 1.1, 0.8)
    field = (3.2 - of_place**2).sqrt() * draws.normal(1.0, *each) + of_place * form
    edge = torch.where(heap, 1.3, 1.0) * draws.uniform(2.0, 6.0, *each)
    thick = torch.where(
        veil, draws.uniform(0.05, 0.5, *each), draws.uniform(0.6, 1.0, *each) ** 0.5
    )
    thin = draws.chance(0.2, *each) * draws.uniform(0.3, 0.8, *each)
    opacity = torch.sigmoid(edge * (field - 1.8 * torch.special.ndtri(1 - cloudiness)))
    opacity = (1.03 * opacity - 0.03).clamp(min=0) * thick * (1 - thin)

    # A morning sun in the south east, or, south of the tropics, in the north east.
    sun = torch.where(
        draws.chance(0.25, count, 1),
        draws.uniform(25, 70, count, 1),
        draws.uniform(115, 165, count, 1),
    )
    sun = torch.deg2rad(sun + draws.normal(6.0, count, dates))
    far = 1.5 * (reach / 1.5) ** draws.uniform(0, 1, count, dates)
    down, right = (far * sun.cos()).round().long(), (-far * sun.sin()).round().long()
    rows = torch.arange(size) + reach - down[..., None]
    columns = torch.arange(size) + reach - right[..., None]
    place = rows[..., :, None] * canvas + columns[..., None, :]
    cast = opacity.flatten(2).gather(2, place.flatten(2)).view(count, dates, size, size)
    opacity = opacity[:, :, reach : reach + size, reach : reach + size]
    return opacity, cast * (1 - opacity)


def mask_of(draws: Draws, opacity: Tensor, shadow: Tensor) -> Tensor:
    """Return (N, T, H, W) bool: what a mask calls cloud or shadow, with a mask's mistakes."""
    count, dates = opacity.shape[:2]
    each = (count, dates, 1, 1)
    dark = (shadow > draws.uniform(0.25, 0.5, *each)) & ~draws.chance(0.15, *each)
    flagged = ((opacity > draws.uniform(0.1, 0.35, *each)) | dark).float()
    # Many masks have pixels of 20 m, many are widened by some pixels, some are both.
    coarse = F.interpolate(F.max_pool2d(flagged, 2), scale_factor=2.0, mode="nearest")
    flagged = torch.where(draws.chance(0.5, count, 1, 1, 1), coarse, flagged)
    wide = F.max_pool2d(flagged, 5, stride=1, padding=2)
    flagged = torch.where(draws.chance(0.3, count, 1, 1, 1), wide, flagged)
    return (flagged > 0.5) & ~draws.chance(0.04, *each)


def displaced(draws: Draws, ground: Tensor) -> Tensor:
    """Every date lies a part of a pixel, at most 0.4, beside where it should, as real ones do."""
    count, dates, bands, height, width = ground.shape
    image = ground.reshape(1, -1, height, width)
    padded = F.pad(image, (1, 1, 1, 1), mode="replicate").view(count, dates, bands, height + 2, -1)
    for axis in (3, 4):
        shift = draws.uniform(-0.4, 0.4, count, dates, 1, 1, 1)
        size = padded.shape[axis] - 2
        before, here, after = (padded.narrow(axis, start, size) for start in range(3))
        padded = (1 - shift.abs()) * here
        padded.addcmul_(shift.clamp(min=0), before).addcmul_((-shift).clamp(min=0), after)
    return padded


def outside_swath(draws: Draws, count: int, dates: int, size: int) -> Tensor:
    """Return (N, T, H, W): on some dates one side of a slanting line lies beyond the swath."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    edge = draws.uniform(-0.4, 1.4, count, 1, 1, 1) * size
    side = draws.chance(0.5, count, 1, 1, 1)
    line = x + 0.25 * y
    beyond = torch.where(side, line > edge, line < edge)
    has_edge = draws.chance(0.15, count, 1, 1, 1)
    return beyond & has_edge & draws.chance(0.4, count, dates, 1, 1)
