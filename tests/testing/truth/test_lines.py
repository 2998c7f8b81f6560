from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock

from feedbus.errors import ClosedByPeer, TimedOut
from feedbus.sim.seam import Ending, Frame
from feedbus.testing.truth.lines import SimulatedLine
from feedbus.transport import DialOptions

OPTIONS = DialOptions(ping_interval=5.0, ping_timeout=4.0)


class Silent:
    """A venue's side that says nothing."""

    ending: Ending = ""

    def receive(self, data: Frame, now_ns: int) -> Sequence[Frame]:
        return ()

    def __init__(self) -> None:
        self.pings: list[int] = []

    def control(self, now_ns: int) -> None:
        self.pings.append(now_ns)

    def due(self) -> Sequence[Frame]:
        return ()

    def goodbye(self) -> Sequence[Frame]:
        return ()


@pytest.fixture
def sent() -> list[bytes | str]:
    return []


@pytest.fixture
def line(sent: list[bytes | str]) -> SimulatedLine:
    return SimulatedLine(Silent(), OPTIONS, 0.0, to_venue=lambda _, messages: sent.extend(messages), wall_ns=lambda: 7)


async def test_messages_come_when_they_are_due_and_those_of_one_moment_together(
    line: SimulatedLine, autojump_clock: MockClock
) -> None:
    line.queue(1.0, ["a"])
    line.queue(1.0, [b"b"])
    line.queue(2.0, ["c"])
    assert await line.receive() == ([b"a", b"b"], 7)
    assert trio.current_time() == 1.0
    assert await line.receive() == ([b"c"], 7)
    assert trio.current_time() == 2.0
    assert (line.messages_received, line.bytes_received) == (3, 3)


async def test_nothing_overtakes_what_is_before_it(line: SimulatedLine, autojump_clock: MockClock) -> None:
    line.queue(3.0, ["late"])
    line.queue(1.0, ["next"])
    assert (await line.receive())[0] == [b"late", b"next"]
    assert trio.current_time() == 3.0


async def test_what_was_on_its_way_comes_before_the_end_and_is_lost_by_a_cut(
    line: SimulatedLine, autojump_clock: MockClock
) -> None:
    line.queue(1.0, ["last"])
    line.end(ClosedByPeer(1000))
    assert (await line.receive())[0] == [b"last"]
    with pytest.raises(ClosedByPeer):
        await line.receive()
    line.queue(2.0, ["more"])
    with pytest.raises(ClosedByPeer):
        await line.receive()


async def test_a_cut_loses_what_was_on_its_way(line: SimulatedLine, autojump_clock: MockClock) -> None:
    line.queue(1.0, ["lost"])
    line.cut(ClosedByPeer(1006))
    with pytest.raises(ClosedByPeer):
        await line.receive()
    with pytest.raises(ClosedByPeer):
        await line.send(["x"])


async def test_a_dead_line_is_found_when_the_answer_to_the_next_ping_is_overdue(
    line: SimulatedLine, sent: list[bytes | str], autojump_clock: MockClock
) -> None:
    await trio.sleep(6.0)
    line.die(trio.current_time())
    await line.send(["into the void"])
    with pytest.raises(TimedOut):
        await line.receive()
    assert trio.current_time() == 10.0 + 4.0
    assert sent == []


async def test_what_is_sent_comes_to_the_venue(
    line: SimulatedLine, sent: list[bytes | str], autojump_clock: MockClock
) -> None:
    await line.send(["a", b"b"])
    assert sent == ["a", b"b"]


async def test_messages_that_are_held_are_released_in_another_order(
    line: SimulatedLine, autojump_clock: MockClock
) -> None:
    for number in range(3):
        line.hold("S", float(number), f"{number}")
    assert [frame for _, frame in line.release("S")] == ["2", "1", "0"]
    assert line.release("S") == []


def test_its_pings_are_counted_on_both_sides_while_it_lives() -> None:
    told: list[str] = []
    silent = Silent()
    options = DialOptions(ping_interval=5.0, ping_timeout=4.0, control_sent=lambda: told.append("ping"))
    line = SimulatedLine(silent, options, 1.0, to_venue=lambda *_: None, wall_ns=lambda: 0)
    for now in (1.0, 5.5, 6.0, 6.5, 11.0):
        line.ping(now, int(now))
    assert silent.pings == [6, 11]
    assert len(told) == 2
    line.die(12.0)
    line.ping(16.0, 16)
    assert silent.pings == [6, 11]
