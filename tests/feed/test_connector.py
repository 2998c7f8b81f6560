"""The connector, with a real MOEX Session on a fake transport and a virtual clock."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from feedbus.errors import BadData, ClosedByPeer, ConnectFailed, RateLimited, TimedOut, VenueError
from feedbus.feed.connector import LOG_SKIPPED_EVERY, SKIPPED_PLACES, Connector
from feedbus.feed.delays import Delays
from feedbus.feed.feed_logs import FeedLogs
from feedbus.feed.trust_shell import TrustShell
from feedbus.runtime.backoff import Backoff
from feedbus.runtime.wall_clock import WallClock
from feedbus.schema.events import BookSnapshot, MarketData, Status
from feedbus.testing.fake_transport import FakeConnection, FakeDial
from feedbus.testing.fake_venue import FakeAccount, FakeSession
from feedbus.transport import DialOptions
from feedbus.trust.judge import Facts, Judge
from feedbus.venues.moex.account import Account
from feedbus.venues.protocol import Account as AnyAccount
from feedbus.venues.protocol import (
    AccountDue,
    Effect,
    Fetch,
    FetchResponse,
    Ready,
    Resync,
    Send,
    Subscription,
    WakeAt,
)
from feedbus.venues.turns import RateBucket, TurnLine, Turns
from tests.feed.frames import CONNECTED, book, receipt


class FakeOwner:
    """Plays the feed: notes what the connector tells, lets everybody log in."""

    def __init__(self) -> None:
        self.published: list[list[MarketData]] = []
        self.states: list[tuple[str, str]] = []
        self.notices: list[str] = []
        self.logins: list[str] = []
        self.fetches: list[tuple[Fetch, Callable[[FetchResponse | VenueError], None]]] = []
        self.dues = 0
        self.judge = Judge(Facts("moex", {"orderbooks": ["book"]}))
        self.trust = TrustShell(self.judge, self.publish, lambda: 5, logging.getLogger("feedbus.feed"))
        self.turned: list[tuple[str, int]] = []  # the connection, and how much was published before it
        self.delays = Delays(
            logging.getLogger("feedbus.feed"),
            {},
            WallClock(lambda: 0, lambda: 0),
            lambda name: self.turned.append((name, len(self.published))),
        )
        self.messages: RateBucket | None = None
        self.line: TurnLine | None = None
        self.logs = FeedLogs(logging.getLogger("feedbus.feed"), lambda: "1 of 1 connections are up", self.clean)

    def fetch(
        self, fetch: Fetch, answered: Callable[[FetchResponse | VenueError], None], is_wanted: Callable[[], bool]
    ) -> None:
        self.fetches.append((fetch, answered))
        self.is_wanted = is_wanted

    def account_due(self) -> None:
        self.dues += 1

    def publish(self, events: Sequence[MarketData]) -> None:
        if events:
            self.published.append(list(events))

    def changed(self, connector: Connector) -> None:
        self.states.append((connector.state, connector.reason))

    def clean(self, text: str) -> str:
        return text.replace("s3cret", "***")

    def notice(self, text: str) -> None:
        self.notices.append(text)

    async def connect_turn(self, connector: Connector) -> None:
        await trio.lowlevel.checkpoint()

    async def pause(self, connector: Connector, seconds: float) -> None:
        await trio.sleep(seconds)

    def rate_limited(self, error: RateLimited) -> float:
        return error.retry_after or 0.0

    def login_accepted(self) -> None:
        self.logins.append("accepted")

    def login_refused(self, reason: str) -> None:
        self.logins.append(f"refused: {reason}")

    def login_unknown(self, connector: Connector) -> None:
        self.logins.append("unknown")

    def draw(self) -> float:
        return 0.5

    def turns(self, wake: Callable[[], object]) -> Turns:
        return Turns(messages=self.messages, line=self.line, wake=wake)


class Stage:
    """One connector, its fake owner and its fake transport."""

    def __init__(self, dial: FakeDial, account: AnyAccount | None = None) -> None:
        self.owner = FakeOwner()
        self.dial = dial
        self.connector = Connector(
            "moex/0",
            self.owner,
            account=account or Account({}, ["orderbooks"]),
            symbols=["TQBR.SBER", "TQBR.GAZP"],
            dial=dial,
            url="ws://venue/",
            options=DialOptions(),
            backoff=Backoff(first=2.0, cap=60.0, reset_after=30.0),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.connector.run)
            await wait_all_tasks_blocked()
            yield
            nursery.cancel_scope.cancel()

    async def connection(self, *messages: bytes) -> FakeConnection:
        """The newest connection, once it was brought to where these messages bring it."""
        await wait_all_tasks_blocked()
        connection = self.dial.connections[-1]
        for message in messages:
            connection.deliver(message)
            await wait_all_tasks_blocked()
        return connection


@pytest.fixture
def stage() -> Stage:
    return Stage(FakeDial())


async def test_it_logs_in_and_subscribes_in_one_write_each(stage: Stage, mock_clock: MockClock) -> None:
    async with stage.running():
        connection = await stage.connection(CONNECTED)
        assert [str(message, "ascii").split("\n")[0] for message in connection.sent if isinstance(message, bytes)] == [
            "CONNECT",
            "SUBSCRIBE",
            "SUBSCRIBE",
        ]
        assert stage.owner.states == [("online", "")]
        assert stage.owner.logins == ["accepted"]


def commands(connection: FakeConnection) -> list[str]:
    return [str(message, "ascii").split("\n")[0] for message in connection.sent if isinstance(message, bytes)]


async def test_data_is_read_while_the_next_request_waits_for_its_turn(stage: Stage, autojump_clock: MockClock) -> None:
    stage.owner.line = TurnLine(RateBucket(1, 8.0))
    async with stage.running():
        connection = await stage.connection(CONNECTED, receipt("1"), book("1"))
        stage.owner.published.clear()
        for bid in (2.5, 3.5):
            await trio.sleep(2.0)
            connection.deliver(book("1", bid))
        await trio.sleep(2.0)
        assert len(stage.owner.published) == 2
        assert commands(connection) == ["CONNECT", "SUBSCRIBE"]
        await trio.sleep(2.1)
        assert commands(connection) == ["CONNECT", "SUBSCRIBE", "SUBSCRIBE"]


async def test_pings_and_the_login_count_and_never_wait(stage: Stage, autojump_clock: MockClock) -> None:
    stage.owner.messages = RateBucket(3, 6.0)
    async with stage.running():
        connection = await stage.connection(CONNECTED)
        assert commands(connection) == ["CONNECT"]
        await trio.sleep(2.9)
        for _ in range(2):
            connection.options.control_sent()
        await trio.sleep(5.9)
        assert commands(connection) == ["CONNECT"], "each takes a turn, of which there is one in 3 s"
        await trio.sleep(0.3)
        assert commands(connection) == ["CONNECT", "SUBSCRIBE"]


@pytest.mark.parametrize("how", ["cut", "stopped"])
async def test_who_dies_in_the_line_gives_its_place_back_and_a_logout_waits_for_nobody(
    how: str, stage: Stage, autojump_clock: MockClock
) -> None:
    line = stage.owner.line = TurnLine(RateBucket(1, 8.0))
    with trio.CancelScope() as scope:
        async with stage.running():
            connection = await stage.connection(CONNECTED)
            assert (commands(connection), len(line)) == (["CONNECT", "SUBSCRIBE"], 1)
            called: list[float] = []
            other = Turns(line=line, wake=lambda: called.append(trio.current_time()))
            assert not other.take(trio.current_time())
            if how == "cut":
                connection.fail(ClosedByPeer(1006))
                await wait_all_tasks_blocked()
                assert (called, len(line)) == ([0.0], 1)
                other.leave(0.0)
                await trio.sleep(20)
                second = await stage.connection(CONNECTED)
                assert second is not connection
                await trio.sleep(20)
                assert commands(second) == ["CONNECT", "SUBSCRIBE", "SUBSCRIBE"], "it has a second life"
            scope.cancel()
    if how == "stopped":
        assert commands(connection) == ["CONNECT", "SUBSCRIBE", "DISCONNECT"]
        assert (called, len(line)) == ([0.0], 1)


async def test_the_events_of_one_read_are_published_together(stage: Stage, mock_clock: MockClock) -> None:
    async with stage.running():
        connection = await stage.connection(CONNECTED, receipt("1"), receipt("2"), book("1"), book("2"))
        stage.owner.published.clear()
        connection.deliver(book("1", 7.25), book("2", 8.5), ts_recv=77)
        await wait_all_tasks_blocked()
        (events,) = stage.owner.published
        assert [(event.symbol, event.ts_recv) for event in events] == [("TQBR.SBER", 77), ("TQBR.GAZP", 77)]
        assert isinstance(events[0], BookSnapshot)
        assert events[0].bids == [(7.25, 10.0)]
        assert stage.connector.unpriced == set()
        assert (stage.connector.frames, stage.connector.events) == (7, 4)


async def test_a_frame_of_garbage_costs_that_frame_alone(
    stage: Stage, mock_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage.running():
        connection = await stage.connection(CONNECTED, receipt("1"), book("1"))
        stage.owner.published.clear()
        connection.deliver(b"\xff\xfe garbage", book("1", 3.5), b"MESSAGE\nsubscription:1\n\n{]\0")
        await wait_all_tasks_blocked()
        assert stage.connector.skipped == 2
        assert len(stage.owner.published) == 1
        assert stage.connector.state == "online"
        assert len(stage.dial.attempts) == 1
        assert "skipped bad data" in caplog.text


async def test_what_is_skipped_is_logged_once_a_minute_at_each_of_some_places(
    fetching: Stage, mock_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    def note(*places: int) -> list[str]:
        caplog.clear()
        for place in places:
            fetching.connector._note_skipped(BadData(f"depth S{place}", "no number"))
        return [text.split()[4] for text in caplog.messages]

    async with fetching.running():
        assert note(0, 0, 1, 0, 1, *range(2, 100)) == [f"S{place}:" for place in range(SKIPPED_PLACES)]
        mock_clock.jump(LOG_SKIPPED_EVERY - 1)
        assert note(0, 50) == []
        mock_clock.jump(1)
        assert note(50, 50, 0) == ["S50:", "S0:"]
        assert fetching.connector.skipped == 108


async def test_data_out_of_step_is_got_again_without_a_refusal_or_a_new_connection(
    stage: Stage, mock_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage.running():
        connection = await stage.connection(CONNECTED, receipt("1"), book("1"))
        connection.deliver(book("1", 2.5).replace(b"snapshot", b"updates!"))
        mock_clock.jump(0.2)
        await wait_all_tasks_blocked()
        assert b"UNSUBSCRIBE\nid:1\n" in b"".join(each for each in connection.sent if isinstance(each, bytes))
        assert (stage.connector.resyncs, stage.connector.refusals) == (1, 0)
        assert sum("isn't right and is got anew" in text for text in caplog.messages) == 1
        assert (stage.connector.state, len(stage.dial.attempts)) == ("online", 1)


async def test_the_back_off_grows_over_failed_attempts_and_is_capped(autojump_clock: MockClock) -> None:
    stage = Stage(FakeDial(lambda _: ConnectFailed("no route")))
    async with stage.running():
        await trio.sleep(200)
    gaps = [later - earlier for earlier, later in zip(stage.dial.attempts, stage.dial.attempts[1:], strict=False)]
    assert gaps == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0, 30.0]
    assert stage.connector.failures["connect_failed"] == len(stage.dial.attempts)
    assert ("waiting", "connect_failed: no route") in stage.owner.states


async def test_the_back_off_starts_anew_only_after_data_has_flowed(autojump_clock: MockClock) -> None:
    stage = Stage(FakeDial())

    async def drop_after(data_for: float) -> float:
        """Log in, get data for so many seconds, lose the connection; returns the pause before the next attempt."""
        connection = await stage.connection(CONNECTED, receipt("1"), receipt("2"), book("1"))
        await trio.sleep(data_for)
        connection.deliver(book("1"))
        await wait_all_tasks_blocked()
        connection.fail(ClosedByPeer(1006))
        lost_at, attempts = trio.current_time(), len(stage.dial.attempts)
        await trio.sleep(9)  # longer than any pause here
        return stage.dial.attempts[attempts] - lost_at

    async with stage.running():
        assert [await drop_after(5) for _ in range(3)] == [1.0, 2.0, 4.0]
        assert await drop_after(31) == 1.0


async def test_no_connected_before_the_deadline_is_a_failure(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.running():
        await trio.sleep(10.5)
        assert stage.connector.failures == {"timed_out": 1}
        assert stage.owner.states[0] == ("waiting", "timed_out: no CONNECTED within 10 s")


async def test_no_receipt_before_the_deadline_is_a_failure(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.running():
        await stage.connection(CONNECTED)
        await trio.sleep(10.5)
        assert stage.owner.states[1] == ("waiting", "timed_out: no answer to orderbooks TQBR.SBER within 10 s")


async def test_a_quiet_market_is_no_reason_to_reconnect(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.running():
        await stage.connection(CONNECTED, receipt("1"), receipt("2"))
        await trio.sleep(24 * 3600)
        assert len(stage.dial.attempts) == 1
        assert stage.connector.state == "online"


async def test_a_refused_subscription_leaves_the_others_alone(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.running():
        await stage.connection(CONNECTED, receipt("1"), b"ERROR\nreceipt-id:2\nmessage:no such ticker\n\n\0", book("1"))
        assert {subscription.symbol for subscription in stage.connector.refused} == {"TQBR.GAZP"}
        assert stage.connector.session is not None
        assert stage.connector.session.instruments() == {"live": 1, "refused": 1}
        await trio.sleep(6)  # it is asked for again by and by, and may be taken then
        await stage.connection(receipt("3"))
        assert stage.connector.refused == set()
        assert len(stage.dial.attempts) == 1


async def test_a_refused_login_is_the_feeds_business(stage: Stage, mock_clock: MockClock) -> None:
    async with stage.running():
        await stage.connection()
        stage.owner.logins.clear()
        stage.dial.refuse = lambda _: TimedOut("enough for this test")
        await stage.connection(b"ERROR\nmessage:Access denied\n\n\0")
        assert stage.owner.logins[0] == "refused: Access denied"
        assert stage.connector.failures["login_refused"] == 1


async def test_when_cancelled_it_says_goodbye_and_is_stopped(stage: Stage, mock_clock: MockClock) -> None:
    async with stage.running():
        connection = await stage.connection(CONNECTED)
    assert connection.sent[-1] == b"DISCONNECT\n\n\0"
    assert connection.closed
    assert stage.owner.states[-1] == ("stopped", "")


async def test_a_bug_leaves_run(stage: Stage, mock_clock: MockClock) -> None:
    def broken(events: Sequence[MarketData]) -> None:
        raise ZeroDivisionError

    stage.owner.publish = broken  # type: ignore[method-assign]
    with pytest.RaisesGroup(ZeroDivisionError):
        async with stage.running():
            await stage.connection(CONNECTED, receipt("1"), book("1"))


async def test_the_least_delay_of_a_batch_is_kept(stage: Stage, mock_clock: MockClock) -> None:
    async with stage.running():
        connection = await stage.connection(CONNECTED, receipt("1"))
        for ts_recv in (5_000_000_000, 2_000_000_000, 9_000_000_000):
            connection.deliver(book("1", timestamp=1_000), ts_recv=ts_recv)
        await wait_all_tasks_blocked()
        assert stage.owner.delays.take(stage.connector.delay) == 1.0


async def test_that_data_is_late_is_known_before_it_is_published(stage: Stage, mock_clock: MockClock) -> None:
    async with stage.running():
        connection = await stage.connection(CONNECTED, receipt("1"))
        before = len(stage.owner.published)
        connection.deliver(book("1", timestamp=1_000), ts_recv=62_100_000_000)
        await wait_all_tasks_blocked()
        assert stage.owner.turned == [("moex/0", before)]
        assert len(stage.owner.published) == before + 1


async def test_a_lost_connection_is_one_line_with_cause_and_pause(
    stage: Stage, mock_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with stage.running():
        connection = await stage.connection(CONNECTED)
        failure: VenueError = ClosedByPeer(1001, "going away")
        connection.fail(failure)
        await wait_all_tasks_blocked()
    lines = [record.getMessage() for record in caplog.records]
    assert lines == ["closed_by_peer: closed by the venue: 1001 going away; next attempt in 1.0 s"]


class Bug(Exception):
    """Not the venue's fault."""


