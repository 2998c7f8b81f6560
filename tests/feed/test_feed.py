"""The feed: its connections on a fake transport and a virtual clock, and what it says of them on the bus."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from feedbus.bus.publisher import Publisher
from feedbus.config import FeedConfig, ShardingConfig
from feedbus.config.model import BackoffConfig, BudgetConfig, BudgetsConfig
from feedbus.errors import ClosedByPeer, ConnectFailed, RateLimited, VenueError
from feedbus.feed.connection_log import LINES
from feedbus.feed.connector import Connector
from feedbus.feed.feed import STATUS_EVERY, STATUSES_AT_ONCE, Feed
from feedbus.feed.fetching import Answered
from feedbus.feed.neighbours import Neighbours
from feedbus.runtime.wall_clock import WallClock
from feedbus.schema import codec
from feedbus.schema.events import FeedStatus, MarketData
from feedbus.testing.fake_transport import FakeConnection, FakeDial
from feedbus.testing.fake_venue import FakeAccount, FakeSession, FakeVenue
from feedbus.transport import DialOptions
from feedbus.venues.binance.options import BinanceOptions
from feedbus.venues.protocol import AccountEffect, Effect, Fatal, Fetch, FetchResponse, Ready, WakeAt
from tests.feed.frames import CONNECTED, DENIED, book, receipt


class ListSink:
    """Keeps what is published."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []

    def send(self, message: bytes) -> None:
        self.messages.append(message)

    def statuses(self) -> list[FeedStatus]:
        """The feed events published since the last call."""
        messages, self.messages = self.messages, []
        groups = [group for message in messages if message.startswith(b"feed.") for group in codec.decode(message)[1]]
        return [event for _, _, events in groups for event in events if isinstance(event, FeedStatus)]


class Stage:
    """A feed of ten symbols over three connections."""

    def __init__(self, dial: FakeDial, login_retry: float = 900.0, **more: Any) -> None:
        self.dial = dial
        self.sink = ListSink()
        config = FeedConfig(
            name="moex",
            venue="moex",
            url="ws://localhost/",
            symbols=tuple(f"TQBR.T{number}" for number in range(10)),
            channels=("orderbooks",),
            sharding=ShardingConfig(3, 4),
            login_retry=login_retry,
            **more,
        )
        publisher = Publisher("moex", self.sink, linger=0)
        self.feed = Feed(config, publisher, dial, DialOptions(), draw=lambda: 0.5, wall_ns=lambda: 42)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.feed.run)
            yield
            nursery.cancel_scope.cancel()

    async def let_in(self, connection: FakeConnection) -> None:
        connection.deliver(CONNECTED, *map(receipt, "1234"))
        await wait_all_tasks_blocked()

    async def all_online(self) -> None:
        await trio.sleep(1)
        await self.let_in(self.dial.connections[0])
        await trio.sleep(1)
        for connection in self.dial.connections[1:]:
            await self.let_in(connection)


@pytest.fixture
def stage() -> Stage:
    return Stage(FakeDial())


async def test_the_symbols_are_spread_over_the_connections_none_twice(stage: Stage, autojump_clock: MockClock) -> None:
    shards = [connector.symbols for connector in stage.feed.connectors]
    assert sorted(map(len, shards)) == [3, 3, 4]
    assert sorted(symbol for shard in shards for symbol in shard) == sorted(f"TQBR.T{n}" for n in range(10))


async def test_no_connection_is_opened_for_no_symbols(autojump_clock: MockClock) -> None:
    config = FeedConfig(
        name="moex", venue="moex", url="ws://localhost/", symbols=("TQBR.SBER",), sharding=ShardingConfig(30, 50)
    )
    feed = Feed(config, Publisher("moex", ListSink()), FakeDial(), DialOptions())
    assert [connector.symbols for connector in feed.connectors] == [("TQBR.SBER",)]


