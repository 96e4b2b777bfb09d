"""The tab Classes of the dock: clicks, the picture, undo, files, and the map that is made of it."""

import time

import numpy as np
import pytest
from osgeo import gdal

from alise_plugin.mapping.embedding.embed import embed
from tests.helpers.desktop import Interface, settle, wait
from tests.helpers.fake_encoder import FakeEncoder
from tests.helpers.features import features_from
from tests.helpers.labelled_region import FIELD, region

qgis_core = pytest.importorskip("qgis.core", reason="QGIS is not installed")
pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classes") / "data"
    found = region(folder, rows=6, columns=6, dates=3)
    found.embedding = found.path.replace("series.vrt", "embedding.tif")
    embed(features_from(found.series, FakeEncoder()), found.embedding)
    return found


@pytest.fixture
def iface(plugin, place):
    from qgis.PyQt import sip

    made = Interface()
    layer = qgis_core.QgsRasterLayer(place.embedding, "my embedding")
    qgis_core.QgsProject.instance().addMapLayer(layer)
    made.active = layer
    made.canvas.setDestinationCrs(layer.crs())
    made.canvas.setLayers([layer])
    made.canvas.setExtent(layer.extent())
    made.window.show()
    settle()
    yield made
    made.canvas.setLayers([])
    qgis_core.QgsProject.instance().removeAllMapLayers()
    settle()
    sip.delete(made.window)


@pytest.fixture
def tab(iface):
    from alise_plugin.gui.dock import AliseDock

    dock = AliseDock(iface)
    dock.show()
    dock.tabs.setCurrentWidget(dock.classes)
    settle()
    yield dock.classes
    wait(lambda: dock.classes._task is None)
    dock.stop()
    settle()


def screen_place(iface, row, col):
    """Return where the middle of a field lies in the canvas."""
    extent, settings = iface.active.extent(), iface.canvas.mapSettings()
    x = extent.xMinimum() + 10 * FIELD * (col + 0.5)
    y = extent.yMaximum() - 10 * FIELD * (row + 0.5)
    way = qgis_core.QgsCoordinateTransform(
        iface.active.crs(), settings.destinationCrs(), qgis_core.QgsProject.instance()
    )
    there = way.transform(qgis_core.QgsPointXY(x, y))
    return settings.mapToPixel().transform(there).toQPointF().toPoint()


def press(button):
    from qgis.PyQt.QtCore import Qt
    from qgis.PyQt.QtTest import QTest

    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def click(iface, tab, cell):
    from qgis.PyQt.QtCore import Qt
    from qgis.PyQt.QtTest import QTest

    if not tab.click.isChecked():
        press(tab.click)
    place = screen_place(iface, *cell)
    QTest.mouseClick(iface.canvas.viewport(), Qt.MouseButton.LeftButton, pos=place)


def field_of(place, number, which=0):
    """Return the field of a class."""
    truth = place.truth[::FIELD, ::FIELD]
    return tuple(np.argwhere(truth == number)[which])


def color_at(iface, tab, cell):
    """Return colour and opacity of the picture over a field."""
    at = screen_place(iface, *cell)
    color = tab._overlay.image.pixelColor(at.x(), at.y())
    return color.name(), color.alpha()


def three_classes(iface, tab, place):
    for number in range(3):
        press(tab.add)
        click(iface, tab, field_of(place, number))
    wait(lambda: tab._task is None and tab._overlay.image is not None)


def require_the_truth(iface, tab, place):
    colors = [one.color for one in tab.made.classes]
    truth = place.truth[::FIELD, ::FIELD]
    shown = [
        color_at(iface, tab, (row, col))[0] == colors[truth[row, col]]
        for row, col in np.ndindex(truth.shape)
    ]
    assert np.mean(shown) > 0.9


def test_a_click_of_each_class_shows_all_fields(iface, tab, place):
    three_classes(iface, tab, place)
    require_the_truth(iface, tab, place)
    name, opacity = color_at(iface, tab, field_of(place, 0))
    assert (name, opacity > 150) == (tab.made.classes[0].color, True)
    assert len(tab._markers) == 3


def test_the_picture_lies_right_in_another_crs_and_follows_the_map(iface, tab, place):
    three_classes(iface, tab, place)
    iface.canvas.setDestinationCrs(qgis_core.QgsCoordinateReferenceSystem("EPSG:3857"))
    settings = iface.canvas.mapSettings()
    iface.canvas.setExtent(settings.layerExtentToOutputExtent(iface.active, iface.active.extent()))
    before = tab._overlay.image.cacheKey()
    wait(lambda: tab._task is None and tab._overlay.image.cacheKey() != before)
    time.sleep(0.3)
    settle()
    wait(lambda: tab._task is None and not tab._timer.isActive())
    require_the_truth(iface, tab, place)


