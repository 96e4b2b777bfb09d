"""What a series of an area costs: requests, seconds and bytes, on a STAC API on loopback.

    python -m benchmarks.area [--latency 0.05] [--dates 8]

Then the rate of copying a square of ten kilometres without latency, beside `gdal_translate -srcwin`
of the same windows one after another.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from statistics import mean

from osgeo import gdal

from alise_plugin import open_series, run
from alise_plugin.sentinel2 import BANDS
from alise_plugin.sits.area.area import Area
from alise_plugin.sits.grid import Grid, Window
from tests.helpers.stac_server import COLLECTION, CORNER, EPSG, StacServer, stac_server, tile_item

FIRST = date(2023, 3, 1)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--latency", type=float, default=0.05, help="seconds of each answer")
    parser.add_argument("--dates", type=int, default=8)
    parser.add_argument("--side", type=int, default=1024, help="pixels of a tile")
    parser.add_argument("--block", type=int, default=512, help="pixels of a block of its files")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, stac_server(Path(scratch)) as server:
        for number in range(given.dates):
            day = FIRST + timedelta(days=5 * number)
            tile_item(server, day, side=given.side, block=given.block)
        server.trouble.latency = given.latency
        left, top = CORNER[0] + 3000, CORNER[1] - 3000
        small = (left, top - 1280, left + 1280, top)
        seconds = timed(server, small, Path(scratch) / "small")
        requests = server.per_file()
        touched = block_bytes(server, small)
        print(f"{given.dates} dates, {len(requests)} files, {given.latency * 1e3:.0f} ms an answer")
        print(
            f"seconds {seconds:.1f}; requests a file {mean(requests.values()):.2f}, at most "
            f"{max(requests.values())}; answers 404: {server.statuses()[404]}; bytes "
            f"{server.sent / touched:.2f} times those of the blocks that the window touches"
        )
        seconds = read_remotely(server, small, Path(scratch) / "remote")
        requests = server.per_file()
        print(
            f"read from the service (COPY off): seconds {seconds:.1f}; requests a file "
            f"{mean(requests.values()):.2f}, at most {max(requests.values())}; answers 404: "
            f"{server.statuses()[404]}"
        )
        server.trouble.latency = 0.0
        side = given.side * 10
        whole = (CORNER[0] + 200, CORNER[1] - side + 200, CORNER[0] + side - 200, CORNER[1] - 200)
        gdal.VSICurlClearCache()
        ours = timed(server, whole, Path(scratch) / "whole")
        gdal.VSICurlClearCache()
        theirs = one_by_one(server, whole, Path(scratch))
        print(
            f"{side / 1e3:.0f} km square, no latency: {theirs / ours:.2f} times the rate of "
            f"gdal_translate -srcwin one after another ({ours:.1f} and {theirs:.1f} s)"
        )


def read_remotely(server: StacServer, box: tuple[float, ...], folder: Path) -> float:
    """Return the seconds of reading all of a series whose files stay on the server."""
    timed(server, box, folder, copy=False)
    server.requests.clear()
    gdal.VSICurlClearCache()
    start = time.perf_counter()
    with open_series(folder / "series.vrt") as series:
        series.read_all(series.grid.window)
    return time.perf_counter() - start


def timed(server: StacServer, box: tuple[float, ...], folder: Path, copy: bool = True) -> float:
    """Return the seconds of a run."""
    folder.mkdir()
    server.requests.clear()
    server.sent = 0
    start = time.perf_counter()
    run(
        "seriesofarea",
        AREA=lonlat(box),
        START=FIRST,
        END=FIRST + timedelta(days=365),
        SERVICE="other",
        ADDRESS=server.api,
        COLLECTION=COLLECTION,
        FOLDER=folder / "images",
        OUTPUT=folder / "series.vrt",
        COPY=copy,
    )
    return time.perf_counter() - start


def lonlat(box: tuple[float, ...]) -> tuple[float, float, float, float]:
    """Return a box of the tiles' CRS in degrees."""
    return Area((box[0], box[1], box[2], box[3]), f"EPSG:{EPSG}").lonlat()


def files(server: StacServer) -> list[Path]:
    """Return the files of all acquisitions."""
    names = (*BANDS, "SCL")
    folders = sorted((server.folder / "files" / "tiles").iterdir())
    return [folder / f"{name}.tif" for folder in folders for name in names]


def window_in(path: Path, box: tuple[float, ...]) -> tuple[gdal.Dataset, Window]:
    """Return an opened file, and the window that a run copies of it."""
    source = gdal.Open(str(path))
    window = Area(lonlat(box), "EPSG:4326").window(Grid.from_dataset(source, path.name))
    assert window is not None
    return source, window


def block_bytes(server: StacServer, box: tuple[float, ...]) -> int:
    """Return the bytes of the blocks that the windows touch."""
    total = 0
    for path in files(server):
        source, window = window_in(path, box)
        band = source.GetRasterBand(1)
        width, height = band.GetBlockSize()
        for row in range(window.row // height, -(-window.row_end // height)):
            for col in range(window.col // width, -(-window.col_end // width)):
                total += int(band.GetMetadataItem(f"BLOCK_SIZE_{col}_{row}", "TIFF") or 0)
    return total


def one_by_one(server: StacServer, box: tuple[float, ...], folder: Path) -> float:
    """Return the seconds of gdal_translate on each window."""
    start = time.perf_counter()
    for number, path in enumerate(files(server)):
        _, window = window_in(path, box)
        address = f"/vsicurl/{server.address}/{path.relative_to(server.folder).as_posix()}"
        size = [str(n) for n in (window.col, window.row, window.width, window.height)]
        command = ["gdal_translate", "-q", "-of", "COG", "-co", "COMPRESS=DEFLATE"]
        command += ["-co", "PREDICTOR=YES", "-co", "OVERVIEWS=NONE", "-srcwin", *size]
        command += ["--config", "GDAL_DISABLE_READDIR_ON_OPEN", "EMPTY_DIR"]
        subprocess.run([*command, address, str(folder / f"{number}.tif")], check=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
