"""Two satellites and two orbits see one ground a little differently, as far as physics says."""

import importlib.util
import math

import pytest
import torch

# Its table is read, its code is not run: importing it would need more packages.
if importlib.util.find_spec("prosail") is None:
    pytest.skip("the leaf coefficients come with the package prosail", allow_module_level=True)

from alise_plugin.sentinel2 import BANDS
from training.simulation.bands import band_weights, bands_to_nodes
from training.simulation.draws import Draws
from training.simulation.prosail import Geometry, Leaves, Prosail
from training.simulation.spectra import canopy_table, ground_bands, snow_bands, soil_bands
from training.simulation.views import Passes, as_seen, draw_passes, kernels

SPECTRA = 300


@pytest.fixture(scope="module")
def nodes():
    """Reflectance of canopies that the table does not hold, at the wavelengths of the bands."""
    draws = Draws(99)

    def between(low, high):
        return draws.uniform(low, high, SPECTRA)

    prosail = Prosail()
    leaves = Leaves(
        between(1.2, 2.2),
        between(5, 70),
        between(2, 14),
        between(0, 2),
        between(0, 0.6),
        between(0.004, 0.03),
        between(0.002, 0.012),
    )
    grounds = soil_bands(draws, SPECTRA) @ torch.from_numpy(bands_to_nodes())
    geometry = Geometry(between(25, 60), between(0, 11), between(0, 180))
    lai, angle, hotspot = between(0, 6), between(30, 75), between(0.03, 0.3)
    return prosail.canopy(*prosail.leaf(leaves), lai, angle, hotspot, geometry, grounds)


def of_both(nodes):
    return [nodes @ torch.from_numpy(band_weights(satellite)) for satellite in "AB"]


def test_the_adjustment_agrees_with_the_responses_of_both_satellites(nodes):
    of_a, of_b = of_both(nodes)
    apart = (of_b - of_a).square().mean(0).sqrt()
    left = (of_a @ canopy_table(0).to_b - of_b).square().mean(0).sqrt()
    assert left.max() < 7e-4
    red_edge = BANDS.index("B06")
    assert apart.argmax() == red_edge
    assert 0.002 < apart[red_edge] < 0.008
    assert left[red_edge] < apart[red_edge] / 10


@pytest.mark.parametrize("kind", ["water", "urban", "rock", "snow"])
def test_the_adjustment_does_no_harm_where_nothing_grows(kind):
    draws = Draws(4)
    ground = snow_bands(draws, 200) if kind == "snow" else ground_bands(draws, kind, 200)
    of_a, of_b = of_both(ground @ torch.from_numpy(bands_to_nodes()))
    assert (of_a @ canopy_table(0).to_b - of_b).square().mean(0).sqrt().max() < 1e-3


def test_satellites_alternate_and_a_place_has_one_orbit_every_five_days():
    passes = draw_passes(Draws(0), torch.arange(0, 400, 5.0).expand(600, -1))
    share = passes.from_b.float().mean(1)
    assert 0.1 < (share == 0).float().mean() < 0.2
    assert 0.05 < (share == 1).float().mean() < 0.15
    both = passes.from_b[(share > 0) & (share < 1)]
    assert (both[:, 1:] != both[:, :-1]).all()


def test_the_light_behind_the_satellite_is_brighter():
    sun, view = torch.tensor(math.radians(40.0)), torch.tensor(math.radians(10.0))
    behind, against = (torch.tensor(math.radians(a)) for a in (30.0, 150.0))
    for with_light, into_light in zip(kernels(sun, view, behind), kernels(sun, view, against)):
        assert with_light > into_light
    ross, li = kernels(sun * 0, sun * 0, behind)
    # Known values: both kernels vanish for sun and view from above.
    assert ross.item() == pytest.approx(0.0, abs=1e-6)
    assert li.item() == pytest.approx(0.0, abs=1e-6)


def test_directions_change_a_few_percent_and_depend_on_leaves():
    days = torch.arange(0, 1000, 2.5).floor().expand(300, -1)
    passes = draw_passes(Draws(1), days)
    only_a = Passes(torch.zeros_like(passes.from_b), passes.volume, passes.geometry)
    ground = torch.full((300, days.shape[1], 10), 0.2)
    bare, dense = (
        as_seen(ground, torch.full(days.shape, area), only_a) / ground for area in (0.0, 4.0)
    )
    for gain in (bare, dense):
        assert 0.01 < gain.std() < 0.05
        assert (gain - 1).abs().max() < 0.15
    assert not bare.allclose(dense, atol=0.002)
    # Two orbits see a place from two sides: what they see in turn differs in the same way.
    turn = dense[..., 6].diff(dim=1)
    assert (turn[:, 1:] * turn[:, :-1] < 0).float().mean() > 0.6


def test_neighbours_share_their_pass():
    passes = draw_passes(Draws(2), torch.arange(0, 100, 5.0).expand(2, -1))
    ground, lai = torch.full((6, 20, 10), 0.2), torch.ones(6, 20)
    seen = as_seen(ground, lai, passes, neighbours=3)
    assert seen[:3].equal(seen[:1].expand(3, -1, -1))
    assert not seen[0].equal(seen[3])
