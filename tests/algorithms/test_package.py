"""The zip that QGIS installs: what is in it, and that it works where nothing else is."""

import re
import subprocess
import zipfile
from pathlib import Path

import pytest
from osgeo import gdal

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    if not (ROOT / ".git").exists():
        pytest.skip("this is no checkout of the repository")
    folder = tmp_path_factory.mktemp("package")
    made = subprocess.run(
        ["bash", str(ROOT / "scripts" / "package.sh"), str(folder)],
        capture_output=True,
        text=True,
        check=True,
    )
    path = Path(made.stdout.strip())
    assert list(folder.iterdir()) == [path]
    return path


def test_it_holds_the_plugin_and_nothing_else(package):
    with zipfile.ZipFile(package) as content:
        names = content.namelist()
        metadata = content.read("alise/metadata.txt").decode("utf-8")
    rooms = {name.split("/")[1] for name in names if name.count("/") > 1}
    assert rooms == {"alise_plugin", "models", "help"}
    assert {"alise/__init__.py", "alise/metadata.txt", "alise/LICENSE"} <= set(names)
    assert not [name for name in names if name.endswith((".pyc", ".ckpt", ".pt"))]
    assert f"\nversion={package.stem.split('-')[1]}\n" in metadata


def test_qgis_runs_what_is_in_it(package, qgis_process, scenes, tmp_path):
    plugins = tmp_path / "plugins"
    with zipfile.ZipFile(package) as content:
        content.extractall(plugins)
    listed = qgis_process("list", QGIS_PLUGINPATH=str(plugins)).stdout
    for name in ("buildtimeseries", "embed", "trainregression", "changebetweenfolders"):
        assert f"alise:{name}" in listed
    embedding = tmp_path / "embedding.tif"
    result = qgis_process(
        "run",
        "alise:embed",
        "--",
        *[f"INPUT={path}" for path in scenes],
        "FORMAT=compact",
        f"OUTPUT={embedding}",
        QGIS_PLUGINPATH=str(plugins),
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "alise-s2" in gdal.Open(str(embedding)).GetMetadataItem("ALISE_MODEL")
    assert gdal.Open(str(embedding)).RasterCount == 64


def test_the_package_and_the_plugin_share_one_version():
    metadata, project = ((ROOT / name).read_text() for name in ("metadata.txt", "pyproject.toml"))
    version = re.search(r"^version=(\S+)$", metadata, re.MULTILINE)[1]
    assert re.search(r'^version = "(\S+)"$', project, re.MULTILINE)[1] == version
    assert f"\nchangelog={version}\n" in metadata
