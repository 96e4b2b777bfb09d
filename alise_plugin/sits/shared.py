"""Acquisitions that two image series have in common, pixel for pixel."""

from __future__ import annotations

import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Hashable

from osgeo import gdal

from .series import ImageSeries

# A file inside a GDAL dataset name: NETCDF:"cube.nc":B4.
_QUOTED = re.compile(r'"(.+)"')


def shared_acquisitions(first: ImageSeries, second: ImageSeries) -> dict[int, int]:
    """Which acquisitions of the second series are acquisitions of the first.

    They are where the date, the grid, the file, its bands and their scale are the same; a copy of
    a file under another name counts as another file.

    Returns:
        Place in the second series -> place in the first.
    """
    if type(first) is not type(second) or not first.grid.same_grid(second.grid):
        return {}
    places = {_identity(first, index): index for index in range(len(first.dates))}
    found = {index: places.get(_identity(second, index)) for index in range(len(second.dates))}
    return {index: place for index, place in found.items() if place is not None}


def _identity(series: ImageSeries, acquisition: int) -> Hashable:
    """Everything that decides the values of an acquisition."""
    item = series._acquisitions[acquisition]
    dataset = series._dataset
    assert dataset is not None
    bands = tuple(
        (plane, repr(nodata), float(scale), float(offset), *_origin(series.path, dataset, index))
        for plane, index, nodata, scale, offset in zip(
            item.planes, item.indices, item.nodata, item.scale, item.offset
        )
    )
    return item.day, bands


def _origin(path: str, dataset: gdal.Dataset, index: int) -> tuple[Hashable, ...]:
    """File and band behind a band: the sources of a VRT, else the file itself."""
    sources = dataset.GetRasterBand(index).GetMetadata("vrt_sources") or {}
    if not sources:
        return os.path.realpath(path), index
    folder = os.path.dirname(os.path.abspath(path))
    return tuple(_source(ET.fromstring(text), folder) for text in sources.values())


def _source(element: ET.Element, folder: str) -> tuple[Hashable, ...]:
    name = element.find("SourceFilename")
    text = (name.text or "") if name is not None else ""
    if name is not None and name.get("relativeToVRT") == "1":
        quoted = _QUOTED.search(text)
        file = quoted[1] if quoted else text
        text = text.replace(file, os.path.realpath(os.path.join(folder, file)))
    rectangles = [
        tuple(sorted((key, float(value)) for key, value in element.find(tag).items()))  # type: ignore[union-attr]
        for tag in ("SrcRect", "DstRect")
        if element.find(tag) is not None
    ]
    return element.tag, text, element.findtext("SourceBand"), *rectangles
