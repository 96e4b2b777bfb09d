"""How simulated series look beside real ones: `python -m training.simulation.realism --out DIR`.

Draws bands, Draw NDVI over the season, gaps between clear dates, spatial autocorrelation and a few
images, simulated beside real (`../shared/data`), and prints one table of the same comparisons.
The real series are of European and African farmland, so the simulated pixels are farmland too.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor

from alise_plugin.sentinel2 import BANDS
from training.data.real import DATA_FOLDER, RealSeries, Site, read_sites

from .covers import COVERS
from .dataset import PatchWorlds
from .pixels import Options, simulate_pixels

RED, NEAR_INFRARED = BANDS.index("B04"), BANDS.index("B8A")
LARGEST_LAG = 12
COLOURS = {"real": "#222222", "simulated": "#d95f02"}
# The real series are of farmland: fields, meadows and pastures.
FARMLAND = torch.tensor([c.annual or c.name in ("meadow", "pasture") for c in COVERS])
Batch = dict[str, Tensor]


def farmland(count: int, dates: int, seed: int, options: Options | None = None) -> Batch:
    """Return simulated single pixels of farmland, about two thirds of `count`."""
    world = simulate_pixels(count, dates, seed, options)
    keep = FARMLAND[world.cover].all(1)
    return {
        "reflectance": world.reflectance[keep][..., None, None],
        "days": world.days[keep],
        "observed": world.observed[keep][..., None, None],
        "clear": world.clear[keep][..., None, None],
    }


def clear_bands(batches: Iterable[Batch]) -> np.ndarray:
    """Return clear spectra (N, 10) of single pixels, NaN where a site lacks a band."""
    parts = [batch["reflectance"][batch["clear"].unsqueeze(2).expand_as(batch["reflectance"])]
             .reshape(-1, len(BANDS)) for batch in batches]  # fmt: skip
    return torch.cat(parts).numpy()


def ndvi_by_season(batches: Iterable[Batch]) -> np.ndarray:
    """Rows (month relative to the greenest, NDVI) of clear dates of series of most of a year.

    Months count from the greenest one of each series: places of both hemispheres, and of early and
    late regions, can then be laid on one another.
    """
    rows = []
    for batch in batches:
        spectra = batch["reflectance"][..., 0, 0]
        ndvi = ndvi_of(spectra[..., NEAR_INFRARED], spectra[..., RED])
        usable = batch["clear"][..., 0, 0] & ndvi.isfinite()
        for days, values, keep in zip(batch["days"], ndvi, usable):
            days, values = days[keep], values[keep]
            if len(days) < 8 or days[-1] - days[0] < 130:
                continue
            month = (days - days[values.argmax()]) / 30.44
            near = month.abs() <= 6.5
            rows.append(torch.stack([month[near].round(), values[near]], 1))
    return torch.cat(rows).numpy()


def ndvi_of(near_infrared: Tensor, red: Tensor) -> Tensor:
    """Return normalised difference vegetation index."""
    return (near_infrared - red) / (near_infrared + red).clamp(min=1e-3)


def clear_gaps(days: np.ndarray, clear: np.ndarray) -> np.ndarray:
    """Return days between successive clear dates of one pixel."""
    return np.diff(days[clear])


def autocorrelation(image: np.ndarray) -> np.ndarray | None:
    """Correlation of an image (H, W) with itself, by pixels away; None if flat or incomplete."""
    if not np.isfinite(image).all() or image.std() < 1e-4:
        return None
    away = image - image.mean()
    found = [1.0]
    for lag in range(1, LARGEST_LAG + 1):
        pairs = [(away[lag:], away[:-lag]), (away[:, lag:], away[:, :-lag])]
        found.append(float(np.mean([(a * b).mean() for a, b in pairs]) / away.var()))
    return np.array(found)


def clear_images(batch: Batch, band: int) -> Iterator[np.ndarray]:
    """Yield images (H, W) of one band of the dates that are clear nearly everywhere."""
    for series, clear in zip(batch["reflectance"], batch["clear"]):
        for date, seen in zip(series, clear):
            if seen.float().mean() > 0.98:
                yield date[band].numpy()


def mean_autocorrelation(batches: Iterable[Batch], band: int) -> np.ndarray:
    """Return mean (lags,) over clear images."""
    images = (image for batch in batches for image in clear_images(batch, band))
    found = [one for image in images if (one := autocorrelation(image)) is not None]
    return np.mean(found, 0)


def whole_series(sites: Iterable[Site]) -> list[Site]:
    """Return sites with every acquisition, clouds included."""
    return [s for s in sites if s.kind == "image" and len(s.days) > 60]


def real_weather(sites: Iterable[Site]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield days and clear flags of some pixels of the sites with every acquisition."""
    rng = np.random.default_rng(0)
    for site in whole_series(sites):
        for row, column in site.pixels[rng.choice(len(site.pixels), 60)]:
            yield site.days, site.clear[:, row, column]