def test_undo_rename_merge_and_remove(iface, tab, place):
    from qgis.PyQt.QtCore import Qt

    three_classes(iface, tab, place)
    item = tab.list.topLevelItem(0)
    item.setText(0, "wheat")
    settle()
    assert tab.made.classes[0].name == "wheat"
    press(tab.undo)
    assert tab.made.classes[0].name == "class 1"
    press(tab.undo)
    assert tab.made.count(3) == 0
    click(iface, tab, field_of(place, 2))
    assert tab.made.count(3) == 1
    tab.list.topLevelItem(0).setSelected(True)
    tab.list.topLevelItem(1).setSelected(True)
    tab.list.topLevelItem(2).setSelected(False)
    press(tab.merge)
    assert [one.code for one in tab.made.classes] == [1, 3]
    assert tab.made.count(1) == 2
    assert tab.list.topLevelItem(0).data(0, Qt.ItemDataRole.UserRole) == 1
    tab.list.clearSelection()
    tab.list.topLevelItem(0).setSelected(True)
    press(tab.remove)
    assert [one.code for one in tab.made.classes] == [3]
    wait(lambda: tab._task is None)
    assert tab._overlay.image is None


def test_examples_come_back_from_their_file(iface, tab, place, tmp_path):
    three_classes(iface, tab, place)
    before = tab.made.classes, tab.made.examples
    tab.save_examples(str(tmp_path / "examples.gpkg"))
    assert "Saved" in tab.status.text()
    for number in range(tab.list.topLevelItemCount()):
        tab.list.topLevelItem(number).setSelected(True)
    press(tab.remove)
    assert not tab.made.classes
    tab.load_examples(str(tmp_path / "examples.gpkg"))
    assert tab.made.classes == before[0]
    np.testing.assert_allclose(
        [(one.x, one.y) for one in tab.made.examples], [(one.x, one.y) for one in before[1]]
    )
    tab.load_examples(str(tmp_path / "nowhere.gpkg"))
    assert "is no layer of examples" in tab.status.text()


def test_the_map_is_that_of_train_classifier_and_segment(iface, tab, place):
    pytest.importorskip("sklearn")
    three_classes(iface, tab, place)
    press(tab.make)
    wait(lambda: "The map is made" in tab.status.text() or "failed" in tab.status.text())
    layers = qgis_core.QgsProject.instance().mapLayersByName("Classes of my embedding")
    dataset = gdal.Open(layers[0].source())
    made = dataset.ReadAsArray()
    fields = made.reshape(6, FIELD, 6, FIELD).swapaxes(1, 2).reshape(36, -1)
    truth = place.truth[::FIELD, ::FIELD].reshape(-1, 1) + 1
    assert np.mean(np.mean(fields == truth, 1) > 0.5) > 0.95  # pixels are noisy, fields are not
    legend = layers[0].renderer().classes()
    assert [one.label for one in legend][:3] == ["class 1", "class 2", "class 3"]
    assert [one.color.name() for one in legend][:3] == [one.color for one in tab.made.classes]


def test_what_is_missing_is_said_in_one_sentence(iface, tab, place):
    click(iface, tab, (0, 0))
    assert tab.status.text() == "Add a class first, and choose it in the list."
    press(tab.add)
    click(iface, tab, (-1, 2))
    press(tab.add)
    click(iface, tab, (0, 0))
    wait(lambda: tab._task is None)
    assert "lies outside embedding.tif" in tab.status.text()
    layer, iface.active = iface.active, None
    click_without_layer = qgis_core.QgsPointXY(0, 0)
    tab.add_example(click_without_layer)
    assert tab.status.text().startswith("Choose an embedding raster")
    iface.canvas.setLayers([])
    qgis_core.QgsProject.instance().removeMapLayer(layer.id())
    assert not tab.made.classes
    assert not tab._markers


def test_hiding_the_tab_takes_the_picture_off_the_map(iface, tab, place):
    three_classes(iface, tab, place)
    tabs = tab.parent().parent()
    tabs.setCurrentIndex(0)
    assert tab._overlay.image is None
    tabs.setCurrentWidget(tab)
    wait(lambda: tab._task is None and tab._overlay.image is not None)
