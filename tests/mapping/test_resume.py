"""A run that is stopped goes on where it was, and its result is that of one that was not."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal

from alise_plugin.errors import AliseError, Cancelled, OutputError
from alise_plugin.feedback import SilentFeedback
from alise_plugin.mapping.embedding.embed import embed
from alise_plugin.mapping.embedding.source_state import source_state
from alise_plugin.mapping.embedding.tile_files import BlockFolder
from alise_plugin.mapping.features.tiling import TileBudget
from alise_plugin.model.package import CompactForm
from alise_plugin.sentinel2 import BANDS
from alise_plugin.sits.build import build_series
from tests.helpers.cubes import write_zarr
from tests.helpers.fake_encoder import FakeEncoder
from tests.helpers.features import features_from, packed
from tests.helpers.rasters import dated_rasters, utm, write_cube
from tests.helpers.stac_server import stac_server

ROOT = Path(__file__).resolve().parents[2]


class StopsAfter(FakeEncoder):
    """Stops the run once some tiles were encoded."""

    def __init__(self, tiles):
        super().__init__()
        self.left = tiles

    def encode_strips(self, *args, **options):
        if self.left == 0:
            raise Cancelled("The run was cancelled.")
        self.left -= 1
        yield from super().encode_strips(*args, **options)


class Told(SilentFeedback):
    def __init__(self):
        self.fractions, self.texts = [], []

    def progress(self, fraction):
        self.fractions.append(fraction)

    def info(self, text):
        self.texts.append(text)

    def warning(self, text):
        self.info(text)


def raw(path):
    return gdal.Open(str(path)).ReadAsArray()


@pytest.mark.parametrize("form", ["float32", "int8"])
def test_a_run_goes_on_and_ends_as_if_never_stopped(series, tmp_path, form):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    whole, parts = tmp_path / "one" / "map.tif", tmp_path / "two" / "map.tif"
    embed(features_from(series, FakeEncoder()), whole, budget=TileBudget(tile_size=32), format=form)
    with pytest.raises(Cancelled):
        embed(
            features_from(series, StopsAfter(4)),
            parts,
            budget=TileBudget(tile_size=32),
            format=form,
            resume=True,
        )
    assert os.listdir(parts.parent) == ["map.tif.blocks"]
    blocks = os.listdir(parts.parent / "map.tif.blocks")
    assert len(blocks) == 5  # four tiles and the journal
    goes_on, told = FakeEncoder(), Told()
    # other tiles are asked for now, but those of the run that began are kept
    options = {"tile_size": 16, "format": form, "resume": True, "feedback": told}
    embed(features_from(series.reopen(), goes_on), parts, **packed(options))
    assert len(goes_on.reads) == (9 - 4) * 4
    assert told.texts[1] == "4 of 9 tiles are there already."
    assert 4 / 10 < told.fractions[0] < 5 / 9
    assert told.fractions == sorted(told.fractions)
    np.testing.assert_array_equal(raw(parts), raw(whole))
    assert os.listdir(parts.parent) == ["map.tif"]
    first, second = gdal.Open(str(parts)), gdal.Open(str(whole))
    assert first.GetRasterBand(1).GetScale() == second.GetRasterBand(1).GetScale()
    assert first.GetMetadata() == second.GetMetadata()


def test_a_half_written_tile_is_done_again(series, tmp_path):
    path = tmp_path / "map.tif"
    with pytest.raises(Cancelled):
        embed(
            features_from(series, StopsAfter(2)), path, budget=TileBudget(tile_size=32), resume=True
        )
    half = tmp_path / "map.tif.blocks" / ".r000000_c000064.1a2b3c4d.partial.tif"
    half.write_text("half")
    assert BlockFolder(path).missing([]) == []
    assert not half.exists()  # it takes room
    embed(features_from(series, FakeEncoder()), path, budget=TileBudget(tile_size=32), resume=True)
    embed(
        features_from(series, FakeEncoder()),
        tmp_path / "whole.tif",
        budget=TileBudget(tile_size=32),
    )
    np.testing.assert_array_equal(raw(path), raw(tmp_path / "whole.tif"))


@pytest.mark.parametrize("size", [0, 500])
def test_a_tile_that_a_disk_has_spoilt_is_named(series, tmp_path, size):
    path = tmp_path / "map.tif"
    with pytest.raises(Cancelled):
        embed(
            features_from(series, StopsAfter(2)), path, budget=TileBudget(tile_size=32), resume=True
        )
    block = tmp_path / "map.tif.blocks" / "r000000_c000032.tif"
    os.truncate(block, size)
    with pytest.raises(OutputError, match=r"c000032\.tif cannot be read; delete it and run again"):
        embed(
            features_from(series, FakeEncoder()), path, budget=TileBudget(tile_size=32), resume=True
        )
    block.unlink()
    goes_on = FakeEncoder()
    embed(features_from(series, goes_on), path, budget=TileBudget(tile_size=32), resume=True)
    assert len(goes_on.reads) == 4


def compact_encoder(encoder, sha256):
    """With a compact form of two features."""
    form = CompactForm(sha256, np.full(2, 0.01), np.zeros(2), 1.0)
    encoder.package.require_compact = lambda: form
    return encoder


@pytest.mark.parametrize(
    "change", ["format", "extent", "model", "compact", "dates", "files", "journal"]
)
def test_another_run_does_not_go_on_with_the_blocks(series, tmp_path, change):
    path = tmp_path / "map.tif"
    encoder, options = FakeEncoder(), {}
    if change == "compact":
        options["format"] = "compact"
        encoder = compact_encoder(encoder, "1" * 64)
    stops = compact_encoder(StopsAfter(1), "0" * 64)
    with pytest.raises(Cancelled):
        embed(
            features_from(series, stops),
            path,
            budget=TileBudget(tile_size=32),
            resume=True,
            **packed(options),
        )
    if change == "dates":
        series = series.subset(series.dates[1:])
    elif change == "format":
        options["format"] = "int8"
    elif change == "extent":
        left, bottom, right, top = series.grid.extent
        options["extent"] = (left, bottom, right - 100, top)
    elif change == "model":
        encoder.package.sha256 = "1" * 64
    elif change == "files":
        scene = sorted((tmp_path / "scenes").glob("S2*.tif"))[0]
        os.utime(scene, (1, 1))
    elif change == "journal":
        (tmp_path / "map.tif.blocks" / "journal.json").write_text("{")
    with pytest.raises(OutputError, match="blocks of another run") as error:
        embed(
            features_from(series, encoder),
            path,
            budget=TileBudget(tile_size=32),
            resume=True,
            **packed(options),
        )
    assert "\n" not in str(error.value)


def test_a_scene_behind_a_mosaic_is_one_of_the_files(series, tmp_path):
    """A series over VRTs, as mosaics of a day and bands of other grids are built."""
    scene = sorted((tmp_path / "scenes").glob("S2*.tif"))[0]
    parts = [str(tmp_path / f"{name}.vrt") for name in ("mosaic", "series_of_parts")]
    for part, behind in zip(parts, (str(scene), parts[0])):
        gdal.BuildVRT(part, [behind]).FlushCache()
    before = source_state(parts[1])
    assert [name for name, *_ in before if name != "VRT"] == [str(scene)]
    os.utime(scene, (1, 1))
    assert source_state(parts[1]) != before


@pytest.mark.parametrize("change", ["place", "scale", "band_order"])
def test_another_series_of_the_same_files_is_another_run(series, tmp_path, change):
    scenes = sorted(map(str, (tmp_path / "scenes").glob("S2*.tif")))
    left, bottom, right, top = series.grid.extent
    options = {"extent": (left, bottom, right - 100, top)}
    path = tmp_path / "map.tif"
    if change == "band_order":  # which counts where nothing is described
        options["band_order"] = list(BANDS)
        for scene in scenes:
            dataset = gdal.Open(scene, gdal.GA_Update)
            for number in range(1, len(BANDS) + 1):
                dataset.GetRasterBand(number).SetDescription("")
            dataset = None
    first = build_series(scenes, tmp_path / "series.vrt", **options)
    with pytest.raises(Cancelled):
        embed(
            features_from(first, StopsAfter(1)), path, budget=TileBudget(tile_size=32), resume=True
        )
    if change == "place":  # of the same size
        options = {"extent": (left + 100, bottom, right, top)}
    elif change == "scale":
        options["scale"] = 0.0002
    else:
        options["band_order"] = [*BANDS[::-1]]
    second = build_series(scenes, tmp_path / "series.vrt", **options)
    assert second.grid.window == first.grid.window
    with pytest.raises(OutputError, match="blocks of another run"):
        embed(
            features_from(second, FakeEncoder()), path, budget=TileBudget(tile_size=32), resume=True
        )


@pytest.mark.parametrize("warped", [False, True])
def test_a_series_that_is_built_again_is_the_same_run(tmp_path, rng, warped):
    """In another folder too, as of rasters that a run makes a series of each time."""
    (tmp_path / "scenes").mkdir()
    scenes, _, _ = dated_rasters(tmp_path / "scenes", rng, 2, height=40, width=40)
    options = {"crs": "EPSG:32632", "resolution": 10} if warped else {}
    found = []
    for place in ("here", "elsewhere/and/farther/away"):
        (tmp_path / place).mkdir(parents=True)
        series = build_series(scenes, tmp_path / place / "series.vrt", **options)
        found.append(source_state(series.path))
    assert found[0] == found[1]
    assert [name for name, *_ in found[0] if name != "VRT"] == scenes
    assert len(found[0]) > len(scenes) + warped


def test_cubes_and_zips_are_files_too(tmp_path, rng):
    values = rng.integers(1, 9000, (2, 20, 20)).astype(np.int16)
    cube = write_cube(
        tmp_path / "cube.nc",
        dict.fromkeys(("B02", "B03", "B04", "B08"), values),
        left=600000,
        top=5000000,
        size=10,
        days_since=[1300, 1320],
    )
    (tmp_path / "scenes").mkdir()
    dated_rasters(tmp_path / "scenes", rng, 2, height=20, width=20)
    archive = shutil.make_archive(str(tmp_path / "scenes"), "zip", tmp_path / "scenes")
    inside = [f"/vsizip/{archive}/S2_{day}.tif" for day in ("20190105", "20190116")]
    for inputs, file in (([cube], cube), (inside, archive)):
        path = build_series(inputs, tmp_path / "series.vrt", scale=0.0001).path
        before = source_state(path)
        assert [name for name, *_ in before if name != "VRT"] == [file]
        os.utime(file, (1, 1))
        assert source_state(path) != before


def test_less_memory_than_the_run_began_with_is_said(series, tmp_path):
    path = tmp_path / "map.tif"
    with pytest.raises(Cancelled):
        embed(
            features_from(series, StopsAfter(1)), path, budget=TileBudget(tile_size=64), resume=True
        )
    heavy = FakeEncoder(bytes_per_read_pixel=10_000)
    with pytest.raises(AliseError, match="tiles of 64 x 64 pixels"):
        embed(features_from(series, heavy), path, budget=TileBudget(memory_mb=20), resume=True)


def test_without_resume_nothing_is_kept(series, tmp_path):
    with pytest.raises(Cancelled):
        embed(
            features_from(series, StopsAfter(2)),
            tmp_path / "map.tif",
            budget=TileBudget(tile_size=32),
        )
    assert os.listdir(tmp_path) == ["scenes"]


def test_killed_in_the_middle_with_the_real_model(series, tiny_package, tmp_path):
    """SIGKILL, as a power cut: what is there is complete, and the rest follows."""
    pytest.importorskip("onnxruntime")
    path, whole = tmp_path / "map.tif", tmp_path / "whole.tif"
    command = [sys.executable, "-m", "alise_plugin", "embed", "--input", series.path]
    command += ["--model", tiny_package, "--tile-size", "16", "--threads", "1", "--resume"]
    command += ["--device", "cpu", "--output"]
    run = subprocess.Popen([*command, str(path)], cwd=ROOT, stderr=subprocess.DEVNULL)
    blocks = tmp_path / "map.tif.blocks"
    patience = time.monotonic() + 60
    while time.monotonic() < patience and len(list(blocks.glob("r*.tif"))) < 3:
        time.sleep(0.05)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert not path.exists()
    assert json.loads((blocks / "journal.json").read_text())["decisions"]["tile"] == [16, 16]
    done = len(list(blocks.glob("r*.tif")))
    assert 3 <= done < 30
    for output in (path, whole):
        subprocess.run([*command, str(output), "--quiet"], cwd=ROOT, check=True)
    np.testing.assert_array_equal(raw(path), raw(whole))
    assert not blocks.exists()


def zarr_series(folder, values, name="cube.zarr", output="series.vrt"):
    """A series of a Zarr cube as xcube writes it."""
    days = np.array([1300, 1320], "i8")
    height, width = values.shape[1:]
    write_zarr(
        folder / name,
        {band: (("time", "y", "x"), values) for band in ("B02", "B03", "B04", "B08")},
        {
            "time": (days, {"units": "days since 2015-08-01"}),
            "y": (5000000.0 - 10 * (np.arange(height) + 0.5), {}),
            "x": (600000.0 + 10 * (np.arange(width) + 0.5), {}),
        },
        scalars={"crs": (np.int32(0), {"crs_wkt": utm().ExportToWkt()})},
        attributes={"grid_mapping": "crs"},
    )
    return build_series([folder / name], folder / output, scale=0.0001)


def test_a_zarr_cube_is_known_by_all_of_its_files(tmp_path, rng):
    values = rng.integers(1, 9000, (2, 40, 40)).astype(np.int16)
    series = zarr_series(tmp_path, values)
    before = source_state(series.path)
    assert [item[:2] for item in before if item[0] != "VRT"] == [
        [str(tmp_path / "cube.zarr"), "folder"]
    ]
    assert source_state(series.path) == before
    chunk = next(path for path in (tmp_path / "cube.zarr" / "B04").iterdir() if path.name[0] != ".")
    chunk.write_bytes(chunk.read_bytes()[::-1])
    assert source_state(series.path) != before


@pytest.mark.parametrize("change", ["rewritten", "another of that name"])
def test_another_cube_is_another_run(tmp_path, rng, change):
    values = rng.integers(1, 9000, (2, 64, 64)).astype(np.int16)
    series = zarr_series(tmp_path, values)
    path = tmp_path / "map.tif"
    with pytest.raises(Cancelled):
        embed(
            features_from(series, StopsAfter(1)), path, budget=TileBudget(tile_size=32), resume=True
        )
    if change == "rewritten":
        shutil.rmtree(tmp_path / "cube.zarr")
        series = zarr_series(tmp_path, values[:, ::-1])
    else:
        (tmp_path / "other").mkdir()
        series = zarr_series(tmp_path / "other", values[:, ::-1])
    with pytest.raises(OutputError, match="blocks of another run"):
        embed(
            features_from(series, FakeEncoder()), path, budget=TileBudget(tile_size=32), resume=True
        )


def test_a_file_on_the_network_is_known_by_what_its_server_says(tmp_path, rng):
    (tmp_path / "files").mkdir()
    scenes, _, _ = dated_rasters(tmp_path / "files", rng, 2, height=40, width=40)
    with stac_server(tmp_path) as server:
        addresses = [
            f"/vsicurl/{server.address}/files/{os.path.basename(scene)}" for scene in scenes
        ]
        gdal.BuildVRT(str(tmp_path / "remote.vrt"), addresses, separate=True).FlushCache()
        before = source_state(str(tmp_path / "remote.vrt"))
        assert [item[0] for item in before if item[0] != "VRT"] == addresses
        assert source_state(str(tmp_path / "remote.vrt")) == before
        with open(scenes[0], "ab") as file:
            file.write(b"more")
        assert source_state(str(tmp_path / "remote.vrt")) != before


@pytest.mark.parametrize("resume", [False, True])
def test_a_source_that_is_replaced_in_mid_run_is_noticed(series, tmp_path, resume):
    scene = sorted((tmp_path / "scenes").glob("S2*.tif"))[0]

    class Replaces(FakeEncoder):
        calls = 0

        def encode_strips(self, *arguments, **options):
            self.calls += 1
            if self.calls == 3:
                os.utime(scene, (1, 1))
            yield from super().encode_strips(*arguments, **options)

    path = tmp_path / "map.tif"
    with pytest.raises(OutputError, match=rf"{scene.name} was changed while this run read it"):
        embed(
            features_from(series, Replaces()), path, budget=TileBudget(tile_size=32), resume=resume
        )
    assert not path.exists()
    assert not list(tmp_path.glob("*partial*"))
