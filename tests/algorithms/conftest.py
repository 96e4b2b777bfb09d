"""A QGIS in this process, and another through qgis_process, both with a profile of their own."""

import gc
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal, osr

from alise_plugin.sentinel2 import BANDS

ROOT = Path(__file__).resolve().parents[2]
qgis_core = pytest.importorskip("qgis.core", reason="QGIS is not installed")


@pytest.fixture(scope="session")
def profile(tmp_path_factory):
    """What QGIS_CUSTOM_CONFIG_PATH names: no test touches the user's profile."""
    return tmp_path_factory.mktemp("qgis")


@pytest.fixture(scope="session")
def plugin(profile, request):
    """The plugin, started as qgis_process starts it: without an interface."""
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    os.environ["QGIS_CUSTOM_CONFIG_PATH"] = str(profile)
    application = qgis_core.QgsApplication([], False)
    application.initQgis()
    from alise_plugin.plugin import AlisePlugin

    plugin = AlisePlugin(None)
    plugin.initProcessing()
    yield plugin
    plugin.unload()
    # QGIS closes every dataset of GDAL when it ends: those that the last test still holds would be
    # closed twice.
    for item in request.session.items:
        if getattr(item, "funcargs", None):
            item.funcargs.clear()
    gc.collect()
    application.exitQgis()


class Log(qgis_core.QgsProcessingFeedback):
    """Keeps what an algorithm says; cancels itself once `cancel_after` progress is reached."""

    def __init__(self, cancel_after=None):
        super().__init__(False)
        self.errors = []
        self.lines = []
        if cancel_after is not None:
            self.progressChanged.connect(
                lambda progress: self.cancel() if progress >= cancel_after else None
            )

    def reportError(self, error, fatalError=False):
        self.errors.append(error)

    def pushInfo(self, info):
        self.lines.append(info)

    def pushWarning(self, warning):
        self.lines.append(warning)


@pytest.fixture
def run(plugin):
    """Run an algorithm as the Toolbox does: check its parameters, then the work."""

    def run(algorithm_id, parameters, feedback=None, context=None):
        registry = qgis_core.QgsApplication.processingRegistry()
        algorithm = registry.createAlgorithmById(algorithm_id)
        context = context or qgis_core.QgsProcessingContext()
        feedback = feedback or Log()
        fine, message = algorithm.checkParameterValues(parameters, context)
        if not fine:
            raise qgis_core.QgsProcessingException(message)
        results, fine = algorithm.run(parameters, context, feedback)
        if not fine:
            raise qgis_core.QgsProcessingException("\n".join(feedback.errors))
        declared = {output.name() for output in algorithm.outputDefinitions()}
        assert set(results) == declared
        return results

    return run


@pytest.fixture
def loaded(run):
    """Run an algorithm and load some of its outputs as the Toolbox does: the layers by output."""

    def loaded(algorithm_id, parameters, *outputs):
        context = qgis_core.QgsProcessingContext()
        project = qgis_core.QgsProject()
        context.setProject(project)
        for name in outputs:
            details = qgis_core.QgsProcessingContext.LayerDetails(name, project, name)
            context.addLayerToLoadOnCompletion(parameters[name], details)
        run(algorithm_id, parameters, context=context)
        layers = {}
        for path, details in context.layersToLoadOnCompletion().items():
            layer = qgis_core.QgsProcessingUtils.mapLayerFromString(path, context)
            if details.postProcessor():
                details.postProcessor().postProcessLayer(layer, context, Log())
            layers[details.outputName] = layer
        layers["context"] = context  # which owns them
        return layers

    return loaded


