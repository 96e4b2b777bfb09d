"""GDAL's settings for files on the network, and texts without keys."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from osgeo import gdal

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
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
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


@contextmanager
def network_settings(more: Mapping[str, str] | None = None) -> Iterator[None]:
    """Give the remote reads of this thread time-outs, retries and few requests, for a while.

    What the user set for GDAL stays. QGIS's own reads, in other threads, are as before.

    Args:
        more: further options of GDAL, such as keys; they win over the user's.
    """
    chosen = {name: text for name, text in _SETTINGS.items() if gdal.GetConfigOption(name) is None}
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
