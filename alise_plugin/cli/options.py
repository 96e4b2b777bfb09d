"""Command-line options of an operation, and the values that they become."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import singledispatch
from typing import Any

from ..errors import AliseError
from ..operations import parameters as kinds
from ..operations.operation import Operation
from ..operations.values import Box, Raster
from ..sits.acquisitions import parse_date
from ..sits.area.transport import Login
from ..sits.grid import Grid
from .layer_files import LayerFile
from .sinks import FileSink


@dataclass(frozen=True)
class GivenExtent:
    """--extent, in the CRS of the input; see `operations.values.Extent`."""

    box: Box | None
    crs: str | None = None

    def on(self, grid: Grid) -> Box | None:
        """Return the rectangle.

        Raises:
            AliseError: it is upside down, or endless.
        """
        if self.box is None:
            return None
        xmin, ymin, xmax, ymax = self.box
        if not (xmin < xmax and ymin < ymax and all(map(math.isfinite, self.box))):
            raise AliseError(
                "EXTENT is empty, endless or turned round: give xmin, ymin, xmax and ymax, in the "
                f"CRS of the input, which covers {' '.join(f'{v:.10g}' for v in grid.extent)}."
            )
        return self.box


def add_options(parser: argparse.ArgumentParser, operation: Operation) -> None:
    """Declare the options of an operation."""
    for parameter in operation.parameters:
        parser.add_argument(
            parameter.option,
            required=parameter.required,
            help=parameter.help.replace("%", "%%"),
            **option_settings(parameter),
        )


def given_in(operation: Operation, args: argparse.Namespace) -> dict[str, Any]:
    """Return the value of each parameter of an operation."""
    return {
        parameter.name: run_value(parameter, getattr(args, parameter.name.lower()))
        for parameter in operation.parameters
    }


@singledispatch
def option_settings(parameter: kinds.Parameter) -> dict[str, Any]:
    """Return what argparse needs to know beyond the name and the help."""
    return {"default": ""}


@option_settings.register
def _(parameter: kinds.Number) -> dict[str, Any]:
    return {"type": number_of(parameter), "default": parameter.default, "metavar": "NUMBER"}


@option_settings.register
def _(parameter: kinds.Choice) -> dict[str, Any]:
    return {"choices": parameter.options, "default": parameter.default}


@option_settings.register
def _(parameter: kinds.Switch) -> dict[str, Any]:
    if parameter.default:
        return {"action": argparse.BooleanOptionalAction, "default": True}
    return {"action": "store_true"}


@option_settings.register(kinds.Rasters)
@option_settings.register(kinds.Files)
@option_settings.register(kinds.Labels)
def _(parameter: kinds.Parameter) -> dict[str, Any]:
    return {"nargs": "+", "default": [], "metavar": "FILE"}


@option_settings.register
def _(parameter: kinds.Words) -> dict[str, Any]:
    return {"nargs": "+", "default": [], "metavar": "WORD"}


@option_settings.register
def _(parameter: kinds.Dates) -> dict[str, Any]:
    return {"nargs": "+", "default": [], "type": day, "metavar": "DATE"}


@option_settings.register
def _(parameter: kinds.Day) -> dict[str, Any]:
    return {"type": day, "metavar": "DATE"}


@option_settings.register
def _(parameter: kinds.Crs) -> dict[str, Any]:
    return {}


@option_settings.register
def _(parameter: kinds.Extent) -> dict[str, Any]:
    return {"nargs": 4, "type": float, "metavar": ("XMIN", "YMIN", "XMAX", "YMAX")}


@option_settings.register
def _(parameter: kinds.LoginChoice) -> dict[str, Any]:
    return {"default": "", "metavar": "VARIABLE"}


@singledispatch
def run_value(parameter: kinds.Parameter, value: Any) -> Any:
    """Return what `run` gets for the value that argparse found."""
    return value


@run_value.register(kinds.Rasters)
def _(parameter: kinds.Rasters, value: list[str]) -> list[Raster]:
    return [Raster(path) for path in value]


@run_value.register
def _(parameter: kinds.ClassRaster, value: str) -> Raster:
    return Raster(value)


@run_value.register
def _(parameter: kinds.Labels, value: list[str]) -> list[LayerFile]:
    return [LayerFile(path) for path in value]


@run_value.register
def _(parameter: kinds.LoginChoice, value: str) -> Login | None:
    if not value:
        return None
    user, colon, password = os.environ.get(value, "").partition(":")
    if not colon:
        raise AliseError(
            f"{parameter.name} names no environment variable that holds user:password; set one "
            "and give its name."
        )
    return Login(user, password)


@run_value.register
def _(parameter: kinds.Vector, value: str) -> LayerFile | None:
    return LayerFile(value) if value else None


@run_value.register
def _(parameter: kinds.Extent, value: list[float] | None) -> GivenExtent:
    return GivenExtent((value[0], value[1], value[2], value[3]) if value else None)


@run_value.register
def _(parameter: kinds.FeatureOutput, value: str) -> FileSink | None:
    return FileSink(value, parameter) if value else None


def day(text: str) -> date:
    """Return a date written as 2019-05-14."""
    found = parse_date(text)
    if found is None or not (len(text) == 10 or (len(text) == 8 and text.isdigit())):
        raise argparse.ArgumentTypeError(f'"{text}" is not a date such as 2019-05-14')
    return found


def number_of(parameter: kinds.Number) -> Callable[[str], float]:
    """Return a converter of text to a number within the limits of a parameter."""
    kind: Callable[[str], float] = int if parameter.integer else float

    def converted(text: str) -> float:
        value = kind(text)
        if parameter.problem(value):
            raise argparse.ArgumentTypeError(f"{text} is not {parameter.range_text}")
        return value

    converted.__name__ = "whole number" if parameter.integer else "number"
    return converted
