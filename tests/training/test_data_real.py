import itertools
import json
from datetime import date, timedelta

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from training.data.mixed import Mixed
from training.data.real import DATA_FOLDER, DataMissingError, RealSeries, read_sites
from training.pretrain.config import make_source

TEN = ["B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12"]
REFERENCE = date(2014, 3, 3)


def write_site(folder, name, *, size=6, dates=9, bands=TEN, use="train", **more):
    """A site whose DN tell the place: 1000 + 10 * row + column, 100 more in each band."""
    (folder / "image_series").mkdir(exist_ok=True)
    rows, columns = np.mgrid[:size, :size]
    dn = np.zeros((dates, 10, size, size), np.uint16)
    for band in bands:
        dn[:, TEN.index(band)] = 1000 + 100 * TEN.index(band) + 10 * rows + columns
    days = [(date(2018, 1, 1) + timedelta(20 * k)).isoformat() for k in range(dates)]
    clear = np.ones((dates, size, size), bool)
    clear[1] = False
    arrays = {"reflectance": dn, "clear": clear, "dates": np.array(days), **more}
    file = f"image_series/{name}.npz"
    np.savez(folder / file, **arrays)
    return {"file": file, "site": name, "bands": list(bands), "use": use}


def write_fields(folder):
    (folder / "field_series").mkdir()
    days = np.array(
        [(date(2018, 1, 1) + timedelta(10 * k)).isoformat() for k in (*range(6), *range(9))]
    )
    np.savez(
        folder / "field_series/fields.npz",
        reflectance=np.full((15, 10), 2000, np.uint16),
        cloud=np.array([0, 0.5] * 7 + [0], np.float32),
        dates=days,
        offset=np.array([0, 6, 15]),
    )
    return {"file": "field_series/fields.npz", "site": "fields", "bands": TEN, "use": "train"}


def write_index(folder, *entries):
    (folder / "index.json").write_text(json.dumps(entries))
    return folder


@pytest.fixture
def folder(tmp_path):
    return write_index(
        tmp_path,
        write_site(tmp_path, "ten"),
        write_site(tmp_path, "four", bands=["B02", "B03", "B04", "B08"]),
        write_site(tmp_path, "secret", use="evaluate only"),
        write_fields(tmp_path),
    )


def first(source, count=1):
    return list(itertools.islice(source, count))


def test_a_batch_has_the_shapes_and_types_of_simulated_ones(folder):
    (batch,) = first(RealSeries(0, 8, dates=12, size=4, data=folder))
    assert {name: tuple(value.shape) for name, value in batch.items()} == {
        "reflectance": (8, 12, 10, 4, 4),
        "days": (8, 12),
        "observed": (8, 12, 4, 4),
        "clear": (8, 12, 4, 4),
    }
    assert batch["reflectance"].dtype == batch["days"].dtype == torch.float32
    assert batch["observed"].dtype == batch["clear"].dtype == torch.bool


def test_padding_is_not_observed_and_keeps_its_days_finite(folder):
    (batch,) = first(RealSeries(0, 16, dates=12, data=folder))
    observed = batch["observed"][..., 0, 0]
    assert not observed[:, 9:].any()
    assert batch["days"].isfinite().all()
    assert (batch["days"].diff(dim=1) >= 0).all()
    assert batch["reflectance"][~observed].isnan().all()
    assert not (batch["clear"] & ~batch["observed"]).any()


def test_bands_that_a_site_lacks_are_nan(folder):
    (batch,) = first(RealSeries(0, 4, dates=9, data=folder, exclude=["ten", "fields"]))
    finite = batch["reflectance"].isfinite()[:, :, :, 0, 0].flatten(0, 1).any(0)
    assert finite.tolist() == [band in ("B02", "B03", "B04", "B08") for band in TEN]


def test_digital_numbers_become_reflectance_at_the_place_they_came_from(folder):
    (batch,) = first(RealSeries(3, 1, dates=9, size=6, data=folder, exclude=["four", "fields"]))
    rows, columns = np.mgrid[:6, :6]
    expected = (1000 + 100 + 10 * rows + columns) / 10000
    np.testing.assert_allclose(batch["reflectance"][0, 0, 1].numpy(), expected, rtol=1e-6)


def test_excluded_and_evaluation_sites_are_never_read(folder):
    assert {site.name for site in read_sites(folder, ("ten",))} == {"four", "fields"}


def test_fewer_sites_are_some_of_the_more(folder):
    def sites(most, seed=0):
        return [site.name for site in RealSeries(seed, 2, data=folder, most_sites=most).sites]

    assert len(sites(2)) == 2
    assert sites(3)[:2] == sites(2) == sites(2, seed=5)
    assert sorted(sites(9)) == sorted(sites(None))


