"""A STAC API on loopback with four acquisitions, whose failures are tried again at once."""

import pytest
from osgeo import gdal

from alise_plugin.sits.area import transport, windows
from tests.helpers.stac_server import DAYS, stac_server, tile_item


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setattr(windows, "_PAUSE", 0.05)
    monkeypatch.setattr("alise_plugin.sits.area.transport._PAUSE", 0.02)
    gdal.SetConfigOption("GDAL_HTTP_RETRY_DELAY", "0.05")
    (tmp_path / "server").mkdir()
    with stac_server(tmp_path / "server") as running:
        for day in DAYS:
            tile_item(running, day, offset=1000)
        yield running
    gdal.SetConfigOption("GDAL_HTTP_RETRY_DELAY", None)


@pytest.fixture(autouse=True)
def without_the_requests_of_qgis(monkeypatch):
    """QGIS, which other tests start in this process, sends requests itself from then on."""
    monkeypatch.setattr(transport, "_current", [transport.standard_library])
