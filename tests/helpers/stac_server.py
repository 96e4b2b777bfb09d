"""A STAC API and its files on loopback, with the troubles that real services have."""

from __future__ import annotations

import json
import ssl
import threading
import time
from base64 import b64encode
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
from osgeo import gdal

from alise_plugin.sentinel2 import BANDS
from tests.helpers.products import FINE, centres, reference, truth, write_image

CORNER, EPSG = (600000.0, 5000000.0), 32631
COLLECTION = "sentinel-2-c1-l2a"


@dataclass
class Trouble:
    """What the server does wrong.

    Attributes:
        latency: seconds before each answer.
        busy: share of the files' answers that are 503.
        broken: share of the files' answers that end in the middle.
        gone: whether the server answers no file any more.
        silent: whether it takes requests for files and says nothing.
        page: items of a page of a search.
        next_by: "POST" or "GET", how the next page is asked for.
        token_life: seconds that a token lives; None for files that need none.
        login_page: whether it answers with a web page.
        login: "user:password" that every request has to bring; None for none.
        cut_answers: how many of the next lists end in the middle.
    """

    latency: float = 0.0
    busy: float = 0.0
    broken: float = 0.0
    gone: bool = False
    silent: bool = False
    page: int = 100
    next_by: str = "POST"
    token_life: float | None = None
    login_page: bool = False
    cut_answers: int = 0
    login: str | None = None


@dataclass
class StacServer:
    """A running server.

    Attributes:
        folder: its files.
        items: that a search finds.
        trouble: what it does wrong; may be changed while it runs.
        requests: (method, path, range, status) of each request, in their order.
        given: (host, path, authorization) of each request.
        most_at_once: most requests that were answered side by side.
    """

    folder: Path
    items: list[dict] = field(default_factory=list)
    trouble: Trouble = field(default_factory=Trouble)
    requests: list[tuple[str, str, str, int]] = field(default_factory=list)
    tokens: dict[str, float] = field(default_factory=dict)
    sent: int = 0
    most_at_once: int = 0
    port: int = 0
    given: list[tuple[str, str, str | None]] = field(default_factory=list)
    now: list[object] = field(default_factory=list)
    _count: int = 0

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def api(self):
        return f"{self.address}/v1"

    def file_requests(self):
        return [one for one in self.requests if one[1].startswith("/files/")]

    def per_file(self):
        return Counter(path for _, path, _, _ in self.file_requests())

    def statuses(self):
        return Counter(status for *_, status in self.requests)

    def chance(self, share):
        """Whether the next answer is one of a share of all: every n-th, so that tests repeat."""
        if not share:
            return False
        self._count += 1
        return self._count % round(1 / share) == 0


def tile_item(
    server,
    day,
    *,
    side=512,
    offset=0,
    baseline="05.09",
    cloud=12.0,
    darker=0.0,
    block=128,
    tile="31TCJ",
    corner=CORNER,
    epsg=EPSG,
    changes=None,
):
    """Write the files of one acquisition and list it; returns the item."""
    name = f"S2A_{tile}_{day:%Y%m%d}_0_L2A"
    assets = {}
    for band in (*BANDS, "SCL"):
        size = 10 if band in FINE else 20
        pixels = side * 10 // size
        path = server.folder / "files" / "tiles" / name / f"{band}.tif"
        if band == "SCL":
            values = np.full((pixels, pixels), 4, np.uint8)
            values[: pixels // 8] = 9
        else:
            x, y = centres(corner, size, (pixels, pixels), epsg)
            texture = np.random.default_rng(int(x[0, 0]) + BANDS.index(band)).normal(0, 20, x.shape)
            dn = truth(
                band, day, CORNER[0] + (x - CORNER[0]) / 40, CORNER[1] + (y - CORNER[1]) / 40
            )
            values = np.clip(np.rint((dn - darker) * 1e4 + texture) + offset, 1, 60000).astype(
                np.uint16
            )
        write_image(
            path,
            values,
            corner=corner,
            epsg=epsg,
            size=float(size),
            nodata=0,
            driver="COG",
            options=["COMPRESS=DEFLATE", "PREDICTOR=YES", f"BLOCKSIZE={block}", "OVERVIEWS=NONE"],
        )
        assets[band.lower()] = {
            "href": f"{server.address}/files/tiles/{name}/{band}.tif",
            "type": "image/tiff; application=geotiff; profile=cloud-optimized",
            "eo:bands": [{"name": band}],
            "proj:shape": [pixels, pixels],
            "proj:transform": [size, 0, corner[0], 0, -size, corner[1]],
            "raster:bands": [
                {
                    "data_type": "uint8" if band == "SCL" else "uint16",
                    "nodata": 0,
                    **({} if band == "SCL" else {"scale": 1e-4, "offset": -offset * 1e-4}),
                }
            ],
        }
    item = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "collection": COLLECTION,
        "bbox": bbox(side, corner, epsg),
        "geometry": None,
        "properties": {
            "datetime": f"{day}T10:50:31Z",
            "platform": "sentinel-2a",
            "constellation": "sentinel-2",
            "proj:epsg": epsg,
            "eo:cloud_cover": cloud,
            "s2:processing_baseline": baseline,
        },
        "assets": assets,
        "links": [],
    }
    if changes is not None:
        changes(item)
    server.items.append(item)
    return item


