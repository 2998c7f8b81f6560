"""The event loop's lateness, on a clock of our own."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from feedbus.telemetry.loop_lag import KEPT, TICK, LoopLag


async def tick(clock: MockClock, late: float = 0.0) -> None:
    clock.jump(TICK + late)
    await wait_all_tasks_blocked()


async def test_the_worst_delay_and_their_sum_are_kept(mock_clock: MockClock, nursery: trio.Nursery) -> None:
    lag = LoopLag()
    assert (lag.worst(), lag.ticks, lag.seconds) == (0.0, 0, 0.0)
    nursery.start_soon(lag.run)
    await wait_all_tasks_blocked()
    await tick(mock_clock)
    assert (lag.worst(), lag.ticks) == (0.0, 1)
    await tick(mock_clock, late=0.25)
    await tick(mock_clock, late=0.125)
    assert (lag.worst(), lag.ticks, lag.seconds) == (0.25, 3, 0.375)


async def test_a_delay_is_forgotten_after_a_minute(mock_clock: MockClock, nursery: trio.Nursery) -> None:
    lag = LoopLag()
    nursery.start_soon(lag.run)
    await wait_all_tasks_blocked()
    await tick(mock_clock, late=3.0)
    for _ in range(KEPT - 1):
        await tick(mock_clock)
    assert lag.worst() == 3.0
    await tick(mock_clock)
    assert lag.worst() == 0.0
    assert lag.seconds == 3.0


async def test_a_pause_of_the_process_counts_and_is_said_once(
    mock_clock: MockClock, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    stood_still = [0.0]
    lag = LoopLag(lambda: stood_still[0])
    nursery.start_soon(lag.run)
    await wait_all_tasks_blocked()
    await tick(mock_clock)
    stood_still[0] = 30.0  # trio's clock has left it out
    for _ in range(3):
        await tick(mock_clock)
    assert (lag.worst(), lag.seconds, lag.pauses, lag.paused) == (30.0, 30.0, 1, 30.0)
    assert [record.getMessage() for record in caplog.records] == [
        "this process stood still for 30.0 s, as if stopped or suspended: no deadline counts that time"
    ]
