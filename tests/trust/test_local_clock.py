"""Steps of the wall clock, told from two clocks of which one is never set."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from feedbus.trust.local_clock import STEP, LocalClock

SECOND = 1_000_000_000
AT = 1_700_000_000 * SECOND


def test_a_clock_that_runs_was_not_set() -> None:
    clock = LocalClock()
    assert [clock.read(AT + passed, 7 + passed) for passed in (0, 1, SECOND, 86_400 * SECOND)] == [0, 0, 0, 0]
    assert (clock.steps, clock.stepped) == (0, 0)


def test_the_first_reading_is_no_step_however_wrong_the_clock_is() -> None:
    assert LocalClock().read(0, 10**15) == 0


def test_what_is_less_than_a_step_counts_once_it_has_added_up() -> None:
    clock = LocalClock()
    clock.read(AT, 0)
    assert clock.read(AT + STEP - 1, 0) == 0
    assert clock.read(AT + STEP, 0) == STEP


@given(st.lists(st.tuples(st.integers(0, 10**13), st.integers(-(10**15), 10**15)), max_size=30))
def test_the_steps_are_those_that_were_made(ticks: list[tuple[int, int]]) -> None:
    """Between two readings time passes, which is no step, and the clock is set by a multiple of STEP."""
    clock = LocalClock()
    clock.read(AT, 0)
    wall, steady = AT, 0
    for passed, steps in ticks:
        steady += passed
        wall += passed + steps * STEP
        assert clock.read(wall, steady) == steps * STEP
    assert clock.steps == sum(steps != 0 for _, steps in ticks)
    assert clock.stepped == sum(steps for _, steps in ticks) * STEP
