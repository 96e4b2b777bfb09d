"""What must hold for an embedding, whatever the series looks like."""

import time

import numpy as np
import pytest

from alise_plugin.errors import AliseError, Cancelled, RuntimeMissingError
from alise_plugin.model import encoder as encoder_module
from alise_plugin.model.encoder import Encoder, load_encoder
from alise_plugin.model.package import load_package


@pytest.fixture(scope="module")
def encoder(tiny_package):
    return load_encoder(tiny_package, device="cpu", threads=2)


def series(dates, height, width, seed=0):
    rng = np.random.default_rng(seed)
    days = np.sort(rng.choice(np.arange(500, 3000), dates, replace=False)).astype(np.float32)
    return rng.uniform(0, 0.6, (dates, 10, height, width)).astype(np.float32), days


@pytest.mark.parametrize("height", [1, 7, 16, 33])
@pytest.mark.parametrize("width", [1, 20])
@pytest.mark.parametrize("dates", [1, 2, 7])
def test_any_size_gives_a_finite_embedding_of_that_size(encoder, height, width, dates):
    out = encoder.encode(*series(dates, height, width))
    assert out.shape == (10, 64, height, width)
    assert out.dtype == np.float32
    assert np.isfinite(out).all()


@pytest.mark.parametrize("dates", [1, 2, 7, 30, 61])
def test_encoder_equals_pytorch(encoder, dates):
    torch = pytest.importorskip("torch")
    from training.export.command import untrained

    model = untrained("bundled")
    reflectance, days = series(dates, 16, 24)
    reflectance[:, :, 3:5, 7:20] = np.nan
    reflectance[::2, :, :, :4] = np.nan
    package = encoder.package
    low, high = package.q05[:, None, None], package.q95[:, None, None]
    image = (np.clip(reflectance, low, high) - package.median[:, None, None]) / (high - low)
    seen = np.isfinite(reflectance).any(1)
    with torch.no_grad():
        expected = model(
            torch.tensor(np.nan_to_num(image))[None],
            torch.tensor(days)[None],
            torch.tensor(seen)[None],
        )[0].numpy()
    found = encoder.encode(reflectance, days)
    somewhere = seen.any(0)
    np.testing.assert_allclose(found[..., somewhere], expected[..., somewhere], atol=1e-4)
    assert np.isnan(found[..., ~somewhere]).all()


def test_an_empty_date_changes_nothing(encoder):
    reflectance, days = series(5, 17, 9)
    with_empty = np.concatenate([reflectance, np.full_like(reflectance[:1], np.nan)])
    np.testing.assert_allclose(
        encoder.encode(with_empty, np.append(days, 2000.0)),
        encoder.encode(reflectance, days),
        atol=1e-5,
    )


def test_the_order_of_dates_changes_nothing(encoder):
    reflectance, days = series(6, 16, 16)
    order = np.array([3, 0, 5, 1, 4, 2])
    np.testing.assert_allclose(
        encoder.encode(reflectance[order], days[order]),
        encoder.encode(reflectance, days),
        atol=1e-5,
    )


def test_a_value_outside_a_swath_never_reaches_the_other_dates(encoder):
    reflectance, days = series(4, 16, 16)
    reflectance[2, :, :, 8:] = np.nan
    whole = encoder.encode(reflectance, days)
    without = encoder.encode(np.delete(reflectance, 2, 0), np.delete(days, 2))
    np.testing.assert_allclose(whole[..., 8:], without[..., 8:], atol=1e-5)
    assert np.abs(whole[..., :8] - without[..., :8]).max() > 1e-3


def test_a_missing_band_is_fed_as_the_package_declares(encoder):
    reflectance, days = series(3, 16, 16)
    missing, median = reflectance.copy(), reflectance.copy()
    missing[:, 4] = np.nan
    median[:, 4] = encoder.package.median[4]
    np.testing.assert_allclose(
        encoder.encode(missing, days), encoder.encode(median, days), atol=1e-5
    )


def test_crop_equals_cropping(encoder):
    reflectance, days = series(4, 40, 33)
    crop = (slice(8, 31), slice(3, 20))
    np.testing.assert_allclose(
        encoder.encode(reflectance, days, crop=crop),
        encoder.encode(reflectance, days)[(..., *crop)],
        atol=1e-5,
    )


def test_crop_from_the_end_counts_from_the_image_not_from_its_padding(encoder):
    reflectance, days = series(2, 21, 19)
    crop = (slice(-9, None), slice(None, -3))
    np.testing.assert_allclose(
        encoder.encode(reflectance, days, crop=crop),
        encoder.encode(reflectance, days)[(..., *crop)],
        atol=1e-5,
    )


