"""Embeddings of other products become a raster that every map takes."""

from __future__ import annotations

from ..errors import SeriesError
from ..feedback import Feedback
from ..mapping.embedding.declare import AUTOMATIC, Declaration, declare_embeddings
from ..mapping.features.products import ALPHAEARTH, OTHER, TESSERA
from .operation import SERIES, Operation
from .parameters import Choice, Number, Output, RasterOutput, Rasters, Text
from .values import Given, LayerLook, Results

PARAMETERS = (
    Rasters(
        "INPUT",
        "Embedding rasters",
        "Rasters of one product and year, with a band for each feature; tiles of several UTM zones "
        "and rasters that lie upside down may be among them.",
        required=True,
    ),
    Choice(
        "PRODUCT",
        "Whose vectors they are",
        "auto: what the rasters say. alphaearth: 64 bands A00 to A63, bytes or floats. tessera: "
        "128 features as floats. other: any vectors, which NAME and YEAR describe.",
        options=(AUTOMATIC, ALPHAEARTH, TESSERA, OTHER),
        labels={
            "auto": "As the rasters say",
            "alphaearth": "AlphaEarth: 64 features",
            "tessera": "TESSERA: 128 features",
            "other": "Others, described below",
        },
    ),
    Text(
        "NAME",
        "Name of the product (other)",
        "Name by which heads remember whose vectors they learned from.",
    ),
    Number(
        "YEAR",
        "Year of the vectors (empty: as the rasters say)",
        "Year that the vectors are of, for the metadata of maps.",
        default=None,
        minimum=1980,
        maximum=2100,
        integer=True,
    ),
    Text(
        "VERSION",
        "Version of the product (empty: as the rasters say)",
        "Version of the product, such as 1.1. Vectors of two versions do not compare, so a head "
        "of one refuses the other.",
        advanced=True,
    ),
    RasterOutput(
        "OUTPUT",
        "Embedding raster",
        "VRT over the rasters, which copies no pixel. Every algorithm that takes an embedding "
        "raster takes it.",
        required=True,
        suffixes=(".vrt",),
        contents="it refers to the rasters and so is a VRT",
    ),
)
OUTPUTS = (
    Output("PRODUCT_NAME", "Product", "text"),
    Output("PRODUCT_YEAR", "Year", "text"),
    Output("FEATURES", "Features of a pixel"),
)


def run(given: Given, feedback: Feedback) -> Results:
    """Write the VRT."""
    paths = list(dict.fromkeys(raster.path for raster in given["INPUT"]))
    if not paths:
        raise SeriesError("No raster was given: choose the rasters of a product in INPUT.")
    if given["NAME"] and given["PRODUCT"] != OTHER:
        raise SeriesError(f'NAME is for PRODUCT "{OTHER}"; choose that, or leave NAME empty.')
    year = "" if given["YEAR"] is None else str(given["YEAR"])
    said = Declaration(given["PRODUCT"], given["NAME"], given["VERSION"], year)
    product = declare_embeddings(paths, given["OUTPUT"], said, feedback)
    feedback.info(
        f"{len(paths)} rasters of {product.identity.name}, {product.dimensions} features, of "
        f"{product.year or 'an unknown year'}."
    )
    values = {
        "OUTPUT": given["OUTPUT"],
        "PRODUCT_NAME": product.identity.name,
        "PRODUCT_YEAR": product.year,
        "FEATURES": product.dimensions,
    }
    name = f"{product.name} {product.year}".strip()
    return Results(values, {"OUTPUT": LayerLook(name)})


OPERATION = Operation(
    name="useembeddings",
    title="Use embeddings of a product",
    group=SERIES,
    tags=("alphaearth", "tessera", "embedding", "foundation model", "mosaic", "vectors"),
    summary="Makes embeddings of other products ready for every map: AlphaEarth, TESSERA, any.",
    help="Takes the rasters of an embedding product and makes one embedding raster of them, which "
    "Find similar places, Find classes, Train classifier, Segment, Train regression, Estimate "
    "values and Detect change take as they take those of ALISE.\n\n"
    "AlphaEarth's bytes are read as they are meant (the sign of x times the square of x / 127.5). "
    "A head remembers product, version and number of features, and refuses others. Products have "
    "no decoder, so Reconstruct and explanations of changes do not take them.\n\n"
    "A single raster of AlphaEarth or TESSERA with its north up needs none of this: give it to the "
    "algorithms as it is.",
    parameters=PARAMETERS,
    outputs=OUTPUTS,
    run=run,
)
