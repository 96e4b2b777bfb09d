"""GDAL's settings for files on the network, and texts without keys."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from html import unescape

from osgeo import gdal

REMOTE = ("/vsicurl", "/vsis3", "/vsigs", "/vsiaz", "http://", "https://")
"""How the names begin by which GDAL opens files on the network."""

_READDIR = "GDAL_DISABLE_READDIR_ON_OPEN"
# https://gdal.org/user/configoptions.html#networking-options
_SETTINGS = {
    # A server that says nothing for so long is gone; a slow one that goes on sending is not.
    "GDAL_HTTP_CONNECTTIMEOUT": "15",
    "GDAL_HTTP_LOW_SPEED_TIME": "20",
    "GDAL_HTTP_LOW_SPEED_LIMIT": "1",
    # 429, 502, 503, 504 and broken connections are tried again, each time after a longer pause.
    "GDAL_HTTP_MAX_RETRY": "4",
    "GDAL_HTTP_RETRY_DELAY": "0.5",
    # Without a listing of folders and without asking for side-car files that are not there.
    _READDIR: "EMPTY_DIR",
    # The first bytes tell the size of the file too, so no HEAD goes before them; 32 kB hold the
    # header and the block index of a tile of Sentinel-2 as COG.
    "GDAL_INGESTED_BYTES_AT_OPEN": "32768",
    "CPL_VSIL_CURL_CHUNK_SIZE": "32768",
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_HTTP_MULTIPLEX": "YES",
}
# What stands behind "?" in an address, and a password before the name of a server.
_QUERY = re.compile(r"(?<=\?)[^\s'\"]+")
_PASSWORD = re.compile(r"(?<=://)[^/\s@]+@")


_SOURCE = re.compile(r"<Source(?:Filename|Dataset)\b[^>]*>([^<]+)<")
_MOST_VRTS = 100  # of a series whose helper VRTs are looked into


def is_remote(name: str) -> bool:
    """Return whether GDAL opens a name on the network."""
    return name.startswith(REMOTE)


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Give reads of a raster the settings of the network if it, or what it refers to, lies there.

    Args:
        name: by which GDAL opens it.
    """
    remote, local = _places(name)
    if not remote:
        yield
        return
    # A file on this machine may have masks and overviews beside it.
    with network_settings(without=(_READDIR,) if local else ()):
        yield


def refers_to_network(name: str) -> bool:
    """Return whether a raster, or a file that it refers to, lies on the network."""
    return bool(_places(name)[0])


def remote_files(band: gdal.Band, folder: str) -> list[str]:
    """Return the files on the network that a band of a VRT refers to, through VRTs of VRTs.

    Args:
        band: of the VRT.
        folder: of the VRT.
    """
    found: set[str] = set()
    for text in (band.GetMetadata("vrt_sources") or {}).values():
        for name in _SOURCE.findall(text):
            full = unescape(name.strip())
            found |= _places(full if is_remote(full) else os.path.join(folder, full))[0]
    return sorted(found)


def _places(name: str) -> tuple[frozenset[str], bool]:
    """Return the files of a raster on the network, and whether a part of it lies here."""
    if is_remote(name):
        return frozenset((name,)), False
    if not name.lower().endswith(".vrt"):
        return frozenset(), True
    if name.startswith("/vsi"):
        status = gdal.VSIStatL(name)
        changed, size = (status.mtime, status.size) if status else (0, 0)
    else:
        try:
            there = os.stat(name)
        except OSError:
            return frozenset(), True
        changed, size = there.st_mtime_ns, there.st_size
    return _places_of_vrt(name, changed, size)


@lru_cache(maxsize=64)
def _places_of_vrt(path: str, _changed: int, _size: int) -> tuple[frozenset[str], bool]:
    """Return the files of a VRT on the network, and whether it refers to files here."""
    remote: set[str] = set()
    local = False
    waiting, seen = [path], {path}
    while waiting and len(seen) <= _MOST_VRTS:
        vrt = waiting.pop()
        for one in {unescape(text.strip()) for text in _SOURCE.findall(_text(vrt))}:
            if is_remote(one):
                remote.add(one)
                continue
            full = os.path.join(os.path.dirname(vrt), one)
            if not one.lower().endswith(".vrt"):
                local = True
            elif full not in seen:
                seen.add(full)
                waiting.append(full)
    return frozenset(remote), local


def _text(path: str) -> str:
    """Return a VRT as text, also one in memory; empty if it cannot be read."""
    file = gdal.VSIFOpenL(path, "rb")
    if file is None:
        return ""
    try:
        gdal.VSIFSeekL(file, 0, os.SEEK_END)
        size = gdal.VSIFTellL(file)
        gdal.VSIFSeekL(file, 0, os.SEEK_SET)
        return bytes(gdal.VSIFReadL(1, size, file) or b"").decode("utf-8", "replace")
    finally:
        gdal.VSIFCloseL(file)


@contextmanager
def network_settings(
    more: Mapping[str, str] | None = None, without: Collection[str] = ()
) -> Iterator[None]:
    """Give the remote reads of this thread time-outs, retries and few requests, for a while.

    What the user set for GDAL stays. QGIS's own reads, in other threads, are as before.

    Args:
        more: further options of GDAL, such as keys; they win over the user's.
        without: options that stay as they are.
    """
    chosen = {
        name: text
        for name, text in _SETTINGS.items()
        if name not in without and gdal.GetConfigOption(name) is None
    }
    chosen.update(more or {})
    before = {name: gdal.GetThreadLocalConfigOption(name) for name in chosen}
    for name, text in chosen.items():
        gdal.SetThreadLocalConfigOption(name, text)
    try:
        yield
    finally:
        for name, value in before.items():
            gdal.SetThreadLocalConfigOption(name, value)


def without_secrets(text: str) -> str:
    """Return a text in which web addresses hold no token, key or password."""
    return _PASSWORD.sub("", _QUERY.sub("...", text))
