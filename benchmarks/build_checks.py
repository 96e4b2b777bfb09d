"""What the checks of pixels cost where an image series is built.

    python -m benchmarks.build_checks [--dates 10] [--turns 5] [--side 2048]

Writes images of one date with ten bands as tiled, compressed GeoTIFFs, with and without a stated
scale, and as one file per band with bands of 10 m and 20 m. Plans the series of each in turns with
and without the checks that look at pixels (what files state, undeclared fill and zeros), and
prints the medians and their ratio. What nobody states is judged by pixels in both.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from unittest import mock

import numpy as np
from osgeo import gdal, osr

from alise_plugin.sentinel2 import BANDS
from alise_plugin.sits import values
from alise_plugin.sits.build import SeriesOptions, plan_series
from alise_plugin.sits.statements import CheckedStatements, StatementCheck

FINE = ("B02", "B03", "B04", "B08")
# Reflectance of crops, which all checks take for what it is.
CROPS = (0.035, 0.065, 0.045, 0.10, 0.28, 0.35, 0.38, 0.40, 0.22, 0.12)
FORMS = ("one file a date", "one file a date, scale stated", "one file a band, 10 m and 20 m")


def main() -> None:
    """Write the images, plan in turns, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dates", type=int, default=10)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--side", type=int, default=2048)
    args = parser.parse_args()
    print(f"{args.dates} dates of {args.side} x {args.side} pixels, GDAL {gdal.__version__}")
    for form in FORMS:
        with tempfile.TemporaryDirectory() as folder:
            write_images(Path(folder), form, args.dates, args.side)
            with_checks, without = measure(Path(folder), args.turns)
        ratio = statistics.median(a / b for a, b in zip(with_checks, without))
        print(
            f"{form}: with checks {1000 * statistics.median(with_checks):.0f} ms, without "
            f"{1000 * statistics.median(without):.0f} ms, ratio {ratio:.2f} (processor time)"
        )


def measure(folder: Path, turns: int) -> tuple[list[float], list[float]]:
    """Return the processor seconds of planning with the checks, and without."""
    times: tuple[list[float], list[float]] = [], []
    for turn in range(turns + 1):
        for which in (0, 1) if turn % 2 else (1, 0):
            start = time.process_time()
            with unchecked() if which else contextlib.nullcontext():
                plan_series([folder], folder / "series.vrt", SeriesOptions())
            if turn:  # the first warms up
                times[which].append(time.process_time() - start)
    return times


@contextlib.contextmanager
def unchecked() -> Iterator[None]:
    """Switch the checks off."""
    nothing = mock.patch.object(StatementCheck, "__call__", return_value=CheckedStatements())
    no_fill = mock.patch.object(values, "image_fill", return_value=None)
    no_zeros = mock.patch.object(values, "zeros_are_missing", return_value=False)
    with nothing, no_fill, no_zeros:
        yield


def write_images(folder: Path, form: str, dates: int, side: int) -> None:
    """Write the images of some dates, five days apart."""
    rng = np.random.default_rng(0)
    for number in range(dates):
        day = date(2019, 3, 1) + timedelta(days=5 * number)
        noise = rng.normal(1, 0.1, (side, side))
        if form != FORMS[2]:
            scale = 1e-4 if form == FORMS[1] else None
            write_image(folder / f"{day:%Y%m%d}.tif", BANDS, noise, 10, scale)
            continue
        for band in BANDS:
            size = 10 if band in FINE else 20
            cut = noise if band in FINE else noise[::2, ::2]
            write_image(folder / f"{day:%Y%m%d}_{band}.tif", (band,), cut, size, None)


def write_image(
    path: Path, bands: tuple[str, ...], noise: np.ndarray, size: int, scale: float | None
) -> None:
    """Write bands of crops."""
    options = ["TILED=YES", "COMPRESS=DEFLATE", "PREDICTOR=2"]
    height, width = noise.shape
    driver = gdal.GetDriverByName("GTiff")
    dataset = driver.Create(str(path), width, height, len(bands), gdal.GDT_UInt16, options)
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(32631)
    dataset.SetProjection(reference.ExportToWkt())
    dataset.SetGeoTransform((600000, size, 0, 5000040, 0, -size))
    for number, name in enumerate(bands, 1):
        band = dataset.GetRasterBand(number)
        band.SetDescription(name)
        if scale is not None:
            band.SetScale(scale)
        image = np.rint(noise * CROPS[BANDS.index(name)] * 10000).clip(1, 10000)
        band.WriteRaster(0, 0, width, height, image.astype(np.uint16).tobytes())
    dataset.FlushCache()


if __name__ == "__main__":
    main()
