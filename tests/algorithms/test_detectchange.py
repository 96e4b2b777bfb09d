from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal, ogr, osr

qgis_core = pytest.importorskip("qgis.core")
pytest.importorskip("onnxruntime")

LATER = ("2020-04-01", "2020-06-20", "2020-08-30")
CORNER = (600000.0, 5000000.0)


@pytest.fixture(scope="session")
def later_scenes(tmp_path_factory, write_raster, pixels):
    """The year after, with other dates; the first four columns were not seen."""
    folder = tmp_path_factory.mktemp("later")
    paths = []
    for index, day in enumerate(LATER):
        values = pixels(20 + index)
        values[:, :, :4] = 0
        paths.append(write_raster(folder / f"S2_{day.replace('-', '')}.tif", values))
    return paths


@pytest.fixture
def later(run, later_scenes, tmp_path):
    output = str(tmp_path / "later.vrt")
    return run("alise:buildtimeseries", {"INPUT": later_scenes, "OUTPUT": output})["OUTPUT"]


@pytest.fixture
def parameters(series, later, tiny_package, tmp_path):
    (tmp_path / "out").mkdir()
    return {
        "BEFORE": [series],
        "AFTER": [later],
        "MODEL": tiny_package,
        "DISTANCE": str(tmp_path / "out" / "distance.tif"),
    }


def write_polygons(path, boxes, *, crs=32631, kind="Polygon"):
    """A layer of pixel rectangles (col, row, width, height) with an id; None has no geometry."""
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(crs)
    reference.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    utm = osr.SpatialReference()
    utm.ImportFromEPSG(32631)
    transform = osr.CoordinateTransformation(utm, reference)
    source = ogr.GetDriverByName("GPKG").CreateDataSource(str(path))
    layer = source.CreateLayer("zones", reference, getattr(ogr, f"wkb{kind}"))
    layer.CreateField(ogr.FieldDefn("id", ogr.OFTInteger))
    layer.CreateField(ogr.FieldDefn("rank", ogr.OFTString))  # a name that the output wants too
    for number, rectangle in enumerate(boxes):
        feature = ogr.Feature(layer.GetLayerDefn())
        feature.SetField("id", number)
        feature.SetField("rank", "first")
        if rectangle:
            col, row, width, height = rectangle
            x0, y1 = CORNER[0] + 10 * col, CORNER[1] - 10 * row
            x1, y0 = x0 + 10 * width, y1 - 10 * height
            wkt = f"POLYGON(({x0} {y0}, {x1} {y0}, {x1} {y1}, {x0} {y1}, {x0} {y0}))"
            if kind == "Point":
                wkt = f"POINT({x0} {y0})"
            geometry = ogr.CreateGeometryFromWkt(wkt)
            geometry.Transform(transform)
            feature.SetGeometry(geometry)
        layer.CreateFeature(feature)
    return str(path)


def rows_of(path):
    source = ogr.Open(path.split("|")[0])
    layer = source.GetLayer(0)
    return [feature.items() for feature in layer], layer.GetSpatialRef().GetAuthorityCode(None)


def test_two_years_become_a_distance(run, parameters, series, later, tiny_package, tmp_path):
    results = run("alise:detectchange", {**parameters, "ALIGN": "none"})
    assert results["DATES_BEFORE"] == "2019-03-05, 2019-05-14, 2019-08-02"
    assert results["DATES_AFTER"] == "2020-04-01, 2020-06-20, 2020-08-30"
    assert results["DEVICE_USED"] == "cpu"
    assert results["MODEL_ID"].startswith("tiny 0.0.1 ")
    assert (results["DATES_ENCODED"], results["DAYS_SHIFTED"]) == (6, 0)
    assert results["NOISE_FLOOR"] > 0
    for name in ("CHANGE", "EXPLANATION", "ZONES_OUTPUT", "THRESHOLD_USED", "CHANGED_AREA"):
        assert results[name] is None
    embeddings = []
    for name, source in (("one", series), ("two", later)):
        output = str(tmp_path / f"{name}.tif")
        run("alise:embed", {"INPUT": [source], "MODEL": tiny_package, "OUTPUT": output})
        embeddings.append(output)
    one, two = (gdal.Open(path).ReadAsArray() for path in embeddings)
    distance = gdal.Open(results["DISTANCE"]).ReadAsArray()
    lengths = np.sqrt((one**2).sum(0) * (two**2).sum(0))
    np.testing.assert_allclose(distance, 1 - (one * two).sum(0) / lengths, rtol=1e-3, atol=1e-5)
    assert np.isnan(distance[:, :4]).all()
    # The embedding rasters themselves give the same, and need no model.
    rasters = {"BEFORE": [embeddings[0]], "AFTER": [embeddings[1]]}
    again = run("alise:detectchange", {**rasters, "DISTANCE": str(tmp_path / "again.tif")})
    np.testing.assert_allclose(
        gdal.Open(again["DISTANCE"]).ReadAsArray(), distance, rtol=1e-3, atol=1e-7
    )
    assert again["MODEL_ID"] == results["MODEL_ID"]
    assert again["NOISE_FLOOR"] is None
    paper = {"METHOD": "alise", "DISTANCE": str(tmp_path / "paper.tif")}
    run("alise:detectchange", {**rasters, **paper})
    squares = gdal.Open(paper["DISTANCE"]).ReadAsArray()
    np.testing.assert_allclose(squares, ((one - two) ** 2).mean(0), rtol=1e-3, atol=1e-7)


