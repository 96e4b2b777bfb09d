"""An encoder with the interface of the real one, and a receptive field that punishes bad tiles.

`encoder_protocol` holds both to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from alise_plugin.arrays import Float
from alise_plugin.errors import Cancelled
from alise_plugin.model.identity import FeatureIdentity
from alise_plugin.model.spatial_features import Period

STRIDE, RADIUS = 8, 9


class FakePackage(SimpleNamespace):
    """As much of a `ModelPackage` as maps need."""

    name: str
    version: str
    folder: str
    sha256: str
    same_vectors_as: tuple[str, ...]
    model_id: str
    n_queries: int
    d_model: int
    halo: int
    stride: int
    minimum_size: int

    def gives_vectors_of(self, identity: FeatureIdentity) -> bool:
        return identity.gives_vectors_of(self.sha256)


class FakeEncoder:
    """Box means (which need the halo) and means of cells of 8 x 8 pixels (which need the stride).

    Two queries of three features, linear in reflectance and day.
    """

    device_used = "cpu"
    fell_back = False
    precision = "float32"
    where = "cpu"

    def __init__(self, bytes_per_read_pixel: int = 100) -> None:
        self.bytes_per_read_pixel = bytes_per_read_pixel
        self.reads: list[tuple[int, ...]] = []
        self.package = FakePackage(
            name="fake",
            version="1.2",
            folder="no such folder",
            sha256="0" * 64,
            same_vectors_as=(),
            model_id="fake 1.2 00000000",
            n_queries=2,
            d_model=3,
            halo=RADIUS + STRIDE,
            stride=STRIDE,
            minimum_size=16,
        )

    def spatial(self, image: NDArray[Any]) -> NDArray[Any]:
        filled = np.nan_to_num(image, nan=0.1)
        _, height, width = image.shape
        grow = [(0, max(16, -(-size // STRIDE) * STRIDE) - size) for size in (height, width)]
        padded = np.pad(filled, [(0, 0), *grow], mode="reflect")
        box = uniform_filter(padded.mean(0), 2 * RADIUS + 1, mode="mirror")
        rows, cols = padded.shape[1] // STRIDE, padded.shape[2] // STRIDE
        cells = padded[:, : rows * STRIDE, : cols * STRIDE].reshape(-1, rows, STRIDE, cols, STRIDE)
        cells = np.kron(cells.mean((0, 2, 4)), np.ones((STRIDE, STRIDE)))
        return np.stack([padded[0], box, cells])[:, :height, :width]

    def encode(
        self,
        reflectance: NDArray[Any] | Iterable[NDArray[Any]],
        days: NDArray[Any],
        *,
        crop: tuple[slice, slice] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Float:
        rows, cols = crop or (slice(None), slice(None))
        total: Any = None
        count: Any = None
        for image, day in zip(reflectance, days):
            if cancelled and cancelled():
                raise Cancelled("The run was cancelled.")
            self.reads.append(image.shape[1:])
            features = self.spatial(image)[:, rows, cols]
            valid = np.isfinite(image).any(0)[rows, cols]
            both = np.stack([features, features * day / 1000]) * valid
            total = both if total is None else total + both
            count = valid.astype(int) if count is None else count + valid
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(count > 0, total / count, np.nan).astype(np.float32)

    def encode_periods(
        self,
        reflectance: NDArray[Any] | Iterable[NDArray[Any]],
        count: int,
        periods: Sequence[Period],
        *,
        crop: tuple[slice, slice] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> list[Float]:
        (period,) = periods
        assert len(period.dates) == count
        whole = self.encode(reflectance, period.days, crop=crop, cancelled=cancelled)
        return [whole[..., :: period.every, :: period.every]]

    def encode_strips(
        self,
        reflectance: NDArray[Any] | Iterable[NDArray[Any]],
        days: NDArray[Any],
        rows: int,
        *,
        crop: tuple[slice, slice] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Iterator[Float]:
        whole = self.encode(reflectance, days, crop=crop, cancelled=cancelled)
        for top in range(0, whole.shape[2], rows):
            if cancelled and cancelled():
                raise Cancelled("The run was cancelled.")
            yield whole[:, :, top : top + rows]

    def compact(self, features: Float) -> Float:
        form: Any = self.package.require_compact()
        return features[: len(form.scale)] * 2

    def memory_needed(
        self,
        dates: int,
        read_pixels: int,
        inner_pixels: int,
        strip_pixels: int | None = None,
    ) -> int:
        return read_pixels * self.bytes_per_read_pixel + inner_pixels * dates * 4
