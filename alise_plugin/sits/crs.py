"""Coordinate reference systems with x (or longitude) first, and the way from one to another."""

from __future__ import annotations

from osgeo import osr

from ..errors import SeriesError
from .rasters import quiet_gdal


def reference_of(crs: str) -> osr.SpatialReference:
    """Return a CRS as a user or a file writes it (EPSG:32631, WKT, PROJ), its axes x, y.

    Raises:
        SeriesError: nobody knows that CRS.
    """
    reference = osr.SpatialReference()
    known = False
    with quiet_gdal():
        known = reference.SetFromUserInput(crs) == 0
    if not known:
        raise SeriesError(f"{crs[:80]!r} is no CRS; write for example EPSG:32631.")
    reference.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    return reference


def transformation(
    source: str | osr.SpatialReference, target: str | osr.SpatialReference
) -> osr.CoordinateTransformation:
    """Return the way from one CRS to another, x (or longitude) first in both.

    Args:
        source, target: WKT, or a reference that the caller has.
    """
    references = []
    for crs in (source, target):
        reference = reference_of(crs) if isinstance(crs, str) else crs.Clone()
        reference.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
        references.append(reference)
    return osr.CoordinateTransformation(*references)
