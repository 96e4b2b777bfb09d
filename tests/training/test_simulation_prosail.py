import importlib
import importlib.util
import sys
import types

import numpy as np
import pytest
import torch

from alise_plugin.errors import AliseError
from training.simulation.bands import (
    CENTRE_A,
    CENTRE_B,
    NODES,
    WIDTH_A,
    WIDTH_B,
    band_weights,
    response,
)
from training.simulation.prosail import (
    Geometry,
    Leaves,
    Prosail,
    exponential_integral,
    leaf_coefficients,
)

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("prosail") is None, reason="the package prosail is not installed"
)


def test_a_missing_package_is_said_in_one_sentence(monkeypatch):
    leaf_coefficients.cache_clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(AliseError, match="pip install --no-deps prosail"):
        Prosail()


@pytest.fixture(scope="module")
def reference():
    """The package prosail, with a stand-in for numba, which only makes it faster."""
    had_numba = importlib.util.find_spec("numba") is not None
    if not had_numba:
        stub = types.ModuleType("numba")
        stub.jit = lambda *args, **kwargs: lambda function: function
        sys.modules["numba"] = stub
    try:
        yield importlib.import_module("prosail")
    finally:
        if not had_numba:
            del sys.modules["numba"]


def draw(n, rng):
    leaves = {
        "structure": rng.uniform(1.0, 2.8, n),
        "cab": rng.uniform(0, 80, n),
        "car": rng.uniform(0, 20, n),
        "ant": rng.uniform(0, 5, n),
        "brown": rng.uniform(0, 1, n),
        "water": rng.uniform(0.001, 0.04, n),
        "dry": rng.uniform(0.002, 0.02, n),
    }
    geometry = {
        "sun": rng.uniform(15, 70, n),
        "view": rng.uniform(0, 12, n),
        # The reference does not fold azimuths beyond 180 degrees back, which 4SAIL asks for.
        "azimuth": rng.uniform(0, 180, n),
    }
    canopy = {
        "lai": rng.uniform(0.05, 7, n),
        "leaf_angle": rng.uniform(25, 75, n),
        "hotspot": rng.uniform(0.01, 0.5, n),
    }
    return leaves, geometry, canopy


def tensors(values):
    return {k: torch.tensor(v, dtype=torch.float32) for k, v in values.items()}


@pytest.mark.parametrize("satellite", ["A", "B"])
def test_band_reflectance_agrees_with_the_reference_implementation(reference, satellite):
    rng = np.random.default_rng(5)
    n = 40
    leaves, geometry, canopy = draw(n, rng)
    ours = Prosail()
    rho, tau = ours.leaf(Leaves(**tensors(leaves)))
    wet_dry = reference.spectral_lib.soil
    moisture = rng.uniform(0, 1, n)
    soil = np.outer(moisture, wet_dry.rsoil1) + np.outer(1 - moisture, wet_dry.rsoil2)
    soil_nodes = np.stack([np.interp(NODES, np.arange(400, 2501), row) for row in soil])
    got = ours.canopy(
        rho, tau, geometry=Geometry(**tensors(geometry)),
        background=torch.tensor(soil_nodes, dtype=torch.float32), **tensors(canopy),
    )  # fmt: skip
    got = got.numpy() @ band_weights(satellite)
    centres, widths = (CENTRE_A, WIDTH_A) if satellite == "A" else (CENTRE_B, WIDTH_B)
    fine = np.arange(400.0, 2501.0)
    for i in range(n):
        spectrum = reference.run_prosail(
            leaves["structure"][i], leaves["cab"][i], leaves["car"][i], leaves["brown"][i],
            leaves["water"][i], leaves["dry"][i], canopy["lai"][i], canopy["leaf_angle"][i],
            canopy["hotspot"][i], geometry["sun"][i], geometry["view"][i],
            geometry["azimuth"][i], ant=leaves["ant"][i], prospect_version="D", rsoil0=soil[i],
        )  # fmt: skip
        for b, (centre, width) in enumerate(zip(centres, widths)):
            weight = response(centre, width, fine)
            expected = (spectrum * weight).sum() / weight.sum()
            assert abs(expected - got[i, b]) < 1e-3, (i, b, expected, got[i, b])


def test_leaves_and_canopies_conserve_energy():
    rng = np.random.default_rng(1)
    leaves, geometry, canopy = draw(2000, rng)
    model = Prosail()
    rho, tau = model.leaf(Leaves(**tensors(leaves)))
    assert torch.isfinite(rho).all()
    assert (rho > 0).all()
    assert (tau > 0).all()
    assert (rho + tau < 1).all()
    background = torch.rand(2000, rho.shape[1]) * 0.5
    top = model.canopy(
        rho, tau, geometry=Geometry(**tensors(geometry)), background=background, **tensors(canopy)
    )
    assert (top > 0).all()
    assert (top < 1).all()


def test_without_leaves_the_ground_shows():
    leaves, geometry, canopy = draw(50, np.random.default_rng(2))
    model = Prosail()
    rho, tau = model.leaf(Leaves(**tensors(leaves)))
    background = torch.rand(50, rho.shape[1]) * 0.5
    canopy["lai"] = np.zeros(50)
    top = model.canopy(
        rho, tau, geometry=Geometry(**tensors(geometry)), background=background, **tensors(canopy)
    )
    assert (top - background).abs().max() < 2e-3


def test_exponential_integral():
    special = pytest.importorskip("scipy.special")
    x = np.geomspace(1e-5, 20, 300)
    got = exponential_integral(torch.tensor(x)).numpy()
    assert np.abs(got - special.exp1(x)).max() < 1e-6


def test_azimuth_is_symmetric():
    leaves, geometry, canopy = draw(50, np.random.default_rng(3))
    model = Prosail()
    rho, tau = model.leaf(Leaves(**tensors(leaves)))
    ground = torch.full((50, rho.shape[1]), 0.2)
    there = model.canopy(
        rho, tau, geometry=Geometry(**tensors(geometry)), background=ground, **tensors(canopy)
    )
    geometry["azimuth"] = 360.0 - geometry["azimuth"]
    back = model.canopy(
        rho, tau, geometry=Geometry(**tensors(geometry)), background=ground, **tensors(canopy)
    )
    assert torch.allclose(there, back, atol=1e-5)
