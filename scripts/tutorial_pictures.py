"""Draws the pictures of the tutorials from what their commands wrote.

python -m scripts.tutorial_pictures FOLDER      the folder in which the commands ran
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from osgeo import gdal

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from alise_plugin import open_series

PICTURES = Path(__file__).resolve().parents[1] / "docs" / "pictures"
_RED, _GREEN, _BLUE, _NIR = 2, 1, 0, 6


def band(path: Path, index: int = 1) -> NDArray[np.float32]:
    """Return a band, NaN where it has no value."""
    source = gdal.Open(str(path))
    values = source.GetRasterBand(index).ReadAsArray().astype(np.float32)
    nodata = source.GetRasterBand(index).GetNoDataValue()
    return values if nodata is None else np.where(values == nodata, np.nan, values)


def clearest(path: Path) -> NDArray[np.float32]:
    """Return natural colour (H, W, 3) of a clear summer acquisition: neither cloud nor shadow."""
    with open_series(str(path)) as series:
        values = series.read_all(series.grid.window)
        summer = [i for i, day in enumerate(series.dates) if 5 <= day.month <= 9]
        blue = np.nanmean(values[summer, _BLUE], axis=(1, 2))
        index = summer[int(np.argsort(blue)[len(summer) // 4])]
    colours = values[index, [_RED, _GREEN, _BLUE]].transpose(1, 2, 0)
    return np.clip(colours / np.nanpercentile(colours, 98), 0, 1)


def save(figure: plt.Figure, name: str) -> None:
    """Write a picture of docs/pictures."""
    figure.savefig(PICTURES / f"tutorial_{name}.png", dpi=80, bbox_inches="tight")
    plt.close(figure)


def side_by_side(count: int) -> tuple[plt.Figure, NDArray[np.object_]]:
    """Return a figure of maps in a row."""
    figure, axes = plt.subplots(1, count, figsize=(4 * count, 4))
    for axis in axes:
        axis.set_xticks([])
        axis.set_yticks([])
    return figure, axes


def main(folder: Path) -> None:
    """Draw all pictures."""
    gdal.UseExceptions()
    figure, (seen, mapped) = side_by_side(2)
    seen.imshow(clearest(folder / "village.vrt"))
    seen.set_title("a clear day")
    colours = matplotlib.colors.ListedColormap(["#4e79a7", "#f28e2b", "#59a14f"])
    shown = mapped.imshow(band(folder / "covers.tif"), cmap=colours, vmin=0.5, vmax=3.5)
    mapped.set_title("covers.tif")
    figure.colorbar(shown, ax=mapped, ticks=[1, 2, 3]).ax.set_yticklabels(
        ["crops", "grassland", "other"]
    )
    save(figure, "first_map")

    figure, axes = side_by_side(3)
    for axis, year in zip(axes, ("2018", "2019")):
        axis.imshow(clearest(folder / f"forest_{year}.vrt"))
        axis.set_title(year)
    shown = axes[2].imshow(band(folder / "distance.tif"), cmap="magma")
    axes[2].set_title("distance.tif")
    figure.colorbar(shown, ax=axes[2])
    save(figure, "two_years")

    figure, axis = plt.subplots(figsize=(9, 3.2))
    for name, style in (("pixel.vrt", "."), ("days.tif", "o-")):
        with open_series(str(folder / name)) as series:
            values = series.read_all(series.grid.window)[:, :, 0, 0]
            ndvi = (values[:, _NIR] - values[:, _RED]) / (values[:, _NIR] + values[:, _RED])
            axis.plot(np.array(series.dates, "datetime64[D]"), ndvi, style)
    axis.legend(["as seen, clouds in", "as reconstructed"])
    axis.set_ylabel("NDVI")
    save(figure, "years_of_a_pixel")

    figure, axes = side_by_side(2)
    weighed = band(folder / "harvest" / "D3_yield.tif")
    limits = {"vmin": np.nanmin(weighed), "vmax": np.nanmax(weighed)}
    axes[0].imshow(weighed, **limits)
    axes[0].set_title("weighed, t/ha")
    shown = axes[1].imshow(band(folder / "harvest" / "D3_estimate.tif"), **limits)
    axes[1].set_title("estimated, t/ha")
    figure.colorbar(shown, ax=axes[1])
    save(figure, "yield")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
