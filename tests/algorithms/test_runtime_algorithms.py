import sys

import pytest

from alise_plugin.runtime import location


def test_check_reports_versions_devices_and_model(run, tiny_package):
    onnxruntime = pytest.importorskip("onnxruntime")
    results = run("alise:checkruntime", {"MODEL": tiny_package})
    assert results["ONNXRUNTIME_VERSION"] == onnxruntime.__version__
    assert "cpu" in results["DEVICES"]
    assert results["MODEL_ID"].startswith("tiny 0.0.1")
    assert results["STATUS"].startswith("All is well")


def test_check_says_what_is_missing_and_is_no_error(run, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    results = run("alise:checkruntime", {"MODEL": str(tmp_path)})
    assert "model.json" in results["STATUS"]
    monkeypatch.setattr(location, "is_installed", lambda name: False)
    results = run("alise:checkruntime", {"MODEL": str(tmp_path)})
    assert "alise:installruntime" in results["STATUS"]
    assert results["DEVICES"] == ""


def test_check_does_not_call_well_what_runs_nowhere(run, tiny_package, monkeypatch):
    pytest.importorskip("onnxruntime")
    from alise_plugin.algorithms import checkruntime
    from alise_plugin.errors import RuntimeMissingError

    def fails(package, device):
        raise RuntimeMissingError(f"The model does not start on {device}.")

    monkeypatch.setattr(checkruntime, "Encoder", fails)
    results = run("alise:checkruntime", {"MODEL": tiny_package})
    assert (results["STATUS"], results["DEVICES"]) == ("The model does not start on cpu.", "")


def test_check_says_that_scikit_learn_is_missing(run, tiny_package, monkeypatch):
    pytest.importorskip("onnxruntime")
    there = location.is_installed
    monkeypatch.setattr(location, "is_installed", lambda name: name != "sklearn" and there(name))
    results = run("alise:checkruntime", {"MODEL": tiny_package})
    assert "scikit-learn is not installed" in results["STATUS"]
    assert "cpu" in results["DEVICES"]


def test_check_says_that_scikit_learn_does_not_start(run, tiny_package, monkeypatch, tmp_path):
    pytest.importorskip("onnxruntime")
    (tmp_path / "sklearn").mkdir()
    (tmp_path / "sklearn" / "__init__.py").write_text("raise ValueError('size changed')")
    for name in [name for name in sys.modules if name.partition(".")[0] == "sklearn"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    results = run("alise:checkruntime", {"MODEL": tiny_package})
    assert "scikit-learn is there but does not start (size changed)" in results["STATUS"]
    assert "cpu" in results["DEVICES"]


def test_install_failures_are_one_sentence(run, refused, monkeypatch):
    from alise_plugin.runtime import install

    monkeypatch.setattr(install, "is_complete", lambda variant: False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(refused, match=r"pip could not install onnxruntime|has no pip") as caught:
        run("alise:installruntime", {"VARIANT": "cpu"})
    assert "\n" not in str(caught.value).strip()


def test_install_when_all_is_there(run, monkeypatch):
    pytest.importorskip("onnxruntime")
    from alise_plugin.runtime import install

    monkeypatch.setattr(install, "is_complete", lambda variant: True)
    results = run("alise:installruntime", {"VARIANT": "cpu"})
    assert results["STATUS"].endswith("works.")


def test_install_says_when_another_onnxruntime_is_loaded(run, monkeypatch, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("the onnxruntime here is that for cuda")
    from alise_plugin.algorithms import installruntime

    monkeypatch.setattr(installruntime, "install_runtime", lambda *_, **__: tmp_path)
    results = run("alise:installruntime", {"VARIANT": "cuda"})
    assert results["STATUS"] == "onnxruntime for cuda is installed: restart QGIS to use it."
