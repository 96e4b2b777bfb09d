"""Labelled sets are read as they are published, and a wrong folder is named."""

import importlib.util
import json
from datetime import date

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("osgeo")

from alise_plugin.errors import SeriesError
from alise_plugin.sits.acquisitions import days_since_reference
from tests.helpers.labelled_sets import write_multisenge, write_pastis
from training.segmentation.multisenge import MultiSenGE
from training.segmentation.pastis import Pastis
from training.segmentation.series import IGNORED, LabelledDataError, targets


@pytest.fixture(scope="module")
def pastis(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets") / "PASTIS"
    write_pastis(folder)
    return folder


def test_a_patch_of_pastis_is_reflectance_on_its_dates(pastis):
    series = Pastis(pastis).read(1)
    assert series.name == "10007"
    assert series.reflectance.shape == (3, 10, 128, 128)
    days = [date(2018, 10, 5), date(2019, 2, 3), date(2019, 7, 14)]
    np.testing.assert_array_equal(series.days, days_since_reference(days))
    np.testing.assert_allclose(
        series.reflectance[:, 9, 60, 60], [0.0109, 0.0209, 0.0309], atol=1e-6
    )
    assert sorted(np.unique(series.labels)) == [0, 3, 7, 19]


def test_what_pastis_did_not_see_is_nan_and_a_dark_band_is_not(pastis):
    reflectance = Pastis(pastis).read(0).reflectance
    assert np.isnan(reflectance[1, :, :4]).all()
    assert np.isnan(reflectance[2, :, :, :4]).all()
    assert reflectance[0, 3, 5, 5] == 0
    assert np.isfinite(reflectance[0]).all()


def test_dates_of_pastis_may_be_a_table_or_a_text(pastis):
    first, second = Pastis(pastis).read(0), Pastis(pastis).read(1)
    np.testing.assert_array_equal(first.days, second.days)


def test_acquisitions_of_one_year_can_be_asked_for(pastis):
    whole, year = Pastis(pastis).read(2), Pastis(pastis, year=2019).read(2)
    np.testing.assert_array_equal(year.days, whole.days[1:])
    np.testing.assert_array_equal(year.reflectance, whole.reflectance[1:])
    with pytest.raises(LabelledDataError, match="no acquisition in the year"):
        Pastis(pastis, year=2021).read(2)


def test_background_and_void_of_pastis_are_not_learned(pastis):
    data = Pastis(pastis)
    place = targets(data.read(0).labels, data.classes)
    names = [one.name for one in data.classes]
    assert len(names) == 18
    assert set(np.unique(place)) == {IGNORED, names.index("Corn"), names.index("Sunflower")}
    assert (place[-2:] == IGNORED).all()


def test_the_five_folds_of_pastis_take_turns(pastis):
    splits = Pastis(pastis).splits()
    assert [len(s.train) for s in splits] == [6] * 5
    assert sorted(place for s in splits for place in s.test) == list(range(10))
    for split in splits:
        assert sorted({*split.train, *split.validation, *split.test}) == list(range(10))
    # Folds 1, 2, 3 train, 4 validates, 5 tests.
    assert splits[0].validation == (3, 8)
    assert splits[0].test == (4, 9)


def broken(folder, change):
    content = json.loads((folder / "metadata.geojson").read_text())
    change(content["features"][0]["properties"])
    (folder / "metadata.geojson").write_text(json.dumps(content))


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p.pop("Fold"),
        lambda p: p.update({"dates-S2": {"0": "no date"}}),
        lambda p: p.update({"dates-S2": {}}),
        lambda p: p.update({"dates-S2": None}),
        lambda p: p.update({"ID_PATCH": "ten"}),
    ],
)
def test_metadata_that_is_not_of_pastis_is_refused(tmp_path, change):
    write_pastis(tmp_path / "set", size=16, patches=2)
    broken(tmp_path / "set", change)
    with pytest.raises(LabelledDataError, match=r"metadata\.geojson"):
        Pastis(tmp_path / "set")


def test_a_folder_without_pastis_is_named(tmp_path):
    with pytest.raises(LabelledDataError, match=str(tmp_path)):
        Pastis(tmp_path)


def test_a_missing_or_misfitting_patch_is_named(tmp_path):
    write_pastis(tmp_path / "set", size=16, patches=2)
    np.save(tmp_path / "set" / "DATA_S2" / "S2_10000.npy", np.zeros((2, 10, 16, 16), np.int16))
    (tmp_path / "set" / "DATA_S2" / "S2_10007.npy").unlink()
    data = Pastis(tmp_path / "set")
    with pytest.raises(LabelledDataError, match=r"10000 .* do not fit"):
        data.read(0)
    with pytest.raises(LabelledDataError, match=r"S2_10007\.npy cannot be read"):
        data.read(1)


