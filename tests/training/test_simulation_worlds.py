"""Simulated worlds keep their promises: shapes, masks, seasons, clouds, seeds."""

import importlib.util
import itertools

import pytest
import torch

# Its table is read, its code is not run: importing it would need more packages.
if importlib.util.find_spec("prosail") is None:
    pytest.skip("the leaf coefficients come with the package prosail", allow_module_level=True)

from training.simulation.covers import COVERS, NAMES
from training.simulation.dataset import PatchWorlds, PixelWorlds
from training.simulation.draws import Draws
from training.simulation.landscapes import (
    OTHERS,
    clouds,
    displaced,
    mask_of,
    plan,
    simulate_landscapes,
    texture_and_thinness,
    time_steps,
    twenty_metre,
    unit_shares,
)
from training.simulation.pixels import (
    FIRST_YEAR_DAY,
    YEAR,
    Options,
    acquisition_days,
    ground_truth,
    simulate_pixels,
)


@pytest.fixture(scope="module")
def world():
    return simulate_pixels(400, 32, seed=1)


def test_values_are_there_exactly_where_observed(world):
    assert world.reflectance.isfinite().all(-1).equal(world.observed)
    assert not (world.clear & ~world.observed).any()
    assert world.observed.sum(1).min() >= 1
    for series, held in zip(world.days, world.observed):
        assert (series[held].diff() > 0).all()


def test_reflectance_stays_physical(world):
    assert world.clean.min() >= 0
    assert world.clean.max() <= 1.2
    assert (world.lai >= 0).all()


def test_the_same_seed_gives_the_same_world(world):
    again = simulate_pixels(400, 32, seed=1)
    assert again.clean.equal(world.clean)
    assert not simulate_pixels(400, 32, seed=2).clean.equal(world.clean)


def test_clouds_brighten_the_blue(world):
    cloudy = world.observed & ~world.clear
    blue = world.reflectance[..., 0]
    assert blue[cloudy].median() > 2 * blue[world.clear].median()


def year_of(name, count=300):
    days = (FIRST_YEAR_DAY + 4 * YEAR + torch.arange(0, 365, 5.0)).expand(count, -1)
    cover = torch.full((count, 6), NAMES.index(name))
    ground = ground_truth(Draws(3), days, cover, Options(change_share=0.0))
    # Climate is the same for every cover: the same draws come first.
    return days[0] - days[0, 0], ground.reflectance, ground.lai


def peak_day(name):
    days, _, lai = year_of(name)
    # The circular mean over places: a quarter of them lies in the southern hemisphere.
    angle = 2 * torch.pi * days[lai.argmax(1)] / YEAR
    north = angle.sin().sum().atan2(angle.cos().sum())
    return float(north % (2 * torch.pi)) * YEAR / (2 * torch.pi)


def test_maize_peaks_after_winter_wheat():
    assert 40 < peak_day("maize") - peak_day("winter wheat") < 130


def test_living_plants_raise_the_near_infrared():
    _, clean, lai = year_of("maize")
    ndvi = (clean[..., 6] - clean[..., 2]) / (clean[..., 6] + clean[..., 2]).clamp(min=1e-3)
    assert ndvi[lai > 3].median() > 0.75
    assert ndvi[lai < 0.05].median() < 0.4


def test_water_is_dark_in_the_short_wave_infrared():
    _, clean, _ = year_of("water")
    assert clean[..., 8].median() < 0.05


def test_seasons_of_the_hemispheres_are_half_a_year_apart():
    days, _, lai = year_of("maize", 600)
    peaks = days[lai.argmax(1)]
    # Two crowds of peaks, in northern summer and in southern summer.
    north = ((peaks > 160) & (peaks < 270)).float().mean()
    south = ((peaks < 90) | (peaks > 340)).float().mean()
    assert north > 0.5
    assert 0.1 < south < 0.4


def test_permanent_covers_stay_and_crops_rotate():
    cover = simulate_pixels(500, 8, seed=4).cover
    annual = torch.tensor([one.annual for one in COVERS])
    permanent = ~annual[cover[:, 0]]
    assert (cover[permanent] == cover[permanent][:, :1]).all()
    assert (cover[~permanent] != cover[~permanent][:, :1]).any()


