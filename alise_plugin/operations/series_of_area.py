"""An area and two dates become an image series, without a tile downloaded by hand."""

from __future__ import annotations

import os
from functools import partial

from osgeo import ogr

from ..errors import AliseError
from ..feedback import Feedback, Part, stop_if_cancelled
from ..sentinel2 import BANDS
from ..sits.area.area import Area
from ..sits.area.fetch import (
    ITEMS,
    claim_folder,
    duration_text,
    fetch,
    plan_copies,
    require_room,
)
from ..sits.area.remote import write_remote_items
from ..sits.area.search import Item, find_items
from ..sits.area.services import OTHER, SERVICES, Service, service_of
from ..sits.build import SeriesOptions, plan_series
from ..sits.sources.stac import day_of
from .operation import SERIES, Operation
from .parameters import (
    SERIES_VRT,
    WEB_PAGE,
    Choice,
    Crs,
    Day,
    Extent,
    FileOutput,
    Folder,
    LoginChoice,
    Number,
    Output,
    RasterOutput,
    Switch,
    Text,
    Vector,
    Words,
)
from .series_results import SERIES_OUTPUTS, series_results
from .values import Given, Results

_LONLAT = "EPSG:4326"
# Shares of a run: the search, the copies, and the series and its report.
_SEARCHED, _FETCHED, _PLANNED = 0.02, 0.9, 0.97
_CLASSES = "SCL"

PARAMETERS = (
    Extent(
        "AREA",
        "Area",
        "Rectangle to get images of. On the command line west, south, east and north in degrees.",
    ),
    Vector(
        "POLYGONS",
        "Area around polygons, instead",
        "Polygons around which the rectangle is drawn if AREA is empty.",
    ),
    Day("START", "First day", "First day of the series.", required=True),
    Day("END", "Last day", "Last day of the series; it belongs to it.", required=True),
    RasterOutput(
        "OUTPUT",
        "Image series",
        "VRT of the series, with ten bands a date. It refers to the images in FOLDER.",
        required=True,
        suffixes=SERIES_VRT,
        contents="an image series is a VRT",
    ),
    Folder(
        "FOLDER",
        "Folder that keeps the images (empty: beside the series)",
        "Folder that the windows of the images are copied to, once. Run again with a later END and "
        "only what is new is fetched.",
    ),
    Choice(
        "SERVICE",
        "Service",
        "Who gives the images: Earth Search (no account), Planetary Computer (no account), "
        "Copernicus Data Space (keys in LOGIN or in CDSE_S3_ACCESS_KEY and CDSE_S3_SECRET_KEY), or "
        "the STAC API at ADDRESS.",
        options=(*SERVICES, OTHER),
        labels={
            "earthsearch": "Earth Search (no account)",
            "planetarycomputer": "Planetary Computer (no account)",
            "copernicus": "Copernicus Data Space (keys)",
            "other": "Another STAC API",
        },
    ),
    Number(
        "MAX_CLOUD",
        "Leave out scenes with more cloud than, in %",
        "Scenes of which more is cloudy are not fetched. Clouds may stay in: the model needs no "
        "cloud mask.",
        default=None,
        minimum=0,
        maximum=100,
    ),
    Words(
        "BANDS",
        "Bands (empty: all ten and SCL)",
        "Bands to fetch, such as B02 B03 B04 B08 SCL. All ten bands of the model and the scene "
        "classes if it is empty.",
        advanced=True,
    ),
    Number(
        "LIMIT",
        "Most megabytes to fetch",
        "If the images of the area have more megabytes, nothing is fetched and the log says which "
        "area would fit.",
        default=10_000,
        above=0,
    ),
    Text(
        "ADDRESS",
        "Address of another STAC API",
        'Address of the STAC API to search if SERVICE is "other", such as '
        "https://stac.example.org/v1.",
        advanced=True,
    ),
    Text(
        "COLLECTION",
        "Collection",
        "Collection to search; the Sentinel-2 L2A of the service if it is empty.",
        advanced=True,
    ),
    LoginChoice(
        "LOGIN",
        "Login",
        "Login of a service that asks for one: an authentication configuration of QGIS or, on the "
        "command line, the name of an environment variable that holds user:password. For "
        "Copernicus Data Space access key and secret key (method Basic).",
        advanced=True,
    ),
    Switch(
        "COPY",
        "Copy the windows of the images into the folder",
        "If it is off, nothing is copied: the series refers to the files of the service and reads "
        "what it needs of them each time it is used. Only for services without keys and tokens.",
        advanced=True,
        default=True,
    ),
    Crs(
        "CRS",
        "CRS of the series (empty: of the images)",
        "Coordinate reference system of the series, such as EPSG:32631. That of most images if it "
        "is empty.",
        advanced=True,
    ),
    FileOutput(
        "REPORT",
        "Report",
        "Web page that shows each date with its clouds and gaps, and what was left out and why.",
        suffixes=WEB_PAGE,
        contents="a report is a web page",
    ),
)
OUTPUTS = (
    Output("ITEMS", "List of the images", "text"),
    *SERIES_OUTPUTS,
)


