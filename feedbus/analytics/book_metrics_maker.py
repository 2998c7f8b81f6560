"""The book metrics of all instruments: books and quotes go in, BookMetrics events come out when they are due.

Metrics are computed only for what will be published: of the books of one instrument that come within `book_every`
seconds, that is the newest. Quotes are used only where no full book is known. Books aren't kept here, so a delta can't
be applied: after one the metrics are unknown until the next full book. The same holds after a Gap.

The module is pure. Every `now` is in seconds by one monotonic clock.
"""

from __future__ import annotations

from collections.abc import Collection

from feedbus.analytics import book_metrics
from feedbus.analytics.options import AggregateCounters, Options
from feedbus.analytics.pacing import Pacer
from feedbus.schema.events import BookDelta, BookMetrics, BookSnapshot, MarketData, MarketEvent, Quote


class BookState:
    """What is known of one instrument's book."""

    __slots__ = ("has_full_book", "newest", "unknown")

    def __init__(self, newest: MarketEvent) -> None:
        self.newest = newest
        """The newest event: a book or a quote, or the delta that made the book unknown."""
        self.has_full_book = False
        """True while the newest full book is the truth; quotes are ignored then."""
        self.unknown = False
        """True once a delta or a Gap has made what was published untrue."""


class BookMetricsMaker:
    """Computes the metrics of all instruments.

    Call `take` after each message that was added, and at `next_due` when no message has come.
    """

    def __init__(self, options: Options, counters: AggregateCounters) -> None:
        self._levels = options.levels
        self._every = options.book_every
        self._max = options.max_instruments
        self._counters = counters
        self._books: dict[tuple[str, str], BookState] = {}  # by venue and symbol
        self._pacer = Pacer[BookState](options.book_every)
        self._out: list[MarketData] = []

    def add_book(self, event: BookSnapshot, now: float) -> None:
        """Takes in one full book."""
        self._counters.books += 1
        book = self._books.get((event.venue, event.symbol)) or self._new(event)
        if book is not None:
            book.has_full_book = True
            self._set_newest(book, event, now)

    def add_quote(self, event: Quote, now: float) -> None:
        """Takes in one quote; where a full book is known it changes nothing."""
        self._counters.quotes += 1
        book = self._books.get((event.venue, event.symbol)) or self._new(event)
        if book is not None and not book.has_full_book:
            self._set_newest(book, event, now)

    def add_delta(self, event: BookDelta, now: float) -> None:
        """Takes in one delta: the book that it changes isn't kept here, so the metrics become unknown."""
        self._counters.deltas += 1
        book = self._books.get((event.venue, event.symbol))
        if book is not None and book.has_full_book:
            book.newest = event
            self._set_unknown(book, now)

    def mark_gap(self, word: str, venue: str, symbol: str, now: float) -> None:
        """Notes that events are missing on one instrument's topic. `word` is the topic's first word: book or quote."""
        book = self._books.get((venue, symbol))
        # Metrics are concerned only if they come from that topic.
        if book is not None and book.has_full_book == (word == "book"):
            self._set_unknown(book, now)

    def mark_gap_in_venues(self, venues: Collection[str] | None, now: float) -> None:
        """Notes that events of any instrument of these venues may be missing; None means of all venues."""
        for book in self._books.values():
            if venues is None or book.newest.venue in venues:
                self._set_unknown(book, now)

    def take(self, now: float) -> list[MarketData]:
        """Returns the metrics that are to be published by `now`, in order."""
        for book in self._pacer.take(now):
            self._publish(book)
        out, self._out = self._out, []
        return out

    def next_due(self) -> float:
        """Returns when `take` is to be called next if no event comes before; infinity when nothing is waiting."""
        return self._pacer.next_due()

    def __len__(self) -> int:
        """How many instruments are known."""
        return len(self._books)

    def _new(self, event: MarketEvent) -> BookState | None:
        """Returns the state of a new instrument, or None when there are too many instruments already."""
        if len(self._books) >= self._max:
            self._counters.ignored += 1
            return None
        book = self._books[(event.venue, event.symbol)] = BookState(event)
        return book

    def _set_newest(self, book: BookState, event: MarketEvent, now: float) -> None:
        book.newest = event
        book.unknown = False
        self._changed(book, now)

    def _set_unknown(self, book: BookState, now: float) -> None:
        book.has_full_book = False
        if not book.unknown:  # that it is unknown is published once
            book.unknown = True
            self._changed(book, now)

    def _changed(self, book: BookState, now: float) -> None:
        if self._every:
            self._pacer.mark_changed(book, now)
        else:
            self._publish(book)  # at once: the pacer would publish only the newest book of a message

    def _publish(self, book: BookState) -> None:
        metrics = self._metrics(book)
        if metrics is None:
            self._counters.unusable += 1
        else:
            self._counters.metrics += 1
            self._out.append(metrics)

    def _metrics(self, book: BookState) -> BookMetrics | None:
        event = book.newest
        if book.unknown:
            return book_metrics.unknown(event)
        if isinstance(event, BookSnapshot):
            return book_metrics.of_book(event, event.bids, event.asks, self._levels)
        return book_metrics.of_quote(event) if isinstance(event, Quote) else None
