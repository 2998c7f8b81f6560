"""The back-off: a table, and its promises over any history."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.runtime.backoff import Backoff

ALMOST_ONE = math.nextafter(1.0, 0.0)
DRAWS = st.floats(0, 1, exclude_max=True)
STEPS = st.tuples(st.sampled_from(["failed", "opened", "data"]), st.floats(0, 20), DRAWS)


@pytest.mark.parametrize(
    ("first", "cap", "draw", "delays"),
    [
        (0.5, 60, 1.0, [0.5, 1, 2, 4, 8, 16, 32, 60, 60]),
        (0.5, 60, 0.5, [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30]),
        (0.5, 60, 0.0, [0, 0, 0]),
        (5, 2, 1.0, [2, 2, 2]),
        (3, 3, 1.0, [3, 3, 3]),
    ],
)
def test_the_delay_doubles_up_to_the_cap(first: float, cap: float, draw: float, delays: list[float]) -> None:
    backoff = Backoff(first, cap, 30)
    assert [backoff.failed(0.0, draw) for _ in delays] == delays
    assert backoff.failures == len(delays)


def test_retry_at_is_the_time_of_the_next_attempt() -> None:
    backoff = Backoff(4, 60, 30)
    assert backoff.failed(100.0, 0.5) == 2.0
    assert backoff.retry_at == 102.0


def test_a_connect_alone_resets_nothing() -> None:
    backoff = Backoff(1, 60, 30)
    for time in range(5):
        backoff.failed(time * 1000.0, 0.0)
        backoff.opened()
    assert backoff.failures == 5
    assert backoff.failed(0.0, 0.5) == 16.0


def test_the_count_resets_once_data_has_flowed_long_enough() -> None:
    backoff = Backoff(1, 60, 30)
    backoff.failed(0.0, 0.0)
    backoff.failed(0.0, 0.0)
    backoff.opened()
    backoff.data(10.0)
    backoff.data(39.9)
    assert backoff.failures == 2
    backoff.data(40.0)
    assert backoff.failures == 0
    assert backoff.failed(41.0, 0.5) == 0.5


def test_data_of_an_earlier_connection_does_not_count() -> None:
    backoff = Backoff(1, 60, 30)
    backoff.failed(0.0, 0.0)
    backoff.opened()
    backoff.data(0.0)
    backoff.failed(20.0, 0.0)
    backoff.opened()
    backoff.data(35.0)
    assert backoff.failures == 2


def test_one_early_message_and_then_silence_resets_nothing() -> None:
    backoff = Backoff(1, 60, 30)
    backoff.opened()
    backoff.data(0.0)
    backoff.failed(1000.0, 0.0)
    assert backoff.failures == 1


def test_a_reset_after_of_zero_resets_at_the_first_data() -> None:
    backoff = Backoff(1, 60, 0)
    backoff.failed(0.0, 0.0)
    backoff.opened()
    assert backoff.failures == 1
    backoff.data(5.0)
    assert backoff.failures == 0


def test_any_number_of_failures_stays_at_the_cap() -> None:
    backoff = Backoff(1e-300, 60, 30)
    for _ in range(5000):
        backoff.failed(0.0, 0.0)
    assert backoff.failed(0.0, 0.5) == 30.0
    huge = Backoff(1e300, 1e308, 30)
    assert [math.isfinite(huge.failed(0.0, ALMOST_ONE)) for _ in range(50)] == [True] * 50


@given(st.floats(0.001, 100), st.floats(0.001, 1000), st.floats(0, 60), st.lists(STEPS, max_size=60))
def test_the_delay_follows_the_formula_over_any_history(
    first: float, cap: float, reset_after: float, steps: list[tuple[str, float, float]]
) -> None:
    backoff = Backoff(first, cap, reset_after)
    now, failures, data_since = 0.0, 0, math.nan
    for step, pause, draw in steps:
        now += pause
        if step == "failed":
            delay = backoff.failed(now, draw)
            assert delay == pytest.approx(draw * min(cap, first * 2**failures))
            assert 0 <= delay <= cap
            failures += 1
        elif step == "opened":
            backoff.opened()
            data_since = math.nan
        else:
            backoff.data(now)
            data_since = now if math.isnan(data_since) else data_since
            failures = 0 if now - data_since >= reset_after else failures
        assert backoff.failures == failures
