"""What the demo made beside what a person sees of it, as PNG.

    demo_pictures.py change SERIES_BEFORE SERIES_AFTER DISTANCE CHANGE PNG
    demo_pictures.py days SERIES IMAGES PNG

`change` has four panels, from left to right: the summer before, the summer after (true colour), the
distance (dark: none, bright: large), and the summer after with the changed pixels in red. One pixel
becomes 5 x 5. `days` has the days of reconstructed images: above as the satellite saw them, below
as the model expects them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from osgeo import gdal

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from alise_plugin.sentinel2 import BANDS
from alise_plugin.sits.series import ImageSeries

SCALE, SMALL, GAP = 5, 3, 10
NATURAL = tuple(BANDS.index(band) for band in ("B04", "B03", "B02"))
SUMMER = (6, 7, 8)
BRIGHTEST = 0.12  # reflectance that is shown white: forests are dark
RED = (255, 40, 40)
# Dark blue to yellow, for the distance.
RAMP = np.array([[8, 8, 40], [70, 20, 110], [190, 50, 90], [250, 150, 40], [255, 250, 180]])


def main() -> None:
    """Draw what the first argument names."""
    {"change": draw_change, "days": draw_days}[sys.argv[1]](*sys.argv[2:])


def draw_days(seen: str, expected: str, png: str) -> None:
    """Draw the days of `expected` in both series, one above the other."""
    with ImageSeries.open(expected) as images, ImageSeries.open(seen) as series:
        rows = []
        for source in (series, images):
            places = [source.dates.index(day) for day in images.dates]
            days = [source.read(source.grid.window, place) for place in places]
            rows.append([shown(np.stack([day[band] for band in NATURAL], -1)) for day in days])
    gap = np.full((rows[0][0].shape[0], GAP // SMALL, 3), 255, np.uint8)
    lines = [np.concatenate([x for day in row for x in (day, gap)][:-1], 1) for row in rows]
    between = np.full((GAP // SMALL, lines[0].shape[1], 3), 255, np.uint8)
    picture = np.concatenate([lines[0], between, lines[1]])
    write(png, picture.repeat(SMALL, 0).repeat(SMALL, 1))


def draw_change(before: str, after: str, distance: str, change: str, png: str) -> None:
    """Draw the panels side by side."""
    summers = [true_colour(path) for path in (before, after)]
    values = gdal.Open(distance).ReadAsArray()
    changed = gdal.Open(change).ReadAsArray() == 1
    marked = summers[1].copy()
    marked[changed] = RED
    panels = [*summers, ramp(values), marked]
    enlarged = [panel.repeat(SCALE, 0).repeat(SCALE, 1) for panel in panels]
    gap = np.full((enlarged[0].shape[0], GAP, 3), 255, np.uint8)
    row = [piece for panel in enlarged for piece in (panel, gap)][:-1]
    write(png, np.concatenate(row, 1))


def true_colour(path: str) -> np.ndarray:
    """(H, W, 3) uint8: of each pixel the five summer days with the darkest blue, their median.

    Clouds and haze are bright in blue; shadows are dark, but seldom on three days of five.
    """
    with ImageSeries.open(path) as series:
        summer = [i for i, day in enumerate(series.dates) if day.month in SUMMER]
        colours = np.stack([series.read(series.grid.window, i)[list(NATURAL)] for i in summer])
    order = np.argsort(np.nan_to_num(colours[:, 2], nan=9.0), 0)[:5]
    clear = np.stack([np.take_along_axis(colours[:, band], order, 0) for band in range(3)], -1)
    return shown(np.nanmedian(clear, 0))


def shown(colour: np.ndarray) -> np.ndarray:
    """Return (H, W, 3) reflectance as uint8."""
    return np.rint(255 * np.clip(np.nan_to_num(colour) / BRIGHTEST, 0, 1) ** 0.8).astype(np.uint8)


def ramp(values: np.ndarray) -> np.ndarray:
    """Return (H, W) distances as (H, W, 3) uint8, from 0 to the 99.5th percentile."""
    share = np.clip(np.nan_to_num(values) / np.nanpercentile(values, 99.5), 0, 1)
    at = share * (len(RAMP) - 1)
    channels = [np.interp(at, range(len(RAMP)), RAMP[:, k]) for k in range(3)]
    return np.rint(np.stack(channels, -1)).astype(np.uint8)


def write(path: str, picture: np.ndarray) -> None:
    """(H, W, 3) as PNG."""
    height, width, _ = picture.shape
    memory = gdal.GetDriverByName("MEM").Create("", width, height, 3, gdal.GDT_Byte)
    planes = np.ascontiguousarray(picture.transpose(2, 0, 1))
    memory.WriteRaster(0, 0, width, height, planes.tobytes())
    gdal.GetDriverByName("PNG").CreateCopy(path, memory)


if __name__ == "__main__":
    main()
