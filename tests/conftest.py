"""Fixtures that several rooms share."""

import os

import numpy as np
import pytest


@pytest.fixture(scope="session")
def tiny_package(tmp_path_factory):
    """Folder of a model package of the bundled architecture with random weights.

    Where PyTorch is not installed (the QGIS tests on another release), a package made before is
    named by ALISE_TEST_PACKAGE.
    """
    made_before = os.environ.get("ALISE_TEST_PACKAGE")
    if made_before:
        return made_before
    pytest.importorskip("torch")
    from training.export.command import untrained
    from training.export.package import write_package

    folder = tmp_path_factory.mktemp("models") / "tiny"
    statistics = np.array([[0.1] * 10, [0.01] * 10, [0.5] * 10])
    write_package(
        untrained("bundled"),
        folder,
        name="tiny",
        version="0.0.1",
        statistics=statistics,
        card="# Tiny\n\nRandom weights, for tests.\n",
    )
    return str(folder)
