"""The moments that timers share."""

from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from feedbus.ticks import LEAST_PERIOD, TICK, shared

times = st.floats(0, 1e7)


@given(times, st.floats(LEAST_PERIOD, 3600))
def test_what_is_not_done_often_is_done_at_a_tick_and_less_than_a_tick_too_early(due: float, period: float) -> None:
    when = shared(due, period)
    assert due - TICK < when <= due
    assert when % TICK == 0


@given(times, st.floats(0, LEAST_PERIOD, exclude_max=True) | st.just(inf))
def test_what_is_done_often_is_done_when_it_is_due(due: float, period: float) -> None:
    assert shared(due, period) == due
    assert shared(inf, inf) == inf


@given(times, st.integers(int(LEAST_PERIOD), 3600), st.floats(0, 0.999))
def test_a_late_wake_up_moves_nothing_that_comes_after_it(due: float, period: int, late: float) -> None:
    when = shared(due, period)
    assert shared(when + late + period, period) == when + period