async def test_a_crash_leaves_run_and_the_next_run_waits_out_a_back_off(mock_clock: MockClock) -> None:
    def buggy(number: int) -> VenueError | None:
        if number == 0:
            raise Bug("oh")
        return None

    stage = Stage(FakeDial(buggy))
    with pytest.raises(Bug):
        await stage.connector.run()
    assert stage.owner.states == [("waiting", "crashed: Bug")]
    assert stage.owner.logins == ["unknown"]
    async with stage.running():
        assert len(stage.dial.attempts) == 1
        mock_clock.jump(1.0)  # half of the first pause, which is drawn in the middle
        await stage.connection(CONNECTED)
        assert stage.connector.state == "online"
        assert stage.connector.generation == 2


async def test_who_waits_for_the_venue_or_between_attempts_is_not_overdue(mock_clock: MockClock) -> None:
    stage = Stage(FakeDial(lambda number: ConnectFailed("no route") if number == 0 else None))
    async with stage.running():
        assert stage.connector.overdue(trio.current_time()) is None
        mock_clock.jump(1.0)
        connection = await stage.connection(CONNECTED, receipt("1"), receipt("2"))
        mock_clock.jump(3600)
        await wait_all_tasks_blocked()
        assert stage.connector.overdue(trio.current_time()) is None
        connection.deliver(book("1"))
        await wait_all_tasks_blocked()
        assert stage.connector.overdue(trio.current_time()) is None


