import json
from datetime import date, timedelta

import numpy as np
import pytest

from alise_plugin.sits.acquisitions import days_since_reference
from training.__main__ import main
from training.data.gather import SOURCES
from training.data.real import RealSeries, read_sites

pyarrow = pytest.importorskip("pyarrow", reason="pyarrow reads Parquet files")
parquet = pytest.importorskip("pyarrow.parquet")

TEN = ["B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12"]
BY_SITE = {source.site: source for source in SOURCES}


def write(folder, site, columns):
    path = folder / BY_SITE[site].path
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.table(columns), path)


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
    return main(["gather", "--repositories", str(folder), "--out", str(out)])


def test_rows_become_one_series_a_sample_at_the_middle_of_its_composites(tmp_path):
    write(tmp_path, "france", rows())
    assert gather(tmp_path, tmp_path / "out") == 0
    with np.load(tmp_path / "out/france.npz") as file:
        assert file["offset"].tolist() == [0, 8, 15, 23]
        assert file["labels"].tolist() == [1000, 1001, 1002]
        np.testing.assert_allclose(file["lonlat"], [[0.5, 45], [0.6, 45], [0.7, 45]])
        assert file["dates"][:2].tolist() == ["2022-09-06", "2022-09-16"]
        assert file["reflectance"][:3, 0].tolist() == [100, 110, 120]
        assert file["reflectance"][8:12, 0].tolist() == [101, 111, 121, 141]
    sites = read_sites(tmp_path / "out")
    assert [len(site.days) for site in sites] == [8, 7, 8]
    assert {len(site.planes) for site in sites} == {9}  # B8A is not in the set
    assert sites[0].days[0] == days_since_reference([date(2022, 9, 6)])[0]


def test_columns_become_months_and_bright_ones_are_seen_but_not_clear(tmp_path):
    write(tmp_path, "africa", columns())
    assert gather(tmp_path, tmp_path / "out") == 0
    with np.load(tmp_path / "out/africa.npz") as file:
        months = [day[:7] for day in file["dates"]]
        assert months[:3] == ["2016-11", "2016-12", "2017-01"]
        assert months[7:9] == ["2018-12", "2019-01"]
        assert file["cloud"].tolist() == [0] * 7 + [1] * 7
    dark, bright = read_sites(tmp_path / "out")
    assert dark.clear.all()
    assert not bright.clear.any()
    (batch,) = (next(iter(RealSeries(0, 4, dates=8, data=tmp_path / "out"))),)
    assert batch["observed"].any((1, 2, 3)).all()


def test_a_set_without_a_licence_is_never_trained_on(tmp_path):
    write(tmp_path, "world", columns())
    write(tmp_path, "africa", columns())
    assert gather(tmp_path, tmp_path / "out") == 0
    index = {
        entry["site"]: entry for entry in json.loads((tmp_path / "out/index.json").read_text())
    }
    assert index["world"]["use"] == "evaluate only"
    assert {site.name for site in read_sites(tmp_path / "out")} == {"africa"}


def test_what_is_missing_is_said(tmp_path, capsys):
    assert gather(tmp_path, tmp_path / "out") == 2
    assert "clone it" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    write(tmp_path, "africa", columns())
    table = rows()
    del table["S2-L2A-B02"]
    write(tmp_path, "france", table)
    assert gather(tmp_path, tmp_path / "out") == 2
    assert "no column S2-L2A-B02" in capsys.readouterr().err
    (tmp_path / BY_SITE["france"].path).write_bytes(b"no table")
    assert gather(tmp_path, tmp_path / "out") == 2
    assert "cannot be read as a Parquet file" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
