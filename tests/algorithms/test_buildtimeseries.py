import re
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal

from tests.helpers.products import SIDE, stac_item, write_json, write_safe, write_theia, zipped

NRT = "sentinel2_cube_subset_romania_10m.nc"


def test_one_raster_per_date(run, scenes, tmp_path):
    output = str(tmp_path / "series.vrt")
    results = run("alise:buildtimeseries", {"INPUT": scenes, "OUTPUT": output})
    assert results == {
        "OUTPUT": output,
        "DATES": "2019-03-05, 2019-05-14, 2019-08-02",
        "COUNT": 3,
        "BANDS_MISSING": "",
        "PRODUCTS": 3,
        "LEFT_OUT": 0,
        "WARNINGS": "",
        "REPORT": "",
    }
    dataset = gdal.Open(output)
    assert dataset.RasterCount == 30
    assert dataset.GetRasterBand(11).GetDescription() == "2019-05-14 B02"


def test_a_folder_and_a_part_of_the_year(run, scenes, tmp_path):
    results = run(
        "alise:buildtimeseries",
        {
            "FOLDER": str(Path(scenes[0]).parent),
            "START": "2019-03-06",
            "END": "2019-07-31",
            "OUTPUT": str(tmp_path / "series.vrt"),
        },
    )
    assert results["DATES"] == "2019-05-14"


def test_dates_given_and_bands_missing(run, tmp_path, write_raster, pixels):
    names = ["B02", "B03", "B04", "B08"]
    paths = [
        write_raster(tmp_path / f"{i}.tif", pixels(i, bands=4), descriptions=names)
        for i in range(2)
    ]
    results = run(
        "alise:buildtimeseries",
        {
            "INPUT": paths,
            "DATES": "2020-01-02; 2020-02-03",
            "OUTPUT": str(tmp_path / "series.vrt"),
        },
    )
    assert results["COUNT"] == 2
    assert results["BANDS_MISSING"] == "B05, B06, B07, B8A, B11, B12"


def test_a_temporary_output_is_a_vrt_and_its_layer_has_a_name(run, plugin, scenes):
    from qgis.core import QgsProcessing, QgsProcessingContext, QgsProject

    context = QgsProcessingContext()
    project = QgsProject()
    context.setProject(project)
    from qgis.core import QgsProcessingOutputLayerDefinition

    definition = QgsProcessingOutputLayerDefinition(QgsProcessing.TEMPORARY_OUTPUT, project)
    results = run("alise:buildtimeseries", {"INPUT": scenes, "OUTPUT": definition}, context=context)
    assert results["OUTPUT"].endswith(".vrt")
    loaded = context.layersToLoadOnCompletion()[results["OUTPUT"]]
    assert loaded.name == "Image series 2019-03-05 to 2019-08-02"


def test_variables_of_a_netcdf_layer_are_one_file(plugin):
    from alise_plugin.algorithms.given import raster_file

    class Provider:
        def name(self):
            return "gdal"

    class Layer:
        def __init__(self, source):
            self.text = source

        def source(self):
            return self.text

        def dataProvider(self):
            return Provider()

    layers = ['NETCDF:"/data/cube 1.nc":B4', "NETCDF:/data/cube 1.nc:B3", "C:/a.tif|option:X=1"]
    files = [raster_file(Layer(text)) for text in layers]
    assert files == ["/data/cube 1.nc", "/data/cube 1.nc", "C:/a.tif"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"INPUT": []}, "No raster was given"),
        ({"INPUT": ["{folder}/nothing.tif"]}, "nothing.tif cannot be opened"),
        ({"INPUT": [], "FOLDER": "{empty}"}, "holds no raster"),
        ({"DATES": "2019-05-14, soon, 2019-07-01"}, '"soon" is not a date'),
        ({"DATES": "2019-13-45"}, '"2019-13-45" is not a date'),
        ({"DATES": "2019-05-14"}, "1 dates were given for 3 rasters"),
        ({"OUTPUT": "{empty}/series.tif"}, "let its name end in .vrt"),
        ({"OUTPUT": "{file}/series.vrt"}, "series.vrt"),
        ({"START": "2021-01-01"}, "2021-01-01"),
    ],
)
def test_bad_input_is_one_sentence_and_no_output(run, refused, scenes, tmp_path, change, says):
    empty = tmp_path / "empty"
    empty.mkdir()
    file = tmp_path / "file"
    file.write_text("no folder")
    places = {"folder": str(tmp_path), "empty": str(empty), "file": str(file)}
    parameters = {"INPUT": scenes, "OUTPUT": str(tmp_path / "series.vrt")}
    for name, value in change.items():
        parameters[name] = (
            [item.format(**places) for item in value]
            if isinstance(value, list)
            else value.format(**places)
        )
    with pytest.raises(refused) as caught:
        run("alise:buildtimeseries", parameters)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value).strip()
    assert not re.search(r"Traceback|Error:", str(caught.value))
    assert not list(tmp_path.glob("*.vrt*")) + list(empty.iterdir())


