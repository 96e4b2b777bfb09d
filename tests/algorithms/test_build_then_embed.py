"""SAFE products in a folder -> image series -> embedding, through the real command."""

from datetime import date

import numpy as np
from osgeo import gdal

from tests.helpers.products import SIDE, write_safe, zipped


def values(result):
    assert result.returncode == 0, result.stdout + result.stderr
    lines = [line.split(":", 1) for line in result.stdout.splitlines() if ":" in line]
    return {name.strip(): value.strip() for name, value in lines}


def test_from_safe_to_an_embedding(qgis_process, tiny_package, tmp_path):
    folder = tmp_path / "mes scènes"
    scl = np.full((SIDE // 2, SIDE // 2), 4)
    scl[:6] = 9
    write_safe(folder, date(2019, 5, 14))
    zipped(write_safe(folder, date(2022, 3, 2), baseline="04.00", offset=-1000))
    write_safe(folder, date(2022, 7, 5), baseline="04.00", offset=-1000, scl=scl)
    series, report = tmp_path / "series.vrt", tmp_path / "report.html"
    built = values(
        qgis_process(
            "run",
            "alise:buildtimeseries",
            "--",
            f"FOLDER={folder}",
            "MAX_CLOUD=40",
            f"OUTPUT={series}",
            f"REPORT={report}",
        )
    )
    assert built["COUNT"] == "2"
    assert built["PRODUCTS"] == "2"
    assert built["LEFT_OUT"] == "1"
    assert built["REPORT"] == str(report)
    assert "50 % cloud, more than 40 %" in report.read_text(encoding="utf-8")
    embedded = values(
        qgis_process(
            "run",
            "alise:embed",
            "--",
            f"INPUT={series}",
            f"MODEL={tiny_package}",
            f"OUTPUT={tmp_path / 'embedding.tif'}",
        )
    )
    assert embedded["DATES_USED"] == "2019-05-14, 2022-03-02"
    embedding = gdal.Open(str(tmp_path / "embedding.tif"))
    assert (embedding.RasterCount, embedding.RasterXSize) == (640, SIDE)
