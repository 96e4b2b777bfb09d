"""An encoder with the interface of the real one, and a receptive field that punishes bad tiles."""

from types import SimpleNamespace

import numpy as np
from scipy.ndimage import uniform_filter

from alise_plugin.errors import Cancelled

STRIDE, RADIUS = 8, 9


class FakePackage(SimpleNamespace):
    """As much of a `ModelPackage` as maps need."""

    def gives_vectors_of(self, identity):
        return identity.gives_vectors_of(self.sha256)


class FakeEncoder:
    """Box means (which need the halo) and means of cells of 8 x 8 pixels (which need the stride).

    Two queries of three features, linear in reflectance and day.
    """

    device_used = "cpu"
    fell_back = False
    precision = "float32"
    where = "cpu"

    def __init__(self, bytes_per_read_pixel=100):
        self.bytes_per_read_pixel = bytes_per_read_pixel
        self.reads = []
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

    def spatial(self, image):
        filled = np.nan_to_num(image, nan=0.1)
        _, height, width = image.shape
        grow = [(0, max(16, -(-size // STRIDE) * STRIDE) - size) for size in (height, width)]
        padded = np.pad(filled, [(0, 0), *grow], mode="reflect")
        box = uniform_filter(padded.mean(0), 2 * RADIUS + 1, mode="mirror")
        rows, cols = padded.shape[1] // STRIDE, padded.shape[2] // STRIDE
        cells = padded[:, : rows * STRIDE, : cols * STRIDE].reshape(-1, rows, STRIDE, cols, STRIDE)
        cells = np.kron(cells.mean((0, 2, 4)), np.ones((STRIDE, STRIDE)))
        return np.stack([padded[0], box, cells])[:, :height, :width]

    def encode(self, reflectance, days, *, crop=None, cancelled=None):
        rows, cols = crop or (slice(None), slice(None))
        total = count = None
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

    def encode_periods(self, reflectance, count, periods, *, crop=None, cancelled=None):
        (period,) = periods
        assert len(period.dates) == count
        whole = self.encode(reflectance, period.days, crop=crop, cancelled=cancelled)
        return [whole[..., :: period.every, :: period.every]]

    def encode_strips(self, reflectance, days, rows, *, crop=None, cancelled=None):
        whole = self.encode(reflectance, days, crop=crop, cancelled=cancelled)
        for top in range(0, whole.shape[2], rows):
            if cancelled and cancelled():
                raise Cancelled("The run was cancelled.")
            yield whole[:, :, top : top + rows]

    def compact(self, features):
        form = self.package.require_compact()
        return features[: len(form.scale)] * 2

    def memory_needed(self, dates, read_pixels, inner_pixels, strip_pixels=None):
        return read_pixels * self.bytes_per_read_pixel + inner_pixels * dates * 4
