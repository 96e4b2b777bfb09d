"""What a raster holds: bands, type, nodata, scale, legend and metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class RasterForm:
    """What a raster holds, apart from its pixels.

    Attributes:
        descriptions: one per band.
        dtype: an integer of 8 (unsigned), 16 or 32 bits, or float32.
        nodata: raw value that means "no value".
        scale: per band, value = raw x scale + offset; empty for none.
        offset: per band.
        metadata: items of the raster.
        categories: names of the values of the first band, for a class map.
        colors: (red, green, blue), 0 to 255, of these values.
        overviews: "average" of the pixels that have a value, "nearest", or "" for none; then
            windows must be written on multiples of 16 pixels.
        fast: compress for speed (ZSTD where this GDAL has it), for features whose noise does not
            get much smaller anyway.
        style: how QGIS shows it, see `style`; empty for none.
    """

    descriptions: Sequence[str]
    dtype: np.dtype[Any]
    nodata: float
    scale: Sequence[float] = ()
    offset: Sequence[float] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    categories: Mapping[int, str] = field(default_factory=dict)
    colors: Mapping[int, tuple[int, int, int]] = field(default_factory=dict)
    overviews: str = ""
    fast: bool = False
    style: str = ""