async def test_one_connection_logs_in_before_the_others_try(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.running():
        await trio.sleep(1)
        assert len(stage.dial.attempts) == 1
        await stage.let_in(stage.dial.connections[0])
        await trio.sleep(1)
        assert len(stage.dial.attempts) == 3


async def test_when_the_first_can_not_connect_another_one_tries(autojump_clock: MockClock) -> None:
    stage = Stage(FakeDial(lambda number: ConnectFailed("no route") if number == 0 else None))
    async with stage.running():
        await trio.sleep(0.2)
        assert len(stage.dial.connections) == 1


async def test_a_refused_login_stops_all_and_is_tried_again_by_one(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage(FakeDial())
    async with stage.running():
        await trio.sleep(1)
        stage.dial.connections[0].deliver(DENIED)
        await trio.sleep(1)
        states = {status.symbol: (status.state, status.reason) for status in stage.sink.statuses()}
        assert states == {f"moex/{n}": ("refused", "Access denied") for n in range(3)}
        await trio.sleep(890)
        assert len(stage.dial.attempts) == 1
        await trio.sleep(12)
        assert len(stage.dial.attempts) == 2
        stage.dial.connections[1].deliver(DENIED)
        await trio.sleep(905)
        assert len(stage.dial.attempts) == 3
        await stage.let_in(stage.dial.connections[2])
        await trio.sleep(1)
        assert len(stage.dial.attempts) == 5
    refusals = [record for record in caplog.records if "login refused" in record.getMessage()]
    assert [record.getMessage() for record in refusals] == [
        "login refused: Access denied; the next attempt is in 15 min"
    ] * 2


async def test_nobody_connects_or_asks_over_http_before_the_time_that_the_venue_gave(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "feedbus.moex")
    told_to_wait = "HTTP 429, to be asked again in 60 s"
    stage = Stage(FakeDial(lambda number: RateLimited(told_to_wait, 60.0) if number == 3 else None))
    async with stage.running():
        await stage.all_online()
        stage.sink.statuses()
        for connection in stage.dial.connections:
            connection.fail(ClosedByPeer(1001))
        await trio.sleep(30)
        assert len(stage.dial.attempts) == 4, "the first that tried again was told to wait, and the others with it"
        reasons = {status.symbol: status.reason for status in stage.sink.statuses()}
        assert sum("the venue asked for a pause" in reason for reason in reasons.values()) == 2
        assert [connector.failures["rate_limited"] for connector in stage.feed.connectors].count(1) == 1
        with trio.move_on_after(20):
            await stage.feed.hold.wait()
            raise AssertionError("over HTTP nothing may be asked, either")
        told = stage.dial.attempts[3]
        await trio.sleep(13)
        assert [at for at in stage.dial.attempts if told < at < told + 60] == []
        assert len(stage.dial.attempts) == 7
    assert [text for text in caplog.messages if "the venue asked for" in text] == [
        f"the venue asked for a pause: {told_to_wait}; nobody of this feed asks it anything for 60.5 s",
        "the pause that the venue asked for is over",
    ]


async def test_all_attempts_to_connect_the_first_ones_too_keep_to_the_budget(autojump_clock: MockClock) -> None:
    def refuse(_: int) -> VenueError:
        return ClosedByPeer(1008, "too many")

    stage = Stage(FakeDial(refuse), budgets=BudgetsConfig(BudgetConfig(6, 60.0)), backoff=BackoffConfig(0.1, 1.0))
    async with stage.running():
        await trio.sleep(595)
        assert 31 <= len(stage.dial.attempts) <= 33, "three at once, and one in 20 s"
        assert all(
            later - earlier > 60 - 1e-6
            for earlier, later in zip(stage.dial.attempts, stage.dial.attempts[6:], strict=False)
        )
        assert {connector.state for connector in stage.feed.connectors} == {"waiting"}
        reasons = [connector.reason for connector in stage.feed.connectors]
        assert any("the connect budget (6 in 60 s) allows no more at once" in reason for reason in reasons)
        assert stage.feed.connects.taken == len(stage.dial.attempts)


async def test_a_wait_for_the_budget_that_outlives_the_login_does_not_try_refused_credentials(
    autojump_clock: MockClock,
) -> None:
    stage = Stage(FakeDial(), budgets=BudgetsConfig(BudgetConfig(2, 60.0)))
    async with stage.running():
        await trio.sleep(1)
        await stage.let_in(stage.dial.connections[0])
        await trio.sleep(1)
        assert len(stage.dial.attempts) == 1, "the others wait for their turns"
        stage.feed.login_refused("Access denied")
        await trio.sleep(890)
        assert len(stage.dial.attempts) == 1


async def test_when_one_connection_is_back_the_others_are_soon(autojump_clock: MockClock) -> None:
    away = True
    stage = Stage(FakeDial(lambda _: ConnectFailed("no route") if away else None), backoff=BackoffConfig(0.5, 600.0))
    async with stage.running():
        await trio.sleep(600)
        away = False
        before = len(stage.dial.attempts)
        stage.dial.opened = trio.Event()
        await stage.dial.opened.wait()
        await stage.let_in(stage.dial.connections[0])
        back = trio.current_time()
        await trio.sleep(5)
        assert len(stage.dial.attempts) == before + 3
        assert max(stage.dial.attempts) - back <= 2.1


async def test_credentials_refused_later_leave_live_connections_alone(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.running():
        await stage.all_online()
        stage.dial.connections[1].fail(ClosedByPeer(1001))
        await trio.sleep(1)
        stage.dial.connections[3].deliver(DENIED)
        await trio.sleep(6)
        last = {status.symbol: status.state for status in stage.sink.statuses()}
        assert sorted(last.values()) == ["online", "online", "refused"]
        assert not stage.dial.connections[0].closed


async def test_every_change_is_said_at_once_and_everything_every_5_s(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.running():
        await stage.all_online()
        changes = stage.sink.statuses()
        assert [status.connections_up for status in changes if status.state == "online"] == [1, 2, 3]
        await trio.sleep(5.5)
        assert sorted(status.symbol for status in stage.sink.statuses()) == ["moex/0", "moex/1", "moex/2"]
        stage.dial.connections[0].fail(ClosedByPeer(1001, "bye"))
        await wait_all_tasks_blocked()
        (lost,) = stage.sink.statuses()
        assert (lost.symbol, lost.state, lost.connections_up, lost.connections_wanted) == ("moex/0", "waiting", 2, 3)
        assert lost.reason == "closed_by_peer: closed by the venue: 1001 bye"
        assert lost.generation == 1


async def test_the_statuses_of_many_connections_are_linear_and_let_others_go_on_between_them(
    autojump_clock: MockClock,
) -> None:
    class Untouched(list[Connector]):
        """Nobody has to look at all connections for the status of one."""

        def __iter__(self) -> Iterator[Connector]:
            raise AssertionError("all connections are looked at")

    symbols = tuple(f"TQBR.T{number}" for number in range(300))
    config = FeedConfig(name="m", venue="moex", url="ws://v/", symbols=symbols, sharding=ShardingConfig(300, 1))
    feed = Feed(config, Publisher("m", ListSink(), linger=0), FakeDial(), DialOptions())
    published: list[Sequence[MarketData]] = []
    feed.publish = published.append
    for connector in feed.connectors[:7]:
        connector.set_state("online", "")
    first = feed.connectors[0]
    feed.connectors = Untouched(feed.connectors)
    assert (feed.status(first).connections_up, feed.connections_up()) == (7, 7)
    first.set_state("waiting", "cut")
    assert feed.connections_up() == 6
    published.clear()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed._report)
        await trio.sleep(STATUS_EVERY + 1)
        nursery.cancel_scope.cancel()
    assert [len(batch) for batch in published] == [STATUSES_AT_ONCE] * 12


async def test_instruments_rate_and_delay_are_told(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.running():
        await stage.all_online()
        await trio.sleep(5)
        stage.sink.statuses()
        stage.dial.connections[0].deliver(*[book("1")] * 20, ts_recv=3_000_000_000)
        await trio.sleep(5)
        status = next(status for status in stage.sink.statuses() if status.symbol == "moex/0")
        assert (status.state, status.delay_s) == ("online", 2.0)
        assert status.updates_per_s == pytest.approx(4.0)
        assert status.instruments == {"live": 1, "confirmed": 3}
        assert (status.venue, status.ts_recv) == ("moex", 42)


async def test_a_feed_that_lags_by_more_than_a_minute_is_delayed_and_still_up(
    stage: Stage, autojump_clock: MockClock
) -> None:
    async with stage.running():
        await stage.all_online()
        stage.dial.connections[0].deliver(book("1"), ts_recv=901 * 1_000_000_000)
        await trio.sleep(5)
        status = next(status for status in stage.sink.statuses() if status.state == "delayed")
        assert (status.symbol, status.delay_s, status.connections_up) == ("moex/0", 900.0, 3)
        stage.dial.connections[0].deliver(book("1"), ts_recv=2_000_000_000)
        await trio.sleep(5)
        assert {status.state for status in stage.sink.statuses()} == {"online"}


async def test_a_picture_of_hours_ago_is_no_delay(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.running():
        await stage.all_online()
        stage.dial.connections[0].deliver(book("1"), ts_recv=8 * 3600 * 1_000_000_000)
        await trio.sleep(5)
        assert {(status.state, status.delay_s) for status in stage.sink.statuses()[-3:]} == {("online", None)}


async def test_a_feed_that_falls_behind_after_being_on_time_becomes_delayed(
    stage: Stage, autojump_clock: MockClock
) -> None:
    async with stage.running():
        await stage.all_online()
        stage.dial.connections[0].deliver(book("1"), ts_recv=2_000_000_000)
        await trio.sleep(5)
        stage.dial.connections[0].deliver(book("1"), ts_recv=300 * 1_000_000_000)
        await trio.sleep(5)
        status = [status for status in stage.sink.statuses() if status.symbol == "moex/0"][-1]
        assert (status.state, status.delay_s) == ("delayed", 299.0)


class ClockedStage(Stage):
    """A stage on a machine whose clock can be set: it is `ahead` of a right one by so many seconds."""

    def __init__(self, late: float) -> None:
        super().__init__(FakeDial())
        self.late = late
        self.ahead = 0.0
        clock = WallClock(self.wall_ns, lambda: round(trio.current_time() * 1e9))
        config, publisher = self.feed._config, Publisher("moex", self.sink, linger=0)
        self.feed = Feed(
            config,
            publisher,
            self.dial,
            DialOptions(),
            neighbours=Neighbours(clock),
            draw=lambda: 0.5,
            wall_ns=lambda: 42,
        )

    def wall_ns(self) -> int:
        return 1_700_000_000_000_000_000 + round((trio.current_time() + self.ahead) * 1e9)

    async def flow(self, seconds: int) -> None:
        """A book of each symbol comes, every second."""
        for _ in range(seconds):
            made = self.wall_ns() - round((self.ahead + self.late) * 1e9)
            for connector, connection in zip(self.feed.connectors, self.dial.connections, strict=True):
                books = [book(str(number + 1), timestamp=made // 10**6) for number in range(len(connector.symbols))]
                connection.deliver(*books, ts_recv=self.wall_ns())
            await trio.sleep(1)

    def said(self) -> list[tuple[str, str]]:
        """The states of connections and of instruments, and the books, in the order in which they were published."""
        messages, self.sink.messages = self.sink.messages, []
        groups = [group for message in messages if message[:1] in b"fsb" for group in codec.decode(message)[1]]
        return [(symbol, getattr(event, "state", "book")) for symbol, _, events in groups for event in events]


@pytest.mark.parametrize("step", [0.3, 90, -90, 900, -900, 86_400])
@pytest.mark.parametrize(("late", "connection", "instrument"), [(0.02, "online", "live"), (900, "delayed", "delayed")])
async def test_setting_the_clock_makes_nothing_late_and_hides_no_delay_on_the_bus(
    autojump_clock: MockClock, step: float, late: float, connection: str, instrument: str
) -> None:
    stage = ClockedStage(late)
    async with stage.running():
        await stage.all_online()
        await stage.flow(12)
        stage.said()
        for ahead in (step, 0.0):
            await trio.sleep(0.4)  # somewhere between two looks at the clock
            stage.ahead = ahead
            await stage.flow(130)
            said = stage.said()
            assert {state for symbol, state in said if symbol.startswith("moex/")} == {connection}
            assert {state for symbol, state in said if symbol.startswith("TQBR")} == {"book", instrument}


async def test_late_data_is_said_to_be_late_before_it_comes(autojump_clock: MockClock) -> None:
    stage = ClockedStage(900)
    async with stage.running():
        await stage.all_online()
        stage.said()
        await stage.flow(1)
        said = stage.said()
        for connector in stage.feed.connectors:
            books = [said.index((symbol, "book")) for symbol in connector.symbols]
            assert said.index((connector.name, "delayed")) < min(books)
        for symbol in (f"TQBR.T{number}" for number in range(10)):
            assert "live" not in [state for of, state in said if of == symbol], "not for a moment"


async def test_what_a_session_says_of_the_lateness_of_its_data_counts(autojump_clock: MockClock) -> None:
    stage = ClockedStage(0.02)
    async with stage.running():
        await stage.all_online()
        session = stage.feed.connectors[0].session
        assert session is not None
        session.lateness = lambda: 900 * 10**9  # type: ignore[method-assign]
        await stage.flow(12)
        last = dict(each for each in stage.said() if each[1] != "book")
        late = {symbol for symbol, state in last.items() if state == "delayed"}
        assert late == {"moex/0", *stage.feed.connectors[0].symbols}


async def test_data_that_becomes_late_and_is_on_time_again_is_said_to_be_so(autojump_clock: MockClock) -> None:
    stage = ClockedStage(0.02)
    async with stage.running():
        await stage.all_online()
        for late, state in [(0.02, "live"), (300, "delayed"), (0.02, "live")]:
            stage.late = late
            await stage.flow(12)
            last = dict(each for each in stage.said() if each[1] != "book")
            assert [last[f"TQBR.T{number}"] for number in range(10)] == [state] * 10


async def test_who_waits_for_the_first_login_says_so(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.running():
        await trio.sleep(1)
        reasons = {status.symbol: (status.state, status.reason) for status in stage.sink.statuses()}
        assert reasons["moex/1"] == reasons["moex/2"] == ("waiting", "another connection tries first")


async def test_the_reason_stays_while_a_lost_connection_is_tried_again(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.running():
        await stage.all_online()
        stage.dial.connections[0].fail(ClosedByPeer(1001, "bye"))
        await trio.sleep(1)
        last = [status for status in stage.sink.statuses() if status.symbol == "moex/0"][-1]
        assert (last.state, last.reason) == ("connecting", "closed_by_peer: closed by the venue: 1001 bye")
        await stage.let_in(stage.dial.connections[-1])
        last = [status for status in stage.sink.statuses() if status.symbol == "moex/0"][-1]
        assert (last.state, last.reason) == ("online", "")


async def test_a_stream_that_the_catalogue_lacks_is_reported_once(
    stage: Stage, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage.running():
        await trio.sleep(1)
        stage.dial.connections[0].deliver(b'CONNECTED\n\n{"structure":{}}\0')
        await trio.sleep(1)
        for connection in stage.dial.connections[1:]:
            connection.deliver(b'CONNECTED\n\n{"structure":{}}\0')
        await trio.sleep(1)
    text = "CONNECTED does not name the stream MXSE.orderbooks; trying it all the same"
    assert [record.getMessage() for record in caplog.records].count(text) == 1
    assert all(b"SUBSCRIBE" in b"".join(map(bytes, c.sent[1:])) for c in stage.dial.connections)  # type: ignore[arg-type]


async def test_when_it_is_stopped_every_connection_says_so(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.running():
        await stage.all_online()
        stage.sink.statuses()
    assert sorted((status.symbol, status.state) for status in stage.sink.statuses()) == [
        (f"moex/{n}", "stopped") for n in range(3)
    ]
    assert all(connection.closed for connection in stage.dial.connections)


async def test_connections_are_made_to_the_url_that_the_account_makes_of_the_configured_one(
    autojump_clock: MockClock,
) -> None:
    dial = FakeDial()
    options = BinanceOptions(time_unit="us")
    config = FeedConfig(name="b", venue="binance", url="ws://v/stream?key=x", symbols=("BTCUSDT",), options=options)
    feed = Feed(config, Publisher("b", ListSink(), linger=0), dial, DialOptions(), draw=lambda: 0.5)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.run)
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert [connection.url for connection in dial.connections] == ["ws://v/stream?key=x&timeUnit=MICROSECOND"]
    assert config.url == "ws://v/stream?key=x"


# An account that has to be prepared

REFRESH = Fetch("/refresh", "auth", "POST", b"secret")


class TokenAccount(FakeAccount):
    """Needs an answer of 200; asks again 3 s after another one, and 1000 s after a good one."""

    def start(self, now: float) -> Iterable[AccountEffect]:
        return [REFRESH]

    def tick(self, now: float) -> Iterable[AccountEffect]:
        return [REFRESH]

    def fetched(  # type: ignore[override]
        self, fetch: Fetch, answer: FetchResponse | VenueError, now: float
    ) -> list[AccountEffect]:
        if isinstance(answer, VenueError) or answer.status >= 500:
            return [WakeAt(now + 3)]
        return [Ready(), WakeAt(now + 1000)] if answer.status == 200 else [Fatal("the token is refused")]


class TokenStage:
    """A feed of two connections of an account that needs a token; the test answers for the token service."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("feedbus.feed.feed.account_class", lambda _: TokenAccount)
        self.venue = FakeVenue()
        self.asked: list[Answered] = []
        config = FeedConfig(
            name="tok",
            venue="fake",
            url="ws://localhost/",
            symbols=("A", "B"),
            sharding=ShardingConfig(2, 1),
            login_retry=900.0,
        )
        self.feed = Feed(config, Publisher("tok", ListSink(), linger=0), self.venue, DialOptions(), draw=lambda: 0.5)
        self.feed.fetch = lambda fetch, answered, is_wanted=None: self.asked.append(answered)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.feed.run)
            await trio.sleep(1)
            yield
            nursery.cancel_scope.cancel()

    def states(self) -> set[tuple[str, str]]:
        return {(connector.state, connector.reason) for connector in self.feed.connectors}

    async def answer(self, answer: FetchResponse | VenueError) -> None:
        self.asked[-1](answer)
        await trio.sleep(1)


async def test_no_connection_is_made_before_the_account_is_ready(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    stage = TokenStage(monkeypatch)
    async with stage.running():
        assert not stage.feed.first_attempt.is_set()
        assert ("waiting", "the account is being prepared") in stage.states()
        await stage.answer(ConnectFailed("no route"))
        assert stage.feed.first_attempt.is_set()
        assert ("waiting", "connect_failed: no route") in stage.states()
        await trio.sleep(3)
        assert len(stage.asked) == 2
        await stage.answer(FetchResponse(503, b"", 1))
        assert ("waiting", "an answer that can't be used (HTTP 503)") in stage.states()
        assert stage.venue.dial.attempts == []
        await trio.sleep(3)
        await stage.answer(FetchResponse(200, b"", 1))
        await trio.sleep(1)
        assert stage.states() == {("online", "")}


async def test_a_refused_account_is_one_request_in_login_retry_and_no_connection(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    stage = TokenStage(monkeypatch)
    async with stage.running():
        await stage.answer(FetchResponse(403, b"", 1))
        assert stage.states() == {("refused", "the token is refused")}
        await trio.sleep(890)
        assert (len(stage.asked), stage.venue.dial.attempts) == (1, [])
        await trio.sleep(20)
        assert len(stage.asked) == 2
        await stage.answer(FetchResponse(200, b"", 1))
        await trio.sleep(2)
        assert stage.states() == {("online", "")}


async def test_a_new_token_wakes_the_sessions_and_a_refused_renewal_leaves_them_alone(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    ticks: list[float] = []

    def tick(_: FakeSession, now: float) -> Iterable[Effect]:
        ticks.append(now)
        return ()

    monkeypatch.setattr(FakeSession, "tick", tick)
    stage = TokenStage(monkeypatch)
    async with stage.running():
        await stage.answer(FetchResponse(200, b"", 1))
        await trio.sleep(1005)
        assert len(stage.asked) == 2
        ticks.clear()
        await stage.answer(FetchResponse(200, b"", 1))
        assert len(ticks) == 2  # one of each connection
        await trio.sleep(1005)
        await stage.answer(FetchResponse(403, b"", 1))
        assert stage.states() == {("online", "")}


async def test_without_a_budget_of_its_own_a_feed_has_its_venues(autojump_clock: MockClock) -> None:
    config = FeedConfig(name="b", venue="binance", url="ws://localhost/", symbols=("BTCUSDT",))
    feed = Feed(config, Publisher("b", ListSink()), FakeDial(), DialOptions())
    for _ in range(180):
        await feed.connects.take()
    assert 57 <= trio.current_time() <= 61, "150 at once, and one in two seconds"


async def test_a_venue_that_is_away_costs_a_few_lines_a_minute(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "feedbus.moex")
    stage = Stage(FakeDial(lambda _: ConnectFailed("no route")), backoff=BackoffConfig(0.1, 1, 60))
    async with stage.running():
        await trio.sleep(300)
    lines = [record for record in caplog.records if record.name.startswith("feedbus.moex")]
    assert sum(connector.failures.total() for connector in stage.feed.connectors) > 500
    assert 5 <= sum("0 of 3 connections are up" in record.getMessage() for record in lines) <= 6
    assert len(lines) <= 6 * (LINES + 1)
