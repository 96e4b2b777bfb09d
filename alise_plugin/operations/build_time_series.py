"""Images of several dates become one image series."""

from __future__ import annotations

from ..feedback import Feedback, Part
from ..sits.build import SeriesOptions, plan_series
from .operation import SERIES, Operation
from .parameters import (
    SERIES_VRT,
    WEB_PAGE,
    Choice,
    Crs,
    Dates,
    Day,
    Extent,
    FileOutput,
    Files,
    Folder,
    Number,
    RasterOutput,
    Rasters,
    Switch,
    Words,
)
from .series_results import SERIES_OUTPUTS, series_results
from .values import Given, Results

PARAMETERS = (
    Rasters(
        "INPUT",
        "Rasters",
        "Rasters of one date or of several: layers, files, or parts of a product or cube, which "
        "stand for all of it.",
        products=True,
    ),
    Folder(
        "FOLDER",
        "Folder of images (is searched)",
        "Folder that is searched for products, rasters, cubes and STAC files, with the folders in "
        "it.",
    ),
    Dates(
        "DATES",
        "Dates, when the rasters do not say (2019-05-14, 2019-05-29, ...)",
        "Dates of the rasters in their order, such as 2019-05-14. Needed only if neither metadata "
        "nor names say them.",
    ),
    Day("START", "First day to keep", "First day of the series. Earlier images are left out."),
    Day("END", "Last day to keep", "Last day of the series. Later images are left out."),
    RasterOutput(
        "OUTPUT",
        "Image series",
        "VRT of the series, with ten bands a date. It copies no pixel and refers to the images.",
        required=True,
        suffixes=SERIES_VRT,
        contents="an image series is a VRT",
    ),
    Files(
        "FILES",
        "Product zips, STAC files, cubes (files)",
        "Files that QGIS does not show as layers: zips of products, STAC items, collections and "
        "catalogues, NetCDF and Zarr cubes.",
    ),
    Extent(
        "EXTENT",
        "Extent (empty: all)",
        "Area of the series. All that the images cover if it is empty.",
    ),
    Crs(
        "CRS",
        "CRS (empty: of the finest image)",
        "Coordinate reference system of the series, such as EPSG:32631. That of the finest image "
        "if it is empty.",
    ),
    Number(
        "RESOLUTION",
        "Pixel size in units of the CRS (empty: finest image)",
        "Side of a pixel of the series, in units of its coordinate reference system. That of the "
        "finest image if it is empty.",
        default=None,
        minimum=0,
    ),
    Number(
        "MAX_CLOUD",
        "Leave out dates with more cloud than, in %",
        "Dates on which more of the area is cloudy, by the products' own masks, are left out. "
        "Clouds may stay in: the model needs no cloud mask.",
        default=None,
        minimum=0,
        maximum=100,
    ),
    Number(
        "MIN_VALID",
        "Leave out dates with fewer valid pixels than, in %",
        "Dates that show less of the area are left out.",
        default=None,
        minimum=0,
        maximum=100,
    ),
    Switch(
        "MASK_CLOUDS",
        "Mask clouds by the products' own masks",
        "Pixels that the products call cloudy become pixels without a value. Only the gap-filled "
        "baseline of Detect change needs that.",
    ),
    Number(
        "SCALE",
        "Reflectance per raw unit, of files that do not say (empty: auto)",
        "Reflectance that one unit of the stored values stands for, such as 0.0001. Read from the "
        "metadata, else from the values, if it is empty.",
        advanced=True,
        default=None,
    ),
    Number(
        "OFFSET",
        "Reflectance of raw value 0, of files that do not say (empty: auto)",
        "Reflectance that the stored value 0 stands for, such as -0.1 for products from 2022 on. "
        "Read from the metadata, else from the values, if it is empty.",
        advanced=True,
        default=None,
    ),
    Number(
        "NODATA",
        "Raw value without meaning, of files that do not say (empty: auto)",
        "Stored value that stands for a pixel without a value. Read from the metadata, else from "
        "the values, if it is empty.",
        advanced=True,
        default=None,
    ),
    Words(
        "BAND_ORDER",
        "Bands of a date in their order, where rasters do not say (B02, B03, ...)",
        "Bands of a date in the order in which the rasters hold them, such as B02, B03, B04, B08. "
        "Needed only if neither descriptions nor names say it.",
        advanced=True,
    ),
    Choice(
        "STACK_ORDER",
        "Order of a stack that describes nothing",
        "How a stack without descriptions is ordered: all bands of the first date first "
        "(date-major), or all dates of the first band first (band-major).",
        advanced=True,
        options=("date-major", "band-major"),
        labels={
            "date-major": "All bands of the first date, then of the next",
            "band-major": "All dates of the first band, then of the next",
        },
    ),
    Choice(
        "THEIA",
        "Reflectance of Theia products",
        "Which reflectance of Theia products is read: corrected for slopes (FRE), or not (SRE).",
        advanced=True,
        options=("FRE", "SRE"),
        labels={
            "FRE": "Corrected for slopes (FRE)",
            "SRE": "Not corrected for slopes (SRE)",
        },
    ),
    FileOutput(
        "REPORT",
        "Report",
        "Web page that shows each date with its clouds and gaps, and what was left out and why.",
        suffixes=WEB_PAGE,
        contents="a report is a web page",
    ),
)