def test_rasters_that_do_not_fit_are_named(run, refused, tmp_path, write_raster, pixels):
    def refuse(paths, *says):
        with pytest.raises(refused) as caught:
            run("alise:buildtimeseries", {"INPUT": paths, "OUTPUT": str(tmp_path / "out.vrt")})
        for text in says:
            assert text in str(caught.value)
        assert "\n" not in str(caught.value).strip()
        assert not (tmp_path / "out.vrt").exists()

    first = write_raster(tmp_path / "20190514.tif", pixels(0))
    refuse([write_raster(tmp_path / "undated.tif", pixels(0))], "undated.tif", "date")
    other = tmp_path / "other"
    other.mkdir()
    second = write_raster(other / "20190514_again.tif", pixels(1))
    refuse([first, second], "20190514.tif", "20190514_again.tif")
    refuse([write_raster(tmp_path / "20190601.tif", pixels(2, bands=7))], "20190601.tif", "7 bands")
    refuse([write_raster(tmp_path / "20190602.tif", pixels(2), crs=None)], "20190602.tif", "CRS")
    far = write_raster(tmp_path / "20190603.tif", pixels(3), corner=(700000.0, 5000000.0))
    refuse([first, far], "20190603.tif", "overlap")
    other_zone = write_raster(tmp_path / "20190604.tif", pixels(3), crs=32632)
    refuse([first, other_zone], "20190604.tif", "overlap")


def test_a_web_layer_is_named(run, refused, tmp_path, plugin):
    from qgis.core import QgsRasterLayer

    web = QgsRasterLayer("type=xyz&url=http://127.0.0.1/{z}/{x}/{y}.png", "Web map", "wms")
    with pytest.raises(refused, match='The layer "Web map" is not a raster file'):
        run("alise:buildtimeseries", {"INPUT": [web], "OUTPUT": str(tmp_path / "s.vrt")})


def test_products_files_and_layers_together(run, tmp_path, scenes, write_raster, pixels):
    """A SAFE folder, a Theia zip, a STAC file and a raster, each as its parameter takes it."""
    write_safe(tmp_path / "folder", date(2019, 5, 14))
    theia = zipped(write_theia(tmp_path, date(2019, 5, 19)))
    item = write_json(tmp_path / "item.json", stac_item(tmp_path, date(2019, 5, 29)))
    raster = write_raster(tmp_path / "20190603.tif", pixels(1, height=24))
    results = run(
        "alise:buildtimeseries",
        {
            "INPUT": [raster],
            "FOLDER": str(tmp_path / "folder"),
            "FILES": [str(theia), item],
            "THEIA": "SRE",
            "OUTPUT": str(tmp_path / "series.vrt"),
            "REPORT": str(tmp_path / "report.html"),
        },
    )
    assert results["DATES"] == "2019-05-14, 2019-05-19, 2019-05-29, 2019-06-03"
    assert results["PRODUCTS"] == 4
    assert Path(results["REPORT"]).read_text(encoding="utf-8").count("data:image/png") == 4


