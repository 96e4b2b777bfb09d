import threading
import time

import pytest

from alise_plugin.model.prefetch import ahead


def test_items_come_in_order():
    assert list(ahead(iter(range(50)), 3)) == list(range(50))
    assert list(ahead([], 1)) == []


def test_it_is_ahead_by_no_more_than_it_may():
    made = []

    def items():
        for number in range(20):
            made.append(number)
            yield number

    stream = ahead(items(), 2)
    assert next(stream) == 0
    time.sleep(0.3)
    assert 3 <= len(made) <= 4  # one taken, two waiting, one in the hand
    stream.close()
    assert len(made) <= 5


def test_an_error_comes_where_its_item_would():
    def items():
        yield 1
        raise KeyError("second")

    stream = ahead(items(), 4)
    assert next(stream) == 1
    with pytest.raises(KeyError, match="second"):
        next(stream)


def test_nothing_runs_on_once_it_is_closed():
    stream = ahead(iter(range(1000)), 1)
    next(stream)
    stream.close()
    assert not [one for one in threading.enumerate() if one.name == "alise-ahead"]
