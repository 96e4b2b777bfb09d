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
from onnx import numpy_helper

from alise_plugin.errors import ModelPackageError
from alise_plugin.model.package import MANIFEST, SCHEMA, load_package
from alise_plugin.sentinel2 import BANDS, REFERENCE_DATE
from training.files import write_file
from training.models.additive import AdditiveEncoder, TokenNetwork
from training.models.alise import Alise, AliseConfig, TemporalEncoder, receptive_halo

from .additive import (
    FINISH,
    TOKENS,
    additive_temporal_graph,
    finish_graph,
    token_image_graph,
    tokens_graph,
)
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
        **encoder_graphs(model),
        "decoder.onnx": decoder_graph(model.decoder, config.n_queries),
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        files = {}
        for file, graph in graphs.items():
            onnx.save(graph, work / file)
            files[file] = _described((work / file).read_bytes())
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
            "minimum_size": 1 if config.additive else ROWS_AT_THE_BOTTOM * config.stride,
            "missing_value": 0.0,
            "opset": OPSET,
            "licence": LICENCE,
            "parameters": model.encoder_parameters(),
            "files": files,
        }
        if config.additive:
            manifest |= {"additive": True, "field_of_view": 1}
        (work / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        (work / "MODEL_CARD.md").write_text(card, encoding="utf-8")
        work.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        work.replace(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def encoder_graphs(model: Alise) -> dict[str, onnx.ModelProto]:
    """Return the graphs of an encoder, by file name."""
    if isinstance(model.spatial, TokenNetwork):
        assert isinstance(model.temporal, AdditiveEncoder)
        return {
            "spatial.onnx": token_image_graph(model.spatial),
            "temporal.onnx": additive_temporal_graph(model.temporal),
            TOKENS: tokens_graph(model.spatial, model.temporal),
            FINISH: finish_graph(model.temporal),
        }
    assert isinstance(model.temporal, TemporalEncoder)
    return {
        "spatial.onnx": spatial_graph(model.spatial),
        "temporal.onnx": temporal_graph(model.temporal),
    }


def replace_decoder(model: Alise, folder: Path, version: str) -> None:
    """Give a package the decoder of a model with the same encoder, and a new version.

    Its encoder, compact form and graphs in half precision stay the files that they are, and so do
    the vectors that they give. The manifest lists the hashes of the packages with these vectors
    (`same_vectors_as`), so that a reader can go on with what was made from them.

    Args:
        model: the network.
        folder: of the package.
        version: of the package from now on.

    Raises:
        ModelPackageError: `folder` is no model package, or its encoder is another.
    """
    before = load_package(folder)
    model = model.eval()
    for file, graph in encoder_graphs(model).items():
        if not _same_graph(graph, onnx.load(folder / file)):
            raise ModelPackageError(
                f"{folder / file} holds another encoder than the checkpoint; export the whole "
                "package, without --keep-encoder."
            )
    content = decoder_graph(model.decoder, model.config.n_queries).SerializeToString()
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    manifest["version"] = version
    manifest["same_vectors_as"] = [*manifest.get("same_vectors_as", []), before.sha256]
    manifest["files"]["decoder.onnx"] = _described(content)
    write_file(folder / "decoder.onnx", content)
    write_file(folder / MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())


def _described(content: bytes) -> dict[str, str | int]:
    """Return what a manifest says of a file."""
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def _same_graph(one: onnx.ModelProto, other: onnx.ModelProto) -> bool:
    """Return whether two graphs have the same nodes and, but for rounding, the same weights."""
    nodes = [[(node.op_type, *node.input, *node.output) for node in m.graph.node]
             for m in (one, other)]  # fmt: skip
    weights = [{w.name: numpy_helper.to_array(w) for w in m.graph.initializer}
               for m in (one, other)]  # fmt: skip
    return (
        nodes[0] == nodes[1]
        and weights[0].keys() == weights[1].keys()
        and all(
            value.shape == weights[1][name].shape
            and np.allclose(value, weights[1][name], rtol=1e-5, atol=1e-6)
            for name, value in weights[0].items()
        )
    )


def sees_whole_tile(config: AliseConfig) -> bool:
    """Return whether group normalisation makes each pixel depend on the whole tile.

    Maps of such a model show seams between tiles, whatever the halo.
    """
    return not config.additive and "group" in (
        config.encoder_norm,
        config.decoder_norm,
        config.skip_norm,
    )


def _halo(config: AliseConfig) -> int:
    """Return halo of the convolutions: all of it with batch normalisation, a part with group."""
    return receptive_halo(
        replace(config, encoder_norm="batch", decoder_norm="batch", skip_norm="batch")
    )
