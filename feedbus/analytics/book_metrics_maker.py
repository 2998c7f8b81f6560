"""The book metrics of all instruments: books and quotes go in, BookMetrics events come out when they are due.

Metrics are computed only for what will be published: of the books of one instrument that come within `book_every`
seconds, that is the newest, and of the deltas the book after the last of them. Books are kept by feedbus.books.Books,
whatever a venue sends. When a book is lost, the metrics are unknown until it is back. Quotes are used only where there
is no book.

The module is pure. Every `now` is in seconds by one monotonic clock.
"""

from __future__ import annotations

from collections.abc import Collection

from feedbus.analytics import book_metrics
from feedbus.analytics.options import AggregateCounters, Options
from feedbus.analytics.pacing import Pacer
from feedbus.books.book_side import NEAR_LEVELS
from feedbus.books.books import Books, KeptBook
from feedbus.schema.events import (
    UNUSABLE_STATES,
    BookDelta,
    BookMetrics,
    BookSnapshot,
    Gap,
    MarketData,
    MarketEvent,
    Quote,
    Status,
)


class BookState:
    """What is known of one instrument's book, and what is published of it: the metrics of the book when there is one,
    otherwise those of the newest quote, or that they are unknown."""

    __slots__ = ("kept", "newest", "unknown")

    def __init__(self, newest: MarketEvent) -> None:
        self.kept: KeptBook | None = None
        """None as long as there have only been quotes."""
        self.newest = newest
        """The newest event that changed what is to be published."""
        self.unknown = True
        """True when there is neither a book nor a quote that is still true."""


