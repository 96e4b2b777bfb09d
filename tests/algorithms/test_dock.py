"""The ALISE dock in a window of QGIS: clicks, numbers, cancelling, layers that go away."""

import csv
import io
from datetime import date

import numpy as np
import pytest

from tests.helpers.desktop import Interface, settle, wait
from tests.helpers.green_fields import every, fields

qgis_core = pytest.importorskip("qgis.core", reason="QGIS is not installed")
pytest.importorskip("onnxruntime")
SUMMER = date(2019, 6, 3)


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    """Two years, so that they can lie on one another."""
    folder = tmp_path_factory.mktemp("dock") / "scenes"
    return fields(folder, every(12, date(2018, 1, 3), date(2019, 12, 28)))


@pytest.fixture
def iface(plugin, series):
    from qgis.PyQt import sip

    made = Interface()
    project = qgis_core.QgsProject.instance()
    layer = qgis_core.QgsRasterLayer(series.path, "two fields")
    project.addMapLayer(layer)
    made.active = layer
    made.canvas.setDestinationCrs(layer.crs())
    made.canvas.setLayers([layer])
    made.canvas.setExtent(layer.extent())
    made.window.show()
    settle()
    yield made
    made.canvas.setLayers([])
    project.removeAllMapLayers()
    settle()
    sip.delete(made.window)


@pytest.fixture
def dock(iface):
    from alise_plugin.gui.dock import AliseDock

    made = AliseDock(iface)
    made.show()
    settle()
    yield made
    tasks = list(made.curve._running.values())
    made.stop()
    assert iface.menu == []
    wait(lambda: all(not task.isActive() for task in tasks))
    settle()


def place_on_screen(iface, col, row):
    """Return where the middle of a pixel lies in the canvas."""
    from qgis.core import QgsCoordinateTransform, QgsPointXY

    extent = iface.active.extent()
    point = QgsPointXY(extent.xMinimum() + 10 * col + 5, extent.yMaximum() - 10 * row - 5)
    settings = iface.canvas.mapSettings()
    there = QgsCoordinateTransform(
        iface.active.crs(), settings.destinationCrs(), qgis_core.QgsProject.instance()
    )
    return settings.mapToPixel().transform(there.transform(point)).toQPointF().toPoint()


def click(iface, dock, col, row, shift=False):
    from qgis.PyQt.QtCore import Qt
    from qgis.PyQt.QtTest import QTest

    if not dock.curve.click.isChecked():
        QTest.mouseClick(dock.curve.click, Qt.MouseButton.LeftButton)
    held = Qt.KeyboardModifier.ShiftModifier if shift else Qt.KeyboardModifier.NoModifier
    place = place_on_screen(iface, col, row)
    QTest.mouseClick(iface.canvas.viewport(), Qt.MouseButton.LeftButton, held, place)


def wait_for_exact(dock):
    wait(lambda: dock.curve._task is None)
    assert all(shown.found.exact for shown in dock.curve._shown)


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_a_click_shows_the_numbers_of_extract_curves(iface, dock, run, tmp_path):
    from qgis.core import QgsApplication, QgsFeature, QgsGeometry, QgsPointXY, QgsVectorLayer
    from qgis.PyQt.QtCore import Qt
    from qgis.PyQt.QtTest import QTest

    click(iface, dock, 8, 20)
    wait_for_exact(dock)
    assert dock.curve.status.text() == ""
    QTest.mouseClick(dock.curve.copy, Qt.MouseButton.LeftButton)
    copied = rows(QgsApplication.clipboard().text())
    place = QgsPointXY(float(copied[0]["x"]), float(copied[0]["y"]))
    extent = iface.active.extent()
    assert (place.x(), place.y()) == (extent.xMinimum() + 85, extent.yMaximum() - 205)
    (shown,) = dock.curve._shown
    assert shown.marker.center() == place
    layer = QgsVectorLayer(f"Point?crs={iface.active.crs().authid()}", "clicks", "memory")
    feature = QgsFeature()
    feature.setGeometry(QgsGeometry.fromPointXY(place))
    layer.dataProvider().addFeature(feature)
    parameters = {"INPUT": [iface.active], "PLACES": layer, "OUTPUT": str(tmp_path / "curves.csv")}
    days = ", ".join(row["date"] for row in copied)
    run("alise:extractcurves", {**parameters, "DATES": days})
    expected = rows((tmp_path / "curves.csv").read_text())
    assert [row["date"] for row in copied] == [row["date"] for row in expected]
    for key in ("observed", "reconstructed"):
        np.testing.assert_allclose(
            [float(row[key] or "nan") for row in copied],
            [float(row[key] or "nan") for row in expected],
            atol=2e-4,
        )
    assert [row["state"] for row in copied] == [row["state"] for row in expected]
    assert {row["state"] for row in copied} == {"", "clear", "unlike"}


