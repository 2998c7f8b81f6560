"""Users complain: a subscription brings nothing, and nobody says so. The venue confirms names that it doesn't have, one
bad name of a request keeps all others out, and of what was asked for at the start some was never confirmed.

Here whole feeds talk to the simulated venues, in memory and on a virtual clock. A venue confirms what doesn't exist,
refuses a whole request because of one name, or loses requests: each name that brings nothing is named, with the nearest
ones that there are, and all others live.
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
import trio
from trio.testing import MockClock

from feedbus.bus.publisher import Publisher
from feedbus.config import FeedConfig
from feedbus.errors import VenueError
from feedbus.feed.feed import Feed
from feedbus.schema.events import Status
from feedbus.sim.alor.conversation import AlorConversation
from feedbus.sim.alor.rest import AlorRest
from feedbus.sim.alor.venue import AlorSimOptions, AlorVenue
from feedbus.sim.binance.catalogue import pairs
from feedbus.sim.binance.rest import BinanceRest
from feedbus.sim.binance.server import converse
from feedbus.sim.binance.venue import BinanceSimOptions, BinanceVenue
from feedbus.sim.moex import catalogue
from feedbus.sim.moex.conversation import MoexConversation
from feedbus.sim.moex.rest import MoexRest
from feedbus.sim.moex.venue import MoexSimOptions, MoexVenue
from feedbus.sim.seam import Conversation, Frame, SimRequest
from feedbus.testing.fake_transport import FakeConnection
from feedbus.testing.memory_bus import MemoryBus
from feedbus.transport import DialOptions
from feedbus.venues.protocol import Fetch, FetchResponse

START = 1_764_000_000_000_000_000
STEP = 0.5
SHARES = [each for each in catalogue.securities() if each.secid in ("SBER", "SBERP", "GAZP", "LKOH")]
REFRESH = "alor-refresh-token"


def now_ns() -> int:
    return START + round(trio.current_time() * 1e9)


class SimConnection(FakeConnection):
    """One whose other end is a conversation of a simulated venue. `spoil` may answer a message in its place: None
    leaves it to the venue, and an empty list loses it."""

    conversation: Conversation
    spoil: Callable[[str], list[bytes] | None]

    async def send(self, messages: Sequence[bytes | str]) -> None:
        await super().send(messages)
        for message in messages:
            text = message if isinstance(message, str) else message.decode()
            spoiled = self.spoil(text)
            self.say(self.conversation.receive(message, now_ns()) if spoiled is None else spoiled)

    def say(self, frames: Iterable[Frame]) -> None:
        if told := [frame if isinstance(frame, bytes) else frame.encode() for frame in frames]:
            self.deliver(*told, ts_recv=now_ns())


class World:
    """One feed, and the venue that it talks to."""

    def __init__(self, venue: str, symbols: Sequence[str], channels: Sequence[str], *, listed: bool = True) -> None:
        self.connections: list[SimConnection] = []
        self.spoil: Callable[[str], list[bytes] | None] = lambda _: None
        self._asked: list[Callable[[], None]] = []
        self.bus = MemoryBus()
        self._begin: Callable[[], Conversation | None]
        self._rest: Callable[[Fetch], Any]
        self._market: Any
        if venue == "binance":
            traded = [pair for pair in pairs() if pair.symbol in ("BTCUSDT", *symbols)]
            binance = BinanceVenue(BinanceSimOptions(start_ns=START, rate=1 / STEP), listed=traded)
            self._market, rest = binance, BinanceRest(binance)
            self._begin = partial(converse, binance, "/stream", START)
            self._rest = lambda fetch: rest(_request(fetch))
        elif venue == "alor":
            alor = AlorVenue(AlorSimOptions(start_ns=START, rate=1 / STEP), securities=SHARES)
            self._market, handler = alor.market, AlorRest(alor)
            self._begin = partial(AlorConversation, alor)
            self._rest = lambda fetch: handler(_request(fetch))
        else:
            moex = MoexVenue(MoexSimOptions(start_ns=START, rate=1 / STEP), securities=SHARES)
            self._market, listing = moex.market, MoexRest(START)
            self._begin = partial(MoexConversation, moex)
            self._rest = lambda fetch: listing.answer(fetch.path)
        config = FeedConfig(
            name=venue,
            venue=venue,
            url="ws://127.0.0.1:1/stream",
            symbols=tuple(symbols),
            channels=tuple(channels),
            credentials={"refresh_token": REFRESH} if venue == "alor" else {},
            rest="http://127.0.0.1:1" if listed else None,
        )
        publisher = Publisher(venue, self.bus, linger=0)
        self.feed = Feed(config, publisher, self._dial, DialOptions(), draw=lambda: 0.5, wall_ns=now_ns)
        self.feed.fetch = self._fetch
        if self.feed.instruments is not None:
            self.feed.instruments._get = self._get

    @asynccontextmanager
    async def _dial(self, url: str, options: DialOptions) -> AsyncIterator[SimConnection]:
        await trio.lowlevel.checkpoint()
        connection = SimConnection(url, options)
        conversation = self._begin()
        assert conversation is not None
        connection.conversation, connection.spoil = conversation, self.spoil
        self.connections.append(connection)
        try:
            yield connection
        finally:
            connection.closed = True

    def _fetch(
        self, fetch: Fetch, answered: Callable[[FetchResponse | VenueError], None], is_wanted: Any = None
    ) -> None:
        del is_wanted
        self._asked.append(lambda: answered(self._answer(fetch)))

    async def _get(self, fetch: Fetch) -> FetchResponse:
        await trio.sleep(0.1)
        return self._answer(fetch)

    def _answer(self, fetch: Fetch) -> FetchResponse:
        got = self._rest(fetch)
        return FetchResponse(got.status, got.body, now_ns())

    async def _steps(self) -> None:
        while True:
            await trio.sleep(STEP)
            asked, self._asked = self._asked, []
            for answer in asked:
                answer()
            if self._market.opened:
                self._market.advance()
                for connection in self.connections:
                    if not connection.closed:
                        connection.say(connection.conversation.due())

    @asynccontextmanager
    async def running(self, seconds: float) -> AsyncIterator[None]:
        """So long; it goes on inside."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._steps)
            nursery.start_soon(self.feed.run)
            await trio.sleep(seconds)
            yield
            nursery.cancel_scope.cancel()

    def instruments(self) -> dict[str, int]:
        [connector] = self.feed.connectors
        assert connector.session is not None
        return connector.session.instruments()

    def said(self, symbol: str) -> dict[str, tuple[str, str]]:
        """What the bus said last of each word of a symbol."""
        statuses = [status for status in self.bus.events(Status) if status.symbol == symbol]
        return {status.word: (status.state, status.reason) for status in statuses}