async def test_a_deadline_of_the_session_that_is_long_past_makes_it_overdue(mock_clock: MockClock) -> None:
    stage = Stage(FakeDial())
    async with stage.running():
        await stage.connection(CONNECTED)  # the receipts are due in 10 s
        patience = 10 + DialOptions().connect_timeout + DialOptions().ping_interval + DialOptions().ping_timeout
        assert stage.connector.overdue(patience - 1) is None
        assert stage.connector.overdue(patience + 1) == "moex/0 makes no progress"
    assert stage.connector.overdue(patience + 1) is None


async def test_a_wake_up_between_two_reads_loses_neither(stage: Stage, mock_clock: MockClock) -> None:
    async with stage.running():
        connection = await stage.connection(CONNECTED, receipt("1"), book("1", 1.0))
        mock_clock.jump(0.2)  # the next batch of subscriptions was due, and the second receipt is not
        await wait_all_tasks_blocked()
        connection.deliver(receipt("2"), book("2", 2.0))
        await wait_all_tasks_blocked()
        published = [event for events in stage.owner.published for event in events]
        assert [each.symbol for each in published if isinstance(each, BookSnapshot)] == ["TQBR.SBER", "TQBR.GAZP"]


# Fetches, and the Account

SNAPSHOT = Fetch("/depth?symbol=A")
ANSWER = FetchResponse(200, b"book", 7)


