"""Each command offers what its algorithm in QGIS does, under the same names."""

import argparse
import os

import pytest

qgis_core = pytest.importorskip("qgis.core", reason="QGIS is not installed")

from alise_plugin.cli.main import COMMANDS, parser_for  # noqa: E402

# On a server, packages are installed with pip, and there is no profile to install them into.
ONLY_IN_QGIS = {"installruntime", "checkruntime"}
ONLY_HERE = {"quiet", "scheduler", "help"}


@pytest.fixture(scope="module")
def algorithms():
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from alise_plugin.algorithms.assessaccuracy import AssessAccuracy
    from alise_plugin.algorithms.buildtimeseries import BuildTimeSeries
    from alise_plugin.algorithms.detectchange import DetectChange
    from alise_plugin.algorithms.drawsample import DrawSample
    from alise_plugin.algorithms.embed import Embed
    from alise_plugin.algorithms.estimatevalues import EstimateValues
    from alise_plugin.algorithms.findclasses import FindClasses
    from alise_plugin.algorithms.findsimilar import FindSimilar
    from alise_plugin.algorithms.reconstruct import Reconstruct
    from alise_plugin.algorithms.segment import Segment
    from alise_plugin.algorithms.trainclassifier import TrainClassifier
    from alise_plugin.algorithms.trainregression import TrainRegression

    made = {}
    for kind in (
        BuildTimeSeries,
        Embed,
        TrainClassifier,
        FindClasses,
        FindSimilar,
        Segment,
        TrainRegression,
        EstimateValues,
        DrawSample,
        AssessAccuracy,
        DetectChange,
        Reconstruct,
    ):
        algorithm = kind()
        algorithm.initAlgorithm()
        made[algorithm.name()] = algorithm
    return made


def test_every_algorithm_has_its_command(algorithms):
    assert set(algorithms) == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_parameter_has_its_option(algorithms, command):
    parser = parser_for(command)
    sub = parser._subparsers._group_actions[0].choices[command]
    options = {action.dest for action in sub._actions} - ONLY_HERE
    parameters = {
        parameter.name().lower() for parameter in algorithms[command].parameterDefinitions()
    }
    assert options == parameters


@pytest.mark.parametrize("command", COMMANDS)
def test_choices_and_defaults_are_the_same(algorithms, command):
    parser = parser_for(command)
    sub = parser._subparsers._group_actions[0].choices[command]
    actions = {action.dest: action for action in sub._actions}
    for parameter in algorithms[command].parameterDefinitions():
        action = actions.get(parameter.name().lower())
        if action is None:
            continue  # held by the test above
        if parameter.type() == "enum":
            assert list(action.choices) == parameter.options()
            assert action.default == parameter.defaultValue()
        elif parameter.type() == "number" and parameter.defaultValue() is not None:
            assert action.default == parameter.defaultValue()


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "buildtimeseries"])
def test_numbers_out_of_range_are_refused_alike(algorithms, command):
    parser = parser_for(command)
    sub = parser._subparsers._group_actions[0].choices[command]
    actions = {action.dest: action for action in sub._actions}
    held = 0
    for parameter in algorithms[command].parameterDefinitions():
        if parameter.type() != "number" or parameter.name() == "MEMORY":
            continue
        read = actions[parameter.name().lower()].type
        for end, beyond in ((parameter.minimum(), -1), (parameter.maximum(), 1)):
            if abs(end) < 2**31 - 1:
                text = f"{end:.10g}"
                assert read(text) == end
                with pytest.raises(argparse.ArgumentTypeError):
                    read(f"{end + beyond:.10g}")
                held += 1
    assert held
