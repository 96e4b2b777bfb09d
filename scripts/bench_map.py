"""A whole map beside the bare encoder, and the memory that it takes, measured in one run.

    python scripts/bench_map.py [--model models/alise-s2] [--size 1024] [--dates 30] [--memory 2048]

A series of GeoTIFFs as products are (DN, DEFLATE, a file per date) is made in a temporary folder.
In turns, `embed` maps it, and the encoder alone goes through the same tiles from memory: the
second over the first is the share of the encoder's rate that the map sustains. On a machine that
others use too, only CPU time tells. What the halo costs is counted apart, in pixels read for each
pixel written. Linux only: the peak is VmHWM.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from osgeo import gdal, osr

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from alise_plugin.mapping.embed import FORMATS, embed  # noqa: E402
from alise_plugin.mapping.feedback import SilentFeedback  # noqa: E402
from alise_plugin.mapping.tile_loop import Cut, cut_into_tiles, encode_strips  # noqa: E402
from alise_plugin.model.encoder import Encoder  # noqa: E402
from alise_plugin.model.package import load_package  # noqa: E402
from alise_plugin.sits.build import build_series  # noqa: E402
from alise_plugin.sits.grid import Tile, Window  # noqa: E402
from alise_plugin.sits.series import ImageSeries  # noqa: E402


def main() -> None:
    """Measure and print one row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=PROJECT / "models" / "alise-s2")
    parser.add_argument("--size", type=int, default=1024, help="rows and columns")
    parser.add_argument("--dates", type=int, default=30)
    parser.add_argument("--memory", type=float, default=2048, help="MB")
    parser.add_argument("--tile-size", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--format", choices=FORMATS, default="float32")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--memory-only", action="store_true", help="the map once, no comparison")
    parser.add_argument("--tiles", type=int, default=0, help="of the map; 0: all")
    args = parser.parse_args()
    encoder = load_package(args.model).encoder("cpu", args.threads)
    with tempfile.TemporaryDirectory() as folder:
        series = make_series(Path(folder), args.size, args.dates)
        raster = series.grid.window
        tile_size = args.tile_size or None
        cut, tiles = cut_into_tiles(series, encoder, raster, args.memory, tile_size)
        inner = raster
        if args.tiles:  # the first few, which hold as much as any
            width = min(raster.width, cut.tile[1] * args.tiles)
            inner = Window(0, 0, width, min(raster.height, cut.tile[0]))
            cut, tiles = cut_into_tiles(series, encoder, inner, args.memory, cut.tile)
        extent = series.grid.subgrid(inner).extent
        before = reset_peak()

        def mapped() -> None:
            embed(
                series,
                encoder,
                Path(folder) / "map.tif",
                extent=extent,
                memory_mb=args.memory,
                tile_size=cut.tile,
                format=args.format,
            )

        start = time.perf_counter()
        mapped()
        first = time.perf_counter() - start
        peak = peak_bytes()
        read = sum(tile.read.pixels for tile in tiles)
        print(
            f"{args.dates} dates, {inner.width} x {inner.height} pixels, {len(tiles)} tiles of "
            f"{cut.tile}, MEMORY {args.memory:g} MB: peak {peak / 1e6:.0f} MB of the process "
            f"({before / 1e6:.0f} MB before), halo {read / inner.pixels:.2f} pixels read for each "
            f"written, {first:.1f} s",
            flush=True,
        )
        if args.memory_only:
            return
        held = InMemory(series, tiles)
        runs = {"map": mapped, "encoder": lambda: bare(held, encoder, tiles, cut)}
        seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
        for _ in range(args.repeats):
            for name, run in runs.items():
                start = time.perf_counter(), time.process_time()
                run()
                end = time.perf_counter(), time.process_time()
                seconds[name].append((end[0] - start[0], end[1] - start[1]))
        work = inner.pixels * args.dates / 1e3
        for kind, what in enumerate(("second", "second of CPU time")):
            rates = {
                name: work / statistics.median(times[kind] for times in pairs)
                for name, pairs in seconds.items()
            }
            print(
                f"thousand pixels x dates a {what}: map {rates['map']:.1f}, encoder alone on the "
                f"same tiles {rates['encoder']:.1f}: {100 * rates['map'] / rates['encoder']:.0f} %"
            )


class InMemory:
    """The dates of tiles as arrays, read before the clock starts."""

    def __init__(self, series: ImageSeries, tiles: list[Tile]) -> None:
        self.days = series.days
        self.dates = series.dates
        self._images = {
            tile.read: [series.read(tile.read, i) for i in range(len(series.dates))]
            for tile in tiles
        }

    def read(self, window: Window, date: int) -> np.ndarray:
        """As `ImageSeries.read`."""
        return self._images[window][date]

    def reopen(self) -> InMemory:
        """As `ImageSeries.reopen`."""
        return self

    def __enter__(self) -> InMemory:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def bare(held: InMemory, encoder: Encoder, tiles: list[Tile], cut: Cut) -> None:
    """Every tile through the encoder; nothing is read, nothing written."""
    for _ in encode_strips(held, encoder, tiles, cut.rows, SilentFeedback()):  # type: ignore[arg-type]
        pass


def make_series(folder: Path, size: int, dates: int) -> ImageSeries:
    """Smooth fields with noise, a file per date."""
    rng = np.random.default_rng(0)
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(32631)
    fields = rng.integers(300, 4500, (10, -(-size // 16), -(-size // 16)))
    ground = np.kron(fields, np.ones((16, 16), int))[:, :size, :size]
    paths = []
    for number in range(dates):
        day = date(2019, 1, 3) + timedelta(days=5 * number)
        values = (ground + rng.integers(-150, 150, ground.shape)).astype(np.uint16)
        path = str(folder / f"S2_{day:%Y%m%d}.tif")
        dataset = gdal.GetDriverByName("GTiff").Create(
            path, size, size, 10, gdal.GDT_UInt16, ["TILED=YES", "COMPRESS=DEFLATE", "ZLEVEL=1"]
        )
        dataset.SetProjection(reference.ExportToWkt())
        dataset.SetGeoTransform((600000, 10, 0, 5000000, 0, -10))
        dataset.WriteArray(values)
        dataset = None
        paths.append(path)
    return build_series(paths, folder / "series.vrt")


def reset_peak() -> int:
    """Bytes that this process holds; its peak is counted from here."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak_bytes()


def peak_bytes() -> int:
    """Bytes that this process held at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024


if __name__ == "__main__":
    main()
