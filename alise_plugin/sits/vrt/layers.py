"""The acquisitions of a series and the layers that each is composed of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from ..sources.record import SourceBand

USABLE, UNUSABLE, CLOUD = 0, 1, 2
"""What a mask band says of a pixel; where there is no mask, it is usable."""


@dataclass(frozen=True)
class Layer:
    """A source band with everything about its values settled.

    Attributes:
        source: where it lies.
        nodata: raw value that means "no value"; NaN where only NaN does.
        scale: reflectance = raw x scale + offset.
        offset: see scale.
        zero_is_missing: raw 0 means "no value" too, as the image plainly shows.
    """

    source: SourceBand
    nodata: float
    scale: float
    offset: float
    zero_is_missing: bool = False


@dataclass(frozen=True)
class Acquisition:
    """One date of a series.

    Attributes:
        day: acquisition date.
        layers: band name to the layers that make the band, the last on top; a band that is not
            there becomes a band that holds only "no value".
        masks: the products' masks, the last on top.
    """

    day: date
    layers: Mapping[str, Sequence[Layer]]
    masks: Sequence[SourceBand] = ()
