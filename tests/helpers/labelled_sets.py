"""Small folders in the published layouts, with known content."""

import json
from datetime import date, timedelta

import numpy as np
from osgeo import gdal

from alise_plugin.sentinel2 import BANDS

PASTIS_DATES = (20181005, 20190203, 20190714)


def write_pastis(folder, size=128, patches=10, rng=None):
    """Ten patches, two a fold; DN of band b on date t is 100 (t + 1) + b; labels 0, 3, 7 and 19."""
    (folder / "DATA_S2").mkdir(parents=True)
    (folder / "ANNOTATIONS").mkdir()
    features = []
    for number in range(patches):
        name = 10000 + 7 * number
        series = np.empty((3, 10, size, size), np.int16)
        series[:] = 100 * np.arange(1, 4)[:, None, None, None] + np.arange(10)[:, None, None]
        series[1, :, :4] = 0
        series[2, :, :, :4] = -10000
        series[0, 3, 5, 5] = 0  # one band alone may be dark
        target = np.zeros((3, size, size), np.uint8)
        target[0, : size // 2] = 3
        target[0, size // 2 :, : size // 2] = 7
        target[0, -2:] = 19
        target[1] = 77  # the other planes are not for us
        np.save(folder / "DATA_S2" / f"S2_{name}.npy", series)
        np.save(folder / "ANNOTATIONS" / f"TARGET_{name}.npy", target)
        dates = {str(place): day for place, day in enumerate(PASTIS_DATES)}
        features.append(
            {
                "type": "Feature",
                "properties": {
                    "ID_PATCH": name,
                    "Fold": number % 5 + 1,
                    "N_Parcel": 4,
                    "dates-S2": dates if number % 2 else json.dumps(dates),
                },
                "geometry": None,
            }
        )
    content = {"type": "FeatureCollection", "features": features[::-1]}
    (folder / "metadata.geojson").write_text(json.dumps(content))


MULTISENGE_ORDER = ("B02", "B03", "B04", "B08", "B05", "B06", "B07", "B8A", "B11", "B12")


def write_multisenge(folder, size=256, patches=2, dates=4, described=False):
    """Patches whose DN is 1000 + 100 times the place of the band in BANDS; labels 0, 6 and 11."""
    for name in ("labels", "s2", "s1", "ground_reference"):
        (folder / name).mkdir(parents=True)
    for number in range(patches):
        x, y = 256 * number, 512
        days = [date(2020, 3, 21) + timedelta(days=40 * step) for step in range(dates)]
        names = [f"32ULU_{day:%Y%m%d}_S2_{x}_{y}.tif" for day in days]
        for name in names:
            planes = [1000 + 100 * BANDS.index(band) for band in MULTISENGE_ORDER]
            values = np.broadcast_to(np.array(planes)[:, None, None], (10, size, size)).copy()
            values[:, 0, 0] = -10000
            bands = MULTISENGE_ORDER if described else None
            write_tif(folder / "s2" / name, values.astype(np.int16), bands)
        labels = np.full((1, size, size), 6, np.uint8)
        labels[:, :, size // 2 :] = 11
        labels[:, 0] = 0
        write_tif(folder / "ground_reference" / f"32ULU_GR_{x}_{y}.tif", labels)
        # The lists name the dates in any order, and some that were never delivered.
        listed = [*names[::-1], f"32ULU_20201231_S2_{x}_{y}.tif"]
        content = {
            "corresponding_s2": ";".join(listed),
            "corresponding_s1": f"32ULU_20200322_S1_{x}_{y}.tif",
            "projection": "EPSG:32632",
            "labels": "6;11",
        }
        (folder / "labels" / f"32ULU_{x}_{y}.json").write_text(json.dumps(content))


def write_tif(path, values, names=None):
    kind = gdal.GDT_Byte if values.dtype == np.uint8 else gdal.GDT_Int16
    count, height, width = values.shape
    dataset = gdal.GetDriverByName("GTiff").Create(str(path), width, height, count, kind)
    for number in range(count):
        band = dataset.GetRasterBand(number + 1)
        band.WriteRaster(0, 0, width, height, values[number].tobytes())
        if names:
            band.SetDescription(names[number])
    dataset.FlushCache()
