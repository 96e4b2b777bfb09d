import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from alise_plugin.errors import Cancelled, OutputError, RuntimeMissingError
from alise_plugin.runtime import install, interpreter, location
from alise_plugin.runtime.check import check_runtime

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import importlib.util, json, os, sys
from pathlib import Path
from alise_plugin.errors import AliseError
from alise_plugin.runtime.check import check_runtime
from alise_plugin.runtime.install import install_runtime

if sys.argv[3]:  # QGIS has no "" in its path
    sys.path = [entry for entry in sys.path if entry]
    os.chdir(sys.argv[3])
there = importlib.util.find_spec("sklearn") is not None
lines = []
try:
    install_runtime(Path(sys.argv[1]), sys.argv[2], info=lines.append)
except AliseError as error:
    lines.append(str(error))
report = check_runtime(Path(sys.argv[1]))
import numpy
print(json.dumps({
    "lines": lines, "versions": report.versions, "devices": report.devices,
    "problem": report.problem, "folder": str(report.folder), "numpy": numpy.__file__,
    "scikit-learn": there,
}))
"""


@pytest.fixture
def run_install(system_python, wheels, tmp_path):
    """Install in a process of the system's Python, from the folder of wheels and nowhere else."""
    if not Path(system_python).is_file():
        pytest.skip("no system Python beside this one")

    def run(variant="cpu", links=wheels, cwd=""):
        env = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(links),
            "PIP_CONFIG_FILE": os.devnull,
        }
        result = subprocess.run(
            [system_python, "-c", SCRIPT, str(tmp_path / "profile"), variant, str(cwd)],
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout.splitlines()[-1])

    probe = subprocess.run(
        [
            system_python,
            "-c",
            "import pip, numpy, importlib.util as u; "
            "raise SystemExit(u.find_spec('onnxruntime') is not None)",
        ],
        env={**os.environ, "PYTHONPATH": ""},
        check=False,
    )
    if probe.returncode:
        pytest.skip("the system's Python has no pip or NumPy, or has onnxruntime itself")
    return run


def test_it_installs_beside_numpy_and_a_second_run_does_nothing(run_install, tmp_path):
    first = run_install()
    folder = Path(first["folder"])
    assert first["problem"] is None
    assert first["versions"]["onnxruntime"] == "1.0"
    assert first["devices"] == ["cpu"]
    assert folder == location.runtime_folder(tmp_path / "profile")
    assert folder.name == location.python_tag()
    assert not (folder / "numpy").exists()
    assert not Path(first["numpy"]).is_relative_to(folder)
    # Only where the system's Python has none itself.
    assert (folder / "sklearn").is_dir() != first["scikit-learn"]
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]

    before = folder.stat().st_ctime_ns
    second = run_install(links=tmp_path / "nothing")
    assert second["lines"] == ["onnxruntime and scikit-learn are there already."]
    assert folder.stat().st_ctime_ns == before


@pytest.mark.parametrize("package", ["onnxruntime", "sklearn"])
def test_what_does_not_start_is_installed_again(run_install, package):
    """The report tells to do so."""
    folder = Path(run_install()["folder"])
    if not (folder / package).is_dir():
        pytest.skip("the system's Python has it itself")
    (folder / package / "part.py").write_text("")
    broken = f"import {package}.part\nraise ImportError('cut off')"
    (folder / package / "__init__.py").write_text(broken)
    report = run_install()
    assert report["problem"] is None
    assert "there already" not in report["lines"][-1]
    assert not (folder / package / "part.py").exists()


def test_cuda_brings_the_libraries_that_onnxruntime_gpu_names(run_install):
    run_install("cpu")
    report = run_install("cuda")
    assert report["devices"] == ["cuda", "cpu"]
    assert report["versions"]["onnxruntime-gpu"] == "1.0"
    folder = Path(report["folder"])
    assert {"nvidia_runtime", "nvidia_cublas", "cudnn"} <= {p.name for p in folder.iterdir()}
    assert not (folder / "numpy").exists()


def test_a_failed_installation_leaves_what_was_there(run_install, tmp_path):
    report = run_install(links=tmp_path / "nothing")
    assert report["lines"][-1].startswith("pip could not install onnxruntime (")
    assert report["problem"].startswith("The Python package onnxruntime is not installed")
    run_install()
    report = run_install("cuda", links=tmp_path / "nothing")
    assert report["lines"][-1].startswith("pip could not install onnxruntime-gpu")
    assert report["problem"] is None
    assert report["devices"] == ["cpu"]


