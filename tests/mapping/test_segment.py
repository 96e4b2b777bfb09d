import os
import tempfile
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from osgeo import gdal, ogr

from alise_plugin.errors import Cancelled, HeadError, LabelsError, OutputError
from alise_plugin.feedback import SilentFeedback
from alise_plugin.mapping.embedding.embed import embed
from alise_plugin.mapping.features.embedding_raster import EmbeddingRaster
from alise_plugin.mapping.labels.layers import Legend
from alise_plugin.mapping.labels.legend import legend_of
from alise_plugin.mapping.labels.read import read_mask, read_raster_labels, read_vector_labels
from alise_plugin.mapping.learning.train_classifier import train_classifier
from alise_plugin.mapping.maps.neighbourhood import MapOptions, remove_small_patches
from alise_plugin.mapping.maps.segment import ClassMapOutputs, segment
from alise_plugin.mapping.samples.samples import LabelledSource
from alise_plugin.model.heads.class_head import Head
from alise_plugin.sits.build import build_series
from alise_plugin.sits.grid import Grid
from tests.helpers.features import features_from, labelled_with, map_classes
from tests.helpers.labelled_region import (
    CLASSES,
    CODES,
    COLORS,
    features_of,
    map_codes,
    region,
    square,
    write_class_raster,
    write_layer,
)
from tests.helpers.rasters import TRANSFORM, days, utm, write_raster

pytest.importorskip("onnxruntime")
pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    from tests.helpers.fake_encoder import FakeEncoder

    folder = tmp_path_factory.mktemp("region")
    found = region(folder / "data")
    found.encoder = FakeEncoder()
    labels = read_vector_labels(found.labels, "code", "crop", "color")
    found.head_path = str(folder / "head.onnx")
    found.trained = train_classifier(
        labelled_with(found.encoder, [LabelledSource(found.series, labels)]), found.head_path
    )
    found.head = Head(found.head_path)
    return found


def mapped(place, path, **arguments):
    options = MapOptions(**arguments.pop("options", {}))
    return map_classes(place.series, place.encoder, place.head, path, options=options, **arguments)


def test_fields_come_back(place, tmp_path):
    result = mapped(place, tmp_path / "map.tif")
    codes = map_codes(tmp_path / "map.tif")
    assert codes.dtype == np.uint8
    assert (codes == np.array(CODES)[place.truth]).mean() > 0.93
    for row, code in zip(result.areas, CODES):
        assert row.pixels == (codes == code).sum()
        # The scale factor of UTM is 0.9996 on its central meridian and grows away from it.
        assert row.square_metres == pytest.approx(100 * row.pixels, rel=2e-3)


def test_the_raster_carries_its_legend(place, tmp_path):
    mapped(place, tmp_path / "map.tif")
    dataset = gdal.Open(str(tmp_path / "map.tif"))
    band = dataset.GetRasterBand(1)
    assert band.GetNoDataValue() == 0
    assert [band.GetCategoryNames()[code] for code in CODES] == list(CLASSES)
    assert band.GetColorTable().GetColorEntry(40)[:3] == (10, 90, 20)
    style = (tmp_path / "map.qml").read_text(encoding="utf-8")
    assert 'value="40"' in style
    assert COLORS[2] in style
    items = dataset.GetMetadata()
    assert items["ALISE_MODEL_SHA256"] == place.encoder.package.sha256
    assert items["ALISE_HEAD"] == "head.onnx"
    assert len(items["ALISE_HEAD_SHA256"]) == 64


