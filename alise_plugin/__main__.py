"""`python -m alise_plugin`: the algorithms without QGIS."""

from __future__ import annotations

from osgeo import gdal, ogr, osr

from .cli.main import main

if __name__ == "__main__":
    for module in (gdal, ogr, osr):
        # What they do anyway; unless it is said, GDAL 3.9 and later warn about it on every run.
        module.DontUseExceptions()
    raise SystemExit(main())