def test_no_module_of_the_working_folder_is_run(run_install, tmp_path):
    project = tmp_path / "project"
    (project / "pip").mkdir(parents=True)
    text = f"open({str(tmp_path / 'was_run')!r}, 'a').write(__name__)\n"
    for name in ("platform.py", "onnxruntime.py", "logging.py", "pip/__init__.py"):
        (project / name).write_text(text)
    report = run_install(cwd=project)
    assert Path(report["folder"]).is_dir()
    assert not (tmp_path / "was_run").exists()


def test_packages_that_do_not_import_are_not_put_in_place(run_install, wheels, write_wheel):
    write_wheel(wheels, "onnxruntime", "onnxruntime", "2.0", code="raise ImportError('ABI')")
    report = run_install()
    assert "do not work with NumPy" in report["lines"][-1]
    assert "ABI" in report["lines"][-1]
    assert not Path(report["folder"]).exists()


@pytest.fixture
def incomplete(monkeypatch):
    monkeypatch.setattr(install, "is_complete", lambda variant: False)


def test_cancel_leaves_nothing(incomplete, tmp_path, monkeypatch):
    monkeypatch.setattr(install, "find_python", lambda: Path("/bin/cat"))
    with pytest.raises(Cancelled):
        install.install_runtime(tmp_path, cancelled=lambda: True)
    assert not list((tmp_path / "python" / "alise_runtime").iterdir())


def test_a_profile_that_cannot_be_written(incomplete, tmp_path):
    (tmp_path / "python").write_text("a file where a folder should be")
    with pytest.raises(OutputError, match="cannot be written"):
        install.install_runtime(tmp_path)


def test_without_pip_one_command_is_named(monkeypatch):
    monkeypatch.setattr(
        interpreter,
        "_answers",
        lambda path, arguments: None if "pip" in arguments else interpreter_answer(),
    )
    with pytest.raises(RuntimeMissingError, match="has no pip: run `") as caught:
        interpreter.find_python()
    assert one_sentence(caught.value)


def interpreter_answer():
    return f"{sys.version_info.major} {sys.version_info.minor} {platform.machine()}"


def test_without_a_fitting_python_it_says_where_it_looked(monkeypatch):
    monkeypatch.setattr(interpreter, "_answers", lambda path, arguments: "2 7 vax")
    with pytest.raises(RuntimeMissingError, match="by hand") as caught:
        interpreter.find_python()
    assert one_sentence(caught.value)


def test_qgis_itself_is_never_taken_for_a_python(monkeypatch, tmp_path):
    qgis = tmp_path / "qgis-bin.exe"
    qgis.write_text("")
    monkeypatch.setattr(interpreter.sys, "executable", str(qgis))
    assert qgis not in interpreter.candidates()
    assert interpreter.find_python().name.startswith("python")


def test_a_folder_with_numpy_in_it_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(location.sys, "path", list(location.sys.path))
    (tmp_path / "numpy").mkdir()
    assert not location.activate(tmp_path)
    assert str(tmp_path) not in location.sys.path
    (tmp_path / "numpy").rmdir()
    assert location.activate(tmp_path)
    assert location.activate(tmp_path)
    assert location.sys.path.count(str(tmp_path)) == 1


def test_after_a_python_upgrade_the_sentence_says_why(tmp_path):
    old = location.runtime_folder(tmp_path).parent / "cp27"
    old.mkdir(parents=True)
    sentence = location.missing_sentence(tmp_path)
    assert "cp27" in sentence
    assert "Install runtime" in sentence
    assert one_sentence(sentence)


def test_the_report_names_a_broken_onnxruntime(tmp_path, monkeypatch):
    def broken(name):
        raise ImportError("wrong ELF class")

    monkeypatch.setattr("alise_plugin.runtime.check.importlib.import_module", broken)
    monkeypatch.setattr(location, "is_installed", lambda name: True)
    report = check_runtime(tmp_path)
    assert "wrong ELF class" in report.problem
    assert report.devices == ()


def one_sentence(error):
    text = str(error)
    return text.endswith(".") and "\n" not in text and ". " not in text


def test_an_installation_that_was_broken_off_is_no_other_python(tmp_path):
    folder = location.runtime_folder(tmp_path).parent
    for name in ("cp39", "cp314.new", "cp310.old", "notes"):
        (folder / name).mkdir(parents=True)
    assert location.other_pythons(tmp_path) == ["cp39"]
