"""Finding acquisitions: a search of a STAC API, page by page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from urllib.parse import urljoin

from ...errors import SeriesError
from ..sources.stac import day_of, is_l2a, product_of, remote_name
from .services import Service
from .transport import Request, fetch_json

Item = dict[str, Any]

_PAGE = 100  # items asked for at once
_MOST_PAGES = 500
_NEAR = timedelta(days=366)  # where acquisitions are looked for if there are none in time


def find_items(
    service: Service,
    lonlat: tuple[float, float, float, float],
    start: date,
    end: date,
    max_cloud: float | None,
    check: Callable[[], None],
) -> tuple[list[Item], list[str]]:
    """Return the acquisitions of an area between two days, and what was left out and why.

    Of a scene that is listed twice the newer processing counts.

    Args:
        service: to search.
        lonlat: west, south, east, north in degrees.
        start: first day.
        end: last day, included.
        max_cloud: largest cloud cover of the whole scene, 0 to 1; None for any.
        check: called before each request; may raise to stop.

    Raises:
        SeriesError: END lies before START, the service does not answer as a STAC API, it has no
            such collection, or nothing is found.
    """
    if end < start:
        raise SeriesError(f"END {end} lies before START {start}; exchange them.")
    _require_collection(service, check)
    found = list(_search(service, lonlat, start, end, check))
    if not found:
        raise SeriesError(
            f"{service.name} has no acquisition of {service.collection} there from {start} to "
            f"{end}{_nearest(service, lonlat, start, end, check)}."
        )
    found, notes = _usable(found, service)
    newest: dict[tuple[str, str], Item] = {}
    for item in found:
        product = product_of(item)
        key = product.scene or str(item.get("id")), _day(item)
        if key not in newest or product.processed > product_of(newest[key]).processed:
            newest[key] = item
    kept, cloudy = [], 0
    for item in newest.values():
        cloud = product_of(item).cloud
        if max_cloud is not None and cloud is not None and cloud > max_cloud:
            cloudy += 1
        else:
            kept.append(item)
    if len(newest) < len(found):
        notes.append(f"{len(found) - len(newest)} older processings of a scene are left out.")
    if cloudy:
        notes.append(f"{cloudy} acquisitions with more cloud are left out.")
    if not kept:
        raise SeriesError(
            f"All {cloudy} acquisitions from {start} to {end} have more cloud than MAX_CLOUD; "
            "raise it."
        )
    return sorted(kept, key=lambda item: (_day(item), str(item.get("id")))), notes


def _usable(items: list[Item], service: Service) -> tuple[list[Item], list[str]]:
    """Return the items of Sentinel-2 L2A that state their day, and how many others there are.

    Raises:
        SeriesError: none is left, or they are of L1C.
    """
    ours = [item for item in items if is_l2a(item)]
    if not ours:
        raise SeriesError(
            f"The collection {service.collection} of {service.name} is not of Sentinel-2; choose "
            "its Sentinel-2 L2A as COLLECTION."
        )
    dated = [item for item in ours if _day(item)]
    if not dated:
        raise SeriesError(
            f"The acquisitions of {service.collection} of {service.name} state no day; choose "
            "another COLLECTION."
        )
    gone = len(items) - len(dated)
    others = f"{gone} acquisitions of other satellites or without a day are left out."
    return dated, [others] if gone else []


def _day(item: Item) -> str:
    """Return the day of an item as 2019-05-14; an empty text if it states none."""
    return str(day_of(item) or "")


def _require_collection(service: Service, check: Callable[[], None]) -> None:
    listed = fetch_json(service.request(f"{service.address}/collections"), check)
    collections = listed.get("collections") if isinstance(listed, dict) else None
    if not isinstance(collections, list):
        raise SeriesError(
            f"{service.address} is no STAC API: it lists no collections. Give the address that "
            "its documentation names, often one that ends in /v1."
        )
    names = [str(one.get("id")) for one in collections if isinstance(one, dict)]
    complete = _next_page(listed, service.request(service.address), service) is None
    if service.collection in names or not complete:
        return
    alike = [name for name in names if "sentinel-2" in name.lower()] or names[:10]
    raise SeriesError(
        f"{service.name} has no collection {service.collection}; it has {', '.join(alike)}."
    )


def _search(
    service: Service,
    lonlat: tuple[float, float, float, float],
    start: date,
    end: date,
    check: Callable[[], None],
) -> Iterator[Item]:
    request: Request | None = service.request(
        f"{service.address}/search",
        {
            "collections": [service.collection],
            "bbox": list(lonlat),
            "datetime": f"{start}T00:00:00Z/{end}T23:59:59Z",
            "limit": _PAGE,
        },
    )
    seen: set[str] = set()
    for _ in range(_MOST_PAGES):
        if request is None:
            return
        page = fetch_json(request, check)
        features = page.get("features") if isinstance(page, dict) else None
        if not isinstance(features, list):
            raise SeriesError(
                f"{service.address} does not answer a search as a STAC API does; check the address."
            )
        fresh = [
            _with_addresses(one, request.url)
            for one in features
            if isinstance(one, dict)
            and isinstance(one.get("assets"), dict)
            and str(one.get("id")) not in seen
        ]
        seen.update(str(one.get("id")) for one in fresh)
        yield from fresh
        request = _next_page(page, request, service) if fresh else None


def _with_addresses(item: Item, page: str) -> Item:
    """Return an item with full addresses, and without assets that are not on the web."""
    links = item.get("links")
    own = [
        str(one.get("href"))
        for one in (links if isinstance(links, list) else [])
        if isinstance(one, dict) and one.get("rel") == "self" and one.get("href")
    ]
    base = urljoin(page, own[0]) if own else page
    assets = {}
    for key, asset in item["assets"].items():
        href = asset.get("href") if isinstance(asset, dict) else None
        if not isinstance(href, str) or not href:
            continue
        full = href if remote_name(href) else urljoin(base, href)
        # A list from the network names no file of this machine.
        if remote_name(full):
            assets[key] = {**asset, "href": full}
    return {**item, "assets": assets}


def _next_page(page: Mapping[str, Any], request: Request, service: Service) -> Request | None:
    """Return the request for the next page, by POST or GET; None after the last.

    https://github.com/radiantearth/stac-api-spec/tree/release/v1.0.0/item-search#pagination
    """
    listed = page.get("links")
    links = [one for one in (listed if isinstance(listed, list) else []) if isinstance(one, dict)]
    link = next((one for one in links if one.get("rel") == "next" and one.get("href")), None)
    if link is None:
        return None
    more, posted = link.get("headers"), link.get("body")
    url = urljoin(request.url, str(link["href"]))
    headers = {str(k): str(v) for k, v in more.items()} if isinstance(more, dict) else {}
    if str(link.get("method", "GET")).upper() != "POST":
        return replace(service.request(url), headers=headers)
    body = dict(posted) if isinstance(posted, dict) else {}
    if link.get("merge") or not body:
        body = {**(request.body or {}), **body}
    return replace(service.request(url, body), headers=headers)


def _nearest(
    service: Service,
    lonlat: tuple[float, float, float, float],
    start: date,
    end: date,
    check: Callable[[], None],
) -> str:
    """Return which acquisitions lie nearest in time, as the end of a sentence."""
    try:
        days = [_day(item) for item in _search(service, lonlat, start - _NEAR, end + _NEAR, check)]
    except SeriesError:
        return ""
    days = sorted(day for day in days if re.fullmatch(r"\d{4}-\d\d-\d\d", day))
    before = [day for day in days if day < start.isoformat()][-1:]
    after = [day for day in days if day > end.isoformat()][:1]
    if not before and not after:
        return ", nor within a year of that"
    return f"; the nearest are of {' and '.join([*before, *after])}"