@pytest.fixture
def rendered(plugin):
    """`(H, W, 3)` uint8: a layer as the map canvas paints it, one pixel of it in each, on white."""
    from qgis.PyQt.QtCore import QSize
    from qgis.PyQt.QtGui import QColor, QImage

    def rendered(layer, save=""):
        settings = qgis_core.QgsMapSettings()
        settings.setLayers([layer])
        settings.setDestinationCrs(layer.crs())
        settings.setBackgroundColor(QColor("white"))
        settings.setExtent(layer.extent())
        settings.setOutputSize(QSize(layer.width(), layer.height()))
        job = qgis_core.QgsMapRendererParallelJob(settings)
        job.start()
        job.waitForFinished()
        image = job.renderedImage().convertToFormat(QImage.Format.Format_RGB888)
        if save:
            image.save(save)
        bits = image.constBits()
        bits.setsize(image.sizeInBytes())
        lines = np.frombuffer(bits, np.uint8).reshape(image.height(), image.bytesPerLine())
        return lines[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()

    return rendered


@pytest.fixture(scope="session")
def refused():
    return qgis_core.QgsProcessingException


@pytest.fixture
def feedback_that_cancels():
    return Log(cancel_after=1)


@pytest.fixture(scope="session")
def write_raster():
    """Write a GeoTIFF of digital numbers (bands, H, W) in a UTM zone."""

    def write(path, values, *, corner=(600000.0, 5000000.0), crs=32631, descriptions=None):
        count, height, width = values.shape
        if descriptions is None:
            descriptions = BANDS if count == len(BANDS) else ()
        options = ["COMPRESS=DEFLATE"]
        dataset = gdal.GetDriverByName("GTiff").Create(
            str(path), width, height, count, gdal.GDT_UInt16, options
        )
        if crs:
            reference = osr.SpatialReference()
            reference.ImportFromEPSG(crs)
            dataset.SetProjection(reference.ExportToWkt())
        dataset.SetGeoTransform((corner[0], 10.0, 0.0, corner[1], 0.0, -10.0))
        for index, text in enumerate(descriptions):
            dataset.GetRasterBand(index + 1).SetDescription(text)
        dataset.WriteArray(values)
        dataset.FlushCache()
        return str(path)

    return write


def _pixels(seed, bands=10, height=20, width=24):
    return np.random.default_rng(seed).integers(200, 6000, (bands, height, width), np.uint16)


@pytest.fixture(scope="session")
def pixels():
    return _pixels


DATES = ("2019-03-05", "2019-05-14", "2019-08-02")


@pytest.fixture(scope="session")
def scenes(tmp_path_factory, write_raster):
    """One raster per date, with the date in its name."""
    folder = tmp_path_factory.mktemp("scenes")
    return [
        write_raster(folder / f"S2_{day.replace('-', '')}.tif", _pixels(index))
        for index, day in enumerate(DATES)
    ]


@pytest.fixture
def series(run, scenes, tmp_path):
    """An image series made by the algorithm itself."""
    output = str(tmp_path / "series.vrt")
    return run("alise:buildtimeseries", {"INPUT": scenes, "OUTPUT": output})["OUTPUT"]


def _qgis_process():
    # Debian 12 wraps it in a script that passes an option it does not know.
    return shutil.which("qgis_process.bin") or shutil.which("qgis_process")


@pytest.fixture(scope="session")
def qgis_process(tmp_path_factory, profile):
    """Call qgis_process with the plugin enabled and onnxruntime in its profile."""
    program = _qgis_process()
    if program is None:
        pytest.skip("qgis_process is not installed")
    onnxruntime = pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("process")
    plugins = folder / "plugins"
    plugins.mkdir()
    (plugins / "alise").symlink_to(ROOT)
    runtime = folder / "profiles" / "default" / "python" / "alise_runtime"
    runtime /= f"cp{sys.version_info.major}{sys.version_info.minor}"
    runtime.mkdir(parents=True)
    (runtime / "onnxruntime").symlink_to(Path(onnxruntime.__file__).parent)
    environment = {
        **os.environ,
        "QT_QPA_PLATFORM": "offscreen",
        "QGIS_PLUGINPATH": str(plugins),
        "QGIS_CUSTOM_CONFIG_PATH": str(folder),
        "PYTHONPATH": "",
    }

    def call(*arguments, **variables):
        return subprocess.run(
            [program, *arguments],
            env={**environment, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    enabled = call("plugins", "enable", "alise")
    assert enabled.returncode == 0, enabled.stderr
    call.runtime = runtime
    return call
