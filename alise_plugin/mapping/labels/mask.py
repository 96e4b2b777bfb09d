"""The polygons that a map is limited to."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ...errors import LabelsError
from ...sits.grid import Grid, Window
from .layers import VectorLabels
from .on_grid import AreaRasterizer, on_grid


class Mask:
    """Which pixels of a grid a mask leaves."""

    def __init__(self, mask: VectorLabels | None, grid: Grid) -> None:
        self._burner = AreaRasterizer(on_grid(mask, grid), grid) if mask else None

    def of(self, window: Window) -> NDArray[np.bool_]:
        """Return `(H, W)` whether it leaves them; all of them where there is no mask."""
        if self._burner is None:
            return np.ones((window.height, window.width), bool)
        return self._burner.burn(window)[0] >= 0

    def any(self, window: Window) -> bool:
        """Return whether it leaves any."""
        return self._burner is None or bool(self.of(window).any())

    def require_some(self, windows: Iterable[Window], mask: VectorLabels | None) -> None:
        """Make sure that something is left to map.

        Raises:
            LabelsError: there is nothing.
        """
        if mask is not None and not any(self.any(window) for window in windows):
            raise LabelsError(
                f"{mask.name} and the area to map do not overlap; choose a mask of the same area."
            )
