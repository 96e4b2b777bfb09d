"""What a raster is read from, and whether it is still the same."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import xml.etree.ElementTree as ET  # nosec B405  # entities: see parse_xml
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from osgeo import gdal

from ...errors import OutputError
from ...sits.network import network_settings
from ...sits.rasters import files_behind, quiet_gdal
from ...xml_elements import parse_xml

State = list[list[Any]]  # as JSON knows it

_SOURCES = ("SourceFilename", "SourceDataset")  # where a VRT names what it is made of
_QUOTED = re.compile(r'"(.+)"')  # the file in NETCDF:"cube.nc":B4
_INSIDE = re.compile(r"^/vsi(zip|tar|gzip)/")  # of a file on this machine
_REMOTE = re.compile(r"^(/vsi(curl|s3|gs|az|adls|oss|swift|hdfs|webhdfs)|https?://)")
_ASKED_AT_ONCE = 8
_FOLDER_FORMATS = (".zarr", ".safe")  # folders that are one data set


def source_state(path: str) -> State:
    """Return what a raster is read from, so that a change of it shows.

    Full name, size and time of each file behind it; of a folder such as a Zarr cube, those of all
    files in it; of a file on the network what its server says (size, time, ETag); and a hash of
    what each VRT makes of them: grid, bands, scales, masks. Where a VRT lies does not matter, nor
    when it was written: that may be done anew each time from the same files.
    """
    names: set[str] = set()
    hashes = []
    for name in files_behind(path):
        names.add(name)
        if name.lower().endswith(".vrt"):
            sources, content = _vrt(name)
            names.update(sources)
            hashes.append(["VRT", content])
    places = sorted({_place_of(name) for name in names})
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:  # servers are asked side by side
        files = list(
            pool.map(_state_of, (one for one in places if one and not one.lower().endswith(".vrt")))
        )
    return files + sorted(hashes)


def require_unchanged(before: State, path: str) -> None:
    """Make sure that nothing behind a raster was replaced while it was read.

    Args:
        before: `source_state` at the start.
        path: the raster.

    Raises:
        OutputError: something was.
    """
    now = source_state(path)
    if now == before:
        return
    changed = [item[0] for item in now if item not in before] or [path]
    name = next((str(item) for item in changed if item != "VRT"), path)
    raise OutputError(
        f"{name} was changed while this run read it, so the result would be of two states of the "
        "data; run again."
    )


def _state_of(place: str) -> list[Any]:
    if _REMOTE.match(place):
        return _remote_state(place)
    if os.path.isdir(place):
        digest = hashlib.sha256()
        for folder, folders, files in os.walk(place):
            folders.sort()
            for file in sorted(files):
                inner = os.path.join(folder, file)
                state = os.stat(inner)
                line = f"{os.path.relpath(inner, place)}|{state.st_size}|{state.st_mtime_ns}\n"
                digest.update(line.encode("utf-8", "surrogateescape"))
        return [place, "folder", digest.hexdigest()]
    state = os.stat(place)
    return [place, state.st_size, state.st_mtime_ns]


def _remote_state(name: str) -> list[Any]:
    """Return what the server says of a file; its name alone if it says nothing."""
    state, headers = None, None
    with network_settings(), quiet_gdal():
        gdal.VSICurlPartialClearCache(name)  # what it said before is not asked for
        state = gdal.VSIStatL(name)
        headers = gdal.GetFileMetadata(name, "HEADERS")
    found = {key.lower(): text for key, text in (headers or {}).items()}
    tags = [found.get(key, "") for key in ("etag", "last-modified")]
    return [name, -1 if state is None else int(state.size), *tags]


def _vrt(path: str) -> tuple[list[str], str]:
    """Return the names of a VRT's sources (GDAL does not list cubes) and a hash of the rest."""
    names = []
    with contextlib.suppress(OSError, ET.ParseError):
        root = parse_xml(Path(path).read_bytes())
        for element in root.iter():
            if element.tag in _SOURCES:
                name = element.text or ""
                relative = element.attrib.pop("relativeToVRT", "0") == "1"
                names.append(_file_in(name, os.path.dirname(path) if relative else ""))
                # Helpers of a series have new names each time; the others are in the list of files.
                element.text = "" if name.lower().endswith(".vrt") else _part_in(name)
        return names, hashlib.sha256(ET.tostring(root)).hexdigest()
    return names, ""


def _part_in(name: str) -> str:
    """Return what a GDAL dataset name says beside its file, and the last part of that."""
    quoted = _QUOTED.search(name)
    if quoted is None:
        return os.path.basename(name)
    return name.replace(quoted[1], os.path.basename(quoted[1]))


def _file_in(name: str, folder: str) -> str:
    """Return the path in a GDAL dataset name, which may be relative to a folder."""
    quoted = _QUOTED.search(name)
    return os.path.join(folder, quoted[1] if quoted else name)


def _place_of(name: str) -> str:
    """Return what holds a file: a file or folder of this machine, or an address; empty if none."""
    if _REMOTE.match(name):
        return name
    path = os.path.abspath(_INSIDE.sub("", name))
    while not os.path.isfile(path):
        if os.path.isdir(path):
            return path if path.lower().endswith(_FOLDER_FORMATS) or path == name else ""
        if path == os.path.dirname(path):
            return ""
        path = os.path.dirname(path)
    return path
