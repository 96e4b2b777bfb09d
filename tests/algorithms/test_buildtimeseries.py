import re
from pathlib import Path

import pytest
from osgeo import gdal

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
    from alise_plugin.algorithms.base import layer_sources

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
    assert layer_sources([Layer(text) for text in layers]) == ["/data/cube 1.nc", "C:/a.tif"]


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
