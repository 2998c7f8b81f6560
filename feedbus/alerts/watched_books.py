"""The books of the instruments that rules about best prices concern. Pure.

Books come in full or in deltas, are lost and come back. `WatchedBook` keeps that of one instrument, and tells its
watches the best prices whenever the book may have changed, and when there is none any more.
"""

from __future__ import annotations

from collections.abc import Sequence

from feedbus.alerts.states import CompiledRule, SharedState, Subject, Watch
from feedbus.books.books import Books, KeptBook, NoBook
from feedbus.schema.events import BookDelta, BookSnapshot


class BookWatch(Watch):
    """A watch that judges the best prices of its instrument's book."""

    __slots__ = ("lost",)

    def __init__(self, rule: CompiledRule, subject: Subject, shared: SharedState) -> None:
        super().__init__(rule, subject, shared)
        self.lost: NoBook = ""
        """Why there was no book when `on_book_lost` was called last."""

    def on_best(self, bid: float | None, ask: float | None, now: int, ts_event: int) -> None:
        """Judges the best prices of a book that is right; None where a side is empty or its best level isn't known."""
        raise NotImplementedError

    def on_book_lost(self, now: int, ts_event: int) -> None:
        """Notes that there is no book any more that is right, until `on_best` is called again."""
        raise NotImplementedError


class WatchedBook:
    """The book of one instrument, with the watches that judge it."""

    __slots__ = ("_books", "_kept", "_shared", "_watches")

    def __init__(self, books: Books, kept: KeptBook, watches: Sequence[BookWatch], shared: SharedState) -> None:
        self._books = books
        self._kept = kept
        self._watches = watches
        self._shared = shared

    def on_picture(self, event: BookSnapshot, now: int) -> None:
        """Takes in a full picture of the book."""
        kept = self._kept
        self._books.add_picture(kept, self._shared.publisher, event)
        if not kept.stale:
            bids, asks = event.bids, event.asks
            bid, ask = bids[0][0] if bids else None, asks[0][0] if asks else None
            for watch in self._watches:
                watch.on_best(bid, ask, now, event.ts_event)

    def on_delta(self, event: BookDelta, now: int) -> None:
        """Takes in changes of the book."""
        kept = self._kept
        was_there = kept.there
        self._books.add_delta(kept, self._shared.publisher, event)
        if was_there:
            self.on_change(now, event.ts_event)

    def on_change(self, now: int, ts_event: int) -> None:
        """Tells the watches what has become of the book."""
        best = self._kept.best
        if best is None:
            for watch in self._watches:
                watch.lost = self._kept.missing or "stale"
                watch.on_book_lost(now, ts_event)
            return
        bid, ask = best
        for watch in self._watches:
            watch.on_best(bid[0] if bid else None, ask[0] if ask else None, now, ts_event)
