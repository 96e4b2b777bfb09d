"""Change between two years: distances, measures, the rotations, the command."""

import importlib.util
import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from alise_plugin.model.encoder import load_encoder
from alise_plugin.model.package import load_package
from alise_plugin.sits.acquisitions import days_since_reference
from training.__main__ import main
from training.change import distances, measures
from training.change.command import measure
from training.change.pairs import AnnualSeries, Rotation
from training.change.rotcrop import read_rotation, read_rotations
from training.segmentation.series import LabelledDataError

BUNDLED = Path(__file__).resolve().parents[2] / "models" / "alise-s2"
needs_prosail = pytest.mark.skipif(
    importlib.util.find_spec("prosail") is None,
    reason="the leaf coefficients come with the package prosail",
)


def year(number, dates=20, size=4, seed=0):
    rng = np.random.default_rng(seed)
    first = days_since_reference([date(number, 1, 1)])[0]
    days = first + np.sort(rng.choice(365, dates, replace=False)).astype(np.float32)
    shape = (dates, 10, size, size)
    clear = rng.random((dates, size, size)) < 0.6
    return AnnualSeries(rng.random(shape).astype(np.float32), days, clear)


def pair(before, after, crops=(6, 10)):
    size = before.reflectance.shape[-1]
    first, second = (np.full((size, size), code) for code in crops)
    return Rotation("x", before, after, first, second, first != second)


def test_the_grid_interpolates_the_valid_acquisitions_of_each_pixel():
    series = year(2019)
    series.reflectance[3, :, 1, 1] = np.nan
    filled = distances.on_grid(series).reshape(73, 10, 4, 4)
    grid = days_since_reference([date(2019, 1, 1)])[0] + 5 * np.arange(73)
    for row in range(4):
        for column in range(4):
            ok = series.clear[:, row, column].copy()
            ok[3] &= (row, column) != (1, 1)
            expected = np.interp(grid, series.days[ok], series.reflectance[ok, 2, row, column])
            np.testing.assert_allclose(filled[:, 2, row, column], expected, atol=1e-5)


def test_a_pixel_that_is_never_valid_has_no_distance():
    series = year(2019)
    series.clear[:, 2, 3] = False
    found = distances.gap_filled(pair(series, year(2020, seed=1)))
    assert np.isnan(found[2, 3])
    assert np.isnan(found).sum() == 1


def test_the_same_year_a_year_later_has_no_distance_when_gaps_are_filled():
    series = year(2019)
    later = AnnualSeries(series.reflectance, series.days + 365, series.clear)
    np.testing.assert_allclose(distances.gap_filled(pair(series, later)), 0, atol=1e-10)


def test_the_distance_is_the_mean_of_squared_differences():
    before, after = np.zeros((640, 2, 2)), np.zeros((640, 2, 2))
    after[:64, 0, 1] = 3.0
    np.testing.assert_allclose(distances.mean_squared_difference(before, after), [[0, 0.9], [0, 0]])


def mean_of_dates(series):
    return series.reflectance.mean(0) + 0.001 * series.days.mean()


def test_the_variants_take_out_the_year_and_the_common_shift():
    series = year(2019)
    later = AnnualSeries(series.reflectance + 0.2, series.days + 365, series.clear)
    both = pair(series, later)
    plain = distances.embedded(mean_of_dates)(both)
    np.testing.assert_allclose(plain, (0.2 + 0.365) ** 2, rtol=1e-4)
    moved = distances.in_one_season(mean_of_dates)(both)
    np.testing.assert_allclose(moved, 0.2**2, rtol=1e-2)
    np.testing.assert_allclose(distances.without_common_shift(mean_of_dates)(both), 0, atol=1e-9)


def test_a_series_has_no_distance_to_itself(tiny_package):
    series = year(2019, size=16)
    embed = distances.alise(load_encoder(tiny_package, device="cpu", threads=1))
    assert embed(series).shape == (640, 16, 16)
    assert distances.embedded(embed)(pair(series, series)).max() == 0


def test_measures_of_a_distance_that_is_known():
    rng = np.random.default_rng(0)
    changed = np.arange(4000) % 2 == 0
    perfect = measures.change_scores(changed + 0.01 * rng.random(4000), changed)
    assert (perfect.auc, perfect.precision, perfect.recall) == (1, 1, 1)
    assert perfect.precision_at == (1, 1, 1)
    chance = measures.change_scores(rng.random(4000), changed)
    assert chance.auc == pytest.approx(0.5, abs=0.03)
    assert chance.recall == pytest.approx(0.1, abs=0.03)
    assert chance.precision_at == pytest.approx((0.5, 0.5, 0.5), abs=0.06)
    distance = rng.normal(size=4000) + changed
    found = measures.change_scores(distance, changed)
    alarms = (distance[~changed] >= found.threshold).mean()
    assert alarms == pytest.approx(0.1, abs=0.002)
    assert (distance[changed] >= found.threshold).mean() == found.recall


def test_rates_of_transitions_are_shares_of_their_pixels():
    before = np.array([5, 5, 5, 5, 6, 6])
    after = np.array([5, 6, 6, 6, 6, 5])
    shares = measures.transition_shares(before, after, (5, 6, 9))
    np.testing.assert_allclose(shares[:2], [[0.25, 0.75, 0], [0.5, 0.5, 0]])
    assert np.isnan(shares[2]).all()
    flagged = np.array([True, True, False, False, False, True])
    rates = measures.transition_rates(before, after, (5, 6, 9), flagged)
    np.testing.assert_allclose(rates[:2, :2], [[1, 1 / 3], [1, 0]])