def test_landscapes_have_fields_clouds_and_edges():
    world = simulate_landscapes(6, 10, 32, seed=0)
    assert world.reflectance.shape == (6, 10, 10, 32, 32)
    assert world.reflectance.isfinite().all(2).equal(world.observed)
    assert not (world.clear & ~world.observed).any()
    fields = [len(one.unique()) for one in world.field]
    assert min(fields) >= 2
    shares = world.clear.float().mean((2, 3))
    assert ((shares > 0.05) & (shares < 0.95)).any()


def test_twenty_metre_bands_are_smoother_than_ten_metre_bands():
    clean = simulate_landscapes(6, 6, 32, seed=1).clean

    def roughness(band):
        image = clean[:, :, band]
        return ((image.diff(dim=-1) ** 2).mean() / image.var()).item()

    assert roughness(7) < roughness(6)


def test_batches_are_what_training_takes():
    pixels = next(iter(PixelWorlds(0, batch_size=5, dates=12)))
    assert pixels["reflectance"].shape == (5, 12, 10, 1, 1)
    patches = next(iter(PatchWorlds(0, batch_size=2, dates=6, size=16)))
    assert patches["clear"].shape == (2, 6, 16, 16)
    for batch in (pixels, patches):
        assert set(batch) == {"reflectance", "days", "observed", "clear", "ground"}


def test_streams_repeat_and_neighbouring_seeds_differ():
    def days(seed):
        return [b["days"] for b in itertools.islice(PixelWorlds(seed, batch_size=4, dates=8), 2)]

    first, again, other = days(0), days(0), days(1)
    assert all(a.equal(b) for a, b in zip(first, again))
    assert not first[0].equal(first[1])
    assert not first[0].equal(other[0])


def test_displaced_dates_stay_within_half_a_pixel():
    column = torch.arange(32.0).expand(1, 5, 10, 32, 32)
    moved = displaced(Draws(0), column)
    shift = (moved - column)[..., 1:-1]
    assert shift.shape == (1, 5, 10, 32, 30)
    assert (shift.abs() <= 0.4).all()
    # One shift for a date, the same in all its bands and pixels; other dates have others.
    assert (shift.amax((2, 3, 4)) - shift.amin((2, 3, 4)) < 1e-4).all()
    assert shift.mean((0, 2, 3, 4)).std() > 0.05


@pytest.fixture(scope="module")
def plans():
    """320 landscapes' units, by pixel of the plan, and the first unit that is no field."""
    draws = Draws(5)
    return torch.cat([plan(draws, 32, 32, 20) for _ in range(10)]), 20


def held_by(plans, *names):
    units, fields = plans
    places = torch.tensor([fields + list(OTHERS).index(name) for name in names])
    return torch.isin(units, places).float().mean((1, 2))


@pytest.mark.parametrize(
    ("names", "least", "most"),
    [
        (("wood", "other wood"), 0.3, 0.6),
        (("roofs", "lawns", "garden trees"), 0.08, 0.25),
        (("water",), 0.05, 0.2),
        (("lines", "streets"), 0.4, 0.9),
    ],
)
def test_woods_villages_water_and_lines_are_in_a_share_of_the_landscapes(plans, names, least, most):
    found = held_by(plans, *names)
    assert least < (found > 0.005).float().mean() < most
    # Fields hold most of the ground.
    assert found.mean() < 0.2


def test_fields_are_one_to_many(plans):
    units, fields = plans
    numbers = torch.tensor([(one[one < fields].unique()).numel() for one in units])
    assert (numbers <= 1).float().mean() > 0.05
    assert (numbers >= 10).float().mean() > 0.1
    assert numbers.max() <= fields


def test_villages_are_small_pieces_in_one_place():
    """A pixel of a village differs from its neighbours far more often than one of a field."""
    units = torch.cat([plan(Draws(s), 32, 32, 20) for s in range(10)])[:, ::2, ::2]
    inside = (units > 22) & (units < 27)
    differs = units[:, :, 1:] != units[:, :, :-1]
    assert differs[inside[:, :, 1:]].float().mean() > 0.25
    assert differs[units[:, :, 1:] < 20].float().mean() < 0.15


