"""Any operation as a Python call, with the parameters that it has in QGIS."""

from __future__ import annotations

import argparse
import os
from datetime import date
from typing import Any

from ..errors import AliseError
from ..feedback import Feedback, SilentFeedback
from ..operations import parameters as kinds
from ..operations.catalogue import OPERATIONS
from ..operations.operation import Operation
from .options import option_settings, run_value


def run(name: str, *, feedback: Feedback | None = None, **parameters: Any) -> dict[str, Any]:
    """Run an operation and return its results by name.

    The same parameters and results as in QGIS's `processing.run`, without QGIS:

        run("embed", INPUT="series.vrt", OUTPUT="embedding.tif", FORMAT="compact")

    Args:
        name: of the operation, with or without "alise:" before it.
        feedback: progress, messages and cancelling; nobody listens if None.
        parameters: files as paths, several as a list, dates as `date` or "2019-05-14", EXTENT as
            four numbers in the CRS of the input. What is left out has its default.

    Raises:
        AliseError: there is no such operation or parameter, a value is refused, or the work cannot
            be done; one sentence says why.
    """
    operation = OPERATIONS.get(name.split(":")[-1])
    if operation is None:
        raise AliseError(f'There is no operation "{name}"; choose one of {", ".join(OPERATIONS)}.')
    known = {parameter.name: parameter for parameter in operation.parameters}
    for given in parameters:
        if given not in known:
            raise AliseError(
                f"{operation.name} has no parameter {given}; it has {', '.join(known)}."
            )
    values = {
        parameter.name: _value(operation, parameter, parameters.get(parameter.name))
        for parameter in operation.parameters
    }
    return dict(operation(values, feedback or SilentFeedback()).values)


def _value(operation: Operation, parameter: kinds.Parameter, given: Any) -> Any:
    """Return what `run` of an operation gets for what the caller gave."""
    settings = option_settings(parameter)
    if given is None or given == "":
        if parameter.required:
            raise AliseError(f"{operation.name} needs {parameter.name}. {parameter.help}")
        default = settings.get("default", False if "action" in settings else None)
        return run_value(parameter, default)
    if "action" in settings:
        return run_value(parameter, bool(given))
    several = "nargs" in settings
    items = list(given) if several and isinstance(given, (list, tuple)) else [given]
    convert = settings.get("type", os.fspath)
    try:
        converted = [convert(_text(item)) for item in items]
    except (argparse.ArgumentTypeError, ValueError, TypeError) as error:
        raise AliseError(f"{parameter.name}: {error}.") from error
    return run_value(parameter, converted if several else converted[0])


def _text(item: Any) -> Any:
    """Return what would stand on the command line."""
    if isinstance(item, date):
        return item.isoformat()
    return str(item) if isinstance(item, (int, float)) else item