def test_everything_at_once(run, parameters, tmp_path):
    out = tmp_path / "out"
    zones = write_polygons(tmp_path / "zones.gpkg", [(5, 2, 8, 8), (14, 9, 6, 6), None])
    results = run(
        "alise:detectchange",
        {
            **parameters,
            "THRESHOLD": "quantile",
            "THRESHOLD_VALUE": 0.75,
            "CHANGE": str(out / "change.tif"),
            "EXPLANATION": str(out / "why.tif"),
            "ZONES": zones,
            "ZONES_OUTPUT": str(out / "changed.gpkg"),
            "ZONE_SHARE": 0.2,
            "TILE_SIZE": 16,
        },
    )
    assert results["DAYS_SHIFTED"] == -365
    distance = gdal.Open(results["DISTANCE"]).ReadAsArray()
    codes = gdal.Open(results["CHANGE"]).ReadAsArray()
    known = np.isfinite(distance)
    assert results["CHANGED_SHARE"] == pytest.approx((codes == 1).sum() / known.sum())
    assert results["CHANGED_AREA"] == pytest.approx(100 * (codes == 1).sum(), rel=1e-3)
    assert results["THRESHOLD_USED"] == pytest.approx(np.quantile(distance[known], 0.75), rel=1e-4)
    why = gdal.Open(results["EXPLANATION"])
    assert why.RasterCount == 15
    np.testing.assert_allclose(why.ReadAsArray()[:10].sum(0)[known], 1, rtol=1e-4)
    rows, _ = rows_of(results["ZONES_OUTPUT"])
    first, second, none = rows
    inside = distance[2:10, 5:13]
    assert first["pixels"] == 64
    assert first["dist_mean"] == pytest.approx(inside.mean(), rel=1e-4)
    assert first["dist_med"] == pytest.approx(np.median(inside), rel=1e-4)
    share = (inside > results["THRESHOLD_USED"]).mean()
    assert first["share_chg"] == pytest.approx(share)
    assert first["changed"] == int(share >= 0.2)
    assert {first["rank_2"], second["rank_2"]} == {1, 2}
    assert (first["id"], first["rank"]) == (0, "first")
    assert (none["pixels"], none["dist_mean"], none["changed"]) == (0, None, None)


def test_zones_in_another_crs_keep_it(run, parameters, tmp_path):
    plain = write_polygons(tmp_path / "plain.gpkg", [(5, 2, 8, 8)])
    degrees = write_polygons(tmp_path / "degrees.gpkg", [(5, 2, 8, 8)], crs=4326)
    found = []
    for zones in (plain, degrees):
        output = str(tmp_path / f"out_{Path(zones).name}")
        run("alise:detectchange", {**parameters, "ZONES": zones, "ZONES_OUTPUT": output})
        found.append(rows_of(output))
    assert [crs for _, crs in found] == ["32631", "4326"]
    assert found[0][0][0]["dist_mean"] == pytest.approx(found[1][0][0]["dist_mean"], rel=1e-6)


