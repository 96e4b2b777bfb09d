"""Time and memory of describing full Sentinel-2 tiles, and of reading windows of the series.

    python -m benchmarks.series [--scenes 200] [--windows 40] [--folder DIR]

Generates SAFE products of full tiles (10980 x 10980) whose images are sparse GeoTIFFs with one
square of noise, describes them in a process of its own, and reads 512 x 512 windows of all ten
bands of single dates: through the series, and from the files directly (opened, read, 20 m bands
resampled by GDAL's bicubic, scaled), in turns. Processor time is what a busy machine does not
distort.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from osgeo import gdal, osr

from alise_plugin.sentinel2 import BANDS
from alise_plugin.sits.build import SeriesOptions, plan_series
from alise_plugin.sits.grid import Window
from alise_plugin.sits.report import write_report
from alise_plugin.sits.series import ImageSeries

FINE = ("B02", "B03", "B04", "B08")
SIDE, CORNER = 10980, (600000, 5000040)
NOISE = (4096, 2048)  # first row and column, and side, of the square with values, at 10 m
WINDOW = 512


def main() -> None:
    """Generate, describe, read, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--windows", type=int, default=40)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--describe", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.describe:
        describe(args.describe)
        return
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        products = generate(Path(folder) / "products", args.scenes)
        print(f"{args.scenes} scenes of {SIDE} x {SIDE} pixels, GDAL {gdal.__version__}")
        command = [sys.executable, __file__, "--describe", folder]
        print(subprocess.run(command, check=True, capture_output=True, text=True).stdout, end="")
        read(Path(folder) / "series.vrt", products, args.windows)


def describe(folder: Path) -> None:
    """Build the series, then the report, and print seconds and peak memory after each."""
    start = time.perf_counter()
    series = folder / "series.vrt"
    plan = plan_series([folder / "products"], series, SeriesOptions(measured=True))
    plan.write(series).close()
    _line("series", start)
    write_report(plan, series, folder / "report.html")
    _line("series and report", start)


def _line(what: str, start: float) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{what}: {time.perf_counter() - start:.1f} s, peak memory {peak:.0f} MB")


def generate(folder: Path, scenes: int) -> list[Path]:
    """Return SAFE products; the images of all are three files under many names."""
    masters = folder / "masters"
    masters.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for size in (10, 20):
        _sparse(masters / f"{size}.tif", size, gdal.GDT_UInt16, rng)
    _sparse(masters / "scl.tif", 20, gdal.GDT_Byte, rng)
    products = []
    for number in range(scenes):
        day = date(2017, 3, 1) + timedelta(days=5 * number)
        products.append(_product(folder, masters, day))
    for master in masters.iterdir():
        master.unlink()
    masters.rmdir()
    return products


def _sparse(path: Path, size: int, kind: int, rng: np.random.Generator) -> None:
    side = SIDE * 10 // size
    options = ["TILED=YES", "SPARSE_OK=TRUE", "COMPRESS=DEFLATE"]
    dataset = gdal.GetDriverByName("GTiff").Create(str(path), side, side, 1, kind, options)
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(32631)
    dataset.SetProjection(reference.ExportToWkt())
    dataset.SetGeoTransform((CORNER[0], size, 0, CORNER[1], 0, -size))
    first, length = NOISE[0] * 10 // size, NOISE[1] * 10 // size
    dtype, high = (np.uint8, 8) if kind == gdal.GDT_Byte else (np.uint16, 6000)
    values = rng.integers(1, high, (length, length)).astype(dtype)
    dataset.GetRasterBand(1).WriteRaster(first, first, length, length, values.tobytes())
    dataset.FlushCache()