def write_rotation(path, **changes):
    rng = np.random.default_rng(0)
    content = {"labels": np.zeros((3, 16, 16), np.uint8)}
    content["labels"][0, 4:] = 6
    content["labels"][1, 4:10] = 6
    content["labels"][1, 10:] = 10
    content["labels"][2, 10:] = 1
    for number, dates in ((2019, 7), (2020, 9)):
        days = [date(number, 2, 1) + timedelta(days=30 * step) for step in range(dates)][::-1]
        content[f"dates_{number}"] = np.array([day.isoformat() for day in days])
        shape = (dates, 10, 16, 16)
        content[f"reflectance_{number}"] = rng.integers(1, 5000, shape).astype(np.uint16)
        content[f"clear_{number}"] = np.ones((dates, 16, 16), bool)
    content["reflectance_2020"][0, :, 3, 3] = 0
    content.update(changes)
    np.savez(path, **{key: value for key, value in content.items() if value is not None})


def test_a_place_of_rotcrop_is_two_years_and_their_crops(tmp_path):
    write_rotation(tmp_path / "place.npz")
    found = read_rotation(tmp_path / "place.npz")
    assert found.before.reflectance.shape == (7, 10, 16, 16)
    assert (np.diff(found.after.days) == 30).all()
    # The dates were stored backwards.
    assert np.isnan(found.after.reflectance[-1, :, 3, 3]).all()
    assert found.changed[10:].all()
    assert not found.changed[:10].any()
    assert found.known[4:].all()
    assert not found.known[:4].any()


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": None},
        {"labels": np.zeros((2, 16, 16), np.uint8)},
        {"labels": np.zeros((3, 8, 8), np.uint8)},
        {"dates_2019": np.array(["2019-01-01"])},
        {"dates_2020": np.array(["someday"] * 9)},
        {"clear_2020": np.ones((9, 8, 8), bool)},
        {"reflectance_2019": np.ones((7, 4, 16, 16), np.uint16)},
    ],
)
def test_a_place_that_is_laid_out_otherwise_is_named(tmp_path, changes):
    write_rotation(tmp_path / "place.npz", **changes)
    with pytest.raises(LabelledDataError, match=r"place\.npz"):
        read_rotation(tmp_path / "place.npz")


def test_an_empty_folder_and_places_without_change_are_refused(tmp_path, capsys):
    with pytest.raises(LabelledDataError, match=r"no \.npz"):
        list(read_rotations(tmp_path))
    still = np.zeros((3, 16, 16), np.uint8) + 6
    still[2] = 0
    write_rotation(tmp_path / "place.npz", labels=still)
    with pytest.raises(LabelledDataError, match="nothing to tell"):
        measure(read_rotations(tmp_path), {"GF": distances.gap_filled})


def test_background_does_not_count(tmp_path):
    write_rotation(tmp_path / "place.npz")
    pixels = measure(read_rotations(tmp_path), {"GF": distances.gap_filled})
    assert len(pixels.changed) == 12 * 16
    assert pixels.changed.sum() == 6 * 16


def peer(path):
    """A graph with the inputs and the output of the peer's, which gives back what it was given."""
    from onnx import TensorProto, helper, save

    kinds = {
        "sits": (TensorProto.FLOAT, ["b", "n", 10, "h", "w"]),
        "tpe": (TensorProto.FLOAT, ["b", "n"]),
        "padd_mask": (TensorProto.BOOL, ["b", "n"]),
    }
    inputs = [helper.make_tensor_value_info(name, *kind) for name, kind in kinds.items()]
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, None)
    graph = helper.make_graph(
        [helper.make_node("Identity", ["sits"], ["output"])], "peer", inputs, [output]
    )
    save(
        helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17)]),
        str(path),
    )


def test_the_peer_is_given_normalised_dates_that_hold_something(tmp_path, tiny_package):
    pytest.importorskip("onnx")
    peer(tmp_path / "peer.onnx")
    package = load_package(tiny_package)
    series = year(2019, dates=5)
    series.reflectance[2] = np.nan
    found = distances.malice(tmp_path / "peer.onnx", package)(series)
    assert found.shape == (40, 4, 4)
    expected = (np.clip(series.reflectance[0, 0], 0.01, 0.5) - 0.1) / 0.49
    np.testing.assert_allclose(found[0], expected, atol=1e-5)


@needs_prosail
def test_simulated_rotations_have_what_makes_them_hard():
    from training.change.simulated import simulated_rotations

    pairs = simulated_rotations(8, size=16)
    known = np.concatenate([one.known.ravel() for one in pairs])
    changed = np.concatenate([one.changed.ravel() for one in pairs])[known]
    assert 0.5 < known.mean() < 1
    assert 0.2 < changed.mean() < 0.8
    for one in pairs:
        assert (
            len(one.before.days) != len(one.after.days)
            or (one.before.days % 365.25 != one.after.days % 365.25).any()
        )


@needs_prosail
def test_the_bundled_model_tells_change_better_than_filled_gaps(tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["change", "--places", "8", "--threads", "1", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "| ALISE |" in printed
    assert "from \\ to" in printed
    found = json.loads((out / "change.json").read_text())
    assert found["ALISE"]["auc"] > found["gap-filled raw series"]["auc"] + 0.03
    assert load_package(BUNDLED).model_id in printed
    assert (out / "change.png").stat().st_size > 5000
