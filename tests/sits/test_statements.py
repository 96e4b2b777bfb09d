"""What files state of their values, held against scenes whose reflectance is known."""

import json
import re
from datetime import date, timedelta

import numpy as np
import pytest
from osgeo import gdal

from alise_plugin.errors import SeriesError
from alise_plugin.sentinel2 import BANDS
from alise_plugin.sits.build import SeriesOptions, plan_series
from alise_plugin.sits.report import write_report
from tests.helpers.rasters import write_raster

# Reflectance of the ten bands.
GROUNDS = {
    "forest": (0.020, 0.035, 0.022, 0.055, 0.18, 0.24, 0.26, 0.28, 0.12, 0.05),
    "lake": (0.030, 0.025, 0.012, 0.010, 0.006, 0.006, 0.005, 0.004, 0.002, 0.002),
    "crops": (0.035, 0.065, 0.045, 0.10, 0.28, 0.35, 0.38, 0.40, 0.22, 0.12),
    "soil": (0.075, 0.105, 0.140, 0.17, 0.19, 0.21, 0.23, 0.25, 0.33, 0.29),
    "desert": (0.130, 0.210, 0.310, 0.35, 0.37, 0.39, 0.40, 0.42, 0.52, 0.48),
    "snow": (0.85, 0.86, 0.85, 0.85, 0.84, 0.83, 0.82, 0.80, 0.12, 0.10),
    "cloud": (0.65, 0.64, 0.65, 0.66, 0.68, 0.69, 0.70, 0.71, 0.55, 0.45),
}
SCENES = {
    "forest": {"forest": 1},
    "dark lake": {"lake": 1},
    "lake and forest": {"lake": 0.3, "forest": 0.7},
    "farmland": {"crops": 0.5, "soil": 0.4, "forest": 0.1},
    "bare soil": {"soil": 1},
    "desert": {"desert": 1},
    "snow": {"snow": 0.9, "forest": 0.1},
    "snow only": {"snow": 1},
    "cloudy": {"cloud": 0.9, "crops": 0.1},
    "cloud only": {"cloud": 1},
}
HAZE = np.array((0.085, 0.075, 0.065, 0.06, 0.055, 0.05, 0.045, 0.04, 0.01, 0.005))
DAY = date(2023, 5, 14)


