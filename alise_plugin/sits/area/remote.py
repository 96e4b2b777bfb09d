"""A list of acquisitions that stay where they are."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from urllib.parse import urlsplit

from ...errors import SeriesError
from ...whole_files import write_text
from ..sources.stac import assets_of
from .area import Area
from .fetch import ITEMS, claim_folder
from .search import Item
from .services import Service


def write_remote_items(
    items: Sequence[Item], bands: Sequence[str], area: Area, service: Service, folder: str
) -> str:
    """List acquisitions with the addresses of their files on the network.

    Args:
        items: that the search found.
        bands: to list.
        area: of the series.
        service: that the items are of.
        folder: that holds the list.

    Returns:
        The path of the list.

    Raises:
        SeriesError: the files need a key or token, which no file may hold.
        OutputError: the list cannot be written.
    """
    if service.tokens or service.key_variables or service.login:
        raise SeriesError(
            f"The files of {service.name} need a key or token at each reading, which a series "
            "cannot hold; leave COPY on."
        )
    listed = []
    for item in items:
        assets = {band: asset for band, (_, asset, _) in assets_of(item).items() if band in bands}
        if any(urlsplit(str(asset.get("href"))).query for asset in assets.values()):
            raise SeriesError(
                f"The addresses of {service.name} hold keys that end, which a series cannot hold; "
                "leave COPY on."
            )
        if assets:
            listed.append({**item, "assets": assets, "links": []})
    claim_folder(folder, area, service)
    path = os.path.join(folder, ITEMS)
    write_text(path, json.dumps({"type": "FeatureCollection", "features": listed}, indent=1))
    return path
