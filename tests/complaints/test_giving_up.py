"""Users complain: the program stopped without any error. Nothing was logged, nothing came any more, and it never tried
again.

Here connections end in every way that there is, and the venue is away for hours. Whatever happens, the connection is
tried again without end, or the service ends with an error that its supervisor sees
(tests/service/test_tree.py, and with a real process tests/edges/test_giving_up.py).
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from feedbus import errors
from feedbus.bus.publisher import Publisher
from feedbus.config import BackoffConfig, FeedConfig, ShardingConfig
from feedbus.errors import ClosedByPeer, ConnectFailed, RateLimited, VenueError
from feedbus.feed import feed as feed_module
from feedbus.feed.feed import Feed
from feedbus.schema.events import Status
from feedbus.testing.determinism import wall_ns
from feedbus.testing.fake_transport import Received
from feedbus.testing.fake_venue import ANSWER_WITHIN, FakeAccount, FakeLine, FakeVenue
from feedbus.testing.memory_bus import MemoryBus
from feedbus.transport import DialOptions

CAP = 30.0  # seconds: the longest pause between two attempts
LOGIN_RETRY = 60.0  # seconds between two attempts to log in after a refusal
HALF_AN_HOUR = 1800.0


class FragileLine(FakeLine):
    """A connection that ends with any error, after the next message."""

    error: Exception | None = None

    async def receive(self) -> Received:
        received = await super().receive()
        if self.error is not None:
            raise self.error
        return received


class Awkward(FakeVenue):
    """A venue whose connections end as the test wants. `dial_error` is raised instead of opening one, and while
    `slams` each is closed as soon as it was opened."""

    def __init__(self) -> None:
        super().__init__()
        self.dial_error: Exception | None = None
        self.slams = False
        self.attempts: list[float] = []

    @asynccontextmanager
    async def __call__(self, url: str, options: DialOptions) -> AsyncIterator[FakeLine]:
        self.attempts.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        if self.dial_error is not None:
            raise self.dial_error
        async with self.dial(url, options) as connection:
            line = FragileLine(self, connection)
            self.lines.append(line)
            if self.slams:
                line.fail(ClosedByPeer(1000))
            try:
                yield line
            finally:
                self.lines.remove(line)


class Stage:
    """A feed of one connection, and what is said of its one instrument."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(feed_module, "account_class", lambda _: FakeAccount)
        self.venue = Awkward()
        self.bus = MemoryBus(keep=50)
        self.publisher = Publisher("fake", self.bus, wall_ns=wall_ns)
        config = FeedConfig(
            name="fake",
            venue="fake",
            url="ws://fake/",
            symbols=("S",),
            sharding=ShardingConfig(1, 1),
            backoff=BackoffConfig(1.0, CAP, 1.0),
            login_retry=LOGIN_RETRY,
        )
        self.feed = Feed(config, self.publisher, self.venue, DialOptions(), draw=lambda: 0.5, wall_ns=wall_ns)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.publisher.run)
            nursery.start_soon(self.feed.run)
            await self.live_within(1.0)
            yield
            nursery.cancel_scope.cancel()

    async def live_within(self, seconds: float) -> None:
        """Data flows, and is called live, after at most so long. Then all is well for a while."""
        with trio.fail_after(seconds):
            while not self.venue.trade("S", 10.0):  # noqa: ASYNC110
                await trio.sleep(0.1)
        await trio.sleep(1.5)
        self.venue.trade("S", 10.0)
        await trio.sleep(0.5)
        assert [status.state for status in self.bus.events(Status) if status.word][-1] == "live"


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(monkeypatch)


def made(kind: type[Exception]) -> Exception:
    """An error of this kind."""
    arguments: dict[type[Exception], tuple[object, ...]] = {
        errors.BadData: ("a frame", "nonsense"),
        errors.ClosedByPeer: (1000,),
        errors.RateLimited: ("HTTP 429", 5.0),
        UnicodeDecodeError: ("utf-8", b"", 0, 1, "no"),
        ExceptionGroup: ("several", [ClosedByPeer(1006), ZeroDivisionError()]),
    }
    return kind(*arguments.get(kind, ("in a test",)))