def test_neither_the_number_of_threads_nor_the_other_pixels_of_a_block_change_a_pixel(tiny_package):
    reflectance, days = series(6, 24, 24)
    missing = np.random.default_rng(1).random((6, 1, 24, 24)) < 0.5
    reflectance[np.broadcast_to(missing, reflectance.shape)] = np.nan
    package = load_package(tiny_package)
    one, many = (Encoder(package, "cpu", threads).encode(reflectance, days) for threads in (1, 3))
    np.testing.assert_allclose(one, many, atol=1e-5)
    crop = (slice(5, 6), slice(17, 18))
    alone = Encoder(package, "cpu", 1).encode(reflectance, days, crop=crop)
    np.testing.assert_allclose(alone, one[(..., *crop)], atol=1e-5)


def test_dates_can_stream(encoder):
    reflectance, days = series(5, 20, 20)
    np.testing.assert_array_equal(
        encoder.encode(iter(reflectance), days), encoder.encode(reflectance, days)
    )


def test_a_series_without_any_value_is_all_nan(encoder):
    reflectance, days = series(3, 16, 16)
    out = encoder.encode(np.full_like(reflectance, np.nan), days)
    assert out.shape == (10, 64, 16, 16)
    assert np.isnan(out).all()


def test_decode_equals_pytorch(encoder):
    torch = pytest.importorskip("torch")
    from training.export.command import untrained

    embedding = np.random.default_rng(0).normal(size=(10, 64, 5, 3)).astype(np.float32)
    embedding[..., 0, 0] = np.nan
    days = np.array([900, 1500, 1501], np.float32)
    vectors = torch.tensor(embedding).permute(2, 3, 0, 1).flatten(0, 1)
    with torch.no_grad():
        normalised = untrained("bundled").decoder(vectors, torch.tensor(days)).numpy()
    package = encoder.package
    expected = normalised * (package.q95 - package.q05) + package.median
    found = encoder.decode(embedding, days)
    assert found.shape == (3, 10, 5, 3)
    assert np.isnan(found[..., 0, 0]).all()
    np.testing.assert_allclose(
        found.reshape(3, 10, -1)[:, :, 1:], expected.transpose(1, 2, 0)[:, :, 1:], atol=1e-4
    )


def test_cancel_stops_between_dates(encoder):
    reflectance, days = series(9, 16, 16)
    asked = []

    def stop():
        asked.append(1)
        return len(asked) > 1

    with pytest.raises(Cancelled):
        encoder.encode(reflectance, days, cancelled=stop)


def test_cancel_stops_between_blocks_of_pixels(encoder):
    reflectance, days = series(8, 64, 64)
    asked = []

    def stop():
        asked.append(1)
        return len(asked) > 3

    with pytest.raises(Cancelled):
        encoder.encode(reflectance, days, cancelled=stop)
    assert len(asked) == 4


def test_shapes_that_do_not_fit_are_refused(encoder):
    reflectance, days = series(3, 16, 16)
    with pytest.raises(ValueError, match="3 dates but 2 days"):
        encoder.encode(reflectance, days[:2])
    with pytest.raises(ValueError, match="expected"):
        encoder.encode(reflectance[:, :9], days)


def test_the_device_really_used_is_reported(tiny_package):
    assert load_encoder(tiny_package, "cpu").device_used == "cpu"
    with pytest.raises(RuntimeMissingError, match="unknown"):
        load_encoder(tiny_package, "tpu")


def test_cuda_is_never_replaced_in_silence(tiny_package):
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    with pytest.raises(RuntimeMissingError, match="cuda"):
        load_encoder(tiny_package, "cuda")


