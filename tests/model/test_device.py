"""Graphs on a device with memory of its own, as far as a machine without one can tell.

The CPU provider binds inputs and outputs by address as CUDA does, so a wrong offset, shape or
lifetime shows here. Error texts are onnxruntime's, CUDA's, cuBLAS's and cuDNN's own.
"""

import numpy as np
import onnxruntime
import pytest

from alise_plugin.errors import AliseError, Cancelled, RuntimeMissingError
from alise_plugin.model import device, device_memory, encoder
from alise_plugin.model.device_memory import Crops, DeviceArray, DeviceFeatures, Rows
from alise_plugin.model.encoder import Encoder
from alise_plugin.model.package import load_package
from alise_plugin.model.spatial_features import Period

NO_MEMORY = [
    "CUDA failure 2: out of memory ; GPU=0 ; hostname=box ; expr=cudaMalloc((void**)&p, size);",
    "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running Conv "
    "node. Status Message: bfc_arena.cc:376 AllocateRawInternal Failed to allocate memory for "
    "requested buffer of size 536870912",
    "BFCArena::AllocateRawInternal: Available memory of 0 is smaller than requested bytes of 1024",
    "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0 ; expr=cublasCreate(&cublas_handle_);",
    "CUDNN failure 4002: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED ; GPU=0",
    "CUDA error cudaErrorMemoryAllocation:out of memory",
    "std::bad_alloc",
]


@pytest.fixture(scope="module")
def package(tiny_package):
    return load_package(tiny_package)


