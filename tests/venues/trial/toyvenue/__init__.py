"""A whole venue in one file, as CONTRIBUTING.md tells to write one: it is put beside the others for a test.

| channel | kinds published | what the venue sends        |
|---------|-----------------|-----------------------------|
| trades  | trade           | every trade; sizes are lots |

A key is worth a ticket, which is fetched once; `hello TICKET`, then `more SYMBOL` for each symbol, answered by
`yes SYMBOL`; trades are `SYMBOL PRICE SIZE`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import ClassVar

import msgspec

from feedbus.errors import BadData, ConfigError, VenueError
from feedbus.schema.events import Trade
from feedbus.trust.evidence import Evidence
from feedbus.venues.fields import Amount, Price
from feedbus.venues.protocol import (
    AccountEffect,
    Confirmed,
    Effect,
    Fetch,
    FetchResponse,
    Limits,
    NoOptions,
    Notice,
    PlainSession,
    Ready,
    Send,
    Skipped,
    Subscription,
    WakeAt,
)

CHANNEL = "trades"
RETRY = 5.0  # seconds


class _Trade(msgspec.Struct, array_like=True):
    symbol: str
    price: Price
    size: Amount


class Account:
    """A key and its ticket."""

    Options: ClassVar[type[msgspec.Struct]] = NoOptions
    venue = "toyvenue"
    subprotocols: Sequence[str] = ()
    services: Mapping[str, str] = {"rest": "https://toy.example"}
    limits = Limits(connections=1)
    public: Collection[str] = frozenset()
    units: Mapping[str, str] = {"trades": "lots"}
    kinds: Mapping[str, Sequence[str]] = {CHANNEL: ("trade",)}
    bar_periods: Mapping[str, int] = {}
    continuous_statuses: Collection[str] = frozenset()
    evidence: Mapping[str, Evidence] = {}
    time_resolution_ns: Mapping[str, int] = {}
    channels: Sequence[str] = (CHANNEL,)

    def __init__(
        self, credentials: Mapping[str, str], channels: Sequence[str], options: msgspec.Struct | None = None
    ) -> None:
        for name in credentials:
            if name != "key":
                raise ConfigError(f"credentials: unknown key {name!r}; there are: key")
        for channel in channels:
            if channel != CHANNEL:
                raise ConfigError(f"channels: unknown channel {channel!r}; there are: {CHANNEL}")
        self._key = credentials.get("key", "")
        if not self._key or not self._key.isprintable():
            raise ConfigError("credentials: key is missing, or holds a control character")
        self.ticket = ""

    @staticmethod
    def trading_day(time: int) -> int:
        """They don't matter here."""
        return 0

    def check_symbol(self, symbol: str) -> str | None:
        """Letters and dots."""
        return None if symbol.replace(".", "").isalpha() else "not letters and dots"

    def check_url(self, url: str) -> str | None:
        """Any."""
        return None

    def connect_url(self, url: str) -> str:
        """The URL itself."""
        return url

    def session(self, symbols: Sequence[str]) -> Session:
        """A new conversation."""
        return Session(self, symbols)

    def start(self, now: float) -> Sequence[AccountEffect]:
        """Fetch a ticket."""
        return (Fetch("/ticket", method="POST", body=self._key.encode()),)

    def fetched(self, fetch: Fetch, answer: FetchResponse | VenueError, now: float) -> Sequence[AccountEffect]:
        """The ticket, or ask again."""
        if isinstance(answer, FetchResponse) and answer.status == 200 and answer.body.isdigit():
            self.ticket = answer.body.decode()
            return (Ready(),)
        return (Notice("no ticket"), WakeAt(now + RETRY))

    def tick(self, now: float) -> Sequence[AccountEffect]:
        """Ask again."""
        return () if self.ticket else self.start(now)


class Session(PlainSession):
    """One conversation."""

    def __init__(self, account: Account, symbols: Sequence[str]) -> None:
        self._account = account
        self._states = dict.fromkeys(symbols, "wanted")
        self._open = self._ready = False

    def opened(self, now: float) -> Iterator[Effect]:
        """Say who we are, and ask."""
        self._open = True
        yield Send(f"hello {self._account.ticket}")
        yield from self.subscribe(list(self._states), now)

    def subscribe(self, symbols: Sequence[str], now: float) -> Iterator[Effect]:
        """Ask for more."""
        for symbol in symbols:
            if self._open and self._states.setdefault(symbol, "wanted") == "wanted":
                self._states[symbol] = "sent"
                yield Send(f"more {symbol}")
            self._states.setdefault(symbol, "wanted")

    def unsubscribe(self, symbols: Sequence[str], now: float) -> Iterator[Effect]:
        """Give some up."""
        for symbol in symbols:
            if self._states.pop(symbol, "wanted") != "wanted":
                yield Send(f"less {symbol}")

    def frame(self, data: bytes | bytearray, ts_recv: int, now: float) -> Sequence[Effect]:
        """One line."""
        return list(self._line(data.decode(errors="replace").split(), ts_recv))

    def _line(self, words: Sequence[str], ts_recv: int) -> Iterator[Effect]:
        if len(words) == 2 and words[0] == "yes" and words[1] in self._states:
            if not self._ready:
                self._ready = True
                yield Ready()
            if self._states[words[1]] == "sent":
                self._states[words[1]] = "confirmed"
                yield Confirmed(Subscription(CHANNEL, words[1]))
            return
        try:
            symbol, price, size = words
            made = msgspec.json.decode(f'["{symbol}",{price},{size}]', type=_Trade)
        except (ValueError, msgspec.DecodeError):
            made = None
        if made is None or made.symbol not in self._states:
            yield Skipped(BadData("line", "no trade of ours"))
            return
        self._states[made.symbol] = "live"
        yield Trade("toyvenue", made.symbol, 0, ts_recv, made.price, made.size, None, None)

    def tick(self, now: float) -> Sequence[Effect]:
        """Nothing is due."""
        return ()

    def closing(self) -> Sequence[Effect]:
        """Say bye."""
        return (Send("bye"),)

    def counters(self) -> Mapping[str, int]:
        """Nothing is counted."""
        return {}

    def instruments(self) -> dict[str, int]:
        """Symbols by state."""
        states = list(self._states.values())
        return {state: states.count(state) for state in states}
