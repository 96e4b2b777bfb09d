"""GeoPackages that appear under their name when they are complete, or not at all."""

from __future__ import annotations

from collections.abc import Callable

from osgeo import ogr

from ..sits.rasters import quiet_gdal
from ..whole_files import whole_file


def write_geopackage(path: str, fill: Callable[[ogr.DataSource], None]) -> None:
    """Write a GeoPackage under a temporary name and move it to its own.

    Args:
        path: the final name.
        fill: makes the layers; it keeps none of them, for the file is closed after it.

    Raises:
        OutputError: it cannot be written.
    """
    with whole_file(path, ".gpkg") as temporary:
        with quiet_gdal() as failures:
            made = ogr.GetDriverByName("GPKG").CreateDataSource(temporary)
            if made is not None:
                fill(made)
            del made
        if failures:
            raise OSError(0, failures[0])