def test_only_sites_with_enough_dates_are_read_where_asked_for(tmp_path):
    write_index(tmp_path, write_site(tmp_path, "nine"), write_site(tmp_path, "five", dates=5))
    assert {site.name for site in RealSeries(0, 2, data=tmp_path).sites} == {"nine", "five"}
    assert [s.name for s in RealSeries(0, 2, data=tmp_path, least_dates=9).sites] == ["nine"]
    with pytest.raises(DataMissingError, match="10 dates"):
        RealSeries(0, 2, data=tmp_path, least_dates=10)


def test_fields_have_the_clear_flag_of_their_cloud_and_their_own_dates(folder):
    source = RealSeries(
        0, 8, dates=9, data=folder, sources=["fields"], only_clear=0.0, shift_years=False
    )
    (batch,) = first(source)
    counts = batch["observed"].sum((1, 2, 3))
    assert set(counts.tolist()) <= {6, 9}
    assert not batch["clear"][:, 1].any()
    assert (batch["days"][:, 0] == (date(2018, 1, 1) - REFERENCE).days).all()


def test_clouds_of_the_scene_classification_are_not_clear(tmp_path):
    scl = np.full((9, 6, 6), 4, np.uint8)
    scl[3], scl[4] = 9, 3
    write_index(tmp_path, write_site(tmp_path, "one", scl=scl))
    (site,) = read_sites(tmp_path)
    assert site.clear.all((1, 2)).tolist() == [k not in (1, 3, 4) for k in range(9)]


def test_snow_is_seen_but_is_no_target_in_fields_and_images(tmp_path):
    white = np.array([6000, 6000, 5800, 6000, 6000, 6000, 6000, 6000, 1000, 1000], np.uint16)
    entries = write_site(tmp_path, "image"), write_fields(tmp_path)
    for entry, rows in zip(entries, ([0, 5], [2, 8])):
        arrays = dict(np.load(tmp_path / entry["file"]))
        shape = (10,) + (1,) * (arrays["reflectance"].ndim - 2)
        arrays["reflectance"][rows] = white.reshape(shape)
        np.savez(tmp_path / entry["file"], **arrays)
    write_index(tmp_path, *entries)
    image, *fields = read_sites(tmp_path)
    assert np.flatnonzero(image.clear.all((1, 2))).tolist() == [2, 3, 4, 6, 7, 8]
    # Every other date of the fields is cloudy.
    assert [np.flatnonzero(one.clear[:, 0, 0]).tolist() for one in fields] == [[0, 4], [0, 4, 6, 8]]
    (batch,) = first(RealSeries(0, 8, dates=9, data=tmp_path, only_clear=0.0, sources=["fields"]))
    bright = batch["reflectance"][:, :, 0] > 0.5
    assert (bright & batch["observed"]).any()
    assert not (bright & batch["clear"]).any()


def test_a_small_site_is_padded_in_space(tmp_path):
    write_index(tmp_path, write_site(tmp_path, "small", size=3))
    (batch,) = first(RealSeries(0, 2, dates=9, size=8, data=tmp_path))
    assert batch["observed"][:, :, :3, :3].all()
    assert batch["observed"].sum() == 2 * 9 * 9


def test_series_shift_by_whole_years_only(folder):
    (batch,) = first(RealSeries(0, 64, dates=9, data=folder, sources=["image"], only_clear=0.0))
    shift = batch["days"][:, 0] - (date(2018, 1, 1) - REFERENCE).days
    years = shift / 365.25
    assert ((years - years.round()).abs() < 0.005).all()
    assert len(set(years.round().tolist())) > 5
    assert batch["days"].min() >= (date(2015, 1, 1) - REFERENCE).days
    assert batch["days"].max() <= (date(2040, 12, 31) - REFERENCE).days


def only_ten(folder, **options):
    source = RealSeries(
        5, 64, dates=9, data=folder, exclude=["four", "fields"], only_clear=0.0,
        shift_years=False, **options,
    )  # fmt: skip
    return first(source)[0]


def test_a_gain_is_one_factor_a_band_of_a_series(folder):
    plain = only_ten(folder)["reflectance"][..., 0, 0]
    ratio = only_ten(folder, gain=0.1)["reflectance"][..., 0, 0] / plain.mean(0)
    ratio = ratio / ratio.mean((0, 1))
    # The same on all dates, another for each series, and for its bands less far apart.
    assert (ratio.std(1) < 1e-4).all()
    common = ratio.mean((1, 2))
    assert 0.05 < common.std() < 0.2
    assert 0.01 < (ratio[:, 0] - common[:, None]).std() < 0.1


