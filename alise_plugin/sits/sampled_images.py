"""Small samples of images, by which statements about their values are checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal

from .network import is_remote
from .no_value import FULL, is_hidden
from .rasters import is_integer, open_raster, read_bands
from .sources.record import SourceBand

DARK_BANDS = ("B02", "B03", "B04")
"""Bands in which water, shadow or leaves are nearly black."""
OFFSET_SINCE = date(2022, 1, 25)
"""First day of processing baseline 04.00, whose DN = 10000 x reflectance + 1000."""
DARKEST = 1.0
"""Per cent of the pixels: one pixel is noise, the lowest hundredth is not."""

_SHARES = (DARKEST, 10.0, 50.0, 99.0)  # per cent
_TINY = 1000  # pixels
_SAMPLE = 64  # pixels: side of the windows that are looked at
_LOWEST_DN = -2000  # below are the ways to write "no value" that no file declares


def sampled_values(
    record: SourceBand, opened: dict[str, gdal.Dataset] | None = None
) -> NDArray[np.float32]:
    """Return the raw values, 1-D and without "no value", of a few windows spread over a record.

    Args:
        record: the band.
        opened: datasets by name, so that the bands of a file share GDAL's blocks; grows.
    """
    opened = {} if opened is None else opened
    dataset = opened.get(record.dataset_name)
    if dataset is None:
        dataset = open_raster(record.dataset_name, record.open_options)
        opened[record.dataset_name] = dataset
    width, height = min(record.grid.width, _SAMPLE), min(record.grid.height, _SAMPLE)
    found = []
    for col, row in dict.fromkeys(
        (int((record.grid.width - width) * part), int((record.grid.height - height) * part))
        for part in (0.5, 0.25, 0.75, 0.0, 1.0)
    ):
        values = read_bands(dataset, [record.index], col, row, width, height)[0]
        valid = np.isfinite(values) & (values != record.nodata)
        valid &= (values != 0) & (values > _LOWEST_DN)
        if record.dtype == gdal.GDT_UInt16:
            valid &= values != FULL
        valid &= ~is_hidden(dataset, record, col, row, width, height)
        found.append(values[valid])
    return np.concatenate(found)


@dataclass(frozen=True)
class Sample:
    """What is kept of the raw values of a band that were looked at.

    Attributes:
        count: how many they are.
        lows: share (per cent) of them to the value below which it lies.
        whole: whether all are whole numbers.
    """

    count: int
    lows: dict[float, float]
    whole: bool

    @classmethod
    def of(cls, values: NDArray[np.float32]) -> Sample:
        """Sum up raw values."""
        lows = np.percentile(values, _SHARES).tolist() if values.size else []
        return cls(values.size, dict(zip(_SHARES, lows)), bool((values == np.rint(values)).all()))


class SampledImage:
    """The bands of one date and scene that state one scale and offset.

    Attributes:
        indices: positions of its records among all.
        scale: as stated, or corrected.
        offset: as stated, or corrected.
    """

    def __init__(self, scale: float, offset: float) -> None:
        self.indices: list[int] = []
        self.records: list[SourceBand] = []
        self.scale = scale
        self.offset = offset
        self._samples: dict[str, Sample] = {}
        self._opened: dict[str, gdal.Dataset] = {}

    @property
    def first(self) -> SourceBand:
        """Return the first band."""
        return self.records[0]

    @property
    def name(self) -> str:
        """Return the name of the image."""
        return self.first.name

    @property
    def remote(self) -> bool:
        """Return whether the image lies on a server."""
        return is_remote(self.first.path)

    @property
    def recent(self) -> bool:
        """Return whether the image is of a baseline or day from which DN hold an offset."""
        return self.first.may_hold_offset or self.first.day >= OFFSET_SINCE

    def bands(self, wanted: Sequence[str]) -> list[str]:
        """Return those of some bands whose looked-at windows hold values."""
        held = {record.band for record in self.records}
        return [band for band in wanted if band in held and self._sample(band).count]

    def low(self, band: str, share: float = DARKEST) -> float:
        """Return the reflectance below which a share (per cent) of a band lies."""
        return self._sample(band).lows[share] * self.scale + self.offset

    def lows(self, bands: Sequence[str]) -> dict[str, float]:
        """Return the darkest hundredth of those of some bands that hold values."""
        return {band: self.low(band) for band in self.bands(bands)}

    def whole_numbers(self) -> bool:
        """Return whether the dark bands hold whole numbers only."""
        return all(self._sample(band).whole for band in self.bands(DARK_BANDS))

    def close(self) -> None:
        """Let go of the files."""
        self._opened.clear()

    def is_tiny(self) -> bool:
        """Return whether too few pixels were looked at to hold water, shadow or leaves for sure."""
        return max(self._sample(band).count for band in self.bands(DARK_BANDS)) < _TINY

    def _sample(self, band: str) -> Sample:
        if band not in self._samples:
            records = [record for record in self.records if record.band == band]
            parts = [sampled_values(record, self._opened) for record in records]
            self._samples[band] = Sample.of(np.concatenate(parts))
        return self._samples[band]


def sampled_images(records: Sequence[SourceBand], certain: bool) -> list[SampledImage]:
    """Return the images of all records that state values, or only of those that are certain.

    Those that their archive settles are left out: nobody needs to open them.
    """
    images: dict[tuple[object, ...], SampledImage] = {}
    for index, record in enumerate(records):
        if record.scale is None or record.offset is None or record.settled:
            continue
        if certain and not record.certain:
            continue
        key = (
            record.day,
            record.product.scene,
            round(record.scale, 9),
            round(record.offset, 6),
            is_integer(record.dtype),
        )
        image = images.setdefault(key, SampledImage(record.scale, record.offset))
        image.indices.append(index)
        image.records.append(record)
    return list(images.values())


def spread_images(images: Sequence[SampledImage], count: int) -> list[SampledImage]:
    """Return at most `count` of the images, at even steps."""
    return list(images[:: max(1, -(-len(images) // count))])
