"""What a pixel without a value is: the one place that every reader and writer of a series asks.

Files say it in four ways: a nodata value that they declare, a mask (inside the file, in a `.msk`
beside it, or as an alpha band), NaN, and values that no reflectance has and that they do not
declare. The last are known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal

from .bands import canonical_band
from .rasters import open_raster, quiet_gdal, read_bands, stated_scale
from .sources.record import SourceBand

LOWEST = -0.2
"""Reflectance: correction of the atmosphere overshoots black by less than this."""
HIGHEST = 3.0
"""Reflectance: glint and slopes pass 1.0 and even 2.0, but 3.28 is 32767 and 6.55 is 65535."""
FULL = 65535.0
"""The highest of unsigned 16 bits: saturated, or another program's "no value"."""
FILLS = (-9999.0, -99999.0, -999999.0, -32768.0, -32767.0, -10000.0, -999.0)
"""What programs write for "no value" and do not always declare."""

_UNSIGNED = (gdal.GDT_Byte, gdal.GDT_UInt16, gdal.GDT_UInt32)
_EDGE = 32  # pixels: side of the windows in which zeros are looked for
_ENDS = (1.0, 10000.0)  # of reflectance and of DN, where exports cut bright clouds off
_FAR_ABOVE = 2.0  # times the highest value on land and clouds
_ZERO_SHARE = 0.005  # of the pixels of those windows: fewer zeros may be shadow or water


@dataclass(frozen=True)
class RawValues:
    """What the raw values of some bands of one acquisition mean: an entry per band, (B, 1, 1).

    Attributes:
        nodata: NaN where none is declared.
        full: the value of a saturated pixel; NaN where the data type has none.
        scale: reflectance = raw x scale + offset.
        offset: see scale.
        signed: whether raw values of a band may lie below 0.
    """

    nodata: NDArray[np.float32]
    full: NDArray[np.float32]
    scale: NDArray[np.float32]
    offset: NDArray[np.float32]
    signed: bool

    @classmethod
    def of(cls, bands: Sequence[gdal.Band]) -> RawValues:
        """Read what the bands state; scale 1 and offset 0 where they state none."""
        rows = []
        for band in bands:
            nodata, (scale, offset) = band.GetNoDataValue(), stated_scale(band)
            scale, offset = (1.0 if scale is None else scale), (0.0 if offset is None else offset)
            # Where 65535 passes HIGHEST it needs no test of its own.
            full = band.DataType == gdal.GDT_UInt16 and FULL * scale + offset <= HIGHEST
            rows.append(
                (np.nan if nodata is None else nodata, FULL if full else np.nan, scale, offset)
            )
        table = np.array(rows, dtype=np.float32).reshape(-1, 4)
        nodatas, fulls, scales, offsets = table.T[:, :, None, None]
        signed = any(band.DataType not in _UNSIGNED for band in bands)
        return cls(nodatas, fulls, scales, offsets, signed)

    def to_reflectance(self, values: NDArray[np.float32]) -> None:
        """Turn raw values, (B, H, W), into reflectance in place; NaN where there is no value.

        Files often hold more kinds of "no value" than the one that they declare. Besides that one
        these count as such: 0 in every band that has a value at all, which no sensor measures in
        so many bands, 65535 in unsigned 16 bits, and what would be reflectance below -0.2 or
        above 3.
        """
        # Each test is a walk over all values, so those that cannot apply are left out.
        missing = values == self.nodata
        if not np.isnan(self.full).all():
            missing |= values == self.full
        # A pixel that is 0 in every band is 0, NaN or missing in the first of them.
        if len(values) and not ((np.abs(values[0]) > 0) & ~missing[0]).all():
            missing |= ((values == 0) | missing | np.isnan(values)).all(axis=0)
        values *= self.scale
        values += self.offset
        missing |= values > HIGHEST
        if self.signed or self.offset.min(initial=0) < LOWEST:
            missing |= values < LOWEST
        values[missing] = np.nan


def no_value_table(
    record: SourceBand, nodata: float, scale: float, offset: float, zero_is_missing: bool
) -> str:
    """Build the GDAL LUT that maps every raw value without meaning to the nodata value.

    Return an empty string if the product's own metadata declare all of them.
    """
    dtype = record.dtype
    if (record.certain and not zero_is_missing) or dtype in (gdal.GDT_Byte, gdal.GDT_UInt32):
        return ""
    limits = np.finfo(np.float32)
    least, most, tiny = float(limits.min), float(limits.max), float(limits.tiny)
    highest = float(np.float32((HIGHEST - offset) / scale))
    zero_is_missing = zero_is_missing or record.nodata == 0
    zero = nodata if zero_is_missing else 0.0
    if dtype == gdal.GDT_UInt16:
        kept = float(min(np.floor(highest), FULL - 1))
        steps = [(0.0, zero), (1.0, 1.0), (kept, kept), (kept + 1, nodata), (FULL, nodata)]
        return _lut(list(dict(steps).items()))
    lowest = float(np.float32((LOWEST - offset) / scale))
    below = float(np.nextafter(np.float32(lowest), limits.min))
    above = float(np.nextafter(np.float32(highest), limits.max))
    steps = [(least, nodata), (below, nodata), (lowest, lowest)]
    if (zero_is_missing or np.isnan(nodata)) and lowest < 0:
        steps += [(-tiny, -tiny), (0.0, nodata), (tiny, tiny)]
    return _lut([*steps, (highest, highest), (above, nodata), (most, nodata)])