def test_a_shift_of_the_season_moves_all_dates_of_a_series_by_whole_days(folder):
    moved = only_ten(folder, shift_days=15)["days"] - only_ten(folder)["days"]
    assert (moved == moved[:, :1]).all()
    assert len(set(moved[:, 0].tolist())) > 10
    assert moved.abs().max() <= 15
    assert (moved == moved.round()).all()


def test_blended_pixels_lie_between_those_of_their_site(folder):
    blue = only_ten(folder, mix=1.0)["reflectance"][:, 0, 0, 0, 0]
    assert blue.min() >= 0.1
    assert blue.max() <= 0.1055 + 1e-6
    assert len(set(blue.tolist())) > 30  # of 36 pixels a few would be drawn twice
    assert set((blue * 10000).round().int().tolist()) - {
        1000 + 10 * r + c for r in range(6) for c in range(6)
    }


def test_what_neighbours_contradict_is_seen_but_not_clear_where_screened(tmp_path):
    entry = write_site(tmp_path, "hazy")
    path = tmp_path / entry["file"]
    arrays = dict(np.load(path))
    arrays["reflectance"][4, 0] += 1000
    np.savez(path, **arrays)
    write_index(tmp_path, entry)
    options = {"dates": 9, "data": tmp_path, "only_clear": 0.0}
    (plain,) = first(RealSeries(0, 4, **options))
    (screened,) = first(RealSeries(0, 4, screen=True, **options))
    assert torch.equal(plain["observed"], screened["observed"])
    assert (plain["clear"] & ~screened["clear"]).nonzero()[:, 1].unique().tolist() == [4]


def test_long_series_are_thinned_in_order(folder):
    (batch,) = first(RealSeries(0, 16, dates=5, data=folder))
    assert batch["observed"].sum((1, 2, 3)).max() == 5
    assert (batch["days"].diff(dim=1) > 0).any()


def test_one_seed_one_stream(folder):
    one, other = (first(RealSeries(7, 4, dates=9, data=folder), 3) for _ in range(2))
    for a, b in zip(one, other):
        assert all(torch.equal(a[key].nan_to_num(-1), b[key].nan_to_num(-1)) for key in a)
    different = first(RealSeries(8, 4, dates=9, data=folder))[0]
    assert not torch.equal(different["days"], one[0]["days"])


def test_workers_share_the_stream_and_repeat_nothing(folder):
    loader = DataLoader(RealSeries(7, 4, dates=9, data=folder), batch_size=None, num_workers=2)
    days = [batch["days"] for batch in first(loader, 4)]
    alone = [batch["days"] for batch in first(RealSeries(7, 4, dates=9, data=folder), 4)]
    assert all(torch.equal(a, b) for a, b in zip(days, alone))


def test_a_missing_folder_or_site_is_said_in_a_sentence(tmp_path, folder):
    with pytest.raises(DataMissingError, match="give the folder"):
        read_sites(tmp_path / "nothing")
    part = tmp_path / "part"
    part.mkdir()
    (part / "index.json").write_text('[{"site": ')
    with pytest.raises(DataMissingError, match="no index of real series"):
        read_sites(part)
    entry = {"site": "a", "file": "a.npz", "bands": [], "use": "train"}
    (part / "index.json").write_text(json.dumps([entry]))
    with pytest.raises(DataMissingError, match=r"lacks a\.npz"):
        read_sites(part)
    with pytest.raises(DataMissingError, match="elsewhere"):
        read_sites(folder, ("elsewhere",))


def test_mixed_draws_by_weight_and_takes_descriptions(folder):
    real = {"class": "training.data.real:RealSeries", "batch_size": 2, "data": str(folder)}
    short, long = {**real, "dates": 5}, {**real, "dates": 7}
    source = make_source(
        {"class": "training.data.mixed:Mixed", "sources": [short, long], "weights": [3, 1]}, 1
    )
    lengths = [batch["days"].shape[1] for batch in first(source, 200)]
    assert 0.6 < lengths.count(5) / 200 < 0.9


def test_mixed_refuses_weights_that_do_not_fit(folder):
    source = RealSeries(0, 2, data=folder)
    with pytest.raises(ValueError, match="positive weights"):
        Mixed([source], [1, 2])


@pytest.mark.skipif(not DATA_FOLDER.exists(), reason="no real series beside the repository")
def test_the_shared_series_give_plausible_reflectance():
    sites = read_sites()
    assert not any("central" in site.name or "arkansas" in site.name for site in sites)
    (batch,) = first(RealSeries(0, 64, dates=48))
    clear = batch["reflectance"][..., 0, 0][batch["clear"][..., 0, 0]]
    near_infrared = clear[:, 7]
    near_infrared = near_infrared[near_infrared.isfinite()]
    assert 0.15 < near_infrared.median() < 0.45
