"""`alise`, or `python -m alise_plugin`: the operations without QGIS."""

from __future__ import annotations

import sys


def run() -> int:
    """Run the command of the command line; return its exit code."""
    try:
        from osgeo import gdal, ogr, osr
    except ImportError:
        print(
            "alise: GDAL's Python bindings are not there; install Debian's python3-gdal and make "
            "the environment with --system-site-packages, or install gdal from conda-forge.",
            file=sys.stderr,
        )
        return 1
    for module in (gdal, ogr, osr):
        # What they do anyway; unless it is said, GDAL 3.9 and later warn about it on every run.
        module.DontUseExceptions()
    from .cli.main import main

    return main()


if __name__ == "__main__":
    raise SystemExit(run())
