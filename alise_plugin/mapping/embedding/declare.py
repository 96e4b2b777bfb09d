"""Rasters of an embedding product become one raster that every map takes."""

from __future__ import annotations

import math
import os
import shutil
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from osgeo import gdal

from ...errors import SeriesError
from ...feedback import Feedback, report_step
from ...sits.grid import Grid
from ...sits.rasters import open_raster, quiet_gdal
from ...sits.regrid import extent_on
from ...whole_files import whole_file
from ..features.products import (
    KIND_ITEM,
    LEAST_BANDS,
    MOST_BANDS,
    NAME_ITEM,
    OTHER,
    SIGNED_ITEM,
    VERSION_ITEM,
    YEAR_ITEM,
    Product,
    product_of,
)

AUTOMATIC = "auto"
_HELPERS = "_embeddings"  # ending of the folder of helper VRTs beside the output


@dataclass(frozen=True)
class Declaration:
    """What the user says of the vectors.

    Attributes:
        kind: AUTOMATIC, ALPHAEARTH, TESSERA or OTHER.
        name: of a product that is OTHER.
        version: of the product; what the rasters say if empty.
        year: that the vectors are of; what the rasters say if empty.
    """

    kind: str = AUTOMATIC
    name: str = ""
    version: str = ""
    year: str = ""


@dataclass(frozen=True)
class _Source:
    path: str
    product: Product
    grid: Grid
    upside_down: bool
    nodata: float | None
    descriptions: tuple[str, ...]


def declare_embeddings(
    paths: Sequence[str], output: str, said: Declaration, feedback: Feedback
) -> Product:
    """Write a VRT over the rasters of one product, north up, on one grid; no pixel is copied.

    Rasters that lie upside down are turned, and those of other UTM zones are taken onto the grid of
    most of them, by nearest neighbour, for a vector between two is no vector of the product.

    Args:
        paths: rasters.
        output: the VRT; helpers go into a folder beside it.
        said: what the user says.
        feedback: told about each raster; may stop.

    Returns:
        The product.

    Raises:
        SeriesError: a raster holds no vectors, or they are of several products, versions or years.
        OutputError: the VRT cannot be written.
        Cancelled: the feedback says so.
    """
    sources = []
    for number, path in enumerate(paths):
        report_step(feedback, number, len(paths))
        sources.append(_source(path, said))
    _require_one_product(sources)
    product = sources[0].product
    if not product.year:
        feedback.warning(
            f"{os.path.basename(sources[0].path)} does not say of which year its vectors are; give "
            "YEAR, so that maps and heads can."
        )
    target = _target(sources)
    folder = f"{os.path.splitext(os.path.abspath(output))[0]}{_HELPERS}"
    made: list[str] = []
    try:
        names = [_on_grid(source, target, folder, made) for source in sources]
        _write(output, names, sources[0], target)
    except BaseException:
        for name in made:
            os.remove(name)
        if os.path.isdir(folder) and not os.listdir(folder):
            shutil.rmtree(folder, ignore_errors=True)
        raise
    feedback.progress(1.0)
    return product


def _source(path: str, said: Declaration) -> _Source:
    dataset = open_raster(path)
    name = os.path.basename(path)
    count = dataset.RasterCount
    if not LEAST_BANDS <= count <= MOST_BANDS:
        raise SeriesError(
            f"{name} has {count} bands; an embedding raster has {LEAST_BANDS} to {MOST_BANDS}, one "
            "for each feature."
        )
    found = product_of(dataset)
    if found is None or said.kind == OTHER:
        if said.kind == AUTOMATIC:
            raise SeriesError(
                f"{name} has {count} bands and does not say whose vectors they are: choose "
                f'PRODUCT, or "{OTHER}" with NAME and YEAR.'
            )
        if said.kind == OTHER and not (said.name and said.year):
            raise SeriesError(f'PRODUCT "{OTHER}" needs NAME and YEAR of the vectors of {name}.')
        found = _declared(dataset, said)
    elif said.kind not in (AUTOMATIC, found.kind):
        raise SeriesError(
            f"{name} holds vectors of {found.name}, not of {said.kind}; choose PRODUCT again."
        )
    band = dataset.GetRasterBand(1)
    found = replace(found, version=said.version or found.version, year=said.year or found.year)
    transform = dataset.GetGeoTransform(can_return_null=True)
    upside_down = transform is not None and transform[5] > 0
    grid = _turned(dataset, name) if upside_down else Grid.from_dataset(dataset, name)
    descriptions = tuple(
        dataset.GetRasterBand(index + 1).GetDescription() for index in range(count)
    )
    return _Source(path, found, grid, upside_down, band.GetNoDataValue(), descriptions)


def _declared(dataset: gdal.Dataset, said: Declaration) -> Product:
    """Return the product that the user declares, with the number format of the raster."""
    memory = gdal.GetDriverByName("MEM").Create("", 1, 1, 0)
    for index in range(dataset.RasterCount):
        memory.AddBand(dataset.GetRasterBand(index + 1).DataType)
    band = dataset.GetRasterBand(1)
    items = {KIND_ITEM: said.kind}
    if said.name:
        items[NAME_ITEM] = said.name
    if band.GetMetadataItem("PIXELTYPE", "IMAGE_STRUCTURE") == "SIGNEDBYTE":
        items[SIGNED_ITEM] = "YES"
    memory.SetMetadata(items)
    product = product_of(memory)
    assert product is not None  # nosec B101  # narrows a type
    return product


