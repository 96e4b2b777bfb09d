"""From a series to its aligned embedding, and back to the reflectance of any day."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Union

import numpy as np
from numpy.typing import NDArray

from ..errors import Cancelled, RuntimeMissingError
from .device import available_threads, choose_device, open_session
from .package import ModelPackage

Float = NDArray[np.float32]

Places = Union[slice, NDArray[np.integer]]

# Pixels that go through the spatial graph in one call: small images are grouped, date by date.
SPATIAL_PIXELS = 1 << 14
# Pixels x dates that go through the temporal graph in one call. On a CPU they stay in cache, and
# one thread runs a whole call: its operators are too small to share out. A GPU wants more at once.
TEMPORAL_ROWS = {"cpu": 1024, "cuda": 1 << 17}
# Values of reflectance that the decoder writes in one call.
DECODED_VALUES = 1 << 16
# Bytes that the spatial graph holds for each pixel of a call (measured peak, rounded up).
SPATIAL_BYTES_PER_PIXEL = 3000


@dataclass(frozen=True)
class Period:
    """Some dates of a series that make one embedding.

    Attributes:
        dates: `(n,)` places in the series, ascending.
        days: `(n,)` days that they are encoded with, since the package's reference date.
        every: rows and columns between two pixels that are wanted; 1 for all pixels.
    """

    dates: NDArray[np.integer]
    days: NDArray[np.floating]
    every: int = 1


class Encoder:
    """A model package at work on one device.

    Attributes:
        package: what it was made from.
        device_used: "cpu" or "cuda", as the sessions report it.
    """

    def __init__(self, package: ModelPackage, device: str = "auto", threads: int | None = None):
        chosen = choose_device(device)
        threads = threads or available_threads()
        self.package = package
        self._spatial, self.device_used = open_session(
            package.graph("spatial.onnx"), chosen, threads
        )
        self._temporal, _ = open_session(package.graph("temporal.onnx"), chosen, 1)
        self._decoder, _ = open_session(package.graph("decoder.onnx"), chosen, 1)
        self._workers = threads if self.device_used == "cpu" else 1
        if device == "cuda" and self.device_used != "cuda":
            raise RuntimeMissingError(
                "CUDA was asked for but onnxruntime could not start it and would run on the CPU; "
                "choose the device cpu, or check the GPU's driver, CUDA and cuDNN."
            )

    def encode(
        self,
        reflectance: NDArray[np.floating] | Iterable[NDArray[np.floating]],
        days: NDArray[np.floating],
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
            cancelled: asked between dates and between blocks of pixels.

        Returns:
            `(n_queries, d_model, h, w)` float32; NaN for a pixel without any value.

        Raises:
            Cancelled: `cancelled()` was true.
            ValueError: shapes do not fit.
        """
        whole = Period(np.arange(len(days)), days)
        return self.encode_periods(reflectance, len(days), [whole], crop=crop, cancelled=cancelled)[
            0
        ]

    def encode_periods(
        self,
        reflectance: NDArray[np.floating] | Iterable[NDArray[np.floating]],
        count: int,
        periods: Sequence[Period],
        *,
        crop: tuple[slice, slice] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> list[Float]:
        """Encode several periods of one series; a date in two of them goes through once.

        The spatial graph sees each date, the temporal graph the dates of each period.

        Args:
            reflectance: the series, as in `encode`.
            count: T, its dates.
            periods: which dates make an embedding, on which days, for which pixels.
            crop: as in `encode`.
            cancelled: as in `encode`.

        Returns:
            One embedding per period: `(n_queries, d_model, h, w)`, with every n-th row and column
            of the crop where a period asks for that.

        Raises:
            Cancelled: `cancelled()` was true.
            ValueError: shapes do not fit.
        """
        stop = cancelled or (lambda: False)
        features: Float | None = None
        valid: NDArray[np.bool_] | None = None
        shape: tuple[int, ...] = (0, 0)
        kept: list[int] = []
        rows, columns = crop or (slice(None), slice(None))
        for dates, images, seen_whole in self._batches(reflectance, count, rows, columns):
            if stop():
                raise Cancelled("The run was cancelled.")
            seen = seen_whole[:, rows, columns]
            if features is None or valid is None:
                shape = seen.shape[1:]
                pixels = shape[0] * shape[1]
                features = np.empty((pixels, count, self.package.d_model), np.float32)
                valid = np.zeros((pixels, count), bool)
            if not dates:
                continue
            height, width = seen_whole.shape[1:]
            encoded = self._spatial.run(None, {"image": images})[0]
            encoded = encoded[:, :height, :width][:, rows, columns]
            for date, one, mask in zip(dates, encoded, seen):
                features[:, len(kept)] = one.reshape(-1, one.shape[-1])
                valid[:, len(kept)] = mask.ravel()
                kept.append(date)
        if features is None or valid is None:
            raise ValueError("a series needs at least one date")
        embeddings = []
        for period in periods:
            days = dict(zip(np.asarray(period.dates).tolist(), np.asarray(period.days, np.float32)))
            places = [place for place, date in enumerate(kept) if date in days]
            some = _lattice(shape, period.every)
            embeddings.append(
                self._project(
                    features if some is None else features[some],
                    _as_slice(places),
                    np.array([days[kept[place]] for place in places], np.float32),
                    valid if some is None else valid[some],
                    tuple(-(-size // period.every) for size in shape),
                    stop,
                )
            )
        return embeddings

    def decode(self, embedding: Float, days: NDArray[np.floating]) -> Float:
        """Reflectance that the model expects on any days (Eq. 8, 9).

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
            normalised = self._decoder.run(None, inputs)[0]
            bands = normalised * (package.q95 - package.q05) + package.median
            out[:, :, block] = bands.transpose(1, 2, 0)

        if len(days):
            step = max(1, DECODED_VALUES // (len(days) * len(package.bands)))
            self._each_block(decode_block, len(vectors), step)
        return out.reshape(len(days), len(package.bands), *shape)

    def memory_needed(self, dates: int, read_pixels: int, inner_pixels: int) -> int:
        """Bytes that `encode` holds at its peak, input and output included.

        Args:
            dates: T.
            read_pixels: pixels of the window given to `encode`, halo included.
            inner_pixels: pixels left after `crop`.
        """
        package = self.package
        in_flight = max(read_pixels, min(SPATIAL_PIXELS, read_pixels * dates))
        spatial = in_flight * (SPATIAL_BYTES_PER_PIXEL + 4 * (package.d_model + 3 * 10))
        kept = inner_pixels * dates * (4 * package.d_model + 1)
        return spatial + kept + inner_pixels * 4 * package.n_features

    def _normalise(self, image: NDArray[np.floating]) -> tuple[Float, NDArray[np.bool_]]:
        """`(10, H, W)` reflectance -> normalised and filled, and where anything was `(H, W)`."""
        package = self.package
        low, high = package.q05[:, None, None], package.q95[:, None, None]
        seen = np.isfinite(image)
        filled = (np.clip(image, low, high) - package.median[:, None, None]) / (high - low)
        filled[~seen] = package.missing_value
        return filled.astype(np.float32, copy=False), seen.any(0)

    def _pad(self, image: Float) -> Float:
        """Reflect at the bottom and at the right, up to a size that the spatial graph takes."""
        stride, least = self.package.stride, self.package.minimum_size
        grow = [(0, max(least, -(-size // stride) * stride) - size) for size in image.shape[1:]]
        return np.pad(image, [(0, 0), *grow], mode="reflect") if any(map(any, grow)) else image

    def _batches(
        self,
        reflectance: Iterable[NDArray[np.floating]],
        count: int,
        rows: slice,
        columns: slice,
    ) -> Iterator[tuple[list[int], Float, NDArray[np.bool_]]]:
        """Groups of dates for one call: their places, images (padded) and validity.

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
            if sum(one[0].size for one in images) + images[0][0].size > SPATIAL_PIXELS:
                yield dates, np.stack(images), np.stack(masks)
                dates, images, masks = [], [], []
        if date + 1 != count:
            raise ValueError(f"there are {date + 1} dates but {count} days")
        last = np.stack(images) if images else np.empty(0, np.float32)
        yield dates, last, np.stack(masks or [seen])

    def _project(
        self,
        features: Float,
        dates: Places,
        days: Float,
        valid: NDArray[np.bool_],
        shape: tuple[int, ...],
        stop: Callable[[], bool],
    ) -> Float:
        """Some dates of features `(P, T, d_model)` -> `(n_queries, d_model, *shape)`, in blocks."""
        package = self.package
        out = np.full((package.n_features, len(features)), np.nan, np.float32)

        def project_block(block: slice) -> None:
            seen = valid[block][:, dates]
            used = seen.any(0)  # Dates that nobody in the block has are not computed at all.
            if not used.any():
                return
            some = slice(None) if used.all() else used
            inputs = {
                "features": np.ascontiguousarray(features[block][:, dates][:, some]),
                "days": np.ascontiguousarray(days[some]),
                "valid": np.ascontiguousarray(seen[:, some]),
            }
            aligned = self._temporal.run(None, inputs)[0].reshape(len(seen), -1)
            aligned[~seen.any(1)] = np.nan
            out[:, block] = aligned.T

        step = max(1, TEMPORAL_ROWS[self.device_used] // max(1, len(days)))
        self._each_block(project_block, len(features), step, stop)
        return out.reshape(package.n_queries, package.d_model, *shape)

    def _each_block(
        self,
        work: Callable[[slice], None],
        count: int,
        step: int,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Run `work` on slices of `step` pixels, on all threads; ask `stop` between them."""
        blocks = (slice(start, min(start + step, count)) for start in range(0, count, step))
        with ThreadPoolExecutor(self._workers) as pool:
            for _ in pool.map(work, blocks):
                if stop():
                    pool.shutdown(cancel_futures=True)
                    raise Cancelled("The run was cancelled.")


def _lattice(shape: tuple[int, ...], every: int) -> NDArray[np.integer] | None:
    """Places of every n-th row and column in an image without its shape; None for all."""
    return (
        np.arange(shape[0] * shape[1]).reshape(shape)[::every, ::every].ravel()
        if every > 1
        else None
    )


def _as_slice(places: list[int]) -> Places:
    """A run of places as a slice, which copies nothing; others as an array."""
    if not places or places[-1] - places[0] + 1 == len(places):
        return slice(places[0], places[-1] + 1) if places else slice(0, 0)
    return np.array(places)
