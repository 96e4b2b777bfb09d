"""Filling a folder with the acquisitions of an area: an ItemCollection and its windows."""

from __future__ import annotations

import hashlib
import json
import math
import os
import queue
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Optional

from ...errors import AliseError, OutputError, SeriesError
from ...feedback import Feedback, stop_if_cancelled
from ...sentinel2 import BANDS
from ...whole_files import write_text
from ..sources.safe import OFFSET_BASELINE
from ..sources.stac import assets_of, baseline_of, day_of, projected_grid, stated_value
from .area import Area
from .search import Item
from .services import Service
from .tokens import Signer
from .windows import Download, Wanted

ITEMS = "items.json"
AREA = "area.json"
AT_ONCE = 8  # files that are read side by side

_SCHEMA = 1
_LONGEST_NAME = 100  # of a folder of an acquisition
_POLL = 0.5  # seconds between two looks at Cancel
_PATIENCE = 2.0  # seconds that a run which ends waits for the files that are being read
_MB = 1e6
_RATE_MB = 5.0  # a second: an ordinary line, to say about how long a run takes
_DEFAULT_PIXEL = 10.0
_DN, _DN_OFFSET, _DN_NODATA = 1e-4, -0.1, 0


@dataclass(frozen=True)
class Copies:
    """The windows of a run.

    Attributes:
        items: acquisitions of the area, as the folder will list them.
        wanted: windows that are not in the folder yet.
        megabytes: of their pixels.
    """

    items: list[Item]
    wanted: list[Wanted]
    megabytes: float


@dataclass
class _Progress:
    """Bytes of pixels that came, added up from any thread."""

    done: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, count: int) -> None:
        with self.lock:
            self.done += count


def claim_folder(folder: str, area: Area, service: Service) -> None:
    """Make the folder, or make sure that it holds windows of the same area and collection.

    Raises:
        OutputError: it cannot be made, or holds another area.
    """
    statement = {
        "schema": _SCHEMA,
        "area": list(area.box),
        "crs": area.crs,
        "service": service.address,
        "collection": service.collection,
    }
    path = os.path.join(folder, AREA)
    if os.path.exists(path):
        try:
            with open(path, encoding="utf-8") as file:
                other = json.load(file)
        except (OSError, ValueError) as error:
            raise OutputError(f"{path} cannot be read; choose another FOLDER.") from error
        if other != statement:
            raise OutputError(
                f"{folder} holds windows of another area or service ({other.get('area')} of "
                f"{other.get('collection')}); choose another FOLDER."
            )
        return
    try:
        os.makedirs(folder, exist_ok=True)
        strangers = [name for name in os.listdir(folder) if not name.startswith(".")]
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be made ({error.strerror}); choose another FOLDER."
        ) from error
    if strangers:
        raise OutputError(
            f"{folder} holds other files ({strangers[0]}); choose an empty FOLDER, or one that "
            "this algorithm filled."
        )
    write_text(path, json.dumps(statement, indent=1))


def plan_copies(
    items: Sequence[Item], bands: Sequence[str], area: Area, folder: str, service: Service
) -> Copies:
    """Return the acquisitions with the addresses of their copies, and which copies are missing.

    Args:
        items: that the search found.
        bands: to copy, of BANDS and "SCL".
        area: that is cut out.
        folder: of the copies.
        service: that the items are of.

    Raises:
        SeriesError: no item has one of the bands.
    """
    listed: list[Item] = []
    wanted: list[Wanted] = []
    for item in items:
        found = assets_of(item)
        name = str(item.get("id"))
        place = _folder_name(name)
        assets: dict[str, Any] = {}
        for band in bands:
            if band not in found:
                continue
            index, asset, described = found[band]
            size = _window_bytes(asset, item, described, area)
            if size == 0:
                continue
            path = os.path.join(folder, place, f"{band}.tif")
            assets[band] = _local(asset, described, f"./{place}/{band}.tif", band)
            _state_values(assets[band], item, band, service)
            if not os.path.exists(path):
                wanted.append(Wanted(name, band, str(asset.get("href", "")), index, path, size))
        if assets:
            listed.append(_without_old_grid({**item, "assets": assets, "links": []}))
    if not listed:
        raise SeriesError(
            f"The acquisitions of {service.name} have none of the bands {', '.join(bands)} there; "
            "choose other BANDS or another area."
        )
    return Copies(listed, wanted, sum(one.size for one in wanted) / _MB)