def scene(kind, seed=0, side=96, haze=0.0):
    """Reflectance `(10, side, side)` of patches of ground, each lit a little differently."""
    rng = np.random.default_rng(seed)
    parts = SCENES[kind]
    ground = rng.choice(len(parts), (side // 4 + 1, side // 4 + 1), p=list(parts.values()))
    ground = np.kron(ground, np.ones((4, 4), int))[:side, :side]
    spectra = np.array([GROUNDS[name] for name in parts])[ground].transpose(2, 0, 1)
    light = 1 + 0.08 * rng.standard_normal((side, side))
    noise = 0.002 * rng.standard_normal(spectra.shape)
    return spectra * light + noise + haze * HAZE[:, None, None]


def write_items(folder, items):
    """Write an ItemCollection.

    Args:
        folder: where its assets go.
        items: (reflectance, what the DN hold, what the item states as offset, applied flag, more
            properties) of each.
    """
    features = []
    for number, (truth, held, stated, applied, more) in enumerate(items):
        day = DAY + timedelta(days=10 * number)
        assets = {}
        for band, values in zip(BANDS, truth):
            name = f"{number}_{band}.tif"
            raw = np.clip(np.rint(values * 1e4 + held), 1, 65534).astype(np.uint16)
            write_raster(folder / name, raw[None], nodata=0)
            assets[band] = {
                "href": name,
                "type": "image/tiff; application=geotiff",
                "roles": ["data"],
                "eo:bands": [{"name": band}],
                "raster:bands": [
                    {"nodata": 0, "data_type": "uint16", "scale": 0.0001, "offset": stated}
                ],
            }
        properties = {
            "datetime": f"{day}T10:50:31Z",
            "platform": "sentinel-2b",
            "s2:processing_baseline": "05.09",
            **more,
        }
        if applied is not None:
            properties["earthsearch:boa_offset_applied"] = applied
        features.append(
            {
                "type": "Feature",
                "stac_version": "1.0.0",
                "id": f"S2B_31TGJ_{day:%Y%m%d}_0_L2A",
                "collection": "sentinel-2-l2a",
                "geometry": None,
                "properties": properties,
                "links": [],
                "assets": assets,
            }
        )
    path = folder / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def read(plan, folder):
    """Reflectance `(T, 10, H, W)` of the series that a plan makes."""
    series = plan.write(folder / "s.vrt")
    return series.read_all(series.grid.window)


def doubts(plan):
    """The warnings, without the one on a single date."""
    return [text for text in plan.warnings if "one date only" not in text]


def check_items(folder, items, options=None):
    """Return the worst error of any pixel, and the warnings."""
    plan = plan_series([write_items(folder, items)], folder / "s.vrt", options or SeriesOptions())
    got = read(plan, folder)
    truth = np.stack([np.maximum(item[0], (1 - item[1]) / 1e4) for item in items])
    return np.abs(got - truth).max(), doubts(plan)


@pytest.mark.parametrize("kind", SCENES)
@pytest.mark.parametrize("side", [12, 96])
@pytest.mark.parametrize(
    ("held", "stated", "applied"), [(1000, -0.1, False), (0, -0.1, True), (0, 0, None)]
)
def test_right_statements_raise_no_alarm(tmp_path, kind, side, held, stated, applied):
    items = [(scene(kind, seed, side), held, stated, applied, {}) for seed in (1, 2)]
    worst, warnings = check_items(tmp_path, items)
    assert worst < 6e-5
    assert not warnings


@pytest.mark.parametrize("clouds", [1, 3])
def test_clouds_and_haze_among_right_items_raise_no_alarm(tmp_path, clouds):
    truths = [scene("farmland", seed) for seed in range(3)]
    truths += [scene("cloudy", 7), scene("cloud only", 8), scene("forest", 9, haze=1.0)][:clouds]
    worst, warnings = check_items(tmp_path, [(truth, 0, -0.1, True, {}) for truth in truths])
    assert worst < 6e-5
    assert not warnings


@pytest.mark.parametrize("kind", ["forest", "dark lake", "lake and forest", "farmland"])
@pytest.mark.parametrize("side", [12, 96])
def test_an_offset_that_was_subtracted_already_is_not_subtracted_again(tmp_path, kind, side):
    items = [(scene(kind, seed, side), 0, -0.1, False, {}) for seed in (1, 2)]
    worst, warnings = check_items(tmp_path, items)
    assert worst < 6e-5
    assert len(warnings) == 1
    assert "subtracted already" in warnings[0]


@pytest.mark.parametrize("applied", [None, True])
@pytest.mark.parametrize("kind", ["forest", "dark lake", "lake and forest", "farmland"])
def test_an_offset_that_items_do_not_know_is_subtracted(tmp_path, kind, applied):
    """A catalogue that hard-codes 0, or calls the offset applied that is still there."""
    stated = 0 if applied is None else -0.1
    items = [(scene(kind, seed), 1000, stated, applied, {}) for seed in (1, 2)]
    worst, warnings = check_items(tmp_path, items)
    assert worst < 6e-5
    assert len(warnings) == 1
    assert "offset of 1000" in warnings[0]


@pytest.mark.parametrize("wrong", ["subtracted", "left in"])
def test_items_of_two_kinds_are_read_each_as_it_is(tmp_path, wrong):
    held, stated = (0, -0.1) if wrong == "subtracted" else (1000, 0)
    items = [(scene("farmland", 1), 0, 0, None, {}), (scene("farmland", 2), 0, 0, None, {})]
    items.append((scene("farmland", 3), held, stated, None, {}))
    items.append((scene("farmland", 4), 1000, -0.1, False, {}))
    worst, warnings = check_items(tmp_path, items)
    assert worst < 6e-5
    assert len(warnings) == 1
    assert "20230603" in warnings[0]


def test_a_single_item_that_holds_the_offset(tmp_path):
    """Its baseline and its darkest pixels say so, against the 0 that it states."""
    worst, warnings = check_items(tmp_path, [(scene("farmland", 1), 1000, 0, None, {})])
    assert worst < 6e-5
    assert len(warnings) == 1
    assert "offset of 1000" in warnings[0]
    worst, warnings = check_items(tmp_path, [(scene("farmland", 1, 12), 1000, 0, None, {})])
    assert worst == pytest.approx(0.1, abs=1e-3)  # few pixels say too little
    assert "give OFFSET -0.1" in warnings[0]
    unknown = [(scene("farmland", 1), 1000, 0, None, {"s2:processing_baseline": None})]
    with pytest.raises(SeriesError, match="give OFFSET"):
        check_items(tmp_path, unknown)
    worst, warnings = check_items(tmp_path, unknown, SeriesOptions(offset=-0.1))
    assert worst < 6e-5
    assert not warnings


@pytest.mark.parametrize("kind", ["farmland", "cloud only"])
def test_items_of_a_late_baseline_that_state_nothing_hold_the_offset(tmp_path, kind):
    """As Planetary Computer has them, also where no pixel is dark enough to show it."""
    items = [(scene(kind, seed), 1000, 0, None, {}) for seed in (1, 2)]
    path = write_items(tmp_path, items)
    content = json.loads(path.read_text())
    for feature in content["features"]:
        for asset in feature["assets"].values():
            asset["raster:bands"] = [{"nodata": 0, "data_type": "uint16"}]
    path.write_text(json.dumps(content))
    plan = plan_series([path], tmp_path / "s.vrt", SeriesOptions())
    truth = np.stack([np.maximum(item[0], -999 / 1e4) for item in items])
    assert np.abs(read(plan, tmp_path) - truth).max() < 6e-5
    assert "their processing baseline adds 1000" in doubts(plan)[0]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"offset": -0.1}, "goes down to -0.0.*give OFFSET 0"),
        ({"scale": 1e-3}, "brighter than any ground; check SCALE"),
        ({"scale": 1e-7}, "darker than any ground; check SCALE"),
        ({"scale": 1e-4}, ""),
        ({"scale": 1e-4, "offset": 0.0}, ""),
    ],
)
def test_what_the_user_gives_is_held_against_the_pixels(tmp_path, options, says):
    folder = write_dates(tmp_path, [scene("farmland", seed) for seed in (1, 2)], as_dn())
    warnings = doubts(plan_series(folder, tmp_path / "s.vrt", SeriesOptions(**options)))
    assert len(warnings) == bool(says)
    assert re.search(says, " ".join(warnings))