def run(given: Given, feedback: Feedback) -> Results:
    """Build the series and its report."""
    rasters, folder = given["INPUT"], given["FOLDER"]
    paths = dict.fromkeys(raster.path for raster in rasters)  # variables of one cube are one file
    sources = [*paths, *given["FILES"], *([folder] if folder else [])]
    output, report = given["OUTPUT"], given["REPORT"]
    plan = plan_series(sources, output, _options(given), Part(feedback, 0, 0.9))
    return series_results(plan, output, report, Part(feedback, 0.9, 1))


def _options(given: Given) -> SeriesOptions:
    cloud, valid = given["MAX_CLOUD"], given["MIN_VALID"]
    extent = given["EXTENT"]
    return SeriesOptions(
        dates=given["DATES"] or None,
        start=given["START"],
        end=given["END"],
        scale=given["SCALE"],
        offset=given["OFFSET"],
        nodata=given["NODATA"],
        crs=given["CRS"],
        resolution=given["RESOLUTION"],
        extent=extent.box,
        extent_crs=extent.crs,
        band_order=given["BAND_ORDER"] or None,
        band_major=given["STACK_ORDER"] == "band-major",
        layer_days={raster.path: raster.day for raster in given["INPUT"] if raster.day},
        theia=given["THEIA"],
        max_cloud=None if cloud is None else cloud / 100,
        min_valid=None if valid is None else valid / 100,
        mask_clouds=given["MASK_CLOUDS"],
        measured=bool(given["REPORT"]),
    )


OPERATION = Operation(
    name="buildtimeseries",
    title="Build image series",
    group=SERIES,
    tags=("stack", "vrt", "dates", "netcdf", "zarr", "cube", "safe", "theia", "stac", "mosaic"),
    summary="Puts whatever Sentinel-2 L2A you have into one dated image series.",
    help="Puts Sentinel-2 L2A images of several dates into one image series: a VRT with ten bands "
    "(B02 to B12) per date, which QGIS shows like any raster and which copies no pixel.\n\n"
    "Give folders (they are searched), files, or layers, mixed: SAFE products and Theia products "
    "(folders or zips), one raster per date, one raster per date and band, one stack of all dates, "
    "NetCDF or Zarr cubes, STAC items, collections and catalogues. Band and date are read from "
    "metadata, band descriptions or file names (S2 product names, 20190514, 2019-05-14); scale and "
    "offset from metadata, else from the values, and where two readings are plausible you are "
    "asked. Clouds may stay in: the model needs no cloud mask.\n\n"
    "The series is on the grid of the finest image unless you choose another. 20 m bands are "
    "resampled to it once, bicubic. Images of one day are mosaicked; of two processings of one "
    "scene the newer is used. Bands that no image has are left empty and named in the log; at "
    "least four, with red and near infrared, are needed.",
    parameters=PARAMETERS,
    outputs=SERIES_OUTPUTS,
    run=run,
    one_of=(
        ("INPUT", "FILES", "FOLDER"),
        "No raster was given: choose layers in INPUT, files in FILES or a folder in FOLDER.",
    ),
)