def test_grid_filters_and_masks(run, tmp_path):
    import numpy as np

    scl = np.full((SIDE // 2, SIDE // 2), 4)
    scl[:6] = 9
    write_safe(tmp_path / "in", date(2019, 5, 14), scl=scl)
    write_safe(tmp_path / "in", date(2019, 6, 3))
    output = str(tmp_path / "series.vrt")
    parameters = {"FOLDER": str(tmp_path / "in"), "OUTPUT": output}
    results = run("alise:buildtimeseries", {**parameters, "MASK_CLOUDS": True})
    assert results["COUNT"] == 2
    seen = gdal.Open(output).ReadAsArray()[0] > 0
    assert not seen[:12].any()
    assert seen[12:].all()
    results = run("alise:buildtimeseries", {**parameters, "MAX_CLOUD": 20})
    assert results["DATES"] == "2019-06-03"
    assert results["LEFT_OUT"] == 1
    assert "one date only" in results["WARNINGS"]
    grid = {"CRS": "EPSG:32631", "RESOLUTION": 20, "EXTENT": "600040,600160,4999840,4999960"}
    run("alise:buildtimeseries", {**parameters, **grid})
    dataset = gdal.Open(output)
    assert dataset.GetGeoTransform() == (600040, 20, 0, 4999960, 0, -20)
    assert (dataset.RasterXSize, dataset.RasterYSize) == (6, 6)
    grid["EXTENT"] = "4.2730,4.2746,45.1450,45.1465 [EPSG:4326]"
    run("alise:buildtimeseries", {**parameters, **grid})
    assert 5 <= gdal.Open(output).RasterXSize <= 9


def test_a_stack_in_another_order(run, tmp_path, write_raster, pixels):
    path = write_raster(tmp_path / "stack.tif", pixels(3, bands=8))
    results = run(
        "alise:buildtimeseries",
        {
            "INPUT": [path],
            "DATES": "2019-05-14, 2019-06-03",
            "BAND_ORDER": "B02, B03, B04, B08",
            "STACK_ORDER": "band-major",
            "OUTPUT": str(tmp_path / "series.vrt"),
        },
    )
    assert results["COUNT"] == 2
    second = gdal.Open(results["OUTPUT"]).ReadAsArray()[16]  # B08 of the second date
    assert (second == pixels(3, bands=8)[7]).all()


def test_offset_and_scale_are_asked_for_and_taken(run, refused, tmp_path, write_raster, pixels):
    paths = [write_raster(tmp_path / f"2022030{n}.tif", pixels(n) + 1000) for n in (1, 2)]
    parameters = {"INPUT": paths, "OUTPUT": str(tmp_path / "series.vrt")}
    with pytest.raises(refused, match="give the offset"):
        run("alise:buildtimeseries", parameters)
    run("alise:buildtimeseries", {**parameters, "OFFSET": -0.1})
    dataset = gdal.Open(parameters["OUTPUT"])
    assert dataset.GetRasterBand(1).GetOffset() == -0.1
    run("alise:buildtimeseries", {**parameters, "OFFSET": 0, "SCALE": 0.0002})
    dataset = gdal.Open(parameters["OUTPUT"])
    assert dataset.GetRasterBand(1).GetScale() == 0.0002


def test_the_day_of_a_layer_counts_before_its_name(run, plugin, tmp_path, write_raster, pixels):
    from qgis.core import Qgis, QgsDateTimeRange, QgsProcessingContext, QgsProject, QgsRasterLayer
    from qgis.PyQt.QtCore import QDate, QDateTime, QTime

    path = write_raster(tmp_path / "20190603.tif", pixels(1))
    layer = QgsRasterLayer(path, "scene")
    properties = layer.temporalProperties()
    properties.setMode(Qgis.RasterTemporalMode.FixedTemporalRange)
    begin = QDateTime(QDate(2019, 5, 14), QTime(10, 50))
    properties.setFixedTemporalRange(QgsDateTimeRange(begin, begin.addSecs(60)))
    properties.setIsActive(True)
    project = QgsProject()
    project.addMapLayer(layer)
    context = QgsProcessingContext()
    context.setProject(project)
    parameters = {"INPUT": [layer.id()], "OUTPUT": str(tmp_path / "series.vrt")}
    assert run("alise:buildtimeseries", parameters, context=context)["DATES"] == "2019-05-14"
    properties.setIsActive(False)
    assert run("alise:buildtimeseries", parameters, context=context)["DATES"] == "2019-06-03"


def test_the_loaded_layer_has_a_temporal_range(run, plugin, scenes, tmp_path):
    from qgis.core import (
        QgsProcessingContext,
        QgsProcessingFeedback,
        QgsProcessingOutputLayerDefinition,
        QgsProject,
        QgsRasterLayer,
    )

    context, project = QgsProcessingContext(), QgsProject()
    context.setProject(project)
    definition = QgsProcessingOutputLayerDefinition(str(tmp_path / "s.vrt"), project)
    results = run("alise:buildtimeseries", {"INPUT": scenes, "OUTPUT": definition}, context=context)
    details = context.layersToLoadOnCompletion()[results["OUTPUT"]]
    layer = QgsRasterLayer(results["OUTPUT"], "series")
    details.postProcessor().postProcessLayer(layer, context, QgsProcessingFeedback())
    properties = layer.temporalProperties()
    assert properties.isActive()
    held = properties.fixedTemporalRange()
    assert held.begin().date().toString("yyyy-MM-dd") == "2019-03-05"
    assert held.end().date().toString("yyyy-MM-dd") == "2019-08-02"


def test_layers_that_show_a_part_of_a_product(plugin):
    from alise_plugin.algorithms.series_layers import whole_product

    parts = {
        "SENTINEL2_L2A:/data/S2A.SAFE/MTD_MSIL2A.xml:10m:EPSG_32631": "/data/S2A.SAFE",
        "SENTINEL2_L2A:/vsizip//data/a.zip/S2A.SAFE/MTD_MSIL2A.xml:20m:EPSG_32631": (
            "/vsizip//data/a.zip/S2A.SAFE"
        ),
        'ZARR:"/data/my cube.zarr":/B02:3': "/data/my cube.zarr",
        "/data/plain.tif": "/data/plain.tif",
        "/vsicurl/https://host/a.tif": "/vsicurl/https://host/a.tif",
    }
    for source, product in parts.items():
        assert whole_product(source) == product


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"FOLDER": "{folder}/l1c"}, "is a Level-1C product"),
        ({"FILES": ["{folder}/text.zip"]}, "is not a zip"),
        ({"FILES": ["{folder}/gone.zip"]}, "does not exist"),
        ({"MAX_CLOUD": 0, "MIN_VALID": 100}, None),
        ({"EXTENT": "0,10,0,10"}, "No raster overlaps the extent"),
        ({"EXTENT": "600000,600100,4999900,5000000 [EPSG:326]"}, "names no CRS that is known"),
        ({"CRS": "EPSG:326"}, "'EPSG:326' is no CRS"),
        ({"REPORT": "{folder}/report.txt"}, "let its name end in .html"),
    ],
)
def test_more_bad_input_is_one_sentence(run, refused, scenes, tmp_path, change, says):
    write_safe(tmp_path / "l1c", date(2019, 5, 14), level="MSIL1C")
    (tmp_path / "text.zip").write_text("hello")
    parameters = {"OUTPUT": str(tmp_path / "series.vrt")}
    if not {"FOLDER", "FILES"} & set(change):
        parameters["INPUT"] = scenes
    for name, value in change.items():
        if isinstance(value, list):
            value = [item.format(folder=tmp_path) for item in value]
        parameters[name] = value.format(folder=tmp_path) if isinstance(value, str) else value
    if says is None and "BAND_ORDER" not in change:
        assert run("alise:buildtimeseries", parameters)["COUNT"] == 3  # nothing is known of clouds
        return
    with pytest.raises(refused, match=says or "one name per band") as caught:
        run("alise:buildtimeseries", parameters)
    assert "\n" not in str(caught.value).strip()
    assert not (tmp_path / "series.vrt").exists()


