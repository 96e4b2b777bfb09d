"""The model file that ships with the plugin: build, build, detect change, zones."""

from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal, ogr, osr

pytest.importorskip("onnxruntime")
MODEL = "alise:changebetweenfolders"
MODELS = Path(__file__).resolve().parents[2] / "alise_plugin" / "resources" / "models"


def values(result):
    assert result.returncode == 0, result.stdout + result.stderr
    lines = [line.split(":\t", 1) for line in result.stdout.splitlines() if ":\t" in line]
    return {name.strip(): value.strip() for name, value in lines}


PLANTS = (300, 600, 400, 1000, 2500, 3000, 3200, 3300, 1800, 900)
SOIL = (900, 1200, 1500, 1800, 2000, 2200, 2400, 2500, 3000, 2600)


@pytest.fixture
def folders(tmp_path, write_raster):
    """Two years of scenes in two folders; a parcel of 8 x 8 pixels is bare in the second."""
    rng = np.random.default_rng(3)
    for name, year in (("before", 2019), ("after", 2020)):
        folder = tmp_path / name
        folder.mkdir()
        for month in (4, 6, 8):
            scene = np.repeat(PLANTS, 20 * 24).reshape(10, 20, 24)
            if name == "after":
                scene[:, 2:10, 5:13] = np.reshape(SOIL, (10, 1, 1))
            scene = scene + rng.integers(-40, 40, scene.shape)
            write_raster(folder / f"S2_{year}{month:02d}14.tif", scene.astype(np.uint16))
    return tmp_path


@pytest.fixture
def zones(tmp_path):
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(32631)
    source = ogr.GetDriverByName("GPKG").CreateDataSource(str(tmp_path / "zones.gpkg"))
    layer = source.CreateLayer("zones", reference, ogr.wkbPolygon)
    for col, row in ((5, 2), (15, 11)):
        x0, y1 = 600000 + 10 * col, 5000000 - 10 * row
        feature = ogr.Feature(layer.GetLayerDefn())
        ring = f"{x0} {y1}, {x0 + 80} {y1}, {x0 + 80} {y1 - 80}, {x0} {y1 - 80}, {x0} {y1}"
        feature.SetGeometry(ogr.CreateGeometryFromWkt(f"POLYGON(({ring}))"))
        layer.CreateFeature(feature)
    return str(tmp_path / "zones.gpkg")


def test_it_is_registered_with_what_it_gives(plugin):
    from qgis.core import QgsApplication

    model = QgsApplication.processingRegistry().createAlgorithmById(MODEL)
    assert [path.stem for path in MODELS.glob("*.model3")] == [MODEL.split(":")[1]]
    children = [child.algorithmId() for child in model.childAlgorithms().values()]
    assert sorted(children) == [
        "alise:buildtimeseries",
        "alise:buildtimeseries",
        "alise:detectchange",
    ]
    assert model.canExecute()[0]
    assert model.displayName() == "Change between two folders of scenes"
    assert model.shortDescription().endswith(".")
    assert len(model.shortHelpString()) > 100
    names = [definition.name() for definition in model.parameterDefinitions()]
    assert names[:4] == ["FOLDER_BEFORE", "FOLDER_AFTER", "ZONES", "MODEL"]  # as in the dialog
    assert len(model.destinationParameterDefinitions()) == 3


def test_it_runs_without_zones(plugin, folders):
    from qgis.core import QgsApplication, QgsProcessingContext, QgsProcessingFeedback

    model = QgsApplication.processingRegistry().createAlgorithmById(MODEL)
    distance = str(folders / "distance.tif")
    given = {"FOLDER_BEFORE": str(folders / "before"), "FOLDER_AFTER": str(folders / "after")}
    given["detect:Distance"] = distance
    context = QgsProcessingContext()
    assert model.checkParameterValues(given, context)[0]
    _, fine = model.run(given, context, QgsProcessingFeedback())
    assert fine
    assert np.isfinite(gdal.Open(distance).ReadAsArray()).all()


def test_it_runs_from_folders_to_zones(plugin, qgis_process, folders, zones):
    from qgis.core import QgsApplication

    model = QgsApplication.processingRegistry().createAlgorithmById(MODEL)
    outputs = {}
    for definition in model.destinationParameterDefinitions():
        suffix = "gpkg" if "one" in definition.name() else "tif"
        outputs[definition.name()] = str(folders / f"out_{len(outputs)}.{suffix}")
    found = values(
        qgis_process(
            "run",
            MODEL,
            f"--FOLDER_BEFORE={folders / 'before'}",
            f"--FOLDER_AFTER={folders / 'after'}",
            f"--ZONES={zones}",
            *[f"--{name}={path}" for name, path in outputs.items()],
        )
    )
    assert set(outputs.values()) <= set(found.values())
    rasters = {name: gdal.Open(path) for name, path in outputs.items() if path.endswith("tif")}
    for name, raster in rasters.items():
        array = raster.ReadAsArray()
        inside, outside = array[3:9, 6:12], array[11:19, 15:23]
        if "istance" in name:
            assert np.median(inside) > 2 * np.median(outside)
        else:
            assert set(np.unique(array)) <= {0, 1}
            assert inside.mean() > outside.mean()
    (path,) = [path for path in outputs.values() if path.endswith("gpkg")]
    source = ogr.Open(path)
    first, second = (feature.items() for feature in source.GetLayer(0))
    assert (first["rank"], second["rank"]) == (1, 2)
    assert first["dist_mean"] > 2 * second["dist_mean"]
    assert (first["changed"], second["changed"]) == (1, 0)