def simulated_weather(batches: Iterable[Batch]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield days and clear flags of the dates that were observed."""
    for batch in batches:
        for days, observed, clear in zip(
            batch["days"], batch["observed"][..., 0, 0], batch["clear"][..., 0, 0]
        ):
            yield days[observed].numpy(), clear[observed].numpy()


def weather_facts(weather: Iterable[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Return gaps, and how much a clear date says of the next acquisition."""
    gaps, after_clear, after_cloud, share = [], [], [], []
    for days, clear in weather:
        gaps.append(clear_gaps(days, clear))
        after_clear.append(clear[1:][clear[:-1]])
        after_cloud.append(clear[1:][~clear[:-1]])
        share.append(clear.mean())
    all_gaps = np.concatenate(gaps)
    return {
        "clear share of dates": float(np.mean(share)),
        "clear after clear": float(np.concatenate(after_clear).mean()),
        "clear after cloud": float(np.concatenate(after_cloud).mean()),
        "gap, median days": float(np.median(all_gaps)),
        "gap, 95 % days": float(np.quantile(all_gaps, 0.95)),
    }


def draw_bands(spectra: Mapping[str, np.ndarray], path: Path) -> None:
    """Draw the density of each band."""
    figure, axes = plt.subplots(2, 5, figsize=(10, 3.6), layout="constrained")
    for band, axis in enumerate(axes.flat):
        edges = np.linspace(0, (0.3 if band < 4 else 0.65), 60)
        for name, values in spectra.items():
            known = values[:, band][np.isfinite(values[:, band])]
            axis.hist(known, edges, density=True, histtype="step", color=COLOURS[name], label=name)
        axis.set_title(BANDS[band], fontsize=9)
        axis.set_yticks([])
        axis.tick_params(labelsize=7)
    axes[0, 0].legend(fontsize=7)
    figure.supxlabel("reflectance of clear observations", fontsize=8)
    save(figure, path)


def draw_facts(
    seasons: Mapping[str, np.ndarray],
    gaps: Mapping[str, np.ndarray],
    space: Mapping[str, Mapping[str, np.ndarray]],
    path: Path,
) -> None:
    """NDVI over the season, gaps between clear dates, correlation in space."""
    figure, axes = plt.subplots(1, 3, figsize=(10, 2.9), layout="constrained")
    for name, rows in seasons.items():
        months = np.arange(-6, 7)
        of_month = [rows[rows[:, 0] == month, 1] for month in months]
        low, middle, high = np.array([np.quantile(v, [0.1, 0.5, 0.9]) for v in of_month]).T
        axes[0].plot(months, middle, color=COLOURS[name], label=name)
        axes[0].fill_between(months, low, high, color=COLOURS[name], alpha=0.2)
    axes[0].set(xlabel="months from the greenest", ylabel="NDVI, median, 10 to 90 %")
    for name, lengths in gaps.items():
        axes[1].hist(
            lengths,
            np.arange(0, 125, 5),
            density=True,
            histtype="step",
            color=COLOURS[name],
            label=name,
        )
    axes[1].set(xlabel="days between clear dates", ylabel="density", yscale="log")
    for name, bands in space.items():
        for (band, correlation), style in zip(bands.items(), ("-", "--")):
            axes[2].plot(correlation, style, color=COLOURS[name], label=f"{name} {band}")
    axes[2].set(xlabel="pixels apart", ylabel="correlation in space")
    for axis in axes:
        axis.legend(fontsize=7)
        axis.tick_params(labelsize=7)
    save(figure, path)


def draw_images(batch: Batch, path: Path, rows: int = 3, columns: int = 7) -> None:
    """Draw dates of some landscapes, B8A B04 B03 as red, green, blue."""
    figure, axes = plt.subplots(
        rows, columns, figsize=(columns * 1.25, rows * 1.3), layout="constrained"
    )
    for series, line in enumerate(axes):
        seen = batch["observed"][series].float().mean((1, 2)) > 0.5
        dates = seen.nonzero()[:, 0]
        picked = dates[torch.linspace(0, len(dates) - 1, columns).round().long()]
        for axis, date in zip(line, picked):
            show(axis, batch["reflectance"][series, date])
    save(figure, path)


def draw_grounds(batches: Iterable[Batch], path: Path, rows: int = 3, columns: int = 8) -> None:
    """Draw the cloudless ground of landscapes on the date when it differs most."""
    figure, axes = plt.subplots(rows, columns, figsize=(columns, rows * 1.04), layout="constrained")
    grounds = itertools.chain.from_iterable(batch["ground"] for batch in batches)
    for axis, series in zip(axes.flat, grounds):
        date = series[:, NEAR_INFRARED].var((1, 2)).argmax()
        show(axis, series[date])
    save(figure, path)


def show(axis: plt.Axes, image: Tensor) -> None:
    """Draw an image (10, H, W): B8A B04 B03 as red, green, blue."""
    colour = image[[NEAR_INFRARED, RED, 1]].permute(1, 2, 0).nan_to_num(0)
    axis.imshow((colour / torch.tensor([0.5, 0.25, 0.25])).clamp(0, 1))
    axis.set(xticks=[], yticks=[])


def save(figure: plt.Figure, path: Path) -> None:
    """Write a PNG and forget the figure."""
    figure.savefig(path, dpi=80)
    plt.close(figure)


def compare(out: Path, data: Path = DATA_FOLDER, seed: int = 20_150_623) -> str:
    """Write the pictures and return the table.

    Args:
        out: folder.
        data: folder of the real series.
        seed: of the simulated worlds and of the samples of the real ones.

    Raises:
        DataMissingError: there are no real series.
    """
    out.mkdir(parents=True, exist_ok=True)
    sites = read_sites(data)
    taken = itertools.islice
    real = list(taken(RealSeries(seed, 256, 96, data=data, only_clear=0.0), 4))
    pixels = [farmland(1500, 96, seed)]
    spectra = {"real": clear_bands(real), "simulated": clear_bands(pixels)}
    draw_bands(spectra, out / "bands.png")

    # Only what holds every acquisition says how often the sky is clear.
    watched = [farmland(700, 160, seed + 1, Options(composite_share=0.0))]
    facts = {
        "real": weather_facts(real_weather(sites)),
        "simulated": weather_facts(simulated_weather(watched)),
    }
    gaps = {
        "real": np.concatenate([clear_gaps(*one) for one in real_weather(sites)]),
        "simulated": np.concatenate([clear_gaps(*one) for one in simulated_weather(watched)]),
    }
    seasons = {"real": ndvi_by_season(real), "simulated": ndvi_by_season(pixels)}
    landscapes = {
        "real": list(taken(RealSeries(seed, 8, 24, 32, data=data), 4)),
        "simulated": list(taken(PatchWorlds(seed, 8, 24, 32), 4)),
    }
    bands = {"B8A": NEAR_INFRARED, "B04": RED}
    space = {
        name: {band: mean_autocorrelation(batches, place) for band, place in bands.items()}
        for name, batches in landscapes.items()
    }
    draw_facts(seasons, gaps, space, out / "facts.png")
    large = [s.name for s in whole_series(sites) if len(s.planes) == len(BANDS)]
    others = tuple(sorted({s.name for s in sites} - set(large)))
    belgium = next(iter(RealSeries(seed, 8, 24, 32, data=data, exclude=others, only_clear=0.0)))
    draw_images(belgium, out / "images_real.png")
    draw_images(landscapes["simulated"][1], out / "images_simulated.png")
    draw_grounds(landscapes["simulated"], out / "grounds_simulated.png")

    rows = [
        (f"{band}, {100 * q:.0f} %", *(np.nanquantile(s[:, i], q) for s in spectra.values()))
        for i, band in enumerate(BANDS)
        for q in (0.05, 0.5, 0.95)
    ]
    for month in (-4, 0, 4):
        rows.append(
            (
                f"NDVI, median, month {month:+d}",
                *(np.median(s[s[:, 0] == month, 1]) for s in seasons.values()),
            )
        )
    rows += [(fact, value, facts["simulated"][fact]) for fact, value in facts["real"].items()]
    for band, lag in itertools.product(bands, (1, 2, 6)):
        rows.append((f"correlation {lag} px away, {band}", *(s[band][lag] for s in space.values())))
    lines = [f"| {name} | {a:.3f} | {b:.3f} |" for name, a, b in rows]
    return "\n".join(["| clear observations | real | simulated |", "| --- | --- | --- |", *lines])


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--data", type=Path, default=DATA_FOLDER, help="folder of real series")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(compare(args.out, args.data))


if __name__ == "__main__":
    main()
