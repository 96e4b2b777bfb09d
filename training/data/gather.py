"""`python -m training gather`: real series of public repositories, in the layout of training.

The small sets of pixels that WorldCereal's repositories carry for their tests: composites of ten
days or a month, from Europe, Africa and elsewhere, most with a crop or land-cover code. Nothing is
downloaded: clone the repositories and name their folders.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from alise_plugin.errors import AliseError
from alise_plugin.sits.bands import BANDS
from alise_plugin.sits.build import build_series

# Composites keep clouds that masks have missed: this blue is none of the ground's, but of snow's.
LARGEST_BLUE_DN = 1300
NO_VALUE = 65535
LEAST_DATES = 6
# A band that fewer of the values have is not in the set.
LEAST_SHARE = 0.05
TEN_METRE = ("B02", "B03", "B04", "B08")


class GatherError(AliseError):
    """What was to be gathered is not there, or is not what it should be."""


@dataclass(frozen=True)
class Source:
    """One file of a public repository.

    Attributes:
        site: name in the index that is written.
        repository: owner and name.
        path: of the file in it.
        form: "rows", a row for each date of a sample; "columns", a row for each sample; "cube",
            NetCDF.
        span_days: of a composite; its middle is taken for its date.
        labels: column with the class of a sample, or none.
        licence: of the repository.
    """

    site: str
    repository: str
    path: str
    form: str
    span_days: int
    labels: str | None = None
    licence: str = "MIT"

    @property
    def use(self) -> str:
        """What the index says: without a licence a set may be measured on, not trained on."""
        return "evaluate only" if self.licence == "none stated" else "train"


CLASSIFICATION = "WorldCereal/worldcereal-classification"
SOURCES = (
    Source(
        "france", CLASSIFICATION,
        "src/worldcereal/data/dekad/2023_FRA_LPIS_POLY_110.geoparquet", "rows", 10, "ewoc_code",
    ),
    Source(
        "corsica", CLASSIFICATION,
        "src/worldcereal/data/month/2022_FRA_LPIS_POLY_110.geoparquet", "rows", 30, "ewoc_code",
    ),
    Source(
        "flanders", CLASSIFICATION,
        "tests/worldcerealtests/testresources/worldcereal_private_extractions_dummy.parquet/"
        "ref_id=2021_BEL_LPIS-Flanders_POLY_110/data_0.parquet", "rows", 30,
    ),
    Source(
        "africa", CLASSIFICATION,
        "tests/worldcerealtests/testresources/test_public_extractions.parquet", "columns", 30,
        "ewoc_code",
    ),
    Source(
        "brabant", CLASSIFICATION,
        "tests/worldcerealtests/testresources/worldcereal_preprocessed_inputs.nc", "cube", 30,
    ),
    Source(
        "flanders_fields", "WorldCereal/prometheo", "tests/resources/worldcereal_dataset.parquet",
        "columns", 30,
    ),
    Source(
        "world", "WorldCereal/presto-worldcereal", "data/worldcereal_testdf.parquet", "columns", 30,
        "LANDCOVER_LABEL", "none stated",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Samples:
    """Pixels of one set, each with dates of its own.

    Attributes:
        dn: `(dates, 10)` uint16 a sample, 0 where there is no value.
        dates: ISO a sample.
        labels: `(N,)`, or none.
        lonlat: `(N, 2)` degrees.
    """

    dn: list[np.ndarray]
    dates: list[list[str]]
    labels: np.ndarray | None
    lonlat: np.ndarray


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument(
        "--repositories", type=Path, nargs="+", required=True, metavar="FOLDER",
        help="checkouts of " + ", ".join(sorted({source.repository for source in SOURCES})),
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("runs/places"), help="folder to write")


def run(args: argparse.Namespace) -> int:
    """Write what is found, with an index, and say what is not there.

    Raises:
        GatherError: nothing is there, or a file is not what it should be.
    """
    found = [(source, path) for source in SOURCES if (path := find(source, args.repositories))]
    for source in SOURCES:
        if source not in [one for one, _ in found]:
            print(f"{source.site}: {source.path} of {source.repository} is in none of the folders")
    if not found:
        raise GatherError(
            f"None of the files of {CLASSIFICATION} is in {', '.join(map(str, args.repositories))}:"
            " clone it and name its folder."
        )
    sets = [(source, *gathered(source, path)) for source, path in found]
    args.out.mkdir(parents=True, exist_ok=True)
    index = []
    for source, arrays, bands in sets:
        file = f"{source.site}.npz"
        np.savez_compressed(args.out / file, **arrays)
        index.append(
            {
                "file": file, "site": source.site, "bands": bands, "use": source.use,
                "source": f"{source.repository} ({source.path})", "licence": source.licence,
            }
        )  # fmt: skip
        count = len(arrays["offset"]) - 1 if "offset" in arrays else arrays["clear"][0].size
        print(f"{source.site}: {count} pixels, {len(bands)} bands, {source.use}")
    (args.out / "index.json").write_text(json.dumps(index, indent=1), encoding="utf-8")
    return 0


def find(source: Source, folders: list[Path]) -> Path | None:
    """The file of a source in the first folder that has it."""
    return next((path for folder in folders if (path := folder / source.path).is_file()), None)


def gathered(source: Source, path: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    """The arrays of one set as `training.data.real` reads them, and the bands that it has.

    Raises:
        GatherError: the file is not what it should be.
    """
    if source.form == "cube":
        return cube(path)
    samples = {"rows": rows, "columns": columns}[source.form](source, read_table(path))
    dn = np.concatenate(samples.dn)
    arrays = {
        "reflectance": dn,
        "cloud": (dn[:, 0] > LARGEST_BLUE_DN).astype(np.float32),
        "dates": np.array(list(itertools.chain(*samples.dates))),
        "offset": np.cumsum([0, *map(len, samples.dn)]),
        "lonlat": samples.lonlat,
    }
    if samples.labels is not None:
        arrays["labels"] = samples.labels
    return arrays, bands_of(dn[..., None, None])


def bands_of(dn: np.ndarray) -> list[str]:
    """The bands of `(T, 10, H, W)` that have values."""
    share = (dn > 0).mean((0, 2, 3))
    return [band for band, part in zip(BANDS, share, strict=True) if part > LEAST_SHARE]


def read_table(path: Path) -> dict[str, np.ndarray]:
    """The columns of a Parquet file.

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
        raise GatherError(f"{path} cannot be read as a Parquet file: {error}") from error
    return {name: table[name].to_numpy() for name in table.column_names if name != "geometry"}