def write_dates(folder, truths, convert, **stated):
    for number, truth in enumerate(truths):
        day = DAY + timedelta(days=10 * number)
        write_raster(folder / f"{day:%Y%m%d}.tif", convert(truth), **stated)
    return [folder]


def as_dn(add=0):
    return lambda truth: np.rint(truth * 1e4 + add).clip(1, 65534).astype(np.uint16)


def test_a_tag_of_scale_does_not_hide_the_offset(tmp_path):
    truths = [scene("farmland", seed) for seed in (1, 2)]
    inputs = write_dates(tmp_path, truths, as_dn(1000), scale=1e-4)
    with pytest.raises(SeriesError, match="give OFFSET"):
        plan_series(inputs, tmp_path / "s.vrt", SeriesOptions())
    plan = plan_series(inputs, tmp_path / "s.vrt", SeriesOptions(offset=-0.1))
    np.testing.assert_allclose(read(plan, tmp_path), truths, atol=6e-5)


@pytest.mark.parametrize("kind", SCENES)
def test_a_right_tag_of_scale_raises_no_alarm(tmp_path, kind):
    truths = [np.maximum(scene(kind, seed), 1e-4) for seed in (1, 2)]
    inputs = write_dates(tmp_path, truths, as_dn(), scale=1e-4)
    plan = plan_series(inputs, tmp_path / "s.vrt", SeriesOptions())
    np.testing.assert_allclose(read(plan, tmp_path), truths, atol=6e-5)
    assert not doubts(plan)