def test_the_first_look_comes_before_the_exact_curve_and_is_near_it(iface, dock):
    found = []
    take = dock.curve._take
    dock.curve._take = lambda task, shown, curve: (found.append(curve), take(task, shown, curve))
    click(iface, dock, 30, 20)
    wait_for_exact(dock)
    first, exact = found
    assert (first.exact, exact.exact) == (False, True)
    apart = np.abs(first.curves.reconstructed - exact.curves.reconstructed)
    assert np.median(apart) < 0.02


def test_shift_adds_pixels_and_a_click_replaces_them(iface, dock, tmp_path):
    click(iface, dock, 8, 20)
    wait_for_exact(dock)
    click(iface, dock, 40, 20, shift=True)
    wait_for_exact(dock)
    assert len(dock.curve._shown) == 2
    colors = {shown.marker.color().name() for shown in dock.curve._shown}
    assert len(colors) == 2
    assert {row["pixel"] for row in rows(dock.curve.table())} == {"1", "2"}
    marks = [curve.marks for curve in dock.curve.chart._curves]
    for peaks, day in zip(marks, (150, 220)):
        of_year = [
            date.fromordinal(ordinal).timetuple().tm_yday for ordinal, name in peaks if name == "P"
        ]
        assert len(of_year) >= 2
        assert np.abs(np.array(of_year) - day).min() < 15
    for name in ("curve.png", "curve.svg"):
        dock.curve.save_picture(str(tmp_path / name))
        assert (tmp_path / name).stat().st_size > 5_000
    dock.curve.save_picture(str(tmp_path / "nowhere" / "curve.png"))
    assert "cannot be written" in dock.curve.status.text()
    click(iface, dock, 20, 10)
    wait_for_exact(dock)
    assert len(dock.curve._shown) == 1


def test_another_index_needs_no_new_reading(iface, dock):
    click(iface, dock, 8, 20)
    wait_for_exact(dock)
    dock.curve.index.setEditText("B08 - B04")
    dock.curve.index.lineEdit().editingFinished.emit()
    assert dock.curve._task is None
    assert {row["name"] for row in rows(dock.curve.table())} == {"B08 - B04"}
    dock.curve.index.setEditText("B99")
    dock.curve.index.lineEdit().editingFinished.emit()
    assert '"B99" is neither a band' in dock.curve.status.text()
    assert not dock.curve.copy.isEnabled()


