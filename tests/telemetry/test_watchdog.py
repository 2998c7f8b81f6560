"""READY, STATUS and the signs of life, on a clock of our own and with a Notifier that only notes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from feedbus.telemetry.systemd import Notifier
from feedbus.telemetry.watchdog import CHECK_EVERY, Watchdog


class Told(Notifier):
    """Notes what systemd would be told, and when."""

    def __init__(self, watchdog: float | None = None) -> None:
        super().__init__({})
        self.watchdog = watchdog
        self.told: list[tuple[float, str]] = []

    def _send(self, text: str) -> None:
        self.told.append((trio.current_time(), text))


class Part:
    """Late when the test says so."""

    def __init__(self) -> None:
        self.late: str | None = None

    def overdue(self, now: float) -> str | None:
        assert now == trio.current_time()
        return self.late


class Scene:
    """A watchdog over two parts, on a clock that the test moves."""

    def __init__(self, clock: MockClock, nursery: trio.Nursery, watchdog: float | None = 10.0) -> None:
        self.clock = clock
        self.started = trio.current_time()
        self.told = Told(watchdog)
        self.parts = [Part(), Part()]
        self.text = "1 of 1 up"
        self.attempted = trio.Event()
        self.watchdog = Watchdog(self.told, lambda: self.parts, lambda: self.text, self.attempted.wait)
        nursery.start_soon(self.watchdog.run)

    async def after(self, seconds: float) -> Sequence[tuple[float, str]]:
        """What is told meanwhile, with the times since the start."""
        self.told.told.clear()
        await wait_all_tasks_blocked()
        for _ in range(round(seconds * 2)):
            self.clock.jump(0.5)
            await wait_all_tasks_blocked()
        return [(when - self.started, text) for when, text in self.told.told]


async def test_ready_waits_for_the_first_attempts(mock_clock: MockClock, nursery: trio.Nursery) -> None:
    scene = Scene(mock_clock, nursery, watchdog=None)
    assert await scene.after(20) == []
    scene.attempted.set()
    assert await scene.after(3) == [(20.0, "READY=1\nSTATUS=1 of 1 up")]


async def test_the_status_is_told_when_it_changes_and_at_most_once_a_second(
    mock_clock: MockClock, nursery: trio.Nursery
) -> None:
    scene = Scene(mock_clock, nursery, watchdog=None)
    scene.attempted.set()
    await scene.after(2)
    scene.text = "0 of 1 up"
    assert await scene.after(0.5) == []
    scene.text = "moex: Access denied"
    assert await scene.after(5) == [(3.0, "STATUS=moex: Access denied")]


async def test_signs_of_life_come_twice_in_each_watchdog_period(mock_clock: MockClock, nursery: trio.Nursery) -> None:
    scene = Scene(mock_clock, nursery, watchdog=10.0)
    assert await scene.after(12) == [(0.0, "WATCHDOG=1"), (5.0, "WATCHDOG=1"), (10.0, "WATCHDOG=1")]
    assert (scene.watchdog.checks, scene.watchdog.withheld) == (3, 0)


async def test_while_a_part_is_late_no_sign_of_life_is_given(
    mock_clock: MockClock, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="feedbus")
    scene = Scene(mock_clock, nursery, watchdog=10.0)
    await scene.after(1)
    scene.parts[1].late = "moex/3: login, due in 10 s"
    assert await scene.after(11) == []
    assert scene.watchdog.overdue() == ["moex/3: login, due in 10 s"]
    assert scene.watchdog.withheld == 2
    scene.parts[0].late = "publisher moex: heartbeat"
    assert await scene.after(5) == []
    scene.parts[0].late = scene.parts[1].late = None
    assert await scene.after(5) == [(20.0, "WATCHDOG=1")]
    assert scene.watchdog.overdue() == []
    assert [record.getMessage() for record in caplog.records] == [
        "overdue: moex/3: login, due in 10 s",
        "overdue: publisher moex: heartbeat",
        "nothing is overdue any more",
    ]


async def test_without_a_watchdog_the_parts_are_looked_after_and_nothing_is_sent(
    mock_clock: MockClock, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene(mock_clock, nursery, watchdog=None)
    scene.parts[0].late = "publisher moex: heartbeat"
    assert await scene.after(2 * CHECK_EVERY) == []
    assert "publisher moex: heartbeat" in caplog.text
    assert scene.watchdog.checks == 3