@pytest.mark.parametrize("kind", ["forest", "lake and forest", "farmland"])
@pytest.mark.parametrize(
    "stated", [{"scale": 1e-4}, {"offset": -0.1}, {"scale": 1e-4, "offset": -0.1}]
)
def test_a_scale_or_offset_that_was_applied_long_ago_is_not_applied_again(tmp_path, kind, stated):
    truths = [scene(kind, seed) for seed in (1, 2)]
    inputs = write_dates(tmp_path, truths, np.float32, **stated)
    plan = plan_series(inputs, tmp_path / "s.vrt", SeriesOptions())
    np.testing.assert_allclose(read(plan, tmp_path), truths, atol=1e-6)
    assert doubts(plan)


@pytest.mark.parametrize("stated", [{}, {"scale": 1e-4}])
@pytest.mark.parametrize("kind", ["forest", "farmland", "desert"])
def test_sixteen_bits_whose_highest_is_one_are_no_dn(tmp_path, kind, stated):
    truths = [np.maximum(scene(kind, seed), 1e-4) for seed in (1, 2)]

    def convert(truth):
        return np.rint(truth * 65535).clip(0, 65534).astype(np.uint16)

    inputs = write_dates(tmp_path, truths, convert, **stated)
    with pytest.raises(SeriesError, match="give SCALE"):
        plan_series(inputs, tmp_path / "s.vrt", SeriesOptions())
    plan = plan_series(inputs, tmp_path / "s.vrt", SeriesOptions(scale=1 / 65535, offset=0))
    np.testing.assert_allclose(read(plan, tmp_path), truths, atol=1e-5)


def test_haze_over_dark_ground_at_every_date_raises_no_false_correction(tmp_path):
    items = [(scene("forest", seed, haze=1.0), 0, -0.1, True, {}) for seed in (1, 2)]
    worst, _ = check_items(tmp_path, items)
    assert worst < 6e-5


def test_recent_items_of_no_stated_baseline_make_a_question(tmp_path):
    items = [
        (scene("farmland", seed), 1000, 0, None, {"s2:processing_baseline": None})
        for seed in (1, 2)
    ]
    with pytest.raises(SeriesError, match="give OFFSET"):
        check_items(tmp_path, items)
    worst, warnings = check_items(tmp_path, items, SeriesOptions(offset=-0.1))
    assert worst < 6e-5
    assert not warnings


def test_a_mask_keeps_dark_fill_from_being_taken_for_ground(tmp_path):
    """Below an alpha band of 0 lie 100s, which no ground of these items is as dark as."""
    truths = [scene("desert", seed) for seed in (1, 2)]

    def convert(truth):
        values = np.concatenate([as_dn(1000)(truth), np.full((1, 96, 96), 255, np.uint16)])
        values[:10, :48], values[10, :48] = 100, 0
        return values

    inputs = write_dates(tmp_path, truths, convert, scale=1e-4, offset=-0.1)
    for path in tmp_path.glob("*.tif"):
        dataset = gdal.Open(str(path), gdal.GA_Update)
        dataset.GetRasterBand(11).SetColorInterpretation(gdal.GCI_AlphaBand)
        del dataset
    plan = plan_series(inputs, tmp_path / "s.vrt", SeriesOptions(measured=True))
    assert not doubts(plan)
    assert plan.dates[0].fractions.valid == pytest.approx(0.5)
    got = read(plan, tmp_path)
    assert np.isnan(got[:, :, :48]).all()
    np.testing.assert_allclose(got[:, :, 48:], np.stack(truths)[:, :, 48:], atol=6e-5)


