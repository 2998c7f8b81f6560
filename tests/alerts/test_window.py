"""The window compared with a list of all prices: never too long, at most a 16th too short, and bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from feedbus.alerts.window import BUCKETS, Window

LENGTH = 1600  # buckets of 100


def add(window: Window, price: float, now: int) -> None:
    """Adds a price the way callers do, who skip the prices that change nothing but the last one."""
    if now < window.bucket_end and window.bucket_low <= price <= window.bucket_high:
        window.last = price
    else:
        window.add(price, now)


def test_extremes_are_those_of_the_window() -> None:
    window = Window(LENGTH)
    for now, price in ((0, 5.0), (150, 7.0), (250, 6.0)):
        add(window, price, now)
    assert (window.low, window.high, window.last) == (5.0, 7.0, 6.0)


def test_a_bucket_leaves_as_a_whole_before_it_is_older_than_the_window() -> None:
    window = Window(LENGTH)
    add(window, 5.0, 99)
    add(window, 6.0, 1599)
    assert window.low == 5.0
    assert window.changes_at() == 1600
    add(window, 6.0, 1600)
    assert window.low == 6.0


def test_says_whether_an_extreme_may_have_changed() -> None:
    window = Window(LENGTH)
    assert window.add(5.0, 0)
    assert window.add(6.0, 1)
    assert not window.add(5.5, 2)
    assert window.add(5.5, 100)
    assert not window.add(5.6, 101)
    assert window.add(6.5, 101)


def test_a_time_that_goes_back_counts_as_the_latest() -> None:
    window = Window(LENGTH)
    window.add(5.0, 1000)
    window.add(6.0, 0)
    assert (window.low, window.high) == (5.0, 6.0)
    assert window.changes_at() == 1000 + LENGTH


steps = st.lists(st.tuples(st.integers(0, 700), st.integers(1, 30)), min_size=1, max_size=200)


@given(steps)
def test_it_looks_back_upon_no_more_than_the_window_and_upon_fifteen_sixteenths_of_it(
    taken: list[tuple[int, int]],
) -> None:
    window, now, seen = Window(LENGTH), 0, list[tuple[int, float]]()
    for step, price in taken:
        now += step
        seen.append((now, float(price)))
        add(window, float(price), now)
        longest = [price for at, price in seen if now - at <= LENGTH]
        shortest = [price for at, price in seen if now - at <= LENGTH - LENGTH // BUCKETS]
        assert min(longest) <= window.low <= min(shortest)
        assert max(longest) >= window.high >= max(shortest)
        assert len(window) <= 2 * BUCKETS
        assert window.last == price
        assert window.changes_at() > now