def test_two_periods_of_one_series(run, parameters, scenes, later_scenes, tmp_path):
    both = str(tmp_path / "both.vrt")
    run("alise:buildtimeseries", {"INPUT": scenes + later_scenes, "OUTPUT": both})
    two = run("alise:detectchange", parameters)
    expected = gdal.Open(two["DISTANCE"]).ReadAsArray()
    one = {
        **{key: value for key, value in parameters.items() if key != "AFTER"},
        "BEFORE": [both],
        "BEFORE_END": "2019-12-31",
        "AFTER_START": "2020-01-01",
    }
    results = run("alise:detectchange", one)
    assert results["DATES_AFTER"] == two["DATES_AFTER"]
    np.testing.assert_allclose(
        gdal.Open(results["DISTANCE"]).ReadAsArray(), expected, rtol=1e-3, atol=1e-7
    )
    # Overlapping periods share their acquisitions.
    overlapping = {**one, "BEFORE_END": "2020-07-01", "AFTER_START": "2019-05-01"}
    assert run("alise:detectchange", overlapping)["DATES_ENCODED"] == 6


def test_rasters_of_one_date_each(run, parameters, scenes, later_scenes):
    expected = gdal.Open(run("alise:detectchange", parameters)["DISTANCE"]).ReadAsArray()
    plain = {**parameters, "BEFORE": scenes, "AFTER": later_scenes}
    got = gdal.Open(run("alise:detectchange", plain)["DISTANCE"]).ReadAsArray()
    np.testing.assert_array_equal(got, expected)


def test_the_baseline_needs_no_model(run, parameters):
    results = run("alise:detectchange", {**parameters, "METHOD": "gapfilled", "THRESHOLD": "noise"})
    dataset = gdal.Open(results["DISTANCE"])
    assert "reflectance" in dataset.GetMetadataItem("ALISE_UNIT")
    assert (results["MODEL_ID"], results["DATES_ENCODED"]) == ("", 0)
    assert results["THRESHOLD_USED"] > 0


def test_a_threshold_from_unchanged_areas(run, parameters, tmp_path):
    stable = write_polygons(tmp_path / "stable.gpkg", [(5, 2, 10, 10)], crs=4326)
    results = run(
        "alise:detectchange",
        {**parameters, "THRESHOLD": "unchanged", "UNCHANGED": stable, "FALSE_ALARM": 0.1},
    )
    inside = gdal.Open(results["DISTANCE"]).ReadAsArray()[2:12, 5:15]
    assert (inside > results["THRESHOLD_USED"]).sum() == 10


def test_swapped_years_are_said(run, parameters, feedback_that_cancels):
    log = type(feedback_that_cancels)()
    swapped = {**parameters, "BEFORE": parameters["AFTER"], "AFTER": parameters["BEFORE"]}
    run("alise:detectchange", swapped, feedback=log)
    assert any("AFTER begins on 2019-03-05, before BEFORE (2020-04-01)" in t for t in log.lines)


def refuse(run, refused, parameters, *says, feedback=None):
    with pytest.raises(refused) as caught:
        run("alise:detectchange", parameters, feedback=feedback)
    message = str(caught.value).strip()
    for text in says:
        assert text in message
    assert "\n" not in message
    assert "Traceback" not in message
    assert list(Path(parameters["DISTANCE"]).parent.iterdir()) == []


def test_the_toolbox_shows_them_with_their_styles(loaded, rendered, parameters, tmp_path):
    out = tmp_path / "out"
    more = {"CHANGE": str(out / "change.tif"), "EXPLANATION": str(out / "why.tif")}
    given = {**parameters, **more, "THRESHOLD": "quantile", "THRESHOLD_VALUE": 0.7}
    # What an older raster of that name was shown with.
    (out / "distance.qml").write_text(
        "<qgis><pipe><rasterrenderer type='paletted' band='1'/></pipe></qgis>"
    )
    layers = loaded("alise:detectchange", given, "DISTANCE", *more)
    distance = gdal.Open(given["DISTANCE"]).ReadAsArray()
    known = np.isfinite(distance)
    renderer = layers["DISTANCE"].renderer()
    assert renderer.type() == "singlebandpseudocolor"
    ends = [renderer.classificationMin(), renderer.classificationMax()]
    assert ends == pytest.approx(np.quantile(distance[known], (0.02, 0.98)).tolist(), rel=1e-4)
    picture = rendered(layers["DISTANCE"]).astype(float)
    assert (picture[~known] == 255).all()
    assert picture[known][..., 1].std() > 20
    classes = layers["CHANGE"].renderer().classes()
    assert [(int(c.value), c.label) for c in classes] == [(0, "unchanged"), (1, "changed")]
    codes, picture = gdal.Open(given["CHANGE"]).ReadAsArray(), rendered(layers["CHANGE"])
    assert (picture[codes == 1] == (215, 25, 28)).all()
    assert (picture[codes == 0] == (225, 225, 225)).all()
    assert layers["EXPLANATION"].renderer().type() == "singlebandpseudocolor"
    (band,) = layers["EXPLANATION"].renderer().usesBands()
    assert gdal.Open(given["EXPLANATION"]).GetRasterBand(band).GetDescription() == "top_query"