def _turned(dataset: gdal.Dataset, name: str) -> Grid:
    """Return the north-up grid of a raster whose first row is the southernmost."""
    left, dx, skew, bottom, tilt, dy = dataset.GetGeoTransform()
    height = dataset.RasterYSize
    view = gdal.GetDriverByName("MEM").Create("", dataset.RasterXSize, height, 0)
    view.SetProjection(dataset.GetProjection())
    view.SetGeoTransform((left, dx, skew, bottom + height * dy, tilt, -dy))
    return Grid.from_dataset(view, name)


def _require_one_product(sources: Sequence[_Source]) -> None:
    """Make sure that all rasters hold vectors that compare, of one year.

    Raises:
        SeriesError: they do not.
    """
    first = sources[0]
    for other in sources[1:]:
        names = [os.path.basename(one.path) for one in (first, other)]
        if other.product.identity != first.product.identity:
            raise SeriesError(
                f"{names[0]} holds vectors of {first.product.identity.name} "
                f"({first.product.dimensions}) and {names[1]} of {other.product.identity.name} "
                f"({other.product.dimensions}); give the rasters of one product and version."
            )
        if other.product.year != first.product.year:
            raise SeriesError(
                f"{names[0]} is of {first.product.year or 'no year'} and {names[1]} of "
                f"{other.product.year or 'no year'}; give the rasters of one year."
            )
        if other.product != first.product or other.nodata != first.nodata:
            raise SeriesError(
                f"{names[0]} and {names[1]} hold their numbers in two formats; give rasters of one."
            )


def _target(sources: Sequence[_Source]) -> Grid:
    """Return the grid of the mosaic: in the CRS, and on the pixels, of most of the rasters."""
    crs = Counter(source.grid.crs_wkt for source in sources).most_common(1)[0][0]
    first = next(source.grid for source in sources if source.grid.crs_wkt == crs)
    boxes = []
    for source in sources:
        box = extent_on(source.grid, first)
        if box is None:
            raise SeriesError(
                f"{os.path.basename(source.path)} has no place in {first.crs_name}; give the "
                "rasters of one region."
            )
        boxes.append(box)
    left, dx, _, top, _, dy = first.geotransform
    west = math.floor((min(box[0] for box in boxes) - left) / dx + 1e-6)
    east = math.ceil((max(box[2] for box in boxes) - left) / dx - 1e-6)
    north = math.floor((top - max(box[3] for box in boxes)) / -dy + 1e-6)
    south = math.ceil((top - min(box[1] for box in boxes)) / -dy - 1e-6)
    place = (left + west * dx, dx, 0.0, top + north * dy, 0.0, dy)
    return Grid(first.crs_wkt, place, east - west, south - north)


def _on_grid(source: _Source, target: Grid, folder: str, made: list[str]) -> str:
    """Return what of a source lies on the pixels of the mosaic: itself, or a helper VRT."""
    if not source.upside_down and _same_lattice(source.grid, target):
        return os.path.abspath(source.path)
    os.makedirs(folder, exist_ok=True)
    helper = os.path.join(folder, f"{uuid.uuid4().hex[:8]}.vrt")
    if source.upside_down and _same_lattice(source.grid, target):
        box, crs = source.grid.extent, source.grid.crs_wkt
    else:
        found = extent_on(source.grid, target)
        assert found is not None  # nosec B101  # narrows a type
        window = target.window_of(found)
        box, crs = target.subgrid(window).extent, target.crs_wkt
    dx, dy = target.pixel_size
    failed = True
    with quiet_gdal() as failures:
        nodata = {} if source.nodata is None else {"srcNodata": source.nodata}
        written = gdal.Warp(
            helper,
            source.path,
            format="VRT",
            dstSRS=crs,
            outputBounds=box,
            xRes=dx,
            yRes=dy,
            resampleAlg="near",
            errorThreshold=0,
            **nodata,
        )
        failed = written is None or bool(failures)
        del written
    if os.path.exists(helper):
        made.append(helper)
    if failed:
        raise SeriesError(
            f"{os.path.basename(source.path)} cannot be taken onto the grid of the others; warp it "
            "to a north-up raster first."
        )
    return helper


def _same_lattice(grid: Grid, target: Grid) -> bool:
    if not grid.same_crs(target):
        return False
    dx, dy = target.pixel_size
    if any(abs(a / b - 1) > 1e-6 for a, b in zip(grid.pixel_size, (dx, dy))):
        return False
    steps = (
        (grid.extent[0] - target.extent[0]) / dx,
        (target.extent[3] - grid.extent[3]) / dy,
    )
    return all(abs(step - round(step)) < 1e-3 for step in steps)


def _write(output: str, names: Sequence[str], first: _Source, target: Grid) -> None:
    product = first.product
    items = {KIND_ITEM: product.kind, NAME_ITEM: product.name}
    items.update({VERSION_ITEM: product.version} if product.version else {})
    items.update({YEAR_ITEM: product.year} if product.year else {})
    if product.signed:
        items[SIGNED_ITEM] = "YES"
    nodata = {} if first.nodata is None else {"VRTNodata": first.nodata, "srcNodata": first.nodata}
    with whole_file(output, ".vrt") as temporary:
        made = None
        with quiet_gdal() as failures:
            made = gdal.BuildVRT(
                temporary,
                list(names),
                options=gdal.BuildVRTOptions(outputBounds=target.extent, **nodata),
            )
            if made is not None:
                made.SetMetadata(items)
                for index, description in enumerate(first.descriptions):
                    made.GetRasterBand(index + 1).SetDescription(description)
                made.FlushCache()
        if made is None or failures:
            raise OSError(0, failures[0] if failures else "unknown")
        del made
