import configparser
from pathlib import Path

import pytest

from alise_plugin.operations.catalogue import OPERATIONS
from alise_plugin.runtime import location

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def algorithms(plugin):
    return {
        algorithm.name(): algorithm
        for algorithm in plugin.provider.algorithms()
        if algorithm.groupId() != "models"  # see test_model3
    }


def test_every_operation_is_an_algorithm(plugin, algorithms):
    """Their names, parameters and outputs are held by tests/operations/test_fronts.py."""
    assert plugin.provider.id() == "alise"
    assert set(algorithms) == {*OPERATIONS, "installruntime", "checkruntime"}


def test_every_algorithm_explains_itself(algorithms):
    for algorithm in algorithms.values():
        assert algorithm.displayName()
        assert algorithm.group()
        assert len(algorithm.shortHelpString()) > 100
        assert algorithm.shortDescription().endswith(".")
        assert not algorithm.icon().isNull()
        assert type(algorithm.create()) is type(algorithm)


def test_advanced_parameters_are_out_of_the_way(algorithms):
    from alise_plugin.algorithms.compat import FLAG_ADVANCED

    advanced = {
        p.name() for p in algorithms["embed"].parameterDefinitions() if p.flags() & FLAG_ADVANCED
    }
    expected = "DEVICE PRECISION THREADS MEMORY TILE_SIZE FORMAT YEAR RESUME COG"
    assert advanced == set(expected.split())


def test_without_onnxruntime_the_algorithms_stay_and_say_how_to_get_it(algorithms, monkeypatch):
    assert algorithms["embed"].canExecute() == (True, "")
    monkeypatch.setattr(location, "is_installed", lambda name: False)
    can, sentence = algorithms["embed"].canExecute()
    assert not can
    assert "alise:installruntime" in sentence
    assert algorithms["installruntime"].canExecute()[0]
    assert algorithms["buildtimeseries"].canExecute()[0]


def test_unload_and_load_again(plugin):
    from qgis.core import QgsApplication

    registry = QgsApplication.processingRegistry()
    plugin.unload()
    assert registry.providerById("alise") is None
    plugin.initGui()
    assert registry.providerById("alise") is not None


def test_a_second_copy_of_the_plugin_does_no_harm(plugin):
    from qgis.core import QgsApplication

    from alise_plugin.plugin import AlisePlugin

    copy = AlisePlugin(None)
    copy.initGui()
    copy.unload()
    assert QgsApplication.processingRegistry().providerById("alise") is not None
    assert len(plugin.provider.algorithms()) > len(OPERATIONS)


def test_the_manifest_has_what_qgis_and_its_plugin_site_ask_for():
    manifest = configparser.ConfigParser()
    manifest.read(ROOT / "metadata.txt")
    general = manifest["general"]
    required = "name qgisMinimumVersion description about version author email repository"
    assert all(general.get(key) for key in required.split())
    assert general["hasProcessingProvider"] == "yes"
    assert (ROOT / general["icon"]).is_file()
