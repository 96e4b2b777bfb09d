"""QGIS, the command line and the operations offer the same, under the names that scripts use."""

import argparse
import inspect
import json
import os
import re
from pathlib import Path

import pytest

qgis_core = pytest.importorskip("qgis.core", reason="QGIS is not installed")

from alise_plugin.algorithms import checkruntime, installruntime
from alise_plugin.algorithms.base import OperationAlgorithm
from alise_plugin.cli.main import parser_for, with_option_names
from alise_plugin.errors import AliseError
from alise_plugin.feedback import SilentFeedback
from alise_plugin.operations.catalogue import OPERATIONS
from alise_plugin.operations.parameters import Choice, Labels, Number

SET_UP = {one.OPERATION.name: one.OPERATION for one in (installruntime, checkruntime)}
ALL = {**OPERATIONS, **SET_UP}
PUBLISHED = json.loads((Path(__file__).parent / "published_interface.json").read_text())


@pytest.fixture(scope="module")
def algorithms():
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    made = {}
    for operation in ALL.values():
        algorithm = OperationAlgorithm(operation)
        algorithm.initAlgorithm()
        made[operation.name] = algorithm
    return made


def options_of(command):
    sub = parser_for(command)._subparsers._group_actions[0].choices[command]
    return {action.dest: action for action in sub._actions}


def test_nothing_that_was_published_is_gone(algorithms):
    """Scripts and models of users name these; `published_interface.json` is version 0.7.0."""
    assert set(PUBLISHED) <= set(algorithms)
    for name, published in PUBLISHED.items():
        now = {one.name(): one for one in algorithms[name].parameterDefinitions()}
        for key, before in published["parameters"].items():
            # A feature source takes every layer that a vector parameter took, and a selection.
            wider = {before["type"], "source"} if before["type"] == "vector" else {before["type"]}
            assert now[key].type() in wider, (name, key)
            optional = bool(now[key].flags() & now[key].FlagOptional)
            assert optional or not before["optional"], (name, key)
            assert now[key].defaultValue() == before["default"], (name, key)
            assert set(before.get("choices", ())) <= set(
                now[key].options() if before["type"] == "enum" else ()
            )
        outputs = {one.name(): one.type() for one in algorithms[name].outputDefinitions()}
        assert published["outputs"].items() <= outputs.items()


@pytest.mark.parametrize("name", ALL)
def test_every_parameter_is_explained_in_every_front(algorithms, name):
    definitions = {one.name(): one for one in algorithms[name].parameterDefinitions()}
    help_of_the_panel = algorithms[name].shortHelpString()
    options = options_of(name) if name in OPERATIONS else {}
    for parameter in ALL[name].parameters:
        assert re.fullmatch(r"\S.*[.]", parameter.help, re.DOTALL), parameter.name
        assert len(parameter.help.split()) >= 5, parameter.name
        if name in OPERATIONS:
            option = options[parameter.name.lower()]
            assert option.help.replace("%%", "%") == parameter.help
        if not parameter.command_line_only:
            assert definitions[parameter.name].help() == parameter.help
            assert parameter.title in help_of_the_panel
            assert parameter.help in help_of_the_panel


@pytest.mark.parametrize("name", OPERATIONS)
def test_qgis_and_the_command_line_offer_the_same(algorithms, name):
    options = options_of(name)
    hidden = {one.name.lower() for one in OPERATIONS[name].parameters if one.command_line_only}
    definitions = algorithms[name].parameterDefinitions()
    offered = {one.name().lower() for one in definitions}
    selections = offered & {"selected_labels"}  # the command line has none
    assert bool(selections) == any(isinstance(one, Labels) for one in OPERATIONS[name].parameters)
    offered -= selections
    definitions = [one for one in definitions if one.name().lower() in offered]
    assert set(options) - {"help", "quiet"} - hidden == offered
    for definition in definitions:
        option = options[definition.name().lower()]
        if definition.type() == "enum":
            assert list(option.choices) == definition.options()
        if definition.type() in ("enum", "number") and definition.defaultValue() is not None:
            assert option.default == definition.defaultValue()


NUMBERS = [
    (operation.name, parameter)
    for operation in OPERATIONS.values()
    for parameter in operation.parameters
    if isinstance(parameter, Number)
]


@pytest.mark.parametrize(
    ("name", "parameter"), NUMBERS, ids=[f"{name}-{one.name}" for name, one in NUMBERS]
)
def test_a_number_beyond_its_limits_is_refused_alike(algorithms, name, parameter):
    """The dialog, the command line and a call from Python refuse it, with one sentence."""
    option = options_of(name)[parameter.name.lower()]
    beyond = []
    if parameter.minimum is not None:
        beyond.append(parameter.minimum - 1)
    if parameter.above is not None:
        beyond.append(parameter.above)
    if parameter.maximum is not None:
        beyond.append(parameter.maximum + 1)
    if not parameter.integer:
        beyond += [float("inf"), float("nan")]
    for value in beyond:
        sentence = parameter.problem(value)
        assert sentence.startswith(f"{parameter.name} is ")
        assert sentence.endswith(".")
        with pytest.raises(argparse.ArgumentTypeError):
            option.type(f"{value:.10g}")
        context = qgis_core.QgsProcessingContext()
        assert algorithms[name].checkParameterValues({parameter.name: value}, context) == (
            False,
            sentence,
        )
        given = {one.name: getattr(one, "default", "") for one in OPERATIONS[name].parameters}
        with pytest.raises(AliseError) as refused:
            OPERATIONS[name]({**given, parameter.name: value}, SilentFeedback())
        assert str(refused.value) == sentence
    for value in (parameter.minimum, parameter.maximum, parameter.default):
        if value is not None:
            assert parameter.problem(value) == ""
            assert option.type(f"{value:.10g}") == value


def test_a_word_that_is_no_choice_is_refused():
    choice = next(one for one in OPERATIONS["embed"].parameters if isinstance(one, Choice))
    assert choice.problem("gpu") == 'DEVICE is "gpu"; choose one of auto, cpu, cuda.'


def test_a_sentence_names_parameters_as_its_front_does():
    operation = OPERATIONS["detectchange"]
    text = "BEFORE_START (2019-05-01) is after BEFORE_END; see AFTER. Not /tmp/AFTER.tif, 'AFTER'."
    assert with_option_names(text, operation) == (
        "--before-start (2019-05-01) is after --before-end; see --after. Not /tmp/AFTER.tif, "
        "'AFTER'."
    )


def test_operations_know_no_front():
    for operation in OPERATIONS.values():
        module = inspect.getmodule(operation.run)
        assert not {"qgis", "argparse"} & set(vars(module))
