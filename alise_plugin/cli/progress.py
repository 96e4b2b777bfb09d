"""Progress on a terminal, and Ctrl-C as the Cancel button."""

from __future__ import annotations

import signal
import sys
import threading
import time
from types import FrameType, TracebackType
from typing import Any

_WIDTH = 30  # characters of the bar
_EVERY = 0.1  # seconds between two pictures of it
_STEPS = 10  # lines of a run whose output is no terminal


class Progress:
    """Feedback for the command line (see `mapping.feedback.Feedback`).

    On a terminal a bar with the time left, elsewhere a line each ten per cent. The first Ctrl-C, or
    SIGTERM of a batch system, asks the run to stop, which it does within seconds; the second stops
    Python.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._bar = not quiet and sys.stderr.isatty()
        self._start = time.monotonic()
        self._first: tuple[float, float] | None = None  # when it was told of what share
        self._shown = -1.0
        self._step = 0
        self._stopped = False
        self._before: dict[int, Any] = {}  # what handled the signals

    def progress(self, fraction: float) -> None:
        """Show how much is done, 0 to 1."""
        now = time.monotonic()
        if self._bar and (now - self._shown >= _EVERY or fraction >= 1):
            self._shown = now
            full = round(_WIDTH * fraction)
            # A run that goes on begins with what was done before.
            since, before = self._first = self._first or (now, fraction)
            done = fraction - before
            left = (now - since) * (1 - fraction) / done if done > 0 else None
            text = "" if left is None else f"  {_duration(left)} left"
            bar = "#" * full + "." * (_WIDTH - full)
            print(f"\r[{bar}] {100 * fraction:3.0f} %{text:<20}", end="", file=sys.stderr)
            sys.stderr.flush()
        elif not self._quiet and not self._bar and int(fraction * _STEPS) > self._step:
            self._step = int(fraction * _STEPS)
            passed = _duration(now - self._start)
            print(f"{100 * self._step // _STEPS} % after {passed}", file=sys.stderr, flush=True)

    def cancelled(self) -> bool:
        """Return whether the run is to stop."""
        return self._stopped

    def info(self, text: str) -> None:
        """Print a message."""
        if not self._quiet:
            start = "\r" + " " * (_WIDTH + 30) + "\r" if self._bar else ""
            print(f"{start}{text}", file=sys.stderr, flush=True)

    def warning(self, text: str) -> None:
        """Print a warning."""
        self.info(f"Warning: {text}")

    def end(self) -> None:
        """Leave the line of the bar."""
        if self._bar and self._shown >= 0:
            print(file=sys.stderr)
            self._bar = False

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopped = True
        self._restore()
        self.info("Stopping; press Ctrl-C again to stop at once.")

    def __enter__(self) -> Progress:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._stop)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
