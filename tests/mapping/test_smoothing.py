import numpy as np
import pytest
from osgeo import osr

from alise_plugin.mapping.maps.smoothing import bayes, majority
from alise_plugin.sits.grid import Grid, Window
from alise_plugin.sits.pixel_area import PixelAreas


def probabilities(rng, count=4, height=17, width=13, holes=True):
    raw = rng.dirichlet(np.ones(count) * 0.5, (height, width)).transpose(2, 0, 1)
    raw = raw.astype(np.float32)
    if holes:
        raw[:, 3:6, 4:9] = np.nan
    return raw


def plain_bayes(raw, window, fraction, smoothness):
    """The formula of Camara et al. (2024), pixel by pixel."""
    half = window // 2
    clipped = np.clip(raw.astype(float), 1e-4, 1 - 1e-4)
    logits = np.log(clipped / (1 - clipped))
    out = np.full(raw.shape, np.nan)
    count, height, width = raw.shape
    for row in range(height):
        for col in range(width):
            if np.isnan(raw[0, row, col]):
                continue
            for kind in range(count):
                near = logits[
                    kind,
                    max(0, row - half) : row + half + 1,
                    max(0, col - half) : col + half + 1,
                ]
                near = np.sort(near[np.isfinite(near)])[::-1]
                near = near[: int(np.ceil(fraction * len(near)))]
                mean = near.mean()
                variance = near.var(ddof=1) if len(near) > 1 else 0.0
                x = logits[kind, row, col]
                value = (variance * x + smoothness * mean) / (variance + smoothness)
                out[kind, row, col] = 1 / (1 + np.exp(-value))
    return out / out.sum(0)


@pytest.mark.parametrize(
    ("window", "fraction", "smoothness"), [(3, 0.5, 10), (7, 0.3, 40), (5, 1, 1)]
)
def test_bayes_is_what_the_formula_says(rng, window, fraction, smoothness):
    raw = probabilities(rng)
    got = bayes(raw, window, fraction, smoothness)
    np.testing.assert_allclose(got, plain_bayes(raw, window, fraction, smoothness), atol=1e-5)


def test_bayes_in_strips_is_bayes_at_once(rng, monkeypatch):
    from alise_plugin.mapping.maps import smoothing as module

    raw = probabilities(rng, height=40)
    whole = bayes(raw, 5, 0.5, 20)
    monkeypatch.setattr(module, "_ROWS_BYTES", 1.0)
    np.testing.assert_array_equal(bayes(raw, 5, 0.5, 20), whole)


def test_majority_counts_neighbours(rng):
    classes = rng.integers(-1, 4, (19, 23)).astype(np.int32)
    got = majority(classes, 4, 5)
    for row in range(19):
        for col in range(23):
            near = classes[max(0, row - 2) : row + 3, max(0, col - 2) : col + 3]
            counts = np.bincount(near[near >= 0], minlength=4)
            own = classes[row, col]
            if own < 0:
                assert got[row, col] == -1
            elif counts[own] == counts.max():
                assert got[row, col] == own
            else:
                assert counts[got[row, col]] == counts.max()


def grid(epsg, corner, size, width=40, height=50):
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(epsg)
    transform = (corner[0], size, 0.0, corner[1], 0.0, -size)
    return Grid(reference.ExportToWkt(), transform, width, height)


def test_areas_of_longitude_and_latitude():
    """One degree of latitude by one of longitude, against the closed form on the ellipsoid."""
    areas = PixelAreas(grid(4326, (10.0, 46.0), 0.0025, 400, 400)).of(Window(0, 0, 400, 400))
    a, f = 6378137.0, 1 / 298.257223563
    e = np.sqrt(f * (2 - f))

    def zone(degrees):
        s = np.sin(np.radians(degrees))
        part = s / (1 - (e * s) ** 2) + np.arctanh(e * s) / e
        return np.pi * a**2 * (1 - e**2) * part / 360

    assert areas.sum() == pytest.approx(zone(46.0) - zone(45.0), rel=1e-6)
    assert areas[0, 0] < areas[-1, 0]


def test_areas_of_projections():
    # Equal-area: the pixel is what it says.
    assert PixelAreas(grid(3035, (4e6, 3e6), 10.0)).of(Window(3, 5, 9, 7)) == pytest.approx(
        np.full((7, 9), 100.0), rel=2e-6
    )
    # UTM on its central meridian: 1 / 0.9996^2 too large on the map.
    assert PixelAreas(grid(32631, (500_000, 5e6), 10.0)).mean() == pytest.approx(
        100 / 0.9996**2, rel=1e-5
    )
    # Feet.
    assert PixelAreas(grid(2264, (2e6, 6e5), 10.0)).mean() == pytest.approx(9.29, rel=1e-3)
    # Web Mercator at 60 degrees north: four times too large on the map.
    assert PixelAreas(grid(3857, (0.0, 8399737.9), 10.0)).mean() == pytest.approx(25.0, rel=0.01)


def test_windows_agree_on_a_pixel():
    areas = PixelAreas(grid(4326, (179.9, 60.0), 0.01))  # over the 180th meridian
    whole = areas.of(Window(0, 0, 40, 50))
    np.testing.assert_allclose(areas.of(Window(7, 21, 20, 19)), whole[21:40, 7:27], rtol=1e-9)
    assert whole.std() / whole.mean() < 0.01
