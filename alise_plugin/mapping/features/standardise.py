"""Features with a mean of zero and a deviation of one."""

from __future__ import annotations

import numpy as np

from ...arrays import Float


def standardised(features: Float) -> tuple[Float, Float, Float]:
    """Return mean and deviation `(F,)` of features `(N, F)`, and the standardised features."""
    mean = features.mean(0, dtype=np.float64)
    scale = features.std(0, dtype=np.float64)
    scale[scale < 1e-6 * max(1e-12, float(scale.max()))] = 1.0  # a feature that does not vary
    mean32, scale32 = mean.astype(np.float32), scale.astype(np.float32)
    return mean32, scale32, (features - mean32) / scale32