def series(dates=7, height=21, width=37):
    """Clouds, a swath edge, a date without anything, pixels without anything."""
    rng = np.random.default_rng(0)
    reflectance = rng.uniform(0, 0.6, (dates, 10, height, width)).astype(np.float32)
    clouds = rng.random((dates, 1, height, width)) < 0.2
    reflectance[np.broadcast_to(clouds, reflectance.shape)] = np.nan
    reflectance[1, :, :, : width // 2] = np.nan
    reflectance[3] = np.nan
    reflectance[:, :, 5:8, 2:6] = np.nan
    return reflectance, np.arange(dates) * 17 + 1500.0


def array_of(values):
    """An array of the "device" with these values."""
    made = DeviceArray.empty(values.shape, values.dtype, "cpu")
    made.owner.update_inplace(values)
    return made


def values_of(array):
    """What lies at the address of an array, wherever in its owner's memory that is."""
    whole = array.owner.numpy().ravel()
    start = (array.address - array.owner.data_ptr()) // array.dtype.itemsize
    return whole[start : start + int(np.prod(array.shape))].reshape(array.shape)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_a_part_of_an_array_is_where_its_rows_are(dtype):
    values = np.arange(5 * 3 * 2).reshape(5, 3, 2).astype(dtype)
    array = array_of(values)
    np.testing.assert_array_equal(values_of(array[2:4]), values[2:4])
    np.testing.assert_array_equal(values_of(array[1:][1:3]), values[2:4])
    assert array[4:9].shape == (1, 3, 2)
    np.testing.assert_array_equal(values_of(array[3:].reshape(6, 2)), values[3:].reshape(6, 2))
    with pytest.raises(ValueError, match="cannot be seen"):
        array.reshape(7, 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_rows_are_taken_from_their_places(dtype):
    lookup = device.open_lookup("cpu", dtype)
    values = np.random.default_rng(0).normal(size=(12, 4)).astype(dtype)
    places = np.array([[0, 11, 3], [5, 5, 1]], np.int32)
    rows = Rows(array_of(values), places, lookup)
    assert len(rows) == 2
    np.testing.assert_array_equal(values_of(rows.taken()), values[places])
    np.testing.assert_array_equal(values_of(rows[:, 1:].taken()), values[places[:, 1:]])
    np.testing.assert_array_equal(values_of(rows[1:2].taken()), values[places[1:2]])


def test_features_go_in_by_date_and_come_out_by_pixel():
    lookup = device.open_lookup("cpu", np.float32)
    features = DeviceFeatures((5, 6, 4), lookup)
    images = np.random.default_rng(0).normal(size=(5, 4, 5, 4)).astype(np.float32)
    places = np.arange(20).reshape(4, 5)[1:3, 2:5].ravel().astype(np.int32)
    for dates in (slice(3, 5), slice(0, 3)):
        crops = features.crops(dates, (4, 5), places)
        for part in (slice(0, 1), slice(1, 3)):  # as a batch that was halved
            if len(images[dates][part]):
                crops[part].take(array_of(images[dates][part]))
    kept = images[:, 1:3, 2:5].reshape(5, 6, 4)
    dates, pixels = np.array([0, 2, 4]), np.array([5, 1])
    found = values_of(features.rows(dates, pixels).taken())
    np.testing.assert_array_equal(found, kept[dates][:, pixels].transpose(1, 0, 2))


@pytest.mark.parametrize("call", [400, 2000, 1 << 14])
def test_features_that_stay_on_the_device_give_the_same_embedding(package, monkeypatch, call):
    """For dates one by one, in groups and all at once; whole, cropped, thinned, in strips."""
    monkeypatch.setitem(encoder.SPATIAL_PIXELS, "cpu", call)
    reflectance, days = series()
    there = Encoder(package, "cpu", 2, bound=True)
    here = Encoder(package, "cpu", 2)
    assert there.bound
    assert not here.bound
    crop = (slice(3, -4), slice(5, 30))
    for window in (None, crop):
        np.testing.assert_array_equal(
            there.encode(reflectance, days, crop=window),
            here.encode(reflectance, days, crop=window),
        )
    periods = [Period(np.array([0, 2, 5]), days[[0, 2, 5]], 3), Period(np.arange(7), days)]
    for found, expected in zip(
        there.encode_periods(reflectance, 7, periods, crop=crop),
        here.encode_periods(reflectance, 7, periods, crop=crop),
    ):
        np.testing.assert_array_equal(found, expected)
    strips = [*there.encode_strips(reflectance, days, 5, crop=crop)]
    expected = here.encode(reflectance, days, crop=crop)
    np.testing.assert_array_equal(np.concatenate(strips, axis=2), expected)


class Limited:
    """A session that cannot bind more rows than fit, and says so as `text` does."""

    def __init__(self, session, most, text):
        self.session, self.most, self.text, self.asked = session, most, text, []

    def __getattr__(self, name):
        return getattr(self.session, name)

    def io_binding(self):
        limited, binding = self, self.session.io_binding()

        class Binding:
            def __getattr__(self, name):
                return getattr(binding, name)

            def bind_cpu_input(self, name, value):
                if name in ("image", "valid"):
                    limited.asked.append(len(value))
                binding.bind_cpu_input(name, value)

        made = Binding()
        made.real = binding
        return made

    def run_with_iobinding(self, binding, options=None):
        if self.asked[-1] > self.most:
            raise RuntimeError(self.text)
        self.session.run_with_iobinding(binding.real, options)


@pytest.mark.parametrize("text", NO_MEMORY)
def test_a_bound_batch_that_does_not_fit_is_halved(package, text):
    reflectance, days = series(height=16, width=16)
    expected = Encoder(package, "cpu", 1).encode(reflectance, days)
    there = Encoder(package, "cpu", 1, bound=True)
    spatial = there._spatial._session = Limited(there._spatial._session, 2, text)
    temporal = there._temporal._session = Limited(there._temporal._session, 40, text)
    np.testing.assert_allclose(there.encode(reflectance, days), expected, atol=1e-5)
    assert spatial.asked == [6, 3, 2, 2, 2]
    assert temporal.asked[0] > 40
    assert max(temporal.asked[3:]) <= 40


def test_too_little_memory_for_one_bound_image_is_said(package):
    there = Encoder(package, "cpu", 1, bound=True)
    there._spatial._session = Limited(there._spatial._session, 0, NO_MEMORY[1])
    with pytest.raises(AliseError, match="smaller TILE_SIZE or MEMORY") as error:
        there.encode(*series())
    assert "\n" not in str(error.value)


def test_another_failure_of_a_bound_graph_is_not_taken_for_want_of_memory(package):
    there = Encoder(package, "cpu", 1, bound=True)
    there._spatial._session = Limited(there._spatial._session, 0, "CUDNN_STATUS_EXECUTION_FAILED")
    with pytest.raises(RuntimeError, match="EXECUTION_FAILED"):
        there.encode(*series())


def test_features_that_do_not_fit_on_the_device_go_through_the_host(package, monkeypatch):
    reflectance, days = series()
    expected = Encoder(package, "cpu", 1).encode(reflectance, days)
    there = Encoder(package, "cpu", 1, bound=True)
    asked = []

    def nothing(shape, dtype, device):
        asked.append(shape)
        raise RuntimeError(NO_MEMORY[1])

    monkeypatch.setattr(DeviceArray, "empty", nothing)
    np.testing.assert_array_equal(there.encode(reflectance, days), expected)
    assert asked == [(7, 21 * 37, 64)]


def test_more_features_than_a_lookup_can_count_go_through_the_host(package, monkeypatch):
    reflectance, days = series()
    expected = Encoder(package, "cpu", 1).encode(reflectance, days)
    monkeypatch.setattr(device_memory, "MOST_VALUES", 7 * 21 * 37 * 64)
    monkeypatch.setattr(DeviceArray, "empty", None)
    there = Encoder(package, "cpu", 1, bound=True)
    np.testing.assert_array_equal(there.encode(reflectance, days), expected)


def test_images_that_do_not_fit_beside_the_features_are_halved(package, monkeypatch):
    reflectance, days = series(height=16, width=16)
    expected = Encoder(package, "cpu", 1).encode(reflectance, days)
    there = Encoder(package, "cpu", 1, bound=True)
    real, refused = Crops.room, []

    def room(crops):
        if len(crops.target) > 1:
            refused.append(len(crops.target))
            raise RuntimeError(NO_MEMORY[2])
        return real(crops)

    monkeypatch.setattr(Crops, "room", room)
    np.testing.assert_allclose(there.encode(reflectance, days), expected, atol=1e-5)
    assert refused == [6, 3, 2]


def test_a_bound_graph_can_be_left_in_the_middle(package):
    there = Encoder(package, "cpu", 1, bound=True)
    asked = []

    def stop():
        asked.append(1)
        return len(asked) > 2  # before the date, then while the graph is at it

    rng = np.random.default_rng(0)
    with pytest.raises(Cancelled):
        there.encode(rng.random((1, 10, 768, 768), np.float32), np.array([1500.0]), cancelled=stop)


class Card:
    """A CUDA that is none: sessions and memory of the CPU, which answer to the name of CUDA."""

    def __init__(self, monkeypatch):
        self.options, self.arrays = [], []
        real_session = onnxruntime.InferenceSession
        real_empty = onnxruntime.OrtValue.ortvalue_from_shape_and_type
        card = self

        class Binding:
            def __init__(self, binding):
                self.real = binding

            def __getattr__(self, name):
                return getattr(self.real, name)

            def bind_input(self, name, kind, *rest):
                assert kind == "cuda"
                self.real.bind_input(name, "cpu", *rest)

            def bind_output(self, name, kind, *rest):
                assert kind == "cuda"
                self.real.bind_output(name, "cpu", *rest)

        class Session:
            def __init__(self, graph, options, providers):
                (name, settings), last = providers
                assert (name, last) == ("CUDAExecutionProvider", "CPUExecutionProvider")
                card.options.append(settings)
                self.session = real_session(graph, options, providers=["CPUExecutionProvider"])

            def __getattr__(self, name):
                return getattr(self.session, name)

            def get_providers(self):
                return ["CUDAExecutionProvider", "CPUExecutionProvider"]

            def io_binding(self):
                return Binding(self.session.io_binding())

            def run_with_iobinding(self, binding, options=None):
                self.session.run_with_iobinding(binding.real, options)

        def session(graph, options, providers):
            if providers == ["CPUExecutionProvider"]:
                return real_session(graph, options, providers=providers)
            return Session(graph, options, providers)

        def empty(shape, kind, device_type, number):
            assert (device_type, number) == ("cuda", 0)
            card.arrays.append((tuple(shape), kind))
            return real_empty(shape, kind, "cpu", 0)

        offered = ["CUDAExecutionProvider", "CPUExecutionProvider"]
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: offered)
        monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None, raising=False)
        monkeypatch.setattr(onnxruntime, "InferenceSession", session)
        monkeypatch.setattr(onnxruntime.OrtValue, "ortvalue_from_shape_and_type", empty)