def _folder_name(name: str) -> str:
    """Return a name for the folder of an acquisition, whatever a service calls it."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:_LONGEST_NAME]
    if plain == name:
        return plain
    return f"{plain}_{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:8]}"


def _without_old_grid(item: Item) -> Item:
    """Return an item that no longer says which pixels the whole scene has."""
    gone = ("proj:shape", "proj:transform", "proj:bbox", "proj:geometry", "proj:centroid")
    properties = {k: v for k, v in (item.get("properties") or {}).items() if k not in gone}
    return {**item, "properties": properties}


def _local(asset: Item, described: Item, href: str, band: str) -> Item:
    """Return the asset of a copy: what was known of its values, not of its old place and size."""
    made: Item = {key: asset[key] for key in ("title", "gsd", "roles") if key in asset}
    values: Item = {}
    for key in ("scale", "offset", "nodata", "data_type"):
        stated = stated_value(asset, described, key)
        if stated is not None:
            values[key] = stated
    made["href"] = href
    made["type"] = "image/tiff; application=geotiff; profile=cloud-optimized"
    made["eo:bands"] = [{"name": band}]
    made["raster:bands"] = [values]
    return made


def _state_values(asset: Item, item: Item, band: str, service: Service) -> None:
    """State scale and offset where a service leaves them to those who know its DN."""
    (values,) = asset["raster:bands"]
    baseline = baseline_of(item)
    if service.dn_as_delivered and band in BANDS and baseline and "scale" not in values:
        offset = _DN_OFFSET if baseline >= OFFSET_BASELINE else 0.0
        values.update({"scale": _DN, "offset": offset, "nodata": _DN_NODATA})


def _window_bytes(asset: Item, item: Item, described: Item, area: Area) -> int:
    """Return the bytes of the pixels of a window, about; 0 where the area lies outside."""
    grid = projected_grid(asset, item.get("properties") or {})
    size = 1 if stated_value(asset, described, "data_type") == "uint8" else 2
    if grid is not None:
        window = area.window(grid)
        return 0 if window is None else window.pixels * size
    west, south, east, north = area.lonlat()
    degree = 111_320.0
    width = (east - west) * degree * math.cos(math.radians((south + north) / 2))
    stated = described.get("gsd")
    pixel = float(stated) if isinstance(stated, (int, float)) and stated else _DEFAULT_PIXEL
    return max(1, round(width / pixel * (north - south) * degree / pixel * size))


def require_room(copies: Copies, folder: str, limit: float, area: Area) -> None:
    """Refuse, before the first pixel is fetched, what is larger than the user or the disk allows.

    Raises:
        AliseError: it is.
    """
    if copies.megabytes > limit:
        west, south, east, north = area.lonlat()
        share = math.sqrt(limit / copies.megabytes)
        height = (north - south) * 111.32
        width = (east - west) * 111.32 * math.cos(math.radians((south + north) / 2))
        raise AliseError(
            f"{len(copies.items)} acquisitions of this area are {copies.megabytes:.3g} MB, more "
            f"than the LIMIT of {limit:g} MB: raise LIMIT, choose fewer days, or an area of at "
            f"most {width * share:.1f} x {height * share:.1f} km instead of {width:.1f} x "
            f"{height:.1f} km."
        )
    free = shutil.disk_usage(folder).free / _MB
    if copies.megabytes > free:
        raise OutputError(
            f"The disk of {folder} has room for {free:.0f} MB, and the images are up to "
            f"{copies.megabytes:.0f} MB; make room, or choose another FOLDER."
        )


def duration_text(megabytes: float) -> str:
    """Return about how long so many MB take, in words."""
    minutes = megabytes / _RATE_MB / 60
    return "less than a minute" if minutes < 1 else f"about {minutes:.0f} min at 5 MB a second"


def fetch(copies: Copies, area: Area, service: Service, folder: str, feedback: Feedback) -> None:
    """Copy what is missing, several files at once, and list all items in `items.json`.

    A file that was copied stays, whatever happens to the others: another run goes on there.

    Raises:
        SeriesError: a file cannot be read.
        OutputError: a file cannot be written.
        Cancelled: the feedback says so.
    """
    if copies.wanted:
        service.read_options()  # a missing key is said before the first request
    progress = _Progress()
    stopped = threading.Event()

    def check() -> None:
        if stopped.is_set():
            stop_if_cancelled(feedback)

    download = Download(
        area,
        Signer(service.tokens, check),
        service.options_of,
        progress.add,
        stopped,
    )
    total = max(1, sum(one.size for one in copies.wanted))
    for place in {os.path.dirname(one.path) for one in copies.wanted}:
        _make_folder(place)
    with _side_by_side(download.copy, copies.wanted, stopped) as results:
        for _ in copies.wanted:
            error = _next_result(results, feedback, lambda: min(1.0, progress.done / total))
            if error is not None:
                raise error
    _list_items(copies.items, folder)


_Result = Optional[BaseException]  # what a copy raised; None for one that is there


@contextmanager
def _side_by_side(
    copy: Callable[[Wanted], object], wanted: Sequence[Wanted], stopped: threading.Event
) -> Iterator[queue.SimpleQueue[_Result]]:
    """Yield the results of copies, which are made in threads until the block ends.

    The threads are daemons: one that waits for a silent server ends by its time-out, and neither
    the run nor the end of the program waits for that, as they would for a ThreadPoolExecutor.
    """
    results: queue.SimpleQueue[_Result] = queue.SimpleQueue()
    jobs: queue.SimpleQueue[Wanted] = queue.SimpleQueue()
    for one in wanted:
        jobs.put(one)

    def work() -> None:
        while not stopped.is_set():
            try:
                copy(jobs.get_nowait())
            except queue.Empty:
                return
            except BaseException as error:
                results.put(error)
            else:
                results.put(None)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(AT_ONCE, len(wanted)))]
    for thread in threads:
        thread.start()
    try:
        yield results
    finally:
        stopped.set()
        end = time.monotonic() + _PATIENCE
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))


def _next_result(
    results: queue.SimpleQueue[_Result], feedback: Feedback, share: Callable[[], float]
) -> _Result:
    """Wait for a copy to end, and report how much is there meanwhile."""
    while True:
        stop_if_cancelled(feedback)
        feedback.progress(share())
        with suppress(queue.Empty):
            return results.get(timeout=_POLL)


def _make_folder(path: str) -> None:
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be made ({error.strerror}); choose another FOLDER."
        ) from error


def _list_items(items: Sequence[Item], folder: str) -> None:
    """Write the items, with those of earlier runs, as an ItemCollection with local addresses."""
    path = os.path.join(folder, ITEMS)
    known: dict[str, Item] = {}
    if os.path.exists(path):
        try:
            with open(path, encoding="utf-8") as file:
                known = {str(one["id"]): one for one in json.load(file)["features"]}
        except (OSError, ValueError, KeyError, TypeError):
            known = {}
    for item in items:
        before = known.get(str(item["id"]), {}).get("assets", {})
        assets = {**before, **item["assets"]}
        there = {
            band: asset
            for band, asset in assets.items()
            if os.path.exists(os.path.join(folder, asset["href"]))
        }
        if there:
            known[str(item["id"])] = {**item, "assets": there}
    collection = {
        "type": "FeatureCollection",
        "features": sorted(known.values(), key=lambda one: str(day_of(one))),
    }
    write_text(path, json.dumps(collection, indent=1))
