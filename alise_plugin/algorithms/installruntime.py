"""`alise:installruntime`: puts onnxruntime and scikit-learn into the user's profile."""

from __future__ import annotations

from ..errors import RuntimeMissingError
from ..feedback import Feedback
from ..operations.operation import SET_UP, Operation
from ..operations.parameters import Choice, Output
from ..operations.values import Given, Results
from ..runtime.check import check_runtime
from ..runtime.install import VARIANTS, install_runtime
from .base import profile_folder


def run(given: Given, feedback: Feedback) -> Results:
    """Install the packages into the profile of QGIS, and check them."""
    variant = given["VARIANT"]
    folder = install_runtime(
        profile_folder(), variant, info=feedback.info, cancelled=feedback.cancelled
    )
    report = check_runtime(profile_folder())
    if report.problem:
        raise RuntimeMissingError(report.problem)
    status = f"onnxruntime {report.versions['onnxruntime']} works."
    if variant not in report.devices:  # Python keeps the one that it has loaded
        status = f"onnxruntime for {variant} is installed: restart QGIS to use it."
    feedback.info(status)
    return Results(
        {
            "ONNXRUNTIME_VERSION": report.versions["onnxruntime"],
            "FOLDER": str(folder),
            "STATUS": status,
        }
    )


OPERATION = Operation(
    name="installruntime",
    title="Install runtime",
    group=SET_UP,
    tags=("onnxruntime", "scikit-learn", "pip", "gpu", "cuda"),
    summary="Installs onnxruntime and scikit-learn for the Python of QGIS.",
    help="Installs the Python packages that QGIS does not have: onnxruntime, which runs the "
    "model, and scikit-learn. Run it once, and again after an update of QGIS that brings another "
    "Python.\n\n"
    "The packages go into a folder of your user profile. QGIS's own packages, NumPy above all, "
    "are neither changed nor hidden; to uninstall, delete the folder.",
    parameters=(
        Choice(
            "VARIANT",
            "Variant",
            "cpu runs anywhere. cuda also fetches NVIDIA's CUDA and cuDNN libraries (about "
            "1.5 GB), for an NVIDIA GPU with a recent driver.",
            options=VARIANTS,
        ),
    ),
    outputs=(
        Output("ONNXRUNTIME_VERSION", "onnxruntime", "text"),
        Output("FOLDER", "Folder of the packages", "folder"),
        Output("STATUS", "Status", "text"),
    ),
    run=run,
)
