"""A reader that knows nothing but the bus: what is shown of each instrument, and whether it may be used. Pure.

It does what docs/bus.md and docs/trust.md tell a program to do, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from feedbus.books.books import Books
from feedbus.schema.events import BookDelta, BookSnapshot, Gap, MarketData, Quote, Status, Ticker, Trade
from feedbus.testing.truth.oracle import Key, Picture
from feedbus.testing.truth.venue import LEVELS, ProbedVenue, book_picture
from feedbus.trust.readers_trust import FromPublisher, Trust, Trusted

PRESENT = frozenset({"live", "quiet"})
"""The states in which a price is the present one."""
CREDULOUS = Trusted("live", "")
"""What a reader believes that believes everything."""


class BusReader:
    """What one program knows. A `credulous` one takes everything for live: it shows how much would be untrue without
    statuses."""

    def __init__(self, venue: ProbedVenue, wall_ns: Callable[[], int], *, credulous: bool = False) -> None:
        """`wall_ns` is the reader's clock, in ns since the epoch."""
        self.keys: tuple[Key, ...] = tuple((symbol, word) for symbol in venue.symbols for word in venue.words)
        """All instruments and words."""
        self.books = Books()
        self.trust = Trust()
        self._venue = venue
        self._wall_ns = wall_ns
        self._credulous = credulous
        self._shown: dict[Key, Picture] = {}
        self._traded: dict[str, Trade] = {}  # by symbol: the newest
        self._trusted: dict[Key, Trusted] = {}  # the answers for which nothing has changed since
        self._books: dict[str, Picture | None] = {}  # those that were asked for since they changed

    def take(self, header: FromPublisher, events: Sequence[MarketData | Gap]) -> Iterator[Key]:
        """Take in one message. Yields what has changed by it."""
        self.trust.apply(header, events, self._wall_ns())
        self.books.apply(header, events)
        for event in events:
            match event:
                case BookSnapshot() | BookDelta():
                    self._books.pop(event.symbol, None)
                    self._trusted.pop((event.symbol, "book"), None)
                    yield event.symbol, "book"
                case Trade():
                    self._trusted.pop((event.symbol, "trade"), None)
                    if self._is_newest(event):
                        self._shown[event.symbol, "trade"] = self._venue.picture(event)
                        yield event.symbol, "trade"
                case Quote() | Ticker():
                    key = (event.symbol, event.WORD)
                    self._shown[key] = self._venue.picture(event)
                    self._trusted.pop(key, None)
                    yield key
                case Status(symbol=symbol, word=said):
                    self._books.pop(symbol, None)
                    for word in (said,) if said else self._venue.words:
                        self._trusted.pop((symbol, word), None)
                        yield symbol, word
                case Gap():
                    self._books.clear()
                    self._trusted.clear()

    def _is_newest(self, trade: Trade) -> bool:
        """Whether no newer trade is known. One that was missing may come late."""
        before = self._traded.get(trade.symbol)
        if before is not None and trade.precedes(before):
            return False
        self._traded[trade.symbol] = trade
        return True

    def trusted(self, key: Key) -> Trusted:
        """How far this may be trusted."""
        if self._credulous:
            return CREDULOUS
        known = self._trusted.get(key)
        if known is None:
            known = self._trusted[key] = self.trust.trust(self._venue.name, *key)
        return known

    def picture(self, key: Key) -> Picture | None:
        """What is shown; None when there is nothing to be shown."""
        if key[1] != "book":
            return self._shown.get(key)
        symbol = key[0]
        if symbol not in self._books:
            book = self.books.get(self._venue.name, symbol)
            self._books[symbol] = None if book is None else book_picture(book.bids.top(LEVELS), book.asks.top(LEVELS))
        return self._books[symbol]
