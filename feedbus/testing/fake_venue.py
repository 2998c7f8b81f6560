"""A whole venue for tests: an Account and a Session for a trivial protocol, and the exchange that speaks it.

A test gives `FakeVenue` as the Dial, and `FakeAccount` as the account, to a Feed or a Connector. The venue answers
logins and subscriptions by itself; the test makes trades, breaks connections and decides what is refused. Underneath is
a FakeDial, which has every connection and everything that was sent on it. Nothing here waits or draws random numbers.

Each text message of the protocol is one line of words:

    from feedbus:   login USER · subscribe CHANNEL SYMBOL · unsubscribe CHANNEL SYMBOL · bye
    from the venue: welcome · denied REASON · ok CHANNEL SYMBOL · no CHANNEL SYMBOL REASON
                    trade SYMBOL PRICE SIZE TS_EVENT
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import ClassVar

import msgspec

from feedbus.errors import BadData, ClosedByPeer, ConfigError, TimedOut, VenueError
from feedbus.schema.events import Trade
from feedbus.testing.determinism import wall_ns
from feedbus.testing.fake_transport import FakeConnection, FakeDial, Received
from feedbus.transport import DialOptions
from feedbus.venues.protocol import (
    Close,
    Confirmed,
    Effect,
    Fatal,
    Limits,
    NoOptions,
    OpenAccount,
    PlainSession,
    Ready,
    Refused,
    Send,
    Skipped,
    Subscription,
    WakeAt,
)

VENUE = "fake"
CHANNEL = "trades"
ANSWER_WITHIN = 5.0  # seconds for the answer to the login, and then for all confirmations


class FakeAccount(OpenAccount):
    """An Account of the fake venue. The credentials may hold `user`."""

    Options: ClassVar[type[msgspec.Struct]] = NoOptions
    venue = VENUE
    subprotocols: Sequence[str] = ()
    services: Mapping[str, str] = {}
    limits = Limits()
    units: Mapping[str, str] = {"trades": "lots"}
    channels: Sequence[str] = (CHANNEL,)
    kinds: Mapping[str, Sequence[str]] = {CHANNEL: (Trade.WORD,)}

    def __init__(
        self,
        credentials: Mapping[str, str],
        channels: Sequence[str],
        options: msgspec.Struct | None = None,  # noqa: ARG002 - there are none
    ) -> None:
        """Raises ConfigError for any channel but `trades`."""
        if set(channels) - {CHANNEL}:
            raise ConfigError(f"the fake venue has the channel {CHANNEL!r} alone")
        self._user = credentials.get("user", "guest")

    def check_symbol(self, symbol: str) -> str | None:
        """Why this symbol can't be subscribed to: it must be one word."""
        return None if symbol.split() == [symbol] else f"{symbol!r} is not one word"

    def session(self, symbols: Sequence[str]) -> FakeSession:
        """A new Session for one connection."""
        return FakeSession(self._user, symbols)


class FakeSession(PlainSession):
    """A Session of the fake venue. It doesn't ask again for a symbol that was refused."""

    def __init__(self, user: str, symbols: Sequence[str]) -> None:
        self._user = user
        self._states = dict.fromkeys(symbols, "wanted")
        self._ready = False
        self._skipped = 0

    def opened(self, now: float) -> Iterator[Effect]:
        """Log in."""
        yield Send(f"login {self._user}")
        yield WakeAt(now + ANSWER_WITHIN)

    def frame(self, data: bytes | bytearray, ts_recv: int, now: float) -> Iterator[Effect]:
        """Understand one line from the venue."""
        match data.decode(errors="replace").split():
            case ["welcome"] if not self._ready:
                self._ready = True
                yield Ready()
                yield from self._ask(list(self._states), now)
            case ["denied", *reason]:
                yield Fatal(" ".join(reason))
            case ["ok", str(channel), str(symbol)] if symbol in self._states:
                self._states[symbol] = "confirmed"
                yield Confirmed(Subscription(channel, symbol))
            case ["no", str(channel), str(symbol), *reason] if symbol in self._states:
                self._states[symbol] = "refused"
                yield Refused(Subscription(channel, symbol), " ".join(reason))
            case words:
                yield self._trade(words, ts_recv)

    def _trade(self, words: Sequence[str], ts_recv: int) -> Effect:
        try:
            word, symbol, price, size, ts_event = words
            if word != "trade" or symbol not in self._states:
                raise ValueError(word)
            trade = Trade(VENUE, symbol, int(ts_event), ts_recv, float(price), float(size), None, None)
        except ValueError:
            self._skipped += 1
            return Skipped(BadData("line", f"not understood: {' '.join(words)[:40]!r}"))
        self._states[symbol] = "live"
        return trade

    def tick(self, now: float) -> Iterator[Effect]:  # noqa: ARG002 - the Protocol's signature
        """Close the connection if an answer is still missing: they are all overdue when this is called."""
        if not self._ready:
            yield Close(TimedOut("no answer to the login"))
        elif "sent" in self._states.values():
            yield Close(TimedOut("no answer to a subscription"))

    def subscribe(self, symbols: Sequence[str], now: float) -> Iterator[Effect]:
        """Subscribe to more symbols, or note them until the login is accepted."""
        self._states |= dict.fromkeys(symbols, "wanted")
        if self._ready:
            yield from self._ask(symbols, now)

    def _ask(self, symbols: Sequence[str], now: float) -> Iterator[Effect]:
        self._states |= dict.fromkeys(symbols, "sent")
        for symbol in symbols:
            yield Send(f"subscribe {CHANNEL} {symbol}")
        yield WakeAt(now + ANSWER_WITHIN)

    def unsubscribe(self, symbols: Sequence[str], now: float) -> Iterator[Effect]:  # noqa: ARG002 - the Protocol's
        """Unsubscribe from symbols; those that were never asked for are only forgotten."""
        for symbol in symbols:
            if self._states.pop(symbol, "wanted") != "wanted":
                yield Send(f"unsubscribe {CHANNEL} {symbol}")

    def closing(self) -> Iterator[Effect]:
        """Say goodbye to the venue."""
        yield Send("bye")

    def counters(self) -> Mapping[str, int]:
        """The number of lines that were not understood."""
        return {"skipped": self._skipped}

    def instruments(self) -> dict[str, int]:
        """The number of symbols in each state."""
        states = list(self._states.values())
        return {state: states.count(state) for state in dict.fromkeys(states)}


