"""Samples of the R package sits: a table with the series of each place inside, as an RDS file."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from alise_plugin.sentinel2 import BANDS

from .samples import GatheredSet, GatherError, Sample, numbers, set_of
from .sources import Source

# Names of bands in one of the sets; the others use those of Sentinel-2.
NAMES = {
    "blue": "B02", "green": "B03", "red": "B04", "bnir": "B08", "nnir": "B8A", "swir1": "B11",
    "swir2": "B12",
}  # fmt: skip
EPOCH = date(1970, 1, 1)


def tibbles(source: Source, files: list[Path]) -> list[GatheredSet]:
    """Return the samples of all files; a place that comes again is taken once.

    Raises:
        GatherError: rdata is not installed, a file cannot be read, or lacks what it should hold.
    """
    return [set_of(source, _samples(source, files))]


def _samples(source: Source, files: list[Path]) -> Iterator[Sample]:
    seen = set()
    for path in files:
        table = _read(path)
        try:
            places = zip(
                table["longitude"], table["latitude"], table["label"], table["time_series"],
                strict=True,
            )  # fmt: skip
        except (KeyError, TypeError) as error:
            raise GatherError(
                f"{path.name} of {source.repository} is no table of samples any more: {error}."
            ) from error
        for longitude, latitude, label, series in places:
            lonlat = (round(float(longitude), 6), round(float(latitude), 6))
            if lonlat not in seen:
                seen.add(lonlat)
                yield _sample(source, series, lonlat, str(label))


def _sample(source: Source, series: Any, lonlat: tuple[float, float], label: str) -> Sample:
    values = np.full((len(series), len(BANDS)), np.nan)
    for name in series:
        band = NAMES.get(name, name)
        if band in BANDS:
            values[:, BANDS.index(band)] = np.asarray(series[name], np.float64)
    middle = timedelta(source.span_days // 2)
    days = [EPOCH + timedelta(int(day)) + middle for day in series["Index"]]
    return Sample(numbers(values * 10000), days, lonlat, label)


def _read(path: Path) -> Any:
    try:
        import rdata
    except ImportError as error:
        raise GatherError("Files of R are read by rdata: pip install rdata.") from error
    with warnings.catch_warnings():
        # It says of every class of R that it takes it for its parent.
        warnings.simplefilter("ignore")
        try:
            return rdata.read_rds(path)
        except Exception as error:  # whatever its parser meets
            raise GatherError(f"{path.name} cannot be read as an RDS file: {error}") from error
