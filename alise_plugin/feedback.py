"""How a long step reports its progress, and how it is cancelled."""

from __future__ import annotations

from typing import Protocol

from .errors import Cancelled


class Feedback(Protocol):
    """What a caller gives to a long step; QGIS's feedback is wrapped to fit."""

    def progress(self, fraction: float) -> None:
        """Take how much is done, 0 to 1; called often."""

    def cancelled(self) -> bool:
        """Return whether to stop; asked often: once true, the step stops and raises Cancelled."""

    def info(self, text: str) -> None:
        """Take what a user would want to read in the log."""

    def warning(self, text: str) -> None:
        """Take what a user should look at, in one sentence."""


class SilentFeedback:
    """Reports nothing and never stops."""

    def progress(self, fraction: float) -> None:
        """Ignore it."""

    def cancelled(self) -> bool:
        """Return Never."""
        return False

    def info(self, text: str) -> None:
        """Ignore it."""

    def warning(self, text: str) -> None:
        """Ignore it."""


class WarningsKept:
    """Passes each warning on once, and keeps them all.

    Args:
        feedback: that everything is passed to.

    Attributes:
        warnings: that were given, each once, in their order.
    """

    def __init__(self, feedback: Feedback) -> None:
        self._feedback = feedback
        self.warnings: list[str] = []

    def progress(self, fraction: float) -> None:
        """Pass it on."""
        self._feedback.progress(fraction)

    def cancelled(self) -> bool:
        """Return whether the run is to stop."""
        return self._feedback.cancelled()

    def info(self, text: str) -> None:
        """Pass it on."""
        self._feedback.info(text)

    def warning(self, text: str) -> None:
        """Pass it on if it is new."""
        if text not in self.warnings:
            self.warnings.append(text)
            self._feedback.warning(text)


class Part:
    """The feedback of one step of several.

    Args:
        whole: the feedback of the whole run.
        start, end: the share of the run, 0 to 1, that is done before and after this step.
    """

    def __init__(self, whole: Feedback, start: float, end: float) -> None:
        self._whole = whole
        self._start = start
        self._end = end

    def progress(self, fraction: float) -> None:
        """Report how much of this step is done, 0 to 1."""
        self._whole.progress(self._start + (self._end - self._start) * fraction)

    def cancelled(self) -> bool:
        """Return whether the whole run is to stop."""
        return self._whole.cancelled()

    def info(self, text: str) -> None:
        """Pass it to the feedback of the whole run."""
        self._whole.info(text)

    def warning(self, text: str) -> None:
        """Pass it to the feedback of the whole run."""
        self._whole.warning(text)


def stop_if_cancelled(feedback: Feedback) -> None:
    """Raise Cancelled where the user asked for it."""
    if feedback.cancelled():
        raise Cancelled("The run was cancelled.")


def report_step(feedback: Feedback, done: int, total: int) -> None:
    """Report that `done` of `total` steps are done.

    Raises:
        Cancelled: the user asked for it.
    """
    stop_if_cancelled(feedback)
    feedback.progress(min(done / max(total, 1), 1.0))
