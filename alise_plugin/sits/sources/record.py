"""The record that passes from readers to the VRT writer."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import date

from ..grid import Grid


@dataclass(frozen=True)
class SourceBand:
    """One band of one acquisition, as it lies in a file.

    Attributes:
        file: path of the file (or folder) that the user gave, for messages.
        dataset: GDAL dataset name with `{path}` in the place of `path`, for example
            `NETCDF:"{path}":B4`, or `{path}` alone.
        path: the path inside the dataset name: what can be made relative.
        open_options: `KEY=VALUE` that GDAL needs to open it.
        index: GDAL band number in the dataset.
        day: acquisition date.
        band: a name of BANDS.
        grid: of the dataset.
        nodata: raw value that means "no value", as the file declares it; None if it does not.
        scale: reflectance = raw x scale + offset; None where the file does not say.
        offset: see scale; None where the file does not say.
        dtype: GDAL data type.
        block: width and height of the dataset's blocks.
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

    @property
    def name(self) -> str:
        """The file's name without its folder, for messages."""
        return os.path.basename(os.path.normpath(self.file))

    @property
    def dataset_name(self) -> str:
        """What GDAL opens."""
        return self.dataset.format(path=self.path)
