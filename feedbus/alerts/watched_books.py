"""The books of the instruments that rules about best prices concern. Pure.

Books come in full or in deltas, are lost and come back. `WatchedBook` keeps that of one instrument, and tells its
watches the best prices whenever the book may have changed, and when there is none any more.

A publisher that keeps a book doesn't publish one that is crossed: it says so in its status. Then there is no book, but
something is known of it: it is crossed, until the status says that something else is wrong, the book is there again, or
a status may be lost.

While an instrument isn't traded its book is there, but it is the last one of a session or that of an auction. Its
watches are told nothing of it then.
"""

from __future__ import annotations

from collections.abc import Sequence

from feedbus.alerts.states import CompiledRule, SharedState, Subject, Watch
from feedbus.books.books import Books, KeptBook, NoBook
from feedbus.schema.events import UNUSABLE_STATES, BookDelta, BookSnapshot, Gap, Status


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

    def on_told_crossed(self, now: int, ts_event: int) -> None:
        """Notes that there is no book any more, since the publisher says that it is crossed."""
        self.on_book_lost(now, ts_event)


def tells_crossed(event: Status) -> bool:
    """Whether a status says that the book itself is crossed."""
    return event.word == "book" and event.state == "gapped" and event.reason == "crossed"


class WatchedBook:
    """The book of one instrument, with the watches that judge it."""

    __slots__ = ("_all_watches", "_books", "_kept", "_shared", "_told_by", "_watches")

    def __init__(self, books: Books, kept: KeptBook, watches: Sequence[BookWatch], shared: SharedState) -> None:
        self._books = books
        self._kept = kept
        self._all_watches = tuple(watches)
        self._watches = self._all_watches  # none while the instrument is closed
        self._shared = shared
        self._told_by: str | None = None
        """Who says that the book is crossed."""
        self._look_whether_closed()

    def on_picture(self, event: BookSnapshot, now: int) -> None:
        """Takes in a full picture of the book."""
        kept = self._kept
        self._books.add_picture(kept, self._shared.publisher, event)
        if not kept.barred:
            self._told_by = None
        if kept.picture is not event:  # it was compared with the book that is there
            self.on_change(now, event.ts_event)
        elif not kept.barred:
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

    def on_status(self, publisher: str, event: Status, now: int) -> None:
        """Takes in a status of the instrument."""
        changed = self._books.add_status(publisher, event) is not None
        changed |= self._look_whether_closed()
        if tells_crossed(event):
            self._told_by = publisher
            for watch in self._watches:
                watch.on_told_crossed(now, event.ts_event)
            return
        if self._told_by is not None and event.word in ("", "book") and event.state in UNUSABLE_STATES:
            self._told_by = None
            changed = True
        if changed:
            self.on_change(now, event.ts_event)

    def on_gap(self, gap: Gap, now: int) -> None:
        """Takes in a Gap that may concern the book, after Books has: does anybody still know that it is crossed, or
        closed?"""
        changed = self._look_whether_closed()
        if self._told_by is not None and (gap.topic or gap.publisher == self._told_by):
            self._told_by = None
            changed = True
        if changed:
            self.on_change(now, 0)

    def _look_whether_closed(self) -> bool:
        """Returns whether the book is judged again, by what is said of it now."""
        was_closed = not self._watches
        is_closed = self._books.trust.said(self._kept.venue, self._kept.symbol, BookSnapshot.WORD).state == "closed"
        if is_closed and not was_closed:
            for watch in self._all_watches:
                watch.on_word_lost(BookSnapshot.WORD)
        self._watches = () if is_closed else self._all_watches
        return was_closed and not is_closed

    def on_change(self, now: int, ts_event: int) -> None:
        """Tells the watches what has become of the book."""
        best = self._kept.best
        if best is None:
            for watch in self._watches:
                watch.lost = self._kept.why_none
                watch.on_book_lost(now, ts_event)
            return
        bid, ask = best
        for watch in self._watches:
            watch.on_best(bid[0] if bid else None, ask[0] if ask else None, now, ts_event)
