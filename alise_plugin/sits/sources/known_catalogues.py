"""Public archives whose address and processing baseline decide what raw values mean.

Opening each remote asset only to look at its pixels takes minutes for a year of images. That is
needed where a catalogue is known to be wrong, as Earth Search is of some items since baseline
04.00 (element84/earth-search issues 66 and 71), and for archives that nobody knows.
"""

from __future__ import annotations

from dataclasses import dataclass

from osgeo import gdal

from ...sentinel2 import BANDS
from ..statements import DN_SCALE, OFFSET
from .safe import OFFSET_BASELINE

# Planetary Computer: the images of ESA as they are, of which its items state no values at all.
_AS_ESA = "//sentinel2l2a01.blob.core.windows.net/"
# Earth Search, collection sentinel-2-c1-l2a: one processing, and items that state its offset.
_COLLECTION_1 = "e84-earth-search-sentinel-data"
# Earth Search, collection sentinel-2-l2a.
_EARTH_SEARCH = "sentinel-cogs"


@dataclass(frozen=True)
class KnownValues:
    """What an archive holds.

    Attributes:
        scale: reflectance = raw x scale + offset.
        offset: see scale.
        nodata: raw value without meaning.
        dtype: GDAL data type.
    """

    scale: float
    offset: float
    nodata: float
    dtype: int


def known_values(
    target: str, band: str, baseline: str, scale: float | None, offset: float | None
) -> KnownValues | None:
    """Return what a remote asset holds where its archive decides it; None where pixels must tell.

    Args:
        target: what GDAL opens.
        band: a name of BANDS or of a mask.
        baseline: of the processing; empty if the item does not state it.
        scale, offset: as the item states them; None if it does not.
    """
    if not target.startswith("/vsi") or not baseline:
        return None
    dtype = gdal.GDT_UInt16 if band in BANDS else gdal.GDT_Byte
    late = baseline >= OFFSET_BASELINE
    if _AS_ESA in target and scale is None and offset is None:
        return KnownValues(DN_SCALE, OFFSET if late else 0.0, 0.0, dtype)
    if scale is None or offset is None:
        return None
    trusted = _COLLECTION_1 in target or (_EARTH_SEARCH in target and not late and offset == 0)
    return KnownValues(scale, offset, 0.0, dtype) if trusted else None
