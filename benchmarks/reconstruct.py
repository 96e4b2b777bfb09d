"""What a day of a long series is best reconstructed from: all dates, or the year around it.

    python -m benchmarks.reconstruct [--nrt FOLDER] [--places FOLDER]

Clear acquisitions are hidden with everything near them and predicted from what is left, as in
measure 1 of `python -m training evaluate` but on more days, of series of more than a year: the
Belgian site of that measure; where --nrt names the folder of the cubes that scripts/demo.sh
fetches, five years of Romania (four bands); where --places names a folder that `python -m training
gather` wrote, two years of grassland in Franconia, of which only clear dates are known; and
simulated pixels, whose ground is known. The bundled model has trained on none of these series.
Figures are RMSE over that of linear interpolation. A quarter of an hour of two cores.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alise_plugin.model.encoder import Encoder, load_encoder
from alise_plugin.sits.build import build_series
from alise_plugin.sits.grid import Window
from benchmarks.change import clear_of
from training.data.real import read_sites
from training.evaluation import reconstruction, report
from training.evaluation.features import PATCH
from training.evaluation.held_out import SITES, RealSeries, held_out_series
from training.simulation.pixels import Options, simulate_pixels

PROJECT = Path(__file__).resolve().parents[1]

SIMULATED = 250  # pixels
LEAST_DAYS = 600  # of a simulated series
ROMANIA = Window(34, 34, 16, 16)
METHODS = {
    "all dates at once": reconstruction.decoded,
    "the year around the day": reconstruction.from_the_year_around,
}


@dataclass(frozen=True)
class Watched:
    """A series, and the reflectance of the ground where more is known than what was seen."""

    series: RealSeries
    ground: np.ndarray | None = None


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=str(PROJECT / "models" / "alise-s2"))
    parser.add_argument("--data", type=Path, default=PROJECT.parent / "shared" / "data")
    parser.add_argument("--nrt", type=Path)
    parser.add_argument("--places", type=Path)
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    encoder = load_encoder(args.model, device="cpu", threads=args.threads)
    rows: list[list[str | float]] = []
    if args.data.is_dir():
        belgium = [site for site in held_out_series(args.data) if site.name == SITES[0]]
        rows += rows_of("Belgium", encoder, map(Watched, belgium), 100)
    if args.nrt:
        rows += rows_of("Romania", encoder, [Watched(romania(args.nrt))], 100)
    if args.places:
        rows += rows_of("Franconia", encoder, map(Watched, franconia(args.places)), 8)
    for dates in (48, 100):
        rows += rows_of(f"simulated, at most {dates} dates", encoder, simulated(dates), 3)
    gaps = [f"{gap} d" for gap in reconstruction.GAPS_DAYS]
    print(report.table(["series", "dates a year", "from", *gaps], rows))


def rows_of(
    name: str, encoder: Encoder, sites: Iterable[Watched], targets: int
) -> Iterator[list[str | float]]:
    """Yield a row for each choice of acquisitions: RMSE over linear interpolation's, by gap."""
    patches = PixelsAsPatches(encoder)
    predictors = {method: made_of(patches) for method, made_of in METHODS.items()}
    predictors["linear"] = reconstruction.linear
    errors: dict[tuple[str, int], reconstruction.SquaredErrors] = {}
    density = []
    for watched in sites:
        site = watched.series
        density.append(len(site.days) / np.ptp(site.days) * reconstruction.YEAR_DAYS)
        reconstruction.evaluate_site(
            site.reflectance,
            site.clear,
            site.days,
            predictors,
            errors,
            targets=targets,
            truth=watched.ground,
        )
    for method in METHODS:
        ratios = [
            pooled(errors[method, gap]) / pooled(errors["linear", gap])
            for gap in reconstruction.GAPS_DAYS
        ]
        yield [name, float(np.mean(density)), method, *ratios]


def pooled(errors: reconstruction.SquaredErrors) -> float:
    """Return RMSE of all bands."""
    return float(np.sqrt(np.nanmean(errors.rmse[:-1] ** 2)))


class PixelsAsPatches:
    """An encoder that sees a single pixel as a constant patch."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.decode = encoder.decode

    def encode(self, reflectance: np.ndarray, days: np.ndarray) -> np.ndarray:
        """Return as `Encoder.encode`."""
        crop = None
        if reflectance.shape[2:] == (1, 1):
            reflectance = np.broadcast_to(reflectance, (*reflectance.shape[:2], PATCH, PATCH))
            crop = (slice(PATCH // 2, PATCH // 2 + 1),) * 2
        return self._encoder.encode(reflectance, days, crop=crop)


def romania(folder: Path) -> RealSeries:
    """Return the centre of the 10 m series of the package nrt with its cloud classes."""
    (cube,) = folder.glob("sentinel2_cube_subset_romania_10m.nc")
    with tempfile.TemporaryDirectory() as scratch:
        series = build_series([cube], Path(scratch) / "romania.vrt")
        reflectance = series.read_all(ROMANIA)
    rows, columns = ROMANIA.slices_in(series.grid.window)
    return RealSeries("romania", reflectance, clear_of(cube)[:, rows, columns], series.days)


def franconia(folder: Path) -> Iterator[RealSeries]:
    """Yield plots of grassland, a pixel each."""
    for site in read_sites(folder):
        if site.name == "franconia":
            reflectance = np.where(site.dn > 0, site.dn / np.float32(10_000), np.nan)
            yield RealSeries(site.name, reflectance, site.clear, site.days)


def simulated(dates: int) -> Iterator[Watched]:
    """Yield pixels that are watched for longer than a year and a half."""
    world = simulate_pixels(SIMULATED, dates, 9_000 + dates, Options(one_year_share=0.0))
    for n, observed in enumerate(world.observed.numpy()):
        days = world.days[n].numpy()[observed].astype(float)
        if len(days) and np.ptp(days) >= LEAST_DAYS:
            reflectance = world.reflectance[n].numpy()[observed][:, :, None, None]
            clear = world.clear[n].numpy()[observed][:, None, None]
            ground = world.below_snow[n].numpy()[observed][:, :, None, None]
            yield Watched(RealSeries("simulated", reflectance, clear, days), ground)


if __name__ == "__main__":
    main()
