"""Image series that follow the Temporal Controller: each frame shows another date."""

from datetime import date

import pytest

qgis_core = pytest.importorskip("qgis.core", reason="QGIS is not installed")


@pytest.fixture
def layer(series):
    from alise_plugin.algorithms.series_layers import set_time

    made = qgis_core.QgsRasterLayer(series, "series")
    made.loadDefaultStyle()
    set_time(made, [date(2019, 3, 5), date(2019, 5, 14), date(2019, 8, 2)])
    qgis_core.QgsProject.instance().addMapLayer(made)
    yield made
    qgis_core.QgsProject.instance().removeAllMapLayers()


@pytest.fixture
def canvas(plugin):
    from qgis.gui import QgsMapCanvas
    from qgis.PyQt import sip

    made = QgsMapCanvas()
    yield made
    sip.delete(made)


def span(first, last):
    from qgis.PyQt.QtCore import QDate, QDateTime, QTime

    moments = [QDateTime(QDate(*map(int, day.split("-"))), QTime(0, 0)) for day in (first, last)]
    return qgis_core.QgsDateTimeRange(*moments, True, False)


def shown(layer):
    """Date and names of the three bands that are seen."""
    renderer = layer.renderer()
    numbers = renderer.redBand(), renderer.greenBand(), renderer.blueBand()
    texts = [layer.bandName(number).split(": ")[-1].split() for number in numbers]
    (day,) = {text[0] for text in texts}
    return day, [text[1] for text in texts]


@pytest.mark.parametrize(
    ("first", "last", "day"),
    [
        ("2019-03-01", "2019-03-08", "2019-03-05"),
        ("2019-05-10", "2019-05-17", "2019-05-14"),
        ("2019-05-14", "2019-05-15", "2019-05-14"),
        ("2019-05-07", "2019-05-14", "2019-03-05"),  # up to midnight before the 14th
        ("2019-06-01", "2019-06-08", "2019-05-14"),  # the last one taken
        ("2019-12-01", "2019-12-08", "2019-08-02"),
        ("2018-01-01", "2018-01-08", "2019-03-05"),
    ],
)
def test_each_frame_shows_its_date(layer, canvas, first, last, day):
    from alise_plugin.gui.temporal_series import TemporalSeries

    _, names = shown(layer)
    follower = TemporalSeries(canvas)
    canvas.setTemporalRange(span(first, last))
    assert shown(layer) == (day, names)
    follower.stop()
    canvas.setTemporalRange(span("2019-08-01", "2019-08-08"))
    assert shown(layer)[0] == day


def test_other_layers_are_left_alone(canvas, scenes):
    from alise_plugin.gui.temporal_series import bands_by_date, show_date

    other = qgis_core.QgsRasterLayer(scenes[0], "one date")
    assert bands_by_date(other) == {}
    before = other.renderer().type()
    assert not show_date(other, date(2019, 5, 14))
    assert other.renderer().type() == before


def test_reconstructed_images_have_a_range_of_time(loaded, series, tiny_package, tmp_path):
    output = str(tmp_path / "images.tif")
    parameters = {
        "INPUT": [series],
        "DATES": "2019-04-01, 2019-06-01",
        "MODEL": tiny_package,
        "OUTPUT": output,
    }
    layers = loaded("alise:reconstruct", parameters, "OUTPUT")
    properties = layers["OUTPUT"].temporalProperties()
    assert properties.isActive()
    held = properties.fixedTemporalRange()
    assert held.begin().date().toString("yyyy-MM-dd") == "2019-04-01"
    assert held.end().date().toString("yyyy-MM-dd") == "2019-06-01"
