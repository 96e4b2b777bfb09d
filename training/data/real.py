"""Real series as batches for pre-training, with whole sites held out by name.

Only what the index of the data folder marks `train` is read, never `evaluation`; the folder stands
beside the repository (`../shared/data`). Central Asia is top of atmosphere and is left out.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from alise_plugin.errors import AliseError
from alise_plugin.sentinel2 import BANDS
from alise_plugin.sits.acquisitions import days_since_reference
from training.simulation.dataset import require_positive

from .screen import doubtful, ground_in_sight

DATA_FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "data"
# A field mean with more cloud than this is not the field's.
LARGEST_CLOUD = 0.1
LEAST_DATES = 4
YEAR_DAYS = 365.25
LAST_YEAR = 2040


class DataMissingError(AliseError):
    """The folder of real series is not there, or nothing in it may be used."""


@dataclass(frozen=True)
class Site:
    """One place, all its acquisitions in memory.

    Attributes:
        name: of the site, as in the index.
        kind: "image" or "fields".
        dn: uint16 (T, C, H, W), DN = reflectance x 10^4, 0 where there is no value.
        planes: the C places in BANDS.
        clear: bool (T, H, W), ground without clouds and snow (`screen.ground_in_sight`).
        days: float32 (T,) since 2014-03-03, ascending.
        pixels: int64 (N, 2), the places (row, column) with at least four observations.
        metres: side of a pixel.
    """

    name: str
    kind: str
    dn: np.ndarray
    planes: tuple[int, ...]
    clear: np.ndarray
    days: np.ndarray
    pixels: np.ndarray
    metres: int


def _site(
    name: str, kind: str, dn: np.ndarray, planes: Sequence[int], clear: np.ndarray,
    dates: np.ndarray, metres: int, scl: np.ndarray | None = None,
) -> Site:  # fmt: skip
    days = days_since_reference([date.fromisoformat(str(day)[:10]) for day in dates])
    order = np.argsort(days, kind="stable")
    dn = dn[order][:, list(planes)]
    ground = ground_in_sight(
        _reflectance(dn, planes), clear[order], None if scl is None else scl[order]
    )
    pixels = np.argwhere((dn > 0).any(1).sum(0) >= LEAST_DATES)
    return Site(name, kind, dn, tuple(planes), ground, days[order], pixels, metres)


def _reflectance(dn: np.ndarray, planes: Sequence[int]) -> np.ndarray:
    """Return reflectance `(T, 10, H, W)` of DN `(T, C, H, W)`, NaN where there is no value."""
    reflectance = np.full((len(dn), len(BANDS), *dn.shape[2:]), np.nan, np.float32)
    reflectance[:, list(planes)] = np.where(dn > 0, dn / np.float32(10000.0), np.nan)
    return reflectance


def screened(site: Site) -> Site:
    """Return the same site, but what its neighbours in time contradict is not clear."""
    reflectance = _reflectance(site.dn, site.planes)
    return replace(site, clear=site.clear & ~doubtful(reflectance, site.clear, site.days))


@lru_cache(maxsize=4)
def read_sites(data: Path = DATA_FOLDER, exclude: tuple[str, ...] = ()) -> tuple[Site, ...]:
    """Return every site that may train a model.

    Args:
        data: the folder with `index.json`.
        exclude: names of sites to hold out; `bavaria` is the field series.

    Raises:
        DataMissingError: there is no such folder, a name is not in it, or nothing is left.
    """
    try:
        index = json.loads((data / "index.json").read_text(encoding="utf-8"))
        usable = [entry for entry in index if entry["use"] == "train"]
        files = [entry["file"] for entry in usable if entry["site"] not in exclude]
    except OSError as error:
        raise DataMissingError(
            f"No index of real series at {data / 'index.json'}: give the folder that holds it."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataMissingError(
            f"{data / 'index.json'} is no index of real series ({type(error).__name__}: {error})."
        ) from error
    if absent := [file for file in files if not (data / file).is_file()]:
        raise DataMissingError(
            f"{data} lacks {', '.join(absent[:3])}, which its index.json names: get it again."
        )
    unknown = set(exclude) - {entry["site"] for entry in usable}
    if unknown:
        raise DataMissingError(
            f"{data / 'index.json'} has no training site {', '.join(sorted(unknown))} to exclude: "
            "correct the name."
        )
    sites: list[Site] = []
    for entry in usable:
        if entry["site"] in exclude:
            continue
        planes = [BANDS.index(band) for band in entry["bands"]]
        metres = 20 if "20 m" in entry.get("extra", "") else 10
        with np.load(data / entry["file"]) as file:
            if "offset" in file:
                sites += _fields(file, entry["site"], planes)
                continue
            scl = file.get("scl")
            sites.append(
                _site(
                    entry["site"], "image", file["reflectance"], planes, file["clear"],
                    file["dates"], metres, scl,
                )
            )  # fmt: skip
    sites = [site for site in sites if len(site.pixels)]
    if not sites:
        raise DataMissingError(f"No series is left in {data}: exclude fewer sites.")
    return tuple(sites)


def _fields(file: np.lib.npyio.NpzFile, name: str, planes: Sequence[int]) -> list[Site]:
    """Return ragged field means as sites of one pixel."""
    reflectance, cloud, dates = file["reflectance"], file["cloud"], file["dates"]
    found = []
    for start, stop in itertools.pairwise(file["offset"].tolist()):
        clear = cloud[start:stop] <= LARGEST_CLOUD
        found.append(
            _site(
                name, "fields", reflectance[start:stop, :, None, None], planes,
                clear[:, None, None], dates[start:stop], 10,
            )
        )  # fmt: skip
    return found


class RealSeries(IterableDataset[dict[str, Tensor]]):
    """Endless batches of real series, in the form of the simulated ones.

    Args:
        seed: of the stream.
        batch_size: B.
        dates: T; longer series are cut or thinned, shorter ones padded.
        size: H = W in pixels; 1 for single pixels.
        data: the folder with `index.json`.
        exclude: names of sites that are held out.
        sources: kinds to read: "image" and, for single pixels, "fields".
        most_sites: read at most so many of these sites, always the same ones, and with a larger
            number those and others; all by default.
        least_dates: read only sites with so many acquisitions, as those with every cloud have.
        shift_years: move each series by whole years, within 2015 to 2040, so that a model does not
            take the year for the season's weather.
        only_clear: share of the series of which only clear dates are kept, as filtered cubes are.
        screen: do not take for clear what the dates around contradict (`screen.doubtful`).
        gain: standard deviation of the logarithm of a factor on all bands of a series, as if the
            field beside were seen; each band has one of half that besides.
        shift_days: move each series by up to so many days, as an early or late season does.
        mix: share of the single pixels that are blended with another one of their site, as pixels
            on a border are.

    Raises:
        DataMissingError: as `read_sites`.
        ValueError: a size of the batches or `most_sites` is not positive.
    """

    def __init__(
        self,
        seed: int,
        batch_size: int = 512,
        dates: int = 48,
        size: int = 1,
        data: str | Path = DATA_FOLDER,
        exclude: Sequence[str] = (),
        sources: Sequence[str] = ("image", "fields"),
        most_sites: int | None = None,
        least_dates: int = LEAST_DATES,
        shift_years: bool = True,
        only_clear: float = 0.2,
        screen: bool = False,
        gain: float = 0.0,
        shift_days: float = 0.0,
        mix: float = 0.0,
    ) -> None:
        if most_sites is not None and most_sites < 1:
            raise ValueError(f"most_sites is {most_sites}; at least one site is needed")
        require_positive(batch_size=batch_size, dates=dates, size=size)
        self.seed = seed
        self.batch_size = batch_size
        self.dates = dates
        self.size = size
        self.shift_years = shift_years
        self.only_clear = only_clear
        self.gain = gain
        self.shift_days = shift_days
        self.mix = mix
        sites = [s for s in read_sites(Path(data), tuple(exclude)) if s.kind in sources]
        if size > 1:
            # A patch of one pixel, or of pixels of another size, teaches nothing about space.
            sites = [s for s in sites if s.kind == "image" and s.metres == 10]
        sites = [s for s in sites if len(s.days) >= least_dates]
        if not sites:
            kinds = ", ".join(sources)
            raise DataMissingError(
                f"No real series of the kinds {kinds}, {least_dates} dates, left."
            )
        if most_sites is not None:
            sites = [sites[place] for place in np.random.default_rng(0).permutation(len(sites))]
            sites = sites[:most_sites]
        self.sites = tuple(screened(site) for site in sites) if screen else tuple(sites)
        # Long series of large places come oftener, but do not drown the small ones.
        weight = np.array([len(s.days) * np.sqrt(len(s.pixels)) for s in sites]) ** 0.5
        is_field = np.array([s.kind == "fields" for s in sites])
        if is_field.any() and not is_field.all():
            # The fields are one farm region: together a quarter of what is drawn.
            weight[is_field] *= weight[~is_field].sum() / (3.0 * weight[is_field].sum())
        self.weight = weight / weight.sum()

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        worker = get_worker_info()
        first, step = (worker.id, worker.num_workers) if worker else (0, 1)
        for number in itertools.count(first, step):
            rng = np.random.default_rng((self.seed, number))
            picks = rng.choice(len(self.sites), self.batch_size, p=self.weight)
            series = [self._series(self.sites[pick], rng) for pick in picks]
            yield {key: torch.from_numpy(np.stack([s[key] for s in series])) for key in series[0]}

    def _series(self, site: Site, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Return one series, as the batch without its first axis."""
        size = self.size
        row, column = site.pixels[rng.integers(len(site.pixels))]
        height, width = site.clear.shape[1:]
        # The window lies anywhere around that pixel, inside the site if the site is large enough.
        top = int(np.clip(row - rng.integers(size), 0, max(0, height - size)))
        left = int(np.clip(column - rng.integers(size), 0, max(0, width - size)))
        place = (slice(top, top + size), slice(left, left + size))
        dn, clear = site.dn[(..., *place)], site.clear[(..., *place)]
        if size == 1 and self.mix and rng.random() < self.mix:
            dn, clear = self._blend(site, dn, clear, rng)
        shown = (dn > 0).any(1)
        # An acquisition without a value here is none.
        held = np.flatnonzero(shown.any((1, 2)))
        if rng.random() < self.only_clear:
            free = held[clear[held].sum((1, 2)) >= 0.9 * shown[held].sum((1, 2))]
            held = free if len(free) >= LEAST_DATES else held
        held = self._thin(held, rng)
        count = len(held)
        reflectance = np.full((self.dates, len(BANDS), size, size), np.nan, np.float32)
        observed = np.zeros((self.dates, size, size), bool)
        marked = np.zeros_like(observed)
        rows, columns = dn.shape[2:]
        values = dn[held].astype(np.float32) / 10000.0
        values[values == 0] = np.nan
        if self.gain:
            logarithm = rng.normal(0, self.gain) + rng.normal(0, self.gain / 2, values.shape[1])
            values *= np.exp(logarithm).astype(np.float32)[:, None, None]
        reflectance[:count, list(site.planes), :rows, :columns] = values
        observed[:count, :rows, :columns] = shown[held]
        marked[:count, :rows, :columns] = clear[held]
        days = np.full(self.dates, site.days[held[-1]], np.float32)
        days[:count] = site.days[held]
        if self.shift_years:
            last = days_since_reference([date(LAST_YEAR, 12, 31)])[0]
            least = np.ceil((days_since_reference([date(2015, 1, 1)])[0] - days[0]) / YEAR_DAYS)
            most = np.floor((last - days[-1]) / YEAR_DAYS)
            days = np.floor(days + rng.integers(int(least), int(most) + 1) * YEAR_DAYS)
        if self.shift_days:
            days += np.round(rng.uniform(-self.shift_days, self.shift_days))
        return {
            "reflectance": reflectance,
            "days": days.astype(np.float32),
            "observed": observed,
            "clear": marked,
        }

    def _blend(
        self, site: Site, dn: np.ndarray, clear: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return a random blend of a pixel with another of its site that shares enough dates."""
        row, column = site.pixels[rng.integers(len(site.pixels))]
        other = site.dn[:, :, row : row + 1, column : column + 1]
        both = (dn > 0) & (other > 0)
        if both.any(1).sum() < LEAST_DATES:
            return dn, clear
        share = rng.random()
        blended = np.where(both, np.round(share * dn + (1 - share) * other), 0)
        return blended, clear & site.clear[:, row : row + 1, column : column + 1]

    def _thin(self, held: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return at most T acquisitions: half the time successive ones, half the time any."""
        if len(held) <= self.dates:
            return held
        if rng.random() < 0.5:
            start = rng.integers(len(held) - self.dates + 1)
            return held[start : start + self.dates]
        return np.sort(rng.choice(held, self.dates, replace=False))
