"""A clock that stands still while the process does: by readings, and in a process that is really stopped."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from math import inf

import pytest

from feedbus.runtime import running_clock
from feedbus.runtime.running_clock import CATCH_UP, LONGEST_STEP, RunningClock, stood_still, suspended


def clock_at(readings: list[float]) -> RunningClock:
    coming: Iterator[float] = iter(readings)
    return RunningClock(lambda: next(coming))


@pytest.mark.parametrize(
    ("readings", "shown", "stood"),
    [
        ([7.0, 8.0, 8.5], [1.0, 1.5], 0.0),
        ([7.0, 7.0 + LONGEST_STEP], [LONGEST_STEP], 0.0),
        ([7.0, 8.0, 3608.0, 3609.0], [1.0, 1.0, 2.0], 3600.0),
    ],
)
def test_it_leaves_out_the_time_between_readings_that_are_far_apart(
    readings: list[float], shown: list[float], stood: float
) -> None:
    clock = clock_at(readings)
    assert [clock.current_time() for _ in shown] == shown
    assert clock.stood_still == stood


@pytest.mark.parametrize(
    ("deadline", "wakes_at", "shown", "stood"),
    [
        (60.0, 60.1, 60.1, 0.0),  # a long sleep is no pause
        (60.0, 30.0, 30.0, 0.0),  # nor is one that data ends early
        (60.0, 100.0, 60.0 - CATCH_UP, 40.0 + CATCH_UP),  # but one that is too long is
        (inf, 1e6, 1e6, 0.0),  # nothing was due, so nothing is late
        (-1.0, 50.0, 0.0, 50.0),
    ],
)
def test_what_trio_means_to_sleep_counts(deadline: float, wakes_at: float, shown: float, stood: float) -> None:
    clock = clock_at([0.0, 0.0, wakes_at])
    assert clock.deadline_to_sleep_time(deadline) == max(0.0, deadline)
    assert (clock.current_time(), clock.stood_still) == (shown, stood)


def test_a_suspended_machine_counts_as_a_pause_although_the_clock_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = clock_at([0.0, 1.0])
    assert clock.all_pauses() == 0.0
    before = suspended()
    monkeypatch.setattr(running_clock, "suspended", lambda: before + 3600.0)
    assert clock.current_time() == 1.0
    assert clock.all_pauses() == pytest.approx(3600.0, abs=0.1)


async def test_by_another_clock_nothing_has_stood_still() -> None:
    assert stood_still() == 0.0


STOPPED = """
import sys, trio
from feedbus.runtime import running_clock
from feedbus.runtime import running_clock
from feedbus.runtime.running_clock import RunningClock, stood_still
running_clock.LONGEST_STEP = 0.5
async def main():
    send, receive = trio.open_memory_channel(0)
    with trio.move_on_after(1.0) as judged:  # whoever is judged answers, but while we are stopped
        print("waiting", flush=True)
        await trio.lowlevel.wait_readable(sys.stdin)
    print("judged" if judged.cancelled_caught else f"answered, stood still {stood_still() > 1.5}")
trio.run(main, clock=RunningClock())
"""


def test_what_came_while_the_process_was_stopped_is_in_time() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STOPPED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        process.stdin.write("the answer")
        process.stdin.flush()
        while time.monotonic() - began < 2.5:
            pass
        process.send_signal(signal.SIGCONT)
        assert process.communicate()[0] == "answered, stood still True\n"