def _product(folder: Path, masters: Path, day: date) -> Path:
    sensed = f"{day:%Y%m%d}T105031"
    product = folder / f"S2A_MSIL2A_{sensed}_N0500_R051_T31TCJ_{sensed}.SAFE"
    granule = f"GRANULE/L2A_T31TCJ_A020329_{sensed}"
    listed = []
    for band in (*BANDS, "SCL"):
        size = 10 if band in FINE else 20
        stem = f"{granule}/IMG_DATA/R{size}m/T31TCJ_{sensed}_{band}_{size}m"
        listed.append(f"<IMAGE_FILE>{stem}</IMAGE_FILE>")
        (product / stem).parent.mkdir(parents=True, exist_ok=True)
        os.link(masters / ("scl.tif" if band == "SCL" else f"{size}.tif"), product / f"{stem}.tif")
    offsets = "".join(
        f'<BOA_ADD_OFFSET band_id="{number}">-1000</BOA_ADD_OFFSET>' for number in range(13)
    )
    (product / "MTD_MSIL2A.xml").write_text(
        f"<Level-2A_User_Product><PRODUCT_URI>{product.name}</PRODUCT_URI>"
        f"<PROCESSING_BASELINE>05.00</PROCESSING_BASELINE>"
        f"<GENERATION_TIME>{day}T20:00:00Z</GENERATION_TIME>"
        f"<DATATAKE_SENSING_START>{day}T10:50:31Z</DATATAKE_SENSING_START>{''.join(listed)}"
        f"<BOA_QUANTIFICATION_VALUE>10000</BOA_QUANTIFICATION_VALUE>{offsets}"
        f"<Cloud_Coverage_Assessment>25</Cloud_Coverage_Assessment>"
        f"<NODATA_PIXEL_PERCENTAGE>10</NODATA_PIXEL_PERCENTAGE></Level-2A_User_Product>"
    )
    places = "".join(
        f'<Size resolution="{size}"><NROWS>{SIDE * 10 // size}</NROWS>'
        f'<NCOLS>{SIDE * 10 // size}</NCOLS></Size><Geoposition resolution="{size}">'
        f"<ULX>{CORNER[0]}</ULX><ULY>{CORNER[1]}</ULY><XDIM>{size}</XDIM><YDIM>-{size}</YDIM>"
        "</Geoposition>"
        for size in (10, 20)
    )
    (product / granule / "MTD_TL.xml").write_text(
        f"<Tile><HORIZONTAL_CS_CODE>EPSG:32631</HORIZONTAL_CS_CODE>{places}</Tile>"
    )
    return product


def read(path: Path, products: list[Path], windows: int) -> None:
    """Read windows both ways, in turns, and print medians and their ratio."""
    rng = np.random.default_rng(1)
    times: dict[str, list[tuple[float, float]]] = {"series": [], "files": []}
    start = time.perf_counter()
    series = ImageSeries.open(path)
    print(f"opening the series: {time.perf_counter() - start:.1f} s")
    for turn in range(windows + 1):
        number = int(rng.integers(len(products)))
        col, row = (int(v) for v in NOISE[0] + rng.integers(0, NOISE[1] - WINDOW, 2) // 2 * 2)
        for name in ("series", "files") if turn % 2 else ("files", "series"):
            start = time.perf_counter(), time.process_time()
            if name == "series":
                got = series.read(Window(col, row, WINDOW, WINDOW), number)
            else:
                direct = read_files(products[number], col, row)
            if turn:  # the first warms up
                end = time.perf_counter(), time.process_time()
                times[name].append((end[0] - start[0], end[1] - start[1]))
        inner = (slice(None), slice(8, -8), slice(8, -8))  # a kernel sees beyond a window's edge
        if np.nanmax(np.abs(got - direct)[inner]) > 1.01e-4:
            raise SystemExit("the series and the files differ")
    print(f"{windows} windows of {WINDOW} x {WINDOW} x 10 bands, medians:")
    for clock, what in enumerate(("wall", "processor")):
        through = [value[clock] for value in times["series"]]
        direct_times = [value[clock] for value in times["files"]]
        ratios = [a / b for a, b in zip(through, direct_times)]
        print(
            f"  {what} time: series {1000 * statistics.median(through):.0f} ms, files "
            f"{1000 * statistics.median(direct_times):.0f} ms, "
            f"ratio {statistics.median(ratios):.2f}"
        )


def read_files(product: Path, col: int, row: int) -> np.ndarray:
    """Return the ten bands of a window from the files: (10, 512, 512) reflectance."""
    images = {path.name.split("_")[2]: path for path in product.glob("GRANULE/*/IMG_DATA/*/*.tif")}
    values = np.empty((len(BANDS), WINDOW, WINDOW), dtype=np.float32)
    for plane, band in enumerate(BANDS):
        factor = 1 if band in FINE else 2
        place = (col // factor, row // factor, WINDOW // factor, WINDOW // factor)
        dataset = gdal.Open(str(images[band]))
        dataset.ReadRaster(
            *place,
            WINDOW,
            WINDOW,
            gdal.GDT_Float32,
            buf_obj=values[plane],
            resample_alg=gdal.GRIORA_Cubic,
        )
    missing = values == 0
    values = (values - 1000) / 10000
    values[missing] = np.nan
    return values


if __name__ == "__main__":
    main()
