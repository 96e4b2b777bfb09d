"""PROSPECT-D leaves and 4SAIL canopies, batched in PyTorch.

Written from the papers: PROSPECT-D, Feret et al. 2017 (doi:10.1016/j.rse.2017.03.004), with the
plate model of Jacquemoud and Baret 1990 and Stokes' pile of plates; 4SAIL, Verhoef et al. 2007
(doi:10.1109/TGRS.2006.887027); ellipsoidal leaf angles, Campbell 1990. The specific absorption
coefficients and refractive index are read at run time from the installed `prosail` package
(GPL-3.0); no file of it is copied and none of its code is run.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from alise_plugin.errors import AliseError
from training.simulation.bands import NODE_SPANS, NODES

_LEAF_ANGLES = np.arange(2.5, 90.0, 5.0)
_HOTSPOT_STEPS = 20


class CoefficientsMissingError(AliseError, RuntimeError):
    """The package `prosail`, whose table of absorption coefficients is read, is not installed."""


def _coefficient_file() -> Path:
    # find_spec does not run the package, which would need numba.
    spec = importlib.util.find_spec("prosail")
    if spec is None or not spec.submodule_search_locations:
        raise CoefficientsMissingError(
            "The simulator reads leaf absorption coefficients from the package prosail, which is "
            "not installed: run `pip install --no-deps prosail==2.0.5`."
        )
    return Path(next(iter(spec.submodule_search_locations))) / "prospect_d_spectra.txt"


@lru_cache(maxsize=8)
def leaf_coefficients(
    wavelengths: tuple[float, ...] = tuple(NODES), spans: tuple[float, ...] = tuple(NODE_SPANS)
) -> dict[str, np.ndarray]:
    """Refractive index `n` and absorption `cab car ant brown water dry` at `wavelengths` (nm).

    Each is the mean of the 1 nm table over `spans` (nm, full width) around the wavelength: the
    table is rough in the short-wave infrared, and single values would not stand for a band.

    Raises:
        CoefficientsMissingError: the package `prosail` is not installed.
    """
    table = np.loadtxt(_coefficient_file())
    names = ("n", "cab", "car", "ant", "brown", "water", "dry")
    offsets = np.linspace(-0.5, 0.5, 21)
    at = np.asarray(wavelengths)[:, None] + np.asarray(spans)[:, None] * offsets
    return {k: np.interp(at, table[:, 0], table[:, i + 1]).mean(1) for i, k in enumerate(names)}


def interface_transmittance(n: np.ndarray, angle: float) -> np.ndarray:
    """Mean transmittance into a dielectric of index `n` for incidence within `angle` degrees.

    The closed form of Stern 1964 (also Allen 1973), used by PROSPECT for 40 and 90 degrees.
    """
    n2 = n * n
    plus, minus = n2 + 1.0, n2 - 1.0
    a = (n + 1.0) ** 2 / 2.0
    k = -(minus**2) / 4.0
    sine2 = np.sin(np.radians(angle)) ** 2
    root = np.sqrt(np.maximum((sine2 - plus / 2.0) ** 2 + k, 0.0)) if angle < 90.0 else 0.0
    b = root - (sine2 - plus / 2.0)

    def antiderivative_s(x: np.ndarray) -> np.ndarray:
        return k**2 / (6.0 * x**3) + k / x - x / 2.0

    def line(x: np.ndarray) -> np.ndarray:
        return 2.0 * plus * x - minus**2

    perpendicular = antiderivative_s(b) - antiderivative_s(a)
    parallel = (
        -2.0 * n2 * (b - a) / plus**2
        - 2.0 * n2 * plus * np.log(b / a) / minus**2
        + n2 * (1.0 / b - 1.0 / a) / 2.0
        + 16.0 * n2**2 * (n2**2 + 1.0) * np.log(line(b) / line(a)) / (plus**3 * minus**2)
        + 16.0 * n2**3 * (1.0 / line(b) - 1.0 / line(a)) / plus**3
    )
    return (perpendicular + parallel) / (2.0 * sine2)


def exponential_integral(x: Tensor) -> Tensor:
    """E1(x) for x > 0: Abramowitz and Stegun 5.1.53 below 1 and 5.1.56 above (error < 1e-6)."""
    small = x.clamp(1e-9, 1.0)
    series = -0.57721566 + small * (
        0.99999193
        + small * (-0.24991055 + small * (0.05519968 + small * (-0.00976004 + small * 0.00107857)))
    )
    large = x.clamp_min(1.0)
    top = 0.2677737343 + large * (
        8.6347608925 + large * (18.0590169730 + large * (8.5733287401 + large))
    )
    bottom = 3.9584969228 + large * (
        21.0996530827 + large * (25.6329561486 + large * (9.5733223454 + large))
    )
    return torch.where(x < 1.0, series - small.log(), torch.exp(-large) * top / (bottom * large))


@dataclass
class Leaves:
    """Leaf traits, each a tensor (N,).

    Units: `structure` PROSPECT's N; `cab`, `car`, `ant` in micrograms per cm2; `brown` without
    unit; `water` in cm; `dry` in g per cm2.
    """

    structure: Tensor
    cab: Tensor
    car: Tensor
    ant: Tensor
    brown: Tensor
    water: Tensor
    dry: Tensor


@dataclass
class Geometry:
    """Sun zenith, view zenith and relative azimuth in degrees, each (N,)."""

    sun: Tensor
    view: Tensor
    azimuth: Tensor


class Prosail:
    """PROSPECT-D and 4SAIL at fixed wavelengths.

    Args:
        wavelengths: nm; by default the nodes of the Sentinel-2 bands.
        spans: nm around each wavelength over which its coefficients are averaged.
        device: torch device.
        dtype: float32 is enough for 1e-4 in reflectance.
    """

    def __init__(
        self,
        wavelengths: tuple[float, ...] = tuple(NODES),
        spans: tuple[float, ...] = tuple(NODE_SPANS),
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        table = leaf_coefficients(wavelengths, spans)

        def tensor(values: np.ndarray) -> Tensor:
            return torch.as_tensor(np.asarray(values), dtype=dtype, device=device)

        n = table["n"]
        isotropic = interface_transmittance(n, 90.0)
        self._enter_first = tensor(interface_transmittance(n, 40.0))
        self._enter = tensor(isotropic)
        self._leave = tensor(isotropic / n**2)
        # (6, W), in the order of `Leaves` after `structure`.
        names = ("cab", "car", "ant", "brown", "water", "dry")
        self._absorption = tensor(np.stack([table[k] for k in names]))
        angles = np.radians(_LEAF_ANGLES)
        self._cos_leaf = tensor(np.cos(angles))
        self._sin_leaf = tensor(np.sin(angles))
        self._angle_table = tensor(_angle_frequencies())
        steps = np.arange(1, _HOTSPOT_STEPS) / _HOTSPOT_STEPS
        self._steps = tensor(steps)

    def leaf(self, leaves: Leaves) -> tuple[Tensor, Tensor]:
        """Return leaf reflectance and transmittance, each (N, W)."""
        contents = torch.stack(
            [leaves.cab, leaves.car, leaves.ant, leaves.brown, leaves.water, leaves.dry], dim=1
        )
        k = (contents / leaves.structure[:, None]) @ self._absorption
        k = k.clamp_min(1e-6)
        through = (1.0 - k) * torch.exp(-k) + k * k * exponential_integral(k)
        inner = 1.0 - self._leave  # reflectance from inside
        multiple = through * self._leave / (1.0 - (inner * through) ** 2)
        t_first = self._enter_first * multiple
        r_first = 1.0 - self._enter_first + inner * through * t_first
        t = self._enter * multiple
        r = 1.0 - self._enter + inner * through * t
        # Pile of N - 1 plates (Stokes); the root vanishes where nothing is absorbed.
        root = ((1.0 + r + t) * (1.0 + r - t) * (1.0 - r + t) * (1.0 - r - t)).clamp_min(1e-9)
        root = root.sqrt()
        a = (1.0 + r * r - t * t + root) / (2.0 * r)
        b = (1.0 - r * r + t * t + root) / (2.0 * t)
        power = torch.exp(torch.log(b) * (leaves.structure[:, None] - 1.0))
        a2, power2 = a * a, power * power
        below = a2 * power2 - 1.0
        r_pile = a * (power2 - 1.0) / below
        t_pile = power * (a2 - 1.0) / below
        coupling = t_first / (1.0 - r_pile * r)
        return r_first + coupling * r_pile * t, coupling * t_pile

    def canopy(
        self,
        leaf_reflectance: Tensor,
        leaf_transmittance: Tensor,
        lai: Tensor,
        leaf_angle: Tensor,
        hotspot: Tensor,
        geometry: Geometry,
        background: Tensor,
    ) -> Tensor:
        """Return bidirectional reflectance factor (N, W) of a canopy over a Lambertian background.

        Args:
            leaf_reflectance: (N, W).
            leaf_transmittance: (N, W).
            lai: (N,) m2 per m2; 0 gives the background back.
            leaf_angle: (N,) mean leaf inclination in degrees, 20 to 80.
            hotspot: (N,) leaf size over canopy height, > 0.
            geometry: sun and view.
            background: (N, W) reflectance of the ground.
        """
        lai = lai.clamp_min(1e-3)
        ks, ko, back, forward, bf, distance = self._geometry(leaf_angle, geometry)
        sun_gap, view_gap = torch.exp(-ks * lai), torch.exp(-ko * lai)
        both_gap, single = self._hotspot(ks, ko, lai, hotspot, distance)

        def column(x: Tensor) -> Tensor:
            return x[:, None]

        rho, tau = leaf_reflectance, leaf_transmittance
        mean, half = rho + tau, rho - tau
        bf_ = column(bf)
        sigma_b = 0.5 * (mean + bf_ * half)
        sigma_f = 0.5 * (mean - bf_ * half)
        s_b = 0.5 * (column(ks) * mean + bf_ * half)
        s_f = 0.5 * (column(ks) * mean - bf_ * half)
        v_b = 0.5 * (column(ko) * mean + bf_ * half)
        v_f = 0.5 * (column(ko) * mean - bf_ * half)
        w = column(back) * rho + column(forward) * tau
        att = 1.0 - sigma_f
        m = ((att + sigma_b) * (att - sigma_b)).clamp_min(1e-8).sqrt()
        lai_, ks_, ko_ = column(lai), column(ks), column(ko)
        e1 = torch.exp(-m * lai_)
        r_inf = (att - m) / sigma_b
        r_inf2 = r_inf * r_inf
        re = r_inf * e1
        denominator = 1.0 - re * re
        tss, too = column(sun_gap), column(view_gap)
        j1s, j1o = _j1(ks_, m, lai_, tss, e1), _j1(ko_, m, lai_, too, e1)
        j2s, j2o = (1.0 - tss * e1) / (ks_ + m), (1.0 - too * e1) / (ko_ + m)
        s_up, s_down = s_f * r_inf + s_b, s_f + s_b * r_inf
        v_up, v_down = v_f * r_inf + v_b, v_f + v_b * r_inf
        ps, qs, pv, qv = s_down * j1s, s_up * j2s, v_down * j1o, v_up * j2o
        rdd = r_inf * (1.0 - e1 * e1) / denominator
        tsd = (ps - re * qs) / denominator
        tdo = (pv - re * qv) / denominator
        rdo = (qv - re * pv) / denominator
        z = column((1.0 - sun_gap * view_gap) / (ks + ko))
        g1, g2 = (z - j1s * too) / (ko_ + m), (z - j1o * tss) / (ks_ + m)
        multiple = v_up * g1 * s_down + v_down * g2 * s_up - (rdo * qs + tdo * ps) * r_inf
        rso = w * column(lai * single) + multiple / (1.0 - r_inf2)
        ground = ((tss + tsd) * tdo + (tsd + tss * background * rdd) * too) / (
            1.0 - background * rdd
        )
        return rso + (column(both_gap) + ground) * background

    def _geometry(self, leaf_angle: Tensor, geometry: Geometry) -> tuple[Tensor, ...]:
        """Return extinctions, bidirectional scattering weights and hot-spot distance, each (N,)."""
        to_rad = torch.pi / 180.0
        sun, view = geometry.sun * to_rad, geometry.view * to_rad
        azimuth = (geometry.azimuth % 360.0) * to_rad
        azimuth = torch.where(azimuth > torch.pi, 2.0 * torch.pi - azimuth, azimuth)
        cts, cto = torch.cos(sun), torch.cos(view)
        tan_s, tan_o = torch.tan(sun), torch.tan(view)
        cos_az = torch.cos(azimuth)
        distance = (tan_s**2 + tan_o**2 - 2.0 * tan_s * tan_o * cos_az).clamp_min(0.0).sqrt()
        # Leaf angle frequencies between whole degrees of the table.
        at = (leaf_angle.clamp(10.0, 85.0) - 10.0).clamp_max(74.999)
        lower = at.long()
        part = (at - lower)[:, None]
        frequency = self._angle_table[lower] * (1 - part) + self._angle_table[lower + 1] * part
        cl, sl = self._cos_leaf, self._sin_leaf
        cs, ss = cts[:, None] * cl, torch.sin(sun)[:, None] * sl
        co, so = cto[:, None] * cl, torch.sin(view)[:, None] * sl
        cos_bs, cos_bo = -cs / ss.clamp_min(1e-6), -co / so.clamp_min(1e-6)
        bs, bo = torch.acos(cos_bs.clamp(-1.0, 1.0)), torch.acos(cos_bo.clamp(-1.0, 1.0))
        ds, do = torch.where(cos_bs > -1.0, ss, cs), torch.where(cos_bo > -1.0, so, co)
        half = torch.pi / 2.0
        chi_s = ((bs - half) * cs + torch.sin(bs) * ss) / half
        chi_o = ((bo - half) * co + torch.sin(bo) * so) / half
        near = (bs - bo).abs()
        far = torch.pi - (bs + bo - torch.pi).abs()
        psi = azimuth[:, None].expand_as(near)
        # The three angles in ascending order; near <= far always.
        b1 = torch.minimum(psi, near)
        b3 = torch.maximum(psi, far)
        b2 = psi + near + far - b1 - b3
        t1 = 2.0 * cs * co + ss * so * cos_az[:, None]
        t2 = torch.sin(b2) * (2.0 * ds * do + ss * so * torch.cos(b1) * torch.cos(b3))
        scale = 2.0 * torch.pi**2
        f_rho = (((torch.pi - b2) * t1 + t2) / scale).clamp_min(0.0)
        f_tau = ((-b2 * t1 + t2) / scale).clamp_min(0.0)
        ks = (frequency * chi_s).sum(1) / cts
        ko = (frequency * chi_o).sum(1) / cto
        bf = (frequency * cl**2).sum(1)
        back = (frequency * f_rho).sum(1) * torch.pi / (cts * cto)
        forward = (frequency * f_tau).sum(1) * torch.pi / (cts * cto)
        return ks, ko, back, forward, bf, distance

    def _hotspot(
        self, ks: Tensor, ko: Tensor, lai: Tensor, size: Tensor, distance: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return bidirectional gap fraction and the mean of it over depth (Kuusk's hot spot)."""
        alpha = (distance / size.clamp_min(1e-3) * 2.0 / (ks + ko)).clamp(1e-3, 200.0)[:, None]
        # Depths closer together near the top, where the overlap changes fastest.
        x = -torch.log1p(self._steps * torch.expm1(-alpha)) / alpha
        x = torch.cat([torch.zeros_like(alpha), x, torch.ones_like(alpha)], dim=1)
        overlap = (lai * (ks * ko).sqrt())[:, None]
        y = -((ks + ko) * lai)[:, None] * x - overlap * torch.expm1(-alpha * x) / alpha
        f = torch.exp(y)
        dy = y[:, 1:] - y[:, :-1]
        slope = torch.where(dy.abs() > 1e-4, torch.expm1(dy) / dy, 1.0 + 0.5 * dy)
        single = (f[:, :-1] * slope * (x[:, 1:] - x[:, :-1])).sum(1)
        return f[:, -1], single


