"""Writing a raster in a thread of its own, while the next tile is computed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any


class WriteBehind:
    """Does one piece of work at a time in another thread, while the caller makes the next.

    A failure is raised at the next `submit`, or on leaving the `with` block. When the block is
    left by an exception, the work under way is told to stop and waited for.

    Args:
        abandon: called to stop the work under way.
    """

    def __init__(self, abandon: Callable[[], None]) -> None:
        self._abandon = abandon
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="alise-write")
        self._pending: Future[None] | None = None

    def submit(self, work: Callable[..., None], *arguments: Any) -> None:
        """Wait for the piece before, then starts this one."""
        self.wait()
        self._pending = self._pool.submit(work, *arguments)

    def wait(self) -> None:
        """Wait until nothing is under way; raise what went wrong there."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def __enter__(self) -> WriteBehind:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is not None:
                self._abandon()
            else:
                self.wait()
        finally:
            self._pool.shutdown()