class FetchingSession(FakeSession):
    """Asks for a snapshot when it is opened; says what it is called with, and wants a tick 100 s after each."""

    def opened(self, now: float) -> Iterator[Effect]:
        yield Ready()
        yield SNAPSHOT
        yield WakeAt(now + 100)

    def fetched(self, fetch: Fetch, answer: FetchResponse | VenueError, now: float) -> Sequence[Effect]:
        return [Send(f"{fetch!r} {answer!r}"), AccountDue()]

    def tick(self, now: float) -> Iterator[Effect]:
        yield Send(f"tick {now:g}")


class FetchingAccount(FakeAccount):
    def session(self, symbols: Sequence[str]) -> FetchingSession:
        return FetchingSession("me", symbols)


@pytest.fixture
def fetching() -> Stage:
    return Stage(FakeDial(), FetchingAccount({}, []))


@pytest.mark.parametrize("answer", [ANSWER, TimedOut("late")])
async def test_a_fetch_goes_to_the_feed_and_its_answer_to_the_session(
    fetching: Stage, mock_clock: MockClock, answer: FetchResponse | VenueError
) -> None:
    async with fetching.running():
        ((fetch, answered),) = fetching.owner.fetches
        assert fetch == SNAPSHOT
        answered(answer)
        connection = await fetching.connection()
        assert connection.sent == [f"Fetch(GET rest /depth) {answer!r}"]
        assert fetching.owner.dues == 1