def rows(source: Source, table: dict[str, np.ndarray]) -> Samples:
    """Samples of a table with a row for each date."""
    dn = numbers([column_of(table, f"S2-L2A-{band}", source) for band in BANDS])
    middle = timedelta(source.span_days // 2)
    when = [date.fromisoformat(str(day)[:10]) + middle for day in table["timestamp"]]
    identifiers = column_of(table, "sample_id", source).astype(str)
    order = np.lexsort((np.array(when, "datetime64[D]"), identifiers))
    parts = np.split(order, np.flatnonzero(identifiers[order][1:] != identifiers[order][:-1]) + 1)
    return kept(source, table, ((dn[part], [when[i] for i in part], part[0]) for part in parts))


def columns(source: Source, table: dict[str, np.ndarray]) -> Samples:
    """Samples of a table with a row for each sample and a column for each band and month."""

    def name(band: str, month: int) -> str:
        return f"OPTICAL-{band}-ts{month}-{10 if band in TEN_METRE else 20}m"

    months = list(itertools.takewhile(lambda m: name("B02", m) in table, itertools.count()))
    dn = numbers(
        [np.stack([column_of(table, name(b, m), source) for m in months], 1) for b in BANDS]
    )

    def each() -> Iterator[tuple[np.ndarray, list[date], int]]:
        for place, start in enumerate(column_of(table, "start_date", source)):
            first = date.fromisoformat(str(start)[:10])
            numbered = [first.year * 12 + first.month - 1 + month for month in months]
            yield dn[place], [date(n // 12, n % 12 + 1, 16) for n in numbered], place

    return kept(source, table, each())


def kept(
    source: Source,
    table: dict[str, np.ndarray],
    samples: Iterator[tuple[np.ndarray, list[date], int]],
) -> Samples:
    """The dates with a value of those samples that have enough of them.

    Args:
        source: the set.
        table: its columns.
        samples: DN `(dates, 10)`, the dates, and the row of the table that says the rest.
    """
    found = []
    for dn, when, row in samples:
        held = np.flatnonzero((dn > 0).any(1))
        if len(held) >= LEAST_DATES:
            found.append((dn[held], [when[i].isoformat() for i in held], row))
    if not found:
        raise GatherError(f"{source.site}: no sample of {source.path} has {LEAST_DATES} dates.")
    places = [row for _, _, row in found]
    lonlat = np.stack([column_of(table, name, source)[places] for name in ("lon", "lat")], 1)
    labels = column_of(table, source.labels, source)[places] if source.labels else None
    return Samples([dn for dn, _, _ in found], [when for _, when, _ in found], labels, lonlat)


def column_of(table: dict[str, np.ndarray], name: str, source: Source) -> np.ndarray:
    """A column by its name.

    Raises:
        GatherError: there is none.
    """
    if name not in table:
        raise GatherError(f"{source.path} of {source.repository} has no column {name} any more.")
    return table[name]


def numbers(bands: list[np.ndarray]) -> np.ndarray:
    """DN of ten columns along a last axis, 0 where there is no value."""
    dn = np.nan_to_num(np.stack(bands, -1).astype(np.float64), nan=0.0)
    return np.where((dn > 0) & (dn < NO_VALUE), dn, 0).astype(np.uint16)


def cube(path: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    """The arrays of a NetCDF cube of composites of a month, and its bands."""
    with tempfile.TemporaryDirectory() as folder:
        series = build_series([path], Path(folder) / "series.vrt")
        reflectance = series.read_all(series.grid.window)
        middle = timedelta(15)
        dates = [(day + middle).isoformat() for day in series.dates]
        series.close()
    dn = np.nan_to_num(np.round(reflectance * 10000), nan=0.0).clip(0, NO_VALUE).astype(np.uint16)
    clear = (dn > 0).any(1) & (dn[:, 0] <= LARGEST_BLUE_DN)
    return {"reflectance": dn, "dates": np.array(dates), "clear": clear}, bands_of(dn)
