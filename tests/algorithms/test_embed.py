import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal, osr

pytest.importorskip("onnxruntime")


@pytest.fixture
def parameters(series, tiny_package, tmp_path):
    return {"INPUT": [series], "MODEL": tiny_package, "OUTPUT": str(tmp_path / "embedding.tif")}


def test_a_series_becomes_an_embedding_raster(run, parameters):
    results = run("alise:embed", parameters)
    assert results["OUTPUT"] == parameters["OUTPUT"]
    assert results["DATES_USED"] == "2019-03-05, 2019-05-14, 2019-08-02"
    assert results["DEVICE_USED"] == "cpu"
    assert results["MODEL_ID"].startswith("tiny 0.0.1 ")
    dataset = gdal.Open(results["OUTPUT"])
    assert dataset.RasterCount == 640
    assert dataset.GetRasterBand(640).GetDescription() == "q09_d63"
    assert dataset.GetMetadataItem("ALISE_MODEL") == "tiny"
    assert np.isfinite(dataset.ReadAsArray()).all()


def test_one_raster_per_date_gives_the_same(run, parameters, scenes, tmp_path):
    run("alise:embed", parameters)
    other = {**parameters, "INPUT": scenes, "OUTPUT": str(tmp_path / "other.tif")}
    run("alise:embed", other)
    np.testing.assert_array_equal(
        *[gdal.Open(p["OUTPUT"]).ReadAsArray() for p in (parameters, other)]
    )


def test_an_extent_in_another_crs_is_the_same_pixels(run, parameters, tmp_path):
    run("alise:embed", parameters)
    whole = gdal.Open(parameters["OUTPUT"]).ReadAsArray()
    wgs84, utm = osr.SpatialReference(), osr.SpatialReference()
    wgs84.ImportFromEPSG(4326)
    wgs84.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    utm.ImportFromEPSG(32631)
    transform = osr.CoordinateTransformation(utm, wgs84)
    xmin, ymin, _ = transform.TransformPoint(600052, 4999902)
    xmax, ymax, _ = transform.TransformPoint(600118, 4999968)
    part = {
        **parameters,
        "EXTENT": f"{xmin},{xmax},{ymin},{ymax} [EPSG:4326]",
        "OUTPUT": str(tmp_path / "part.tif"),
    }
    run("alise:embed", part)
    dataset = gdal.Open(part["OUTPUT"])
    left, _, _, top, _, _ = dataset.GetGeoTransform()
    col, row = round((left - 600000) / 10), round((5000000 - top) / 10)
    assert 0 < col <= 5
    assert 0 < row <= 3
    assert dataset.RasterXSize < 12
    window = whole[:, row : row + dataset.RasterYSize, col : col + dataset.RasterXSize]
    np.testing.assert_allclose(dataset.ReadAsArray(), window, atol=1e-4)


def test_the_options_reach_the_work(run, parameters):
    results = run(
        "alise:embed",
        {
            **parameters,
            "DEVICE": "cpu",
            "THREADS": 1,
            "MEMORY": 1024,
            "TILE_SIZE": 16,
            "FORMAT": "int8",
        },
    )
    dataset = gdal.Open(results["OUTPUT"])
    band = dataset.GetRasterBand(1)
    assert band.DataType == gdal.GDT_Byte
    assert band.GetScale() not in (None, 1.0)


def test_dates_for_rasters_that_do_not_say(run, parameters, write_raster, pixels, tmp_path):
    paths = [write_raster(tmp_path / f"scene_{i}.tif", pixels(i)) for i in range(2)]
    dated = {**parameters, "INPUT": paths, "DATES": "2020-05-01, 2020-06-01"}
    assert run("alise:embed", dated)["DATES_USED"] == "2020-05-01, 2020-06-01"


def test_build_and_embed_inside_a_model(plugin, scenes, tiny_package, tmp_path):
    from qgis.core import (
        QgsProcessingContext,
        QgsProcessingFeedback,
        QgsProcessingModelAlgorithm,
        QgsProcessingModelChildAlgorithm,
        QgsProcessingModelChildParameterSource,
        QgsProcessingModelOutput,
    )

    static = QgsProcessingModelChildParameterSource.fromStaticValue
    model = QgsProcessingModelAlgorithm()
    build = QgsProcessingModelChildAlgorithm("alise:buildtimeseries")
    build.setChildId("build")
    build.addParameterSources("INPUT", [static(scenes)])
    model.addChildAlgorithm(build)
    embed = QgsProcessingModelChildAlgorithm("alise:embed")
    embed.setChildId("embed")
    embed.addParameterSources(
        "INPUT", [QgsProcessingModelChildParameterSource.fromChildOutput("build", "OUTPUT")]
    )
    embed.addParameterSources("MODEL", [static(tiny_package)])
    output = QgsProcessingModelOutput("embedding")
    output.setChildOutputName("OUTPUT")
    output.setChildId("embed")
    embed.setModelOutputs({"embedding": output})
    model.addChildAlgorithm(embed)
    model.updateDestinationParameters()
    path = str(tmp_path / "from_model.tif")
    destination = model.destinationParameterDefinitions()[0].name()
    _, fine = model.run({destination: path}, QgsProcessingContext(), QgsProcessingFeedback())
    assert fine
    assert gdal.Open(path).GetMetadataItem("ALISE_DATES") == "2019-03-05,2019-05-14,2019-08-02"


