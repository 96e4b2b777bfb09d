"""Writes a model package that `alise_plugin.model` loads."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx

from alise_plugin.errors import ModelPackageError
from alise_plugin.model.package import MANIFEST, SCHEMA
from alise_plugin.sits.acquisitions import REFERENCE_DATE
from alise_plugin.sits.bands import BANDS
from training.models.alise import Alise, AliseConfig, receptive_halo

from .graph import OPSET
from .spatial import spatial_graph
from .temporal import decoder_graph, temporal_graph

LICENCE = "GPL-3.0-or-later"
# Reflect padding needs two rows at the deepest of the U-Net's levels.
ROWS_AT_THE_BOTTOM = 2


def write_package(
    model: Alise,
    folder: Path,
    *,
    name: str,
    version: str,
    statistics: np.ndarray,
    card: str,
) -> None:
    """Export `model` to `folder`, which appears whole or not at all.

    Args:
        model: the network; see `sees_whole_tile` for one with group normalisation.
        folder: replaced if it is a model package.
        name, version: of the package.
        statistics: `(3, 10)` median, q05 and q95 per band, in reflectance.
        card: text of MODEL_CARD.md.

    Raises:
        ModelPackageError: `folder` holds something else, which is left alone.
    """
    ours = folder.is_dir() and ((folder / MANIFEST).is_file() or not any(folder.iterdir()))
    if folder.exists() and not ours:
        raise ModelPackageError(
            f"{folder} holds something else than a model package; choose another folder."
        )
    model = model.eval()
    config = model.config
    graphs = {
        "spatial.onnx": spatial_graph(model.spatial),
        "temporal.onnx": temporal_graph(model.temporal),
        "decoder.onnx": decoder_graph(model.decoder, config.n_queries),
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        files = {}
        for file, graph in graphs.items():
            onnx.save(graph, work / file)
            content = (work / file).read_bytes()
            files[file] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        median, q05, q95 = np.round(np.asarray(statistics, np.float64), 6)
        manifest = {
            "schema": SCHEMA,
            "name": name,
            "version": version,
            "bands": list(BANDS),
            "normalisation": {
                band: {"median": median[i], "q05": q05[i], "q95": q95[i]}
                for i, band in enumerate(BANDS)
            },
            "reference_date": REFERENCE_DATE.isoformat(),
            "n_queries": config.n_queries,
            "d_model": config.d_model,
            "halo": _halo(config),
            "stride": config.stride,
            "minimum_size": ROWS_AT_THE_BOTTOM * config.stride,
            "missing_value": 0.0,
            "opset": OPSET,
            "licence": LICENCE,
            "parameters": model.encoder_parameters(),
            "files": files,
        }
        (work / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        (work / "MODEL_CARD.md").write_text(card, encoding="utf-8")
        work.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        work.replace(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def sees_whole_tile(config: AliseConfig) -> bool:
    """Whether group normalisation makes each pixel depend on the whole tile.

    Maps of such a model show seams between tiles, whatever the halo.
    """
    return "group" in (config.encoder_norm, config.decoder_norm, config.skip_norm)


def _halo(config: AliseConfig) -> int:
    """Halo of the convolutions: all of it with batch normalisation, a part with group."""
    return receptive_halo(
        replace(config, encoder_norm="batch", decoder_norm="batch", skip_norm="batch")
    )