def test_what_was_decided_is_in_the_report(tmp_path):
    items = [(scene("farmland", seed), 0, -0.1, False, {}) for seed in (1, 2)]
    plan = plan_series([write_items(tmp_path, items)], tmp_path / "s.vrt", SeriesOptions())
    plan.write(tmp_path / "s.vrt")
    write_report(plan, tmp_path / "s.vrt", tmp_path / "r.html")
    assert "subtracted already" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_items_whose_server_does_not_answer_are_planned_as_stated(tmp_path):
    truths = [scene("farmland", seed, 16) for seed in (1, 2)]
    path = write_items(tmp_path, [(truth, 0, -0.1, True, {}) for truth in truths])
    content = json.loads(path.read_text())
    for feature in content["features"]:
        feature["properties"]["proj:epsg"] = 32631
        for asset in feature["assets"].values():
            asset["href"] = f"http://127.0.0.1:9/{asset['href']}"
            asset["proj:shape"] = [16, 16]
            asset["proj:transform"] = [10, 0, 600000, 0, -10, 5000000]
    path.write_text(json.dumps(content))
    plan = plan_series([path], tmp_path / "s.vrt", SeriesOptions())
    assert sum("cannot be read now" in text for text in plan.notes) == 1
    assert not plan.warnings


def test_the_masks_of_assets_are_honoured(tmp_path):
    truths = [scene("farmland", seed) for seed in (1, 2)]
    path = write_items(tmp_path, [(truth, 0, -0.1, True, {}) for truth in truths])
    for image in tmp_path.glob("*.tif"):
        dataset = gdal.Open(str(image), gdal.GA_Update)
        dataset.CreateMaskBand(gdal.GMF_PER_DATASET)
        mask = np.full((96, 96), 255, np.uint8)
        mask[:, :48] = 0
        dataset.GetRasterBand(1).GetMaskBand().WriteRaster(0, 0, 96, 96, mask.tobytes())
        del dataset
    got = read(plan_series([path], tmp_path / "s.vrt", SeriesOptions()), tmp_path)
    assert np.isnan(got[..., :48]).all()
    np.testing.assert_allclose(got[..., 48:], np.stack(truths)[..., 48:], atol=6e-5)


def remote(folder, host, baseline, stated):
    """The JSON of two items whose assets lie on a server; `stated` is (scale, offset) or None."""
    path = write_items(folder, [(scene("farmland", seed, 16), 0, 0, None, {}) for seed in (1, 2)])
    content = json.loads(path.read_text())
    for feature in content["features"]:
        feature["properties"].update({"proj:epsg": 32631, "s2:processing_baseline": baseline})
        for asset in feature["assets"].values():
            asset["href"] = f"https://{host}/{asset['href']}"
            asset["proj:shape"] = [16, 16]
            asset["proj:transform"] = [10, 0, 600000, 0, -10, 5000000]
            del asset["raster:bands"]
            if stated:
                values = {"data_type": "uint16", "nodata": 0, "scale": stated[0]}
                asset["raster:bands"] = [{**values, "offset": stated[1]}]
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("host", "baseline", "stated", "offset"),
    [
        ("sentinel2l2a01.blob.core.windows.net/sentinel2-l2", "05.11", None, -0.1),
        ("sentinel2l2a01.blob.core.windows.net/sentinel2-l2", "02.14", None, 0.0),
        ("e84-earth-search-sentinel-data.s3.us-west-2.amazonaws.com", "05.00", (1e-4, -0.1), -0.1),
        ("sentinel-cogs.s3.us-west-2.amazonaws.com", "02.12", (1e-4, 0), 0.0),
    ],
)
def test_no_pixel_of_a_known_archive_is_asked(
    tmp_path, monkeypatch, host, baseline, stated, offset
):
    opened = []
    real = gdal.OpenEx

    def open_ex(name, *args, **options):
        opened.append(name)
        return None if str(name).startswith("/vsi") else real(name, *args, **options)

    monkeypatch.setattr(gdal, "OpenEx", open_ex)
    path = remote(tmp_path, host, baseline, stated)
    plan = plan_series([path], tmp_path / "s.vrt", SeriesOptions())
    layers = [layer for date in plan.dates for layer in date.acquisition.layers["B04"]]
    assert {(layer.scale, layer.offset, layer.nodata) for layer in layers} == {(1e-4, offset, 0.0)}
    assert not [name for name in opened if str(name).startswith("/vsi")]
    assert not doubts(plan)
