"""Jobs on threads: all are done, none twice, and nobody works on after an end."""

import threading
import time
import weakref
from functools import partial

import pytest

from alise_plugin.errors import Cancelled
from alise_plugin.model import thread_jobs as share
from alise_plugin.model.thread_jobs import share_out


def never():
    return False


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 7, 200])
def test_every_job_is_done_once(threads, count):
    done = []
    share_out(iter([lambda i=i: done.append(i) for i in range(count)]), threads, never)
    assert sorted(done) == list(range(count))


def test_jobs_are_drawn_by_one_thread_at_a_time_and_in_order():
    inside, drawn = [], []

    def jobs():
        for number in range(40):
            inside.append(1)
            assert len(inside) == 1
            time.sleep(0.001)
            drawn.append(number)
            inside.pop()
            yield lambda: time.sleep(0.001)

    share_out(jobs(), 4, never)
    assert drawn == list(range(40))


def test_as_many_at_once_as_there_are_threads():
    together, places = threading.Barrier(3, timeout=5), []
    share_out(iter(6 * [lambda: places.append(together.wait())]), 3, never)
    assert sorted(places) == [0, 0, 1, 1, 2, 2]  # with fewer at once nobody gets past


def test_a_stop_is_asked_for_in_the_callers_thread_and_ends_what_runs(monkeypatch):
    monkeypatch.setattr(share, "LOOK", 0.01)
    leaving, asked, begun, running = threading.Event(), [], [], []

    def job():
        begun.append(1)
        running.append(1)
        leaving.wait(5)
        running.pop()

    def stop():
        asked.append(threading.current_thread())
        return len(asked) > 3 and len(begun) == 2

    start = time.monotonic()
    with pytest.raises(Cancelled):
        share_out(iter(9 * [job]), 2, stop, leaving.set)
    assert time.monotonic() - start < 3
    assert set(asked) == {threading.current_thread()}
    assert len(begun) == 2
    assert not running


def test_nothing_begins_where_the_first_answer_is_stop():
    begun = []
    with pytest.raises(Cancelled):
        share_out(iter([lambda: begun.append(1)]), 2, lambda: True)
    assert not begun


@pytest.mark.parametrize("where", ["job", "draw"])
def test_a_failure_ends_the_others_and_is_raised(where):
    leaving, begun = threading.Event(), []

    def broken():
        raise OSError("no such band")

    def waits():
        begun.append(1)
        leaving.wait(5)

    def jobs():
        yield waits
        if where == "draw":
            broken()
        yield broken
        yield from 50 * [waits]

    with pytest.raises(OSError, match="no such band"):
        share_out(jobs(), 2, never, leaving.set)
    assert leaving.is_set()
    assert len(begun) == 1


def test_an_end_draws_no_more(monkeypatch):
    monkeypatch.setattr(share, "LOOK", 0.01)
    drawn = []

    def jobs():
        while True:
            drawn.append(1)
            time.sleep(0.2)
            yield lambda: None

    with pytest.raises(Cancelled):
        share_out(jobs(), 8, lambda: len(drawn) > 1)
    assert len(drawn) == 2


def test_a_finished_job_is_not_held():
    """What a job holds can be large: the next is drawn without it."""

    class Held:
        pass

    seen = []

    def jobs():
        held = Held()
        seen.append(weakref.ref(held))
        job = partial(id, held)
        del held
        yield job
        del job
        assert seen[0]() is None
        yield lambda: None

    share_out(jobs(), 1, never)
