"""Series of single pixels, with everything that was true about them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .covers import CANOPIES, COVERS, Ground
from .draws import Draws
from .spectra import (
    canopy_table,
    cloud_bands,
    ground_bands,
    snow_bands,
)
from .views import as_seen, draw_passes

YEAR = 365.25
# Days from the model's reference date (2014-03-03) to 1 January 2015.
FIRST_YEAR_DAY = 304
GROUNDS: tuple[Ground, ...] = ("soil", "water", "urban", "rock")
# Directions of slow drifts of colour over the ten bands: visible, red edge, near infrared, SWIR.
DRIFTS = (
    (1.0, 0.9, 1.0, 0.6, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0),
    (0.0, 0.5, 0.2, 1.0, 0.6, 0.1, 0.0, 0.0, 0.0, 0.0),
    (0.0, 0.1, 0.0, 0.2, 0.8, 1.0, 1.0, 1.0, 0.3, 0.1),
    (0.0, 0.0, 0.3, 0.2, 0.0, 0.0, 0.0, 0.0, 0.7, 1.0),
)
# How much of the light that the air scatters each band takes, beside the blue one.
SCATTER = (1.0, 0.7, 0.5, 0.4, 0.3, 0.27, 0.25, 0.22, 0.05, 0.02)
_ANNUAL = torch.tensor([cover.annual for cover in COVERS])


@dataclass(frozen=True)
class Options:
    """What a world is like.

    Attributes:
        last_year: series begin between mid 2015, or the January before, and this year.
        one_year_share: share of the series that cover one year.
        longest: days of the longest series.
        composite_share: share of the series that are composites or filtered, with few clouds.
        change_share: share of the permanent covers that are cleared one day.
    """

    last_year: int = 2040
    one_year_share: float = 0.5
    longest: int = 1100
    composite_share: float = 0.2
    change_share: float = 0.05

    @property
    def seasons(self) -> int:
        """Return calendar years that a series may touch, and the one before it."""
        return math.ceil(self.longest / YEAR) + 2


@dataclass(frozen=True)
class PixelSimulation:
    """N series of T dates and their truth.

    Attributes:
        reflectance: (N, T, 10) as a satellite sees it; NaN where not observed.
        days: (N, T) since 2014-03-03, ascending; places that are padding repeat the day before.
        observed: (N, T) bool.
        clear: (N, T) bool: observed and not flagged as cloud or shadow; the flag makes mistakes.
        clean: (N, T, 10) reflectance of the ground, without atmosphere and noise.
        below_snow: (N, T, 10) the same without the snow that nobody can foresee.
        lai: (N, T) leaf area index.
        cover: (N, seasons) place in COVERS, by season.
        changed: (N,) bool: cleared within the series.
    """

    reflectance: Tensor
    days: Tensor
    observed: Tensor
    clear: Tensor
    clean: Tensor
    below_snow: Tensor
    lai: Tensor
    cover: Tensor
    changed: Tensor


@dataclass(frozen=True)
class GroundTruth:
    """What the ground is like on every date.

    Attributes:
        reflectance: (N, T, 10) without atmosphere and noise.
        below_snow: (N, T, 10) the same without the snow that nobody can foresee.
        lai: (N, T) leaf area index.
        changed: (N,) bool: cleared within the series.
    """

    reflectance: Tensor
    below_snow: Tensor
    lai: Tensor
    changed: Tensor


def simulate_pixels(
    count: int, dates: int, seed: int, options: Options | None = None
) -> PixelSimulation:
    """Draw `count` places and watch each on up to `dates` days.

    Args:
        count: N.
        dates: T; shorter series are padded with dates that are not observed.
        seed: the same seed gives the same worlds.
        options: of the worlds.
    """
    options = options or Options()
    draws = Draws(seed)
    days, held = acquisition_days(draws, count, dates, options)
    cover = draw_covers(draws, count, options.seasons)
    ground = ground_truth(draws, days, cover, options)
    seen = as_seen(ground.reflectance, ground.lai, draw_passes(draws, days))
    reflectance, clear = observe(draws, seen, days, held, options)
    reflectance = torch.where(held[..., None], reflectance, torch.nan)
    return PixelSimulation(
        reflectance,
        days,
        held,
        clear & held,
        ground.reflectance,
        ground.below_snow,
        ground.lai,
        cover,
        ground.changed,
    )


def acquisition_days(
    draws: Draws, count: int, dates: int, options: Options
) -> tuple[Tensor, Tensor]:
    """Return (N, T) ascending days and whether each is a date or padding."""
    span = torch.where(
        draws.chance(options.one_year_share, count),
        draws.uniform(330, 366, count),
        draws.uniform(90, options.longest, count),
    )
    last = (options.last_year - 2015) * YEAR + FIRST_YEAR_DAY
    start = draws.uniform(FIRST_YEAR_DAY + 180, last, count)
    # Whole years often begin with January, as people cut their series.
    calendar = draws.chance(0.5, count)
    january = ((start - FIRST_YEAR_DAY) / YEAR).floor() * YEAR + FIRST_YEAR_DAY
    start = torch.where(calendar, january, start)
    revisit = draws.pick((5, 5, 5, 5, 10, 10, 2.5, 3.5), count)
    wanted = (span / revisit * draws.uniform(0.4, 1.0, count)).clamp(min=4, max=dates)
    # Places on the orbit's rhythm, without repetition, in order.
    steps = (span / revisit).floor().clamp(min=4)
    unit = torch.rand(count, dates, generator=draws.generator).cumsum(1)
    at = (unit / unit[:, -1:] * steps[:, None] * (dates / wanted)[:, None]).round()
    held = (at <= steps[:, None]) & (torch.arange(dates) < wanted[:, None])
    repeated = torch.zeros_like(held)
    repeated[:, 1:] = at[:, 1:] == at[:, :-1]
    held &= ~repeated
    held[:, 0] = True
    days = (start[:, None] + at * revisit[:, None]).floor()
    # What moves patches in time looks from each date at the one before and after.
    return torch.where(held, days, -torch.inf).cummax(1).values, held


def draw_covers(draws: Draws, count: int, seasons: int) -> Tensor:
    """Return (N, seasons) covers: permanent ones stay, fields rotate among crops."""
    weights = torch.ones(len(COVERS))
    first = draws.category(weights.expand(count, -1))
    crops = draws.category(_ANNUAL.float().expand(count, -1), seasons)
    keeps = draws.chance(0.35, count, 1) | ~_ANNUAL[first]
    cover = torch.where(keeps, first.expand(-1, seasons), crops)
    return cover


def ground_truth(
    draws: Draws, days: Tensor, cover: Tensor, options: Options, neighbours: int = 1
) -> GroundTruth:
    """Return what the ground is like on every date.

    Args:
        draws: of everything random.
        days: (N, T).
        cover: (N, seasons).
        options: of the worlds.
        neighbours: so many successive rows lie in one place and share climate and weather.
    """
    count, dates = days.shape
    seasons = cover.shape[1]
    table = canopy_table(0)
    places = count // neighbours

    def shared(values: Tensor) -> Tensor:
        return values.repeat_interleave(neighbours, 0)

    # Regional weather and hemisphere: one shift for the place, a little more for each year.
    place = draws.normal(14.0, places, 1)
    place += YEAR / 2 * draws.chance(0.25, places, 1)
    place += draws.uniform(0, YEAR, places, 1) * draws.chance(0.08, places, 1)
    # How warm it is, 0 in the cool temperate zone and 1 in the subtropics: crops move unlike.
    warmth = draws.uniform(0, 1, places, 1) * ~draws.chance(0.35, places, 1)
    shift = shared(place + draws.normal(8.0, places, seasons))
    place, cold = shared(place), draws.uniform(0, 1, places, 1) ** 2 * (1 - warmth)
    warmth, cold = shared(warmth), shared(cold)
    first_year = ((days[:, :1] - FIRST_YEAR_DAY) / YEAR).floor() - 1
    new_year = FIRST_YEAR_DAY + (first_year + torch.arange(seasons)) * YEAR  # (N, S)
    origin = (new_year + shift)[..., None]
    when = days[:, None] - origin  # (N, S, T) days since each season's own New Year

    def each(values: list[tuple[float, float]]) -> tuple[Tensor, Tensor]:
        both = torch.tensor(values, dtype=torch.float32)[cover]
        return both[..., 0], both[..., 1]

    mean, deviation = each([c.green_up for c in COVERS])
    spring, summer = each([c.warmth for c in COVERS])
    green_up = mean + spring * warmth + deviation * draws.normal(1.0, count, seasons)
    mean, deviation = each([c.maturity for c in COVERS])
    maturity = mean + summer * warmth + deviation * draws.normal(1.0, count, seasons)
    maturity = torch.maximum(maturity, green_up + 35)
    peak = draws.between(*each([c.lai for c in COVERS]))
    peak *= 1 - 0.75 * draws.uniform(0, 1, count, seasons) ** 2.5  # damage, drought, poor stands
    autumn = draws.between(*each([c.autumn for c in COVERS]))
    evergreen = draws.between(*each([c.evergreen for c in COVERS]))
    # What stays all year stays between years, too.
    permanent = ~_ANNUAL[cover]
    evergreen = torch.where(permanent, evergreen[:, :1], evergreen)
    growth = draws.between(*each([c.growth for c in COVERS]))
    fall = draws.uniform(2, 9, count, seasons)
    harvest = maturity + draws.between(*each([c.standing for c in COVERS]))

    def rise(day: Tensor, width: Tensor) -> Tensor:
        return torch.sigmoid((when - day[..., None]) / width[..., None])

    area = peak[..., None] * rise(green_up, growth) * (1 - rise(harvest, fall))
    sown = torch.full_like(green_up, -65.0) + 15 * draws.normal(1.0, count, seasons)
    area += autumn[..., None] * rise(sown, growth) * (1 - rise(green_up, growth))
    cuts = torch.tensor([c.cuts for c in COVERS])[cover]
    for k in range(6):
        cut_day = (
            green_up
            + 30
            + (k + draws.uniform(0, 0.7, count, seasons))
            * ((maturity - green_up - 30) / cuts.clamp(min=1))
        )
        since = when - cut_day[..., None]
        deep = draws.uniform(0.5, 0.9, count, seasons)[..., None]
        back = torch.exp(-since.clamp(min=0) / 14)
        hit = (k < cuts)[..., None] & (since > 0) & draws.chance(0.75, count, seasons)[..., None]
        area = torch.where(hit, area * (1 - deep * back), area)
    # After the harvest: a second crop, a catch crop that may stay until spring, and weeds.
    early = (harvest < 290) & draws.chance(0.45, count, seasons) & ~permanent
    second_up = harvest + draws.uniform(15, 60, count, seasons)
    second_end = second_up + draws.uniform(60, 190, count, seasons)
    second = draws.uniform(0.4, 4.0, count, seasons) * early
    second_area = second[..., None] * rise(second_up, growth) * (1 - rise(second_end, fall * 2))
    second_area += (
        (draws.uniform(0, 1.2, count, seasons) * draws.chance(0.5, count, seasons))[..., None]
        * rise(harvest + 20, growth * 2)
        * (1 - rise(harvest + draws.uniform(60, 240, count, seasons), growth))
    )
    # Straw and stubble: dry matter that goes with time or with the plough.
    straw = draws.uniform(0.1, 1.1, count, seasons) * ~permanent
    plough = draws.uniform(10, 90, count, seasons)
    since_harvest = when - harvest[..., None]
    stubble = (
        straw[..., None]
        * rise(harvest, fall)
        * torch.exp(-since_harvest.clamp(min=0) / plough[..., None])
    )
    stubble = stubble * (1 - torch.exp(-peak[..., None]))

    pale = draws.uniform(0.0, 0.4, count, seasons)
    turning = 1.6 * torch.sigmoid((when - maturity[..., None]) / 6.0)
    turning = torch.where(permanent[..., None], 0.7 * turning, turning)
    # No stand is green throughout: lower leaves, weeds, ears and stress lie in every pixel.
    turning = torch.maximum(turning, pale[..., None])

    # The season that covers the ground most decides the kind of plant on a date.
    visible = area + second_area + stubble
    main = visible.argmax(1)  # (N, T)

    def at_main(values: Tensor) -> Tensor:
        return values.expand(-1, -1, days.shape[1]).gather(1, main[:, None])[:, 0]

    # No stand grows as a formula says: weeks of faster and of slower growth.
    vigour = torch.exp(draws.uniform(0.05, 0.3, count, 1) * slow_noise(draws, days, 1)[..., 0])
    area, second_area = area * vigour[:, None], second_area * vigour[:, None]
    lai = area.sum(1) + second_area.sum(1)
    this_year = ((days - FIRST_YEAR_DAY) / YEAR).floor() - first_year
    lai = lai + evergreen.gather(1, this_year.long().clamp(0, seasons - 1))
    dry = stubble.sum(1)
    total = lai + dry
    living_stage = at_main(turning) * at_main(area) / at_main(visible).clamp(min=1e-3)
    stage = (living_stage * lai + 2.0 * dry) / total.clamp(min=1e-3)
    canopy_of = torch.tensor([CANOPIES.index(c.canopy) for c in COVERS])[cover]
    canopy = at_main(canopy_of[..., None].float()).long()

    changed = permanent[:, 0] & draws.chance(options.change_share, count)
    cleared = days[:, 0] + draws.uniform(0.15, 0.85, count) * (days[:, -1] - days[:, 0])
    after = changed[:, None] & (days > cleared[:, None])
    regrowth = 0.08 + 0.25 * ((days - cleared[:, None]) / YEAR).clamp(0, 2)
    total = torch.where(after, total * regrowth, total)
    lai = torch.where(after, lai * regrowth, lai)

    moisture = shared(soil_moisture(draws, places, dates))
    soil = draws.integers(0, table.bands.shape[0], count, 1)
    entry = soil * len(CANOPIES) + canopy
    out = table.look_up(entry, stage, total, moisture)

    # Grounds that are no soil show where no plants may grow.
    ground_of = torch.tensor([GROUNDS.index(c.ground) for c in COVERS])[cover[:, :1]]
    low, high = each([c.plants for c in COVERS])
    plants = draws.between(low, high)[:, :1]
    plants = plants * (1 - 0.3 * draws.uniform(0, 1, count, 1) ** 2)  # gaps, tracks, poor spots
    other = torch.zeros(count, 1, 10)
    for i, ground in enumerate(GROUNDS[1:], start=1):
        kind = ground_bands(draws, ground, count)[:, None]
        other = torch.where((ground_of == i)[..., None], kind, other)
    bare = ground_of > 0
    other = other * (1 + draws.normal(0.06, count, days.shape[1])[..., None] * bare[..., None])
    share = torch.where(bare, plants, 1.0)[..., None]
    # Between rows and crowns the soil stays in view.
    between = table.look_up(entry, stage, total * 0.15, moisture)
    rest = torch.where(bare[..., None], other, between)
    plants_everywhere = torch.where(bare, 1.0, plants)[..., None]
    out = torch.where(
        bare[..., None],
        share * out + (1 - share) * rest,
        plants_everywhere * out + (1 - plants_everywhere) * between,
    )

    # Leaves and stands change colour slowly, in ways that no table of canopies holds.
    drift = slow_noise(draws, days, len(DRIFTS)) * draws.uniform(0.02, 0.1, count, 1, len(DRIFTS))
    out = out * torch.exp(drift @ torch.tensor(DRIFTS))

    # Flowering rapeseed is yellow for three weeks.
    yellow = (cover == [c.name for c in COVERS].index("rapeseed"))[..., None]
    bloom = torch.exp(-(((when - (green_up + 40)[..., None]) / 9.0) ** 2)) * yellow
    bloom = (bloom * draws.uniform(0.3, 1.0, count, seasons)[..., None]).sum(1)[..., None]
    petals = torch.tensor([0.005, 0.07, 0.08, 0.07, 0.04, 0.03, 0.03, 0.03, 0.0, 0.0])
    out = out + bloom * petals

    # Open bolls of cotton are white until they are picked.
    ripe = (cover == [c.name for c in COVERS].index("cotton"))[..., None]
    bolls = ripe * rise(maturity - 5, torch.full_like(fall, 8.0)) * (1 - rise(harvest, fall))
    bolls = (bolls * draws.uniform(0.02, 0.12, count, seasons)[..., None]).sum(1)[..., None]
    out = out + bolls * torch.tensor([0.9, 1.0, 1.0, 1.0, 0.9, 0.8, 0.8, 0.8, 0.5, 0.4])

    # Rice fields under water before the plants close.
    flooded = torch.tensor([c.flooded for c in COVERS])[cover][..., None]
    water_from = (green_up - draws.uniform(25, 60, count, seasons))[..., None]
    under = flooded & (when > water_from) & (when < (maturity - 25)[..., None])
    flood = under.any(1) * draws.uniform(0.5, 1.0, count, 1) * torch.exp(-0.55 * lai)
    out = out + flood[..., None] * (ground_bands(draws, "water", count)[:, None] - out)

    # What the atmospheric correction of a place leaves behind, and the glow of what lies around.
    veil = shared(draws.uniform(0.0, 0.016, places, 1))[..., None]
    below_snow = (out + veil * torch.tensor(SCATTER)).clamp(0.0, 1.2)
    # Snow lies in the middle of winter, in cold places.
    midwinter = torch.cos(2 * math.pi * (days - FIRST_YEAR_DAY - place - 15) / YEAR)
    chance = cold * (midwinter - 0.45).clamp(min=0) * 1.3
    snowy = shared(draws.uniform(0, 1, places, dates)) < chance
    depth = shared(draws.uniform(0.3, 1.0, places, dates)) * snowy * torch.exp(-0.25 * lai)
    out = below_snow + depth[..., None] * (snow_bands(draws, count)[:, None] - below_snow)
    return GroundTruth(out.clamp(0.0, 1.2), below_snow, lai, changed)


def slow_noise(draws: Draws, days: Tensor, kinds: int) -> Tensor:
    """(N, T, kinds) about normal, changing over weeks and months: three waves of random periods."""
    count = len(days)
    waves = (count, 1, kinds, 3)
    period = 30 * 12 ** draws.uniform(0, 1, *waves)
    phase = draws.uniform(0, 2 * math.pi, *waves)
    since = (days - days[:, :1])[..., None, None]
    return math.sqrt(2 / 3) * torch.sin(2 * math.pi * since / period + phase).sum(-1)


def soil_moisture(draws: Draws, count: int, dates: int) -> Tensor:
    """Return (N, T) in 0 to 1: rain comes at random, soils dry within days."""
    wetness = draws.uniform(0.1, 0.9, count, 1)
    since_rain = -torch.log(torch.rand(count, dates, generator=draws.generator).clamp(min=1e-6))
    return torch.exp(-since_rain * (1.2 - wetness) * 2.5)


def persistent_weather(draws: Draws, count: int, dates: int) -> Tensor:
    """Return (N, T) uniform in 0 to 1, where a date is much like the one before it."""
    fresh = draws.normal(1.0, count, dates + 2)
    weights = torch.tensor([0.25, 0.5, 1.0])
    smooth = sum(weight * fresh[:, i : i + dates] for i, weight in enumerate(weights))
    return torch.special.ndtr(smooth / weights.square().sum().sqrt())


def observe(
    draws: Draws, clean: Tensor, days: Tensor, held: Tensor, options: Options
) -> tuple[Tensor, Tensor]:
    """Return what the satellite delivers (N, T, 10), and what its cloud mask calls clear (N, T)."""
    count, dates = days.shape
    # Light: slopes and the sun's height, the atmosphere left over, the sensor.
    slope = draws.normal(0.06, count, 1)
    low_sun = torch.cos(2 * math.pi * (days - FIRST_YEAR_DAY) / YEAR)
    gain = 1 + slope * low_sun + draws.normal(0.03, count, dates)
    colour = 1 + draws.normal(0.015, count, dates, 10)
    haze = draws.normal(0.008, count, dates)[..., None] * torch.tensor(SCATTER)
    seen = clean * gain[..., None] * colour + haze + draws.normal(0.003, count, dates, 10)

    cloudiness = 0.08 + 0.75 * draws.uniform(0, 1, count, 1)
    filtered = draws.chance(options.composite_share, count, 1)
    cloudiness = torch.where(filtered, cloudiness * 0.12, cloudiness)
    weather = persistent_weather(draws, count, dates)
    cloudy = weather < cloudiness
    thick = draws.chance(0.62, count, dates)
    cover = torch.where(
        thick, draws.uniform(0.6, 1.0, count, dates), draws.uniform(0.06, 0.5, count, dates)
    )
    tops = cloud_bands(draws, count, dates)
    beneath = seen * draws.uniform(0.75, 1.0, count, dates)[..., None]
    clouded = beneath + cover[..., None] * (tops - beneath)
    shaded = ~cloudy & (weather > 1 - 0.25 * cloudiness)
    darkness = draws.uniform(0.2, 0.8, count, dates)[..., None] * torch.tensor(
        [0.8, 0.75, 0.68, 0.66, 0.64, 0.62, 0.62, 0.6, 0.55, 0.52]
    )
    seen = torch.where(cloudy[..., None], clouded, seen)
    seen = torch.where(shaded[..., None], seen * (1 - darkness), seen)

    # Masks miss thin clouds and shadows, and now and then flag what is clear.
    missed = torch.where(thick, draws.chance(0.03, count, dates), draws.chance(0.3, count, dates))
    flagged = (cloudy & ~missed) | (shaded & draws.chance(0.65, count, dates))
    flagged |= draws.chance(0.02, count, dates)
    return seen.clamp(1e-4, 1.6), ~flagged & held
