"""A clock that stands still while the process does."""

from __future__ import annotations

import pytest

from feedbus.actors.alerting.running_time import LONGEST_STEP, RunningTime


@pytest.mark.parametrize(
    ("readings", "seconds", "stood_still"),
    [
        ([7.0], 0.0, 0.0),
        ([7.0, 8.0, 8.5], 1.5, 0.0),
        ([7.0, 7.0 + LONGEST_STEP], LONGEST_STEP, 0.0),
        ([7.0, 8.0, 3608.0, 3609.0], 2.0 + LONGEST_STEP, 3600.0 - LONGEST_STEP),
    ],
)
def test_it_runs_with_the_process(readings: list[float], seconds: float, stood_still: float) -> None:
    clock = RunningTime()
    assert [clock.read(now) for now in readings][-1] == round(seconds * 1e9)
    assert clock.stood_still == stood_still
