import json
import subprocess
from datetime import date, timedelta

import numpy as np
import pytest
from osgeo import gdal

from alise_plugin.sits.acquisitions import days_since_reference
from training.__main__ import main
from training.data.gather.sources import SOURCES
from training.data.real import DataMissingError, RealSeries, read_sites

pyarrow = pytest.importorskip("pyarrow", reason="pyarrow reads Parquet files")
parquet = pytest.importorskip("pyarrow.parquet")
pandas = pytest.importorskip("pandas", reason="comes with rdata, which reads files of R")
rdata = pytest.importorskip("rdata", reason="rdata reads files of R")

TEN = ["B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12"]
BY_SITE = {source.site: source for source in SOURCES}


def place(folder, site, name=None):
    """Where a file of a source goes; `name` stands for what its pattern leaves open."""
    path = folder / (name or BY_SITE[site].path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def write(folder, site, columns):
    parquet.write_table(pyarrow.table(columns), place(folder, site))


def git(folder, *arguments):
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def commit(folder):
    """All that lies in the folder, as a clone has it."""
    git(folder, "init", "-q")
    git(folder, "add", "-A", ".")
    git(folder, "commit", "-q", "--allow-empty", "-m", "files")


def rows(samples=3, dates=8):
    """DN 100 * (1 + band) + 10 * date + sample; the second sample has no value on date 3."""
    sample, step = (grid.ravel() for grid in np.mgrid[:samples, :dates])
    table = {
        "sample_id": [f"s{k}" for k in sample],
        "timestamp": [date(2022, 9, 1) + timedelta(10 * int(k)) for k in step],
        "lon": 0.5 + sample / 10,
        "lat": np.full(len(sample), 45.0),
        "ewoc_code": 1000 + sample,
    }
    for place, band in enumerate(TEN):
        dn = (100 * (1 + place) + 10 * step + sample).astype(np.uint16)
        dn[(sample == 1) & (step == 3)] = 65535
        table[f"S2-L2A-{band}"] = np.full_like(dn, 65535) if band == "B8A" else dn
    # In no order, as tables may be.
    order = np.random.default_rng(0).permutation(len(sample))
    return {name: np.asarray(values)[order] for name, values in table.items()}


def columns(samples=2, months=7):
    table = {
        "start_date": ["2016-11-01", "2018-12-28"][:samples],
        "lon": [30.0, 31.0],
        "lat": [1.0, -2.0],
        "LANDCOVER_LABEL": [11, 13],
        "ewoc_code": [5, 6],
    }
    for place, band in enumerate(TEN):
        metres = 10 if band in ("B02", "B03", "B04", "B08") else 20
        for month in range(months):
            dn = np.array([200 + 10 * place + month, 4000 + month], np.uint16)
            table[f"OPTICAL-{band}-ts{month}-{metres}m"] = dn
    return table


def gather(folder, out):
    commit(folder)
    return main(["gather", "--repositories", str(folder), "--out", str(out)])


@pytest.fixture
def clone(tmp_path):
    (tmp_path / "clone").mkdir()
    return tmp_path / "clone"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def test_rows_become_one_series_a_sample_at_the_middle_of_its_composites(clone, out):
    write(clone, "france", rows())
    assert gather(clone, out) == 0
    with np.load(out / "france.npz") as file:
        assert file["offset"].tolist() == [0, 8, 15, 23]
        assert file["labels"].tolist() == [1000, 1001, 1002]
        np.testing.assert_allclose(file["lonlat"], [[0.5, 45], [0.6, 45], [0.7, 45]])
        assert file["dates"][:2].tolist() == ["2022-09-06", "2022-09-16"]
        assert file["reflectance"][:3, 0].tolist() == [100, 110, 120]
        assert file["reflectance"][8:12, 0].tolist() == [101, 111, 121, 141]
    sites = read_sites(out)
    assert [len(site.days) for site in sites] == [8, 7, 8]
    assert {len(site.planes) for site in sites} == {9}  # B8A is not in the set
    assert sites[0].days[0] == days_since_reference([date(2022, 9, 6)])[0]


def test_columns_become_months_and_bright_ones_are_seen_but_not_clear(clone, out):
    write(clone, "africa", columns())
    assert gather(clone, out) == 0
    with np.load(out / "africa.npz") as file:
        months = [day[:7] for day in file["dates"]]
        assert months[:3] == ["2016-11", "2016-12", "2017-01"]
        assert months[7:9] == ["2018-12", "2019-01"]
        assert file["cloud"].tolist() == [0] * 7 + [1] * 7
    dark, bright = read_sites(out)
    assert dark.clear.all()
    assert not bright.clear.any()
    (batch,) = (next(iter(RealSeries(0, 4, dates=8, data=out))),)
    assert batch["observed"].any((1, 2, 3)).all()


def test_a_set_without_a_licence_is_never_trained_on(clone, out):
    write(clone, "world", columns())
    write(clone, "africa", columns())
    assert gather(clone, out) == 0
    index = {entry["site"]: entry for entry in json.loads((out / "index.json").read_text())}
    assert index["world"]["use"] == "evaluate only"
    assert {site.name for site in read_sites(out)} == {"africa"}


def test_what_is_missing_is_said(clone, out, capsys):
    assert gather(clone, out) == 2
    assert "clone https://github.com/WorldCereal" in capsys.readouterr().err
    assert not (out).exists()
    write(clone, "africa", columns())
    table = rows()
    del table["S2-L2A-B02"]
    write(clone, "france", table)
    assert gather(clone, out) == 2
    assert "no column S2-L2A-B02" in capsys.readouterr().err
    (clone / BY_SITE["france"].path).write_bytes(b"no table")
    assert gather(clone, out) == 2
    assert "cannot be read as a Parquet file" in capsys.readouterr().err
    assert not (out).exists()


def netcdf(path, values, units="seconds since 2023-01-01 10:00:00", together=None):
    """Arrays `(T, H, W)` by their names, a day and an hour apart; `together` `(T, B, W, H)`."""
    dataset = gdal.GetDriverByName("netCDF").CreateMultiDimensional(str(path))
    root = dataset.GetRootGroup()
    count, height, width = values["SCL"].shape
    sizes = {"time": count, "y": height, "x": width}
    if together:
        sizes["band"] = len(together[0])
    axes = {name: root.CreateDimension(name, None, None, size) for name, size in sizes.items()}

    def array(name, dimensions, kind, content):
        made = root.CreateMDArray(name, [axes[d] for d in dimensions], kind)
        made.Write(content)
        return made

    double = gdal.ExtendedDataType.Create(gdal.GDT_Float64)
    seconds = 90000.0 * np.arange(count)
    scale = {"seconds": 1, "milliseconds": 1000, "days": 1 / 86400}[units.split()[0]]
    array("time", ["time"], double, seconds * scale).SetUnit(units)
    short = gdal.ExtendedDataType.Create(gdal.GDT_UInt16)
    for name, content in values.items():
        array(name, ["time", "y", "x"], short, content.astype(np.uint16))
    if together:
        array("band", ["band"], gdal.ExtendedDataType.CreateString(), together[0])
        array("band_data", ["time", "band", "y", "x"], double, together[1])


def test_scenes_keep_every_acquisition_their_classes_and_lose_their_offset(clone, out):
    rng = np.random.default_rng(0)
    values = {band: rng.integers(900, 3000, (7, 3, 4)) for band in TEN}
    values["B02"] = rng.integers(900, 2000, (7, 3, 4))  # brighter, it might be snow
    values["B02"][2] = 0
    values["SCL"] = rng.integers(1, 11, (7, 3, 4))
    for number, units in enumerate(("seconds", "milliseconds", "days")):
        name = f"output01/S2_fid-{number}_image_2023-01.nc"
        netcdf(place(clone, "towers", name), values, f"{units} since 2023-01-01 10:00:00")
    commit(clone)
    # The files are gone from the newest commit, as they are from that repository's.
    git(clone, "tag", BY_SITE["towers"].commit)
    git(clone, "rm", "-rq", "output01")
    assert gather(clone, out) == 0
    index = json.loads((out / "index.json").read_text())
    assert [entry["site"] for entry in index] == ["towers_0", "towers_1", "towers_2"]
    for entry in index:
        with np.load(out / entry["file"]) as file:
            assert file["dates"].tolist()[:3] == ["2023-01-01", "2023-01-02", "2023-01-03"]
            dn = file["reflectance"]
            np.testing.assert_array_equal(dn[:, 4], np.maximum(values["B06"] - 1000, 1))
            assert not dn[2, 0].any()
            np.testing.assert_array_equal(file["scl"], values["SCL"])
    site = read_sites(out)[0]
    masked = np.isin(values["SCL"], (1, 3, 7, 8, 9, 10))
    np.testing.assert_array_equal(site.clear, ~masked)


def test_scenes_may_hold_all_bands_in_one_array(clone, out):
    rng = np.random.default_rng(1)
    values = rng.uniform(0.01, 0.5, (7, 3, 2, 5))
    values[:, :, 0] = -99999
    names = ["B3", "B8A", "B11"]
    path = place(clone, "finland", "output/6up example_netcdf.nc")
    netcdf(path, {"SCL": np.full((7, 2, 5), 4)}, together=(names, values))
    commit(clone)
    git(clone, "tag", BY_SITE["finland"].commit)
    assert gather(clone, out) == 0
    with np.load(out / "finland_0.npz") as file:
        dn = file["reflectance"]
    assert not dn[:, :, 0].any()
    held = dn[:, [TEN.index(band) for band in ("B03", "B8A", "B11")], 1]
    np.testing.assert_array_equal(held, np.round(values[:, :, 1] * 10000))
    assert dn.any((0, 2, 3)).sum() == 3
    (site,) = read_sites(out)
    assert [TEN[plane] for plane in site.planes] == ["B03", "B8A", "B11"]


def test_a_gathering_that_is_stopped_leaves_no_index_of_files_in_part(clone, out, monkeypatch):
    write(clone, "france", rows())
    assert gather(clone, out) == 0

    def stopped(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("numpy.savez_compressed", stopped)
        with pytest.raises(KeyboardInterrupt):
            gather(clone, out)
    with pytest.raises(DataMissingError, match="index"):
        read_sites.__wrapped__(out)
    assert gather(clone, out) == 0
    assert read_sites.__wrapped__(out)


def test_scenes_that_lack_something_are_refused(clone, out, capsys):
    path = place(clone, "towers", "output01/S2_fid-A_image_2023.nc")
    netcdf(path, {"SCL": np.full((7, 2, 2), 4)})
    commit(clone)
    git(clone, "tag", BY_SITE["towers"].commit)
    assert gather(clone, out) == 2
    assert "has no band any more" in capsys.readouterr().err
    path.write_bytes(b"no cube")
    commit(clone)
    git(clone, "tag", "-f", BY_SITE["towers"].commit)
    assert gather(clone, out) == 2
    assert "cannot be read by GDAL" in capsys.readouterr().err
    assert not out.exists()


def test_text_tables_of_force_and_of_plots(clone, out, capsys):
    names = ["BLU", "GRN", "RED", "NIR", "SW1", "SW2", "RE1", "RE2", "RE3", "BNR"]
    for number in (1, 2):
        rows = [
            f"2022{month:02d}03,7,0.1," + ",".join(f"{100 * k + month}.0" for k in range(1, 11))
            for month in range(3, 12)
        ]
        rows[4] = "20220703,7,0.1" + 10 * ","
        path = place(
            clone, "berlin", f"pytorch/example/_SITSrefdata/sepfiles/train/csv/{number}.csv"
        )
        path.write_text("\n".join([",".join(["year", "doy", "label", *names]), *rows]))
    plots = ["plot_names," + ",".join(f"B{band[1:].lstrip('0')}" for band in TEN) + ",dat"]
    for month in range(9, 2, -1):  # in no order
        for plot in "ab":
            values = ["NA" if plot == "a" and month == 5 else f"0.{k:02d}" for k in range(1, 11)]
            plots.append(f"{plot}," + ",".join(values) + f",2022-{month:02d}-11")
    place(clone, "franconia").write_text("\n".join(plots))
    assert gather(clone, out) == 0
    with np.load(out / "berlin.npz") as file:
        assert file["offset"].tolist() == [0, 8, 16]
        assert file["dates"][:5].tolist() == [f"2022-{m:02d}-03" for m in (3, 4, 5, 6, 8)]
        # B02 ... B07, then FORCE's BNR, NIR, SW1, SW2.
        first = [103, 203, 303, 703, 803, 903, 1003, 403, 503, 603]
        assert file["reflectance"][0].tolist() == first
    with np.load(out / "franconia.npz") as file:
        assert file["offset"].tolist() == [0, 6, 13]
        assert file["dates"][0] == "2022-03-11"
        assert file["reflectance"][0].tolist() == [100 * k for k in range(1, 11)]
    (clone / BY_SITE["franconia"].path).write_text("plot_names,B2\na,1\n")
    assert gather(clone, out) == 2
    assert "refl.df.csv of Siedrid/gRasslands has no column dat, B3" in capsys.readouterr().err


def tibble(days, scale=1.0, names=TEN, places=2):
    """Samples as sits keeps them: reflectance of band k is (k + 1) / 100 and sample / 1000 more."""
    series = [
        pandas.DataFrame(
            {"Index": np.array(days, float)}
            | {
                name: scale * (np.full(len(days), k + 1) / 100 + n / 1000)
                for k, name in enumerate(names)
            }
        )
        for n in range(places)
    ]
    return pandas.DataFrame(
        {
            "longitude": [-60.0 - n for n in range(places)],
            "latitude": [-10.0] * places,
            "label": ["Forest", "Pasture"][:places],
            "time_series": series,
        }
    )


def test_tables_of_r_become_samples_and_a_place_is_taken_once(clone, out, monkeypatch, capsys):
    days = [18000 + 10 * k for k in range(8)]
    seven = ["blue", "green", "red", "bnir", "nnir", "swir1", "swir2"]
    tables = {"A": tibble(days, names=seven), "B": tibble(days, names=seven)}
    tables["B"].loc[1, "longitude"] = -70.0
    for name in tables:
        path = place(clone, "rondonia", f"data/validation/samples_{name}_raw.rds")
        path.write_bytes(name.encode())
    # What rdata makes of such a file; it cannot write tables within tables.
    monkeypatch.setattr(rdata, "read_rds", lambda path: tables[path.read_text()])
    assert gather(clone, out) == 0
    with np.load(out / "rondonia.npz") as file:
        assert file["labels"].tolist() == ["Forest", "Pasture", "Pasture"]
        np.testing.assert_allclose(file["lonlat"][:, 0], [-60, -61, -70])
        assert file["dates"][0] == "2019-04-19"  # 18000 days after 1970-01-01, and five
        assert file["reflectance"][0].tolist() == [100, 200, 300, 0, 0, 0, 400, 500, 600, 700]
        assert file["reflectance"][8, 0] == 110
    monkeypatch.undo()
    assert gather(clone, out) == 2
    assert "samples_A_raw.rds cannot be read as an RDS file" in capsys.readouterr().err


def test_a_set_that_is_held_out_is_only_measured_on(clone, out, monkeypatch):
    place(clone, "rondonia_months").write_bytes(b"A")
    monkeypatch.setattr(rdata, "read_rds", lambda path: tibble([18000 + 30 * k for k in range(8)]))
    write(clone, "africa", columns())
    assert gather(clone, out) == 0
    index = {entry["site"]: entry["use"] for entry in json.loads((out / "index.json").read_text())}
    assert index == {"africa": "train", "rondonia_months": "evaluate only"}
