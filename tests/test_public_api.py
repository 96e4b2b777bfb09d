"""The library's public names, the call `run`, and the examples of docs/python.md."""

import importlib.metadata
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from osgeo import ogr

import alise_plugin
from alise_plugin import AliseError, run
from tests.helpers.rasters import TRANSFORM, utm, write_raster
from tests.helpers.real_series import real_series

ROOT = Path(__file__).resolve().parents[1]


def blocks(page):
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)


def write_fields(path):
    """Write four squares of five pixels, two of each crop."""
    source = ogr.GetDriverByName("GPKG").CreateDataSource(str(path))
    layer = source.CreateLayer("fields", utm(), ogr.wkbPolygon)
    layer.CreateField(ogr.FieldDefn("crop", ogr.OFTString))
    for crop, col, row in (("beet", 1, 1), ("wheat", 12, 1), ("beet", 1, 12), ("wheat", 12, 12)):
        left, top = TRANSFORM[0] + 10 * col, TRANSFORM[3] - 10 * row
        right, bottom = left + 50, top - 50
        feature = ogr.Feature(layer.GetLayerDefn())
        ring = f"{left} {top}, {right} {top}, {right} {bottom}, {left} {bottom}, {left} {top}"
        feature.SetGeometry(ogr.CreateGeometryFromWkt(f"POLYGON (({ring}))"))
        feature.SetField(0, crop)
        layer.CreateFeature(feature)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the scenes and the polygons that the examples name."""
    real = real_series("belgian_fields", 6)
    (tmp_path / "scenes").mkdir()
    for day, dn in zip(real.days, real.dn):
        write_raster(tmp_path / "scenes" / f"S2_{day:%Y%m%d}.tif", dn)
    write_fields(tmp_path / "fields.gpkg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_examples_of_the_docs_run(folder, capsys):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("sklearn")
    names = {}
    for code in blocks(ROOT / "docs" / "python.md"):
        exec(compile(code, "docs/python.md", "exec"), names)
    said = capsys.readouterr().out
    assert "12 acquisitions" in said
    assert "nowhere.vrt" in said
    assert "(10, 64, 24, 24) (1, 10, 24, 24)" in said
    for name in ("crops.tif", "confidence.tif", "embedding.tif", "groups.tif", "sure.tif"):
        assert (folder / name).stat().st_size > 1000, name


def test_every_public_name_is_there():
    for name in alise_plugin.__all__:
        assert getattr(alise_plugin, name) is not None
    assert set(alise_plugin.__all__) <= set(dir(alise_plugin))
    with pytest.raises(AttributeError, match="no attribute 'segmnet'"):
        alise_plugin.segmnet  # noqa: B018


def test_importing_the_package_imports_nothing_else():
    code = (
        "import sys, alise_plugin\n"
        "print([name for name in ('numpy', 'osgeo', 'onnxruntime') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize(
    ("name", "given", "sentence"),
    [
        ("segmnt", {}, 'no operation "segmnt"; choose one of seriesofarea'),
        ("segment", {"HEADS": "a.onnx"}, "segment has no parameter HEADS; it has INPUT"),
        ("segment", {"INPUT": "a.vrt"}, "segment needs HEAD"),
        ("embed", {"INPUT": "a.vrt", "OUTPUT": "b.tif", "MEMORY": "much"}, "MEMORY: "),
        ("embed", {"INPUT": "a.vrt", "OUTPUT": "b.tif", "MEMORY": -5}, "MEMORY: -5 is not"),
        ("embed", {"INPUT": "a.vrt", "OUTPUT": "b.tif", "FORMAT": "int9"}, 'FORMAT is "int9"'),
        ("reconstruct", {"INPUT": "a.vrt", "OUTPUT": "b.tif", "DATES": "May"}, "DATES: .*May"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path, monkeypatch, name, given, sentence):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AliseError, match=sentence):
        run(name, **given)


def test_the_call_and_the_command_line_give_the_same_bytes(folder):
    pytest.importorskip("onnxruntime")
    run("alise:buildtimeseries", FOLDER=folder / "scenes", OUTPUT=folder / "series.vrt")
    extent = (600030.0, 4999880.0, 600140.0, 4999970.0)
    run("embed", INPUT=["series.vrt"], OUTPUT="a.tif", FORMAT="compact", EXTENT=extent, COG=False)
    command = [sys.executable, "-m", "alise_plugin", "embed", "--input", str(folder / "series.vrt")]
    command += ["--output", str(folder / "b.tif"), "--format", "compact", "--quiet"]
    command += ["--extent", *map(str, extent)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert (folder / "a.tif").read_bytes() == (folder / "b.tif").read_bytes()


def test_the_wheel_carries_the_library_the_model_and_the_command(tmp_path):
    pytest.importorskip("hatchling")
    command = [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "-q"]
    subprocess.run([*command, "-w", str(tmp_path)], cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    names = {path.relative_to(site).as_posix() for path in site.rglob("*")}
    assert "alise_plugin/py.typed" in names
    assert "alise_plugin/models/alise-s2/model.json" in names
    rooms = {name.split("/")[1] for name in names if name.count("/") == 2 and name.endswith(".py")}
    assert rooms == {"cli", "mapping", "model", "operations", "sits"}
    (dist,) = importlib.metadata.distributions(path=[str(site)])
    assert dist.version == re.search(r"version=(.*)", (ROOT / "metadata.txt").read_text())[1]
    (entry,) = dist.entry_points
    assert (entry.name, entry.value) == ("alise", "alise_plugin.__main__:run")
    assert not any(requirement.startswith(("numpy=", "GDAL")) for requirement in dist.requires)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import numpy as np, alise_plugin as alise\n"
        "values = alise.load_encoder(device='cpu').encode(np.full((2, 10, 3, 3), 0.1, 'f4'),"
        " np.float32([100, 200]))\n"
        "print(alise.__file__, values.shape)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(site)], cwd=tmp_path, capture_output=True, text=True
    )
    assert str(site) in done.stdout, done.stderr
    assert "(10, 64, 3, 3)" in done.stdout


def test_numbers_are_taken_as_numbers(folder):
    pytest.importorskip("onnxruntime")
    run("buildtimeseries", FOLDER="scenes", OUTPUT="series.vrt", MAX_CLOUD=None)
    found = run(
        "reconstruct", INPUT="series.vrt", OUTPUT="days.tif", DATES=["2019-05-14", "2019-06-14"]
    )
    with alise_plugin.open_series("days.tif") as days:
        assert [str(day) for day in days.dates] == ["2019-05-14", "2019-06-14"]
        assert np.isfinite(days.read_all(days.grid.window)).any()
    assert isinstance(found, dict)
