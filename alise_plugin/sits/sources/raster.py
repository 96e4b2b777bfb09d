"""Rasters whose bands are the bands of one date, or of several dates one after the other."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import date

from osgeo import gdal

from ...errors import SeriesError
from ..acquisitions import parse_date
from ..bands import BANDS
from ..grid import Grid
from ..rasters import is_integer, open_raster, stated_scale
from ..series import ABSENT, band_identity
from .record import SourceBand


def read_raster(path: str, dates: Sequence[date] | None = None) -> list[SourceBand]:
    """The bands of a raster: of one date, or date-major of several.

    Band names come from the bands' metadata or descriptions; a raster that names none of its
    bands must hold ten per date, in the order of BANDS. Dates come from `dates`, else from the
    bands, else (one date) from the file's metadata or name. Bands with another name (SCL, masks)
    are left out.

    Args:
        path: a file that GDAL opens.
        dates: acquisition dates in the order of the bands, if the caller knows them.

    Raises:
        SeriesError: band count, band names or dates do not fit.
    """
    dataset = open_raster(path)
    name = os.path.basename(path)
    identities = [
        (index, *band_identity(dataset.GetRasterBand(index)))
        for index in range(1, dataset.RasterCount + 1)
    ]
    placed = _place(dataset, name, identities, dates)
    _refuse_repeats(name, placed)
    grid = Grid.from_dataset(dataset, name)
    records = []
    for index, day, band_name in placed:
        band = dataset.GetRasterBand(index)
        if band.GetMetadataItem(ABSENT) == "YES":
            continue
        scale, offset = stated_scale(band)
        if scale is None and band.GetMetadataItem("BAND") and not is_integer(band.DataType):
            scale, offset = 1.0, 0.0  # a band of an image series: in reflectance, by definition
        records.append(
            SourceBand(
                file=path,
                path=path,
                index=index,
                day=day,
                band=band_name,
                grid=grid,
                nodata=band.GetNoDataValue(),
                scale=scale,
                offset=offset,
                dtype=band.DataType,
                block=tuple(band.GetBlockSize()),
            )
        )
    return records


_Identity = tuple[int, "date | None", "str | None"]
_Placed = tuple[int, date, str]


def _place(
    dataset: gdal.Dataset,
    name: str,
    identities: Sequence[_Identity],
    dates: Sequence[date] | None,
) -> list[_Placed]:
    """GDAL band number, date and band name of each band to use."""
    count = len(identities)
    named = [item for item in identities if item[2] is not None]
    if not named:
        known = f"{len(dates)} dates" if dates else "one date"
        if count != len(BANDS) * (len(dates) if dates else 1):
            raise SeriesError(
                f"{name} has {count} bands without band names, which is not 10 for {known}; "
                "describe its bands (B02, B03, ...) or give one date per 10 bands."
            )
        named = [(index, day, BANDS[(index - 1) % len(BANDS)]) for index, day, _ in identities]
    if dates:
        if count % len(dates):
            raise SeriesError(
                f"{name} has {count} bands, which {len(dates)} dates cannot share equally; "
                "give one date per acquisition."
            )
        per_date = count // len(dates)
        return [(i, dates[(i - 1) // per_date], band) for i, _, band in named if band]
    if all(day is not None for _, day, _ in named):
        return [(i, day, band) for i, day, band in named if day and band]
    if any(day is not None for _, day, _ in named):
        raise SeriesError(
            f"{name} describes some bands with a date and some without; describe all of them as "
            "in '2019-05-14 B02'."
        )
    day = _file_date(dataset, name)
    return [(i, day, band) for i, _, band in named if band]


def _file_date(dataset: gdal.Dataset, name: str) -> date:
    """The date of a raster that holds one acquisition."""
    items = dataset.GetMetadata() or {}
    stated = parse_date(items.get("ACQUISITION_DATE"))
    if stated:
        return stated
    # Many programs write the day of processing into TIFFTAG_DATETIME: where the name disagrees
    # with it, either could be the acquisition.
    from_tag, from_name = parse_date(items.get("TIFFTAG_DATETIME")), parse_date(name)
    if from_tag and from_name and from_tag != from_name:
        raise SeriesError(
            f"{name} bears {from_name} in its name and {from_tag} in its TIFFTAG_DATETIME; give "
            "the acquisition dates explicitly."
        )
    day = from_tag or from_name
    if day is None:
        raise SeriesError(
            f"{name} has no acquisition date, neither in its metadata (ACQUISITION_DATE) nor, "
            "unmistakably, in its name (20190514 or 2019-05-14); rename it or give the dates."
        )
    return day


def _refuse_repeats(name: str, placed: Sequence[_Placed]) -> None:
    seen: dict[tuple[date, str], int] = {}
    for index, day, band_name in placed:
        other = seen.setdefault((day, band_name), index)
        if other != index:
            raise SeriesError(
                f"{name} holds {band_name} of {day} twice (bands {other} and {index}); "
                "correct its band descriptions or its dates."
            )
