"""`alise:checkruntime`: says what is there and what is missing."""

from __future__ import annotations

from ..errors import AliseError
from ..feedback import Feedback
from ..model.encoder import Encoder
from ..model.package import BUNDLED_MODEL, load_package
from ..operations.operation import SET_UP, Operation
from ..operations.parameters import Output
from ..operations.shared import MODEL
from ..operations.values import Given, Results
from ..runtime.check import check_runtime, scikit_learn_problem
from .base import profile_folder


def run(given: Given, feedback: Feedback) -> Results:
    """Report; a missing runtime is the answer and not an error."""
    report = check_runtime(profile_folder())
    problem = report.problem
    model_id = failure = ""
    devices: list[str] = []
    try:
        package = load_package(given["MODEL"] or BUNDLED_MODEL)
        model_id = package.model_id
        for device in report.devices:
            try:
                devices.append(Encoder(package, device=device).device_used)
            except AliseError as error:
                feedback.info(str(error))
                failure = str(error)
        if not devices:
            problem = problem or failure
    except AliseError as error:
        devices = list(report.devices)
        problem = problem or str(error)
    problem = problem or scikit_learn_problem(profile_folder())
    status = problem or f"All is well: the model runs on {' and '.join(devices)}."
    for name, version in report.versions.items():
        feedback.info(f"{name}: {version}")
    feedback.info(f"Packages for this Python: {report.folder}")
    feedback.info(f"Devices: {', '.join(devices) or 'none'}")
    feedback.info(f"Model: {model_id or 'none'}")
    feedback.info(status)
    return Results(
        {
            "ONNXRUNTIME_VERSION": report.versions.get("onnxruntime", ""),
            "DEVICES": ", ".join(devices),
            "MODEL_ID": model_id,
            "STATUS": status,
        }
    )


OPERATION = Operation(
    name="checkruntime",
    title="Check runtime",
    group=SET_UP,
    tags=("onnxruntime", "gpu", "cuda", "versions", "model"),
    summary="Reports the versions, the devices and the model, and what is missing.",
    help="Reports which onnxruntime QGIS's Python has, on which devices it runs, and which model "
    "is used. The status is one sentence: that all is well, or what is missing and what to do.\n\n"
    "A device is listed when the model really starts on it; without a model, when onnxruntime was "
    "made for it.",
    parameters=(MODEL,),
    outputs=(
        Output("ONNXRUNTIME_VERSION", "onnxruntime", "text"),
        Output("DEVICES", "Devices", "text"),
        Output("MODEL_ID", "Model", "text"),
        Output("STATUS", "Status", "text"),
    ),
    run=run,
)
