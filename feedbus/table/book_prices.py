"""The best prices of order books in the live table: those of the book while it is right, none while it isn't. Pure.

Books come in full or in deltas, and are kept by feedbus.books.Books. Of a book, a quote and a ticker a row shows
whichever is newest. What a book showed goes with the book.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

from feedbus.books.book_side import NEAR_LEVELS
from feedbus.books.books import Books, KeptBook
from feedbus.schema.events import BookDelta, BookSnapshot, Gap, Status

BestFrom = Literal["ticker", "quote", "book"]
"""The kinds of events that best prices are shown of."""


class HasBest(Protocol):
    """What is needed of a row: its instrument, its best prices, when and by what these were set, and its book (None
    until there has been a full one)."""

    venue: str
    symbol: str
    bid: float | None
    ask: float | None
    best_at: int
    best_from: BestFrom
    book: KeptBook | None


def set_best(row: HasBest, bid: float | None, ask: float | None, at: int, source: BestFrom) -> None:
    """Shows these prices in the row, unless it has newer ones."""
    if at >= row.best_at:
        row.bid, row.ask, row.best_at, row.best_from = bid, ask, at, source


class BookPrices:
    """The books of the rows of a table. Set `publisher` to the publisher of an event before the event is read. `trust`
    is what is said of all words of all instruments, as far as `add_status` and `add_gap` were told."""

    def __init__(self, rows: Mapping[tuple[str, str], HasBest], max_books: int) -> None:
        """`rows` are the table's, by venue and symbol."""
        self.publisher = ""
        self._rows = rows
        self._books = Books(max_books=max_books, max_levels=NEAR_LEVELS)
        self.trust = self._books.trust
        self._add_picture = self._books.add_picture

    def read_book(self, row: HasBest, event: BookSnapshot, at: int) -> None:
        """Takes in a full picture of the row's book."""
        kept = row.book
        if kept is None:
            kept = row.book = self._books.kept(self.publisher, row.venue, row.symbol)
            if kept is None:
                return
        self._add_picture(kept, self.publisher, event)
        if kept.picture is not event:  # it was compared with the book that is there
            self._changed(row, kept, at)
        elif not kept.barred and at >= row.best_at:
            # As set_best, but without a call: this runs for each book.
            bids, asks = event.bids, event.asks
            row.bid = bids[0][0] if bids else None
            row.ask = asks[0][0] if asks else None
            row.best_at = at
            row.best_from = "book"

    def read_delta(self, row: HasBest, event: BookDelta, at: int) -> None:
        """Takes in changes of the row's book."""
        kept = row.book
        if kept is not None:
            self._books.add_delta(kept, self.publisher, event)
            self._changed(row, kept, at)

    def add_status(self, event: Status) -> None:
        """Takes in what the publisher says of an instrument."""
        kept = self._books.add_status(self.publisher, event)
        if kept is not None and (row := self._rows.get((kept.venue, kept.symbol))) is not None:
            self._changed(row, kept, event.ts_recv)

    def add_gap(self, gap: Gap, now: int) -> None:
        """Takes in a Gap that came at `now`."""
        for kept in self._books.add_gap(gap, now):
            if (row := self._rows.get((kept.venue, kept.symbol))) is not None:
                self._changed(row, kept, row.best_at)

    @staticmethod
    def _changed(row: HasBest, kept: KeptBook, at: int) -> None:
        best = kept.best
        if best is not None:
            bid, ask = best
            set_best(row, bid[0] if bid else None, ask[0] if ask else None, at, "book")
        elif row.best_from == "book":
            # Nothing is known, so the next ticker is taken as it is.
            row.bid, row.ask, row.best_from = None, None, "ticker"
