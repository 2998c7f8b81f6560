"""The clock of the simulators."""

from __future__ import annotations

from feedbus.sim.clock import SimClock


def test_setting_the_wall_clock_changes_nothing() -> None:
    wall, monotonic = [1_700_000_000], [50]
    now = SimClock(lambda: wall[0], lambda: monotonic[0])
    assert now() == 1_700_000_000
    wall[0], monotonic[0] = 7, 53
    assert now() == 1_700_000_003
