"""The fake encoder with what a pair of years asks of the real one."""

from types import SimpleNamespace

import numpy as np

from alise_plugin.errors import Cancelled
from alise_plugin.sentinel2 import BANDS
from tests.helpers.fake_encoder import FakeEncoder


class PairEncoder(FakeEncoder):
    """Two queries of three features; the mean over the dates of each period."""

    def __init__(self, bytes_per_read_pixel=100):
        super().__init__(bytes_per_read_pixel)
        self.package.bands = BANDS
        self.package.compact = None
        self.package.n_features = self.package.n_queries * self.package.d_model
        self.days = []  # of every period asked for

    def with_compact_form(self):
        """A compact form of three features along orthonormal axes; it loses what others hold."""
        self.package.compact = SimpleNamespace(scale=np.ones(3))
        return self

    def compact(self, features):
        return np.tensordot(self.axes(), features, 1).astype(np.float32)

    @staticmethod
    def axes():
        """`(3, 6)`."""
        return np.linalg.qr(np.random.default_rng(5).normal(size=(6, 3)))[0].T

    def encode_periods(self, reflectance, count, periods, *, crop=None, cancelled=None):
        rows, cols = crop or (slice(None), slice(None))
        features, valid = [], []
        for image in reflectance:
            if cancelled and cancelled():
                raise Cancelled("The run was cancelled.")
            self.reads.append(image.shape[1:])
            features.append(self.spatial(image)[:, rows, cols])
            valid.append(np.isfinite(image).any(0)[rows, cols])
        assert len(features) == count
        return [self._period(features, valid, period) for period in periods]

    def _period(self, features, valid, period):
        self.days.append(np.sort(period.days))
        total = seen = 0
        for date, day in zip(period.dates, period.days):
            total = total + np.stack([features[date], features[date] * day / 1000]) * valid[date]
            seen = seen + valid[date].astype(int)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(seen > 0, total / seen, np.nan)
        return mean[..., :: period.every, :: period.every].astype(np.float32)

    def decode(self, embedding, days):
        """NDVI falls with the first feature and rises with the day."""
        ndvi = 0.5 - embedding[0, 0] + (np.asarray(days) % 365.25)[:, None, None] / 1000
        out = np.zeros((len(days), 10, *embedding.shape[2:]), np.float32)
        out[:, BANDS.index("B04")], out[:, BANDS.index("B08")] = 0.5 - ndvi / 2, 0.5 + ndvi / 2
        return out
