"""An image series becomes a raster of embeddings, here or on a Dask cluster."""

from __future__ import annotations

from typing import Any

from ..errors import AliseError
from ..feedback import Feedback
from ..mapping.embedding.embed import FORMATS, embed
from .operation import SERIES, Operation
from .parameters import (
    GEOTIFF,
    Choice,
    Dates,
    Number,
    Output,
    RasterOutput,
    Rasters,
    Switch,
    Text,
)
from .shared import DEVICE_USED, ENGINE, EXTENT, MODEL, MODEL_ID, budget_of, opened
from .values import Given, LayerLook, Results, dates_as_text

PARAMETERS = (
    Rasters(
        "INPUT",
        "Image series, or one raster per date",
        "An image series (see Build image series), or one raster per date.",
        required=True,
        mostly_one=True,
    ),
    Dates(
        "DATES",
        "Dates, when the rasters do not say (2019-05-14, 2019-05-29, ...)",
        "Dates of the rasters in their order, such as 2019-05-14. Needed only if the rasters do "
        "not say them.",
    ),
    MODEL,
    EXTENT,
    *ENGINE,
    Choice(
        "FORMAT",
        "Number format of the output",
        "float32 is exact. int8 takes one byte a feature, with a scale and an offset in the file. "
        "compact takes 64 bytes a pixel: a projection with ranges that belong to the model, so "
        "that places and years stay comparable.",
        advanced=True,
        options=FORMATS,
        labels={
            "float32": "Exact (float32)",
            "int8": "One byte a feature (int8)",
            "compact": "64 bytes a pixel (compact)",
        },
    ),
    Number(
        "YEAR",
        "Year that the days are moved to (empty: as they are)",
        "One year for all embeddings that a head, a distance or a similarity is to compare: the "
        "days are moved by whole years before they are encoded, so that a season looks alike in "
        "every year.",
        advanced=True,
        default=None,
        minimum=2015,
        maximum=2100,
        integer=True,
    ),
    RasterOutput(
        "OUTPUT",
        "Embedding raster",
        "GeoTIFF with one band for each feature.",
        required=True,
        suffixes=(*GEOTIFF, ".vrt"),  # a VRT over the tiles of a cluster
        contents="an embedding raster is a GeoTIFF",
    ),
    Switch(
        "RESUME",
        "Keep finished tiles, and go on with those of an interrupted run",
        "Finished tiles stay in a folder beside the output until it is complete. A run that was "
        "stopped goes on from there if it is started again with the same parameters.",
        advanced=True,
    ),
    Switch(
        "COG",
        "Write a Cloud Optimised GeoTIFF",
        "Makes the output a Cloud Optimised GeoTIFF, which can be read over a network in parts.",
        advanced=True,
    ),
    Text(
        "SCHEDULER",
        "Address of a Dask cluster",
        "Address of a Dask cluster (tcp://HOST:PORT) whose workers see the same files and share "
        "the tiles. OUTPUT may then be a .vrt over the tiles; DEVICE, THREADS and MEMORY hold for "
        "each worker.",
        command_line_only=True,
    ),
)
OUTPUTS = (Output("DATES_USED", "Dates used", "text"), DEVICE_USED, MODEL_ID)


def run(given: Given, feedback: Feedback) -> Results:
    """Write the embedding raster."""
    output, scheduler = given["OUTPUT"], given["SCHEDULER"]
    if output.lower().endswith(".vrt") and not scheduler:
        raise AliseError(
            f"{output}: an embedding raster is a GeoTIFF, let its name end in {GEOTIFF[0]}."
        )
    with opened(given["INPUT"], given["DATES"], given, feedback) as source:
        features = source.require_series("choose an image series")
        if given["YEAR"] is not None:
            features = features.in_year(given["YEAR"], feedback)
        options: dict[str, Any] = {
            "extent": given["EXTENT"].on(features.grid),
            "budget": budget_of(given),
            "format": given["FORMAT"],
            "feedback": feedback,
            "resume": given["RESUME"],
            "cog": given["COG"],
        }
        if scheduler:
            from ..mapping.embedding.embed_on_dask import embed_on_cluster

            result = embed_on_cluster(
                features,
                output,
                scheduler,
                device=given["DEVICE"],
                threads=given["THREADS"] or None,
                **options,
            )
        else:
            result = embed(features, output, **options)
    values = {
        "OUTPUT": output,
        "DATES_USED": dates_as_text(result.dates),
        "DEVICE_USED": result.device,
        "MODEL_ID": result.model_id,
    }
    name = f"Embedding {result.dates[0]} to {result.dates[-1]}"
    return Results(values, {"OUTPUT": LayerLook(name)})


OPERATION = Operation(
    name="embed",
    title="Embed image series",
    group=SERIES,
    tags=("embedding", "features", "deep learning", "onnx"),
    summary="Turns a Sentinel-2 image series into one vector of features per pixel.",
    help="Encodes the whole irregular series of each pixel, clouds and gaps included, into one "
    "vector of fixed size: 10 learned dates x 64 features, as bands q00_d00 to q09_d63 at the "
    "resolution of the input. Vectors of a single year tell more of it than those of several at "
    "once.\n\n"
    "The run never uses more memory than you allow, whatever the size of the raster, and reports "
    "the device that it really used.",
    parameters=PARAMETERS,
    outputs=OUTPUTS,
    run=run,
    needs_runtime=True,
)
