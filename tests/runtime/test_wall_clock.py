"""The watch on this machine's clock: what it notices and what it logs."""

from __future__ import annotations

import logging
import time

import pytest

from feedbus.runtime.wall_clock import AT_ONCE, WallClock, steady_ns

SECOND = 1_000_000_000


class Clocks:
    """Two clocks that move together, until one is set. Every reading of the steady one takes `reading` ns."""

    def __init__(self) -> None:
        self.wall = 1_700_000_000 * SECOND
        self.steady = 5 * SECOND
        self.reading = 40

    def wall_ns(self) -> int:
        return self.wall

    def steady_ns(self) -> int:
        self.run(self.reading)
        return self.steady

    def run(self, ns: int) -> None:
        self.wall += ns
        self.steady += ns


@pytest.mark.parametrize(
    ("step", "text"), [(120 * SECOND, "forward by 120.000 s"), (-300_000_000, "back by 0.300 s"), (0, None)]
)
def test_each_step_is_one_line(step: int, text: str | None, caplog: pytest.LogCaptureFixture) -> None:
    clocks = Clocks()
    watch = WallClock(clocks.wall_ns, clocks.steady_ns)
    clocks.run(7 * SECOND)
    clocks.wall += step
    for _ in range(3):
        clocks.run(7 * SECOND)
        assert watch.check() == watch.stepped == pytest.approx(step, abs=100)
    assert watch.steps == (step != 0)
    lines = [record for record in caplog.records if record.name == "feedbus.clock"]
    assert [record.levelno for record in lines] == ([logging.WARNING] if text else [])
    assert text is None or text in lines[0].getMessage()


def test_a_reading_that_took_too_long_is_none(caplog: pytest.LogCaptureFixture) -> None:
    clocks = Clocks()
    watch = WallClock(clocks.wall_ns, clocks.steady_ns)
    clocks.reading = AT_ONCE
    clocks.wall += SECOND
    assert watch.check() == 0
    clocks.reading = 40
    assert watch.check() == pytest.approx(SECOND, abs=100)


def test_the_machines_own_clocks_move_together() -> None:
    watch = WallClock()
    for _ in range(1000):
        watch.check()
    assert watch.steps == 0, "nobody sets the clock of this machine during a test"
    assert watch.now() == pytest.approx(steady_ns() / 1e9, abs=5)
    assert time.time_ns() > SECOND