def refuse(run, refused, parameters, *says, feedback=None):
    with pytest.raises(refused) as caught:
        run("alise:embed", parameters, feedback=feedback)
    message = str(caught.value).strip()
    for text in says:
        assert text in message
    assert "\n" not in message
    assert "Traceback" not in message
    output = Path(parameters["OUTPUT"])
    if output.parent.is_dir():
        assert not [p for p in output.parent.iterdir() if p.name.startswith(output.stem)]


def broken_copy(package, folder, change):
    copy = Path(shutil.copytree(package, folder))
    change(copy)
    return str(copy)


def newer_schema(folder):
    description = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**description, "schema": 99}))


def altered(folder):
    path = folder / "temporal.onnx"
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (altered, "temporal.onnx"),
        (lambda folder: (folder / "spatial.onnx").unlink(), "spatial.onnx"),
        (lambda folder: (folder / "model.json").unlink(), "model.json"),
        (newer_schema, "99"),
    ],
    ids=["wrong hash", "missing graph", "no description", "newer schema"],
)
def test_a_damaged_model_is_refused(run, refused, parameters, tmp_path, change, says):
    parameters["MODEL"] = broken_copy(parameters["MODEL"], tmp_path / "model", change)
    refuse(run, refused, parameters, says)


def test_inputs_that_make_no_series(run, refused, parameters, write_raster, pixels, tmp_path):
    lone = write_raster(tmp_path / "undated.tif", pixels(0))
    refuse(run, refused, {**parameters, "INPUT": [lone]}, "undated.tif", "date")
    odd = write_raster(tmp_path / "20190101.tif", pixels(0, bands=3))
    refuse(run, refused, {**parameters, "INPUT": [odd]}, "20190101.tif", "3 bands")
    refuse(run, refused, {**parameters, "INPUT": [str(tmp_path / "no.tif")]}, "no.tif")
    refuse(run, refused, {**parameters, "INPUT": [odd], "DATES": "tomorrow"}, '"tomorrow"')


def test_an_extent_elsewhere(run, refused, parameters):
    refuse(run, refused, {**parameters, "EXTENT": "0,100,0,100 [EPSG:32631]"}, "extent")


def test_outputs_that_cannot_be(run, refused, parameters, tmp_path):
    refuse(run, refused, {**parameters, "OUTPUT": str(tmp_path / "e.png")}, "end in .tif")
    (tmp_path / "file").write_text("")
    path = str(tmp_path / "file" / "e.tif")
    refuse(run, refused, {**parameters, "OUTPUT": path}, "file")


def test_a_full_disk(run, refused, parameters):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    full = Path(parameters["OUTPUT"]).parent / "full"
    full.mkdir()
    limit = pytest.importorskip("resource")
    import signal

    before = limit.getrlimit(limit.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limit.setrlimit(limit.RLIMIT_FSIZE, (200_000, before[1]))
    try:
        refuse(run, refused, {**parameters, "OUTPUT": str(full / "e.tif")}, "e.tif")
    finally:
        limit.setrlimit(limit.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_machine_without_the_memory(run, refused, parameters, monkeypatch):
    def take_all(*args, **options):
        np.empty(1 << 60, np.uint8)

    monkeypatch.setattr("alise_plugin.model.encoder.SpatialFeatures", take_all)
    refuse(run, refused, parameters, "choose a smaller MEMORY")


def test_cancel_half_way(run, refused, parameters, feedback_that_cancels):
    refuse(
        run, refused, {**parameters, "TILE_SIZE": 16}, "cancelled", feedback=feedback_that_cancels
    )


def test_cuda_where_there_is_none_is_said(run, refused, parameters):
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    refuse(run, refused, {**parameters, "DEVICE": "cuda"}, "cuda")


def test_a_device_that_does_not_exist(run, refused, parameters):
    refuse(run, refused, {**parameters, "DEVICE": "abacus"}, "DEVICE")


def test_resume_and_cog_reach_the_work(run, parameters, tmp_path):
    plain = run("alise:embed", parameters)["OUTPUT"]
    other = {**parameters, "OUTPUT": str(tmp_path / "cog.tif"), "RESUME": True, "COG": True}
    dataset = gdal.Open(run("alise:embed", other)["OUTPUT"])
    assert dataset.GetMetadataItem("LAYOUT", "IMAGE_STRUCTURE") == "COG"
    np.testing.assert_array_equal(dataset.ReadAsArray(), gdal.Open(plain).ReadAsArray())
    assert not list(tmp_path.glob("*.blocks"))


def test_a_model_without_a_compact_form_is_said(run, refused, parameters):
    refuse(run, refused, {**parameters, "FORMAT": "compact"}, "has no compact form; choose")


def test_a_scene_of_the_series_is_not_written_over(run, refused, scenes, series, tiny_package):
    before = Path(scenes[0]).read_bytes()
    for given in ([series], scenes):
        with pytest.raises(refused, match="is also an input"):
            run("alise:embed", {"INPUT": given, "MODEL": tiny_package, "OUTPUT": scenes[0]})
    assert Path(scenes[0]).read_bytes() == before
