"""`embed` on a Dask cluster: independent tiles, a file each, and one raster at the end.

The plan is made here, to the last bit, as for a run on one machine; a worker opens the series and
the model by path, once, and works off tiles. So workers must see the same paths, and have this
package, GDAL, NumPy and onnxruntime. A tile's file appears when it is complete, and a tile gives
the same bytes wherever it is made; the tiles of a worker that is lost are done again by others.
"""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from ...errors import AliseError, Cancelled, OutputError, RuntimeMissingError
from ...feedback import Feedback, Part, SilentFeedback
from ...model.encoder import Encoder, load_encoder
from ...sits.grid import Tile
from ...sits.rasters import block_cache
from ...sits.series import ImageSeries
from ..features.series_features import SeriesFeatures, warn_of_several_years
from ..features.tiling import TileBudget, cache_size
from ..rasters.destinations import require_outputs
from ..rasters.geotiff import RasterOutput
from .embed import EmbedResult, Plan, join_blocks, make_plan, result_of, steps, summary, write_block
from .tile_files import BlockFolder

_ANSWER = 10  # seconds that a scheduler has to answer


_LOOK = 0.2  # seconds between two looks at whether the user stopped the run


_LOSSES = 5  # workers that may be lost over one tile before it is the tile's own fault


_MAKING = 0.95  # of the run: the tiles; the rest puts them together


@dataclass(frozen=True)
class Job:
    """What a worker is told: paths and numbers, nothing that is open.

    Attributes:
        run: another for each run.
        series, model, output: paths.
        moved_years: whole years that the days of the series are moved by.
        device: of the encoder, as it was asked for.
        threads: of the encoder; None for all that the worker may use.
        precision: of the encoder.
        memory_mb: see `embed`.
        plan: of the map.
    """

    run: str
    series: str
    moved_years: int
    model: str
    output: str
    device: str
    threads: int | None
    precision: str
    memory_mb: float
    plan: Plan


def embed_on_cluster(
    features: SeriesFeatures,
    output: str | os.PathLike[str],
    scheduler: str,
    *,
    extent: Sequence[float] | None = None,
    budget: TileBudget | None = None,
    format: str = "float32",
    feedback: Feedback | None = None,
    resume: bool = False,
    cog: bool = False,
    device: str = "auto",
    threads: int | None = None,
) -> EmbedResult:
    """Do as `embed`, with the tiles made by the workers of a Dask cluster; the same values.

    Args:
        features: the image series, on a path that the workers see, and the encoder here, which
            the plan is made with; theirs is opened by path.
        output: a GeoTIFF, or a VRT over the tiles, which then stay in `<output>.blocks`.
        scheduler: address, tcp://host:port.
        extent: see `embed`.
        budget: what each worker may take, and the tile size.
        format: see `embed`.
        feedback: progress and cancelling.
        resume: keep the tiles of a run that is stopped, and go on with those there.
        cog: make a Cloud Optimised GeoTIFF; not for a VRT.
        device: of each worker's encoder.
        threads: of each worker's encoder.

    Raises:
        RuntimeMissingError: dask.distributed is not installed.
        AliseError: the scheduler does not answer, has no worker, the workers lack what they need,
            or a tile fails time and again.
        OutputError: see `embed`.
        Cancelled: the feedback said so.
    """
    feedback, finishing = steps(feedback or SilentFeedback(), cog)
    series, encoder, budget = features.series, features.encoder, budget or TileBudget()
    require_outputs([output], [series.path])
    is_vrt = os.fspath(output).lower().endswith(".vrt")
    if is_vrt and cog:
        raise OutputError(f"{os.fspath(output)} is a VRT, not a COG; let its name end in .tif.")
    output = os.path.abspath(output)
    folder = BlockFolder(output)
    if os.path.exists(folder.path) and not resume:
        raise OutputError(
            f"{folder.path} is there from an earlier run; ask to resume it, or delete the folder."
        )
    with connected(scheduler) as client:
        with block_cache(cache_size(budget.memory_mb)):
            plan = make_plan(
                features,
                extent=extent,
                budget=budget,
                format=format,
                feedback=Part(feedback, 0.0, 0.0),
                folder=folder,
            )
        plan = replace(plan, ready=())  # A job is small; the worker encodes a single tile again.
        feedback.info(summary(series, encoder, plan))
        warn_of_several_years(series, feedback)
        job = Job(
            uuid.uuid4().hex,
            os.path.abspath(series.path),
            series.moved_years,
            os.path.abspath(encoder.package.folder),
            output,
            device,
            threads,
            encoder.precision,
            budget.memory_mb,
            plan,
        )
        try:
            clipped = _share_out(client, job, folder, feedback)
        except BaseException:
            if not resume:
                folder.remove()
            raise
    if is_vrt:
        folder.mosaic_vrt(plan.tiles, plan.form.metadata)
        feedback.progress(1.0)
    else:
        raster = RasterOutput(output, plan.grid, plan.form, plan.cut.block, cog, finishing)
        with block_cache(cache_size(budget.memory_mb)):
            join_blocks(plan, folder, raster, Part(feedback, _MAKING, 1.0))
    return result_of(series, encoder, plan, output, clipped, feedback)