def test_rows_run_in_all_directions():
    """The strongest wave of each field's pattern: its direction is any of the half circle."""
    draws = Draws(1)
    whole = torch.zeros(200, 32, 32, dtype=torch.long)
    factor, _ = texture_and_thinness(draws, 200, 32, whole)
    spectrum = torch.fft.fft2(factor[:, 6] - factor[:, 6].mean((1, 2), keepdim=True)).abs()
    y, x = torch.meshgrid(torch.fft.fftfreq(32), torch.fft.fftfreq(32), indexing="ij")
    # Waves shorter than 7 pixels, which only rows have a lot of.
    short = spectrum * ((x**2 + y**2).sqrt() > 1 / 7)
    best = short.flatten(1).argmax(1)
    strong = short.flatten(1).amax(1) > 12 * short.flatten(1).mean(1)
    assert 20 < strong.sum() < 150
    angle = torch.atan2(y.flatten()[best], x.flatten()[best])[strong] % torch.pi
    counts = torch.histc(angle, 4, 0, torch.pi)
    assert (counts > 0.08 * strong.sum()).all()


def test_a_pixel_is_the_mean_of_what_lies_in_it():
    cells = torch.zeros(1, 8, 8, dtype=torch.long)
    cells[:, :, 3:] = 1
    shares = unit_shares(cells, 2)
    assert shares.sum(1).allclose(torch.ones(1, 4, 4))
    assert shares[0, 1, 2].tolist() == [0.0, 0.5, 1.0, 1.0]


def test_patches_ahead_stay_between_the_dates():
    days = torch.tensor([[0.0, 5.0, 40.0, 40.0]])
    values = torch.tensor([1.0, 3.0, 10.0, 10.0])[None, None, :, None]
    later, earlier = time_steps(values, days)
    # Ten days of 35 toward the next date; dates nearer than ten days are not overtaken.
    assert later[0, 0, :, 0].tolist() == pytest.approx([2.0, 2.0, 0.0, 0.0])
    assert earlier[0, 0, :, 0].tolist() == pytest.approx([0.0, -2.0, -2.0, 0.0])


def test_doubled_pixels_come_in_blocks_that_begin_where_asked():
    image = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    blocks = torch.tensor([True, False]).view(2, 1, 1, 1)
    out = twenty_metre(image, blocks, (1, 0))
    assert out.shape == image.shape
    assert out[0, :, 1:15:2].equal(out[0, :, 2:16:2])
    assert out[0, :, :, 0::2].equal(out[0, :, :, 1::2])
    assert not out[1, :, 1:15:2].isclose(out[1, :, 2:16:2]).any()


def test_truth_of_landscapes_agrees_with_their_reflectance():
    world = simulate_landscapes(24, 12, 32, seed=2)
    clean = world.below_snow
    ndvi = (clean[:, :, 6] - clean[:, :, 2]) / (clean[:, :, 6] + clean[:, :, 2]).clamp(min=1e-3)
    assert ndvi[world.lai > 3].median() > 0.7
    assert ndvi[world.lai < 0.1].median() < 0.35
    assert (world.lai >= 0).all()
    water = world.cover[:, 1] == NAMES.index("water")
    near_infrared = clean[:, :, 6].transpose(0, 1)
    assert near_infrared[:, water].median() < 0.06
    # A unit has one cover, and a cover has what its unit has.
    for cover, field in zip(world.cover, world.field):
        for unit in field.unique():
            assert (cover[:, field == unit] == cover[:, field == unit][:, :1]).all()


def test_days_ascend_and_padding_repeats_the_day_before():
    days, held = acquisition_days(Draws(1), 500, 32, Options())
    steps = days.diff(dim=1)
    assert held[:, 0].all()
    assert not held.all()
    assert (steps[held[:, 1:]] > 0).all()
    assert (steps[~held[:, 1:]] == 0).all()


