"""A whole map beside the bare encoder, and the memory that it takes, measured in one run.

    python -m benchmarks.map [--model models/alise-s2] [--size 1024] [--dates 30]
                                [--memory 2048] [--format float32]
    python -m benchmarks.map --area [--size 512] [--dates 8] [--memory 512] [--wholes 3]

A series of GeoTIFFs as products are (DN, DEFLATE, a file per date) is made in a temporary folder,
which is removed at the end, also after Ctrl-C and `kill`. The encoder alone goes through some tiles
from memory, `embed` maps everything, and the encoder goes through other tiles again. What the
spatial graph takes for a pixel that is read, and the temporal graph for one that is written, gives
the time of the encoder alone on all tiles of the map; beside the time of the map it is the share of
the encoder's own rate that the map sustains. A table says where the CPU time went. On a machine
that others use too, only CPU time tells.

`--area` maps one half of a series, all of it and the half again, as often as `--wholes` says, and
prints the ratio of each whole to the halves around it, and their median, of CPU times: a shared
machine that changes its speed in between moves single ratios by a tenth.
Linux only: the peak is VmHWM.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from osgeo import gdal, osr

from alise_plugin.feedback import SilentFeedback
from alise_plugin.mapping.embedding.embed import FORMATS, embed
from alise_plugin.mapping.features.encode_tiles import encode_strips
from alise_plugin.mapping.features.series_features import SeriesFeatures
from alise_plugin.mapping.features.tiling import TileBudget, Tiling, cut_into_tiles
from alise_plugin.mapping.rasters import geotiff as output
from alise_plugin.mapping.rasters.geotiff import RasterOutput
from alise_plugin.mapping.rasters.overviews import OverviewBlocks
from alise_plugin.model.encoder import Encoder, load_encoder
from alise_plugin.model.quantise import Quantiser
from alise_plugin.sits.build import build_series
from alise_plugin.sits.grid import Tile, Window
from alise_plugin.sits.series import ImageSeries

PROJECT = Path(__file__).resolve().parents[1]

BYTES = {"float32": 2560, "int8": 640, "compact": 64}  # of a pixel of the map


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=PROJECT / "models" / "alise-s2")
    parser.add_argument("--size", type=int, default=1024, help="rows and columns")
    parser.add_argument("--dates", type=int, default=30)
    parser.add_argument("--memory", type=float, default=2048, help="MB")
    parser.add_argument("--tile-size", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--format", choices=FORMATS, default="float32")
    parser.add_argument("--memory-only", action="store_true", help="the map once, no comparison")
    parser.add_argument("--tiles", type=int, default=0, help="of the map; 0: all")
    parser.add_argument("--sampled", type=int, default=3, help="tiles for the encoder alone")
    parser.add_argument("--area", action="store_true", help="a half and the whole, no comparison")
    parser.add_argument("--wholes", type=int, default=3, help="wholes of --area, between halves")
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made")
    args = parser.parse_args()
    if args.wholes < 1:
        parser.error(f"--wholes is {args.wholes}; at least one is needed")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the folder is removed
    encoder = load_encoder(args.model, "cpu", args.threads)
    rows = args.size * (2 if args.area else 1)
    with tempfile.TemporaryDirectory(prefix="alise_bench_", dir=args.folder) as folder:
        pixels = rows * args.size
        needed = 1.5 * BYTES[args.format] * pixels + 20 * args.dates * pixels
        free = shutil.disk_usage(folder).free
        if free < needed:
            sys.exit(
                f"{needed / 1e9:.0f} GB are needed in {folder}, but {free / 1e9:.0f} GB are "
                "free; name another place with --folder."
            )
        start = time.perf_counter()
        series = make_series(Path(folder), rows, args.size, args.dates)
        print(f"Series of {args.dates} dates made in {time.perf_counter() - start:.0f} s")
        if args.area:
            compare_areas(args, series, encoder, Path(folder))
        else:
            compare_with_encoder(args, series, encoder, Path(folder))


def compare_areas(
    args: argparse.Namespace, series: ImageSeries, encoder: Encoder, folder: Path
) -> None:
    """Map the upper half of a series, all of it, and the half again, by turns."""
    whole = series.grid.window
    half = Window(0, 0, whole.width, whole.height // 2)
    seconds = []
    for inner in (half, *(whole, half) * args.wholes):
        start = time.process_time()
        mapped(args, series, encoder, folder, inner, args.tile_size or None)
        seconds.append(time.process_time() - start)
        cut, tiles = cut_into_tiles(series, encoder, inner, args.memory, args.tile_size or None)
        print(
            f"{inner.width} x {inner.height} pixels, {args.dates} dates, {len(tiles)} tiles of "
            f"{cut.tile[1]} x {cut.tile[0]}, {halo(tiles):.3f} pixels read for each written: "
            f"{seconds[-1]:.1f} s of CPU time",
            flush=True,
        )
    halves, wholes = seconds[::2], seconds[1::2]
    ratios = [
        2 * both / (before + after)
        for before, both, after in zip(halves[:-1], wholes, halves[1:], strict=True)
    ]
    print(
        f"Twice the area takes {np.median(ratios):.2f} times the CPU time (median of "
        f"{', '.join(f'{ratio:.2f}' for ratio in ratios)})."
    )


def compare_with_encoder(
    args: argparse.Namespace, series: ImageSeries, encoder: Encoder, folder: Path
) -> None:
    """Print the map, its peak, its share of the encoder's rate, and where its time went."""
    inner = series.grid.window
    cut, tiles = cut_into_tiles(series, encoder, inner, args.memory, args.tile_size or None)
    if args.tiles:  # the first few, which hold as much as any
        inner = Window(
            0, 0, min(inner.width, cut.tile[1] * args.tiles), min(inner.height, cut.tile[0])
        )
        cut, tiles = cut_into_tiles(series, encoder, inner, args.memory, cut.tile)
    count = 0 if args.memory_only else min(args.sampled, len(tiles))
    chosen = [tiles[int((number + 0.5) / count * len(tiles))] for number in range(count)]
    alone = Alone(encoder, cut)
    for tile in chosen[: (count + 1) // 2]:
        alone.measure(series, tile)
    before = reset_peak()
    meters = Meters()
    with meters.attached():
        start = time.perf_counter(), time.process_time()
        path = mapped(args, series, encoder, folder, inner, cut.tile)
        wall, cpu = time.perf_counter() - start[0], time.process_time() - start[1]
    print(
        f"{args.format}, {args.dates} dates, {inner.width} x {inner.height} pixels, {len(tiles)} "
        f"tiles of {cut.tile[1]} x {cut.tile[0]}, MEMORY {args.memory:g} MB: peak "
        f"{peak_bytes() / 1e6:.0f} MB of the process ({before / 1e6:.0f} MB before), "
        f"{halo(tiles):.3f} pixels read for each written, {path.stat().st_size / inner.pixels:.0f} "
        f"bytes per pixel on disk, {wall:.1f} s, {cpu:.1f} s of CPU time",
        flush=True,
    )
    if not count:
        return
    for tile in chosen[(count + 1) // 2 :]:
        alone.measure(series, tile)
    work = inner.pixels * args.dates
    print(f"Thousand pixels x dates written, in a second ({count} tiles for the encoder alone):")
    print("| clock | map | encoder on the same tiles | share | encoder without any halo | share |")
    print("| --- | --- | --- | --- | --- | --- |")
    for kind, (clock, taken) in enumerate((("wall", wall), ("CPU", cpu))):
        spatial, temporal = alone.seconds_per_pixel(kind)
        same = spatial * halo(tiles) * inner.pixels + temporal * inner.pixels
        bare = (spatial + temporal) * inner.pixels
        print(
            f"| {clock} | {work / taken / 1e3:.1f} | {work / same / 1e3:.1f} | "
            f"{100 * same / taken:.0f} % | {work / bare / 1e3:.1f} | {100 * bare / taken:.0f} % |"
        )
    spatial, temporal = alone.seconds_per_pixel(1)
    shares = {
        "spatial graph, pixels that are written": spatial * inner.pixels,
        "spatial graph, halo": spatial * inner.pixels * (halo(tiles) - 1),
        "temporal graph": temporal * inner.pixels,
        **meters.seconds,
    }
    shares["all else"] = cpu - sum(shares.values())
    print("| step | CPU time, s | share |")
    print("| --- | --- | --- |")
    for step, seconds in shares.items():
        print(f"| {step} | {seconds:.1f} | {100 * seconds / cpu:.1f} % |")


def mapped(
    args: argparse.Namespace,
    series: ImageSeries,
    encoder: Encoder,
    folder: Path,
    inner: Window,
    tile_size: int | tuple[int, int] | None,
) -> Path:
    """Return one run of `embed`."""
    path = folder / "map.tif"
    embed(
        SeriesFeatures(series, lambda: encoder),
        path,
        extent=series.grid.subgrid(inner).extent,
        budget=TileBudget(args.memory, tile_size),
        format=args.format,
        feedback=Progress(),
    )
    return path


class Progress(SilentFeedback):
    """A line whenever another twentieth is done."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._said = 0

    def progress(self, fraction: float) -> None:
        """See `Feedback`."""
        if int(20 * fraction) > self._said:
            self._said = int(20 * fraction)
            gone = time.perf_counter() - self._start
            print(
                f"  {5 * self._said} % after {gone:.0f} s, {gone / fraction - gone:.0f} s to go",
                file=sys.stderr,
                flush=True,
            )


def halo(tiles: list[Tile]) -> float:
    """Return pixels read for each that is written."""
    return sum(tile.read.pixels for tile in tiles) / sum(tile.inner.pixels for tile in tiles)


class InMemory:
    """The dates of one tile as arrays, read before the clock starts."""

    def __init__(self, series: ImageSeries, tile: Tile) -> None:
        self.days = series.days
        self.dates = series.dates
        self._images = [series.read(tile.read, index) for index in range(len(series.dates))]

    def read(self, _: Window, date: int) -> np.ndarray:
        """Return as `ImageSeries.read`."""
        return self._images[date]

    def reopen(self) -> InMemory:
        """Return as `ImageSeries.reopen`."""
        return self

    def __enter__(self) -> InMemory:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Alone:
    """The encoder alone on some tiles: nothing is read, nothing written."""

    def __init__(self, encoder: Encoder, cut: Tiling) -> None:
        self._encoder = encoder
        self._cut = cut
        self._spatial = np.zeros(2)  # seconds: wall, CPU
        self._temporal = np.zeros(2)
        self._read = self._written = 0

    def measure(self, series: ImageSeries, tile: Tile) -> None:
        """One more tile."""
        held: Any = InMemory(series, tile)
        strips = encode_strips(held, self._encoder, [tile], self._cut.rows, SilentFeedback())
        start = both_clocks()
        rows = self._cut.rows
        next(strips)  # after the spatial graph and the first strip of the temporal one
        first = both_clocks()
        for _ in strips:
            pass
        end = both_clocks()
        later = max(1, tile.inner.height - rows)
        strip = (end - first) * min(rows, tile.inner.height) / later
        self._spatial += first - start - strip
        self._temporal += end - first + strip
        self._read += tile.read.pixels
        self._written += tile.inner.pixels

    def seconds_per_pixel(self, clock: int) -> tuple[float, float]:
        """Return spatial graph, for a pixel read; temporal graph, for one written; all dates."""
        return self._spatial[clock] / self._read, self._temporal[clock] / self._written


def both_clocks() -> np.ndarray:
    """Return seconds: wall, CPU time of the process."""
    return np.array([time.perf_counter(), time.process_time()])


class Meters:
    """CPU time of steps that run in one thread each, from inside the map."""

    def __init__(self) -> None:
        self.seconds = {"reading": 0.0, "to bytes": 0.0, "writing": 0.0, "overviews": 0.0}

    @contextlib.contextmanager
    def attached(self) -> Iterator[None]:
        """While this is open, the steps are measured."""
        with contextlib.ExitStack() as stack:
            for owner, name, step, inside in (
                (ImageSeries, "read", "reading", ""),
                (Quantiser, "encode", "to bytes", ""),
                (RasterOutput, "write", "writing", ""),
                (RasterOutput, "__exit__", "writing", ""),
                (OverviewBlocks, "add", "overviews", "writing"),
                (OverviewBlocks, "finish", "overviews", "writing"),
                (output, "_halved", "overviews", "writing"),
            ):
                timed = self._timed(getattr(owner, name), step, inside)
                stack.enter_context(mock.patch.object(owner, name, timed))
            yield

    def _timed(self, function: Callable[..., Any], step: str, inside: str) -> Callable[..., Any]:
        def timed(*arguments: Any, **options: Any) -> Any:
            start = time.thread_time()
            try:
                return function(*arguments, **options)
            finally:
                taken = time.thread_time() - start
                self.seconds[step] += taken
                if inside:
                    self.seconds[inside] -= taken

        return timed


def make_series(folder: Path, rows: int, columns: int, dates: int) -> ImageSeries:
    """Smooth fields with noise, a file per date."""
    rng = np.random.default_rng(0)
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(32631)
    fields = rng.integers(300, 4500, (10, -(-rows // 16), -(-columns // 16)), dtype=np.int16)
    ground = fields.repeat(16, 1).repeat(16, 2)[:, :rows, :columns]
    options = ["TILED=YES", "COMPRESS=DEFLATE", "ZLEVEL=1", "NUM_THREADS=ALL_CPUS"]
    paths = []
    for number in range(dates):
        day = date(2019, 1, 3) + timedelta(days=5 * number)
        values = (ground + rng.integers(-150, 150, ground.shape, dtype=np.int16)).astype(np.uint16)
        path = str(folder / f"S2_{day:%Y%m%d}.tif")
        dataset = gdal.GetDriverByName("GTiff").Create(
            path, columns, rows, 10, gdal.GDT_UInt16, options
        )
        dataset.SetProjection(reference.ExportToWkt())
        dataset.SetGeoTransform((600000, 10, 0, 5000000, 0, -10))
        dataset.WriteArray(values)
        dataset = None
        paths.append(path)
    return build_series(paths, folder / "series.vrt")


def reset_peak() -> int:
    """Return bytes that this process holds; its peak is counted from here."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak_bytes()


def peak_bytes() -> int:
    """Return bytes that this process held at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024


if __name__ == "__main__":
    main()
