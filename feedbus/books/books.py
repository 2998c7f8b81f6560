"""The order books of all instruments, as a reader of the bus keeps them: messages go in, books come out. Pure.

    books = feedbus.Books()
    async with feedbus.subscribe(topics=feedbus.Books.TOPICS) as bus:
        async for header, events in bus.messages():
            books.apply(header, events)
            book = books.get("binance", "BTCUSDT")     # an OrderBook, or None: why_none() says why

Some venues send full books, and some the changes alone. Both look the same here: a full picture is the book, a delta
changes it. A book is there only while it is right. A Gap, a hole in the venue's numbers, and a status that says that
the book isn't right take it away, until the next full picture comes. Publishers repeat the pictures of books that come
in deltas every few seconds. A reader that has such a book compares it with the picture of the same moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal, Protocol

import msgspec

from feedbus.books.book_side import MAX_LEVELS
from feedbus.books.order_book import OrderBook
from feedbus.schema.events import BookDelta, BookSnapshot, Gap, Level, MarketData, Status

MAX_BOOKS = 20_000
"""The most books that are kept unless it is said otherwise."""

NoBook = Literal["", "no picture yet", "gap", "hole", "resyncing", "gapped", "stale", "unsubscribed", "too many books"]
"""Why there is no book: "" when there is one; no full picture has come since the reader began; messages were lost on
the bus (gap); a delta doesn't follow from what was there (hole); a status says that the publisher has no right book
(its state); or more than `max_books` instruments have books."""

_WITHOUT_A_BOOK: tuple[NoBook, ...] = ("resyncing", "gapped", "unsubscribed")
BestLevels = tuple[Level | None, Level | None]
"""The best bid and the best ask. None: the side is empty, or its best level isn't known."""


class FromPublisher(Protocol):
    """What is needed of the header of a message: feedbus.bus.receiver.Header has it."""

    @property
    def publisher(self) -> str: ...


class BooksCounters(msgspec.Struct):
    """Plain totals.

    pictures    full books that were taken in; checks are those that came for a book that was there by deltas
    disagreed   checks that found another book here than in the picture, which was then taken
    deltas      deltas that were applied; repeats are those that held nothing new
    passed_over deltas that came while there was no book
    holes       deltas that didn't follow from the book that was there
    gaps        Gaps by which books were lost
    ignored     events about instruments beyond `max_books`
    """

    pictures: int = 0
    checks: int = 0
    disagreed: int = 0
    deltas: int = 0
    repeats: int = 0
    passed_over: int = 0
    holes: int = 0
    gaps: int = 0
    ignored: int = 0


class KeptBook:
    """What is known of one instrument's book. Books makes it once for each instrument and changes it from then on, so a
    reader that has a place for each instrument may keep it there, and saves a look-up for each event."""

    __slots__ = ("book", "by_deltas", "missing", "picture", "publisher", "stale", "symbol", "venue")

    def __init__(self, publisher: str, venue: str, symbol: str) -> None:
        self.publisher = publisher
        self.venue = venue
        self.symbol = symbol
        self.missing: NoBook = "no picture yet"
        self.stale = False
        # A full picture that no delta and no question has followed yet isn't made into an OrderBook.
        self.picture: BookSnapshot | None = None
        self.book: OrderBook | None = None
        self.by_deltas = False  # whether a delta was applied since the last picture that was taken

    @property
    def there(self) -> bool:
        """Whether there is a book that is right: it is `picture`, or `book` where that is None."""
        return not self.missing and not self.stale

    @property
    def best(self) -> BestLevels | None:
        """The best bid and ask; None when there is no book that is right."""
        if self.missing or self.stale:
            return None
        if (picture := self.picture) is not None:
            return (picture.bids[0] if picture.bids else None, picture.asks[0] if picture.asks else None)
        return (self.book.bids.best, self.book.asks.best) if self.book is not None else None