@pytest.mark.parametrize(
    ("answer", "lines"),
    [
        (TimedOut("s3cret is late"), ["a request to the venue failed, and will be made again: timed_out: *** is late"]),
        (RateLimited("later", 3.0), []),  # the feed says so, once for all
        (ANSWER, []),
    ],
)
async def test_a_request_that_fails_is_logged(
    fetching: Stage,
    mock_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
    answer: FetchResponse | VenueError,
    lines: list[str],
) -> None:
    async with fetching.running():
        fetching.owner.fetches[0][1](answer)
        await fetching.connection()
        assert [text for text in caplog.messages if "request" in text] == lines


async def test_answers_that_come_together_are_given_one_by_one(fetching: Stage, mock_clock: MockClock) -> None:
    async with fetching.running():
        for number in range(3):
            fetching.owner.fetches[0][1](FetchResponse(number, b"", 1))
        connection = await fetching.connection()
        assert [str(sent).partition("HTTP ")[2][:1] for sent in connection.sent] == ["0", "1", "2"]


async def test_an_answer_to_a_session_that_is_over_is_dropped(fetching: Stage, mock_clock: MockClock) -> None:
    async with fetching.running():
        fetching.owner.fetches[0][1](ANSWER)  # not yet given to it
        (await fetching.connection()).fail(ClosedByPeer(1001))
        await wait_all_tasks_blocked()
        mock_clock.jump(5)
        await wait_all_tasks_blocked()
        assert len(fetching.dial.connections) == 2
        fetching.owner.fetches[0][1](ANSWER)
        connection = await fetching.connection()
        assert connection.sent == []
        fetching.owner.fetches[1][1](ANSWER)
        connection = await fetching.connection()
        assert len(connection.sent) == 1