class BookMetricsMaker:
    """Computes the metrics of all instruments.

    Set `publisher` to the publisher of a message before its events are added. Call `take` after each message, and at
    `next_due` when no message has come.
    """

    def __init__(self, options: Options, counters: AggregateCounters) -> None:
        self.publisher = ""
        self._levels = options.levels
        self._every = options.book_every
        self._max = options.max_instruments
        self._counters = counters
        # Each kept book has a state here, so there can't be too many of them.
        self._books = Books(max_books=self._max, max_levels=max(NEAR_LEVELS, 2 * options.levels[-1]))
        self._add_picture = self._books.add_picture
        self._books_left_out = 0
        self._states: dict[tuple[str, str], BookState] = {}  # by venue and symbol
        self._pacer = Pacer[BookState](options.book_every)
        self._out: list[MarketData] = []

    def add_book(self, event: BookSnapshot, now: float) -> None:
        """Takes in one full book."""
        state = self._states.get((event.venue, event.symbol)) or self._new(event)
        kept = None if state is None else state.kept or self._keep(state)
        if state is None or kept is None:
            self._books_left_out += 1
            return
        self._add_picture(kept, self.publisher, event)
        if not kept.barred:
            # As _show, but without calls: this runs for each book.
            state.newest = event
            state.unknown = False
            if not self._every:
                self._publish(state)
            elif state not in self._pacer.waiting:
                self._pacer.mark_changed(state, now)

    def add_quote(self, event: Quote, now: float) -> None:
        """Takes in one quote; where there is a book it changes nothing."""
        self._counters.quotes += 1
        state = self._states.get((event.venue, event.symbol)) or self._new(event)
        if state is not None and (state.kept is None or not state.kept.there):
            self._show(state, event, now)

    def add_delta(self, event: BookDelta, now: float) -> None:
        """Takes in one delta: the book that it changes is published, or that there is none any more."""
        self._counters.deltas += 1
        state = self._states.get((event.venue, event.symbol))
        if state is None or state.kept is None:
            self._books.counters.passed_over += 1
            return
        kept = state.kept
        was_there = kept.there
        if self._books.add_delta(kept, self.publisher, event):
            if was_there:
                self._show(state, event, now)
        elif was_there and kept.missing:
            self._set_unknown(state, event, now)

    def add_status(self, event: Status, now: float) -> None:
        """Takes in what a publisher says of one instrument: its book may be lost or back by it, and its quotes may not
        be used any more."""
        changed = self._books.add_status(self.publisher, event)
        state = self._states.get((event.venue, event.symbol))
        if state is None:
            return
        if changed is not None and changed.there:
            self._show(state, event, now)
        elif changed is not None or (
            isinstance(state.newest, Quote) and event.word in ("", "quote") and event.state in UNUSABLE_STATES
        ):
            self._set_unknown(state, event, now)

    def add_gap(self, gap: Gap, venues: Collection[str] | None, now: float) -> None:
        """Takes in a Gap. When it names no topic, quotes of any instrument of these venues may be missing; None means
        of all venues."""
        for kept in self._books.add_gap(gap):
            state = self._states[(kept.venue, kept.symbol)]
            self._set_unknown(state, state.newest, now)
        word, _, rest = gap.topic.partition(".")
        if not gap.topic:
            for state in self._states.values():
                if venues is None or state.newest.venue in venues:
                    self._lose_quote(state, now)
        elif word == "quote":
            venue, _, symbol = rest.partition(".")
            if (found := self._states.get((venue, symbol))) is not None:
                self._lose_quote(found, now)

    def take(self, now: float) -> list[MarketData]:
        """Returns the metrics that are to be published by `now`, in order."""
        for state in self._pacer.take(now):
            self._publish(state)
        out, self._out = self._out, []
        return out

    def next_due(self) -> float:
        """Returns when `take` is to be called next if no event comes before; infinity when nothing is waiting."""
        return self._pacer.next_due()

    def count_books(self) -> None:
        """Brings those counters up to date that Books counts."""
        books, counters = self._books.counters, self._counters
        counters.books = books.pictures + self._books_left_out
        counters.passed_over, counters.holes, counters.disagreed = books.passed_over, books.holes, books.disagreed

    def __len__(self) -> int:
        """How many instruments are known."""
        return len(self._states)

    def _new(self, event: MarketEvent) -> BookState | None:
        """Returns the state of a new instrument, or None when there are too many instruments already."""
        if len(self._states) >= self._max:
            self._counters.ignored += 1
            return None
        state = self._states[(event.venue, event.symbol)] = BookState(event)
        return state

    def _keep(self, state: BookState) -> KeptBook | None:
        state.kept = self._books.kept(self.publisher, state.newest.venue, state.newest.symbol)
        return state.kept

    def _show(self, state: BookState, event: MarketEvent, now: float) -> None:
        """Notes that what is there by this event is to be published."""
        state.newest = event
        state.unknown = False
        self._changed(state, now)

    def _set_unknown(self, state: BookState, event: MarketEvent, now: float) -> None:
        if not state.unknown:  # that it is unknown is published once
            state.newest = event
            state.unknown = True
            self._changed(state, now)

    def _lose_quote(self, state: BookState, now: float) -> None:
        if isinstance(state.newest, Quote):
            self._set_unknown(state, state.newest, now)

    def _changed(self, state: BookState, now: float) -> None:
        if self._every:
            self._pacer.mark_changed(state, now)
        else:
            self._publish(state)  # at once: the pacer would publish only the newest book of a message

    def _publish(self, state: BookState) -> None:
        metrics = self._metrics(state)
        if metrics is None:
            self._counters.unusable += 1
        else:
            self._counters.metrics += 1
            self._out.append(metrics)

    def _metrics(self, state: BookState) -> BookMetrics | None:
        if state.unknown:
            return book_metrics.unknown(state.newest)
        if isinstance(state.newest, Quote):
            return book_metrics.of_quote(state.newest)
        kept = state.kept
        if kept is not None and (picture := kept.picture) is not None:
            return book_metrics.of_book(
                picture, picture.bids, picture.asks, self._levels,
                bids_whole=picture.bids_whole, asks_whole=picture.asks_whole,
            )  # fmt: skip
        if kept is None or (book := kept.book) is None:
            return None
        deepest, bids, asks = self._levels[-1], book.bids, book.asks
        return book_metrics.of_book(
            book, bids.top(deepest), asks.top(deepest), self._levels, bids_whole=bids.whole, asks_whole=asks.whole
        )
