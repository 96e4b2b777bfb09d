"""A small region whose value is known everywhere: linear in what the fake encoder gives."""

from types import SimpleNamespace

import numpy as np
from scipy.ndimage import gaussian_filter

from alise_plugin.sits.build import build_series
from tests.helpers.rasters import days, write_raster

HEIGHT, WIDTH = 60, 70


def measured_region(folder, seed=0, dates=3):
    """A series, and `truth` `(H, W)`: 3 + 40 times the reflectance of the first band."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(seed)
    fields = np.stack([gaussian_filter(rng.normal(size=(HEIGHT, WIDTH)), 3) for _ in range(10)])
    fields = 2000 + 8000 * fields
    paths = [
        write_raster(folder / f"S2_{day:%Y%m%d}.tif", fields.clip(1, 9999).astype(np.uint16))
        for day in days(dates, step=60)
    ]
    series = build_series(paths, folder / "series.vrt")
    truth = 3 + 0.004 * np.floor(fields[0].clip(1, 9999))
    return SimpleNamespace(series=series, path=str(folder / "series.vrt"), truth=truth)
