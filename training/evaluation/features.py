"""Ways to turn a pixel's series into one vector: raw, ours, and the peers'.

Every function here takes `(N, T, 10)` reflectance (1.0 = 100 %, NaN where there is no value) and
`(T,)` days since 2014-03-03, and returns `(N, D)` features.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import torch

from alise_plugin.model.encoder import Encoder
from alise_plugin.model.quantise import Quantiser
from alise_plugin.sentinel2 import REFERENCE_DATE
from training.models.alise import Alise
from training.pretext.normalise import normalise

Features = Callable[[np.ndarray, np.ndarray], np.ndarray]

# The image models see a pixel as a constant patch; 16 is the least that the U-Net takes.
PATCH = 16


def gap_filled(reflectance: np.ndarray, days: np.ndarray, step: int = 5) -> np.ndarray:
    """Return linear interpolation of the valid dates on a regular grid (paper, section IV-C2).

    Args:
        reflectance: `(N, T, 10)`, NaN where there is no value.
        days: `(T,)`, ascending.
        step: days between two points of the grid (the paper's 5).

    Returns:
        `(N, D)`; a band without any value is 0.
    """
    grid = np.arange(days.min(), days.max() + 1, step)
    out = np.zeros((len(reflectance), len(grid), reflectance.shape[2]), np.float32)
    for n, pixel in enumerate(reflectance):
        for b, band in enumerate(pixel.T):
            ok = np.isfinite(band)
            if ok.any():
                out[n, :, b] = np.interp(grid, days[ok], band[ok])
    return out.reshape(len(out), -1)


def alise(encoder: Encoder) -> Features:
    """Return features of a model package: the 640 of the pixel, seen as a constant patch."""
    centre = (slice(PATCH // 2, PATCH // 2 + 1),) * 2

    def features(reflectance: np.ndarray, days: np.ndarray) -> np.ndarray:
        rows = []
        for pixel in reflectance:
            patch = np.broadcast_to(pixel[:, :, None, None], (*pixel.shape, PATCH, PATCH))
            rows.append(encoder.encode(patch, days, crop=centre).ravel())
        return np.stack(rows)

    return features


def in_one_byte(vectors: np.ndarray) -> np.ndarray:
    """Return features `(N, D)` as an embedding raster of format int8 would give them back."""
    quantiser = Quantiser.from_sample(vectors)
    raw, _ = quantiser.encode(vectors.T[..., None])
    return quantiser.decode(raw)[..., 0].T


def compact(encoder: Encoder, vectors: np.ndarray) -> np.ndarray:
    """Return features `(N, D)` as an embedding raster of format compact would give them back."""
    form = encoder.package.require_compact()
    quantiser = Quantiser(form.scale, form.offset)
    raw, _ = quantiser.encode(encoder.compact(vectors.T[..., None]))
    return quantiser.decode(raw)[..., 0].T


def checkpoint(model: Alise) -> Features:
    """Features of a network in PyTorch, each pixel seen as a constant image: seconds, no export."""
    model.eval()

    @torch.no_grad()
    def features(reflectance: np.ndarray, days: np.ndarray) -> np.ndarray:
        rows = []
        for part in torch.from_numpy(reflectance.astype(np.float32)).split(500):
            image = part[..., None, None]
            observed = image.isfinite().any(2)
            encoded = model.encode_dates(normalise(image), observed)[..., 0, 0]
            when = torch.from_numpy(days.astype(np.float32)).expand(len(part), -1)
            aligned = model.temporal(encoded, when, observed[..., 0, 0])
            rows.append(aligned.flatten(1).numpy())
        return np.concatenate(rows)

    return features


def malice(path: Path, band_median: np.ndarray, q05: np.ndarray, q95: np.ndarray) -> Features:
    """Return features of the published MALICE-S2 encoder, run from its own file.

    Args:
        path: the ONNX file of the peer's repository.
        band_median, q05, q95: `(10,)` its normalisation, in reflectance (ANCHORS: the European
            statistics).
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options)

    def features(reflectance: np.ndarray, days: np.ndarray) -> np.ndarray:
        rows = []
        for pixel in reflectance:
            # Its mask marks padding; dates without a value are left out, as its authors would.
            ok = np.isfinite(pixel).any(1)
            image = (np.clip(pixel[ok], q05, q95) - band_median) / (q95 - q05)
            image = np.nan_to_num(image).astype(np.float32)
            patch = np.broadcast_to(image[:, :, None, None], (*image.shape, PATCH, PATCH))
            out = session.run(
                None,
                {
                    "sits": np.ascontiguousarray(patch)[None],
                    "tpe": days[ok][None].astype(np.float32),
                    "padd_mask": np.zeros((1, int(ok.sum())), bool),
                },
            )[0]
            rows.append(out[0, :, :, PATCH // 2, PATCH // 2].ravel())
        return np.stack(rows)

    return features


def presto(folder: Path, latlon: np.ndarray) -> Features:
    """Return features of Presto: monthly means of the valid dates, run from its own repository.

    Args:
        folder: a checkout of the peer's repository (its single-file model and its weights).
        latlon: `(N, 2)` latitude and longitude of the pixels.
    """
    spec = importlib.util.spec_from_file_location("presto_peer", folder / "single_file_presto.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"{folder} holds no single_file_presto.py.")
    peer = importlib.util.module_from_spec(spec)
    sys.modules["presto_peer"] = peer
    spec.loader.exec_module(peer)
    model = peer.Presto.construct()
    model.load_state_dict(torch.load(folder / "data" / "default_model.pt", map_location="cpu"))
    model.eval()
    # Presto's channels: 0-1 Sentinel-1, 2-11 Sentinel-2 in the order below, 12-16 weather and
    # terrain, 16 NDVI; the dynamic-world class 9 is "missing".
    order = {"B02": 2, "B03": 3, "B04": 4, "B05": 5, "B06": 6}
    order |= {"B07": 7, "B08": 8, "B8A": 9, "B11": 10, "B12": 11}
    places = np.array(list(order.values()))

    def features(reflectance: np.ndarray, days: np.ndarray) -> np.ndarray:
        dates = [REFERENCE_DATE + timedelta(days=int(d)) for d in days]
        first = date(dates[0].year, dates[0].month, 1)
        slot = np.array([(d.year - first.year) * 12 + d.month - first.month for d in dates])
        months = min(int(slot.max()) + 1, 12)
        count, _, bands = reflectance.shape
        monthly = np.full((count, months, bands), np.nan, np.float32)
        for m in range(months):
            with np.errstate(all="ignore"):
                monthly[:, m] = np.nanmean(reflectance[:, slot == m], axis=1)
        # Presto wants the same tokens for every pixel of a batch:
        # months without a value are filled.
        monthly = gap_filled(monthly, np.arange(months), step=1).reshape(count, months, bands)
        x = np.zeros((count, months, 17), np.float32)
        missing = np.ones((count, months, 17), np.float32)
        x[..., places] = monthly
        missing[..., places] = 0
        red, nir = monthly[..., 2], monthly[..., 6]
        x[..., 16] = (nir - red) / np.maximum(nir + red, 1e-6)
        missing[..., 16] = 0
        with torch.no_grad():
            out = model.encoder(
                torch.from_numpy(x),
                dynamic_world=torch.full((count, months), 9).long(),
                latlons=torch.from_numpy(latlon.astype(np.float32)),
                mask=torch.from_numpy(missing),
                month=first.month - 1,
                eval_task=True,
            )
        return np.asarray(out)

    return features