def run(given: Given, feedback: Feedback) -> Results:
    """Search, copy the windows, and build the series of them."""
    start, end = given["START"], given["END"]
    area = _area(given)
    lonlat = area.lonlat()
    service = service_of(given["SERVICE"], given["ADDRESS"], given["COLLECTION"], given["LOGIN"])
    bands = _bands(given["BANDS"])
    output = given["OUTPUT"]
    folder = given["FOLDER"] or f"{os.path.splitext(output)[0]}_images"
    cloud = given["MAX_CLOUD"]
    items, notes = find_items(
        service,
        lonlat,
        start,
        end,
        None if cloud is None else cloud / 100,
        partial(stop_if_cancelled, feedback),
    )
    for text in notes:
        feedback.info(text)
    feedback.progress(_SEARCHED)
    step = Part(feedback, _SEARCHED, _FETCHED)
    if given["COPY"]:
        listed = _copied(items, bands, area, service, folder, given["LIMIT"], step)
    else:
        listed = write_remote_items(items, bands, area, service, folder)
        feedback.info(f"{len(items)} acquisitions of {service.name}; nothing is copied.")
    options = SeriesOptions(
        start=start,
        end=end,
        extent=area.box,
        extent_crs=area.crs,
        crs=given["CRS"],
        measured=bool(given["REPORT"]),
        # The folder may hold more than this search found, such as cloudier scenes.
        names=frozenset(str(item.get("id")) for item in items),
    )
    plan = plan_series([listed], output, options, Part(feedback, _FETCHED, _PLANNED))
    results = series_results(plan, output, given["REPORT"], Part(feedback, _PLANNED, 1.0))
    results.values["ITEMS"] = listed
    return results


def _copied(
    items: list[Item],
    bands: list[str],
    area: Area,
    service: Service,
    folder: str,
    limit: float,
    feedback: Feedback,
) -> str:
    """Copy the windows that are missing; return the path of the list of items."""
    copies = plan_copies(items, bands, area, folder, service)
    days = {str(day_of(item)) for item in copies.items}
    kept = sum(len(item["assets"]) for item in copies.items) - len(copies.wanted)
    feedback.info(
        f"{len(copies.items)} acquisitions on {len(days)} days from {min(days)} to {max(days)} of "
        f"{service.name}: {len(copies.wanted)} files to fetch, at most {copies.megabytes:.1f} MB, "
        f"{duration_text(copies.megabytes)}; {kept} files are there already."
    )
    require_room(copies, _existing(folder), limit, area)
    claim_folder(folder, area, service)
    fetch(copies, area, service, folder, feedback)
    return os.path.join(folder, ITEMS)


def _existing(folder: str) -> str:
    """Return the folder, or the first above it that is there."""
    path = os.path.abspath(folder)
    while not os.path.isdir(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    return path


def _area(given: Given) -> Area:
    box = given["AREA"].box
    if box is not None:
        return Area(box, given["AREA"].crs or _LONLAT)
    shapes = [shape for shape in given["POLYGONS"].shapes(_LONLAT) if shape]
    boxes = [ogr.CreateGeometryFromWkb(shape).GetEnvelope() for shape in shapes]
    if not boxes:
        raise AliseError("POLYGONS has no polygon; choose a layer that has, or give AREA.")
    west, east = min(one[0] for one in boxes), max(one[1] for one in boxes)
    south, north = min(one[2] for one in boxes), max(one[3] for one in boxes)
    return Area((west, south, east, north), _LONLAT)


def _bands(words: list[str]) -> list[str]:
    known = (*BANDS, _CLASSES)
    wrong = [word for word in words if word.upper() not in known]
    if wrong:
        raise AliseError(f"BANDS names {wrong[0]}; choose among {', '.join(known)}.")
    return [band for band in known if not words or band in {word.upper() for word in words}]


OPERATION = Operation(
    name="seriesofarea",
    title="Series of an area",
    group=SERIES,
    tags=("download", "stac", "earth search", "planetary computer", "copernicus", "cog", "area"),
    summary="Gets the Sentinel-2 L2A images of an area between two days as an image series.",
    help="Mark an area and give two days: a service on the network is searched for the Sentinel-2 "
    "L2A acquisitions between them, the windows of the area are copied into a folder, and they "
    "become an image series, ready for Embed or Segment. Nobody downloads tiles.\n\n"
    "Before the first pixel is fetched the log says how many acquisitions there are, how many "
    "megabytes and about how long it takes. A run that was stopped, or lost the network, goes on "
    "where it ended when it is started again; with a later END only what is new is fetched.\n\n"
    "The folder is a data set of its own: items.json in it is a STAC ItemCollection with the "
    "copies, which any STAC tool and Build image series read. No key or token of a service is "
    "written to any file.",
    parameters=PARAMETERS,
    outputs=OUTPUTS,
    run=run,
    one_of=(("AREA", "POLYGONS"), "No area was given: draw one in AREA, or choose POLYGONS."),
)
