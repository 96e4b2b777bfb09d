"""The records that pass from readers to the builder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import date

from ...errors import SeriesError
from ..grid import Grid

DATE_GIVEN = "what was given"
"""Where a date comes from that the user gave for a raster."""


class NotAScene(SeriesError):
    """A raster that holds no band of Sentinel-2: in a searched folder it is left out, and said."""


@dataclass(frozen=True)
class Product:
    """What a reader knows of the image that a band belongs to.

    Attributes:
        name: for messages and the report.
        kind: for example "SAFE" or "GeoTIFF".
        date_from: where the date was read, for the report.
        scene: two products with the same scene are two processings of it; empty if not known.
        processed: sorts the processings of one scene by age.
        cloud: share of the product's valid pixels that it calls cloud, 0 to 1; None if not stated.
        valid: share of the product's extent that holds values, 0 to 1; None if not stated.
        preview: a small picture of it that GDAL opens; None if there is none.
        remark: what the reader had to decide, for the report.
        undescribed: bands of a date whose order nothing says; 0 if their names are known.
    """

    name: str = ""
    kind: str = ""
    date_from: str = ""
    scene: str = ""
    processed: str = ""
    cloud: float | None = None
    valid: float | None = None
    preview: str | None = None
    remark: str = ""
    undescribed: int = 0


@dataclass(frozen=True)
class SourceBand:
    """One band, or mask, of one acquisition, as it lies in a file.

    Attributes:
        file: path of the file (or folder) that the user gave, for messages.
        dataset: GDAL dataset name with `{path}` in the place of `path`, for example
            `NETCDF:"{path}":B4`, or `{path}` alone.
        path: the path inside the dataset name: what can be made relative.
        open_options: `KEY=VALUE` that GDAL needs to open it.
        index: GDAL band number in the dataset.
        day: acquisition date.
        band: a name of BANDS or of MASKS.
        grid: of the dataset, north-up.
        nodata: raw value that means "no value", as the file declares it; None if it does not.
        scale: reflectance = raw x scale + offset; None where the file does not say.
        offset: see scale; None where the file does not say.
        dtype: GDAL data type.
        block: width and height of the dataset's blocks.
        product: the image that it belongs to.
        certain: nodata, scale and offset come from the product's own metadata, so that what the
            user says about other files does not touch them.
        may_hold_offset: a processing baseline from 04.00 on, with nothing about its offset.
        settled: its archive and baseline decide scale and offset, so that no pixel is asked.
        declared: GDAL knows `nodata` from the dataset itself, not only we from metadata beside it.
        flipped: the dataset's rows run from south to north, although `grid` is north-up.
        masked: a mask of the file (internal or `.msk`) hides pixels of it.
        alpha: GDAL number of the alpha band that hides pixels of it; 0 if none does.
    """

    file: str
    path: str
    index: int
    day: date
    band: str
    grid: Grid
    nodata: float | None
    scale: float | None
    offset: float | None
    dtype: int
    block: tuple[int, int]
    dataset: str = "{path}"
    open_options: tuple[str, ...] = ()
    product: Product = Product()
    certain: bool = False
    may_hold_offset: bool = False
    settled: bool = False
    declared: bool = True
    flipped: bool = False
    masked: bool = False
    alpha: int = 0

    @property
    def name(self) -> str:
        """Return the name of the product, or of the file without its folder, for messages."""
        return self.product.name or os.path.basename(os.path.normpath(self.file))

    @property
    def dataset_name(self) -> str:
        """Return what GDAL opens."""
        return self.dataset.format(path=self.path)