def test_the_wheel_zooms_and_a_double_click_shows_all_again(iface, dock):
    from qgis.PyQt.QtCore import QPoint, QPointF, Qt
    from qgis.PyQt.QtGui import QWheelEvent
    from qgis.PyQt.QtTest import QTest
    from qgis.PyQt.QtWidgets import QApplication

    click(iface, dock, 8, 20)
    wait_for_exact(dock)
    chart = dock.curve.chart
    low, high = chart.span
    middle = QPointF(chart.rect().center())
    wheel = QWheelEvent(
        middle,
        QPointF(chart.mapToGlobal(chart.rect().center())),
        QPoint(),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(chart, wheel)
    assert chart.span[1] - chart.span[0] == pytest.approx((high - low) / 1.25)
    QTest.mouseDClick(chart, Qt.MouseButton.LeftButton, pos=chart.rect().center())
    assert chart.span == (low, high)
    dock.curve.folded.setChecked(True)
    assert chart.span == (1.0, 366.0)


def test_chart_and_map_show_one_another_the_day(iface, dock):
    from qgis.core import QgsDateTimeRange, QgsMultiBandColorRenderer
    from qgis.PyQt.QtCore import QDate, QDateTime, Qt, QTime
    from qgis.PyQt.QtTest import QTest

    renderer = QgsMultiBandColorRenderer(iface.active.dataProvider(), 3, 2, 1)
    iface.active.setRenderer(renderer)
    click(iface, dock, 8, 20)
    wait_for_exact(dock)
    chart = dock.curve.chart
    QTest.mouseClick(chart, Qt.MouseButton.LeftButton, pos=chart.position_of(SUMMER, 0.5))
    shown = iface.active.bandName(iface.active.renderer().redBand())
    day = date.fromisoformat(shown.split(": ")[-1][:10])
    assert abs((day - SUMMER).days) <= 8
    assert str(day) in dock.curve.status.text()
    noon = QDateTime(QDate(2019, 7, 1), QTime(12, 0))
    iface.canvas.setTemporalRange(QgsDateTimeRange(noon, noon.addSecs(60)))
    assert chart._day == date(2019, 7, 1)


def test_a_map_in_another_crs(iface, dock):
    iface.canvas.setDestinationCrs(qgis_core.QgsCoordinateReferenceSystem("EPSG:3857"))
    iface.canvas.setExtent(
        iface.canvas.mapSettings().layerExtentToOutputExtent(iface.active, iface.active.extent())
    )
    settle()
    click(iface, dock, 8, 20)
    wait_for_exact(dock)
    found = dock.curve._shown[0].found
    assert (found.row, found.col) == (20, 8)
    before = dock.curve._shown[0].marker.center()
    iface.canvas.setDestinationCrs(iface.active.crs())
    assert dock.curve._shown[0].marker.center() != before
    assert dock.curve._shown[0].marker.center().x() == found.x


def test_what_cannot_be_shown_is_said_in_one_sentence(iface, dock):
    click(iface, dock, 1, 1)  # where nothing was ever seen
    wait(lambda: dock.curve._task is None)
    assert dock.curve.status.text() == "This pixel has no value in any date of series.vrt."
    assert dock.curve._shown == []
    click(iface, dock, -8, 10)
    wait(lambda: dock.curve._task is None)
    assert dock.curve.status.text().startswith("This place lies outside series.vrt")
    iface.active = None
    dock.curve.look_at(qgis_core.QgsPointXY(0, 0))
    assert dock.curve.status.text().startswith("Choose an image series")


def test_cancel_and_a_layer_that_goes_away_leave_nothing_behind(iface, dock):
    from qgis.PyQt.QtCore import Qt
    from qgis.PyQt.QtTest import QTest

    click(iface, dock, 8, 20)
    assert dock.curve.cancel.isVisible()
    QTest.mouseClick(dock.curve.cancel, Qt.MouseButton.LeftButton)
    assert dock.curve.status.text() == "Cancelled."
    assert dock.curve._shown == []
    wait(lambda: not dock.curve._running)
    assert dock.curve._shown == []
    click(iface, dock, 8, 20)
    wait_for_exact(dock)
    click(iface, dock, 30, 20, shift=True)  # in the middle of this one
    iface.canvas.setLayers([])
    gone, iface.active = iface.active.id(), None
    qgis_core.QgsProject.instance().removeMapLayer(gone)
    assert dock.curve._shown == []
    wait(lambda: not dock.curve._running)
    assert not dock.curve.copy.isEnabled()


def test_closing_the_dock_in_the_middle_ends_the_reading(iface, dock):
    click(iface, dock, 8, 20)
    dock.close()
    settle()
    assert dock.curve._task is None
    wait(lambda: not dock.curve._running)


def test_one_tool_of_the_dock_is_in_use_at_a_time(iface, dock):
    from qgis.PyQt.QtCore import Qt
    from qgis.PyQt.QtTest import QTest

    tabs = (dock.curve, dock.classes, dock.similar)
    for tab in tabs:
        dock.tabs.setCurrentWidget(tab)
        settle()
        QTest.mouseClick(tab.click, Qt.MouseButton.LeftButton)
        assert iface.canvas.mapTool() is tab.tool
        assert [one.click.isChecked() for one in tabs] == [one is tab for one in tabs]
    QTest.mouseClick(dock.similar.click, Qt.MouseButton.LeftButton)
    assert iface.canvas.mapTool() is None
    assert not dock.similar.whole.isEnabled()
