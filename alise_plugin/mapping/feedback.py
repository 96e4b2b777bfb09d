"""How a long step reports, and how it is stopped."""

from __future__ import annotations

from typing import Protocol


class Feedback(Protocol):
    """What a caller gives to a long step; QGIS's feedback is wrapped to fit."""

    def progress(self, fraction: float) -> None:
        """Called often with how much is done, 0 to 1."""

    def cancelled(self) -> bool:
        """Asked often; once true, the step stops and raises Cancelled."""

    def info(self, text: str) -> None:
        """Told what a user would want to read in the log."""


class SilentFeedback:
    """Reports nothing and never stops."""

    def progress(self, fraction: float) -> None:
        """Ignored."""

    def cancelled(self) -> bool:
        """Never."""
        return False

    def info(self, text: str) -> None:
        """Ignored."""
