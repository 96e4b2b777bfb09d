"""From a series to its aligned embedding, and back to the reflectance of any day."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Float
from ..errors import RuntimeMissingError
from .device import Inputs, available_threads, choose_device, open_graph, open_lookup, run_options
from .package import BUNDLED_MODEL, PRECISIONS, ModelPackage, load_package
from .prefetch import ahead
from .spatial_features import Period, Places, SpatialFeatures, regular_pixels, stack_arrays
from .thread_jobs import share_out

# Pixels that go through the spatial graph in one call: small images are grouped, date by date.
SPATIAL_PIXELS = {"cpu": 1 << 12, "cuda": 1 << 16}

# On a CPU, small images go through it side by side, one thread each, if their pixels are no more
# than this together. Larger ones have all threads in turn: side by side they would take memory,
# and gain next to nothing.
SIDE_BY_SIDE = 1 << 16

# Pixels x dates that go through the temporal graph in one call. On a CPU they stay in cache, and
# one thread runs a whole call: its operators are too small to share out. A GPU wants more at once,
# and a second call that is prepared and read back meanwhile.
TEMPORAL_ROWS = {"cpu": 1024, "cuda": 1 << 16}

CUDA_CALLS = 2

# Values of reflectance that the decoder writes in one call.
DECODED_VALUES = 1 << 16

# Pixels that go through the compact projection in one call.
COMPACT_PIXELS = 1 << 12

# Groups of dates that wait, read and normalised, while the spatial graph is at another.
AHEAD = 1

# Bytes that the spatial graph holds for each pixel of a call: measured peaks lie between 1700 and
# 2400, because onnxruntime takes memory in powers of two.
SPATIAL_BYTES_PER_PIXEL = 2400

# What is left of it once `Graph.release` has given the rest back (measured: 140).
SPATIAL_BYTES_LEFT = 200


class Encoder:
    """A model package at work on one device.

    Attributes:
        package: what it was made from.
        device_used: "cpu" or "cuda", as the sessions report it.
        fell_back: whether "auto" found CUDA in onnxruntime but could not start it.
        precision: "float32" or "float16", of the two graphs that encode.
        bound: whether features stay in the device's memory between the two graphs, where they fit.
    """

    def __init__(
        self,
        package: ModelPackage,
        device: str = "auto",
        threads: int | None = None,
        precision: str = "float32",
        bound: bool | None = None,
    ) -> None:
        """Open the graphs.

        Args:
            package: a checked model package.
            device: "auto", "cpu" or "cuda".
            threads: CPU threads; None for all.
            precision: "float32" or "float16", on any device; a CPU gains nothing by the latter.
            bound: see the attribute; None where the device has memory of its own.

        Raises:
            ModelPackageError: onnxruntime refuses a graph, or there is none in this precision.
            RuntimeMissingError: onnxruntime or the device is not there.
        """
        chosen = choose_device(device)
        threads = threads or available_threads()
        self.package = package
        self.precision = precision
        self._compact = (
            open_graph(package.graph("compact.onnx"), "cpu", 1) if package.compact else None
        )
        self.device_used = chosen
        self.fell_back = not self._open(threads)
        if self.fell_back:
            if device == "cuda":
                raise RuntimeMissingError(
                    "CUDA was asked for but onnxruntime could not start it and would run on the "
                    "CPU; choose the device cpu, or check the GPU's driver, memory, CUDA and cuDNN."
                )
            # A graph that fell back takes the others along: they share the device's memory.
            self.device_used = "cpu"
            self._open(threads)
        self.bound = self.device_used != "cpu" if bound is None else bound
        self._lookup = open_lookup(self.device_used, self._spatial.dtype) if self.bound else None
        self._workers = threads if self.device_used == "cpu" else CUDA_CALLS

    def _open(self, threads: int) -> bool:
        """Open the graphs; whether all of them run on the device that is to be used."""
        package, precision, device = self.package, self.precision, self.device_used
        spatial = package.graph("spatial.onnx", precision)
        self._spatial = open_graph(spatial, device, threads)
        self._spatial_alone = open_graph(spatial, "cpu", 1) if device == "cpu" else self._spatial
        self._temporal = open_graph(package.graph("temporal.onnx", precision), device, 1)
        self._decoder = open_graph(package.graph("decoder.onnx"), device, 1)
        graphs = self._spatial, self._temporal, self._decoder
        return all(graph.device == device for graph in graphs)

    @property
    def where(self) -> str:
        """Return the device in use, and why it is not the usual one: for logs."""
        text = self.device_used
        if self.precision != PRECISIONS[0]:
            text += f" in {self.precision}"
        if self.fell_back:
            text += (
                ", because onnxruntime has CUDA but could not start it (check the GPU's driver, "
                "memory, CUDA and cuDNN)"
            )
        return text

    def encode(
        self,
        reflectance: NDArray[np.floating[Any]] | Iterable[NDArray[np.floating[Any]]],
        days: NDArray[np.floating[Any]],
        *,
        crop: tuple[slice, slice] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Float:
        """Encode a series (paper, Eq. 1).

        Args:
            reflectance: `(T, 10, H, W)` surface reflectance (1.0 = 100 %), NaN where there is no
                value; or an iterable of `T` arrays `(10, H, W)`, so that dates can stream.
            days: `(T,)` days since the package's reference date, in any order.
            crop: rows and columns to return; the rest of the window only gives context.
            cancelled: asked at the beginning and then about ten times a second.

        Returns:
            `(n_queries, d_model, h, w)` float32; NaN for a pixel without any value.

        Raises:
            Cancelled: `cancelled()` was true.
            ValueError: shapes do not fit.
        """
        whole = Period(np.arange(len(days)), days)
        return next(
            self.encode_periods(reflectance, len(days), [whole], crop=crop, cancelled=cancelled)
        )

    def encode_periods(
        self,
        reflectance: NDArray[np.floating[Any]] | Iterable[NDArray[np.floating[Any]]],
        count: int,
        periods: Sequence[Period],
        *,
        crop: tuple[slice, slice] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Iterator[Float]:
        """Encode several periods of one series; a date in two of them goes through once.

        The spatial graph sees each date, the temporal graph the dates of each period. One
        embedding is made at a time, when it is asked for.

        Args:
            reflectance: the series, as in `encode`.
            count: T, its dates.
            periods: which dates make an embedding, on which days, for which pixels.
            crop: as in `encode`.
            cancelled: as in `encode`.

        Yields:
            One embedding per period: `(n_queries, d_model, h, w)`, with every n-th row and column
            of the crop where a period asks for that.

        Raises:
            Cancelled: `cancelled()` was true.
            ValueError: shapes do not fit.
        """
        stop = cancelled or (lambda: False)
        seen = self._see(reflectance, count, crop, stop)
        for period in periods:
            dates, days = seen.places_of(period)
            some = regular_pixels(seen.shape, period.every)
            shape = tuple(-(-size // period.every) for size in seen.shape)
            yield self._project(seen, dates, days, some, shape, stop)

    def encode_strips(
        self,
        reflectance: NDArray[np.floating[Any]] | Iterable[NDArray[np.floating[Any]]],
        days: NDArray[np.floating[Any]],
        rows: int,
        *,
        crop: tuple[slice, slice] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Iterator[Float]:
        """Yield as `encode`, a few rows at a time: the whole embedding is never in memory at once.

        Args:
            reflectance: as in `encode`.
            days: as in `encode`.
            rows: of a strip; the last may have fewer.
            crop: as in `encode`.
            cancelled: as in `encode`.

        Yields:
            `(n_queries, d_model, rows, w)`, from the top of the crop to its bottom.

        Raises:
            Cancelled: `cancelled()` was true.
            ValueError: shapes do not fit.
        """
        stop = cancelled or (lambda: False)
        seen = self._see(reflectance, len(days), crop, stop)
        dates, kept = seen.places_of(Period(np.arange(len(days)), days))
        height, width = seen.shape
        for top in range(0, height, rows):
            bottom = min(top + rows, height)
            pixels = slice(top * width, bottom * width)
            yield self._project(seen, dates, kept, pixels, (bottom - top, width), stop)

    def decode(self, embedding: Float, days: NDArray[np.floating[Any]]) -> Float:
        """Return reflectance that the model expects on any days (Eq. 8, 9).

        Args:
            embedding: `(n_queries, d_model, H, W)` of `encode`.
            days: `(T',)` days since the reference date.

        Returns:
            `(T', 10, H, W)` reflectance; NaN where the embedding is.
        """
        package = self.package
        shape = embedding.shape[2:]
        vectors = embedding.reshape(package.n_queries, package.d_model, -1).transpose(2, 0, 1)
        days = np.asarray(days, np.float32)
        out = np.empty((len(days), len(package.bands), len(vectors)), np.float32)

        def decode_block(block: slice) -> None:
            inputs = {"embedding": np.ascontiguousarray(vectors[block]), "days": days}
            normalised = self._decoder.run(inputs, ("embedding",))
            bands = normalised * (package.q95 - package.q05) + package.median
            out[:, :, block] = bands.transpose(1, 2, 0)

        if len(days):
            step = max(1, DECODED_VALUES // (len(days) * len(package.bands)))
            self._each_block(decode_block, len(vectors), step)
        return out.reshape(len(days), len(package.bands), *shape)

    def compact(self, features: Float) -> Float:
        """Return the compact form of features: the fixed projection of the package.

        Args:
            features: `(n_queries * d_model, H, W)` float32, NaN for a pixel without any value.

        Returns:
            `(compact features, H, W)` float32, NaN where the features are.

        Raises:
            ModelPackageError: the package has no compact form.
        """
        form = self.package.require_compact()
        assert self._compact is not None  # nosec B101  # narrows a type
        graph = self._compact
        flat = features.reshape(len(features), -1)
        out = np.empty((len(form.scale), flat.shape[1]), np.float32)

        def project(block: slice) -> None:
            vectors = np.ascontiguousarray(flat[:, block].T)
            out[:, block] = graph.run({"features": vectors}, ("features",)).T

        self._each_block(project, flat.shape[1], COMPACT_PIXELS)
        return out.reshape(-1, *features.shape[1:])

    def memory_needed(
        self, dates: int, read_pixels: int, inner_pixels: int, strip_pixels: int | None = None
    ) -> int:
        """Return bytes that `encode` holds at its peak, input and output included.

        Args:
            dates: T.
            read_pixels: pixels of the window given to `encode`, halo included.
            inner_pixels: pixels left after `crop`.
            strip_pixels: those of a strip, where it is `encode_strips`.
        """
        package = self.package
        call = max(read_pixels, min(SPATIAL_PIXELS[self.device_used], read_pixels * dates))
        in_flight = min(self._at_once(read_pixels) * call, read_pixels * dates)
        # What the graph holds; the images of the call and of those that wait; the one that is
        # being read, with what normalising it takes.
        images = (AHEAD + 4) * 4 * len(package.bands)
        spatial = in_flight * (SPATIAL_BYTES_PER_PIXEL + images)
        kept = inner_pixels * dates * (4 * package.d_model + 1)
        embedded = inner_pixels if strip_pixels is None else strip_pixels
        after = in_flight * SPATIAL_BYTES_LEFT + embedded * 4 * package.n_features
        return kept + max(spatial, after)

    def _normalise(self, image: NDArray[np.floating[Any]]) -> tuple[Float, NDArray[np.bool_]]:
        """Return map reflectance `(10, H, W)` to normalised values, and where any band was seen."""
        package = self.package
        seen = np.isfinite(image)
        low, high = package.q05[:, None, None], package.q95[:, None, None]
        # A third of the time that np.clip takes with bounds for each band.
        filled = np.maximum(image, low, dtype=np.float32)
        np.minimum(filled, high, out=filled)
        filled -= package.median[:, None, None]
        filled /= high - low
        filled[~seen] = package.missing_value
        return filled, seen.any(0)

    def _pad(self, image: Float) -> Float:
        """Reflect at the bottom and at the right, up to a size that the spatial graph takes."""
        stride, least = self.package.stride, self.package.minimum_size
        grow = [(0, max(least, -(-size // stride) * stride) - size) for size in image.shape[1:]]
        return np.pad(image, [(0, 0), *grow], mode="reflect") if any(map(any, grow)) else image

    def _batches(
        self,
        reflectance: Iterable[NDArray[np.floating[Any]]],
        count: int,
        rows: slice,
        columns: slice,
    ) -> Iterator[tuple[list[int], Float, NDArray[np.bool_]]]:
        """Yield groups of dates for one call: their places, images (padded) and validity.

        A date without any value in the crop is left out; the last group may be empty.
        """
        dates: list[int] = []
        images: list[Float] = []
        masks: list[NDArray[np.bool_]] = []
        seen = np.zeros((0, 0), bool)
        date = -1
        for date, image in enumerate(reflectance):
            if image.ndim != 3 or image.shape[0] != len(self.package.bands):
                raise ValueError(
                    f"date {date} has shape {image.shape}; ({len(self.package.bands)}, H, W) is "
                    "expected"
                )
            normalised, seen = self._normalise(image)
            if not seen[rows, columns].any():
                continue
            dates.append(date)
            images.append(self._pad(normalised))
            masks.append(seen)
            pixels = sum(one[0].size for one in images)
            if pixels + images[0][0].size > SPATIAL_PIXELS[self.device_used]:
                yield dates, stack_arrays(images), stack_arrays(masks)
                dates, images, masks = [], [], []
        if date + 1 != count:
            raise ValueError(f"there are {date + 1} dates but {count} days")
        yield (
            dates,
            stack_arrays(images or [np.empty(0, np.float32)]),
            stack_arrays(masks or [seen]),
        )

    def _see(
        self,
        reflectance: Iterable[NDArray[np.floating[Any]]],
        count: int,
        crop: tuple[slice, slice] | None,
        stop: Callable[[], bool],
    ) -> SpatialFeatures:
        """Return the spatial graph on every date, while the next ones are read and normalised."""
        rows, columns = crop or (slice(None), slice(None))
        options = run_options()
        batches = self._batches(reflectance, count, rows, columns)
        with contextlib.closing(ahead(batches, AHEAD)) as waiting:  # type: ignore[type-var]
            first = next(waiting)
            height, width = first[2].shape[1:]
            # Counted from the image, which padding has made larger.
            window = slice(*rows.indices(height)), slice(*columns.indices(width))
            shape = first[2][0][window].shape
            room = (count, int(np.prod(shape)), self.package.d_model)
            seen = SpatialFeatures(shape, room, self._spatial.dtype, self._lookup)
            at_once = self._at_once(height * width)
            graph = self._spatial if at_once == 1 else self._spatial_alone

            def job(
                batch: tuple[list[int], Float, NDArray[np.bool_]],
            ) -> Callable[[], None] | None:
                dates, images, masks = batch
                if not dates:
                    return None
                return seen.adding(graph, dates, images, window, masks[:, rows, columns], options)

            def leave() -> None:
                options.terminate = True

            # A batch is let go when the next one is drawn, at the latest.
            jobs = filter(None, map(job, chain([first], waiting)))
            del first
            share_out(jobs, at_once, stop, leave)
        least = self.package.minimum_size
        graph.release({"image": (1, len(self.package.bands), least, least)})
        return seen

    def _at_once(self, pixels: int) -> int:
        """Return how many spatial graphs run side by side for images of so many pixels."""
        together = self._workers * max(pixels, SPATIAL_PIXELS["cpu"])
        return self._workers if self.device_used == "cpu" and together <= SIDE_BY_SIDE else 1

    def _project(
        self,
        seen: SpatialFeatures,
        dates: Places,
        days: Float,
        pixels: Places,
        shape: tuple[int, ...],
        stop: Callable[[], bool],
    ) -> Float:
        """Map dates and pixels that were seen to `(n_queries, d_model, *shape)`, in blocks."""
        package = self.package
        count = int(np.prod(shape))
        out = np.full((package.n_features, count), np.nan, np.float32)

        everywhere = seen.valid[:, pixels][dates]

        def project_block(block: slice) -> None:
            valid = everywhere[:, block]
            used = valid.any(1)  # Dates that nobody in the block has are not computed at all.
            if not used.any():
                return
            if isinstance(pixels, slice):
                here: Places = slice(pixels.start + block.start, pixels.start + block.stop)
            else:
                here = pixels[block]
            some = slice(None) if used.all() else used
            inputs: Inputs = {
                "features": seen.features_of(dates, some, here),
                "days": np.ascontiguousarray(days[some]),
                "valid": np.ascontiguousarray(valid[some].T),
            }
            aligned = self._temporal.run(inputs, ("features", "valid"))
            out[:, block] = aligned.reshape(len(valid.T), -1).T

        step = max(1, TEMPORAL_ROWS[self.device_used] // max(1, len(days)))
        self._each_block(project_block, count, step, stop)
        out[:, ~everywhere.any(0)] = np.nan
        return out.reshape(package.n_queries, package.d_model, *shape)

    def _each_block(
        self,
        work: Callable[[slice], None],
        count: int,
        step: int,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Run `work` on slices of `step` pixels, on all threads; `stop` ends that early."""
        starts = range(0, count, step)
        jobs = (partial(work, slice(start, min(start + step, count))) for start in starts)
        share_out(jobs, max(1, min(self._workers, len(starts))), stop)


def load_encoder(
    model: str | os.PathLike[str] = BUNDLED_MODEL,
    device: str = "auto",
    threads: int | None = None,
    precision: str = "float32",
) -> Encoder:
    """Open a model package on a device.

    Args:
        model: folder of the package; the bundled model if not given.
        device: "auto", "cpu" or "cuda".
        threads: CPU threads; None for all.
        precision: "float32" or "float16".

    Raises:
        ModelPackageError: something in the package is missing, altered or too new for this version.
        RuntimeMissingError: onnxruntime or the device is not there.
    """
    return Encoder(load_package(model), device, threads, precision)
