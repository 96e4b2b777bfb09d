"""From a series to its aligned embedding, and back to the reflectance of any day."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from ..errors import Cancelled, RuntimeMissingError
from .device import choose_device, open_session
from .package import ModelPackage

Float = NDArray[np.float32]

# Pixels that go through the spatial graph in one call: small images are grouped, date by date.
SPATIAL_PIXELS = 1 << 16
# Pixels that go through the temporal graph in one call: their series stay in cache.
TEMPORAL_PIXELS = 64
# Bytes that the spatial graph holds for each pixel of a call (measured peak, rounded up).
SPATIAL_BYTES_PER_PIXEL = 3000


class Encoder:
    """A model package at work on one device.

    Attributes:
        package: what it was made from.
        device_used: "cpu" or "cuda", as the sessions report it.
    """

    def __init__(self, package: ModelPackage, device: str = "auto", threads: int | None = None):
        chosen = choose_device(device)
        self.package = package
        self._spatial, self.device_used = open_session(
            package.graph("spatial.onnx"), chosen, threads
        )
        self._temporal, _ = open_session(package.graph("temporal.onnx"), chosen, threads)
        self._decoder, _ = open_session(package.graph("decoder.onnx"), chosen, threads)
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
        stop = cancelled or (lambda: False)
        days = np.asarray(days, np.float32)
        features: Float | None = None
        valid: NDArray[np.bool_] | None = None
        shape = (0, 0)
        kept: list[int] = []
        for dates, images, seen in self._batches(reflectance, len(days), crop):
            if stop():
                raise Cancelled("The run was cancelled.")
            if features is None or valid is None:
                shape = seen.shape[1:]
                pixels = shape[0] * shape[1]
                features = np.empty((pixels, len(days), self.package.d_model), np.float32)
                valid = np.zeros((pixels, len(days)), bool)
            if not dates:
                continue
            encoded = self._spatial.run(None, {"image": images})[0]
            if crop is not None:
                encoded = encoded[:, crop[0], crop[1]]
            encoded = encoded[:, : shape[0], : shape[1]]
            for date, one, mask in zip(dates, encoded, seen):
                features[:, len(kept)] = one.reshape(-1, one.shape[-1])
                valid[:, len(kept)] = mask.ravel()
                kept.append(date)
        if features is None or valid is None:
            raise ValueError("a series needs at least one date")
        size = len(kept)
        return self._project(features[:, :size], days[kept], valid[:, :size], shape, stop)

    def decode(self, embedding: Float, days: NDArray[np.floating]) -> Float:
        """Reflectance that the model expects on any days (Eq. 8, 9).

        Args:
            embedding: `(n_queries, d_model, H, W)` of `encode`.
            days: `(T',)` days since the reference date.

        Returns:
            `(T', 10, H, W)` reflectance; NaN where the embedding is.
        """
        package = self.package
        height, width = embedding.shape[2:]
        vectors = embedding.reshape(package.n_queries, package.d_model, -1).transpose(2, 0, 1)
        days = np.asarray(days, np.float32)
        out = np.empty((height * width, len(days), len(package.bands)), np.float32)
        step = max(1, SPATIAL_PIXELS // (16 * max(1, len(days))))
        for start in range(0, len(out), step):
            block = np.ascontiguousarray(vectors[start : start + step])
            out[start : start + step] = self._decoder.run(None, {"embedding": block, "days": days})[
                0
            ]
        out = out * (package.q95 - package.q05) + package.median
        return np.ascontiguousarray(out.transpose(1, 2, 0)).reshape(len(days), -1, height, width)

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
        return spatial + kept + inner_pixels * 4 * 2 * package.n_features

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
        crop: tuple[slice, slice] | None,
    ) -> Iterator[tuple[list[int], Float, NDArray[np.bool_]]]:
        """Groups of dates for one call: their places, images and validity (cropped).

        A date without any value in the crop is left out; the last group may be empty.
        """
        rows, columns = crop or (slice(None), slice(None))
        dates: list[int] = []
        images: list[Float] = []
        masks: list[NDArray[np.bool_]] = []
        mask = np.zeros((0, 0), bool)
        date = -1
        for date, image in enumerate(reflectance):
            if image.ndim != 3 or image.shape[0] != len(self.package.bands):
                raise ValueError(
                    f"date {date} has shape {image.shape}; ({len(self.package.bands)}, H, W) is "
                    "expected"
                )
            normalised, seen = self._normalise(image)
            mask = seen[rows, columns]
            if not mask.any():
                continue
            dates.append(date)
            images.append(self._pad(normalised))
            masks.append(mask)
            if sum(one[0].size for one in images) + images[0][0].size > SPATIAL_PIXELS:
                yield dates, np.stack(images), np.stack(masks)
                dates, images, masks = [], [], []
        if date + 1 != count:
            raise ValueError(f"there are {date + 1} dates but {count} days")
        yield dates, np.stack(images) if images else np.empty(0), np.stack(masks or [mask])

    def _project(
        self,
        features: Float,
        days: Float,
        valid: NDArray[np.bool_],
        shape: tuple[int, ...],
        stop: Callable[[], bool],
    ) -> Float:
        """Series of features `(P, T, d_model)` -> `(n_queries, d_model, *shape)`, in blocks."""
        package = self.package
        out = np.full((len(features), package.n_features), np.nan, np.float32)
        for start in range(0, len(features), TEMPORAL_PIXELS):
            if stop():
                raise Cancelled("The run was cancelled.")
            block = slice(start, start + TEMPORAL_PIXELS)
            seen = valid[block]
            used = seen.any(0)
            if not used.any():
                continue
            dates = slice(None) if used.all() else used
            inputs = {
                "features": np.ascontiguousarray(features[block][:, dates]),
                "days": np.ascontiguousarray(days[dates]),
                "valid": np.ascontiguousarray(seen[:, dates]),
            }
            aligned = self._temporal.run(None, inputs)[0]
            out[block] = np.where(seen.any(1)[:, None], aligned.reshape(len(seen), -1), np.nan)
        return np.ascontiguousarray(out.T).reshape(package.n_queries, package.d_model, *shape)
