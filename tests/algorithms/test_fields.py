"""Fields in QGIS's own dialog: one layer of a list, and words of a choice."""

import sys
from pathlib import Path

import pytest

from alise_plugin.operations.catalogue import OPERATIONS
from alise_plugin.operations.parameters import Choice

qgis_core = pytest.importorskip("qgis.core", reason="QGIS is not installed")


@pytest.fixture
def panel(plugin):
    """Make QGIS's own panel of the parameters of an algorithm."""
    folder = Path(qgis_core.QgsApplication.pkgDataPath()) / "python" / "plugins"
    if not (folder / "processing").is_dir():
        pytest.skip("the Processing plugin of QGIS is not installed")
    sys.path.append(str(folder))
    from processing.gui.ParametersPanel import ParametersPanel
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
        window = Window()
        panel = ParametersPanel(window, algorithm)
        kept.append((window, panel, algorithm))
        return panel

    yield made
    sys.path.remove(str(folder))
    qgis_core.QgsProject.instance().clear()


@pytest.fixture
def project_of(panel):
    """Put layers into the project; return their ids."""

    def project_of(*layers):
        assert all(layer.isValid() for layer in layers)
        return [qgis_core.QgsProject.instance().addMapLayer(layer).id() for layer in layers]

    return project_of


def raster(path, name):
    return qgis_core.QgsRasterLayer(path, name, "gdal")


def polygons(name):
    source = "Polygon?crs=EPSG:32631&field=crop:string"
    layer = qgis_core.QgsVectorLayer(source, name, "memory")
    for index in range(2):
        west = 600020 + 60 * index
        feature = qgis_core.QgsFeature(layer.fields())
        box = qgis_core.QgsRectangle(west, 4999900, west + 40, 4999960)
        feature.setGeometry(qgis_core.QgsGeometry.fromRect(box))
        feature.setAttributes([("wheat", "maize")[index]])
        layer.dataProvider().addFeature(feature)
    layer.updateExtents()
    return layer


def test_one_layer_of_the_project_is_offered(panel, project_of, series):
    series_id, _ = project_of(raster(series, "Series"), polygons("Crops"))
    assert panel("embed").wrappers["INPUT"].parameterValue() == [series_id]


def test_the_active_layer_comes_before_the_first(panel, project_of, series):
    _, second = project_of(raster(series, "A first one"), raster(series, "Series"))
    layer = qgis_core.QgsProject.instance().mapLayer(second)
    wrapper = panel("embed").wrappers["INPUT"]
    context = type(wrapper.widgetContext())()
    context.setActiveLayer(layer)
    wrapper.setWidgetContext(context)
    wrapper.setParameterValue(None, qgis_core.QgsProcessingContext())  # as an opening dialog does
    assert wrapper.parameterValue() == [second]


def test_an_optional_year_stays_empty(panel, project_of, series):
    project_of(raster(series, "Series"))
    assert panel("detectchange").wrappers["AFTER"].parameterValue() in (None, [])


def test_labels_are_vectors_and_their_fields_are_offered(panel, project_of, series):
    _, crops = project_of(raster(series, "A series"), polygons("Crops"))
    made = panel("trainclassifier")
    assert made.wrappers["LABELS"].parameterValue() == [crops]
    field = made.wrappers["FIELD"]
    field.setParameterValue("crop", qgis_core.QgsProcessingContext())
    assert field.parameterValue() == "crop"


@pytest.mark.parametrize("count", [1, 3])
def test_files_and_lists_of_scripts_are_shown(panel, scenes, count):
    wrapper = panel("embed").wrappers["INPUT"]
    wrapper.setParameterValue(scenes[:count], qgis_core.QgsProcessingContext())
    assert wrapper.parameterValue() == scenes[:count]


CHOICES = [
    (operation.name, parameter)
    for operation in OPERATIONS.values()
    for parameter in operation.parameters
    if isinstance(parameter, Choice)
]


@pytest.mark.parametrize(
    ("name", "choice"), CHOICES, ids=[f"{name}-{one.name}" for name, one in CHOICES]
)
def test_a_choice_says_what_it_does_and_gives_its_word(panel, name, choice):
    from qgis.PyQt.QtWidgets import QComboBox

    assert set(choice.labels) == set(choice.options)
    wrapper = panel(name).wrappers[choice.name]
    assert wrapper.parameterValue() == choice.default
    combo = wrapper.wrappedWidget().findChild(QComboBox)
    for word, label in choice.labels.items():
        combo.setCurrentText(label)
        assert wrapper.parameterValue() == word
        wrapper.setParameterValue(choice.default, qgis_core.QgsProcessingContext())
        wrapper.setParameterValue(word, qgis_core.QgsProcessingContext())
        assert combo.currentText() == label


def test_only_the_selected_labels_are_read(plugin, project_of):
    from alise_plugin.algorithms.given import GivenToQgis
    from alise_plugin.errors import LabelsError

    (crops,) = project_of(polygons("Crops"))
    layer = qgis_core.QgsProject.instance().mapLayer(crops)
    registry = qgis_core.QgsApplication.processingRegistry()
    algorithm = registry.createAlgorithmById("alise:trainclassifier")
    context = qgis_core.QgsProcessingContext()
    context.setProject(qgis_core.QgsProject.instance())
    (parameter,) = (one for one in OPERATIONS["trainclassifier"].parameters if one.name == "LABELS")

    def classes(selected):
        parameters = {"LABELS": [crops], "SELECTED_LABELS": selected}
        (labels,) = GivenToQgis(algorithm, parameters, context).value(parameter)
        return list(labels.labels("crop", "", "", ())[0].values)

    assert classes(False) == ["wheat", "maize"]
    with pytest.raises(LabelsError, match="Crops has no selected feature"):
        classes(True)
    layer.selectByExpression("crop = 'maize'")
    assert classes(True) == ["maize"]