async def test_what_a_session_that_is_over_still_asks_is_not_wanted(fetching: Stage, mock_clock: MockClock) -> None:
    async with fetching.running():
        first = fetching.owner.is_wanted
        assert first()
        (await fetching.connection()).fail(ClosedByPeer(1001))
        await wait_all_tasks_blocked()
        assert not first()
        mock_clock.jump(5)
        await wait_all_tasks_blocked()
        assert (fetching.owner.is_wanted(), first()) == (True, False)


# Trust

REFUSED = b"ERROR\nsubscription:1\nmessage:no such ticker\n\n\0"


def said(stage: Stage) -> list[str]:
    """What was published since this was asked last, in its order: prices, and states with their reasons."""
    out = []
    for event in (event for batch in stage.owner.published for event in batch):
        match event:
            case BookSnapshot(bids=bids):
                out.append(f"{event.symbol[5:]} {bids[0][0]:g}")
            case Status(state=state, reason=reason, generation=generation):
                out.append(f"{event.symbol[5:]} {state} {reason} {generation}")
    stage.owner.published.clear()
    return out


async def test_live_is_said_behind_the_data_and_a_worsening_before_what_was_read_after_it(
    stage: Stage, mock_clock: MockClock
) -> None:
    async with stage.running():
        connection = await stage.connection(CONNECTED, receipt("1"), receipt("2"))
        assert said(stage) == ["SBER resyncing connecting 0", "GAZP resyncing connecting 0"]
        connection.deliver(book("1", 1.0), book("2", 2.0))
        await wait_all_tasks_blocked()
        assert said(stage) == ["SBER 1", "GAZP 2", "SBER live  1", "GAZP live  1"]
        connection.deliver(book("1", 3.0), REFUSED, book("2", 4.0))  # all in one read
        await wait_all_tasks_blocked()
        assert said(stage) == ["SBER 3", "SBER unsubscribed refused 1", "GAZP 4"]
        connection.fail(ClosedByPeer(1001))
        await wait_all_tasks_blocked()
        assert said(stage) == ["GAZP resyncing connecting 1"]
        mock_clock.jump(5)
        connection = await stage.connection(CONNECTED, receipt("1"), receipt("2"), book("1", 5.0), book("2", 6.0))
        assert said(stage) == ["SBER 5", "SBER live  2", "GAZP 6", "GAZP live  2"]
    assert said(stage) == ["SBER unsubscribed unwanted 2", "GAZP unsubscribed unwanted 2"]


