"""`python -m alise_plugin`: results, exit codes, one sentence for a mistake, and Ctrl-C."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal, ogr, osr

from alise_plugin.cli.layer_files import LayerFile
from alise_plugin.cli.main import DONE, MISTAKE, STOPPED, main
from alise_plugin.cli.progress import Progress
from alise_plugin.cli.sinks import FileSink
from alise_plugin.errors import Cancelled
from alise_plugin.mapping.embedding.embed import EmbedResult
from alise_plugin.mapping.features.tiling import TileBudget
from alise_plugin.operations.catalogue import OPERATIONS
from alise_plugin.operations.detect_change import ZONE_COLUMNS
from alise_plugin.sits.build import SeriesPlan

pytest.importorskip("onnxruntime")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def engine(tiny_package):
    return ["--model", tiny_package, "--device", "cpu", "--threads", "1"]


def results(capsys):
    return dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())


def test_scenes_become_a_series_and_an_embedding(scenes, engine, tmp_path, capsys):
    vrt, tif, loose = (str(tmp_path / name) for name in ("series.vrt", "map.tif", "loose.tif"))
    folder = str(tmp_path / "scenes")
    assert main(["buildtimeseries", "--folder", folder, "--output", vrt]) == DONE
    found = results(capsys)
    assert found["COUNT"] == "3"
    assert found["DATES"] == "2019-01-05, 2019-01-16, 2019-01-27"
    assert main(["embed", "--input", vrt, "--output", tif, *engine]) == DONE
    captured = capsys.readouterr()
    assert f"OUTPUT: {tif}" in captured.out
    assert "DEVICE_USED: cpu" in captured.out
    assert "3 dates from 2019-01-05" in captured.err
    assert "100 % after" in captured.err
    # one raster per date makes the same series, in a folder that is gone afterwards
    assert main(["embed", "--input", *scenes, "--output", loose, "--quiet", *engine]) == DONE
    assert capsys.readouterr().err == ""
    np.testing.assert_array_equal(gdal.Open(tif).ReadAsArray(), gdal.Open(loose).ReadAsArray())


def test_a_series_and_its_report_are_written_both_or_neither(scenes, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    out.mkdir()
    vrt, page = str(out / "series.vrt"), str(out / "series.html")
    arguments = ["buildtimeseries", "--input", *scenes, "--output", vrt, "--report", page]
    report = "alise_plugin.operations.series_results.write_report"

    def stopped(*_):
        raise Cancelled("The run was cancelled; nothing was written.")

    with monkeypatch.context() as patch:
        patch.setattr(report, stopped)
        assert main(arguments) == STOPPED
    assert list(out.iterdir()) == []
    with monkeypatch.context() as patch:
        patch.setattr(SeriesPlan, "write", stopped)
        assert main(arguments) == STOPPED
    assert list(out.iterdir()) == []
    capsys.readouterr()
    assert main(arguments) == DONE
    assert sorted(path.suffix for path in out.iterdir()) == [".html", ".qml", ".vrt"]
    assert capsys.readouterr().err.count("100 % after") == 1


def test_segment_and_train(scenes, engine, tmp_path, capsys):
    pytest.importorskip("sklearn")
    vrt, labels = str(tmp_path / "series.vrt"), str(tmp_path / "labels.gpkg")
    head, out, areas = (str(tmp_path / name) for name in ("head.onnx", "map.tif", "areas.csv"))
    assert main(["buildtimeseries", "--input", *scenes, "--output", vrt, "--quiet"]) == DONE
    write_squares(labels)
    train = ["trainclassifier", "--input", vrt, "--labels", labels, "--head", head]
    train += ["--field", "class", "--samples", "4", "--classifier", "prototype", *engine]
    assert main(train) == DONE
    found = results(capsys)
    assert found["CLASSES"] == "2"
    assert float(found["OVERALL_ACCURACY"]) >= 0
    segment = ["segment", "--input", vrt, "--head", head, "--output", out, "--areas", areas]
    assert main([*segment, *engine]) == DONE
    assert float(results(capsys)["AREA"]) == pytest.approx(36 * 40 * 100, rel=0.01)
    assert set(np.unique(gdal.Open(out).ReadAsArray())) <= {1, 2}
    assert Path(areas).read_text().startswith("code,class,color,pixels,area_m2")
    assert main(["trainclassifier", *train[1:5], "--head", head, *engine]) == MISTAKE
    assert "--field" in capsys.readouterr().err


def test_labels_may_be_any_raster_and_their_figures_are_json(scenes, engine, tmp_path, capsys):
    pytest.importorskip("sklearn")
    vrt, labels = str(tmp_path / "series.vrt"), str(tmp_path / "labels.bil")
    assert main(["buildtimeseries", "--input", *scenes, "--output", vrt, "--quiet"]) == DONE
    codes = np.ones((36, 40), np.uint8)
    codes[:, 20:] = 2
    codes[:3, :3] = 3
    gdal.Translate(labels, write_map(tmp_path / "labels.tif", codes), format="EHdr")
    train = ["trainclassifier", "--quiet", "--input", vrt, "--labels", labels, *engine]
    train += ["--samples", "4", "--block-size", "100", "--head", str(tmp_path / "head.onnx")]
    capsys.readouterr()
    assert main([*train, "--classifier", "prototype"]) == DONE
    figures = json.loads(results(capsys)["CLASS_FIGURES"], parse_constant=pytest.fail)
    assert [row["code"] for row in figures] == [1, 2, 3]
    assert figures[2]["recall"] is None


def test_change_between_two_periods_with_zones(scenes, engine, tmp_path, capsys):
    vrt, zones = str(tmp_path / "series.vrt"), str(tmp_path / "zones.gpkg")
    assert main(["buildtimeseries", "--input", *scenes, "--output", vrt, "--quiet"]) == DONE
    write_squares(zones)
    command = ["detectchange", "--before", vrt, "--distance", str(tmp_path / "distance.tif")]
    command += ["--align", "none", *engine]
    assert main(command) == MISTAKE
    assert "--after is empty and --before-start" in capsys.readouterr().err
    command += ["--before-end", "2019-01-16", "--after-start", "2019-01-16"]
    command += ["--threshold", "quantile", "--threshold-value", "0.9"]
    alone = str(tmp_path / "out.gpkg")
    assert main([*command, "--zones-output", alone]) == MISTAKE
    assert "--zones-output needs polygons in --zones" in capsys.readouterr().err
    written = str(tmp_path / "out.gpkg")
    assert main([*command, "--zones", zones, "--zones-output", written]) == DONE
    found = results(capsys)
    assert float(found["CHANGED_SHARE"]) == pytest.approx(0.1, abs=0.02)
    source = ogr.Open(written)
    rows = [feature.items() for feature in source.GetLayer(0)]
    assert [row["class"] for row in rows] == [1, 2] * 4
    assert all(row["pixels"] > 0 and row["dist_mean"] > 0 for row in rows)
    assert sorted(os.listdir(tmp_path)) == sorted(
        [
            "series.vrt",
            "series.qml",
            "zones.gpkg",
            "scenes",
            "distance.tif",
            "distance.qml",
            "out.gpkg",
        ]
    )


def test_zones_keep_fields_of_any_name(tmp_path):
    zones, written = str(tmp_path / "zones.geojson"), str(tmp_path / "out.gpkg")
    kept = {"rank": "first", "Pixels": 3, "fid": 7, "geom": "none"}
    square = {"type": "Polygon", "coordinates": [[[4, 45], [5, 45], [5, 46], [4, 45]]]}
    feature = {"type": "Feature", "properties": kept, "geometry": square}
    Path(zones).write_text(
        json.dumps({"type": "FeatureCollection", "features": [feature, feature]})
    )
    parameter = next(
        one for one in OPERATIONS["detectchange"].parameters if one.name == "ZONES_OUTPUT"
    )
    rows = [(5, 0.5, 0.4, 0.2, 1, 1), (0, None, None, None, None, None)]
    FileSink(written, parameter).write_beside(LayerFile(zones), ZONE_COLUMNS, rows)
    source = ogr.Open(written)
    first, second = (feature.items() for feature in source.GetLayer(0))
    measured = {"pixels_2": 5, "dist_mean": 0.5, "dist_med": 0.4, "share_chg": 0.2, "rank_2": 1}
    assert first == {**kept, **measured, "changed": 1}
    assert second == {**kept, **dict.fromkeys(measured), "pixels_2": 0, "changed": None}


def test_outputs_that_would_overwrite_inputs(scenes, engine, tmp_path, capsys):
    vrt, zones = str(tmp_path / "series.vrt"), str(tmp_path / "zones.gpkg")
    assert main(["buildtimeseries", "--input", *scenes, "--output", vrt, "--quiet"]) == DONE
    write_squares(zones)
    content = {path: Path(path).read_bytes() for path in (*scenes, zones)}
    capsys.readouterr()
    tif = str(tmp_path / "map.tif")
    change = ["detectchange", "--before", vrt, "--before-end", "2019-01-16"]
    change += ["--after-start", "2019-01-16", "--zones", zones, *engine]
    other = str(tmp_path / "other.gpkg")
    write_squares(other)
    accuracy = ["--reference", "a.csv", "--field", "class", "--areas", "./a.csv"]
    mask = ["--head", "no.onnx", "--mask", zones]
    for command, says in (
        (["embed", "--input", vrt, "--output", scenes[0], *engine], "is also an input"),
        ([*change, "--distance", scenes[1], "--zones-output", tif[:-3] + "gpkg"], "also an input"),
        ([*change, "--distance", tif, "--zones-output", zones], "zones.gpkg is also an input"),
        ([*change, "--distance", tif, "--zones-output", other], "holds other layers (squares)"),
        ([*change, "--distance", tif, "--change", tif, "--zones-output", zones], "two outputs"),
        (["drawsample", "--input", scenes[0], "--output", other], "holds other layers (squares)"),
        (
            ["assessaccuracy", "--input", tif, *accuracy],
            "is also an input",
        ),
        (
            ["assessaccuracy", "--input", tif, *accuracy, "--reference", "a.csv|layername=a"],
            "is also an input",
        ),
        (
            ["segment", "--input", vrt, *mask, "--vector", zones, "--output", tif],
            "zones.gpkg is also an input",
        ),
    ):
        assert main([*command, "--quiet"]) == MISTAKE
        assert says in capsys.readouterr().err
    assert {path: Path(path).read_bytes() for path in content} == content
    assert not os.path.exists(tif)


def write_squares(path):
    """Eight squares of 60 m with a class each, in geographic coordinates."""
    utm, wgs84 = osr.SpatialReference(), osr.SpatialReference()
    utm.ImportFromEPSG(32631)
    wgs84.ImportFromEPSG(4326)
    wgs84.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    transform = osr.CoordinateTransformation(utm, wgs84)
    source = ogr.GetDriverByName("GPKG").CreateDataSource(path)
    layer = source.CreateLayer("squares", wgs84, ogr.wkbPolygon)
    layer.CreateField(ogr.FieldDefn("class", ogr.OFTInteger))
    for number in range(8):
        left, top = 600020 + 80 * (number % 4), 4999980 - 120 * (number // 4)
        ring = ogr.Geometry(ogr.wkbLinearRing)
        for x, y in ((0, 0), (60, 0), (60, -60), (0, -60), (0, 0)):
            ring.AddPoint_2D(left + x, top + y)
        square = ogr.Geometry(ogr.wkbPolygon)
        square.AddGeometry(ring)
        square.Transform(transform)
        feature = ogr.Feature(layer.GetLayerDefn())
        feature.SetField("class", 1 + number % 2)
        feature.SetGeometry(square)
        layer.CreateFeature(feature)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["embed", "--input", "none.vrt", "--output", "map.tif"], "none.vrt"),
        (["embed", "--input", "none.vrt", "--output", "map.png"], "ends? in .tif"),
        (["embed", "--input", "a.vrt", "--output", "map.vrt"], "ends? in .tif"),
        (["buildtimeseries", "--output", "series.vrt"], "--input"),
        (["buildtimeseries", "--input", "a.tif", "--output", "series.tif"], "in .vrt"),
        (["embed", "--input", "a.vrt", "--output", "map.tif", "--model", "none"], "does not exist"),
    ],
)
def test_a_mistake_is_one_sentence(arguments, words, tmp_path, monkeypatch, capsys, tiny_package):
    monkeypatch.chdir(tmp_path)
    if arguments[0] == "embed" and "--model" not in arguments:
        arguments = [*arguments, "--model", tiny_package]
    assert main([*arguments, "--quiet"]) == MISTAKE
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith(f"python -m alise_plugin {arguments[0]}: ")
    import re

    assert re.search(words, error.replace("let its name end", "ends"))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nothing"],
        ["embed"],
        ["embed", "--input", "a.vrt", "--output", "b.tif", "--memory", "-1"],
        ["embed", "--input", "a.vrt", "--output", "b.tif", "--dates", "yesterday"],
        ["embed", "--input", "a.vrt", "--output", "b.tif", "--format", "jpeg"],
    ],
)
def test_a_wrong_command_line_ends_with_2(arguments):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2


# What a command writes, where it is not --output.
WRITES = {"trainclassifier": "--head", "findclasses": "--head", "detectchange": "--distance"}
WRITES |= {"trainregression": "--head", "assessaccuracy": "--report"}


@pytest.mark.parametrize("command", [None, *OPERATIONS])
def test_help(command, capsys):
    with pytest.raises(SystemExit) as end:
        main([command, "--help"] if command else ["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    expected = OPERATIONS if command is None else (WRITES.get(command, "--output"), "-h")
    assert all(name in text for name in expected)


def test_it_runs_without_qgis(tmp_path):
    """A Python in which QGIS cannot be imported, as on a server."""
    (tmp_path / "qgis.py").write_text("raise ImportError('no QGIS here')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    for command in ("embed", "segment"):
        done = subprocess.run(
            [sys.executable, "-m", "alise_plugin", command, "--help"],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "batch"])
def test_a_signal_stops_within_seconds_and_leaves_nothing(engine, tmp_path, number):
    from tests.helpers.rasters import dated_rasters

    folder = tmp_path / "scenes"
    folder.mkdir()
    dated_rasters(folder, np.random.default_rng(0), 8, height=400, width=400)
    vrt, out = str(tmp_path / "series.vrt"), tmp_path / "out"
    out.mkdir()
    main(["buildtimeseries", "--folder", str(folder), "--output", vrt, "--quiet"])
    command = [sys.executable, "-m", "alise_plugin", "embed", "--input", vrt]
    command += ["--output", str(out / "map.tif"), *engine]
    run = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert "8 dates" in run.stderr.readline()
    time.sleep(1)
    run.send_signal(number)
    start = time.monotonic()
    run.communicate(timeout=60)
    assert run.returncode == STOPPED
    assert time.monotonic() - start < 5
    assert os.listdir(out) == []


def test_a_machine_without_the_memory_is_said(scenes, engine, tmp_path, monkeypatch, capsys):
    def take_all(*args, **options):
        np.empty(1 << 60, np.uint8)

    monkeypatch.setattr("alise_plugin.model.encoder.SpatialFeatures", take_all)
    command = ["embed", "--input", *scenes, "--output", str(tmp_path / "map.tif"), *engine]
    assert main([*command, "--quiet"]) == MISTAKE
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "choose a smaller --memory" in error
    assert os.listdir(tmp_path) == ["scenes"]


def test_the_engine_reaches_the_workers_of_a_cluster(scenes, engine, tmp_path, monkeypatch):
    asked = {}

    def embed_on_cluster(features, output, scheduler, **options):
        asked.update(options, scheduler=scheduler)
        return EmbedResult(output, features.dates, "cpu", "tiny")

    monkeypatch.setattr(
        "alise_plugin.mapping.embedding.embed_on_dask.embed_on_cluster", embed_on_cluster
    )
    command = ["embed", "--input", *scenes, "--output", str(tmp_path / "map.vrt"), *engine]
    assert main([*command, "--scheduler", "tcp://host:8786", "--memory", "6000"]) == DONE
    expected = {"device": "cpu", "threads": 1, "scheduler": "tcp://host:8786"}
    assert asked.items() >= expected.items()
    assert asked["budget"] == TileBudget(6000)


@pytest.mark.parametrize("extent", ["0 0 inf inf", "nan 0 1 1", "9 0 1 1"])
def test_an_extent_that_is_none(scenes, engine, extent, tmp_path, capsys):
    command = ["embed", "--input", *scenes, "--output", str(tmp_path / "map.tif"), *engine]
    assert main([*command, "--quiet", "--extent", *extent.split()]) == MISTAKE
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "--extent is empty, endless or turned round" in error


def test_a_name_that_standard_output_has_no_letters_for(scenes, engine, tmp_path):
    """A pipe of a Windows console, or an old locale, knows some letters only."""
    output = tmp_path / "Łódź.tif"
    command = [sys.executable, "-m", "alise_plugin", "embed", "--input", *scenes, *engine]
    done = subprocess.run(
        [*command, "--output", str(output), "--quiet"],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (DONE, b"")
    assert output.exists()
    assert b"\\u0141\xf3d\\u017a.tif" in done.stdout


def test_a_bar_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with Progress() as progress:
        progress.progress(0.5)
        progress.info("hello")
        progress.progress(1.0)
    text = capsys.readouterr().err
    assert "[###############...............]  50 %" in text
    assert "hello" in text
    assert "left" in text
    assert text.endswith("\n")


def test_the_time_left_of_a_run_that_goes_on(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    now = iter([0.0, 1.0, 61.0])
    monkeypatch.setattr("alise_plugin.cli.progress.time.monotonic", lambda: next(now))
    progress = Progress()
    progress.progress(0.9)  # of an earlier run
    progress.progress(0.91)
    assert "91 %  9:00 left" in capsys.readouterr().err


def write_map(path, codes, kind=gdal.GDT_Byte):
    height, width = codes.shape
    raster = gdal.GetDriverByName("GTiff").Create(str(path), width, height, 1, kind)
    raster.SetGeoTransform((600000, 10, 0, 5000000, 0, -10))
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(32631)
    raster.SetProjection(reference.ExportToWkt())
    raster.GetRasterBand(1).SetNoDataValue(0)
    raster.WriteArray(codes)
    del raster
    return str(path)


def test_a_sample_knows_the_longest_codes(tmp_path):
    codes = np.full((20, 20), 3301010101, np.uint32)
    codes[:9] = 7
    path = write_map(tmp_path / "map.tif", codes, gdal.GDT_UInt32)
    points = str(tmp_path / "sample.gpkg")
    assert main(["drawsample", "--quiet", "--input", path, "--output", points]) == DONE
    sample = ogr.Open(points)
    assert {row.GetField("stratum") for row in sample.GetLayer(0)} == {7, 3301010101}


def test_a_map_is_judged_by_its_own_sample(tmp_path, capsys):
    codes = np.ones((60, 80), np.uint8)
    codes[:, 40:] = 2
    codes[30:, 60:] = 3
    path = write_map(tmp_path / "map.tif", codes)
    points, areas = str(tmp_path / "sample.gpkg"), str(tmp_path / "areas.csv")
    drawn = ["drawsample", "--quiet", "--input", path, "--size", "120", "--output", points]
    assert main(drawn) == DONE
    assert "COUNT: 15" in capsys.readouterr().out  # 50 of each class at least
    # The truth: what the map calls 2 is 3 in its lower half.
    sample = ogr.Open(points, 1)
    layer = sample.GetLayer(0)
    for feature in layer:
        place = feature.GetGeometryRef()
        row, col = int((5000000 - place.GetY()) / 10), int((place.GetX() - 600000) / 10)
        assert codes[row, col] == feature.GetField("stratum")
        truth = 3 if codes[row, col] == 2 and row >= 30 else int(codes[row, col])
        feature.SetField("reference", str(truth))
        layer.SetFeature(feature)
    del layer, sample
    assert main(drawn) == MISTAKE
    assert "references filled in, which would be lost" in capsys.readouterr().err
    judged = ["assessaccuracy", "--quiet", "--input", path, "--reference", points]
    assert main([*judged, "--field", "reference", "--areas", areas]) == DONE
    lines = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    # 600 of 4800 pixels are wrong.
    assert float(lines["OVERALL_ACCURACY_LOW"]) < 1 - 600 / 4800
    assert float(lines["OVERALL_ACCURACY_HIGH"]) > 1 - 600 / 4800
    with open(areas, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["code"] for row in rows] == ["1", "2", "3"]
    assert float(rows[2]["adjusted_m2"]) > float(rows[2]["mapped_m2"])
    assert sorted(os.listdir(tmp_path)) == ["areas.csv", "map.tif", "sample.gpkg"]
