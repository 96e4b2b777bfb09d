import numpy as np
import pytest
from osgeo import gdal, ogr, osr

from alise_plugin.errors import HeadError, LabelsError
from alise_plugin.feedback import SilentFeedback
from alise_plugin.mapping.embedding.embed import embed
from alise_plugin.mapping.features.embedding_raster import EmbeddingRaster
from alise_plugin.mapping.features.tiling import TileBudget
from alise_plugin.mapping.labels.layers import Legend
from alise_plugin.mapping.labels.legend import class_list, legend_of, parse_color
from alise_plugin.mapping.labels.places import merge_places
from alise_plugin.mapping.labels.read import (
    bounds_around,
    read_mask,
    read_raster_labels,
    read_vector_labels,
)
from alise_plugin.mapping.samples.draw import draw_samples
from alise_plugin.mapping.samples.samples import LabelledSource, SampleDesign
from alise_plugin.sits.grid import Grid
from tests.helpers.features import features_from, labelled_with, packed
from tests.helpers.labelled_region import (
    CODES,
    moved,
    region,
    square,
    write_class_raster,
    write_layer,
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    from tests.helpers.fake_encoder import FakeEncoder

    found = region(tmp_path_factory.mktemp("samples") / "data")
    found.encoder = FakeEncoder()
    embedding = str(tmp_path_factory.mktemp("samples") / "embedding.tif")
    embed(features_from(found.series, found.encoder), embedding)
    found.embedding = EmbeddingRaster(embedding)
    found.vectors = read_vector_labels(found.labels, "code")
    return found


def draw(pairs, encoder, **options):
    _, values = class_list([pair.labels for pair in pairs])
    standard = {"design": SampleDesign(), "budget": TileBudget()}
    chosen = {**standard, **packed(options, design=True)}
    return draw_samples(labelled_with(encoder, pairs), values, feedback=SilentFeedback(), **chosen)


def test_features_are_those_of_the_labelled_pixels(place):
    got = draw([LabelledSource(place.series, place.vectors)], place.encoder, per_area=1000)
    features = place.embedding.read(place.embedding.grid.window)
    inside = np.zeros(place.truth.shape, bool)
    for row, col in place.cells:
        inside[row * 10 + 1 : row * 10 + 9, col * 10 + 1 : col * 10 + 9] = True
    assert len(got.target) == inside.sum()
    assert len(np.unique(got.group)) == len(place.cells)
    for kind in range(3):
        mine = features[:, inside & (place.truth == kind)].T
        theirs = got.features[got.target == kind]
        order = [np.lexsort(v.T[::-1].round(4)) for v in (mine, theirs)]
        np.testing.assert_allclose(theirs[order[1]], mine[order[0]], atol=1e-4)


@pytest.mark.parametrize("options", [{"tile_size": 16}, {"tile_size": 48}, {"memory_mb": 300}])
def test_the_choice_depends_on_neither_tiles_nor_memory(place, options):
    pairs = [LabelledSource(place.series, place.vectors)]
    whole = draw(pairs, place.encoder, per_area=3)
    other = draw(pairs, place.encoder, per_area=3, **options)
    np.testing.assert_array_equal(whole.target, other.target)
    np.testing.assert_allclose(whole.features, other.features, atol=1e-5)
    assert len(whole.target) == 3 * 72
    different = draw(pairs, place.encoder, per_area=3, seed=1)
    assert not np.allclose(whole.features, different.features)


def test_only_tiles_with_labels_are_encoded(place, tmp_path):
    path = write_layer(
        tmp_path / "two.gpkg", [square(2, 2, 3, 3), square(80, 70, 3, 3)], code=[1, 2]
    )
    labels = read_vector_labels(path, "code")
    place.encoder.reads.clear()
    draw([LabelledSource(place.series, labels)], place.encoder)
    read = sum(height * width for height, width in place.encoder.reads) / 4
    assert read < 0.5 * place.truth.size


def test_memory_limits_the_samples(place):
    pairs = [LabelledSource(place.embedding, place.vectors)]
    few = draw(pairs, None, per_area=64, memory_mb=0.5)  # room for 3472 samples of 6 features
    assert len(few.target) == 48 * 72
    assert "room for 48 pixels of an area" in few.warnings[0]
    least = draw(pairs, None, per_area=64, memory_mb=0.007)
    assert len(least.target) <= 48
    assert "of 72 areas" in least.warnings[0]


def test_pixels_of_two_classes_are_left_out(place, tmp_path):
    shapes = [square(0, 0, 10, 10), square(5, 0, 10, 10), square(40, 40, 5, 5)]
    labels = read_vector_labels(write_layer(tmp_path / "o.gpkg", shapes, code=[1, 2, 2]), "code")
    got = draw([LabelledSource(place.embedding, labels)], None, per_area=1000)
    assert len(got.target) == 50 + 50 + 25
    assert "50 pixels" in got.warnings[0]
    assert len(np.unique(got.group)) == 2  # the two that lie on one another are one place
    between = [square(0, 0, 10, 10)] * 3 + [square(20, 0, 5, 5), square(40, 40, 5, 5)]
    path = write_layer(tmp_path / "b.gpkg", between, code=[1, 2, 1, 1, 2])
    labels = read_vector_labels(path, "code")
    got = draw([LabelledSource(place.embedding, labels)], None, per_area=1000)
    assert len(got.target) == 25 + 25


def test_areas_smaller_than_a_pixel_count_once(place, tmp_path):
    shapes = [square(3.1, 3.1, 0.3, 0.3), square(20.6, 20.6, 0.2, 0.3)]
    labels = read_vector_labels(write_layer(tmp_path / "s.gpkg", shapes, code=[1, 2]), "code")
    assert len(draw([LabelledSource(place.embedding, labels)], None).target) == 2


def test_a_field_of_two_years_is_one_place(place, tmp_path):
    shifted = [square(c * 10 + 2, r * 10 + 2, 7, 7) for r, c in place.cells]
    pairs = [moved(shape, 4326) for shape in shifted]
    path = write_layer(
        tmp_path / "next.gpkg",
        [shape for shape, _ in pairs],
        pairs[0][1],
        code=[CODES[kind] for kind in place.kinds],
    )
    after = read_vector_labels(path, "code")
    one, two = merge_places([place.vectors, after], place.series.grid.crs_wkt)
    np.testing.assert_array_equal(one, two)
    assert len(set(one.tolist())) == 72
    neighbours = read_vector_labels(
        write_layer(tmp_path / "n.gpkg", [square(0, 0, 5, 5), square(5, 0, 5, 5)], code=[1, 2]),
        "code",
    )
    (numbers,) = merge_places([neighbours], place.series.grid.crs_wkt)
    assert len(set(numbers.tolist())) == 2  # a common border is no overlap


def test_a_polygon_is_in_one_block(place):
    pairs = [LabelledSource(place.embedding, place.vectors)]
    got = draw(pairs, None, per_area=1000, validation="blocks", block_size=70)
    whole = draw(pairs, None, per_area=1000)
    for polygon in np.unique(whole.group):
        assert len(np.unique(got.group[whole.group == polygon])) == 1
    assert 1 < len(np.unique(got.group)) <= 72


def test_label_rasters_of_another_grid(place, tmp_path):
    codes = np.array(CODES)[place.truth]
    codes[:, :20] = 0
    path = write_class_raster(tmp_path / "c.tif", codes, place.path)
    warped = str(tmp_path / "w.tif")
    gdal.Warp(warped, path, dstSRS="EPSG:3035", resampleAlg="near", dstNodata=0)
    got = draw(
        [LabelledSource(place.embedding, read_raster_labels(warped))],
        None,
        per_area=5,
        block_size=100,
    )
    assert set(got.target.tolist()) == {0, 1, 2}
    assert "blocks of 100 m" in got.warnings[0]
    exact = draw([LabelledSource(place.embedding, read_raster_labels(path))], None, per_area=10_000)
    assert len(exact.target) == codes.size - codes[:, :20].size


def test_a_class_without_any_value_is_named(series, encoder, tmp_path):
    shapes = [square(2, 2, 4, 4), square(30, 30, 5, 5)]  # the first ten columns have no date
    labels = read_vector_labels(write_layer(tmp_path / "e.gpkg", shapes, code=[7, 8]), "code")
    with pytest.raises(LabelsError, match='class "7" has a value'):
        draw([LabelledSource(series, labels)], encoder)
    far = [*shapes[:1], square(500, 500, 4, 4)]
    labels = read_vector_labels(write_layer(tmp_path / "f.gpkg", far, code=[7, 8]), "code")
    with pytest.raises(LabelsError, match='only "7" has a pixel'):
        draw([LabelledSource(series, labels)], encoder)


def test_sources_of_two_models_are_refused(place, tmp_path):
    from tests.helpers.fake_encoder import FakeEncoder

    other = FakeEncoder()
    other.package.sha256 = "5" * 64
    pairs = [
        LabelledSource(place.embedding, place.vectors),
        LabelledSource(place.series, place.vectors),
    ]
    with pytest.raises(HeadError, match="use one model"):
        draw(pairs, other)
    other.package.sha256 = place.encoder.package.sha256
    other.package.n_queries += 1
    with pytest.raises(HeadError, match=r"holds \d+ features per pixel and .*in one form"):
        draw(pairs, other)


def test_classes_of_layers_are_joined(place, tmp_path):
    texts = read_vector_labels(place.labels, "crop")
    with pytest.raises(LabelsError, match="numbers in one and text in another"):
        class_list([place.vectors, texts])
    many = [
        read_vector_labels(
            write_layer(
                tmp_path / f"{start}.gpkg",
                [square(n, 0, 1, 1) for n in range(200)],
                code=list(range(start, start + 200)),
            ),
            "code",
        )
        for start in (0, 200)
    ]
    with pytest.raises(LabelsError, match="400 classes together"):
        class_list(many)
    classes, values = class_list([many[0]])
    assert [item.code for item in classes] == values == list(range(200))
    assert len({item.color for item in classes}) > 150


@pytest.mark.parametrize(
    ("text", "color"),
    [("#A0c83C", "#a0c83c"), ("160,200, 60", "#a0c83c"), ("160,200,60,255", "#a0c83c"),
     ("#ffa0c83c", "#a0c83c")],
)  # fmt: skip
def test_colours(text, color):
    assert parse_color(text, "COLOR") == color


@pytest.mark.parametrize("text", ["red", "#12", "300,0,0", "1,2"])
def test_no_colours(text):
    with pytest.raises(LabelsError, match="is not a colour"):
        parse_color(text, "COLOR")


def test_rasters_that_are_no_labels(place, tmp_path):
    many = write_class_raster(tmp_path / "m.tif", np.arange(7200).reshape(80, 90), place.path)
    with pytest.raises(LabelsError, match="more than 250 different values"):
        read_raster_labels(many)
    half = write_class_raster(
        tmp_path / "h.tif", np.full((80, 90), 1.5), place.path, dtype=gdal.GDT_Float32
    )
    with pytest.raises(LabelsError, match=r"holds 1\.5"):
        read_raster_labels(half)
    empty = write_class_raster(tmp_path / "e.tif", np.zeros((80, 90), int), place.path)
    with pytest.raises(LabelsError, match="holds no label"):
        read_raster_labels(empty)
    dataset = gdal.Open(empty)
    assert legend_of(dataset.GetRasterBand(1)).names == {}


def test_a_code_that_no_raster_holds(tmp_path):
    path = write_layer(tmp_path / "b.gpkg", [square(0, 0, 5, 5)], code=[33010101000])
    with pytest.raises(LabelsError, match="text field"):
        read_vector_labels(path, "code")


def test_codes_that_no_raster_holds_together(tmp_path):
    shapes = [square(0, 0, 5, 5), square(9, 0, 5, 5)]
    path = write_layer(tmp_path / "b.gpkg", shapes, code=[-1, 3301010101])
    with pytest.raises(LabelsError, match="from -1 to 3301010101"):
        class_list([read_vector_labels(path, "code")])


@pytest.mark.parametrize(
    ("kinds", "codes"),
    [
        (["10", "2", "03"], [(2, "2"), (3, "03"), (10, "10")]),
        (["1", "01", "2"], [(1, "01"), (2, "1"), (3, "2")]),
        (["33010101000", "2", "3"], [(1, "2"), (2, "3"), (3, "33010101000")]),
    ],
)
def test_texts_that_are_numbers_are_codes_where_they_can_be(tmp_path, kinds, codes):
    shapes = [square(10 * i + 1, 1, 6, 6) for i in range(3)]
    path = write_layer(tmp_path / "l.gpkg", shapes, kind=kinds)
    classes, values = class_list([read_vector_labels(path, "kind")])
    assert [(item.code, item.name) for item in classes] == codes
    assert values == [name for _, name in codes]


def test_a_class_of_several_names_is_mentioned(place, tmp_path):
    shapes = [square(10 * i + 1, 1, 6, 6) for i in range(4)]
    farms = ["Miller", "Baker", "Smith", "Smith"]
    path = write_layer(tmp_path / "l.gpkg", shapes, code=[1, 1, 2, 2], farm=farms)
    labels = read_vector_labels(path, "code", "farm")
    notes = draw([LabelledSource(place.embedding, labels)], None).warnings
    assert [note for note in notes if '"farm" of l.gpkg has several names for a class: "1"' in note]
    assert not read_vector_labels(path, "farm", "code").warnings


def test_files_of_several_layers_and_of_none(tmp_path):
    path = write_layer(tmp_path / "l.gpkg", [square(0, 0, 5, 5)], code=[1])
    source = ogr.Open(path, 1)
    styles = source.CreateLayer("layer_styles", None, ogr.wkbNone)
    del styles, source
    assert read_vector_labels(path, "code").values == [1]
    source = ogr.Open(path, 1)
    other = source.CopyLayer(source.GetLayer(0), "other")
    feature = other.GetNextFeature()
    feature.SetField("code", 2)
    other.SetFeature(feature)
    del feature, other, source
    with pytest.raises(LabelsError, match=r"layers labels, other; .*\|layername=labels"):
        read_vector_labels(path, "code")
    assert read_vector_labels(f"{path}|layername=other", "code").values == [2]
    assert read_mask(f"{path}|layername=labels").values == [1]
    with pytest.raises(LabelsError, match="holds the layers"):
        read_vector_labels(f"{path}|layername=third", "code")
    table = tmp_path / "t.csv"
    table.write_text("code,name\n1,a\n")
    with pytest.raises(LabelsError, match=r"t\.csv is a table without geometries"):
        read_vector_labels(str(table), "code")


def test_zeros_of_a_raster_that_states_no_nodata_are_mentioned(place, tmp_path):
    codes = np.zeros((80, 90), int)
    codes[:30], codes[30:50] = 1, 2
    path = write_class_raster(tmp_path / "c.tif", codes, place.path)
    assert not read_raster_labels(path).warnings
    raster = gdal.Open(path, gdal.GA_Update)
    raster.GetRasterBand(1).DeleteNoDataValue()
    del raster
    samples = draw([LabelledSource(place.series, read_raster_labels(path))] * 2, place.encoder)
    assert [note for note in samples.warnings if "c.tif states no nodata value" in note]
    assert len(set(samples.warnings)) == len(samples.warnings)


def test_names_are_found_however_they_are_written(tmp_path):
    shapes = [square(10 * i + 1, 1, 6, 6) for i in range(4)]
    kinds, names = ["maïs", "maïs", "wheat", "wheat"], [None, "corn", None, " "]
    path = write_layer(tmp_path / "l.gpkg", shapes, kind=kinds, called=names)
    classes, _ = class_list([read_vector_labels(path, "kind", "called")])
    assert [item.name for item in classes] == ["corn", "wheat"]


def test_a_class_that_lies_under_another_is_named(place, tmp_path):
    shapes = [square(1, 1, 6, 6), square(1, 1, 6, 6), square(30, 30, 6, 6)]
    path = write_layer(tmp_path / "two.gpkg", shapes, kind=["wheat", "maize", "maize"])
    labels = read_vector_labels(path, "kind")
    with pytest.raises(LabelsError, match='class "wheat" also lies in an area of another class'):
        draw([LabelledSource(place.series, labels)], place.encoder)


def test_blanks_around_names_are_no_part_of_them(place, tmp_path):
    shapes = [square(10 * i + 1, 1, 6, 6) for i in range(3)]
    path = write_layer(tmp_path / "l.gpkg", shapes, kind=["Wald", "Wald ", " maize"])
    classes, _ = class_list([read_vector_labels(path, "kind")])
    assert [item.name for item in classes] == ["Wald", "maize"]
    codes = write_layer(tmp_path / "codes.gpkg", shapes, code=[1, 2, 2])
    style = Legend({1: " Wald ", 2: "maize"})
    classes, _ = class_list([read_vector_labels(codes, "code")], [style])
    assert [item.name for item in classes] == ["Wald", "maize"]


def test_areas_of_two_classes_on_one_another(place, tmp_path):
    same = [square(10, 10, 5, 5)] * 2
    labels = read_vector_labels(write_layer(tmp_path / "two.gpkg", same, code=[1, 2]), "code")
    says = (
        r"of two\.gpkg hold no pixel centre of series\.vrt that is clearly of one class; draw .* or"
    )
    with pytest.raises(LabelsError, match=says):
        draw([LabelledSource(place.series, labels)], place.encoder)


def test_a_geopackage_without_a_crs(tmp_path):
    """Some versions of GDAL say that it has an undefined one, which counts as degrees."""
    source = ogr.GetDriverByName("GPKG").CreateDataSource(str(tmp_path / "bare.gpkg"))
    layer = source.CreateLayer("labels", None, ogr.wkbPolygon)
    layer.CreateField(ogr.FieldDefn("code", ogr.OFTInteger))
    del layer, source
    with pytest.raises(LabelsError, match=r"bare\.gpkg has no CRS; assign"):
        read_vector_labels(str(tmp_path / "bare.gpkg"), "code")


def a_country(place, path, epsg=None):
    """The fields of the region among parcels of 400 other crops far from it."""
    far = [square(5_000 + 30 * n, 4_000, 20, 20) for n in range(400)]
    shapes, crs = [*place.polygons, *far], None
    if epsg:
        moves = [moved(shape, epsg) for shape in shapes]
        shapes, crs = [shape for shape, _ in moves], moves[0][1]
    codes = [CODES[kind] for kind in place.kinds] + [1000 + n for n in range(400)]
    return write_layer(path, shapes, crs, code=codes)


@pytest.mark.parametrize("epsg", [None, 4326, 3035])
def test_of_a_country_only_the_labels_nearby_are_read(place, tmp_path, epsg):
    path = a_country(place, tmp_path / "country.gpkg", epsg)
    with pytest.raises(LabelsError, match="403 different values, more than the 250"):
        read_vector_labels(path, "code")
    near = read_vector_labels(path, "code", around=[place.series.grid])
    assert list(near.values) == list(place.vectors.values)  # in their order
    assert sorted(near.classes()) == sorted(CODES)
    assert len(near.geometries) == len(place.polygons)
    whole = draw([LabelledSource(place.series, place.vectors)], place.encoder)
    part = draw([LabelledSource(place.series, near)], place.encoder)
    np.testing.assert_array_equal(part.target, whole.target)


def test_labels_near_any_of_several_grids_are_read(place, tmp_path):
    path = a_country(place, tmp_path / "country.gpkg")
    left, dx, _, top, _, dy = place.series.grid.geotransform
    aside = (left + dx * 5_000, dx, 0.0, top + dy * 4_000, 0.0, dy)
    other = Grid(place.series.grid.crs_wkt, aside, 60, 60)
    found = read_vector_labels(path, "code", around=[other])
    assert set(found.classes()) == {1000, 1001, 1002}  # the third touches it
    both = read_vector_labels(path, "code", around=[place.series.grid, other])
    assert set(both.classes()) >= {*CODES, 1000, 1001}


def test_where_no_label_is_near_all_are_read_so_that_the_mistake_is_named(place, tmp_path):
    far = write_layer(tmp_path / "far.gpkg", [square(900, 900, 9, 9)] * 2, code=[1, 2])
    labels = read_vector_labels(far, "code", around=[place.series.grid])
    assert len(labels.geometries) == 2
    with pytest.raises(LabelsError, match=r"far\.gpkg and series\.vrt do not overlap"):
        draw([LabelledSource(place.series, labels)], place.encoder)


def test_a_box_that_is_not_sure_to_hold_the_grids_is_none(place):
    grid = place.series.grid
    degrees = crs_of(4326)
    west, south, east, north = bounds_around([grid], degrees)
    assert west < east
    assert south < north
    assert bounds_around([], degrees) is None
    # Fiji: the zone of UTM ends at 180 degrees
    across = Grid(crs_of(32760), (700_000.0, 10.0, 0.0, 8_000_000.0, 0.0, -10.0), 20_000, 100)
    assert bounds_around([across], degrees) is None
    # no place on the disk of a geostationary satellite over the equator at 0 degrees
    assert bounds_around([across], GEOSTATIONARY) is None


GEOSTATIONARY = 'PROJCS["g",GEOGCS["w",DATUM["D",SPHEROID["S",6378137,298.257]],PRIMEM["G",0],\
UNIT["degree",0.0174532925199433]],PROJECTION["Geostationary_Satellite"],\
PARAMETER["central_meridian",0],PARAMETER["satellite_height",35785831],UNIT["metre",1]]'


def crs_of(epsg):
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(epsg)
    return reference.ExportToWkt()
