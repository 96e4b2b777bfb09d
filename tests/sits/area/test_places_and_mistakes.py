"""Areas over several tiles and zones, and what goes wrong around a run."""

import json
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from osgeo import ogr, osr

from alise_plugin import AliseError, build_series
from alise_plugin.sits.area import fetch
from tests.helpers.area import area, get, pixels
from tests.helpers.products import reference
from tests.helpers.stac_server import COLLECTION, CORNER, DAYS, stac_server, tile_item

ROOT = Path(__file__).resolve().parents[3]
FEW = ["B02", "B03", "B04", "B08", "B11", "SCL"]


def box_in_degrees(west, south, east, north):
    to = osr.CoordinateTransformation(reference(32631), reference(4326))
    return to.TransformBounds(west, south, east, north, 21)


def same_as_local(server, tmp_path, extent):
    """Whether the series is, bit for bit, that of the same files on disk."""
    listed = json.dumps({"type": "FeatureCollection", "features": server.items})
    local = listed.replace(f"{server.address}/files/", "files/")
    (server.folder / "local.json").write_text(local)
    options = {"extent": extent, "extent_crs": "EPSG:4326"}
    build_series([server.folder / "local.json"], tmp_path / "local.vrt", **options).close()
    (dates, found), (true_dates, truth) = (
        pixels(tmp_path / name) for name in ("series.vrt", "local.vrt")
    )
    assert dates == true_dates
    np.testing.assert_array_equal(found, truth)
    return found


def second_tile(server, day):
    """A tile in the next zone that covers what lies east of the first."""
    to = osr.CoordinateTransformation(reference(32631), reference(32632))
    x, y, _ = to.TransformPoint(CORNER[0] + 4000, CORNER[1] + 400)
    corner = (round(x / 60) * 60.0, round(y / 60) * 60.0)
    return tile_item(server, day, offset=1000, tile="32TLP", corner=corner, epsg=32632, side=640)


def test_an_area_in_two_zones(server, tmp_path):
    for day in DAYS:
        second_tile(server, day)
    extent = box_in_degrees(CORNER[0] + 3000, CORNER[1] - 3000, CORNER[0] + 7000, CORNER[1] - 1500)
    results = get(server, tmp_path, AREA=extent)
    assert results["COUNT"] == 4
    assert results["PRODUCTS"] == 8
    found = same_as_local(server, tmp_path, extent)
    assert np.isfinite(found).all()


def test_an_area_over_the_edge_of_tiles(server, tmp_path):
    for day in DAYS:
        tile_item(server, day, offset=1000, tile="31TDJ", corner=(CORNER[0] + 4000, CORNER[1]))
    extent = box_in_degrees(CORNER[0] + 3500, CORNER[1] - 3000, CORNER[0] + 6500, CORNER[1] - 1500)
    assert get(server, tmp_path, AREA=extent)["PRODUCTS"] == 8
    assert np.isfinite(same_as_local(server, tmp_path, extent)).all()


def test_a_part_of_the_area_without_data_has_no_values(server, tmp_path):
    extent = box_in_degrees(CORNER[0] - 800, CORNER[1] - 2000, CORNER[0] + 800, CORNER[1] - 1000)
    assert get(server, tmp_path, AREA=extent)["COUNT"] == 4
    found = same_as_local(server, tmp_path, extent)
    assert 0.4 < np.isfinite(found).mean() < 0.6


def test_an_area_of_three_hundred_kilometres_is_refused_by_its_size(server, tmp_path):
    """The tile of each acquisition counts as a whole, which the area contains."""
    west, south, east, north = area()
    wide = (west - 2, south - 1.4, east + 2, north + 1.4)
    with pytest.raises(AliseError, match=r"4 acquisitions of this area are .* MB, more than"):
        get(server, tmp_path, AREA=wide, LIMIT=1)
    assert not server.file_requests()


def test_metres_without_a_crs_are_not_taken_for_degrees(server, tmp_path):
    with pytest.raises(AliseError, match="nowhere on the Earth; check the coordinates and their"):
        get(server, tmp_path, AREA=(602000, 4996800, 602400, 4997200))
    source = ogr.GetDriverByName("ESRI Shapefile").CreateDataSource(str(tmp_path / "fields.shp"))
    layer = source.CreateLayer("fields", None, ogr.wkbPolygon)
    feature = ogr.Feature(layer.GetLayerDefn())
    feature.SetGeometry(ogr.CreateGeometryFromWkt("POLYGON ((0 0, 1 0, 1 1, 0 1, 0 0))"))
    layer.CreateFeature(feature)
    del feature, layer, source
    with pytest.raises(AliseError, match=r"fields\.shp has no CRS"):
        get(server, tmp_path, AREA=None, POLYGONS=tmp_path / "fields.shp")


def command(server, folder, *more):
    return [
        *(sys.executable, "-m", "alise_plugin", "seriesofarea"),
        *("--area", *map(str, area()), "--start", "2023-01-01", "--end", "2023-12-31"),
        *("--service", "other", "--address", server.api, "--collection", COLLECTION),
        *("--folder", str(folder / "images"), "--output", str(folder / "series.vrt"), *more),
    ]


def test_a_full_disk_is_one_sentence(server, tmp_path):
    """A limit on the size of a file is what a process can have of a full disk."""

    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    done = subprocess.run(
        command(server, tmp_path, "--quiet"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        preexec_fn=small_files,
    )
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert "check that the folder is writable, that the disk has room" in done.stderr
    assert done.stderr.count("\n") == 1
    left = [path for path in (tmp_path / "images").rglob("*") if path.is_file()]
    assert {path.name for path in left} <= {"area.json"}
    assert not (tmp_path / "series.vrt").exists()


def test_a_disk_without_room_is_known_before_the_first_byte(server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 1))
    with pytest.raises(AliseError, match="has room for 0 MB, and the images are up to"):
        get(server, tmp_path)
    assert not server.file_requests()


def test_the_command_ends_at_once_when_the_server_is_silent(server, tmp_path):
    server.trouble.silent = True
    running = subprocess.Popen(
        command(server, tmp_path), cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    while not server.now and running.poll() is None:
        time.sleep(0.05)
    time.sleep(0.5)
    start = time.monotonic()
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=30)
    assert time.monotonic() - start < 5
    assert running.returncode == 130
    assert "The run was cancelled." in said
    assert not list(tmp_path.rglob("*.partial*"))


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl makes the certificate")
def test_a_certificate_that_does_not_hold(tmp_path, monkeypatch):
    monkeypatch.setattr("alise_plugin.sits.area.transport._PAUSE", 0.0)
    files = tmp_path / "certificate.pem", tmp_path / "key.pem"
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=nobody"
    paths = ["-out", str(files[0]), "-keyout", str(files[1])]
    subprocess.run([*make.split(), *paths], check=True, capture_output=True)
    (tmp_path / "server").mkdir()
    with stac_server(tmp_path / "server", files) as server:
        address = server.api.replace("http:", "https:")
        with pytest.raises(AliseError, match=r"The certificate of 127\.0\.0\.1 does not hold"):
            get(server, tmp_path, ADDRESS=address)
    assert not (tmp_path / "images").exists()
