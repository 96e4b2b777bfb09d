"""Jobs shared out over threads, each of which takes the next as soon as it is free."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from ..errors import Cancelled
from .flush_subnormals import flush_subnormals

LOOK = 0.1  # seconds between two looks at whether the user stopped a run


def share_out(
    jobs: Iterator[Callable[[], None]],
    threads: int,
    stop: Callable[[], bool],
    leave: Callable[[], None] = lambda: None,
) -> None:
    """Do all jobs; the caller's thread only waits, and asks whether to go on.

    The threads fetch their jobs themselves: handing out each one from here would cost two changes
    of thread a job, which for jobs of milliseconds is a tenth of the time.

    Args:
        jobs: drawn by one thread at a time, in order; what drawing does may depend on that.
        threads: at least 1.
        stop: asked in the caller's thread, once before the first job and then time and again.
        leave: called where jobs that have begun should end early.

    Raises:
        Cancelled: `stop()` was true; no job is left running.
        Exception: what a job, or drawing one, raised; no job is left running.
    """
    drawing = threading.Lock()
    over = threading.Event()

    def work() -> None:
        while True:
            with drawing:
                job = None if over.is_set() else next(jobs, None)
            if job is None or over.is_set():
                return
            job()
            del job  # What it holds is not kept while the next is drawn.

    if stop():
        raise Cancelled("The run was cancelled.")
    running: set[Future[None]] = set()
    with ThreadPoolExecutor(threads, initializer=flush_subnormals) as pool:
        try:
            for _ in range(threads):
                running.add(pool.submit(work))
            while running:
                done, running = wait(running, LOOK, FIRST_COMPLETED)
                while done:
                    done.pop().result()
                if stop():
                    raise Cancelled("The run was cancelled.")
        except BaseException:
            over.set()
            leave()
            # A failed one holds its traceback, which holds all that is here.
            running.clear()
            raise
