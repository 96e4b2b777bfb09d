import sys
import zipfile

import pytest


def _write_wheel(folder, distribution, package, version="1.0", code="", requires=()):
    """A wheel with one package, as pip takes it."""
    stem = distribution.replace("-", "_")
    info = f"{stem}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {item}\n" for item in requires)
    files = {
        f"{package}/__init__.py": f"__version__ = '{version}'\n{code}",
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = f"{info}/RECORD"
    files[record] = "".join(f"{name},,\n" for name in [*files, record])
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{stem}-{version}-py3-none-any.whl", "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)


PROVIDERS = "def get_available_providers():\n    return {}\n"


SCIKIT_LEARN = [
    "numpy>=1.2",
    "scipy>=1.0",
    "joblib>=1",
    'ancient; python_version < "3"',
    'docs; extra == "docs"',
]


@pytest.fixture
def write_wheel():
    return _write_wheel


@pytest.fixture
def wheels(tmp_path):
    """A folder of small stand-ins for the packages that the runtime needs."""
    folder = tmp_path / "wheels"
    cpu = PROVIDERS.format(["CPUExecutionProvider"])
    cuda = PROVIDERS.format(["CUDAExecutionProvider", "CPUExecutionProvider"])
    _write_wheel(folder, "onnxruntime", "onnxruntime", code=cpu, requires=["numpy", "protobuf"])
    _write_wheel(
        folder,
        "onnxruntime-gpu",
        "onnxruntime",
        code=cuda,
        requires=["numpy", 'nvidia-cuda-runtime ; extra == "cuda"', 'cudnn; extra == "cudnn"'],
    )
    _write_wheel(folder, "nvidia-cuda-runtime", "nvidia_runtime", requires=["nvidia-cublas"])
    _write_wheel(folder, "nvidia-cublas", "nvidia_cublas")
    _write_wheel(folder, "cudnn", "cudnn")
    _write_wheel(folder, "scikit-learn", "sklearn", code="import joblib", requires=SCIKIT_LEARN)
    _write_wheel(folder, "joblib", "joblib", code="import cloud_pickle", requires=["Cloud.Pickle"])
    _write_wheel(folder, "cloud-pickle", "cloud_pickle")
    _write_wheel(folder, "scipy", "scipy")
    return folder


@pytest.fixture
def system_python():
    """The Python outside any virtual environment, as QGIS runs it."""
    return f"{sys.base_prefix}/bin/python{sys.version_info.major}.{sys.version_info.minor}"
