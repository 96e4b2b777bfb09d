"""Which images are of another sensor than Sentinel-2, by what they and their names say.

Band numbers mean other wavelengths there: B05 of Landsat 8 is near infrared, B11 of HLS L30 is
thermal. What is not Sentinel-2 is left out and named; nothing is assumed to be.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

_SENTINEL_2_NAMES = re.compile(
    r"(?<![A-Za-z0-9])S2[A-D]_|HLS[._]S30[._]|SENTINEL2[A-D]|(?<![A-Za-z0-9])SEN2[A-D]", re.I
)
# Names of products by their makers' conventions, of files and of the folders that hold them.
_PRODUCTS = (
    (re.compile(r"HLS[._]L30[._]", re.I), "HLS L30 (Landsat)"),
    (re.compile(r"(?<![A-Za-z0-9])LND0?[4-9](?![A-Za-z0-9])"), "Landsat (FORCE)"),
    (re.compile(r"(?<![A-Za-z0-9])L[COTEM]0?[4-9]_?L[12][A-Z]{2}(?![A-Za-z])", re.I), "Landsat"),
    (re.compile(r"(?<![A-Za-z0-9])L[COTEM]0?[4-9]_?\d{6}(\d{7})?(?!\d)", re.I), "Landsat"),
)
_NAMES = (
    *_PRODUCTS,
    (re.compile(r"landsat", re.I), "Landsat"),
    (
        re.compile(r"PSScene|planetscope|superdove|_3B_(Analytic|Visual)|_AnalyticMS", re.I),
        "Planet",
    ),
    (re.compile(r"(?<![A-Za-z0-9])S1[A-D]_(IW|EW|SM|WV)_", re.I), "Sentinel-1"),
    (re.compile(r"(?<![A-Za-z0-9])S3[A-D]_(OL|SL|SY)_", re.I), "Sentinel-3"),
    (re.compile(r"(?<![A-Za-z0-9])(MOD|MYD|MCD|VNP|VJ1)\d{2}[A-Z]\d\.A\d{7}"), "MODIS or VIIRS"),
)
# What metadata call the satellite or the sensor.
_ITEMS = re.compile(
    r"(SPACECRAFT|SATELLITE|PLATFORM|CONSTELLATION|MISSION|SENSOR|INSTRUMENT)(_?(NAME|ID|TYPE)S?)?",
    re.I,
)
_SENSORS = re.compile(
    r"(landsat|\bl[co]0?[4-9]\b|\boli\b|\btirs\b|\betm\b|planet|\bps[b2]\b|dove|rapideye|worldview|"
    r"quickbird|geoeye|pleiades|\bspot\b|modis|viirs|aster|envisat|meris|olci|slstr|"
    r"sentinel[-_ ]?[1356]|\bs[13][a-d]\b)",
    re.I,
)
_SENTINEL_2 = re.compile(r"sentinel[-_ ]?2|(?<![A-Za-z0-9])s2[a-d]?(?![A-Za-z0-9])|\bmsi\b", re.I)
# Bands that Sentinel-2 does not have, as descriptions call them.
_OTHER_BANDS = {
    "yellow": "PlanetScope or another sensor with a yellow band",
    "greeni": "PlanetScope",
    "coastalblue": "PlanetScope or another sensor with a coastal blue band",
    "pan": "a sensor with a panchromatic band",
    "panchromatic": "a sensor with a panchromatic band",
    "thermal": "a sensor with a thermal band",
    "lwir": "a sensor with a thermal band",
    "lwir11": "a sensor with a thermal band",
    "lwir12": "a sensor with a thermal band",
    "tirs1": "Landsat",
    "tirs2": "Landsat",
}


def other_sensor(
    path: str, metadata: Mapping[str, str], descriptions: Iterable[str] = ()
) -> str | None:
    """Return the sensor of an image that says it is not of Sentinel-2; None if it does not.

    Args:
        path: of the file; its name and that of its folder count.
        metadata: of the file.
        descriptions: of its bands.
    """
    name, folder = os.path.basename(path), os.path.basename(os.path.dirname(path))
    if not _SENTINEL_2_NAMES.search(name):
        for pattern, sensor in _NAMES:
            if pattern.search(name):
                return sensor
        for pattern, sensor in _PRODUCTS:
            if pattern.match(folder):
                return sensor
    for key, value in metadata.items():
        known = _ITEMS.fullmatch(key.rsplit(":", 1)[-1])
        if known and _SENSORS.search(value) and not _SENTINEL_2.search(value):
            return value.strip()
    for text in descriptions:
        found = _OTHER_BANDS.get(re.sub(r"[\s_.-]+", "", text).lower())
        if found:
            return found
    return None


def is_sentinel_2(texts: Iterable[object]) -> bool:
    """Return whether one of some texts names Sentinel-2."""
    return any(_SENTINEL_2.search(str(text)) for text in texts if text)