def _j1(k: Tensor, m: Tensor, lai: Tensor, exp_k: Tensor, exp_m: Tensor) -> Tensor:
    """Return integral of exp(-k x) exp(-m (lai - x)) over depth, safe where k = m."""
    difference = (k - m) * lai
    close = difference.abs() < 1e-3
    limit = 0.5 * lai * (exp_k + exp_m) * (1.0 - difference * difference / 12.0)
    safe = torch.where(close, torch.ones_like(difference), k - m)
    return torch.where(close, limit, (exp_m - exp_k) / safe)


@lru_cache(maxsize=1)
def _angle_frequencies() -> np.ndarray:
    """Return Campbell's ellipsoidal frequencies (76, 18) for mean angles of 10 to 85 degrees."""
    edges = np.radians(np.arange(0.0, 90.1, 5.0))
    rows = []
    for mean in np.arange(10.0, 86.0):
        excent = np.exp(-1.6184e-5 * mean**3 + 2.1145e-3 * mean**2 - 1.2390e-1 * mean + 3.2491)
        x = excent / np.sqrt(1.0 + excent**2 * np.tan(edges.clip(0, np.pi / 2 - 1e-12)) ** 2)
        if abs(excent - 1.0) < 1e-6:
            cumulative = np.cos(edges)
        elif excent > 1.0:
            alpha2 = excent**2 / abs(1.0 - excent**2)
            root = np.sqrt(alpha2 + x**2)
            cumulative = x * root + alpha2 * np.log(x + root)
        else:
            alpha2 = excent**2 / abs(1.0 - excent**2)
            root = np.sqrt(alpha2 - x**2)
            cumulative = x * root + alpha2 * np.arcsin(x / np.sqrt(alpha2))
        frequency = np.abs(np.diff(cumulative))
        rows.append(frequency / frequency.sum())
    return np.stack(rows)