def _lut(steps: Sequence[tuple[float, float]]) -> str:
    return ",".join(f"{float(raw)!r}:{float(to)!r}" for raw, to in steps)


def has_mask(band: gdal.Band) -> bool:
    """Return whether a mask, in the file or in a `.msk` beside it, marks pixels with a value."""
    return not band.GetMaskFlags() & (gdal.GMF_ALL_VALID | gdal.GMF_NODATA | gdal.GMF_ALPHA)


def is_alpha(band: gdal.Band) -> bool:
    """Return whether a band is an alpha band, and no band of Sentinel-2 that is taken for one."""
    return (
        band.GetColorInterpretation() == gdal.GCI_AlphaBand
        and canonical_band(band.GetDescription()) is None
    )


def alpha_band(dataset: gdal.Dataset) -> int:
    """Return the GDAL number of the alpha band, 0 if there is none.

    GDAL makes a mask of it in datasets of two and four bands only.
    """
    numbers = range(1, dataset.RasterCount + 1)
    return next((n for n in numbers if is_alpha(dataset.GetRasterBand(n))), 0)


def is_hidden(
    dataset: gdal.Dataset, record: SourceBand, col: int, row: int, width: int, height: int
) -> NDArray[np.bool_]:
    """Return, `(height, width)`, the pixels of a window that a mask or an alpha band hides."""
    band = dataset.GetRasterBand(record.alpha or record.index)
    if record.masked and not record.alpha:
        band = band.GetMaskBand()
    flags = None
    if record.masked or record.alpha:
        with quiet_gdal():
            flags = band.ReadRaster(col, row, width, height, buf_type=gdal.GDT_UInt16)
    if flags is None:
        return np.zeros((height, width), dtype=bool)
    return np.asarray(np.frombuffer(flags, dtype=np.uint16).reshape(height, width) == 0)


def zeros_are_missing(records: Sequence[SourceBand]) -> bool:
    """Return whether an image that declares another nodata value, or none, plainly holds 0 for it.

    That is so where many pixels along its edges are 0 in all of its finest bands. It matters where
    bands of several resolutions are laid on one grid: resampling smears the zeros of the coarse
    ones before anybody can compare them with the fine ones.

    Args:
        records: the bands of one image.
    """
    fine = _finest(records)
    if len(fine) == len(records):
        return False
    return any(value == 0 for value in _constant_pixels(fine)[0])


def image_fill(records: Sequence[SourceBand]) -> float | None:
    """Return the value that an image plainly holds for no value, declaring none; None if none.

    Along its edges all of its finest bands hold it in many pixels, and it lies below 0 or far above
    all other values: 1e20, 32767, -1. Zeros are known anyway, and what may be a cloud stays.

    Args:
        records: the bands of one image.
    """
    found, others = _constant_pixels(_finest(records))
    values, counts = np.unique(found, return_counts=True)
    for value in values[np.argsort(-counts)]:
        if value in _ENDS:
            continue
        below = value < 0 and (not others.size or value < others.min())
        if below or (others.size and value > _FAR_ABOVE * max(others.max(), 0) > 0):
            return float(value)
    return None


def _finest(records: Sequence[SourceBand]) -> list[SourceBand]:
    finest = min(records, key=lambda record: record.grid.pixel_size[0]).grid
    return [record for record in records if record.grid == finest]


def _constant_pixels(
    records: Sequence[SourceBand],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return values that many pixels along the edges hold in all bands, and all other values.

    Both are empty if there are few such pixels, or fewer than two bands.

    Args:
        records: bands on one grid.
    """
    none = np.empty(0, np.float32), np.empty(0, np.float32)
    if len(records) < 2:
        return none
    grid = records[0].grid
    width, height = min(grid.width, _EDGE), min(grid.height, _EDGE)
    spots = [  # the edge of a swath, or of a polygon, leaves a corner empty
        (int((grid.width - width) * x), int((grid.height - height) * y))
        for x, y in ((0.0, 0.0), (1.0, 0.0), (0.5, 0.5), (0.0, 1.0), (1.0, 1.0))
    ]
    opened: dict[str, gdal.Dataset] = {}
    bands: list[NDArray[np.float32]] = []
    same: NDArray[np.bool_] = np.ones(0, bool)
    for record in records:
        if record.dataset_name not in opened:
            opened[record.dataset_name] = open_raster(record.dataset_name, record.open_options)
        dataset = opened[record.dataset_name]
        read = [read_bands(dataset, [record.index], *spot, width, height) for spot in spots]
        bands.append(np.concatenate(read).ravel())
        same = (same & (bands[-1] == bands[0])) if len(bands) > 1 else np.isfinite(bands[0])
        if same.mean() < _ZERO_SHARE:
            return none
    values, counts = np.unique(bands[0][same], return_counts=True)
    often = values[counts >= _ZERO_SHARE * same.size]
    rest = np.concatenate([band[np.isfinite(band) & ~np.isin(band, often)] for band in bands])
    return bands[0][same & np.isin(bands[0], often)], rest


def undeclared_fill(values: NDArray[np.float64]) -> float | None:
    """Return the value that plainly stands for "no value" among measured ones; None if none does.

    It is the lowest of them, one of those that programs write for it, and either the only one
    below 0, or farther from the next value than all others are from each other.
    """
    known = np.unique(values[np.isfinite(values)])
    if len(known) < 3 or known[0] not in FILLS:
        return None
    apart = known[1] >= 0 or known[1] - known[0] > known[-1] - known[1]
    return float(known[0]) if apart else None
