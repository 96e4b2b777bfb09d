"""What every algorithm does with what QGIS hands over: blanks, names of layers, empty dialogs."""

import sys
from pathlib import Path

import pytest

qgis_core = pytest.importorskip("qgis.core", reason="QGIS is not installed")

from alise_plugin.operations.catalogue import OPERATIONS
from alise_plugin.operations.parameters import FileOutput

OPTIONAL_OUTPUTS = [
    (operation.name, parameter)
    for operation in OPERATIONS.values()
    for parameter in operation.parameters
    if isinstance(parameter, FileOutput) and not parameter.required
]


def blanks():
    """What the batch panel hands over for an output that is left empty."""
    return {
        "empty text": "",
        "none": None,
        "definition": qgis_core.QgsProcessingOutputLayerDefinition(""),
    }


@pytest.mark.parametrize("blank", ["empty text", "none", "definition"])
@pytest.mark.parametrize(
    ("name", "output"), OPTIONAL_OUTPUTS, ids=[f"{n}-{one.name}" for n, one in OPTIONAL_OUTPUTS]
)
def test_a_blank_output_is_skipped(plugin, name, output, blank):
    from alise_plugin.algorithms.given import GivenToQgis

    algorithm = qgis_core.QgsApplication.processingRegistry().createAlgorithmById(f"alise:{name}")
    context = qgis_core.QgsProcessingContext()
    given = GivenToQgis(algorithm, {output.name: blanks()[blank]}, context)
    assert not given.value(output)
    assert not context.layersToLoadOnCompletion()


@pytest.fixture
def batch_panel(plugin):
    """Make QGIS's own batch panel of an algorithm, with what it asks of its window."""
    folder = Path(qgis_core.QgsApplication.pkgDataPath()) / "python" / "plugins"
    if not (folder / "processing").is_dir():
        pytest.skip("the Processing plugin of QGIS is not installed")
    sys.path.append(str(folder))
    from processing.gui.BatchPanel import BatchPanel
    from qgis.gui import QgsMessageBar
    from qgis.PyQt.QtWidgets import QDialog

    class Window(QDialog):
        def __init__(self):
            super().__init__()
            self.bar = QgsMessageBar(self)

        def messageBar(self):
            return self.bar

    kept = []

    def made(name):
        registry = qgis_core.QgsApplication.processingRegistry()
        algorithm = registry.createAlgorithmById(f"alise:{name}")
        panel = BatchPanel(Window(), algorithm)
        kept.append((panel, algorithm))
        return panel

    yield made
    sys.path.remove(str(folder))


def fill(panel, values):
    """Fill the first row of a batch panel as a user does; return the parameters of its run."""
    context = qgis_core.QgsProcessingContext()
    for name, value in values.items():
        column = panel.parameter_to_column[name]
        wrapper = panel.wrappers[0][column]
        if wrapper is not None:
            wrapper.setParameterValue(value, context)
        else:
            panel.tblParameters.cellWidget(1, column).setValue(value)
    parameters, fine = panel.parametersForRow(0, warnOnInvalid=True)
    assert fine
    return parameters


def test_the_batch_panel_runs_with_blank_outputs(batch_panel, run, series, tiny_package, tmp_path):
    """Optional outputs stay blank, which is the default: they are skipped."""
    output = str(tmp_path / "distance.tif")
    panel = batch_panel("detectchange")
    values = {
        "BEFORE": [series],
        "BEFORE_END": "2019-05-14",
        "AFTER_START": "2019-05-14",
        "MODEL": tiny_package,
        "ALIGN": "none",
        "DISTANCE": output,
    }
    results = run("alise:detectchange", fill(panel, values))
    assert results["DISTANCE"] == output
    assert not any(results[name] for name in ("CHANGE", "EXPLANATION", "ZONES_OUTPUT"))
    assert sorted(path.name for path in tmp_path.glob("distance*")) == [
        "distance.qml",
        "distance.tif",
    ]


def test_nothing_chosen_is_refused_in_the_dialog(plugin):
    algorithm = qgis_core.QgsApplication.processingRegistry().createAlgorithmById(
        "alise:buildtimeseries"
    )
    fine, sentence = algorithm.checkParameterValues(
        {"OUTPUT": "/tmp/series.vrt"}, qgis_core.QgsProcessingContext()
    )
    assert not fine
    assert sentence.startswith("No raster was given: choose layers in INPUT")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Image series", "Image series 2019-03-05 to 2019-08-02"),
        ("OUTPUT", "Image series 2019-03-05 to 2019-08-02"),
        ("Fields of my valley", "Fields of my valley"),
    ],
)
def test_a_name_that_the_author_of_a_model_gave_stays(run, scenes, tmp_path, name, shown):
    context, project = qgis_core.QgsProcessingContext(), qgis_core.QgsProject()
    context.setProject(project)
    output = str(tmp_path / "series.vrt")
    details = qgis_core.QgsProcessingContext.LayerDetails(name, project, name)
    context.addLayerToLoadOnCompletion(output, details)
    run("alise:buildtimeseries", {"INPUT": scenes, "OUTPUT": output}, context=context)
    assert context.layersToLoadOnCompletion()[output].name == shown


class LinesKept(qgis_core.QgsProcessingFeedback):
    """Keeps what an algorithm says, warnings by themselves."""

    def __init__(self):
        super().__init__(False)
        self.lines = []
        self.warnings = []
        self.errors = []

    def pushInfo(self, text):
        self.lines.append(text)

    def pushWarning(self, text):
        self.warnings.append(text)

    def reportError(self, text, fatal=False):
        self.errors.append(text)


def test_warnings_are_warnings_and_an_output(run, series, tiny_package, tmp_path):
    zones = qgis_core.QgsVectorLayer("Polygon?crs=EPSG:32631", "zones", "memory")
    feature = qgis_core.QgsFeature()
    box = qgis_core.QgsRectangle(600020, 4999900, 600060, 4999960)
    feature.setGeometry(qgis_core.QgsGeometry.fromRect(box))
    zones.dataProvider().addFeature(feature)
    log = LinesKept()
    values = {
        "BEFORE": [series],
        "BEFORE_END": "2019-05-14",
        "AFTER_START": "2019-05-14",
        "MODEL": tiny_package,
        "ALIGN": "none",
        "ZONES": zones,
        "DISTANCE": str(tmp_path / "distance.tif"),
    }
    results = run("alise:detectchange", values, log)
    assert "ZONES are not summed up, because ZONES_OUTPUT is empty." in log.warnings
    assert results["WARNINGS"] == " ".join(log.warnings)


def test_images_left_out_for_one_reason_have_one_line(run, write_raster, pixels, tmp_path):
    paths = [
        write_raster(tmp_path / f"S2_2019{month:02}05.tif", pixels(month)) for month in range(1, 9)
    ]
    log = LinesKept()
    output = str(tmp_path / "series.vrt")
    values = {"INPUT": paths, "START": "2019-07-01", "OUTPUT": output}
    results = run("alise:buildtimeseries", values, log)
    assert results["LEFT_OUT"] == 6
    (line,) = (line for line in log.lines if line.startswith("Left out"))
    first = "the first is S2_20190105.tif, 2019-01-05."
    assert line == f"Left out: 6 images (before 2019-07-01); {first}"