@pytest.mark.parametrize("longest", [366, 3000])
def test_plants_grow_in_every_year_of_a_landscape(longest):
    options = Options(longest=longest, one_year_share=0.0, change_share=0.0)
    world = simulate_landscapes(8, 60, 16, seed=0, options=options)
    since = world.days - world.days[:, :1]
    for year in range(int(since.max() // YEAR)):
        inside = world.observed.any((2, 3)) & (since >= year * YEAR) & (since < (year + 1) * YEAR)
        assert world.lai[inside].mean() > 0.7


def test_landscapes_repeat_with_their_seed():
    first, again = (simulate_landscapes(3, 6, 32, seed=7) for _ in range(2))
    for name in ("reflectance", "clean", "below_snow", "lai", "cover", "field", "clear"):
        assert getattr(first, name).nan_to_num(-1.0).equal(getattr(again, name).nan_to_num(-1.0))
    other = simulate_landscapes(3, 6, 32, seed=8)
    assert not other.clean.equal(first.clean)


@pytest.fixture(scope="module")
def sky():
    return clouds(Draws(3), torch.full((40, 1, 1, 1), 0.4), 24, 32)


def test_clouds_are_as_many_as_asked_for_and_of_all_kinds(sky):
    opacity, shadow = sky
    assert opacity.shape == shadow.shape == (40, 24, 32, 32)
    for part in sky:
        assert part.min() >= 0
        assert part.max() <= 1
    covered = opacity > 0.05
    assert 0.3 < covered.float().mean() < 0.55  # their edges count
    by_date = covered.float().mean((2, 3))
    assert ((by_date > 0.05) & (by_date < 0.95)).float().mean() > 0.2
    assert (by_date == 0).float().mean() > 0.1
    thickest = opacity.amax((2, 3))
    assert ((thickest > 0.05) & (thickest < 0.5)).float().mean() > 0.1
    assert (thickest > 0.8).float().mean() > 0.2


def test_clouds_have_soft_edges(sky):
    opacity, _ = sky
    thick = opacity[(opacity.amax((2, 3)) > 0.7) & (opacity.amin((2, 3)) < 0.05)]
    between = ((thick > 0.15) & (thick < 0.55)).float().mean()
    assert between > 0.05
    assert thick.diff(dim=-1).abs().quantile(0.99) < 0.6


def test_shadows_of_a_landscape_fall_to_one_side():
    """Where a cloud's own shadow best matches it again: away from the morning sun."""
    opacity, shadow = clouds(Draws(8), torch.full((60, 1, 1, 1), 0.25), 20, 32)
    part = opacity.mean((2, 3))
    usable = (part > 0.03) & (part < 0.3) & (opacity.amax((2, 3)) > 0.6)
    offsets, rows = [], []
    for place, date in usable.nonzero().tolist():
        cloud, cast = opacity[place, date], shadow[place, date]
        if cast.max() < 0.5:
            continue
        product = torch.fft.ifft2(
            torch.fft.fft2(cast - cast.mean(), (96, 96))
            * torch.fft.fft2(cloud - cloud.mean(), (96, 96)).conj()
        ).real
        best = int(product.argmax())
        down, right = ((k + 48) % 96 - 48 for k in divmod(best, 96))
        if max(abs(down), abs(right)) > 2:
            offsets.append((down, right))
            rows.append(place)
    offsets = torch.tensor(offsets, dtype=torch.float32)
    assert len(offsets) > 60
    # A morning sun is in the east: shadows fall to the west.
    assert (offsets[:, 1] < 0).float().mean() > 0.75
    north = (offsets[:, 0] < 0).float()
    assert 0.5 < north.mean() < 0.95
    # In one landscape all to the same side, in others to the other.
    by_place = [north[torch.tensor(rows) == place] for place in set(rows)]
    agreement = [max(v.mean(), 1 - v.mean()) for v in by_place if len(v) > 2]
    assert torch.tensor(agreement).mean() > 0.8
    lengths = offsets.norm(dim=1)
    assert lengths.std() > 1.5


def test_masks_find_most_of_thick_clouds_and_little_of_the_clear_ground(sky):
    opacity, shadow = sky
    flagged = mask_of(Draws(0), opacity, shadow)
    assert flagged[opacity > 0.6].float().mean() > 0.9
    assert flagged[(opacity < 0.01) & (shadow < 0.01)].float().mean() < 0.12
    assert 0.4 < flagged[(shadow > 0.6) & (opacity < 0.05)].float().mean() < 0.98
