"""Two fields that are green around a day of the year each, as an image series."""

from datetime import timedelta

import numpy as np

from alise_plugin.sits.build import build_series
from tests.helpers.rasters import write_raster

# Reflectance of a leaf and of a soil, in the order of the bands.
LEAF = np.array([0.03, 0.06, 0.035, 0.09, 0.3, 0.38, 0.42, 0.44, 0.2, 0.1])
SOIL = np.array([0.09, 0.12, 0.16, 0.19, 0.21, 0.23, 0.25, 0.27, 0.33, 0.28])
PEAKS = (150, 220)  # days of the year: left and right half


def fields(folder, days, height=36, width=48):
    """Two halves that are green around a day each, a cloud now and then; no data in a corner."""
    folder.mkdir()
    rng = np.random.default_rng(1)
    paths = []
    for number, day in enumerate(days):
        green = np.empty((height, width))
        for half, peak in enumerate(PEAKS):
            away = (day.timetuple().tm_yday - peak) / 45
            green[:, half * width // 2 :] = np.exp(-(away**2))
        image = SOIL[:, None, None] + green * (LEAF - SOIL)[:, None, None]
        image = image * rng.normal(1, 0.02, (10, height, width))
        if number % 4 == 3:
            image[:] = 0.6
        image[:, :3, :3] = 0
        path = folder / f"S2_{day:%Y%m%d}.tif"
        paths.append(write_raster(path, np.round(image * 10_000).astype(np.uint16)))
    return build_series(paths, folder / "series.vrt", scale=1e-4, offset=0.0)


def every(days, first, last):
    return [first + timedelta(days=n) for n in range(0, (last - first).days + 1, days)]
