"""How the long steps of this room report and are stopped."""

from __future__ import annotations

from typing import Protocol

from ..errors import Cancelled


class Feedback(Protocol):
    """What a caller gives; the feedback of `mapping` and of QGIS's wrapper fits."""

    def progress(self, fraction: float) -> None:
        """Called often with how much is done, 0 to 1."""

    def cancelled(self) -> bool:
        """Asked often; once true, the step stops and raises Cancelled."""

    def info(self, text: str) -> None:
        """Told what a user would want to read in the log."""


class Steps:
    """Reports the steps of a whole to a caller's feedback, or to nobody."""

    def __init__(self, feedback: Feedback | None, start: float = 0.0, end: float = 1.0) -> None:
        self._feedback = feedback
        self._start = start
        self._end = end

    def part(self, start: float, end: float) -> Steps:
        """The steps of a part of this one, from and to a fraction of it."""
        span = self._end - self._start
        return Steps(self._feedback, self._start + span * start, self._start + span * end)

    def at(self, done: int, total: int) -> None:
        """Reports `done` of `total` steps.

        Raises:
            Cancelled: the caller wants to stop.
        """
        if self._feedback is None:
            return
        if self._feedback.cancelled():
            raise Cancelled("The run was cancelled; nothing was written.")
        span = self._end - self._start
        self._feedback.progress(self._start + span * min(done / max(total, 1), 1.0))
