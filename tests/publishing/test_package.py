"""The zip that is published: what the site's scan finds, what it holds, and when it is refused."""

import json
import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("mkdocs")
pytest.importorskip("bandit")
pytest.importorskip("detect_secrets")

from scripts import scan

ROOT = Path(__file__).resolve().parents[2]
PLACES = ("homepage", "repository", "tracker")


def commit(folder):
    """Make a repository of the files, as they are here and now, and link the environment."""
    here = ("git", "-c", "user.name=test", "-c", "user.email=test@test.example", "-C", str(folder))
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    os.symlink(ROOT / ".venv", folder / ".venv")
    (folder / ".gitignore").write_text(".venv\nbuild/\n")
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "All"]):
        subprocess.run([*here, *words], check=True)
    return here


def package(folder, *options):
    command = ["bash", str(folder / "scripts" / "package.sh"), *options]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("no git repository")
    folder = tmp_path_factory.mktemp("clone")
    return folder, commit(folder)


@pytest.fixture(scope="module")
def made(clone):
    done = package(clone[0])
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def test_the_scan_of_the_site_finds_nothing(made):
    """Where a model.json has new hashes: python -m scripts.scan ZIP --accept."""
    assert scan.scan(made) == []


def test_known_secrets_are_hashes_of_models_only():
    results = json.loads(scan.BASELINE.read_text())["results"]
    assert results
    for file, secrets in results.items():
        assert re.fullmatch(r"alise/models/[\w-]+/model\.json", file)
        lines = (ROOT / file.split("/", 1)[1]).read_text().splitlines()
        for one in secrets:
            assert re.search(r'"[0-9a-f]{64}"', lines[one["line_number"] - 1]), one


def test_every_waiver_in_the_code_has_a_reason():
    for path in (ROOT / "alise_plugin").rglob("*.py"):
        for line in path.read_text().splitlines():
            if "# nosec" in line:
                assert re.search(r"# nosec B\d{3}  # \w+", line), f"{path}: {line}"


def test_the_scan_finds_what_the_site_finds(made, tmp_path):
    bad = tmp_path / "bad.zip"
    shutil.copy(made, bad)
    with zipfile.ZipFile(bad, "a") as archive:
        archive.writestr("alise/evil.py", "import pickle\npickle.loads(b'')\n")
        archive.writestr(
            "alise/key.py", 'password = "hunter2hunter2"\n'
        )  # pragma: allowlist secret
        archive.writestr("alise/.hidden", "")
        archive.writestr("alise/run.sh", "")
        archive.writestr("alise/__pycache__/a.pyc", "")
    found = "\n".join(scan.scan(bad))
    for part in ("B301", "B105", "Secret Keyword", "hidden file", "program", "site refuses"):
        assert part in found, part


def test_the_zip_holds_the_plugin_its_model_and_its_help(made):
    with zipfile.ZipFile(made) as archive:
        names = archive.namelist()
    top = {name.split("/")[1] for name in names}
    assert {"metadata.txt", "__init__.py", "LICENSE", "alise_plugin", "models", "help"} <= top
    assert not top & {"training", "tests", "scripts", "docs", "benchmarks"}
    assert {"alise/help/index.html", "alise/help/reference/segment.html"} <= set(names)
    assert not [name for name in names if name.startswith("alise/help") and name.endswith(".tif")]


def test_one_commit_makes_one_zip(clone, made, tmp_path):
    again = package(clone[0], str(tmp_path / "out"))
    assert Path(again.stdout.strip()).read_bytes() == made.read_bytes()


def test_a_release_is_refused_while_addresses_are_placeholders(clone, tmp_path):
    folder, here = clone
    metadata = folder / "metadata.txt"
    before = metadata.read_text()

    def release(text):
        metadata.write_text(text)
        subprocess.run([*here, "commit", "-q", "-a", "--allow-empty", "-m", "Text"], check=True)
        return package(folder, "--release", str(tmp_path / "out"))

    filled = before
    for name in PLACES:
        filled = re.sub(rf"(?m)^{name}=.*$", f"{name}=https://code.alise.earth/{name}", filled)
    filled = re.sub(r"(?m)^email=.*$", "email=people@alise.earth", filled)
    assert release(filled).returncode == 0
    for name in (*PLACES, "email"):
        for value in ("https://arxiv.org/abs/2407.08448", "people@a.example", ""):
            done = release(re.sub(rf"(?m)^{name}=.*$", f"{name}={value}", filled))
            assert done.returncode == 1, (name, value)
            assert f"{name}={value}" in done.stderr
    release(before)
