"""An operation: its texts, parameters and outputs, and the call that does the work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import AliseError
from ..feedback import Feedback, WarningsKept
from ..mapping.rasters.destinations import require_outputs
from .parameters import FeatureOutput, FileOutput, Output, Parameter
from .values import Given, Results

# Groups of the Toolbox, in the order in which work flows: id and title.
SERIES = ("1_series", "1 Series")
LEARN = ("2_learn", "2 Learn")
MAP = ("3_map", "3 Map")
CHANGE = ("4_change", "4 Change")
ACCURACY = ("5_accuracy", "5 Accuracy")
SET_UP = ("setup", "Set-up")

WARNINGS = Output("WARNINGS", "Warnings", "text")


@dataclass(frozen=True)
class Operation:
    """One thing that a user can ask for.

    Attributes:
        name: of the algorithm and the command; it never changes.
        title: in the Toolbox.
        group: id and title of the group in the Toolbox.
        tags: words that the search of the Toolbox finds.
        summary: one sentence.
        help: what it does and how to use it, in paragraphs; parameters have a help of their own.
        parameters: in the order of the dialog.
        outputs: values that are returned beside the files of the parameters; WARNINGS, which every
            operation returns, comes last.
        run: does the work.
        needs_runtime: whether onnxruntime has to be there.
        needs_scikit_learn: whether scikit-learn has to be there.
        one_of: parameters of which at least one has to be given, and the sentence that says so.
    """

    name: str
    title: str
    group: tuple[str, str]
    tags: tuple[str, ...]
    summary: str
    help: str
    parameters: Sequence[Parameter]
    outputs: Sequence[Output]
    run: Callable[[Given, Feedback], Results]
    needs_runtime: bool = False
    needs_scikit_learn: bool = False
    one_of: tuple[tuple[str, ...], str] = ((), "")

    def __post_init__(self) -> None:
        object.__setattr__(self, "outputs", (*self.outputs, WARNINGS))

    def __call__(self, given: Given, feedback: Feedback) -> Results:
        """Check what was given and do the work.

        Args:
            given: a value for every parameter, see `values`.
            feedback: progress, messages and cancelling.

        Raises:
            AliseError: a value is refused, or the work cannot be done.
            Cancelled: the feedback says so.
        """
        for parameter in self.parameters:
            value = given[parameter.name]
            path = getattr(value, "path", value) if isinstance(parameter, FileOutput) else value
            problem = parameter.problem(path)
            if problem:
                raise AliseError(problem)
        names, sentence = self.one_of
        if names and not any(getattr(given[name], "box", given[name]) for name in names):
            raise AliseError(sentence)
        outputs = [
            getattr(given[parameter.name], "path", given[parameter.name])
            for parameter in self.parameters
            if isinstance(parameter, FileOutput)
        ]
        inputs = [
            path
            for parameter in self.parameters
            if not isinstance(parameter, FileOutput)
            and not getattr(parameter, "products", False)  # building looks at these itself
            for path in _files(given[parameter.name])
        ]
        require_outputs(outputs, inputs)
        for parameter in self.parameters:
            sink = given[parameter.name]
            if isinstance(parameter, FeatureOutput) and sink is not None:
                sink.prepare()
        kept = WarningsKept(feedback)
        results = self.run(given, kept)
        results.values[WARNINGS.name] = " ".join(kept.warnings)
        return results


def _files(value: Any) -> Iterator[str]:
    """Yield the files of rasters and layers that were chosen."""
    for one in value if isinstance(value, (list, tuple)) else [value]:
        path = getattr(one, "path", "")
        if path:
            yield path