def _request(fetch: Fetch) -> SimRequest:
    parts = urlsplit(fetch.path)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return SimRequest(fetch.method, target, fetch.body, {}, now_ns())


async def line_of(symbol: str, caplog: pytest.LogCaptureFixture) -> str:
    """The one line that names a symbol. Names are looked for in a thread, for which the virtual clock doesn't wait."""
    for _ in range(1000):
        lines = [text for text in caplog.messages if symbol in text]
        if lines:
            [line] = lines
            return line
        await trio.sleep(1.0)
    raise AssertionError(f"nothing names {symbol}: {caplog.messages}")


BINANCE = ("BTCUSDT", "ETHUSDT", "BTCUSDX")
REFUSED = ("unsubscribed", "refused")
LIVE = ("live", "")


async def test_binance_confirms_a_name_that_does_not_exist_and_its_list_tells(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    world = World("binance", BINANCE, ("trade", "miniTicker"))
    async with world.running(50.0):
        assert world.instruments() == {"live": 2, "refused": 1}
        assert world.said("BTCUSDX") == {"trade": REFUSED, "ticker": REFUSED}
        assert world.said("BTCUSDT") == world.said("ETHUSDT") == {"trade": LIVE, "ticker": LIVE}
        line = await line_of("BTCUSDX", caplog)
        assert line.startswith("the venue doesn't list the symbol BTCUSDX: did you mean BTCUSDT")
        await trio.sleep(120.0)
        assert await line_of("BTCUSDX", caplog) == line
    assert len(world.connections) == 1


async def test_binance_does_not_list_as_subscribed_what_it_confirmed_and_does_not_have(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    world = World("binance", BINANCE, ("trade", "miniTicker"), listed=False)
    async with world.running(33.0):
        assert world.instruments() == {"live": 2, "refused": 1}
        assert world.said("BTCUSDX") == {"trade": REFUSED, "ticker": REFUSED}
        assert world.said("ETHUSDT") == {"trade": LIVE, "ticker": LIVE}
        await trio.sleep(120.0)
        line = "the venue refuses trade and miniTicker BTCUSDX: confirmed, but not listed as subscribed"
        assert await line_of("BTCUSDX", caplog) == line
    assert len(world.connections) == 1


@pytest.mark.parametrize(
    ("venue", "channels", "words", "symbols", "refusal"),
    [
        (
            "moex",
            ("orderbooks", "securities"),
            ("book", "ticker"),
            ("TQBR.SBER", "TQBR.GAZP", "TQBR.SBRE"),
            r"the venue refuses orderbooks and securities TQBR\.SBRE: .*unknown ticker.*; it lists TQBR\.SBER(, \S+)*",
        ),
        (
            "alor",
            ("orderbook", "quotes"),
            ("book", "quote", "ticker"),
            ("MOEX:SBER:TQBR", "MOEX:GAZP:TQBR", "MOEX:SBRE:TQBR"),
            r"the venue refuses orderbook and quotes MOEX:SBRE:TQBR: 400 .*; it lists MOEX:SBER:TQBR(, \S+)*",
        ),
    ],
)
async def test_a_refused_name_is_named_in_the_venues_words_with_the_nearest_and_its_neighbours_live(
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
    venue: str,
    channels: tuple[str, ...],
    words: tuple[str, ...],
    symbols: tuple[str, ...],
    refusal: str,
) -> None:
    world = World(venue, symbols, channels)
    async with world.running(20.0):
        [connector] = world.feed.connectors
        for symbol in symbols[:2]:
            assert world.said(symbol) == dict.fromkeys(words, LIVE)
        assert world.said(symbols[2]) == dict.fromkeys(words, REFUSED)
        assert {each.symbol for each in connector.refused} == {symbols[2]}
        await trio.sleep(60.0)
        assert re.fullmatch(refusal, await line_of(symbols[2], caplog))
    assert len(world.connections) == 1


async def test_a_moex_that_confirms_an_unknown_name_and_sends_nothing_is_not_believed(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    def confirms(text: str) -> list[bytes] | None:
        found = re.search(r"^receipt:(\d+)$", text, re.MULTILINE) if "TQBR.SBRE" in text else None
        return [f"RECEIPT\nreceipt-id:{found[1]}\n\n\0".encode()] if found else None

    world = World("moex", ("TQBR.SBER", "TQBR.GAZP", "TQBR.SBRE"), ("orderbooks",))
    world.spoil = confirms
    async with world.running(45.0):
        assert world.instruments() == {"live": 2, "refused": 1}
        assert world.said("TQBR.SBRE") == {"book": REFUSED}
        assert (await line_of("TQBR.SBRE", caplog)).startswith("the venue doesn't list the symbol TQBR.SBRE: did you")


async def test_one_name_that_a_whole_request_is_refused_for_is_found_among_many_which_live(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    def refuses(text: str) -> list[bytes] | None:
        number = re.search(r'"id":(\d+)', text)
        assert number is not None
        if '"SUBSCRIBE"' not in text or "btcusdx" not in text:
            return None
        return [f'{{"code":2,"msg":"Invalid request: no such stream","id":{number[1]}}}'.encode()]

    names = [pair.symbol for pair in pairs()]
    world = World("binance", [*names[:20], "BTCUSDX", *names[20:]], ("miniTicker", "avgPrice"))
    world.spoil = refuses
    async with world.running(20.0):
        counts = world.instruments()
        assert counts.pop("refused") == 1
        assert sum(counts.values()) == counts["live"] + counts.get("confirmed", 0) == len(names) >= 30
        line = await line_of("BTCUSDX", caplog)
        words = "Invalid request: no such stream (code 2)"
        assert line.startswith(f"the venue refuses miniTicker and avgPrice BTCUSDX: {words}; it lists BTCUSDT")
    assert len(world.connections) == 1


@pytest.mark.parametrize(
    ("venue", "channels", "symbols", "subscribes"),
    [
        ("binance", ("trade", "miniTicker"), ("BTCUSDT", "ETHUSDT"), '"SUBSCRIBE"'),
        ("moex", ("orderbooks", "securities"), ("TQBR.SBER", "TQBR.GAZP", "TQBR.LKOH"), "SUBSCRIBE\ndestination"),
        ("alor", ("orderbook", "quotes"), ("SBER", "GAZP", "LKOH"), "AndSubscribe"),
    ],
)
@pytest.mark.parametrize("lost", [1, 2, 3])
async def test_a_subscription_that_the_venue_loses_without_a_word_is_made_again(
    autojump_clock: MockClock,
    venue: str,
    channels: tuple[str, ...],
    symbols: tuple[str, ...],
    subscribes: str,
    lost: int,
) -> None:
    seen = 0

    def loses(text: str) -> list[bytes] | None:
        nonlocal seen
        seen += subscribes in text
        return [] if subscribes in text and seen == lost else None

    world = World(venue, symbols, channels)
    world.spoil = loses
    async with world.running(60.0):
        assert world.instruments() == {"live": len(symbols)}
    assert len(world.connections) == 1


async def test_a_stream_that_binance_drops_while_it_lives_is_found_by_its_list_and_made_again(
    autojump_clock: MockClock,
) -> None:
    world = World("binance", ("BTCUSDT", "ETHUSDT"), ("miniTicker",))
    async with world.running(60.0):
        assert world.instruments() == {"live": 2}
        [connection] = world.connections
        dropped: Any = connection.conversation
        del dropped._subscriptions["ethusdt@miniTicker"]
        await trio.sleep(320.0)
        assert world.instruments() == {"live": 2}
        assert "ethusdt@miniTicker" in dropped._subscriptions
        [connector] = world.feed.connectors
        assert connector.session_counts()["lost_subscriptions"] + world.feed.repairs.ladder.counts["resubscribe"] > 0
    assert len(world.connections) == 1


@pytest.fixture(autouse=True)
def _logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "feedbus")
