"""Writes an image series: one VRT, and where it must be, helper VRTs in a folder beside it.

Most sources are referred to directly. Two kinds need a helper, because a VRT source can neither
declare nodata for another file nor change its CRS:

- "native": on the source's own grid, declaring the nodata that the source does not declare, and
  putting it in the place of what else means "no value", so that bicubic resampling keeps all of
  that out of its kernel;
- "warped": on the grid of the series, from a source in another CRS, beside the lattice of the
  series, or upside down. It resamples from the source's own pixels, so nothing is resampled twice.
"""

from __future__ import annotations

import contextlib
import os
import re
import uuid
import xml.etree.ElementTree as ET  # nosec B405  # types and writing only
from collections.abc import Iterator, Sequence

from osgeo import gdal

from ...errors import OutputError
from ...whole_files import whole_file
from ..grid import Grid
from ..sources.find import PARTS_ENDING
from .compose import Composer
from .elements import xml_text
from .layers import Acquisition

_HELPER_NAME = re.compile(r"[0-9a-f]{8}_(native|warped|masks|alpha)_\d+\.vrt")


def write_vrt(
    path: str, grid: Grid, acquisitions: Sequence[Acquisition], *, masked: bool = False
) -> None:
    """Write T x 10 bands, date-major; everything appears, or nothing.

    Args:
        path: the VRT.
        grid: of the series. Layers on other grids are resampled to it once, bicubic (averaged
            where they are finer than it), masks by nearest neighbour.
        acquisitions: ascending in date.
        masked: whether "no value" is laid over what the masks call unusable.

    Raises:
        OutputError: the files cannot be written.
    """
    composer = Composer(grid, os.path.dirname(os.path.abspath(path)), _parts_folder(path))
    series = composer.series(acquisitions, masked)
    helpers = composer.helpers()
    written: list[str] = []
    try:
        with whole_file(path) as temporary:
            if helpers:
                os.makedirs(_parts_folder(path), exist_ok=True)
            for name, helper in helpers.items():
                written.append(name)
                _save(name, helper)
            _save(temporary, series)
    except OutputError:
        with contextlib.suppress(OSError):
            for name in written:
                os.remove(name)
        with contextlib.suppress(OSError):
            os.rmdir(_parts_folder(path))
        raise
    _remove_helpers(_parts_folder(path), except_of=composer.token)


@contextlib.contextmanager
def series_in_memory(grid: Grid, acquisitions: Sequence[Acquisition]) -> Iterator[tuple[str, str]]:
    """Yield GDAL names of a series and of its mask bands (one per date) in memory.

    The mask bands hold USABLE, UNUSABLE and CLOUD.
    """
    folder = f"/vsimem/{uuid.uuid4().hex}"
    composer = Composer(grid, "", folder)
    names = {f"{folder}/series.vrt": composer.series(acquisitions, False)}
    masks = composer.masks(acquisitions)
    names.update(composer.helpers())
    for name, root in names.items():
        gdal.FileFromMemBuffer(name, xml_text(root))
    try:
        yield f"{folder}/series.vrt", masks
    finally:
        for name in names:
            gdal.Unlink(name)


def _parts_folder(path: str) -> str:
    return os.path.splitext(os.path.abspath(path))[0] + PARTS_ENDING


def _remove_helpers(folder: str, except_of: str) -> None:
    """Remove the helpers of an earlier series of the same name, and nothing else."""
    if not os.path.isdir(folder):
        return
    for name in os.listdir(folder):
        if _HELPER_NAME.fullmatch(name) and not name.startswith(except_of):
            with contextlib.suppress(OSError):
                os.remove(os.path.join(folder, name))
    with contextlib.suppress(OSError):  # not empty: in use
        os.rmdir(folder)


def _save(path: str, root: ET.Element) -> None:
    with open(path, "wb") as file:
        file.write(xml_text(root))