def connected(scheduler: str) -> Any:
    """Return a client of the scheduler.

    Raises:
        RuntimeMissingError: dask.distributed is not installed.
        AliseError: the scheduler does not answer, or has no worker.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise RuntimeMissingError(
            "dask.distributed is not installed for this Python; pip install distributed."
        ) from error
    try:
        client = Client(scheduler, timeout=_ANSWER)
    except (OSError, ValueError) as error:
        raise AliseError(
            f"No Dask scheduler answers at {scheduler} ({error}); start one with "
            "`dask scheduler`, and workers with `dask worker`."
        ) from error
    try:
        client.wait_for_workers(1, timeout=_ANSWER)
    except (OSError, asyncio.TimeoutError) as error:
        client.close()
        raise AliseError(
            f"The Dask scheduler at {scheduler} has no worker; start some with "
            f"`dask worker {scheduler}`."
        ) from error
    return client


def _share_out(client: Any, job: Job, folder: BlockFolder, feedback: Feedback) -> int:
    """Have every missing tile made and return how many values were clipped."""
    from distributed import as_completed

    missing = folder.missing(job.plan.tiles)
    count = len(job.plan.tiles)
    if len(missing) < count:
        feedback.info(f"{count - len(missing)} of {count} tiles are there already.")
    try:
        shared = client.scatter(job, broadcast=True)
    except Exception as refusal:  # what a worker cannot load comes back as no more than that
        raise AliseError(
            f"The workers cannot take the run on ({' '.join(str(refusal).split())}); they need "
            "GDAL, NumPy, onnxruntime and, on PYTHONPATH, the folder that holds this package."
        ) from refusal
    futures = {
        client.submit(make_tile, shared, tile, pure=False, retries=_LOSSES): tile
        for tile in missing
    }
    done, clipped = count - len(missing), 0
    waiting = as_completed(futures)
    try:
        while futures:
            ready = list(waiting.next_batch(block=False))
            if feedback.cancelled():
                raise Cancelled("The run was cancelled.")
            for future in ready:
                if future.status in ("error", "cancelled"):
                    error = future.exception()
                    raise AliseError(f"A tile failed on the cluster: {error}") from error
                if future.status != "finished":
                    # Its worker was lost with the answer: the tile is being made again.
                    waiting.add(future)
                    continue
                clipped += future.result()
                del futures[future]
                done += 1
                feedback.progress(_MAKING * done / count)
            if not ready:
                time.sleep(_LOOK)
    finally:
        client.cancel(list(futures), force=True)
    return clipped


def make_tile(job: Job, tile: Tile) -> int:
    """Encode one tile into its file, on a worker and return how many values were clipped."""
    engine = job.device, job.threads, job.precision
    series, encoder = _opened(job.run, job.series, job.model, *engine)
    folder = BlockFolder(job.output)
    with block_cache(cache_size(job.memory_mb)):
        moved = series.moved(job.moved_years)
        return write_block(moved, encoder, job.plan, folder, tile, SilentFeedback())


@lru_cache(maxsize=1)
def _opened(
    run: str, series: str, model: str, device: str, threads: int | None, precision: str
) -> tuple[ImageSeries, Encoder]:
    """Return what all tiles of a worker share in one run; files may change before the next."""
    return ImageSeries.open(series), load_encoder(model, device, threads, precision)
