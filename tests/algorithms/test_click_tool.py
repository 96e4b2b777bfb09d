"""A click on the map canvas: what is searched for, what appears, and what is said instead."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
from osgeo import gdal

from alise_plugin.mapping.embedding.embed import embed
from tests.helpers.fake_encoder import FakeEncoder
from tests.helpers.features import features_from
from tests.helpers.labelled_region import FIELD, region
from tests.helpers.rasters import TRANSFORM

qgis_core = pytest.importorskip("qgis.core", reason="QGIS is not installed")
pytest.importorskip("onnxruntime")
UTM = "EPSG:32631"
LONGEST = 60  # seconds that a search may take


class Interface:
    """As much of QGIS desktop as a map tool sees."""

    def __init__(self, layer):
        from qgis.gui import QgsMapCanvas

        self.layer, self.messages = layer, []
        self.canvas = QgsMapCanvas()
        self.canvas.setDestinationCrs(qgis_core.QgsCoordinateReferenceSystem(UTM))
        self.canvas.resize(400, 400)
        if layer is not None:
            self.canvas.setExtent(layer.extent())
        self.icons, self.menu = [], []

    def mapCanvas(self):
        return self.canvas

    def activeLayer(self):
        return self.layer

    def mainWindow(self):
        return None

    def messageBar(self):
        return SimpleNamespace(pushMessage=lambda *given: self.messages.append(given[1]))

    def addToolBarIcon(self, action):
        self.icons.append(action)

    def removeToolBarIcon(self, action):
        self.icons.remove(action)

    def addDockWidget(self, area, dock):
        """Leave the dock where it is: this desktop has no window."""

    def removeDockWidget(self, dock):
        """See `addDockWidget`."""

    def addPluginToRasterMenu(self, name, action):
        self.menu.append((name, action))

    def removePluginRasterMenu(self, name, action):
        self.menu.remove((name, action))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clicks") / "data"
    found = region(folder, rows=6, columns=6, dates=3)
    found.embedding = found.path.replace("series.vrt", "embedding.tif")
    embed(features_from(found.series, FakeEncoder()), found.embedding)
    return found


@pytest.fixture
def iface(plugin, place):
    from qgis.PyQt import sip
    from qgis.PyQt.QtCore import QCoreApplication

    layer = qgis_core.QgsRasterLayer(place.embedding, "my embedding")
    made = Interface(layer)
    yield made
    QCoreApplication.processEvents()
    qgis_core.QgsProject.instance().removeAllMapLayers()
    # Before the application, which Python would not see to: tasks that have run hold the layer.
    for one in (made.canvas, layer):
        if not sip.isdeleted(one):
            sip.delete(one)


@pytest.fixture
def tool(iface):
    from alise_plugin.gui.click_tool import ClickTool

    made = ClickTool(iface)
    yield made
    made.clear()


def point_of(cell):
    """The middle of a field, on the map."""
    row, col = cell
    left, dx, _, top, _, dy = TRANSFORM
    return qgis_core.QgsPointXY(left + dx * FIELD * (col + 0.5), top + dy * FIELD * (row + 0.5))


def wait_for(iface, count=1):
    """Until so many messages were shown."""
    from qgis.PyQt.QtCore import QCoreApplication

    end = time.monotonic() + LONGEST
    while len(iface.messages) < count and time.monotonic() < end:
        QCoreApplication.processEvents()
        time.sleep(0.01)
    assert len(iface.messages) == count
    return iface.messages[-1]


def held_back(tool, searches):
    """Run searches, but show nothing: what each would show, in the order of the searches."""
    from qgis.PyQt.QtCore import QCoreApplication

    shown, show = {}, tool._show
    tool._show = lambda number, *given: shown.update({number: given})
    started = []
    for point, more in searches:
        tool.search(point, more)
        started.append(tool._newest)
    end = time.monotonic() + LONGEST
    while len(shown) < len(started) and time.monotonic() < end:
        QCoreApplication.processEvents()
        time.sleep(0.01)
    tool._show = show
    return [lambda number=number: show(number, *shown[number]) for number in started]


def loaded():
    return list(qgis_core.QgsProject.instance().mapLayers().values())


def values_of(layer):
    return gdal.Open(layer.source()).ReadAsArray()


def test_a_click_finds_the_like(tool, iface, place):
    tool.search(point_of(place.cells[0]))
    assert wait_for(iface) == "1 is like the examples (1), 0 as usual as anything else there."
    (layer,) = loaded()
    assert layer.name() == "Similar places in my embedding"
    values = values_of(layer)
    row, col = (FIELD * number + FIELD // 2 for number in place.cells[0])
    assert values[row, col] >= 0.99 * values.max()
    first = np.argsort(-values.ravel())[: np.count_nonzero(place.truth == place.kinds[0]) // 2]
    assert (place.truth.ravel()[first] == place.kinds[0]).mean() > 0.9
    assert layer.renderer().type() == "singlebandpseudocolor"


def test_shift_adds_an_example_and_a_plain_click_begins_anew(tool, iface, place):
    from qgis.PyQt.QtCore import QEvent, QPoint, Qt
    from qgis.PyQt.QtGui import QMouseEvent

    other = next(number for number, kind in enumerate(place.kinds) if kind != place.kinds[0])

    def click(cell, *keys):
        shown = tool.toCanvasCoordinates(point_of(cell))
        modifiers = Qt.KeyboardModifier.NoModifier
        for key in keys:
            modifiers = modifiers | key
        left = Qt.MouseButton.LeftButton
        place_of_click = QPoint(shown.x(), shown.y())
        mouse = QMouseEvent(QEvent.Type.MouseButtonRelease, place_of_click, left, left, modifiers)
        from qgis.gui import QgsMapMouseEvent

        tool.canvasReleaseEvent(QgsMapMouseEvent(iface.canvas, mouse))

    click(place.cells[0])
    wait_for(iface, 1)
    (alone,) = map(values_of, loaded())
    click(place.cells[other], Qt.KeyboardModifier.ShiftModifier)
    assert "(2)" in wait_for(iface, 2)
    (second,) = loaded()  # in the place of the first
    both = values_of(second)
    click(place.cells[0])
    assert "(1)" in wait_for(iface, 3)
    (again,) = (values_of(layer) for layer in loaded() if layer != second)
    middle = FIELD // 2
    assert both[middle, middle] < 9900 < alone[middle, middle]
    np.testing.assert_array_equal(again, alone)


def test_the_canvas_hands_a_click_with_shift_to_the_tool(tool, iface, place):
    """Real mouse events on the viewport: the canvas would take Shift for its zoom rectangle."""
    from qgis.PyQt.QtCore import QPoint, Qt
    from qgis.PyQt.QtTest import QTest

    iface.canvas.setMapTool(tool)
    iface.canvas.show()
    extent = iface.canvas.extent()
    for cell, key in (
        (place.cells[0], Qt.KeyboardModifier.NoModifier),
        (place.cells[1], Qt.KeyboardModifier.ShiftModifier),
    ):
        shown = tool.toCanvasCoordinates(point_of(cell))
        spot = QPoint(int(shown.x()), int(shown.y()))
        QTest.mouseClick(iface.canvas.viewport(), Qt.MouseButton.LeftButton, key, spot)
    assert "(2)" in wait_for(iface, len(iface.messages) + 1)
    assert len(tool._markers) == 2
    assert len(loaded()) == 1
    assert iface.canvas.extent() == extent  # and nothing was zoomed
    iface.canvas.unsetMapTool(tool)


def test_of_quick_clicks_with_shift_only_the_last_search_is_shown(tool, iface, place):
    points = [point_of(cell) for cell in place.cells[:3]]
    for show in reversed(
        held_back(tool, [(point, number > 0) for number, point in enumerate(points)])
    ):
        show()
    assert "(3)" in wait_for(iface, 1)
    assert len(loaded()) == 1


def test_an_older_search_that_ends_late_leaves_the_newer_to_be_added_to(tool, iface, place):
    points = [point_of(cell) for cell in place.cells[:2]]
    older, newer = held_back(tool, [(point, False) for point in points])
    newer()
    shown = tool._result
    older()
    assert len(loaded()) == 2
    tool.search(point_of(place.cells[2]), more=True)
    assert "(2)" in wait_for(iface, 3)
    assert shown not in [layer.id() for layer in loaded()]
    assert len(loaded()) == 2


def test_the_result_lies_just_above_what_was_searched(tool, iface, place):
    project = qgis_core.QgsProject.instance()
    root = project.layerTreeRoot()
    top = project.addMapLayer(qgis_core.QgsRasterLayer(place.embedding, "on top"))
    group = root.addGroup("series")
    project.addMapLayer(iface.layer, False)
    group.addLayer(iface.layer)
    tool.search(point_of(place.cells[0]))
    wait_for(iface, 1)
    names = [node.name() for node in group.children()]
    assert names == ["Similar places in my embedding", "my embedding"]
    assert [node.name() for node in root.children()] == ["on top", "series"]
    project.removeMapLayer(top)
    iface.layer = None


def test_a_result_that_became_active_is_not_what_is_searched(tool, iface, place):
    """QGIS makes a layer that is added the active one."""
    searched = qgis_core.QgsProject.instance().addMapLayer(iface.layer)
    tool.search(point_of(place.cells[0]))
    wait_for(iface, 1)
    (iface.layer,) = (layer for layer in loaded() if layer != searched)
    tool.search(point_of(place.cells[0]))
    assert "(1)" in wait_for(iface, 2)
    first, second = (values_of(layer) for layer in loaded() if layer != searched)
    np.testing.assert_array_equal(first, second)
    qgis_core.QgsProject.instance().removeMapLayer(searched)
    tool.search(point_of(place.cells[0]))
    assert "Choose an image series" in wait_for(iface, 3)


def test_the_map_may_have_another_crs(tool, iface, place):
    tool.search(point_of(place.cells[3]))
    wait_for(iface, 1)
    mercator = qgis_core.QgsCoordinateReferenceSystem("EPSG:3857")
    iface.canvas.setDestinationCrs(mercator)
    to_mercator = qgis_core.QgsCoordinateTransform(
        qgis_core.QgsCoordinateReferenceSystem(UTM), mercator, qgis_core.QgsProject.instance()
    )
    tool.search(to_mercator.transform(point_of(place.cells[3])))
    wait_for(iface, 2)
    one, other = loaded()
    np.testing.assert_array_equal(values_of(one), values_of(other))


def test_what_the_map_shows_is_searched_first_and_then_the_rest(tool, iface, place):
    qgis_core.QgsProject.instance().addMapLayer(iface.layer)
    whole, left = iface.layer.extent(), iface.layer.extent()
    left.setXMaximum(left.xMinimum() + whole.width() / 2)
    left.setYMinimum(left.yMaximum() - whole.height() / 2)
    iface.canvas.setExtent(left)
    tool.search(point_of(place.cells[0]))
    wait_for(iface)
    (part,) = (layer for layer in loaded() if layer != iface.layer)
    assert part.extent().width() < whole.width()
    assert part.extent().contains(left)
    assert tool.can_search_all
    tool.search_all()
    wait_for(iface, 2)
    (result,) = (layer for layer in loaded() if layer != iface.layer)  # the part is gone
    assert result.extent() == whole
    assert not tool.can_search_all
    iface.canvas.setExtent(whole)
    tool.search(point_of(place.cells[0]))
    assert not tool.can_search_all  # the map shows all of it
    wait_for(iface, 3)


def test_without_a_raster_it_says_what_to_choose(tool, iface):
    iface.layer = None
    tool.search(qgis_core.QgsPointXY(0, 0))
    assert "Choose an image series or an embedding raster" in wait_for(iface)
    assert not tool._markers
    assert not loaded()


def test_a_click_beside_the_layer_is_one_sentence(tool, iface):
    tool.search(qgis_core.QgsPointXY(0, 0))
    said = wait_for(iface)
    assert (
        said == "clicks and embedding.tif do not overlap; choose layers of the same area, or "
        "check the CRS of both."
    )
    assert not loaded()


def test_the_desktop_gets_a_button_and_loses_it(plugin, iface):
    from qgis.PyQt.QtCore import QCoreApplication, QEvent

    from alise_plugin.plugin import AlisePlugin

    mine = AlisePlugin(iface)
    mine.initProcessing = lambda: None  # its provider is there
    mine.initGui()
    (action,) = iface.icons
    assert iface.menu[-1] == ("ALISE", action)
    assert [entry.text() for _, entry in iface.menu] == ["ALISE", action.text()]  # the dock first
    assert action.isCheckable()
    action.trigger()
    assert iface.canvas.mapTool() is not None
    assert action.isChecked()
    gone = []
    action.destroyed.connect(lambda: gone.append(True))
    mine.unload()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    assert gone  # no action is left in the main window
    assert iface.canvas.mapTool() is None
    assert iface.icons == iface.menu == []
