"""What the network does to messages, played on the simulated MOEX with a real Session."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import pytest
import trio
from trio.testing import MockClock

from feedbus.errors import ClosedByPeer, ConnectFailed, RateLimited
from feedbus.testing.determinism import wall_ns
from feedbus.testing.truth.lines import SimulatedLine
from feedbus.testing.truth.moex import ProbedMoex
from feedbus.testing.truth.network import Network
from feedbus.testing.truth.oracle import Key, Oracle
from feedbus.testing.truth.venue import STEP_S
from feedbus.transport import DialOptions
from feedbus.venues.moex import stomp

OPTIONS = DialOptions(ping_interval=5.0, ping_timeout=4.0)
LOGIN = stomp.build("CONNECT", {"domain": "DEMO", "login": "guest", "passcode": "guest"})


class RecordingOracle(Oracle):
    """An oracle that records what the network tells it."""

    def __init__(self) -> None:
        super().__init__(stale_after=60.0)
        self.told: list[tuple[object, ...]] = []

    def withheld(
        self,
        key: Key,
        since: float,
        until: float = inf,
        cells: frozenset[str] | None = None,
        *,
        ends_by_news: bool = True,
    ) -> None:
        self.told.append(("withheld", *key, until))
        super().withheld(key, since, until, cells, ends_by_news=ends_by_news)

    def silenced(self, key: Key, now: float) -> None:
        self.told.append(("withheld", *key, now))
        super().silenced(key, now)

    def heard(self, key: Key, at: float, cells: frozenset[str] | None = None) -> None:
        self.told.append(("heard", *key, at))
        super().heard(key, at, cells)


class Played:
    """A line to a venue with two tickers, on which both books are subscribed."""

    def __init__(self) -> None:
        self.venue = ProbedMoex(1, 2, 1.0)
        self.first, self.second = self.venue.symbols
        self.oracle = RecordingOracle()
        self.network = Network(self.venue, self.oracle, wall_ns, wall_ns)

    async def subscribe(self, line: SimulatedLine) -> None:
        books = [
            stomp.build(
                "SUBSCRIBE",
                {"destination": "MXSE.orderbooks", "id": str(number), "selector": f'TICKER="MXSE.{symbol}"'},
            )
            for number, symbol in enumerate(self.venue.symbols, 1)
        ]
        await line.send([LOGIN, *books])
        await self.heard(line, 0.5)

    async def heard(self, line: SimulatedLine, seconds: float) -> list[str]:
        """What comes within so many seconds, while the market moves: the subscription of each message, with its first
        letters when it is damaged."""
        found: list[str] = []
        for _ in range(round(seconds / STEP_S)):
            list(self.venue.advance())
            self.network.step()
            with trio.move_on_after(STEP_S):
                while True:
                    messages, _ = await line.receive()
                    found += [_name(bytes(message)) for message in messages]
        return found


def _name(message: bytes) -> str:
    if not message.startswith(b"MESSAGE"):
        return message[:9].decode()
    name = message.partition(b"subscription:")[2].partition(b"\n")[0].decode()
    return name if message.endswith(b"\0") else f"torn {name}"


def told(played: Played, what: str, symbol: str) -> list[tuple[object, ...]]:
    return [each for each in played.oracle.told if each[0] == what and each[1] == symbol]


@pytest.fixture
def played() -> Played:
    return Played()


async def test_messages_come_a_little_later_and_the_oracle_hears_of_them(
    played: Played, autojump_clock: MockClock
) -> None:
    async with played.network(played.venue.url, OPTIONS) as line:
        await played.subscribe(line)
        played.oracle.told.clear()
        heard = await played.heard(line, 3.0)
        assert {"1", "2"} == set(heard)
        assert len(told(played, "heard", played.first)) == heard.count("1")
        assert not told(played, "withheld", played.first)
    assert played.network.lines == []


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("drop", ["2", "1"]),
        ("garbage", ["torn 1", "2", "1"]),
        ("duplicate", ["1", "1", "2", "1"]),
        ("reorder", ["2", "1", "1"]),
        ("stale_replay", ["1", "1", "2", "1"]),
    ],
)
async def test_a_fault_is_about_the_next_message_of_its_instrument(
    played: Played, kind: str, expected: Sequence[str], autojump_clock: MockClock
) -> None:
    async with played.network(played.venue.url, OPTIONS) as line:
        await played.subscribe(line)
        await played.heard(line, 3.0)
        played.network.arm(kind, played.first, 1)
        played.oracle.told.clear()
        heard = await played.heard(line, 6.0)
    marks = [each for each in heard if each.endswith("1")][: len([each for each in expected if each.endswith("1")])]
    assert marks == [each for each in expected if each.endswith("1")]
    assert bool(told(played, "withheld", played.first)) is (kind in ("drop", "reorder"))
    assert not told(played, "withheld", played.second)


async def test_a_silent_subscription_speaks_again_when_it_is_made_anew(
    played: Played, autojump_clock: MockClock
) -> None:
    async with played.network(played.venue.url, OPTIONS) as line:
        await played.subscribe(line)
        line.mute_one(0)
        assert set(await played.heard(line, 5.0)) == {"2"}
        assert told(played, "withheld", played.first)
        await line.send([stomp.build("UNSUBSCRIBE", {"id": "1"})])
        again = {"destination": "MXSE.orderbooks", "id": "1", "selector": f'TICKER="MXSE.{played.first}"'}
        await line.send([stomp.build("SUBSCRIBE", again)])
        assert set(await played.heard(line, 5.0)) == {"1", "2"}


async def test_a_silent_line_says_nothing_and_a_slow_one_says_it_later(
    played: Played, autojump_clock: MockClock
) -> None:
    async with played.network(played.venue.url, OPTIONS) as line:
        await played.subscribe(line)
        line.slow_down(4.0, trio.current_time() + 1.0)
        assert await played.heard(line, 3.5) == []
        assert await played.heard(line, 2.0)
        line.mute()
        assert await played.heard(line, 10.0) == []
        assert told(played, "withheld", played.first)


async def test_that_a_late_message_is_damaged_cannot_be_known_before_it_comes(
    played: Played, autojump_clock: MockClock
) -> None:
    async with played.network(played.venue.url, OPTIONS) as line:
        await played.subscribe(line)
        line.slow_down(4.0, trio.current_time() + 3.0)
        played.network.arm("garbage", played.first, 1)
        played.oracle.told.clear()
        await played.heard(line, 2.0)
        assert len(told(played, "withheld", played.first)) == len(told(played, "heard", played.first)) + 1
        assert "torn 1" in await played.heard(line, 6.0)


async def test_what_is_cut_is_seen_and_what_is_dead_is_not(played: Played, autojump_clock: MockClock) -> None:
    async with played.network(played.venue.url, OPTIONS) as line:
        await played.subscribe(line)
        played.network.reset(line)
        with pytest.raises(ClosedByPeer):
            await line.receive()
    async with played.network(played.venue.url, OPTIONS) as line:
        await played.subscribe(line)
        line.die(trio.current_time())
        assert played.network.open_lines() == []
        assert await played.heard(line, 3.0) == []
        assert told(played, "withheld", played.first)
    assert played.network.lines == [line]  # the venue doesn't know yet


async def test_refusals_and_bans_last_as_long_as_they_are_to(played: Played, autojump_clock: MockClock) -> None:
    network, url = played.network, played.venue.url
    network.refuse(trio.current_time() + 5.0)
    with pytest.raises(ConnectFailed):
        async with network(url, OPTIONS):
            pass
    await trio.sleep(5.0)
    async with network(url, OPTIONS) as line:
        network.ban(trio.current_time() + 7.5)
        with pytest.raises(ClosedByPeer):
            await line.receive()
    with pytest.raises(RateLimited) as caught:
        async with network(url, OPTIONS):
            pass
    assert caught.value.retry_after == 8.0
    await trio.sleep(8.0)
    async with network(url, OPTIONS):
        pass
    assert len(network.attempts) == 4