def test_outputs_that_would_overwrite_inputs(run, refused, parameters, tmp_path):
    from qgis.core import QgsProcessingFeatureSourceDefinition

    zones = write_polygons(tmp_path / "zones.gpkg", [(5, 2, 8, 8)])
    for given in (zones, QgsProcessingFeatureSourceDefinition(zones)):
        wrong = {**parameters, "ZONES": given, "ZONES_OUTPUT": zones}
        refuse(run, refused, wrong, "zones.gpkg is also an input")
    stable = {"UNCHANGED": zones, "THRESHOLD": "unchanged", "ZONES": zones, "ZONES_OUTPUT": zones}
    refuse(run, refused, {**parameters, **stable}, "zones.gpkg is also an input")
    same = {"THRESHOLD": "otsu", "CHANGE": parameters["DISTANCE"]}
    refuse(run, refused, {**parameters, **same}, "as two outputs")
    assert len(rows_of(zones)[0]) == 1


def test_zones_replace_no_other_layers(run, refused, parameters, tmp_path):
    zones = write_polygons(tmp_path / "zones.gpkg", [(5, 2, 8, 8)])
    output = str(tmp_path / "project.gpkg")
    gdal.VectorTranslate(output, zones, layerName="roads")
    given = {**parameters, "ZONES": zones, "ZONES_OUTPUT": output}
    refuse(run, refused, given, "project.gpkg holds other layers (roads)")
    table = f"ogr:dbname='{output}' table=\"changed\" (geom)"
    run("alise:detectchange", {**given, "ZONES_OUTPUT": table})
    source = ogr.Open(output)
    assert [source.GetLayer(index).GetName() for index in range(2)] == ["roads", "changed"]
    for _ in range(2):  # what a run has written, the next replaces
        given["ZONES_OUTPUT"] = str(tmp_path / "changed.gpkg")
        run("alise:detectchange", given)


def test_zones_without_an_output_are_said(run, parameters, tmp_path):
    class Warned(qgis_core.QgsProcessingFeedback):
        def pushWarning(self, text):
            said.append(text)

    said = []
    zones = write_polygons(tmp_path / "zones.gpkg", [(5, 2, 8, 8)])
    run("alise:detectchange", {**parameters, "ZONES": zones}, feedback=Warned(False))
    assert any("ZONES_OUTPUT is empty" in text for text in said)


def test_zones_become_a_temporary_layer(run, parameters, tmp_path):
    zones = write_polygons(tmp_path / "zones.gpkg", [(5, 2, 8, 8)])
    context = qgis_core.QgsProcessingContext()
    destination = qgis_core.QgsProcessingOutputLayerDefinition(
        "TEMPORARY_OUTPUT", qgis_core.QgsProject.instance()
    )
    given = {**parameters, "ZONES": zones, "ZONES_OUTPUT": destination}
    results = run("alise:detectchange", given, context=context)
    assert list(context.layersToLoadOnCompletion()) == [results["ZONES_OUTPUT"]]


