"""`alise:checkruntime`: says what is there and what is missing."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputString,
    QgsProcessingParameterFile,
)

from ..errors import AliseError
from ..model.package import load_package
from ..runtime.check import check_runtime, scikit_learn_problem
from .base import BUNDLED_MODEL, AliseAlgorithm, profile_folder
from .compat import FOLDER


class CheckRuntime(AliseAlgorithm):
    """Reports; a missing runtime is its answer and not an error."""

    NAME = "checkruntime"
    TITLE = "Check runtime"
    GROUP = ("setup", "Set-up")
    TAGS = ("onnxruntime", "gpu", "cuda", "versions", "model")
    SUMMARY = "Reports the versions, the devices and the model, and what is missing."
    HELP = (
        "Reports which onnxruntime QGIS's Python has, on which devices it runs, and which model "
        "is used. STATUS is one sentence: that all is well, or what is missing and what to do.\n\n"
        "A device is listed when the model really starts on it; without a model, "
        "when onnxruntime was made for it."
    )

    def initAlgorithm(self, config: dict[str, Any] | None = None) -> None:
        self.addParameter(
            QgsProcessingParameterFile(
                "MODEL", self.tr("Model folder (empty: the bundled model)"), FOLDER, optional=True
            )
        )
        for name, text in (
            ("ONNXRUNTIME_VERSION", "onnxruntime"),
            ("DEVICES", "Devices"),
            ("MODEL_ID", "Model"),
            ("STATUS", "Status"),
        ):
            self.addOutput(QgsProcessingOutputString(name, self.tr(text)))

    def work(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        report = check_runtime(profile_folder())
        problem = report.problem
        model_id = failure = ""
        devices: list[str] = []
        try:
            package = load_package(
                self.parameterAsString(parameters, "MODEL", context) or str(BUNDLED_MODEL)
            )
            model_id = package.model_id
            for device in report.devices:
                try:
                    devices.append(package.encoder(device=device).device_used)
                except AliseError as error:
                    feedback.pushInfo(str(error))
                    failure = str(error)
            if not devices:
                problem = problem or failure
        except AliseError as error:
            devices = list(report.devices)
            problem = problem or str(error)
        problem = problem or scikit_learn_problem(profile_folder())
        status = problem or f"All is well: the model runs on {' and '.join(devices)}."
        for name, version in report.versions.items():
            feedback.pushInfo(f"{name}: {version}")
        feedback.pushInfo(f"Packages for this Python: {report.folder}")
        feedback.pushInfo(f"Devices: {', '.join(devices) or 'none'}")
        feedback.pushInfo(f"Model: {model_id or 'none'}")
        feedback.pushInfo(status)
        return {
            "ONNXRUNTIME_VERSION": report.versions.get("onnxruntime", ""),
            "DEVICES": ", ".join(devices),
            "MODEL_ID": model_id,
            "STATUS": status,
        }
