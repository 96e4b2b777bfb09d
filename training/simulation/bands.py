"""The ten Sentinel-2 bands of the model as weights over a few wavelengths.

A full-resolution spectrum has 2,101 values, of which the bands need few. Each band but B12 has a
few Gauss nodes, and the weights of both satellites on the same nodes reproduce the moments of
their responses; B12 is cut into tiles. Against 1 nm spectra of PROSAIL the error is below 1e-3 on
average and at most 1.1e-3 (tests/training/test_simulation_prosail.py).
"""

from __future__ import annotations

import numpy as np

# Centre and full width at half maximum in nm: ESA, Sentinel-2 MSI technical guide.
CENTRE_A = (492.4, 559.8, 664.6, 704.1, 740.5, 782.8, 832.8, 864.7, 1613.7, 2202.4)
WIDTH_A = (66.0, 36.0, 31.0, 15.0, 15.0, 20.0, 106.0, 21.0, 91.0, 175.0)
CENTRE_B = (492.1, 559.0, 664.9, 703.8, 739.1, 779.7, 832.9, 864.0, 1610.4, 2185.7)
WIDTH_B = (66.0, 36.0, 31.0, 16.0, 15.0, 20.0, 106.0, 22.0, 94.0, 185.0)

# The first nine bands; B12 has tiles instead.
_GAUSS_NODES = (5, 3, 3, 2, 2, 3, 3, 2, 4)
_TILE_EDGES = np.linspace(2085.0, 2312.0, 9)
_FINE = np.arange(400.0, 2501.0)


def response(centre: float, width: float, wavelength: np.ndarray) -> np.ndarray:
    """Relative response at `wavelength` (nm): a flat top with steep sides, as MSI's filters are."""
    return np.exp(-np.log(2.0) * np.abs(2.0 * (wavelength - centre) / width) ** 8)


def _moments(centre: float, width: float, origin: float, unit: float, count: int) -> np.ndarray:
    weight = response(centre, width, _FINE)
    weight = weight / weight.sum()
    at = (_FINE - origin) / unit
    return np.array([(weight * at**power).sum() for power in range(count)])


def _gauss_nodes(band: int) -> np.ndarray:
    """Return Gauss-Legendre nodes of a box that is as wide as the band."""
    centre = (CENTRE_A[band] + CENTRE_B[band]) / 2.0
    unit = (WIDTH_A[band] + WIDTH_B[band]) / 4.0
    return centre + unit * np.polynomial.legendre.leggauss(_GAUSS_NODES[band])[0]


_BY_BAND = [_gauss_nodes(band) for band in range(9)]
_BY_BAND.append((_TILE_EDGES[1:] + _TILE_EDGES[:-1]) / 2.0)
NODES = np.concatenate(_BY_BAND)
# nm around a node over which absorption is averaged: a tile in B12, where the tables are rough
# and a single value does not stand for its surroundings.
NODE_SPANS = np.concatenate([np.zeros(sum(_GAUSS_NODES)), np.diff(_TILE_EDGES)])


def band_weights(satellite: str = "A") -> np.ndarray:
    """Return weights (nodes, 10) that take reflectance at `NODES` to the ten bands.

    Args:
        satellite: "A" or "B".
    """
    centres, widths = (CENTRE_A, WIDTH_A) if satellite == "A" else (CENTRE_B, WIDTH_B)
    weights = np.zeros((len(NODES), 10))
    start = 0
    for band, nodes in enumerate(_BY_BAND):
        stop = start + len(nodes)
        if band < 9:
            origin, unit = nodes.mean(), widths[band] / 2.0
            powers = np.vander((nodes - origin) / unit, increasing=True).T
            moments = _moments(centres[band], widths[band], origin, unit, len(nodes))
            weights[start:stop, band] = np.linalg.solve(powers, moments)
        else:
            shares = np.histogram(
                _FINE, _TILE_EDGES, weights=response(centres[band], widths[band], _FINE)
            )[0]
            weights[start:stop, band] = shares / shares.sum()
        start = stop
    return weights.astype(np.float32)


def bands_to_nodes() -> np.ndarray:
    """Return matrix (10, nodes): linear interpolation of a smooth band spectrum to the nodes."""
    centres = np.array(CENTRE_A)
    return np.stack([np.interp(NODES, centres, row) for row in np.eye(10)]).astype(np.float32)
