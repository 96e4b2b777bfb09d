"""What a model makes of a few series, as a picture: seen, hidden, predicted."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch

from alise_plugin.sentinel2 import BANDS
from training.models.alise import Alise
from training.pretext.normalise import normalise
from training.pretext.views import interleaved_views

SHOWN = ("B04", "B08", "B11")


def reconstruction_picture(
    model: Alise, batch: dict[str, torch.Tensor], window: int, path: Path, series: int = 4
) -> None:
    """Predict view B of some series from view A, on every day, and draw three bands of it.

    Args:
        model: in evaluation mode.
        batch: a batch; the first pixel of the first `series` is shown.
        window: t_w.
        path: PNG to write.
        series: rows of the picture.
    """
    corner = (slice(None, series), slice(None), slice(None), slice(0, 1), slice(0, 1))
    reflectance = batch["reflectance"][corner]
    image = normalise(reflectance)
    days = batch["days"][:series]
    observed, clear = (batch[name][:series, :, :1, :1] for name in ("observed", "clear"))
    place_a, place_b = interleaved_views(image.shape[1], window)
    with torch.no_grad():
        aligned = model(image[:, place_a], days[:, place_a], observed[:, place_a])
        vectors = aligned[..., 0, 0]
        first, last = days.min(1).values, days.max(1).values
        grid = first[:, None] + torch.linspace(0, 1, 150)[None] * (last - first)[:, None]
        predicted = model.decoder(vectors, grid)
    figure, axes = plt.subplots(
        len(reflectance), len(SHOWN), figsize=(13, 2.4 * len(reflectance)), squeeze=False
    )
    for row in range(len(reflectance)):
        for column, band in enumerate(SHOWN):
            axis, b = axes[row, column], BANDS.index(band)
            values, ok = image[row, :, b, 0, 0], observed[row, :, 0, 0]
            good = ok & clear[row, :, 0, 0]
            axis.plot(grid[row], predicted[row, :, b], color="black", lw=1, label="predicted")
            for place, colour, label in ((place_a, "C0", "seen"), (place_b, "C1", "hidden")):
                mask = torch.zeros_like(ok)
                mask[place] = True
                shown = mask & good
                axis.plot(days[row][shown], values[shown], "o", ms=3, color=colour, label=label)
                clouds = mask & ok & ~good
                axis.plot(days[row][clouds], values[clouds], "x", ms=3, color=colour, alpha=0.4)
            axis.set_title(f"series {row}, {band} (normalised)", fontsize=8)
    axes[0, 0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    plt.close(figure)
