"""Acquisitions that two image series have in common, pixel for pixel."""

from __future__ import annotations

import os
import re
import xml.etree.ElementTree as ET  # nosec B405  # entities: see parse_xml
from collections.abc import Hashable

from osgeo import gdal

from ..xml_elements import parse_xml
from .rasters import open_raster
from .series import ImageSeries

# A file inside a GDAL dataset name: NETCDF:"cube.nc":B4.
_QUOTED = re.compile(r'"(.+)"')
# What a VRT repeats of a source's file, and what says where that is.
_NOT_VALUES = ("SourceProperties", "SourceFilename", "SourceBand")


def shared_acquisitions(first: ImageSeries, second: ImageSeries) -> dict[int, int]:
    """Return which acquisitions of the second series are acquisitions of the first.

    They are where the date, the grid, the files, their bands, masks and scale are the same; a copy
    of a file under another name counts as another file, and so does a band that was warped.

    Returns:
        Place in the second series -> place in the first.
    """
    if type(first) is not type(second) or not first.grid.same_grid(second.grid):
        return {}
    origins = _Origins()
    places = {origins.identity(first, index): index for index in range(len(first.dates))}
    found = {
        index: places.get(origins.identity(second, index)) for index in range(len(second.dates))
    }
    return {index: place for index, place in found.items() if place is not None}


class _Origins:
    """Where pixels come from, through VRTs to files."""

    def __init__(self) -> None:
        self._helpers: dict[str, gdal.Dataset] = {}

    def identity(self, series: ImageSeries, acquisition: int) -> Hashable:
        """Return everything that decides the values of an acquisition."""
        item = series._acquisitions[acquisition]
        dataset = series._dataset
        assert dataset is not None  # nosec B101  # narrows a type
        raw = item.raw
        stated = (part.ravel() for part in (raw.nodata, raw.scale, raw.offset))
        bands = tuple(
            (plane, repr(nodata), float(scale), float(offset), self._of(series.path, dataset, band))
            for plane, band, nodata, scale, offset in zip(item.planes, item.indices, *stated)
        )
        return item.day, bands

    def _of(self, path: str, dataset: gdal.Dataset, band: int) -> Hashable:
        """Return file and band behind a band: the sources of a VRT, else the file itself."""
        sources = dataset.GetRasterBand(band).GetMetadata("vrt_sources") or {}
        if not sources:
            return os.path.realpath(path), band
        folder = os.path.dirname(os.path.abspath(path))
        return tuple(self._source(parse_xml(text), folder) for text in sources.values())

    def _source(self, element: ET.Element, folder: str) -> Hashable:
        named = element.find("SourceFilename")
        name = (named.text or "") if named is not None else ""
        if named is not None and named.get("relativeToVRT") == "1":
            quoted = _QUOTED.search(name)
            file = quoted[1] if quoted else name
            name = name.replace(file, os.path.realpath(os.path.join(folder, file)))
        band = element.findtext("SourceBand") or "1"
        origin: Hashable = (name, band)
        if name.endswith(".vrt") and band.isdigit():  # what a series lays between it and a file
            if name not in self._helpers:
                self._helpers[name] = open_raster(name)
            origin = self._of(name, self._helpers[name], int(band))
        how = [_content(child) for child in element if child.tag not in _NOT_VALUES]
        return element.tag, tuple(sorted(element.items())), origin, *how


def _content(element: ET.Element) -> Hashable:
    """Return an element with its attributes, text and children."""
    text = (element.text or "").strip()
    children = tuple(_content(child) for child in element)
    return element.tag, text, tuple(sorted(element.items())), children
