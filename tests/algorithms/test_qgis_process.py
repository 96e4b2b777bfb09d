"""The same through the real command, in a process and a profile of its own."""

import pytest
from osgeo import gdal


def values(result):
    assert result.returncode == 0, result.stdout + result.stderr
    lines = [line.split(":", 1) for line in result.stdout.splitlines() if ":" in line]
    return {name.strip(): value.strip() for name, value in lines}


def test_from_scenes_to_an_embedding(qgis_process, scenes, tiny_package, tmp_path):
    listed = qgis_process("list").stdout
    assert "alise:embed" in listed
    assert "alise:buildtimeseries" in listed
    series, embedding = str(tmp_path / "series.vrt"), str(tmp_path / "embedding.tif")
    built = qgis_process(
        "run",
        "alise:buildtimeseries",
        "--",
        *[f"INPUT={path}" for path in scenes],
        "END=2019-06-30",
        f"OUTPUT={series}",
    )
    assert values(built)["COUNT"] == "2"
    embedded = values(
        qgis_process(
            "run",
            "alise:embed",
            "--",
            f"INPUT={series}",
            f"MODEL={tiny_package}",
            f"OUTPUT={embedding}",
        )
    )
    assert embedded["DATES_USED"] == "2019-03-05, 2019-05-14"
    assert embedded["DEVICE_USED"] == "cpu"
    assert gdal.Open(embedding).RasterCount == 640


def test_help_lists_every_parameter(qgis_process):
    text = qgis_process("help", "alise:embed").stdout
    for name in ("INPUT", "DATES", "MODEL", "EXTENT", "DEVICE", "MEMORY", "FORMAT", "DEVICE_USED"):
        assert name in text


def test_a_mistake_is_one_sentence_and_no_traceback(qgis_process, scenes, tmp_path):
    output = tmp_path / "series.vrt"
    result = qgis_process(
        "run", "alise:buildtimeseries", "--", f"INPUT={scenes[0]}", "DATES=soon", f"OUTPUT={output}"
    )
    assert result.returncode != 0
    assert '"soon" is not a date' in result.stderr + result.stdout
    assert "Traceback" not in result.stderr + result.stdout
    assert not output.exists()


@pytest.fixture
def without_runtime(qgis_process):
    away = qgis_process.runtime.with_name("cp00")
    qgis_process.runtime.rename(away)
    yield
    away.rename(qgis_process.runtime)


def test_without_onnxruntime_it_says_how_to_get_it(
    qgis_process, without_runtime, scenes, tiny_package, tmp_path
):
    assert "alise:embed" in qgis_process("list").stdout
    status = values(qgis_process("run", "alise:checkruntime"))["STATUS"]
    if "not installed" not in status:
        pytest.skip("the system's Python has an onnxruntime of its own")
    assert "cp00" in status
    result = qgis_process(
        "run",
        "alise:embed",
        "--",
        f"INPUT={scenes[0]}",
        f"MODEL={tiny_package}",
        f"OUTPUT={tmp_path / 'e.tif'}",
    )
    assert result.returncode != 0
    assert "alise:installruntime" in result.stderr + result.stdout