def kinds_of(kind: type[Exception]) -> Iterator[type[Exception]]:
    for each in kind.__subclasses__():
        if each.__module__ == errors.__name__:  # the others are about one message, and end no connection
            yield each
        yield from kinds_of(each)


def words_of(kind: type[Exception]) -> set[str]:
    """Words of which one is in the log, where a connection has ended with an error of this kind."""
    if issubclass(kind, errors.LoginRefused):
        return {"refused"}
    if issubclass(kind, VenueError):
        return {kind.cause}
    return {kind.__name__, "RuntimeError", "ZeroDivisionError", "test"}


BUGS = [
    ZeroDivisionError, KeyError, StopIteration, StopAsyncIteration, UnicodeDecodeError, OSError, MemoryError, EOFError,
    RecursionError, TimeoutError, ExceptionGroup, trio.BrokenResourceError, trio.ClosedResourceError, trio.EndOfChannel,
    trio.TooSlowError, errors.BusError, errors.FeedbusError,
]  # fmt: skip
ENDS: list[type[Exception]] = [VenueError, *kinds_of(VenueError), *BUGS]


@pytest.mark.parametrize("when", ["while it is open", "when it is opened"])
async def test_however_a_connection_ends_the_next_one_follows_and_the_end_is_logged(
    when: str, stage: Stage, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "feedbus")
    async with stage.running():
        for kind in ENDS:
            caplog.clear()
            error, count = made(kind), len(stage.venue.attempts)
            if when == "while it is open":
                stage.venue.lines[0].error = error  # type: ignore[attr-defined]
                stage.venue.trade("S", 10.0)
            else:
                stage.venue.dial_error = error
                stage.venue.lines[0].fail()
            await trio.sleep(1.0)
            said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
            assert any(words_of(kind) & set(re.findall(r"\w+", text)) for text in said), (kind, said)
            stage.venue.dial_error = None
            await stage.live_within(LOGIN_RETRY + 5)
            assert len(stage.venue.attempts) - count == (1 if when == "while it is open" else 2)
            await trio.sleep(60.0)


def be_away(stage: Stage, away: bool) -> None:
    stage.venue.dial_error = ConnectFailed("no route") if away else None


def refuse_logins(stage: Stage, away: bool) -> None:
    stage.venue.refuse_login = "in a test" if away else None


def say_nothing(stage: Stage, away: bool) -> None:
    stage.venue.silent = away


def slam(stage: Stage, away: bool) -> None:
    stage.venue.slams = away


def limit(stage: Stage, away: bool) -> None:
    stage.venue.dial_error = RateLimited("HTTP 429") if away else None


OUTAGES = [(be_away, CAP), (refuse_logins, LOGIN_RETRY), (say_nothing, CAP), (slam, CAP), (limit, CAP)]
"""What may be wrong, and the longest pause between two attempts in seconds."""


async def test_after_hours_without_success_it_is_still_trying_and_comes_back(
    stage: Stage, autojump_clock: MockClock
) -> None:
    async with stage.running():
        stage.venue.lines[0].fail()
        for outage, pause in OUTAGES:
            outage(stage, True)
            begun, count = trio.current_time(), len(stage.venue.attempts)
            await trio.sleep(HALF_AN_HOUR)
            tried = stage.venue.attempts[count:]
            pauses = [after - before for before, after in pairwise([begun, *tried, trio.current_time()])]
            assert max(pauses) <= pause + ANSWER_WITHIN + 1, outage
            assert len(tried) <= HALF_AN_HOUR / (pause / 2) + 5  # nor does it try all the time
            assert [status.state for status in stage.bus.events(Status) if status.word][-1] == "resyncing"
            if outage is not limit:
                outage(stage, False)
        assert trio.current_time() > 2 * 3600.0
        limit(stage, False)
        await stage.live_within(CAP)