class Books:
    """The books of all instruments. `counters` are its totals."""

    TOPICS: ClassVar[tuple[str, ...]] = ("book", "status")
    """The topics that have to be subscribed, for all venues."""

    def __init__(self, *, max_books: int = MAX_BOOKS, max_levels: int = MAX_LEVELS) -> None:
        """At most `max_books` books with at most `max_levels` levels a side are kept; what is beyond is left out."""
        self.counters = BooksCounters()
        self._max_books = max_books
        self._max_levels = max_levels
        self._kept: dict[str, dict[str, KeptBook]] = {}  # by venue and symbol
        self._count = 0

    @staticmethod
    def topics(venue: str, symbol: str) -> list[str]:
        """The topics that have to be subscribed for one instrument."""
        return [f"{word}.{venue}.{symbol}" for word in Books.TOPICS]

    # Taking in

    def apply(self, header: FromPublisher, events: Sequence[MarketData | Gap]) -> None:
        """Takes in one message as a subscription's `messages` yields it. Events that aren't about books are passed
        over."""
        for event in events:
            self.add(header.publisher, event)

    def add(self, publisher: str, event: MarketData | Gap) -> None:
        """Takes in one event of this publisher."""
        if isinstance(event, BookSnapshot):
            kept = self.kept(publisher, event.venue, event.symbol)
            if kept is not None:
                self.add_picture(kept, publisher, event)
        elif isinstance(event, BookDelta):
            kept = self.kept(publisher, event.venue, event.symbol)
            if kept is not None:
                self.add_delta(kept, publisher, event)
        elif isinstance(event, Status):
            self.add_status(publisher, event)
        elif isinstance(event, Gap):
            self.add_gap(event)

    # Taking in, for a reader that keeps each KeptBook itself

    def kept(self, publisher: str, venue: str, symbol: str) -> KeptBook | None:
        """What is known of this instrument's book; None when there are too many already."""
        symbols = self._kept.get(venue)
        kept = symbols.get(symbol) if symbols is not None else None
        return kept if kept is not None else self._new(publisher, venue, symbol)

    def add_picture(self, kept: KeptBook, publisher: str, event: BookSnapshot) -> None:
        """Takes in a full picture of this book. It is there from now on, unless it is stale."""
        self.counters.pictures += 1
        kept.publisher = publisher
        if kept.by_deltas:
            if not kept.missing and kept.book is not None and kept.book.sequence == event.venue_sequence is not None:
                self._check(kept.book, event)
                return
            kept.by_deltas = False
        kept.missing = ""
        kept.picture = event

    def add_delta(self, kept: KeptBook, publisher: str, event: BookDelta) -> bool:
        """Takes in changes of this book, and returns whether they were applied. When they don't follow from what was
        there, the book is lost by them."""
        kept.publisher = publisher
        if kept.missing:
            self.counters.passed_over += 1
            return False
        book = kept.book if kept.picture is None and kept.book is not None else self._book(kept)
        first, last = event.first_venue_sequence, event.last_venue_sequence
        if first is not None and last is not None:
            reached = book.sequence
            if reached is None or first > reached + 1:
                self.counters.holes += 1
                self._lose(kept, "hole")
                return False
            if last <= reached:
                self.counters.repeats += 1
                return False
            book.sequence = last
        self.counters.deltas += 1
        book.update(event.bids, event.asks)
        book.ts_event, book.ts_recv = event.ts_event, event.ts_recv
        kept.by_deltas = True
        return True

    def add_status(self, publisher: str, event: Status) -> KeptBook | None:
        """Takes in a status, and returns the book that is lost or back by it."""
        if event.word not in ("", "book"):
            return None
        kept = self.kept(publisher, event.venue, event.symbol)
        if kept is None:
            return None
        was_there = kept.there
        kept.stale = event.state == "stale"
        for state in _WITHOUT_A_BOOK:
            if event.state == state:
                self._lose(kept, state)
        return kept if kept.there != was_there else None

    def add_gap(self, gap: Gap) -> list[KeptBook]:
        """Takes in a Gap, and returns the books that are lost by it."""
        concerned: Iterable[KeptBook | None]
        if not gap.topic:
            all_kept = (kept for symbols in self._kept.values() for kept in symbols.values())
            concerned = (kept for kept in all_kept if kept.publisher == gap.publisher)
        else:
            word, _, rest = gap.topic.partition(".")
            venue, _, symbol = rest.partition(".")
            concerned = (self._find(venue, symbol),) if word in self.TOPICS else ()
        lost = []
        for kept in concerned:
            if kept is not None and not kept.missing:
                self.counters.gaps += 1
                if kept.there:
                    lost.append(kept)
                self._lose(kept, "gap")
        return lost

    # Asking

    def get(self, venue: str, symbol: str) -> OrderBook | None:
        """The book of this instrument; None when there is none that is right.

        It is the one that is kept here: the next call of `apply` may change it, and a book that is lost isn't changed
        any more.
        """
        kept = self._find(venue, symbol)
        if kept is None or kept.missing or kept.stale:
            return None
        return self._book(kept)

    def why_none(self, venue: str, symbol: str) -> NoBook:
        """Why there is no book of this instrument; "" when there is one."""
        kept = self._find(venue, symbol)
        if kept is None:
            return "too many books" if self._count >= self._max_books else "no picture yet"
        return kept.missing or ("stale" if kept.stale else "")

    def best(self, venue: str, symbol: str) -> BestLevels | None:
        """The best bid and ask of this instrument; None when there is no book that is right. It costs less than to ask
        the book where the venue sends full books."""
        kept = self._find(venue, symbol)
        return None if kept is None else kept.best

    def knows(self, venue: str, symbol: str) -> bool:
        """Whether anything was ever said of this instrument's book."""
        return self._find(venue, symbol) is not None

    def __len__(self) -> int:
        """How many instruments are known, with a book or without."""
        return self._count

    # Inside

    def _find(self, venue: str, symbol: str) -> KeptBook | None:
        symbols = self._kept.get(venue)
        return symbols.get(symbol) if symbols is not None else None

    def _new(self, publisher: str, venue: str, symbol: str) -> KeptBook | None:
        if self._count >= self._max_books:
            self.counters.ignored += 1
            return None
        self._count += 1
        kept = self._kept.setdefault(venue, {})[symbol] = KeptBook(publisher, venue, symbol)
        return kept

    def _book(self, kept: KeptBook) -> OrderBook:
        """The book itself, made of the newest picture if that hasn't been done yet."""
        if kept.book is None:
            kept.book = OrderBook(max_levels=self._max_levels)
        if (picture := kept.picture) is not None:
            kept.picture = None
            kept.book.venue, kept.book.symbol = picture.venue, picture.symbol
            kept.book.take_picture(picture)
        return kept.book

    def _check(self, book: OrderBook, event: BookSnapshot) -> None:
        """A picture of the moment at which the book is. The publisher is right if they differ; where it knows more, the
        book is made wider."""
        self.counters.checks += 1
        if book.agrees_with(event):
            book.widen(event)
        else:
            self.counters.disagreed += 1
            book.take_picture(event)

    @staticmethod
    def _lose(kept: KeptBook, why: NoBook) -> None:
        """There is no book any more, until a full picture comes. Whoever holds the old one must see that, too: so it is
        let go, not changed."""
        kept.missing = why
        kept.picture = kept.book = None
        kept.by_deltas = False
