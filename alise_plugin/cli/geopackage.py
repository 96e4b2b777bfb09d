"""GeoPackages that appear under their name when they are complete, or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

from osgeo import ogr

from ..errors import OutputError
from ..sits.rasters import quiet_gdal


def write_geopackage(path: str, fill: Callable[[ogr.DataSource], None]) -> None:
    """Write a GeoPackage under a temporary name and move it to its own.

    Args:
        path: the final name.
        fill: makes the layers; it keeps none of them, for the file is closed after it.

    Raises:
        OutputError: it cannot be written.
    """
    temporary = f"{path}.{os.getpid()}.partial.gpkg"
    try:
        with quiet_gdal() as failures:
            made = ogr.GetDriverByName("GPKG").CreateDataSource(temporary)
            if made is not None:
                fill(made)
            del made
        if failures:
            raise OSError(0, failures[0])
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror}).") from error
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            with contextlib.suppress(OSError):
                os.remove(temporary + suffix)
