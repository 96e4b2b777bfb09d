"""Work done ahead of the one who needs it, in a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


_LOOK = 0.1  # seconds between two looks at whether anybody still wants the next item


class _End:
    """Follows the last item; carries what ended the work early, if anything did."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def ahead(items: Iterable[Item], depth: int) -> Iterator[Item]:
    """Yield the same items, made in another thread while the caller works on earlier ones.

    At most `depth` finished items wait, and one more is being made. Closing the iterator ends the
    thread after the item that it is at. An exception of `items` is raised where its item would be.

    Args:
        items: made one after the other, in one other thread.
        depth: at least 1.
    """
    waiting: queue.Queue[Item | _End] = queue.Queue(depth)
    unwanted = threading.Event()

    def put(item: Item | _End) -> bool:
        while not unwanted.is_set():
            try:
                waiting.put(item, timeout=_LOOK)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                if not put(item):
                    return
                del item  # The one who took it decides how long it lives.
        except BaseException as failure:  # Raised again in the thread that asks.
            error = failure
        put(_End(error))

    thread = threading.Thread(target=work, name="alise-ahead", daemon=True)
    thread.start()
    try:
        while True:
            item = waiting.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
            del item
    finally:
        unwanted.set()
        thread.join()
