"""Names for the arrays that many rooms pass on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]


Index = NDArray[np.int64]


Real = NDArray[np.float64]


Int = NDArray[np.int32]
