"""`embed`: an image series becomes a raster of embeddings, here or on a Dask cluster."""

from __future__ import annotations

import argparse

from ..errors import SeriesError
from ..feedback import Feedback
from ..mapping.embedding.embed import FORMATS, embed
from ..sits.series import ImageSeries
from .arguments import (
    add_dates,
    add_engine,
    add_extent,
    add_input,
    add_model,
    days_as_text,
    encoder_of,
    extent_or_none,
    opened,
    require_ending,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    add_input(parser)
    add_dates(parser)
    add_model(parser)
    add_extent(parser)
    add_engine(parser)
    parser.add_argument("--format", choices=FORMATS, default="float32")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="keep finished tiles, and go on with those of an interrupted run",
    )
    parser.add_argument("--cog", action="store_true", help="write a Cloud Optimised GeoTIFF")
    parser.add_argument("--output", required=True, help="the embedding raster, a .tif")
    parser.add_argument(
        "--scheduler",
        default="",
        metavar="tcp://HOST:PORT",
        help="share the tiles out to the workers of a Dask cluster that sees the same files; "
        "--output may then be a .vrt over the tiles; --device, --threads and --memory are of each "
        "worker",
    )


def run(args: argparse.Namespace, feedback: Feedback) -> dict[str, object]:
    """Write the raster; returns what the algorithm returns."""
    endings = (".tif", ".tiff", ".vrt") if args.scheduler else (".tif", ".tiff")
    require_ending(args.output, endings, "an embedding raster is a GeoTIFF")
    encoder = encoder_of(args)
    with opened(args.input, args.dates, feedback) as series:
        if not isinstance(series, ImageSeries):
            raise SeriesError(
                f"{series.path} is an embedding raster already: choose an image series."
            )
        options = {
            "extent": extent_or_none(args, series.grid),
            "memory_mb": args.memory,
            "tile_size": args.tile_size or None,
            "format": args.format,
            "feedback": feedback,
            "resume": args.resume,
            "cog": args.cog,
        }
        if args.scheduler:
            from ..mapping.embedding.embed_on_dask import embed_on_cluster

            result = embed_on_cluster(
                series,
                encoder,
                args.output,
                args.scheduler,
                device=args.device,
                threads=args.threads or None,
                **options,
            )
        else:
            result = embed(series, encoder, args.output, **options)
    return {
        "OUTPUT": args.output,
        "DATES_USED": days_as_text(result.dates),
        "DEVICE_USED": result.device,
        "MODEL_ID": result.model_id,
    }