async def test_when_the_account_changes_the_session_is_called_and_its_timer_stays(
    fetching: Stage, mock_clock: MockClock
) -> None:
    async with fetching.running():
        mock_clock.jump(40)
        fetching.connector.wake()
        connection = await fetching.connection()
        assert connection.sent == ["tick 40"]
        mock_clock.jump(61)
        await wait_all_tasks_blocked()
        assert connection.sent == ["tick 40", "tick 101"]
        mock_clock.jump(500)
        await wait_all_tasks_blocked()
        assert len(connection.sent) == 2


@pytest.mark.parametrize("error", [ClosedByPeer(1008, "bad token s3cret"), ConnectFailed("s3cret"), TimedOut("s3cret")])
async def test_no_reason_of_a_peer_shows_a_secret(
    error: VenueError, mock_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage(FakeDial(), FetchingAccount({}, []))
    with caplog.at_level(logging.INFO):
        async with stage.running():
            (await stage.connection()).fail(error)
            await wait_all_tasks_blocked()
            assert stage.connector.state == "waiting"
    assert "***" in stage.connector.last_failure
    assert "***" in caplog.text
    assert "s3cret" not in f"{stage.owner.states} {stage.connector.last_failure} {caplog.text}"


async def test_waking_a_connector_that_is_not_connected_does_no_harm(fetching: Stage, mock_clock: MockClock) -> None:
    fetching.connector.wake()
    async with fetching.running():
        connection = await fetching.connection()
        assert connection.sent == []


# Orders from outside


class Orders(FakeSession):
    """Says what it is told, and is never told anything that it knows."""

    def subscribe(self, symbols: Sequence[str], now: float) -> Iterator[Effect]:
        yield Send(f"subscribe {' '.join(symbols)}")

    def unsubscribe(self, symbols: Sequence[str], now: float) -> Iterator[Effect]:
        yield Send(f"unsubscribe {' '.join(symbols)}")

    def resubscribe(self, subscriptions: Sequence[Subscription], reason: str, now: float) -> Iterator[Effect]:
        yield Send(f"resubscribe {', '.join(map(str, subscriptions))}: {reason}")
        yield from (Resync(subscription, reason) for subscription in subscriptions)

    def opened(self, now: float) -> Iterator[Effect]:
        yield Ready()
        yield Send(f"opened {' '.join(self._states)}")


class OrderAccount(FakeAccount):
    def session(self, symbols: Sequence[str]) -> Orders:
        return Orders("me", symbols)


@pytest.fixture
def ordered() -> Stage:
    return Stage(FakeDial(), OrderAccount({}, []))


SBER, GAZP = (Subscription("trades", f"TQBR.{code}") for code in ("SBER", "GAZP"))


async def test_symbols_are_taken_and_given_while_a_connection_is_open_and_it_wakes_for_it(
    ordered: Stage, mock_clock: MockClock
) -> None:
    async with ordered.running():
        connection = await ordered.connection()
        connection.sent.clear()
        ordered.connector.refused = {SBER, GAZP}
        ordered.connector.take(["LKOH", "TQBR.SBER", "LKOH"])
        ordered.connector.give(["TQBR.GAZP", "stranger"])
        await wait_all_tasks_blocked()
        assert connection.sent == ["unsubscribe TQBR.GAZP", "subscribe LKOH"]
        assert ordered.connector.symbols == ("TQBR.SBER", "LKOH")
        assert (ordered.connector.unpriced, ordered.connector.refused) == ({"TQBR.SBER", "LKOH"}, {SBER})
        ordered.connector.take(["A"])
        ordered.connector.give(["A"])
        await wait_all_tasks_blocked()
        assert len(connection.sent) == 2, "what is taken and given before anybody looked comes to nothing"


async def test_subscriptions_are_made_anew_by_their_reasons_and_those_of_others_are_passed_over(
    ordered: Stage, mock_clock: MockClock
) -> None:
    async with ordered.running():
        connection = await ordered.connection()
        connection.sent.clear()
        strangers = [Subscription("trades", "stranger"), Subscription("books", "TQBR.SBER")]
        ordered.connector.resubscribe([GAZP, SBER, *strangers], "silent")
        ordered.connector.resubscribe([SBER], "hole")
        await wait_all_tasks_blocked()
        assert connection.sent == ["resubscribe trades TQBR.GAZP: silent", "resubscribe trades TQBR.SBER: hole"]
        assert ordered.connector.resyncs == 2
        ordered.connector.resubscribe([SBER], "silent")
        ordered.connector.give(["TQBR.SBER"])
        await wait_all_tasks_blocked()
        assert connection.sent[2:] == ["unsubscribe TQBR.SBER"], "nothing is got anew that was given up meanwhile"
        for number in range(1000):
            ordered.connector.resubscribe([GAZP, Subscription("trades", f"S{number}")], str(number))
        assert ordered.connector._orders._anew == {GAZP: "999"}, "they take no more room than there are subscriptions"


async def test_orders_without_a_connection_hold_for_the_next(ordered: Stage, mock_clock: MockClock) -> None:
    ordered.connector.take(["LKOH"])
    ordered.connector.resubscribe([SBER], "silent")
    async with ordered.running():
        connection = await ordered.connection()
        assert connection.sent == ["opened TQBR.SBER TQBR.GAZP LKOH"]
        connection.fail(ClosedByPeer(1001))
        ordered.connector.give(["TQBR.GAZP"])  # the Session is still there, and is gone before it can be told
        ordered.connector.resubscribe([SBER], "silent")
        await wait_all_tasks_blocked()
        ordered.connector.give(["TQBR.SBER"])
        ordered.connector.take(["ROSN"])
        mock_clock.jump(5)
        connection = await ordered.connection()
        assert connection.sent == ["opened LKOH ROSN"]


async def test_an_order_that_comes_while_the_connection_is_written_to_is_carried_out_after(
    ordered: Stage, mock_clock: MockClock
) -> None:
    """The wait for data, which an order ends, hasn't begun then."""
    dial, connector = ordered.dial, ordered.connector
    assert isinstance(dial, FakeDial)
    async with ordered.running():
        connection = await ordered.connection()
        write = connection.send

        async def interrupted(messages: Sequence[bytes | str]) -> None:
            await write(messages)
            if connector.symbols[-1] != "ROSN":
                connector.take(["ROSN"])

        connection.send = interrupted  # type: ignore[method-assign]
        connector.take(["LKOH"])
        await wait_all_tasks_blocked()
        assert connection.sent[1:] == ["subscribe LKOH", "subscribe ROSN"]


async def test_what_the_venue_does_not_list_is_refused_and_its_neighbour_lives(
    stage: Stage, mock_clock: MockClock
) -> None:
    async with stage.running():
        await stage.connection(CONNECTED, receipt("1"), receipt("2"), book("1"))
        for _ in range(4):
            mock_clock.jump(10)
            stage.connector.absent({"TQBR.GAZP", "TQBR.OTHER"})
            await stage.connection()
        assert stage.connector.session is not None
        assert stage.connector.session.instruments() == {"live": 1, "refused": 1}
        assert (stage.connector.refusals, {each.symbol for each in stage.connector.refused}) == (1, {"TQBR.GAZP"})
        await stage.connection(book("2"))
        assert stage.connector.refused == set()
        assert stage.connector.session.instruments() == {"live": 2}
