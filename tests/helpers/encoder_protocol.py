"""What maps ask of an encoder; mypy holds the real one and the fake one to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from alise_plugin.arrays import Float
from alise_plugin.model.encoder import Encoder
from alise_plugin.model.identity import FeatureIdentity
from alise_plugin.model.spatial_features import Period
from tests.helpers.fake_encoder import FakeEncoder

Images = NDArray[Any] | Iterable[NDArray[Any]]
Crop = tuple[slice, slice] | None
Stop = Callable[[], bool] | None


class Package(Protocol):
    """What is known of the model."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def same_vectors_as(self) -> tuple[str, ...]: ...
    @property
    def model_id(self) -> str: ...
    @property
    def n_queries(self) -> int: ...
    @property
    def d_model(self) -> int: ...
    @property
    def halo(self) -> int: ...
    @property
    def stride(self) -> int: ...
    @property
    def minimum_size(self) -> int: ...
    def gives_vectors_of(self, identity: FeatureIdentity) -> bool: ...


class SeriesEncoder(Protocol):
    """What makes vectors of a series."""

    @property
    def package(self) -> Package: ...
    @property
    def device_used(self) -> str: ...
    @property
    def fell_back(self) -> bool: ...
    @property
    def precision(self) -> str: ...
    @property
    def where(self) -> str: ...

    def encode(
        self,
        reflectance: Images,
        days: NDArray[Any],
        *,
        crop: Crop = None,
        cancelled: Stop = None,
    ) -> Float: ...

    def encode_periods(
        self,
        reflectance: Images,
        count: int,
        periods: Sequence[Period],
        *,
        crop: Crop = None,
        cancelled: Stop = None,
    ) -> Iterable[Float]: ...

    def encode_strips(
        self,
        reflectance: Images,
        days: NDArray[Any],
        rows: int,
        *,
        crop: Crop = None,
        cancelled: Stop = None,
    ) -> Iterator[Float]: ...

    def compact(self, features: Float) -> Float: ...

    def memory_needed(
        self,
        dates: int,
        read_pixels: int,
        inner_pixels: int,
        strip_pixels: int | None = None,
    ) -> int: ...


if TYPE_CHECKING:
    real: type[SeriesEncoder] = Encoder
    fake: type[SeriesEncoder] = FakeEncoder
