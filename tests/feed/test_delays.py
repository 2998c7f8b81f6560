"""The shell around the delays of a feed: when it looks at the clock, and what it logs."""

from __future__ import annotations

import logging

import pytest

from feedbus.feed.delays import QUIET_AFTER, Delays
from feedbus.runtime.wall_clock import WallClock
from feedbus.schema.events import Ticker, Trade

MS = 1_000_000
SECOND = 1_000 * MS
AT = 1_700_000_000 * SECOND


class Machine:
    """A feed's delays on a machine whose clock can be set."""

    def __init__(self, resolutions: dict[str, int] | None = None) -> None:
        self.passed = 0
        self.ahead = 0
        self.turned: list[str] = []
        clock = WallClock(lambda: AT + self.passed + self.ahead, lambda: self.passed)
        log = logging.getLogger("feedbus.feed")
        self.delays = Delays(log, resolutions or {}, clock, self.turned.append)
        self.of = self.delays.connection("feed/0")

    def read(self, late: int, kind: type[Trade] | type[Ticker] = Trade) -> None:
        """An event that the venue timed so many nanoseconds ago comes."""
        now = AT + self.passed
        times = "feed", "X", now - late, now + self.ahead
        event = Ticker(*times) if kind is Ticker else Trade(*times, 1.0, 1.0, None, None)
        if event.ts_recv - event.ts_event < self.of.look_below:
            self.delays.note(self.of, event)

    def run(self, late: int, seconds: float) -> list[float | None]:
        """Five reads each second with this delay, for so long. Returns what each status says."""
        found = []
        for tick in range(int(seconds * 5)):
            self.passed += SECOND // 5
            self.read(late)
            if tick % 25 == 24:
                found.append(self.delays.take(self.of))
        return found


@pytest.fixture(autouse=True)
def _level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    ("late", "step"), [(20 * MS, 120 * SECOND), (20 * MS, -120 * SECOND), (900 * SECOND, -900 * SECOND)]
)
def test_a_step_is_noticed_before_any_verdict_turns(late: int, step: int, caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine()
    machine.run(late, 60)
    before = [*machine.turned]
    machine.ahead += step
    told = [each for each in machine.run(late, 60) if each is not None]
    assert machine.turned == before == (["feed/0"] if late > 60 * SECOND else [])
    assert told == [pytest.approx(late / SECOND)] * len(told)
    assert len(told) >= 9, "all statuses but the first two say how late it is"
    assert sum("clock was set" in line for line in lines(caplog)) == 1


def test_a_connection_that_turns_says_so_at_once() -> None:
    machine = Machine()
    machine.read(900 * SECOND)
    assert (machine.turned, machine.delays.is_delayed("feed/0")) == (["feed/0"], True)
    machine.read(20 * MS)
    assert (machine.turned, machine.delays.is_delayed("feed/0")) == (["feed/0"] * 2, False)


def test_events_from_the_future_are_told_once_and_again_after_a_pause(caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine()
    machine.run(-1270 * MS, 60)
    assert machine.delays.negative == 300, "every read was one"
    assert machine.delays.offset_s == pytest.approx(-1.27)
    first, second = lines(caplog)
    assert first.startswith("feed/0 brings events that bear a time 1.270 s after their receipt")
    assert second == "by the times of events this machine's clock is 1.270 s behind the venue's (known to 0.001 s)"
    machine.run(20 * MS, QUIET_AFTER + 10)
    machine.run(-1270 * MS, 60)
    assert len([line for line in lines(caplog) if line.startswith("feed/0 brings")]) == 2


def test_a_time_that_is_off_by_less_than_its_resolution_is_counted_and_no_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    machine = Machine({"ticker": SECOND})
    machine.read(-SECOND // 2, Ticker)
    assert (machine.delays.negative, lines(caplog)) == (1, [])
    machine.read(-SECOND // 2 - MS)  # of a trade it can't be
    assert len(lines(caplog)) == 1


def test_a_clock_that_is_ahead_is_told_when_it_cant_be_a_queue(caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine()
    machine.run(2 * SECOND, 60)
    assert lines(caplog) == []
    machine.run(2 * SECOND, 600)
    assert lines(caplog) == [
        "by the times of events this machine's clock is 2.000 s ahead of the venue's (known to 0.001 s)"
    ]


def test_figures_for_metrics() -> None:
    machine = Machine()
    assert (machine.delays.offset_s, machine.delays.drift_ppm) == (None, None)
    machine.run(20 * MS, 660)
    assert machine.delays.offset_s == pytest.approx(0.02)
    assert machine.delays.drift_ppm == pytest.approx(0, abs=0.001)
    machine.run(320 * MS, 300)
    assert machine.delays.shifts == 1
    assert machine.delays.offset_s == pytest.approx(0.32)