class FakeLine:
    """One connection, for both ends: feedbus sends and receives on it, and the test speaks as the venue. What feedbus
    sends is answered before `send` returns."""

    def __init__(self, venue: FakeVenue, connection: FakeConnection) -> None:
        self.connection = connection
        self.user: str | None = None  # who logged in
        self.subscribed: dict[str, None] = {}  # in the order in which they were asked for
        self._venue = venue

    @property
    def bytes_received(self) -> int:
        """Bytes received since the connection was opened."""
        return self.connection.bytes_received

    @property
    def messages_received(self) -> int:
        """Messages received since the connection was opened."""
        return self.connection.messages_received

    async def receive(self) -> Received:
        """Wait for what the venue says next. Raises the VenueError with which the connection ended."""
        return await self.connection.receive()

    async def send(self, messages: Sequence[bytes | str]) -> None:
        """Send messages to the venue, which answers them at once."""
        await self.connection.send(messages)
        answers = [answer for message in messages for answer in self._venue.answer(self, str(message))]
        if answers:
            self.say(*answers)

    def say(self, *lines: str) -> None:
        """Let the venue say these lines, which arrive in one read."""
        self.connection.deliver(*(line.encode() for line in lines), ts_recv=self._venue.wall_ns())

    def fail(self, error: VenueError | None = None) -> None:
        """Let the connection break, once everything that was said before has been read."""
        self.connection.fail(error or ClosedByPeer(1001, "going away"))


class FakeVenue:
    """The exchange: a Dial whose connections answer. A test may change its public attributes at any time."""

    def __init__(self, dial: FakeDial | None = None, *, clock_ns: Callable[[], int] = wall_ns) -> None:
        """`clock_ns` is the time at which bytes arrive and trades happen, in ns since the epoch."""
        self.dial = dial or FakeDial()
        self.wall_ns = clock_ns
        self.lines: list[FakeLine] = []  # the open connections, the oldest first
        self.refuse_login: str | None = None  # the reason for which logins are refused, None while they are accepted
        self.refuse_symbols: dict[str, str] = {}  # the symbols that are refused, and the reason for each
        self.silent = False  # while it is True, nothing is answered
        self.trades = 0

    @asynccontextmanager
    async def __call__(self, url: str, options: DialOptions) -> AsyncIterator[FakeLine]:
        """Open a connection. Raises what the FakeDial raises."""
        async with self.dial(url, options) as connection:
            line = FakeLine(self, connection)
            self.lines.append(line)
            try:
                yield line
            finally:
                self.lines.remove(line)

    def answer(self, line: FakeLine, message: str) -> Iterator[str]:
        """The lines with which the venue answers one line from feedbus."""
        match message.split():
            case _ if self.silent:
                return
            case ["login", user] if self.refuse_login is None:
                line.user = user
                yield "welcome"
            case ["login", _]:
                yield f"denied {self.refuse_login}"
            case ["subscribe", channel, symbol] if symbol in self.refuse_symbols:
                yield f"no {channel} {symbol} {self.refuse_symbols[symbol]}"
            case ["subscribe", channel, symbol]:
                line.subscribed[symbol] = None
                yield f"ok {channel} {symbol}"
            case ["unsubscribe", _, symbol]:
                line.subscribed.pop(symbol, None)

    def trade(self, symbol: str, price: float, size: float = 1.0) -> int:
        """Make a trade, and tell it to every connection that subscribed to its symbol. Returns the number of those
        connections."""
        self.trades += 1
        told = [line for line in self.lines if symbol in line.subscribed]
        for line in told:
            line.say(f"trade {symbol} {price!r} {size!r} {self.wall_ns()}")
        return len(told)
