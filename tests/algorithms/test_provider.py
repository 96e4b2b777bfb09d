import configparser
from pathlib import Path

import pytest

from alise_plugin.runtime import location

ROOT = Path(__file__).resolve().parents[2]
PARAMETERS = {
    "detectchange": (
        "BEFORE AFTER BEFORE_START BEFORE_END AFTER_START AFTER_END BEFORE_DATES AFTER_DATES "
        "METHOD ALIGN THRESHOLD THRESHOLD_VALUE FALSE_ALARM UNCHANGED ZONES ZONE_SHARE MODEL "
        "EXTENT DEVICE PRECISION THREADS MEMORY TILE_SIZE DISTANCE CHANGE EXPLANATION "
        "ZONES_OUTPUT"
    ),
    "trainclassifier": "INPUT LABELS FIELD NAME COLOR MODEL CLASSIFIER VALIDATION BLOCK_SIZE "
    "SAMPLES SEED DEVICE PRECISION THREADS MEMORY TILE_SIZE HEAD REPORT",
    "segment": "INPUT HEAD MODEL SMOOTHING MINIMUM_AREA UNKNOWN MASK EXTENT WINDOW FRACTION "
    "SMOOTHNESS DEVICE PRECISION THREADS MEMORY TILE_SIZE OUTPUT CONFIDENCE PROBABILITIES "
    "VECTOR AREAS",
    "drawsample": "INPUT SIZE MINIMUM EXPECTED STANDARD_ERROR SEED OUTPUT",
    "assessaccuracy": "INPUT REFERENCE FIELD SEED REPORT AREAS",
    "embed": "INPUT DATES MODEL EXTENT DEVICE PRECISION THREADS MEMORY TILE_SIZE FORMAT OUTPUT "
    "RESUME COG",
    "buildtimeseries": "INPUT FOLDER DATES START END OUTPUT FILES EXTENT CRS RESOLUTION MAX_CLOUD "
    "MIN_VALID MASK_CLOUDS SCALE OFFSET NODATA BAND_ORDER STACK_ORDER THEIA REPORT",
    "findclasses": "INPUT CLASSES MODEL EXTENT SAMPLES SEED DEVICE PRECISION THREADS HEAD",
    "findsimilar": "INPUT EXAMPLES MODEL EXTENT SAMPLES SEED DEVICE PRECISION THREADS MEMORY "
    "TILE_SIZE OUTPUT",
    "trainregression": "INPUT LABELS FIELD MODEL VALIDATION BLOCK_SIZE SAMPLES SEED DEVICE "
    "PRECISION THREADS MEMORY TILE_SIZE HEAD REPORT",
    "estimatevalues": "INPUT HEAD MODEL EXTRAPOLATE MASK EXTENT DEVICE PRECISION THREADS MEMORY "
    "TILE_SIZE OUTPUT",
    "reconstruct": "INPUT DATES EVERY MODEL EXTENT DEVICE PRECISION THREADS MEMORY TILE_SIZE "
    "OUTPUT",
    "installruntime": "VARIANT",
    "checkruntime": "MODEL",
}


def with_ends(*names):
    return " ".join(name + ending for name in names for ending in ("", "_LOW", "_HIGH"))


FIGURES = with_ends("OVERALL_ACCURACY", "KAPPA", "MACRO_F1", "MEAN_IOU")
ERRORS = with_ends("RMSE", "MEAN_ABSOLUTE_ERROR", "BIAS", "R2")
OUTPUTS = {
    "trainclassifier": f"HEAD REPORT CLASSES SAMPLES_USED GROUPS CLASS_FIGURES {FIGURES}",
    "segment": "OUTPUT CONFIDENCE PROBABILITIES VECTOR AREAS AREA DEVICE_USED",
    "drawsample": "OUTPUT COUNT",
    "assessaccuracy": f"REPORT AREAS LABELS_USED CLASS_FIGURES {FIGURES}",
    "detectchange": (
        "DISTANCE CHANGE EXPLANATION ZONES_OUTPUT THRESHOLD_USED CHANGED_SHARE CHANGED_AREA "
        "MEDIAN_DISTANCE NOISE_FLOOR NOISE_RATIO DAYS_SHIFTED DATES_ENCODED DATES_BEFORE "
        "DATES_AFTER DEVICE_USED MODEL_ID"
    ),
    "embed": "OUTPUT DATES_USED DEVICE_USED MODEL_ID",
    "findclasses": "HEAD SAMPLES_USED DEVICE_USED",
    "findsimilar": "OUTPUT LEVEL EXAMPLES_USED SAMPLES_USED DEVICE_USED",
    "trainregression": f"HEAD REPORT LEAST LARGEST SAMPLES_USED AREAS GROUPS {ERRORS}",
    "estimatevalues": "OUTPUT MEAN BEYOND DEVICE_USED",
    "reconstruct": "OUTPUT DATES_USED DEVICE_USED MODEL_ID",
    "buildtimeseries": "OUTPUT DATES COUNT BANDS_MISSING PRODUCTS LEFT_OUT WARNINGS REPORT",
    "installruntime": "ONNXRUNTIME_VERSION FOLDER STATUS",
    "checkruntime": "ONNXRUNTIME_VERSION DEVICES MODEL_ID STATUS",
}


@pytest.fixture
def algorithms(plugin):
    return {
        algorithm.name(): algorithm
        for algorithm in plugin.provider.algorithms()
        if algorithm.groupId() != "models"  # see test_model3
    }


def test_the_published_names_stay(plugin, algorithms):
    assert plugin.provider.id() == "alise"
    assert set(algorithms) == set(PARAMETERS)
    for name, algorithm in algorithms.items():
        assert {p.name() for p in algorithm.parameterDefinitions()} == set(PARAMETERS[name].split())
        assert {o.name() for o in algorithm.outputDefinitions()} == set(OUTPUTS[name].split())


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
    expected = "DEVICE PRECISION THREADS MEMORY TILE_SIZE FORMAT RESUME COG"
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
    assert len(plugin.provider.algorithms()) > len(PARAMETERS)


def test_the_manifest_has_what_qgis_and_its_plugin_site_ask_for():
    manifest = configparser.ConfigParser()
    manifest.read(ROOT / "metadata.txt")
    general = manifest["general"]
    required = "name qgisMinimumVersion description about version author email repository"
    assert all(general.get(key) for key in required.split())
    assert general["hasProcessingProvider"] == "yes"
    assert (ROOT / general["icon"]).is_file()
