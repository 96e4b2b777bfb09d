"""`alise:installruntime`: puts onnxruntime and scikit-learn into the user's profile."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputFolder,
    QgsProcessingOutputString,
    QgsProcessingParameterEnum,
)

from ..errors import RuntimeMissingError
from ..runtime.check import check_runtime
from ..runtime.install import VARIANTS, install_runtime
from .base import AliseAlgorithm, QgisFeedback, profile_folder


class InstallRuntime(AliseAlgorithm):
    """Declares the parameters of `runtime.install.install_runtime`."""

    NAME = "installruntime"
    TITLE = "Install runtime"
    GROUP = ("setup", "Set-up")
    TAGS = ("onnxruntime", "scikit-learn", "pip", "gpu", "cuda")
    SUMMARY = "Installs onnxruntime and scikit-learn for the Python of QGIS."
    HELP = (
        "Installs the Python packages that QGIS does not have: onnxruntime, which runs the "
        "model, and scikit-learn. Run it once, and again after an update of QGIS that brings "
        "another Python.\n\n"
        "The packages go into a folder of your user profile. QGIS's own packages, NumPy above "
        "all, are neither changed nor hidden; to uninstall, delete the folder.\n\n"
        "cuda also fetches NVIDIA's CUDA and cuDNN libraries (about 1.5 GB), for an NVIDIA GPU "
        "with a recent driver."
    )

    def initAlgorithm(self, config: dict[str, Any] | None = None) -> None:
        self.addParameter(
            QgsProcessingParameterEnum(
                "VARIANT",
                self.tr("Variant"),
                list(VARIANTS),
                defaultValue="cpu",
                usesStaticStrings=True,
            )
        )
        self.addOutput(QgsProcessingOutputString("ONNXRUNTIME_VERSION", self.tr("onnxruntime")))
        self.addOutput(QgsProcessingOutputFolder("FOLDER", self.tr("Folder of the packages")))
        self.addOutput(QgsProcessingOutputString("STATUS", self.tr("Status")))

    def work(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        link = QgisFeedback(feedback)
        variant = self.parameterAsEnumString(parameters, "VARIANT", context)
        folder = install_runtime(
            profile_folder(),
            variant,
            info=link.info,
            cancelled=link.cancelled,
        )
        report = check_runtime(profile_folder())
        if report.problem:
            raise RuntimeMissingError(report.problem)
        status = f"onnxruntime {report.versions['onnxruntime']} works."
        if variant not in report.devices:  # Python keeps the one that it has loaded
            status = f"onnxruntime for {variant} is installed: restart QGIS to use it."
        feedback.pushInfo(status)
        return {
            "ONNXRUNTIME_VERSION": report.versions["onnxruntime"],
            "FOLDER": str(folder),
            "STATUS": status,
        }