OPTIONS = {
    "none": {},
    "bayes": {"smoothing": "bayes", "window": 5},
    "majority": {"smoothing": "majority", "window": 5, "unknown": 0.6},
    "sieve": {"minimum_area": 1200.0},
    "all": {"smoothing": "bayes", "window": 7, "minimum_area": 900.0, "unknown": 0.5},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_neither_tiles_nor_memory_show(place, tmp_path, name, monkeypatch):
    from alise_plugin.mapping.maps import neighbourhood as module

    files = ("map.tif", "confidence.tif", "probabilities.tif")
    maps = {}
    for key, tile_size, sides in (
        ("whole", None, (512, 16)),
        ("tiles", 16, (16,)),
        ("odd", 48, (32,)),
    ):
        monkeypatch.setattr(module, "_SIDES", sides)
        folder = tmp_path / key
        folder.mkdir()
        result = mapped(
            place,
            folder / files[0],
            options=OPTIONS[name],
            tile_size=tile_size,
            confidence=folder / files[1],
            probabilities=folder / files[2],
            vector=folder / "map.gpkg",
        )
        maps[key] = [gdal.Open(str(folder / file)).ReadAsArray() for file in files]
        maps[key].append(np.array([row.square_metres for row in result.areas]))
        assert sorted(p.name for p in folder.iterdir() if p.name.startswith(".")) == []
        assert not list(folder.glob("*partial*"))
    for key in ("tiles", "odd"):
        np.testing.assert_array_equal(maps[key][0], maps["whole"][0])
        np.testing.assert_allclose(maps[key][1], maps["whole"][1], atol=1e-3)
        assert np.abs(maps[key][2].astype(int) - maps["whole"][2].astype(int)).max() <= 2
        np.testing.assert_allclose(maps[key][3], maps["whole"][3], rtol=1e-9)


def noisy(place):
    """The same region seen through more noise, so that there is something to smooth."""
    return region(Path(place.path).parent.parent / "noisy", noise=900.0)


@pytest.mark.parametrize(
    "helping", [OPTIONS["bayes"], {"smoothing": "majority", "window": 5}, OPTIONS["sieve"]]
)
def test_neighbours_help_where_pixels_are_noisy(place, tmp_path, helping):
    worse = noisy(place)
    truth = np.array(CODES)[worse.truth]
    scores = []
    for options in ({}, helping):
        path = tmp_path / f"{len(scores)}.tif"
        segment(
            features_from(worse.series, place.encoder),
            place.head,
            ClassMapOutputs(path),
            options=MapOptions(**options),
        )
        scores.append((map_codes(path) == truth).mean())
    assert scores[0] < 0.93
    assert scores[1] > scores[0] + 0.03


def test_small_patches_are_gone(place, tmp_path):
    worse = noisy(place)
    path, vector = tmp_path / "map.tif", tmp_path / "map.gpkg"
    options = MapOptions(minimum_area=2000.0)  # 20 pixels
    segment(
        features_from(worse.series, place.encoder),
        place.head,
        ClassMapOutputs(path, vector=vector),
        options=options,
    )
    assert min(feature["area_m2"] for feature in features_of(vector)) >= 1990


def test_patches_among_small_patches_are_gone_too(place, tmp_path):
    """A map of nothing but speckle, in which no patch has a large neighbour."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, len(CODES), (60, 70))
    season = np.random.default_rng(99).uniform(800, 4000, (4, 10, len(CODES)))  # as in `region`
    paths = [
        write_raster(tmp_path / f"S2_{day:%Y%m%d}.tif", level[:, truth].astype(np.uint16))
        for day, level in zip(days(4, step=60), season)
    ]
    speckle = build_series(paths, tmp_path / "series.vrt", scale=1e-4, offset=0.0)
    sizes = {}
    for least in (0.0, 1500.0):
        vector = tmp_path / f"{least:g}.gpkg"
        options = MapOptions(minimum_area=least)
        path = tmp_path / f"{least:g}.tif"
        segment(
            features_from(speckle, place.encoder),
            place.head,
            ClassMapOutputs(path, vector=vector),
            options=options,
        )
        sizes[least] = np.array([feature["area_m2"] for feature in features_of(vector)])
    assert np.median(sizes[0.0]) < 500
    assert sizes[1500.0].min() >= 1490
    assert sizes[1500.0].sum() == pytest.approx(sizes[0.0].sum(), rel=1e-6)


def test_single_pixels_are_gone_where_they_lie_among_single_pixels(tmp_path):
    """In speckle that pixels without a value cut into strips."""
    numbers = np.random.default_rng(2).integers(0, 3, (60, 70)).astype(np.int32)
    numbers[:, ::3] = 255
    grid = Grid(utm().ExportToWkt(), TRANSFORM, 70, 60)
    stored = SimpleNamespace(classes=lambda window: (None, numbers[window.slices_in(grid.window)]))
    windows = grid.window.squares(32)
    options = MapOptions(minimum_area=150.0)
    given = (windows, str(tmp_path), grid, grid.window, options, SilentFeedback())
    left = remove_small_patches(stored, *given).read(grid.window)
    assert ((left == 255) == (numbers == 255)).all()
    around = np.pad(left, 1, constant_values=-1)
    beside = [around[1:-1, :-2], around[1:-1, 2:], around[:-2, 1:-1], around[2:, 1:-1]]
    assert np.logical_or.reduce([other == left for other in beside])[left != 255].all()


def test_the_smallest_patch_may_be_larger_than_the_map(place, tmp_path):
    mapped(place, tmp_path / "map.tif", options={"minimum_area": 1e15})
    assert set(np.unique(map_codes(tmp_path / "map.tif"))) <= set(CODES)


def test_confidence_and_probabilities(place, tmp_path):
    paths = [tmp_path / name for name in ("map.tif", "confidence.tif", "probabilities.tif")]
    mapped(place, paths[0], confidence=paths[1], probabilities=paths[2])
    codes = map_codes(paths[0])
    dataset = gdal.Open(str(paths[2]))
    assert [dataset.GetRasterBand(i + 1).GetDescription() for i in range(3)] == list(CLASSES)
    shares = dataset.ReadAsArray() * dataset.GetRasterBand(1).GetScale()
    np.testing.assert_allclose(shares.sum(0), 1, atol=2e-4)
    np.testing.assert_array_equal(np.array(CODES)[shares.argmax(0)], codes)
    probability, entropy = gdal.Open(str(paths[1])).ReadAsArray()
    np.testing.assert_allclose(probability, shares.max(0), atol=1e-4)
    expected = -(shares * np.log(np.maximum(shares, 1e-12))).sum(0) / np.log(3)
    np.testing.assert_allclose(entropy, expected, atol=2e-3)


def test_unknown_pixels_are_named_and_counted(place, tmp_path):
    worse = noisy(place)
    path, confidence = tmp_path / "map.tif", tmp_path / "confidence.tif"
    result = segment(
        features_from(worse.series, place.encoder),
        place.head,
        ClassMapOutputs(path, confidence=confidence),
        options=MapOptions(unknown=0.7),
    )
    probability = gdal.Open(str(confidence)).ReadAsArray()[0]
    np.testing.assert_array_equal(map_codes(path) == 255, probability < 0.7)
    assert result.areas[-1].item.name == "unclassified"
    assert result.areas[-1].pixels == (probability < 0.7).sum() > 0
    dataset = gdal.Open(str(path))
    assert legend_of(dataset.GetRasterBand(1)).names[255] == "unclassified"


@pytest.mark.parametrize("codes", [(0, 3301010101, 2**32 - 3), (-(2**31), 0, 2**31 - 3)])
def test_any_codes_that_fit_32_bits_leave_room_for_unclassified(place, tmp_path, codes):
    kinds = [codes[kind] for kind in place.kinds]
    names = [CLASSES[kind] for kind in place.kinds]
    path = write_layer(tmp_path / "codes.gpkg", place.polygons, code=kinds, crop=names)
    labels = read_vector_labels(path, "code", "crop")
    head = tmp_path / "head.onnx"
    train_classifier(labelled_with(place.encoder, [LabelledSource(place.series, labels)]), head)
    output = tmp_path / "map.tif"
    segment(
        features_from(noisy(place).series, place.encoder),
        Head(head),
        ClassMapOutputs(output),
        options=MapOptions(unknown=0.7),
        mask=read_mask(write_layer(tmp_path / "mask.gpkg", [square(0, 0, 60, 60)])),
    )
    dataset = gdal.Open(str(output))
    band = dataset.GetRasterBand(1)
    legend = legend_of(band)
    (unknown,) = (code for code, name in legend.names.items() if name == "unclassified")
    assert {code: legend.names[code] for code in codes} == dict(zip(codes, CLASSES))
    found = {int(code) for code in np.unique(map_codes(output))}
    assert found == {*codes, unknown, int(band.GetNoDataValue())}
    assert len(found) == 5


def test_a_mask_limits_the_map(place, tmp_path):
    mask_path = write_layer(tmp_path / "mask.gpkg", [square(12, 7, 20, 31), square(60, 60, 5, 5)])
    path, vector = tmp_path / "map.tif", tmp_path / "map.gpkg"
    place.encoder.reads.clear()
    result = mapped(place, path, mask=read_mask(mask_path), tile_size=16, vector=vector)
    inside = np.zeros(place.truth.shape, bool)
    inside[7:38, 12:32] = inside[60:65, 60:65] = True
    np.testing.assert_array_equal(map_codes(path) > 0, inside)
    assert sum(row.pixels for row in result.areas) == inside.sum()
    assert len(place.encoder.reads) < 4 * 30 * 0.6  # what the mask leaves out is not encoded
    total = sum(feature["area_m2"] for feature in features_of(vector))
    assert total == pytest.approx(sum(row.square_metres for row in result.areas))


def test_an_extent_does_not_change_what_is_inside(place, tmp_path):
    whole, part = tmp_path / "whole.tif", tmp_path / "part.tif"
    options = OPTIONS["bayes"]
    mapped(place, whole, options=options)
    left, _, _, top, _, _ = place.series.grid.geotransform
    extent = (left + 230, top - 510, left + 610, top - 120)
    mapped(place, part, options=options, extent=extent)
    np.testing.assert_array_equal(map_codes(part), map_codes(whole)[12:51, 23:61])


def test_polygons_hold_class_area_and_confidence(place, tmp_path):
    path, confidence, vector = (tmp_path / n for n in ("map.tif", "c.tif", "polygons.gpkg"))
    result = mapped(place, path, confidence=confidence, vector=vector)
    codes, probability = map_codes(path), gdal.Open(str(confidence)).ReadAsArray()[0]
    names = dict(zip(CODES, CLASSES))
    for row in result.areas:
        features = [f for f in features_of(vector) if f["code"] == row.item.code]
        assert {feature["class"] for feature in features} == {names[row.item.code]}
        areas = np.array([feature["area_m2"] for feature in features])
        assert areas.sum() == pytest.approx(row.square_metres)
        assert [f["area_ha"] for f in features] == pytest.approx((areas / 1e4).tolist())
        mean = (areas * [f["confidence"] for f in features]).sum() / areas.sum()
        assert mean == pytest.approx(probability[codes == row.item.code].mean(), abs=1e-4)
    assert 'attr="code"' in (tmp_path / "polygons.qml").read_text()


def test_an_embedding_raster_gives_the_same_map(place, tmp_path):
    embedding = tmp_path / "embedding.tif"
    embed(features_from(place.series, place.encoder), embedding)
    mapped(place, tmp_path / "one.tif")
    segment(
        features_from(EmbeddingRaster(embedding)), place.head, ClassMapOutputs(tmp_path / "two.tif")
    )
    np.testing.assert_array_equal(map_codes(tmp_path / "one.tif"), map_codes(tmp_path / "two.tif"))


def test_places_without_a_date_have_no_class(place, series, encoder, tmp_path):
    result = segment(
        features_from(series, encoder),
        place.head,
        ClassMapOutputs(tmp_path / "map.tif", vector=tmp_path / "m.gpkg"),
    )
    codes = map_codes(tmp_path / "map.tif")
    assert (codes[:, :10] == 0).all()
    assert (codes[:, 10:] > 0).all()
    assert sum(row.pixels for row in result.areas) == codes[:, 10:].size


class Stopper:
    def __init__(self, moment):
        self.moment, self.fraction, self.texts = moment, 0.0, []

    def progress(self, fraction):
        self.fraction = fraction

    def cancelled(self):
        return self.fraction >= self.moment

    def info(self, text):
        self.texts.append(text)

    def warning(self, text):
        self.info(text)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="files are counted in /proc")
@pytest.mark.parametrize("moment", [0.4, 0.82, 2.0])
def test_no_file_is_open_when_it_is_removed(place, tmp_path, monkeypatch, moment):
    """Windows would not remove it."""
    still_open = []

    def cleanup(folder):
        numbers = os.listdir("/proc/self/fd")
        names = [Path("/proc/self/fd", number) for number in numbers]
        still_open.extend(os.readlink(name) for name in names if name.exists())
        return cleaned(folder)

    cleaned = tempfile.TemporaryDirectory.cleanup
    monkeypatch.setattr(tempfile.TemporaryDirectory, "cleanup", cleanup)
    monkeypatch.setattr(
        tempfile.TemporaryDirectory, "__exit__", lambda folder, *error: folder.cleanup()
    )
    with nullcontext() if moment > 1 else pytest.raises(Cancelled):
        mapped(
            place,
            tmp_path / "map.tif",
            options=OPTIONS["all"],
            tile_size=32,
            vector=tmp_path / "map.gpkg" if moment > 1 else None,
            feedback=Stopper(moment),
        )
    assert still_open
    assert [name for name in still_open if name.startswith(str(tmp_path))] == []


@pytest.mark.parametrize("moment", [0.0, 0.4, 0.82, 0.88, 0.94])
def test_cancel_leaves_nothing(place, tmp_path, moment):
    with pytest.raises(Cancelled):
        mapped(
            place,
            tmp_path / "map.tif",
            options=OPTIONS["all"],
            tile_size=32,
            confidence=tmp_path / "c.tif",
            probabilities=tmp_path / "p.tif",
            vector=tmp_path / "map.gpkg",
            feedback=Stopper(moment),
        )
    assert os.listdir(tmp_path) == []


def test_mistakes_are_said(place, tmp_path):
    far = write_layer(tmp_path / "far.gpkg", [square(5000, 5000, 9, 9)])
    beside = read_mask(write_layer(tmp_path / "beside.gpkg", [square(0, 0, 10, 9)]))
    left, dx, _, top, _, dy = place.series.grid.geotransform
    extent = (left + 11 * dx, top + 20 * dy, left + 30 * dx, top)
    with pytest.raises(LabelsError, match="do not overlap"):  # not in its neighbours either
        mapped(
            place, tmp_path / "m.tif", mask=beside, extent=extent, options={"smoothing": "bayes"}
        )
    with pytest.raises(LabelsError, match="do not overlap"):
        mapped(place, tmp_path / "map.tif", mask=read_mask(far))
    with pytest.raises(OutputError, match="odd WINDOW"):
        mapped(place, tmp_path / "map.tif", options={"smoothing": "bayes", "window": 4})
    with pytest.raises(OutputError, match=r"end in \.gpkg"):
        mapped(place, tmp_path / "map.tif", vector=tmp_path / "map.shp")
    with pytest.raises(OutputError, match="is not a folder"):
        mapped(place, tmp_path / "map.tif", confidence=tmp_path / "none" / "c.tif")
    other = type(place.encoder)()
    other.package.sha256 = "1" * 64
    with pytest.raises(HeadError, match="was trained on features of the model"):
        segment(
            features_from(place.series, other), place.head, ClassMapOutputs(tmp_path / "map.tif")
        )
    lines = ogr.CreateGeometryFromWkt("LINESTRING (0 0, 1 1)")
    with pytest.raises(LabelsError, match="a mask is made of polygons"):
        read_mask(write_layer(tmp_path / "lines.gpkg", [lines]))
    assert sorted(os.listdir(tmp_path)) == ["beside.gpkg", "far.gpkg", "lines.gpkg"]


def test_it_does_not_write_over_what_it_reads(place, tmp_path):
    embedding = tmp_path / "embedding.tif"
    embed(features_from(place.series, place.encoder), embedding)
    size = embedding.stat().st_size
    for name in ("output", "confidence"):
        paths = {"output": tmp_path / "map.tif", name: embedding}
        with pytest.raises(OutputError, match="is also an input"):
            map_classes(EmbeddingRaster(embedding), None, place.head, **paths)
    with pytest.raises(OutputError, match="as two outputs"):
        mapped(place, tmp_path / "map.tif", confidence=tmp_path / "map.tif")
    vector = write_layer(tmp_path / "labels.gpkg", [square(0, 0, 5, 5)])
    with pytest.raises(OutputError, match="holds other layers"):
        mapped(place, tmp_path / "map.tif", vector=vector)
    assert embedding.stat().st_size == size
    assert len(features_of(vector)) == 1
    assert sorted(os.listdir(tmp_path)) == ["embedding.tif", "labels.gpkg"]
    mapped(place, tmp_path / "map.tif", vector=tmp_path / "m.gpkg")
    mapped(place, tmp_path / "map.tif", vector=tmp_path / "m.gpkg")  # its own polygons, anew


def test_bands_that_the_head_knew_and_the_series_lacks_are_said(place, tmp_path):
    assert place.head.provenance["bands"] == list(place.series.bands_present)
    listener = Stopper(2.0)
    mapped(place, tmp_path / "map.tif", feedback=listener)
    assert not any("lacks" in text for text in listener.texts)
    place.series.bands_present, all_bands = ("B02", "B03", "B04", "B08"), place.series.bands_present
    try:
        mapped(place, tmp_path / "map.tif", feedback=listener)
        (said,) = (text for text in listener.texts if "lacks" in text)
        assert "trained with B05, B06, B07, B8A, B11, B12, which series.vrt lacks" in said
        # A head of before does not say its bands.
        old = Head(place.head_path)
        old.provenance = {key: said for key, said in old.provenance.items() if key != "bands"}
        listener.texts.clear()
        segment(
            features_from(place.series, place.encoder),
            old,
            ClassMapOutputs(tmp_path / "map.tif"),
            feedback=listener,
        )
        assert not any("lacks" in text for text in listener.texts)
    finally:
        place.series.bands_present = all_bands


@pytest.mark.parametrize("kind", ["polygons", "raster"])
def test_classes_outside_the_series_are_left_out(place, tmp_path, kind):
    kinds = ["20", "100", "3"]
    if kind == "polygons":
        shapes = [*place.polygons, square(500, 500, 5, 5), square(-90, 0, 5, 5)]
        names = [kinds[kind] for kind in place.kinds] + ["water", "7"]
        labels = read_vector_labels(write_layer(tmp_path / "l.gpkg", shapes, kind=names), "kind")
    else:
        around = np.full((90, 90), 7)
        around[:80] = np.array([20, 100, 3])[place.truth]
        labels = read_raster_labels(write_class_raster(tmp_path / "l.tif", around, place.path))
    report = tmp_path / "r.html"
    trained = train_classifier(
        labelled_with(place.encoder, [LabelledSource(place.series, labels)]),
        tmp_path / "h.onnx",
        report=report,
    )
    assert [item.code for item in trained.classes] == [3, 20, 100]
    (note,) = (note for note in trained.warnings if "without a pixel" in note)
    assert '"7"' in note
    assert note.replace('"', "&quot;") in report.read_text(encoding="utf-8")
    if kind == "polygons":
        assert trained.overall["overall accuracy"].value > 0.9
        segment(
            features_from(place.series, place.encoder),
            Head(tmp_path / "h.onnx"),
            ClassMapOutputs(tmp_path / "map.tif"),
        )
        truth = np.array([20, 100, 3])[place.truth]
        assert (map_codes(tmp_path / "map.tif") == truth).mean() > 0.93


def test_names_that_differ_in_capitals_are_said(place, tmp_path):
    labels = read_vector_labels(place.labels, "code")
    names = dict(zip(CODES, ("Wald", "WALD", "maize")))
    result = train_classifier(
        labelled_with(place.encoder, [LabelledSource(place.series, labels)]),
        tmp_path / "head.onnx",
        legends=[Legend(names)],
        classifier="prototype",
    )
    (said,) = (note for note in result.warnings if "capitals" in note)
    assert '"Wald" (11) and "WALD" (12)' in said