def test_the_halo_is_what_a_pixel_sees(tiny_package):
    """Change one pixel of an image: features change within the halo, and nearly that far."""
    import onnxruntime

    package = load_package(tiny_package)
    graph = onnxruntime.InferenceSession(
        package.graph("spatial.onnx"), providers=["CPUExecutionProvider"]
    )
    size = 4 * package.halo
    image = np.random.default_rng(0).normal(size=(1, 10, size, size)).astype(np.float32)
    before = graph.run(None, {"image": image})[0][0]
    farthest = 0
    for place in (size // 2, size // 2 + 3, size // 2 + package.stride - 1):  # within a cell
        other = image.copy()
        other[:, :, place, place] += 1000
        changed = (graph.run(None, {"image": other})[0][0] != before).any(-1)
        rows, columns = np.nonzero(changed)
        farthest = max(farthest, np.abs(rows - place).max(), np.abs(columns - place).max())
    assert farthest <= package.halo
    assert farthest > package.halo - 2 * package.stride  # and it is not larger than it has to be


def test_strips_are_the_rows_of_the_whole(encoder):
    reflectance, days = series(5, 40, 33)
    reflectance[1, :, 20:] = np.nan
    crop = (slice(3, 36), slice(2, 30))
    whole = encoder.encode(reflectance, days, crop=crop)
    strips = list(encoder.encode_strips(reflectance, days, 16, crop=crop))
    assert [strip.shape[2] for strip in strips] == [16, 16, 1]
    np.testing.assert_allclose(np.concatenate(strips, axis=2), whole, atol=1e-5)


def test_a_batch_that_does_not_fit_is_halved(encoder, monkeypatch):
    """As a GPU whose memory is too small says it; what fits then is remembered."""
    reflectance, days = series(9, 16, 16)
    expected = encoder.encode(reflectance, days)
    graph = load_encoder(encoder.package.folder, "cpu", threads=1)
    session, batches = graph._spatial._session, []

    class Small:
        def run(self, outputs, inputs, options=None):
            batches.append(len(inputs["image"]))
            if len(inputs["image"]) > 2:
                raise RuntimeError("CUDA failure 2: out of memory ; GPU=0")
            return session.run(outputs, inputs, options)

    monkeypatch.setattr(graph._spatial, "_session", Small())
    np.testing.assert_allclose(graph.encode(reflectance, days), expected, atol=1e-5)
    assert batches[:3] == [9, 5, 3]
    assert set(batches[3:]) == {1, 2}
    batches.clear()
    graph.encode(reflectance, days)
    assert max(batches) == 2


def test_too_little_memory_for_one_is_said(encoder, monkeypatch):
    reflectance, days = series(2, 16, 16)
    graph = load_encoder(encoder.package.folder, "cpu", threads=1)

    class Full:
        def run(self, *_):
            raise RuntimeError("Failed to allocate memory for requested buffer of size 1")

    monkeypatch.setattr(graph._spatial, "_session", Full())
    with pytest.raises(AliseError, match="memory of the device cpu is too little") as error:
        graph.encode(reflectance, days)
    assert str(error.value).endswith("choose a smaller TILE_SIZE or MEMORY.")


def test_another_failure_is_not_taken_for_want_of_memory(encoder, monkeypatch):
    reflectance, days = series(2, 16, 16)
    graph = load_encoder(encoder.package.folder, "cpu", threads=1)

    class Broken:
        def run(self, *_):
            raise RuntimeError("Invalid feed")

    monkeypatch.setattr(graph._spatial, "_session", Broken())
    with pytest.raises(RuntimeError, match="Invalid feed"):
        graph.encode(reflectance, days)


def test_cancel_stops_within_a_graph(encoder):
    """One large date: nobody waits for it to end."""
    reflectance, days = series(1, 768, 768)
    start = time.monotonic()
    asked = []

    def stop():
        asked.append(time.monotonic() - start)
        return len(asked) > 2  # before the date, then while the graph is at it

    with pytest.raises(Cancelled):
        encoder.encode(reflectance, days, cancelled=stop)
    assert time.monotonic() - start - asked[2] < 5


@pytest.mark.parametrize(("size", "most"), [(16, 3), (160, 1)])
def test_small_images_go_through_side_by_side_and_large_ones_in_turn(
    encoder, monkeypatch, size, most
):
    """Whichever is done first, each date's features land in their place."""
    reflectance, days = series(9, size, size)
    graph = load_encoder(encoder.package.folder, "cpu", threads=3)
    waits = iter([0.3] + 8 * [0.05])
    inside, seen = [], []

    class Watched:
        def __init__(self, session):
            self.session = session

        def run(self, *arguments):
            inside.append(1)
            seen.append(len(inside))
            time.sleep(next(waits, 0.0))
            try:
                return self.session.run(*arguments)
            finally:
                inside.pop()

    monkeypatch.setitem(encoder_module.SPATIAL_PIXELS, "cpu", 2 * 16 * 16)
    for one in (graph._spatial, graph._spatial_alone):
        monkeypatch.setattr(one, "_session", Watched(one._session))
    found = graph.encode(reflectance, days)
    assert max(seen) == most
    np.testing.assert_allclose(found, encoder.encode(reflectance, days), atol=1e-5)


def test_images_side_by_side_are_counted_in_the_memory(encoder):
    alone = load_encoder(encoder.package.folder, "cpu", threads=1)
    four = load_encoder(encoder.package.folder, "cpu", threads=4)
    pixels = 100**2
    image = encoder_module.SPATIAL_BYTES_PER_PIXEL * pixels
    assert four.memory_needed(30, pixels, 1) - alone.memory_needed(30, pixels, 1) >= 3 * image
    assert four.memory_needed(30, 400**2, 1) == alone.memory_needed(30, 400**2, 1)


def test_memory_estimate_grows_with_what_is_held(encoder):
    need = encoder.memory_needed
    assert need(10, 10_000, 10_000) < need(20, 10_000, 10_000) < need(20, 40_000, 40_000)
    assert need(60, 400**2, 256**2) >= 60 * 256**2 * 64 * 4
