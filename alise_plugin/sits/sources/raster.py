"""Rasters whose bands are the bands of one date, or of several dates, or one band of one date."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal

from ...errors import SeriesError
from ...sentinel2 import BANDS
from ..acquisitions import dates_in, parse_date, scene_of, without_date
from ..bands import (
    PRODUCT_ORDERS,
    are_positions,
    band_numbers,
    canonical_band,
    canonical_mask,
    colour_bands,
)
from ..grid import Grid
from ..no_value import alpha_band, has_mask, is_alpha
from ..other_sensors import other_sensor
from ..rasters import is_integer, open_raster, read_bands, refuse_truncated, stated_scale
from ..series import ABSENT, band_identity
from .product_files import refuse_l1c
from .record import DATE_GIVEN, NotAScene, Product, SourceBand
from .safe import OFFSET_BASELINE, stated_of_image
from .vrt_sources import named_by_sources

_DATE_ITEMS = (
    "ACQUISITION_DATE",
    "DATATAKE_1_DATATAKE_SENSING_START",
    "DATATAKE_SENSING_START",
    "PRODUCT_START_TIME",
    "SENSING_TIME",
    "datetime",
)
_SPECTRA_DATES = 6
_SPECTRA_SIDE = 48  # pixels: side of the windows whose spectra are looked at
_LOOKED_AT = 256  # pixels: side of what is looked at of the cirrus band
_FOLDERS_READ = 2  # how many folders above a file may bear its date


@dataclass(frozen=True)
class Declared:
    """What the user says of rasters that do not say it themselves.

    Attributes:
        dates: acquisition dates in the order of the bands.
        band_order: names of the bands of a date, in their order; others than BANDS are left out.
        band_major: a stack holds all dates of its first band, then all of the second ...
        layer_day: the day that the layer of the project states.
    """

    dates: Sequence[date] | None = None
    band_order: Sequence[str] | None = None
    band_major: bool = False
    layer_day: date | None = None


# T31UFS_20170804T105621_B02.jp2; images of Level-2A end in their resolution.
_L1C_IMAGE = re.compile(r"(L1C_)?T\d{2}[A-Z]{3}_\d{8}T\d{6}_B\w{2}\.(jp2|tiff?)", re.IGNORECASE)

_Identity = tuple[int, "date | None", "str | None"]
_Placed = tuple[int, date, str]


def read_raster(path: str, declared: Declared | None = None) -> list[SourceBand]:
    """Return the bands of a raster: of one date, of several, or one band alone.

    Band names come from the bands' metadata or descriptions (B02 or Blue); of one band alone, from
    the file's name; else from the order that is declared, or, if the descriptions name nothing
    else, the order of ten bands (BANDS), or of the twelve or thirteen of a product. Dates come from
    `declared.dates`, else from the bands, else (one date) from the file's metadata, the layer, the
    file's name, or its folder's. Bands with another name are left out.

    Args:
        path: a file that GDAL opens.
        declared: what the caller knows.

    Raises:
        NotAScene: no band has a name of Sentinel-2, and they have others, or their number is no
            Sentinel-2 image's.
        SeriesError: band count, band names or dates do not fit, or the file is cut off.
    """
    declared = declared or Declared()
    refuse_truncated(path)
    dataset = open_raster(path)
    name = os.path.basename(path)
    scene = scene_of(name)
    if scene.level == "L1C":
        refuse_l1c(name)
    texts = [
        dataset.GetRasterBand(index).GetDescription() for index in range(1, dataset.RasterCount + 1)
    ]
    sensor = other_sensor(path, dataset.GetMetadata() or {}, texts)
    if sensor:
        raise NotAScene(f"{name} is of {sensor}, and ALISE reads Sentinel-2; leave it out.")
    bands = [dataset.GetRasterBand(index) for index in range(1, dataset.RasterCount + 1)]
    colours = colour_bands([without_date(band.GetDescription()) for band in bands])
    identities = [
        (index, *_identity(band, colour))
        for index, (band, colour) in enumerate(zip(bands, colours), 1)
        if not is_alpha(band)
    ]
    _refuse_cirrus(name, bands, texts)
    if all(band is None for _, _, band in identities):
        identities = named_by_sources(dataset, identities)
    undescribed = 0
    if not declared.band_order and all(band is None for _, _, band in identities):
        per_date = len(identities) // (len(declared.dates) if declared.dates else 1)
        undescribed = per_date if per_date in PRODUCT_ORDERS else 0
    placed, remark, date_from = _place(dataset, path, identities, declared)
    _refuse_repeats(name, dataset, placed)
    grid = Grid.from_dataset(dataset, name)
    stated = stated_of_image(path)
    if stated is not None:
        remark = f"{remark}, {stated.remark}" if remark else stated.remark
    if _L1C_IMAGE.fullmatch(name):
        remark = (
            "named as the images of Level-1C (top of atmosphere) are, without _10m or _20m, and "
            "ALISE reads Level-2A (surface reflectance), so make sure that it is"
        )
    records = []
    alpha = alpha_band(dataset)
    for index, day, band_name in placed:
        band = dataset.GetRasterBand(index)
        if band.GetMetadataItem(ABSENT) == "YES":
            continue
        scale, offset = stated_scale(band)
        if scale is None and band.GetMetadataItem("BAND") and not is_integer(band.DataType):
            scale, offset = 1.0, 0.0  # a band of an image series: in reflectance, by definition
        nodata, certain = band.GetNoDataValue(), False
        if stated is not None and band_name in BANDS:
            scale, offset = stated.scale, stated.offsets[band_name] * stated.scale
            nodata, certain = stated.nodata, True
        own = scene_of(band.GetDescription())
        records.append(
            SourceBand(
                file=path,
                path=path,
                index=index,
                day=day,
                band=band_name,
                grid=grid,
                nodata=nodata,
                scale=scale,
                offset=offset,
                dtype=band.DataType,
                block=tuple(band.GetBlockSize()),
                product=Product(
                    name=name,
                    kind=dataset.GetDriver().ShortName,
                    date_from=date_from,
                    scene=own.key or scene.key,
                    processed=stated.processed if stated else own.processed or scene.processed,
                    remark=remark,
                    undescribed=undescribed,
                ),
                certain=certain,
                declared=band.GetNoDataValue() == nodata,
                masked=band_name in BANDS and has_mask(band),
                alpha=alpha if band_name in BANDS else 0,
                may_hold_offset=scene.baseline >= OFFSET_BASELINE,
            )
        )
    return records


def spectra_of(path: str, declared: Declared, per_date: int) -> list[NDArray[np.float32]]:
    """Return `(per_date, pixels)` stored values of some windows of a raster, date by date.

    A pixel without a value is NaN. Of a stack, six dates are looked at.

    Args:
        path: of a raster that describes no band.
        declared: how its dates follow one another.
        per_date: bands of a date.
    """
    dataset = open_raster(path)
    total = sum(not is_alpha(dataset.GetRasterBand(i + 1)) for i in range(dataset.RasterCount))
    dates = total // per_date
    side = min(_SPECTRA_SIDE, dataset.RasterXSize, dataset.RasterYSize)
    parts = []
    for place in ((0.5, 0.5), (0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)):
        col, row = (
            int(share * (size - side))
            for share, size in zip(place, (dataset.RasterXSize, dataset.RasterYSize))
        )
        for number in range(0, dates, -(-dates // _SPECTRA_DATES)):
            bands = [
                1 + (number + band * dates if declared.band_major else number * per_date + band)
                for band in range(per_date)
            ]
            values = read_bands(dataset, bands, col, row, side, side)
            nodata = dataset.GetRasterBand(1).GetNoDataValue()
            if nodata is not None:
                values[values == nodata] = np.nan
            parts.append(values.reshape(per_date, -1))
    return parts


def _refuse_cirrus(name: str, bands: Sequence[gdal.Band], texts: Sequence[str]) -> None:
    """Refuse an image whose cirrus band (B10) holds values: only Level-1C has it.

    Raises:
        NotAScene: it has B10 and B8A, and B10 is not empty.
    """
    numbers = {number.upper().lstrip("0"): index for index, number in band_numbers(texts)}
    if not {"8A", "10", "11", "12"} <= set(numbers):
        return
    cirrus = bands[numbers["10"]]
    values = cirrus.ReadAsArray(
        buf_xsize=min(cirrus.XSize, _LOOKED_AT), buf_ysize=min(cirrus.YSize, _LOOKED_AT)
    )
    if values is not None and np.any(values):
        raise NotAScene(
            f"{name} has the cirrus band B10, as Level-1C (top of atmosphere) has, and ALISE reads "
            "Level-2A (surface reflectance); download the L2A product or run Sen2Cor."
        )


def _identity(band: gdal.Band, colour: str | None) -> tuple[date | None, str | None]:
    day, name = band_identity(band)
    name = name or canonical_mask(band.GetMetadataItem("BAND") or band.GetDescription())
    # Pictures have bands of bytes that are called Red, Green and Blue too.
    return day, name or (None if band.DataType == gdal.GDT_Byte else colour)


def _own_names(texts: Sequence[str]) -> list[str]:
    """Return the descriptions that name a band: neither "Band 3" nor one for all bands."""
    names = [text for text in texts if not without_date(text).rstrip()[-1:].isdigit()]
    names = [text for text in names if without_date(text).strip()]
    return names if len({without_date(text) for text in names}) > 1 else []


def _place(
    dataset: gdal.Dataset, path: str, identities: Sequence[_Identity], declared: Declared
) -> tuple[list[_Placed], str, str]:
    """Return number, date and name of each band to use, and how bands and dates were found."""
    name = os.path.basename(path)
    count = len(identities)
    dates = declared.dates
    if dates and count % len(dates):
        raise SeriesError(
            f"{name} has {count} bands, which {len(dates)} dates cannot share equally; "
            "give one date per acquisition."
        )
    remark = ""
    named = [item for item in identities if item[2] is not None]
    texts = [dataset.GetRasterBand(index).GetDescription() for index, _, _ in identities]
    if are_positions(texts):
        if not declared.band_order:
            raise NotAScene(
                f"{name} calls its bands {texts[0]} to {texts[-1]} and has no B8A, so that these "
                "may be no names but a count; give BAND_ORDER."
            )
        named = []
    days = {day for _, day, _ in identities}
    if not named and not dates and not declared.band_order and None not in days and len(days) > 1:
        raise NotAScene(
            f"{name} describes its {count} bands by dates and names none of them, so that it is a "
            "stack of one band or index over time; give rasters that hold the bands of a date."
        )
    if not named:
        order, remark = _order(name, count, _own_names(texts), declared)
        per = len(dates) if dates else 1
        named = []
        for index, day, _ in identities:
            position = (index - 1) // per if declared.band_major else (index - 1) % len(order)
            named.append((index, day, order[position]))
        named = [item for item in named if item[2] is not None]
    if dates:
        per_date = count // len(dates)
        placed = []
        for index, _, band in named:
            number = index - 1
            position = number % len(dates) if declared.band_major else number // per_date
            if band:
                placed.append((index, dates[position], band))
        return placed, remark, DATE_GIVEN
    if all(day is not None for _, day, _ in named):
        placed = [(i, day, band) for i, day, band in named if day and band]
        return placed, remark, "band descriptions"
    if any(day is not None for _, day, _ in named):
        raise SeriesError(
            f"{name} describes some bands with a date and some without; describe all of them as "
            "in '2019-05-14 B02'."
        )
    day, date_from = _file_date(dataset, path, declared.layer_day)
    return [(i, day, band) for i, _, band in named if band], remark, date_from


def _order(
    name: str, count: int, names: Sequence[str], declared: Declared
) -> tuple[list[str | None], str]:
    """Return names of the undescribed bands of one date, and how they were found."""
    dates = len(declared.dates) if declared.dates else 1
    per_date = count // dates
    if declared.band_order:
        order = [
            canonical_band(text) or canonical_mask(text) or colour
            for text, colour in zip(declared.band_order, colour_bands(declared.band_order))
        ]
        if not any(order):
            raise SeriesError(
                f"None of {', '.join(declared.band_order)} is a name of a Sentinel-2 band; give "
                "names as B02, B03, ..."
            )
        if len(order) != per_date:
            raise SeriesError(
                f"{name} has {per_date} bands a date, and {len(order)} band names were given; "
                "give one name per band."
            )
        return order, "bands in the order given"
    if per_date == 1 and dates == 1:
        band = canonical_band(name) or canonical_mask(name)
        if band is None:
            raise NotAScene(
                f"{name} has 1 band without a band name, neither in its description nor in its "
                "file name; describe it (B02, B03, ...) or take it out."
            )
        return [band], ""
    if names:
        raise NotAScene(
            f"{name} calls its bands {', '.join(names[:4])}{', ...' if len(names) > 4 else ''}, "
            "none of which is a name of a Sentinel-2 band; describe them (B02, B03, ...) or give "
            "BAND_ORDER."
        )
    if per_date == len(PRODUCT_ORDERS[13]):
        raise NotAScene(
            f"{name} has 13 bands without names, as Level-1C (top of atmosphere) has, and ALISE "
            "reads Level-2A (surface reflectance); if it is Level-2A, give BAND_ORDER."
        )
    if per_date not in PRODUCT_ORDERS:
        known = f"{dates} dates" if declared.dates else "one date"
        raise NotAScene(
            f"{name} has {count} bands without band names, which is not 10, 12 or 13 for {known}; "
            "describe its bands (B02, B03, ...), declare their order, or give one date per image."
        )
    order = [band if band in BANDS else None for band in PRODUCT_ORDERS[per_date]]
    text = f"{PRODUCT_ORDERS[per_date][0]} to {PRODUCT_ORDERS[per_date][-1]}"
    return order, f"{per_date} bands without names, taken in the usual order {text}"


def _file_date(dataset: gdal.Dataset, path: str, layer_day: date | None) -> tuple[date, str]:
    """Return the date of a raster that holds one acquisition, and where it was found."""
    name = os.path.basename(path)
    items = dataset.GetMetadata() or {}
    for item in _DATE_ITEMS:
        stated = parse_date(items.get(item))
        if stated:
            return stated, f"metadata ({item})"
    if layer_day is not None:
        return layer_day, "the layer's temporal range"
    day, date_from = _named_date(path)
    # Many programs write the day of processing into TIFFTAG_DATETIME: where a name disagrees with
    # it, either could be the acquisition.
    tagged = parse_date(items.get("TIFFTAG_DATETIME"))
    if tagged and day and tagged != day:
        raise SeriesError(
            f"{name} bears {day} in its {date_from} and {tagged} in its TIFFTAG_DATETIME; give the "
            "acquisition dates explicitly."
        )
    if tagged:
        return tagged, "metadata (TIFFTAG_DATETIME)"
    if day:
        return day, date_from
    raise SeriesError(
        f"{name} has no acquisition date, neither in its metadata (ACQUISITION_DATE) nor, "
        "unmistakably, in its name (20190514 or 2019-05-14); rename it or give the dates."
    )


def _named_date(path: str) -> tuple[date | None, str]:
    """Return the date in the name of a file, or of a folder that it is in, and in which."""
    named = dates_in(os.path.basename(path))
    if len(named) == 1:
        return named.pop(), "file name"
    folder = os.path.dirname(os.path.abspath(path))
    for _ in range(_FOLDERS_READ):
        day = parse_date(os.path.basename(folder))
        if day and (day in named or not named):
            return day, "folder name"
        folder = os.path.dirname(folder)
    return None, ""


def _refuse_repeats(name: str, dataset: gdal.Dataset, placed: Sequence[_Placed]) -> None:
    """Raise where one scene's band is there twice; two tiles of one day are two scenes."""
    seen: dict[tuple[date, str, str], int] = {}
    for index, day, band_name in placed:
        scene = scene_of(dataset.GetRasterBand(index).GetDescription()).key
        other = seen.setdefault((day, band_name, scene), index)
        if other != index:
            raise SeriesError(
                f"{name} holds {band_name} of {day} twice (bands {other} and {index}); "
                "correct its band descriptions or its dates."
            )