@pytest.mark.parametrize("broken", ["spatial", "temporal", "decoder"])
def test_one_graph_that_falls_back_takes_the_others_along(package, monkeypatch, broken):
    """As a card whose memory is full by then; the graphs pass each other its addresses."""
    Card(monkeypatch)
    on_card = onnxruntime.InferenceSession

    def session(graph, options, providers):
        if isinstance(graph, str) and broken in graph:
            providers = ["CPUExecutionProvider"]
        return on_card(graph, options, providers)

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    encoder = Encoder(package, "auto")
    assert (encoder.device_used, encoder.fell_back, encoder.bound) == ("cpu", True, False)
    reflectance, days = series()
    assert np.isfinite(encoder.encode(reflectance, days)[..., 0, -1]).all()
    with pytest.raises(RuntimeMissingError, match="CUDA was asked for"):
        Encoder(package, "cuda")


@pytest.mark.parametrize("asked", ["auto", "cuda"])
def test_on_a_card_features_stay_there(package, monkeypatch, asked):
    reflectance, days = series()
    expected = Encoder(package, "cpu", 1).encode(reflectance, days)
    card = Card(monkeypatch)
    there = Encoder(package, asked)
    assert there.device_used == "cuda"
    assert not there.fell_back
    assert there.bound
    found = there.encode(reflectance, days)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert card.arrays[0] == ((7, 21 * 37, 64), np.float32)
    assert all(settings["use_tf32"] == "0" for settings in card.options)
    np.testing.assert_array_equal(
        Encoder(package, "cuda", bound=False).encode(reflectance, days), found
    )


def test_a_card_with_too_little_memory_goes_on_in_halves(package, monkeypatch):
    reflectance, days = series(height=16, width=16)
    expected = Encoder(package, "cpu", 1).encode(reflectance, days)
    Card(monkeypatch)
    there = Encoder(package, "cuda")
    run, batches = there._temporal._session.run_with_iobinding, []

    def small(binding, options=None):
        batches.append(len(binding._numpy_obj_references["valid"]))
        if batches[-1] > 100:
            raise RuntimeError(NO_MEMORY[0])
        run(binding, options)

    there._temporal._session.run_with_iobinding = small
    np.testing.assert_allclose(there.encode(reflectance, days), expected, atol=1e-5)
    assert batches == [256, 128, 64, 64, 64, 64]


def test_a_machine_without_cuda_says_so(package):
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    with pytest.raises(RuntimeMissingError, match="no cuda; choose the device cpu"):
        Encoder(package, "cuda")
    assert Encoder(package, "auto").device_used == "cpu"