@pytest.mark.parametrize(
    ("field", "values", "name"),
    [
        ("fid:integer", (7, 8), "fid"),
        ("fid:integer", (7, 7), "fid_2"),
        ("fid:double", (7.5, 8.5), "fid_2"),
        ("geom:string", ("a", "b"), "geom_2"),
    ],
)
def test_zones_keep_what_a_geopackage_names_otherwise(
    run, parameters, tmp_path, field, values, name
):
    path = write_polygons(tmp_path / "zones.gpkg", [(5, 2, 8, 8), (14, 9, 3, 3)])
    zones = qgis_core.QgsVectorLayer(f"Polygon?crs=EPSG:32631&field={field}", "zones", "memory")
    for feature, value in zip(qgis_core.QgsVectorLayer(path).getFeatures(), values):
        feature.setAttributes([value])
        zones.dataProvider().addFeature(feature)
    project = qgis_core.QgsProject()
    project.addMapLayer(zones)
    context = qgis_core.QgsProcessingContext()
    context.setProject(project)
    output = str(tmp_path / "out" / "zones.gpkg")
    given = {**parameters, "ZONES": zones.id(), "ZONES_OUTPUT": output}
    run("alise:detectchange", given, context=context)
    written = qgis_core.QgsVectorLayer(output).getFeatures()
    assert [(row[name], row["pixels"]) for row in written] == [(values[0], 64), (values[1], 9)]


def test_an_invalid_zone_has_its_pixels(run, parameters, tmp_path):
    """Where the user's setting is to stop at one, QGIS's exception would end QGIS."""
    path = write_polygons(tmp_path / "zones.gpkg", [(5, 2, 8, 8)])
    source = ogr.Open(path, 1)
    feature = source.GetLayer(0).GetNextFeature()
    x, y = CORNER[0] + 50, CORNER[1] - 20  # a bow tie of two triangles
    corners = ((0, 0), (80, 80), (80, 0), (0, 80), (0, 0))
    ring = ", ".join(f"{x + east} {y - south}" for east, south in corners)
    feature.SetGeometry(ogr.CreateGeometryFromWkt(f"POLYGON(({ring}))"))
    source.GetLayer(0).SetFeature(feature)
    del feature, source
    context = qgis_core.QgsProcessingContext()
    checks = qgis_core.QgsFeatureRequest.InvalidGeometryCheck
    context.setInvalidGeometryCheck(checks.GeometryAbortOnInvalid)
    output = str(tmp_path / "out" / "zones.gpkg")
    zones = {"ZONES": path, "ZONES_OUTPUT": output, "UNCHANGED": path, "THRESHOLD": "unchanged"}
    run("alise:detectchange", {**parameters, **zones}, context=context)
    assert 24 <= rows_of(output)[0][0]["pixels"] <= 40


def test_zones_that_are_edited_during_the_run(run, parameters, tmp_path, feedback_that_cancels):
    path = write_polygons(tmp_path / "zones.gpkg", [(5, 2, 8, 8), (14, 9, 3, 3)])
    layer = qgis_core.QgsVectorLayer(path, "zones")
    project = qgis_core.QgsProject()
    project.addMapLayer(layer)
    context = qgis_core.QgsProcessingContext()
    context.setProject(project)
    log = type(feedback_that_cancels)()
    log.progressChanged.connect(lambda _: layer.dataProvider().deleteFeatures([1]))
    output = str(tmp_path / "out" / "zones.gpkg")
    given = {**parameters, "ZONES": layer.id(), "ZONES_OUTPUT": output}
    run("alise:detectchange", given, feedback=log, context=context)
    assert layer.featureCount() == 1
    assert [(row["id"], row["pixels"]) for row in rows_of(output)[0]] == [(0, 64), (1, 9)]