def test_a_report_or_a_series_that_cannot_be_written_leaves_nothing(run, refused, scenes, tmp_path):
    (tmp_path / "file").write_text("no folder")
    for series, report in (("s.vrt", "file/r.html"), ("file/s.vrt", "r.html")):
        parameters = {"INPUT": scenes, "OUTPUT": str(tmp_path / series)}
        with pytest.raises(refused, match=r"cannot be written|file"):
            run("alise:buildtimeseries", {**parameters, "REPORT": str(tmp_path / report)})
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_cancelling_leaves_nothing(run, refused, scenes, tmp_path, feedback_that_cancels):
    output = tmp_path / "series.vrt"
    parameters = {"INPUT": scenes, "OUTPUT": str(output)}
    with pytest.raises(refused):
        run("alise:buildtimeseries", parameters, feedback=feedback_that_cancels)
    assert not list(tmp_path.iterdir())


def test_it_is_shown_in_natural_colour_on_a_clear_day(
    plugin, loaded, rendered, write_raster, tmp_path
):
    """Fields are green on the left, soil is red on the right; the first and last day are clouds."""
    from qgis.core import QgsRasterLayer

    folder = tmp_path / "scenes"
    folder.mkdir()
    for month, cloudy in ((4, True), (6, False), (8, True)):
        scene = np.full((10, 20, 24), 2500, np.uint16)
        scene[:3, :, :12] = np.reshape((300, 1500, 400), (3, 1, 1))
        scene[:3, :, 12:] = np.reshape((300, 600, 1800), (3, 1, 1))
        if cloudy:
            scene[:] = 7000
        write_raster(folder / f"S2_2019{month:02d}14.tif", scene)
    parameters = {"FOLDER": str(folder), "OUTPUT": str(tmp_path / "series.vrt")}
    by_toolbox = loaded("alise:buildtimeseries", parameters, "OUTPUT")
    by_hand = QgsRasterLayer(parameters["OUTPUT"], "dragged into QGIS")
    for layer in (by_toolbox["OUTPUT"], by_hand):
        assert layer.renderer().usesBands() == [13, 12, 11]
        picture = rendered(layer).astype(int)
        left, right = picture[5, 3], picture[5, 20]
        assert left[1] > left[0] + 60
        assert right[0] > right[1] + 60
        assert (picture[..., 2] < 60).all()
