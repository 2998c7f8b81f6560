"""Books and quotes in, book metrics out. Pure: `now` is seconds by a clock that only goes forwards.

Only what will be published is worked out: of the books of one instrument that come within `book_every` seconds, the
newest. Quotes count where no full book stands. No books are kept here, so a delta makes an instrument's metrics unknown
until its next full book.
"""

from __future__ import annotations

from collections.abc import Collection

from feedbus.analytics import book_metrics as bookmetrics
from feedbus.analytics.options import AggregateCounters, Options
from feedbus.analytics.pacing import Pacer
from feedbus.schema.events import BookDelta, BookMetrics, BookSnapshot, MarketData, MarketEvent, Quote


class BookState:
    """One instrument: its newest input. `full`: a full book stands. `lost`: what stood isn't known any more."""

    __slots__ = ("full", "lost", "newest")

    def __init__(self, newest: MarketEvent) -> None:
        self.newest = newest
        self.full = False
        self.lost = False


class BookMetricsMaker:
    """The metrics of all instruments. Call `take` after what came in, and whenever `next_due` says so."""

    def __init__(self, options: Options, counters: AggregateCounters) -> None:
        self._levels = options.levels
        self._every = options.book_every
        self._max = options.max_instruments
        self._counters = counters
        self._books: dict[tuple[str, str], BookState] = {}
        self._pacer = Pacer[BookState](options.book_every)
        self._out: list[MarketData] = []

    def book(self, event: BookSnapshot, now: float) -> None:
        """Take in one full book."""
        self._counters.books += 1
        book = self._books.get((event.venue, event.symbol)) or self._new(event)
        if book is not None:
            book.full = True
            self._stands(book, event, now)

    def quote(self, event: Quote, now: float) -> None:
        """Take in one quote."""
        self._counters.quotes += 1
        book = self._books.get((event.venue, event.symbol)) or self._new(event)
        if book is not None and not book.full:
            self._stands(book, event, now)

    def delta(self, event: BookDelta, now: float) -> None:
        """What it changes isn't kept here: the book isn't known any more."""
        self._counters.deltas += 1
        book = self._books.get((event.venue, event.symbol))
        if book is not None and book.full:
            book.newest = event
            self._drop(book, now)

    def lost(self, word: str, venue: str, symbol: str, now: float) -> None:
        """Events of one instrument's topic `word` (book, quote) are missing."""
        book = self._books.get((venue, symbol))
        if book is not None and book.full == (word == "book"):
            self._drop(book, now)

    def lost_any(self, venues: Collection[str] | None, now: float) -> None:
        """Events of any instruments of these venues may be missing; None: of all venues."""
        for book in self._books.values():
            if venues is None or book.newest.venue in venues:
                self._drop(book, now)

    def take(self, now: float) -> list[MarketData]:
        """What is to be published by now, in order."""
        for book in self._pacer.take(now):
            self._publish(book)
        out, self._out = self._out, []
        return out

    def next_due(self) -> float:
        """When `take` will have something though nothing comes; infinity: not before something comes."""
        return self._pacer.next_due()

    def __len__(self) -> int:
        """How many instruments there are."""
        return len(self._books)

    def _new(self, event: MarketEvent) -> BookState | None:
        if len(self._books) >= self._max:
            self._counters.ignored += 1
            return None
        book = self._books[(event.venue, event.symbol)] = BookState(event)
        return book

    def _stands(self, book: BookState, event: MarketEvent, now: float) -> None:
        book.newest = event
        book.lost = False
        self._due(book, now)

    def _drop(self, book: BookState, now: float) -> None:
        book.full = False
        if not book.lost:
            book.lost = True
            self._due(book, now)

    def _due(self, book: BookState, now: float) -> None:
        if self._every:
            self._pacer.touch(book, now)
        else:
            self._publish(book)  # each, not the newest of a batch

    def _publish(self, book: BookState) -> None:
        metrics = self._metrics(book)
        if metrics is None:
            self._counters.unusable += 1
        else:
            self._counters.metrics += 1
            self._out.append(metrics)

    def _metrics(self, book: BookState) -> BookMetrics | None:
        event = book.newest
        if book.lost:
            return bookmetrics.unknown(event)
        if isinstance(event, BookSnapshot):
            return bookmetrics.of_book(event, event.bids, event.asks, self._levels)
        return bookmetrics.of_quote(event) if isinstance(event, Quote) else None