def test_a_cancelled_run_leaves_nothing(run, refused, parameters, feedback_that_cancels):
    refuse(run, refused, parameters, "cancelled", feedback=feedback_that_cancels)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"AFTER": []}, ["AFTER is empty", "BEFORE_START"]),
        (
            {"AFTER": [], "BEFORE_END": "2019-06-01"},
            ["AFTER is empty and AFTER_START and AFTER_END are too"],
        ),
        (
            {"AFTER_START": "2021-01-01"},
            ["AFTER: later.vrt", "from 2021-01-01", "2020-04-01, 2020-06-20, 2020-08-30"],
        ),
        (
            {"BEFORE_START": "2019-08-01", "BEFORE_END": "2019-03-01"},
            ["BEFORE_START (2019-08-01) is after BEFORE_END (2019-03-01)"],
        ),
        ({"THRESHOLD": "value"}, ['"value" needs a number']),
        ({"THRESHOLD": "value", "THRESHOLD_VALUE": ""}, ['"value" needs a number']),
        ({"THRESHOLD": "value", "THRESHOLD_VALUE": qgis_core.NULL}, ['"value" needs a number']),
        ({"THRESHOLD": "value", "THRESHOLD_VALUE": -2}, ["-2 is no distance"]),
        ({"THRESHOLD": "quantile", "THRESHOLD_VALUE": 95}, ["quantile 95 is outside its range"]),
        ({"THRESHOLD": "mixture", "FALSE_ALARM": 5}, ["false-alarm rate 5 is outside its range"]),
        ({"THRESHOLD": "unchanged"}, ["known to be stable"]),
        ({"ZONE_SHARE": 50}, ["ZONE_SHARE is 50; give a number above 0 and up to 1"]),
        ({"CHANGE": "change.tif"}, ["needs a threshold"]),
        ({"CHANGE": "change.shp", "THRESHOLD": "otsu"}, ["change.shp", ".tif"]),
        ({"ZONES_OUTPUT": "zones.gpkg"}, ["ZONES_OUTPUT needs polygons"]),
        ({"METHOD": "gapfilled", "EXPLANATION": "why.tif"}, ["leave the explanation out"]),
        ({"BEFORE": ["nowhere.tif"]}, ["nowhere.tif cannot be opened"]),
        ({"AFTER": ["nowhere.tif"]}, ["nowhere.tif cannot be opened"]),
        ({"EXTENT": "0,10,0,10 [EPSG:32631]"}, ["does not overlap"]),
    ],
    ids=lambda value: "" if isinstance(value, list) else " ".join(map(str, value)),
)
def test_a_mistake_is_one_sentence(run, refused, parameters, changes, says):
    out = Path(parameters["DISTANCE"]).parent
    changes = {
        key: str(out / value) if key in ("CHANGE", "EXPLANATION", "ZONES_OUTPUT") else value
        for key, value in changes.items()
    }
    refuse(run, refused, {**parameters, **changes}, *says)


@pytest.mark.parametrize("kind", ["Point", "Polygon"])
def test_a_zone_layer_without_polygons(run, refused, parameters, tmp_path, kind):
    boxes = [(5, 5, 2, 2)] if kind == "Point" else []
    layer = write_polygons(tmp_path / "layer.gpkg", boxes, kind=kind)
    output = {"ZONES_OUTPUT": str(tmp_path / "out" / "zones.gpkg")}
    refuse(
        run, refused, {**parameters, **output, "ZONES": layer}, "ZONES", "layer", "has no polygons"
    )
    stable = {"UNCHANGED": layer, "THRESHOLD": "unchanged"}
    refuse(run, refused, {**parameters, **stable}, "UNCHANGED", "has no polygons")


def test_series_that_do_not_meet(run, refused, parameters, write_raster, pixels, tmp_path):
    far = write_raster(tmp_path / "S2_20200501.tif", pixels(7), corner=(700000.0, 5000000.0))
    refuse(run, refused, {**parameters, "AFTER": [far]}, "does not overlap series.vrt")


def test_a_year_that_is_empty_in_the_extent(run, refused, parameters):
    # Its first four columns were never seen.
    extent = {"EXTENT": "600000,600040,4999850,4999950 [EPSG:32631]"}
    refuse(run, refused, {**parameters, **extent}, "later.vrt has no value in the extent")


def test_embeddings_of_two_models(run, refused, parameters, series, later, tmp_path):
    paths = []
    for name, source, model in (("one", series, parameters["MODEL"]), ("two", later, "")):
        output = str(tmp_path / f"{name}.tif")
        run("alise:embed", {"INPUT": [source], "MODEL": model, "OUTPUT": output})
        paths.append(output)
    rasters = {**parameters, "BEFORE": [paths[0]], "AFTER": [paths[1]]}
    refuse(run, refused, rasters, "one.tif was made by tiny", "alise-s2", "one model")
    refuse(
        run,
        refused,
        {**rasters, "AFTER": [paths[0]], "BEFORE_START": "2019-01-01"},
        "one.tif is an embedding raster, of which no days can be chosen",
    )
    refuse(run, refused, {**rasters, "AFTER": [later]}, "one.tif is an embedding raster and")
    refuse(run, refused, {**rasters, "METHOD": "gapfilled"}, "no reflectance to gap-fill")