@pytest.fixture(scope="module")
def multisenge(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets") / "MultiSenGE"
    write_multisenge(folder)
    return folder


@pytest.mark.parametrize("described", [False, True])
def test_a_patch_of_multisenge_has_its_bands_in_our_order(tmp_path, multisenge, described):
    folder = multisenge
    if described:
        folder = tmp_path / "described"
        write_multisenge(folder, size=16, described=True)
    data = MultiSenGE(folder)
    assert len(data) == 2
    series = data.read(0)
    np.testing.assert_allclose(
        series.reflectance[2, :, 5, 5], 0.1 + 0.01 * np.arange(10), atol=1e-6
    )
    assert np.isnan(series.reflectance[:, :, 0, 0]).all()
    assert series.reflectance.dtype == np.float32
    # The date that was listed and never delivered is left out; the others ascend.
    assert list(np.diff(series.days)) == [40, 40, 40]
    assert series.days[0] == days_since_reference([date(2020, 3, 21)])[0]
    place = targets(series.labels, data.classes)
    assert set(np.unique(place)) == {IGNORED, 5, 10}


def test_multisenge_is_split_at_random_twice(tmp_path):
    write_multisenge(tmp_path / "set", size=16, patches=25, dates=3)
    splits = MultiSenGE(tmp_path / "set").splits()
    assert [tuple(map(len, (s.train, s.validation, s.test))) for s in splits] == [(15, 4, 6)] * 2
    assert set(splits[0].test) != set(splits[1].test)
    for split in splits:
        assert sorted([*split.train, *split.validation, *split.test]) == list(range(25))
    assert len(MultiSenGE(tmp_path / "set", patches=10)) == 10


def test_patches_of_too_few_dates_are_left_out(tmp_path):
    write_multisenge(tmp_path / "set", size=16, patches=2, dates=3)
    (tmp_path / "set" / "s2" / "32ULU_20200321_S2_0_512.tif").unlink()
    assert len(MultiSenGE(tmp_path / "set")) == 1
    with pytest.raises(LabelledDataError, match="no patch"):
        MultiSenGE(tmp_path / "set", least_dates=4)


def test_bad_files_of_multisenge_are_named(tmp_path, multisenge):
    with pytest.raises(LabelledDataError, match="B02"):
        MultiSenGE(multisenge, file_bands=("B02", "B03"))
    folder = tmp_path / "set"
    write_multisenge(folder, size=16)
    (folder / "ground_reference" / "32ULU_GR_0_512.tif").unlink()
    with pytest.raises(SeriesError, match="GR_0_512"):
        MultiSenGE(folder).read(0)
    (folder / "labels" / "32ULU_0_512.json").write_text('{"corresponding_s1": ""}')
    with pytest.raises(LabelledDataError, match=r"0_512\.json"):
        MultiSenGE(folder)


needs_prosail = pytest.mark.skipif(
    importlib.util.find_spec("prosail") is None,
    reason="the leaf coefficients come with the package prosail",
)


@needs_prosail
def test_simulated_series_are_labelled_folds_of_northern_farmland():
    from training.segmentation.simulated import GROWN, SimulatedSegmentation

    data = SimulatedSegmentation(series=10, size=16)
    assert len(data) == 10
    assert [(one.code, one.name) for one in data.classes] == list(enumerate(GROWN, start=1))
    labelled = 0
    for place in range(10):
        series = data.read(place)
        assert series.reflectance.shape[1:] == (10, 16, 16)
        assert len(series.days) == len(series.reflectance)
        assert (np.diff(series.days) > 0).all()
        year = series.days - days_since_reference([date(2019, 1, 1)])[0]
        assert year.min() >= 0
        assert year.max() < 366
        labelled += (targets(series.labels, data.classes) != IGNORED).mean() / 10
    assert 0.5 < labelled < 1
    assert {*np.unique(data.read(0).labels)} <= {*range(13)}
    again = SimulatedSegmentation(series=10, size=16, most_dates=9).read(3)
    assert len(again.days) == 9
    assert again.days[-1] == data.read(3).days[-1]
    shared = np.isin(data.read(3).days, again.days)
    np.testing.assert_array_equal(again.reflectance, data.read(3).reflectance[shared])


@needs_prosail
def test_a_place_keeps_its_fields_and_changes_its_crops():
    from training.segmentation.farmland import simulate_farmlands
    from training.simulation.covers import COVERS

    covers = ("maize", "rapeseed", "sunflower", "meadow")
    for farmland in simulate_farmlands(4, 2, 5, covers, size=16):
        first, second = farmland.years
        years = np.concatenate([first.days, second.days]) - days_since_reference([date(2019, 1, 1)])
        assert (years[: len(first.days)] < 366).all()
        assert (years[len(first.days) :] >= 365).all()
        annual = np.array([COVERS[place].annual for place in first.cover.ravel()])
        changed = first.cover.ravel() != second.cover.ravel()
        assert not (changed & ~annual).any()
        for number in np.unique(farmland.field):
            inside = farmland.field == number
            assert len(np.unique(second.cover[inside])) == 1
