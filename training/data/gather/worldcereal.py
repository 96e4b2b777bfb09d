"""WorldCereal's sets of pixels: composites of ten days or a month, most with a code of the crop."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from alise_plugin.sentinel2 import BANDS
from alise_plugin.sits.build import build_series

from .samples import LARGEST_BLUE_DN, GatheredSet, GatherError, Sample, bands_of, numbers, set_of
from .sources import Source

TEN_METRE = ("B02", "B03", "B04", "B08")


def read_table(path: Path) -> dict[str, np.ndarray]:
    """Return the columns of a Parquet file.

    Raises:
        GatherError: pyarrow is not installed, or the file cannot be read.
    """
    try:
        from pyarrow import ArrowInvalid, parquet
    except ImportError as error:
        raise GatherError("Parquet files are read by pyarrow: pip install pyarrow.") from error
    try:
        table = parquet.ParquetFile(path).read()
    except (ArrowInvalid, OSError) as error:
        raise GatherError(f"{path.name} cannot be read as a Parquet file: {error}") from error
    return {name: table[name].to_numpy() for name in table.column_names if name != "geometry"}


def rows(source: Source, files: list[Path]) -> list[GatheredSet]:
    """Return samples of a table with a row for each date."""
    table = read_table(files[0])
    dn = numbers(np.stack([column_of(table, f"S2-L2A-{band}", source) for band in BANDS], -1))
    middle = timedelta(source.span_days // 2)
    when = [date.fromisoformat(str(day)[:10]) + middle for day in table["timestamp"]]
    identifiers = column_of(table, "sample_id", source).astype(str)
    order = np.lexsort((np.array(when, "datetime64[D]"), identifiers))
    parts = np.split(order, np.flatnonzero(identifiers[order][1:] != identifiers[order][:-1]) + 1)
    samples = (
        Sample(dn[part], [when[i] for i in part], *place_of(source, table, part[0]))
        for part in parts
    )
    return [set_of(source, samples)]


def columns(source: Source, files: list[Path]) -> list[GatheredSet]:
    """Return samples of a table with a row for each sample and a column for each band and month."""
    table = read_table(files[0])

    def name(band: str, month: int) -> str:
        return f"OPTICAL-{band}-ts{month}-{10 if band in TEN_METRE else 20}m"

    months = list(itertools.takewhile(lambda m: name("B02", m) in table, itertools.count()))
    dn = numbers(
        np.stack(
            [np.stack([column_of(table, name(b, m), source) for m in months], 1) for b in BANDS], -1
        )
    )

    def each() -> Iterator[Sample]:
        for row, start in enumerate(column_of(table, "start_date", source)):
            first = date.fromisoformat(str(start)[:10])
            numbered = [first.year * 12 + first.month - 1 + month for month in months]
            when = [date(n // 12, n % 12 + 1, 16) for n in numbered]
            yield Sample(dn[row], when, *place_of(source, table, row))

    return [set_of(source, each())]


def place_of(
    source: Source, table: dict[str, np.ndarray], row: int
) -> tuple[tuple[float, float], object]:
    """Return longitude and latitude of a row, and its class."""
    lon, lat = (float(column_of(table, name, source)[row]) for name in ("lon", "lat"))
    return (lon, lat), column_of(table, source.labels, source)[row] if source.labels else None


def column_of(table: dict[str, np.ndarray], name: str, source: Source) -> np.ndarray:
    """Return a column by its name.

    Raises:
        GatherError: there is none.
    """
    if name not in table:
        raise GatherError(f"{source.path} of {source.repository} has no column {name} any more.")
    return table[name]


def cube(source: Source, files: list[Path]) -> list[GatheredSet]:
    """Return a NetCDF cube of composites of a month."""
    with tempfile.TemporaryDirectory() as folder:
        series = build_series([files[0]], Path(folder) / "series.vrt")
        reflectance = series.read_all(series.grid.window)
        middle = timedelta(source.span_days // 2)
        dates = [(day + middle).isoformat() for day in series.dates]
        series.close()
    dn = numbers(reflectance * 10000)
    clear = (dn > 0).any(1) & (dn[:, 0] <= LARGEST_BLUE_DN)
    arrays = {"reflectance": dn, "dates": np.array(dates), "clear": clear}
    return [GatheredSet(source.site, arrays, bands_of(dn))]
