"""Compares a linked book with what the venue says of it elsewhere, and counts it. Pure; may touch the book.

A best bid and ask (bookTicker) of the book's own update must be the book's. One of a later update waits here until the
book has reached it, and if it waits for long, the changes of the book don't come any more. A fresh snapshot, moved to
the book's own update, must show the same levels as the book has.

Both may know levels that the book doesn't: the best one, when those that it knew have run out, or those far from the
price. The book takes them over. What a disagreement leads to is the matter of BookSync.
"""

from __future__ import annotations

from collections import Counter, deque

from feedbus.books.order_book import OrderBook
from feedbus.schema.events import Level, Quote

MAX_QUOTES = 1024
"""How many best bids and asks wait for the book to reach their update; those that come when there are so many aren't
compared."""

REACHED_WITHIN = 5.0
"""Seconds within which the changes of a book must have come after a best bid and ask, or a snapshot, of their update.
The venue gathers them for 1 s at most."""


class BookAudit:
    """The comparisons of one book. `waiting` are the best bids and asks of updates that the book hasn't reached, and
    always the same deque. `counts` are the totals of all books of the session."""

    __slots__ = ("_counts", "_oldest", "_since", "waiting")

    def __init__(self, counts: Counter[str]) -> None:
        self.waiting: deque[Quote] = deque()
        self._counts = counts
        self._oldest: Quote | None = None  # the first that waited, when it was last looked at
        self._since = 0.0  # when it became the first

    def wait(self, quote: Quote, now: float) -> None:
        """This best bid and ask is of an update that the book hasn't reached."""
        if not self.waiting:
            self._oldest, self._since = quote, now
        if len(self.waiting) < MAX_QUOTES:
            self.waiting.append(quote)

    def unreached(self, now: float) -> bool:
        """Whether a best bid and ask waits for too long."""
        if not self.waiting:
            return False
        if self.waiting[0] is not self._oldest:
            self._oldest, self._since = self.waiting[0], now
            return False
        if now < self._since + REACHED_WITHIN:
            return False
        self._counts["quotes_ahead"] += 1
        return True

    def confirmed_by_waiting(self, book: OrderBook, reached: int) -> bool:
        """Whether the best bid and ask of the update that the book has reached are the book's, if they came. The older
        ones are forgotten."""
        waiting, same = self.waiting, None
        while waiting and (waiting[0].venue_sequence or 0) <= reached:
            same = waiting.popleft()
        return same is None or same.venue_sequence != reached or self.confirmed_by_quote(book, same)

    def confirmed_by_quote(self, book: OrderBook, quote: Quote) -> bool:
        """Whether a best bid and ask of the book's own update are the book's. Where the book doesn't know its best
        level any more, they tell it."""
        self._counts["quotes_compared"] += 1
        right = True
        for side, price, size in ((book.bids, quote.bid, quote.bid_size), (book.asks, quote.ask, quote.ask_size)):
            told: Level | None = None if price is None or size is None else (price, size)
            if side.best is None and not side.whole:
                side.replace([told] if told else [], whole=False)
            else:
                right = right and side.best == told
        if not right:
            self._counts["quotes_disagreed"] += 1
        return right

    def confirmed_by_snapshot(self, book: OrderBook, fresh: OrderBook) -> bool:
        """Whether the book made of a fresh snapshot, at the same update, has the same levels as far as both know them.
        Then the book knows those beyond from now on, too."""
        picture = fresh.picture()
        self._counts["audits"] += 1
        if not book.agrees_with(picture):
            self._counts["audits_disagreed"] += 1
            return False
        book.widen(picture)
        return True
