"""Finished tiles of a raster as files of their own, beside it: to go on later, or to share out."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal

from ...errors import OutputError, SeriesError
from ...sits.grid import Tile, Window
from ...sits.rasters import open_raster, quiet_gdal
from ...whole_files import whole_file
from ..rasters.style import remove_raster_style

JOURNAL = "journal.json"


_SCHEMA = 3


class BlockFolder:
    """The folder `<output>.blocks`: one GeoTIFF per finished tile, and a journal.

    A tile's file appears when it is complete, so what is there is done. The journal says what the
    run is; another run does not go on with it.

    Attributes:
        path: the folder.
        decisions: what the run decided at its start and a later one has to keep.
    """

    def __init__(self, output: str | os.PathLike[str]) -> None:
        self.path = f"{os.fspath(output)}.blocks"
        self.decisions: dict[str, Any] = {}
        self._output = os.fspath(output)

    def found(self, run: Mapping[str, Any]) -> bool:
        """Return whether an earlier run left blocks to go on with; then `decisions` are that run's.

        Args:
            run: what makes a run the same run, as JSON knows it.

        Raises:
            OutputError: the folder holds blocks of another run, or something else.
        """
        if not os.path.exists(self.path):
            return False
        try:
            with open(os.path.join(self.path, JOURNAL), encoding="utf-8") as file:
                content = json.load(file)
            same = content["schema"] == _SCHEMA and content["run"] == json.loads(json.dumps(run))
            self.decisions = dict(content["decisions"])
        except (OSError, ValueError, KeyError, TypeError):
            same = False
        if not same:
            raise OutputError(
                f"{self.path} holds the blocks of another run (other files, series, dates, model, "
                "precision, extent or format), so that this one cannot go on with them; delete "
                "that folder, or choose another output."
            )
        return True

    def begin(self, run: Mapping[str, Any], decisions: Mapping[str, Any]) -> None:
        """Make the folder with its journal, which appear together.

        Raises:
            OutputError: it cannot be made.
        """
        self.decisions = json.loads(json.dumps(dict(decisions)))
        content = {"schema": _SCHEMA, "run": dict(run), "decisions": self.decisions}
        work = f"{self.path}.{uuid.uuid4().hex[:8]}"
        try:
            os.mkdir(work)
            with open(os.path.join(work, JOURNAL), "w", encoding="utf-8") as file:
                json.dump(content, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            os.rename(work, self.path)
        except OSError as error:
            shutil.rmtree(work, ignore_errors=True)
            raise OutputError(
                f"{self.path} cannot be made ({error.strerror}); choose a folder that is writable "
                "and has room."
            ) from error

    def block(self, tile: Tile) -> str:
        """Return path of a tile's file, by its first row and column in the series."""
        return os.path.join(self.path, f"r{tile.inner.row:06d}_c{tile.inner.col:06d}.tif")

    def missing(self, tiles: Sequence[Tile]) -> list[Tile]:
        """Return tiles that are not there yet; what broken writing left of others is removed."""
        with contextlib.suppress(OSError):
            for name in os.listdir(self.path):
                if ".partial." in name:
                    os.remove(os.path.join(self.path, name))
        return [tile for tile in tiles if not os.path.exists(self.block(tile))]

    def strips(
        self, tiles: Sequence[Tile], rows: int
    ) -> Iterator[tuple[Tile, Window, NDArray[Any]]]:
        """Yield the raw values of finished tiles, a few rows at a time.

        Raises:
            OutputError: a block cannot be read.
        """
        for tile in tiles:
            try:
                dataset = open_raster(self.block(tile))
            except SeriesError as error:
                raise _broken(self.block(tile)) from error
            inner = tile.inner
            for top in range(0, inner.height, rows):
                height = min(rows, inner.height - top)
                values = _read_raw(dataset, Window(0, top, inner.width, height))
                yield tile, Window(inner.col, inner.row + top, inner.width, height), values

    def mosaic_vrt(self, tiles: Sequence[Tile], like: Mapping[str, str]) -> None:
        """Make the output a VRT of the blocks, which stay where they are.

        Args:
            tiles: all of them.
            like: metadata items of the mosaic.

        Raises:
            OutputError: it cannot be written.
        """
        paths = [self.block(tile) for tile in tiles]
        made = None
        with whole_file(self._output, ".vrt") as temporary:
            with quiet_gdal() as failures:
                first = gdal.Open(paths[0])
                made = gdal.BuildVRT(temporary, paths, options=gdal.BuildVRTOptions())
                if made is not None:
                    made.SetMetadata(dict(like))
                    for index in range(1, made.RasterCount + 1):
                        band, source = made.GetRasterBand(index), first.GetRasterBand(index)
                        band.SetDescription(source.GetDescription())
                        if source.GetScale() is not None:
                            band.SetScale(source.GetScale())
                            band.SetOffset(source.GetOffset() or 0.0)
                    made.FlushCache()
            if made is None or failures:
                raise OSError(0, failures[0] if failures else "unknown")
            del made
        remove_raster_style(self._output)  # of an older raster of that name

    def remove(self) -> None:
        """Remove the folder, once the output is complete."""
        shutil.rmtree(self.path, ignore_errors=True)


def _read_raw(dataset: gdal.Dataset, window: Window) -> NDArray[Any]:
    """Return `(bands, H, W)` in the type of the raster."""
    kind = dataset.GetRasterBand(1).DataType
    types = {gdal.GDT_Byte: np.uint8, gdal.GDT_Float32: np.float32}
    values = np.empty((dataset.RasterCount, window.height, window.width), types[kind])
    done = None
    with quiet_gdal() as failures:
        done = dataset.ReadRaster(
            window.col, window.row, window.width, window.height, buf_type=kind, buf_obj=values
        )
    if done is None or failures:
        raise _broken(dataset.GetDescription())
    return values


def _broken(block: str) -> OutputError:
    return OutputError(f"{block} cannot be read; delete it and run again with RESUME.")