def bbox(side=512, corner=CORNER, epsg=EPSG):
    """West, south, east, north of the tile."""
    from osgeo import osr

    to = osr.CoordinateTransformation(reference(epsg), reference(4326))
    edge = (corner[0], corner[1] - side * 10, corner[0] + side * 10, corner[1])
    west, south, east, north = to.TransformBounds(*edge, 21)
    return [west, south, east, north]


@contextmanager
def stac_server(folder, certificate=None):
    """Serve `folder / "files"` and a STAC API over it until the block ends.

    Args:
        folder: of the files.
        certificate: files of a certificate and its key, to serve over HTTPS.
    """
    server = StacServer(Path(folder))
    handler = type("Handler", (_Handler,), {"server_state": server})
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    http.daemon_threads = True
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*map(str, certificate))
        http.socket = context.wrap_socket(http.socket, server_side=True)
    server.port = http.server_address[1]
    thread = threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    gdal.VSICurlClearCache()
    try:
        yield server
    finally:
        server.trouble.silent = False
        http.shutdown()
        http.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_state: StacServer

    def log_message(self, *_):
        pass

    def do_GET(self):
        self._answer(None)

    def do_HEAD(self):
        self._answer(None)

    def do_POST(self):
        self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _answer(self, body):
        state, trouble = self.server_state, self.server_state.trouble
        state.now.append(self)
        state.most_at_once = max(state.most_at_once, len(state.now))
        if trouble.latency:
            time.sleep(trouble.latency)
        url = urlsplit(self.path)
        try:
            given = self.headers.get("Authorization")
            state.given.append((self.headers.get("Host", ""), url.path, given))
            pair = f"Basic {b64encode((trouble.login or '').encode()).decode()}"
            if trouble.login is not None and given != pair:
                self._send(401, b"no", headers={"WWW-Authenticate": 'Basic realm="test"'})
            elif url.path.startswith("/files/"):
                self._file(url)
            elif trouble.login_page:
                self._send(200, b"<!DOCTYPE html><html>Log in</html>", "text/html")
            elif url.path.startswith("/token/"):
                self._token()
            elif url.path == "/v1/collections":
                self._json(200, {"collections": [{"id": COLLECTION}, {"id": "sentinel-2-l2a"}]})
            elif url.path == "/v1/search":
                query = {key: value[0] for key, value in parse_qs(url.query).items()}
                self._search(body if body is not None else query)
            else:
                self._json(404, {"detail": "Not Found"})
        except (BrokenPipeError, ConnectionResetError):
            state.requests.append((self.command, url.path, "", -1))
        finally:
            state.now.remove(self)

    def _search(self, asked):
        state, trouble = self.server_state, self.server_state.trouble
        west, south, east, north = map(float, _listed(asked["bbox"]))
        first, last = str(asked["datetime"]).split("/")
        found = [
            item
            for item in state.items
            if first <= item["properties"]["datetime"] <= last
            and item["bbox"][0] < east
            and item["bbox"][2] > west
            and item["bbox"][1] < north
            and item["bbox"][3] > south
        ]
        start = int(asked.get("token", 0))
        page = found[start : start + trouble.page]
        links = []
        if start + trouble.page < len(found):
            token = start + trouble.page
            if trouble.next_by == "POST":
                link = {"method": "POST", "merge": True, "body": {"token": token}}
                links.append({"rel": "next", "href": f"{state.api}/search", **link})
            else:
                box = ",".join(map(str, (west, south, east, north)))
                href = f"{state.api}/search?bbox={box}&datetime={first}/{last}&token={token}"
                links.append({"rel": "next", "href": href})
        self._json(200, {"type": "FeatureCollection", "features": page, "links": links})

    def _token(self):
        state = self.server_state
        token = f"sig=secret{len(state.tokens)}"
        end = datetime.now(timezone.utc) + timedelta(seconds=state.trouble.token_life)
        state.tokens[token] = end.timestamp()
        self._json(200, {"token": token, "msft:expiry": end.isoformat()})

    def _file(self, url):
        state, trouble = self.server_state, self.server_state.trouble
        while trouble.silent:
            time.sleep(0.05)
        path = state.folder / url.path.lstrip("/")
        if trouble.gone:
            self.close_connection = True
            state.requests.append((self.command, url.path, "", 0))
            return
        if trouble.token_life is not None and state.tokens.get(url.query, 0) < time.time():
            self._send(403, b"no")
            return
        if not path.is_file():
            self._send(404, b"")
            return
        if state.chance(trouble.busy):
            self._send(503, b"busy")
            return
        content = path.read_bytes()
        asked = self.headers.get("Range", "")
        if asked:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last or len(content) - 1), len(content) - 1)
            part = content[start : end + 1]
            more = {"Content-Range": f"bytes {start}-{end}/{len(content)}"}
            self._send(206, part, headers=more, cut=state.chance(trouble.broken))
        else:
            self._send(200, content)

    def _json(self, status, content):
        trouble = self.server_state.trouble
        cut = trouble.cut_answers > 0
        trouble.cut_answers -= cut
        self._send(status, json.dumps(content).encode(), "application/json", cut=cut)

    def _send(self, status, content, kind="application/octet-stream", headers=None, cut=False):
        state = self.server_state
        path = urlsplit(self.path).path
        state.requests.append((self.command, path, self.headers.get("Range", ""), status))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Accept-Ranges", "bytes")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if cut:
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()
            return
        if path.startswith("/files/"):
            state.sent += len(content)
        self.wfile.write(content)


def _listed(value):
    return value.split(",") if isinstance(value, str) else value


DAYS = [date(2023, 4, 1) + timedelta(days=10 * step) for step in range(4)]
