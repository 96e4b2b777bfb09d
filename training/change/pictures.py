"""One place as Figure 10 shows it: the crops of both years, what changed, every distance."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from .pairs import CROPS, Rotation


def change_picture(pair: Rotation, found: dict[str, np.ndarray], path: Path) -> None:
    """Draw a place; background is left white.

    Args:
        pair: the place.
        found: `(H, W)` distances by method.
        path: PNG to write.
    """
    panels: list[tuple[str, np.ndarray, str]] = [
        (f"crops, {pair.name}", pair.crop_before, "tab10"),
        ("crops, a year later", pair.crop_after, "tab10"),
        ("changed", pair.changed, "viridis"),
        *((name, values, "viridis") for name, values in found.items()),
    ]
    figure, axes = plt.subplots(1, len(panels), figsize=(2.6 * len(panels), 3), squeeze=False)
    for axis, (title, values, colours) in zip(axes[0], panels):
        shown = np.where(pair.known, values, np.nan)
        limits = (
            (min(CROPS), max(CROPS)) if colours == "tab10" else (0, np.nanquantile(shown, 0.98))
        )
        image = axis.imshow(
            shown, cmap=colours, vmin=limits[0], vmax=limits[1], interpolation="none"
        )
        axis.set_title(title, fontsize=8)
        axis.set_axis_off()
        if colours == "tab10":
            codes = np.unique(shown[np.isfinite(shown)]).astype(int)
            handles = [plt.Rectangle((0, 0), 1, 1, color=image.cmap(image.norm(c))) for c in codes]
            axis.legend(
                handles,
                [CROPS[code] for code in codes],
                fontsize=5,
                loc="upper center",
                bbox_to_anchor=(0.5, 0),
                ncol=2,
                frameon=False,
            )
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    plt.close(figure)
