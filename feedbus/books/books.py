"""The order books of all instruments, as a reader of the bus keeps them: messages go in, books come out. Pure.

    books = feedbus.Books()
    async with feedbus.subscribe(topics=feedbus.Books.TOPICS) as bus:
        async for header, events in bus.messages():
            books.apply(header, events)
            book = books.get("binance", "BTCUSDT")     # an OrderBook, or None: why_none() says why

Some venues send full books, and some the changes alone. Both look the same here: a full picture is the book, a delta
changes it. A book is there only while it is right: its data must be, and what is said of it (feedbus.trust) must
let it be used. A Gap in the data, a hole in the venue's numbers, and a status that says that the publisher has no right
book lose it until the next full picture comes. Publishers repeat the pictures of books that come in deltas every few
seconds. A reader that has such a book compares it with the picture of the same moment.

A book whose publisher says nothing any more, or whose status may have been lost, is kept all the while and changed by
what comes, and is there again as soon as its status is said again. If anything of it is missing by then, that is a Gap
of its own.

A picture of the same moment is one with the number of the book that is there. Of a book in deltas it shows the best
levels again, so the wider of the two is kept. Of a venue that sends nothing but pictures the number may mean less, so
there each picture is the book. Such a venue shows itself: pictures with other numbers follow one another, and no delta
comes between. A number of 0 is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import msgspec

from feedbus.books.book_side import MAX_LEVELS
from feedbus.books.order_book import OrderBook
from feedbus.schema.events import BookDelta, BookSnapshot, Gap, Level, MarketData, Status, TrustState
from feedbus.trust import readers_trust
from feedbus.trust.readers_trust import UNHEARD, FromPublisher, Trust

MAX_BOOKS = 20_000
"""The most books that are kept unless it is said otherwise."""

NoBook = Literal[
    "",
    "no picture yet",
    "gap",
    "hole",
    "resyncing",
    "gapped",
    "stale",
    "unsubscribed",
    "publisher silent",
    "too many books",
]
"""Why there is no book: "" when there is one; no full picture has come since the reader began; messages were lost on
the bus (gap); a delta doesn't follow from what was there (hole); a status says that the publisher has no right book, or
that the book is stale (its state); the publisher says nothing any more; or more than `max_books` instruments have
books."""

_WITHOUT_A_BOOK: tuple[NoBook, ...] = ("resyncing", "gapped", "unsubscribed")
_STATES: Mapping[TrustState, NoBook] = {
    "resyncing": "resyncing", "gapped": "gapped", "stale": "stale", "unsubscribed": "unsubscribed"
}  # fmt: skip
_BOOK = BookSnapshot.WORD
BestLevels = tuple[Level | None, Level | None]
"""The best bid and the best ask. None: the side is empty, or its best level isn't known."""


class BooksCounters(msgspec.Struct):
    """Plain totals.

    pictures    full books that came; checks are those of the same moment as the book that was there
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

    __slots__ = ("barred", "book", "comes_in", "missing", "others", "picture", "publisher", "symbol", "venue")

    def __init__(self, publisher: str, venue: str, symbol: str) -> None:
        # Who made the book by a picture, and who has changed it since: a Gap of one of them concerns it.
        self.publisher = publisher
        self.others: tuple[str, ...] = ()
        self.venue = venue
        self.symbol = symbol
        self.missing: NoBook = "no picture yet"  # why the data isn't right
        self.barred: NoBook = ""  # why it may not be used by what is said of it
        # A full picture that no delta and no question has followed yet isn't made into an OrderBook.
        self.picture: BookSnapshot | None = None
        self.book: OrderBook | None = None
        self.comes_in: Literal["", "deltas", "pictures"] = ""  # what has shown itself since the book was lost last

    @property
    def there(self) -> bool:
        """Whether there is a book that is right: it is `picture`, or `book` where that is None."""
        return not self.missing and not self.barred

    @property
    def why_none(self) -> NoBook:
        """Why there is no book that is right; "" when there is one. What a publisher said that says nothing any more
        is no reason beside that."""
        if self.barred and (self.barred == "publisher silent" or self.missing in ("", "no picture yet")):
            return self.barred
        return self.missing

    @property
    def best(self) -> BestLevels | None:
        """The best bid and ask; None when there is no book that is right."""
        if self.missing or self.barred:
            return None
        if (picture := self.picture) is not None:
            return (picture.bids[0] if picture.bids else None, picture.asks[0] if picture.asks else None)
        return (self.book.bids.best, self.book.asks.best) if self.book is not None else None


class Books:
    """The books of all instruments. `counters` are its totals. `trust` is what is said of all words of all instruments,
    as far as `apply` was given it; nobody else may add to it.
    """

    TOPICS: ClassVar[tuple[str, ...]] = ("book", "status")
    """The topics that have to be subscribed, for all venues."""

    def __init__(self, *, max_books: int = MAX_BOOKS, max_levels: int = MAX_LEVELS) -> None:
        """At most `max_books` books with at most `max_levels` levels a side are kept; what is beyond is left out."""
        self.counters = BooksCounters()
        self.trust = Trust(max_instruments=max(max_books, readers_trust.MAX_INSTRUMENTS), reads=("book",))
        self._max_books = max_books
        self._max_levels = max_levels
        self._kept: dict[str, dict[str, KeptBook]] = {}  # by venue and symbol
        self._count = 0

    @staticmethod
    def topics(venue: str, symbol: str) -> list[str]:
        """The topics that have to be subscribed for one instrument."""
        return [f"{word}.{venue}.{symbol}" for word in Books.TOPICS]

    # Taking in

    def apply(self, header: FromPublisher, events: Sequence[MarketData | Gap], now: int = 0) -> None:
        """Takes in one message as a subscription's `messages` yields it. Events that aren't about books are passed
        over. `now` (ns since the epoch) is since when `trust` says what it found out itself."""
        for event in events:
            self.add(header.publisher, event, now)

    def add(self, publisher: str, event: MarketData | Gap, now: int = 0) -> None:
        """Takes in one event of this publisher."""
        if isinstance(event, BookSnapshot):
            kept = self.kept(publisher, event.venue, event.symbol)
            if kept is not None:
                self.add_picture(kept, publisher, event)
            if self.trust.awaits_data:
                self.trust.add_data(event)
        elif isinstance(event, BookDelta):
            kept = self.kept(publisher, event.venue, event.symbol)
            if kept is not None:
                self.add_delta(kept, publisher, event)
        elif isinstance(event, Status):
            self.add_status(publisher, event)
        elif isinstance(event, Gap):
            self.add_gap(event, now)
        elif self.trust.awaits_data:
            self.trust.add_data(event)

    # Taking in, for a reader that keeps each KeptBook itself

    def kept(self, publisher: str, venue: str, symbol: str) -> KeptBook | None:
        """What is known of this instrument's book; None when there are too many already."""
        symbols = self._kept.get(venue)
        kept = symbols.get(symbol) if symbols is not None else None
        return kept if kept is not None else self._new(publisher, venue, symbol)

    def add_picture(self, kept: KeptBook, publisher: str, event: BookSnapshot) -> None:
        """Takes in a full picture of this book. It is there from now on, unless it is barred."""
        self.counters.pictures += 1
        if kept.comes_in != "pictures":
            number = event.venue_sequence
            if number and not kept.missing:
                reached = self._reached(kept)
                if number == reached:
                    self._check(kept, publisher, event)
                    return
                if reached and not kept.comes_in and publisher == kept.publisher:
                    kept.comes_in = "pictures"
            kept.others = ()
        kept.publisher = publisher
        kept.missing = ""
        kept.picture = event

    def add_delta(self, kept: KeptBook, publisher: str, event: BookDelta) -> bool:
        """Takes in changes of this book, and returns whether they were applied. When they don't follow from what was
        there, the book is lost by them."""
        kept.comes_in = "deltas"
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
                if last == reached and publisher == kept.publisher:
                    kept.others = ()  # it has said all this itself by now
                return False
            book.sequence = last
        self.counters.deltas += 1
        book.update(event.bids, event.asks)
        book.ts_event, book.ts_recv = event.ts_event, event.ts_recv
        if publisher != kept.publisher and publisher not in kept.others:
            kept.others += (publisher,)
        return True

    def add_status(self, publisher: str, event: Status) -> KeptBook | None:
        """Takes in a status, and returns the book that is lost or back by it."""
        self.trust.add_status(publisher, event)
        if event.word not in ("", _BOOK):
            return None
        kept = self._find(event.venue, event.symbol)
        if kept is None:
            return None
        was_there = kept.there
        kept.barred = self._barred(kept.venue, kept.symbol)
        for state in _WITHOUT_A_BOOK:
            if event.state == state:
                self._lose(kept, state)
        return kept if kept.there != was_there else None

    def add_gap(self, gap: Gap, now: int = 0) -> list[KeptBook]:
        """Takes in a Gap, and returns the books that are lost by it."""
        self.trust.add_gap(gap, now)
        word, _, rest = gap.topic.partition(".")
        if not gap.topic:
            concerned = [kept for symbols in self._kept.values() for kept in symbols.values()]
        elif word in self.TOPICS:
            venue, _, symbol = rest.partition(".")
            found = self._find(venue, symbol)
            concerned = [] if found is None else [found]
        else:
            return []
        lost = []
        for kept in concerned:
            was_there, had_data = kept.there, not kept.missing
            kept.barred = self._barred(kept.venue, kept.symbol)
            self._doubt_data(kept, gap, word)
            self.counters.gaps += (was_there and not kept.there) or (had_data and bool(kept.missing))
            if was_there and not kept.there:
                lost.append(kept)
        return lost

    def _doubt_data(self, kept: KeptBook, gap: Gap, word: str) -> None:
        """Loses a book of which data may be missing. Where only statuses may be, or its publisher says nothing any
        more, the book is barred until the same publisher says how it is: for then the data is kept."""
        if kept.missing or not (word or gap.publisher == kept.publisher or gap.publisher in kept.others):
            return
        is_silence = gap.cause == "silent"
        bars = self.trust.speaker(kept.venue, kept.symbol, _BOOK) == gap.publisher
        if not (bars and (is_silence or word == Status.WORD)):
            self._lose(kept, "publisher silent" if is_silence else "gap")

    # Asking

    def get(self, venue: str, symbol: str) -> OrderBook | None:
        """The book of this instrument; None when there is none that is right.

        It is the one that is kept here: the next call of `apply` may change it, and a book that is lost isn't changed
        any more.
        """
        kept = self._find(venue, symbol)
        if kept is None or not kept.there:
            return None
        return self._book(kept)

    def why_none(self, venue: str, symbol: str) -> NoBook:
        """Why there is no book of this instrument; "" when there is one."""
        kept = self._find(venue, symbol)
        if kept is not None:
            return kept.why_none
        return "too many books" if self._count >= self._max_books else self._barred(venue, symbol) or "no picture yet"

    def best(self, venue: str, symbol: str) -> BestLevels | None:
        """The best bid and ask of this instrument; None when there is no book that is right. It costs less than to ask
        the book where the venue sends full books."""
        kept = self._find(venue, symbol)
        return None if kept is None else kept.best

    def __len__(self) -> int:
        """How many instruments have had a book, or changes of one."""
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
        kept.barred = self._barred(venue, symbol)
        return kept

    def _barred(self, venue: str, symbol: str) -> NoBook:
        """Why a book may not be used by what is said of it; "" where it may, or nothing was ever said: a publisher that
        says nothing of its books publishes only what is right."""
        said = self.trust.said(venue, symbol, _BOOK)
        if said is UNHEARD or said.usable:
            return ""
        if said.reason == "publisher_silent":
            return "publisher silent"
        return "gap" if said.reason == "lost" else _STATES[said.state]

    def _book(self, kept: KeptBook) -> OrderBook:
        """The book itself, made of the newest picture if that hasn't been done yet."""
        if kept.book is None:
            kept.book = OrderBook(max_levels=self._max_levels)
        if (picture := kept.picture) is not None:
            kept.picture = None
            kept.book.venue, kept.book.symbol = picture.venue, picture.symbol
            kept.book.take_picture(picture)
        return kept.book

    @staticmethod
    def _reached(kept: KeptBook) -> int | None:
        """The number of the book, or of the picture that it will be made of."""
        if kept.picture is not None:
            return kept.picture.venue_sequence
        return kept.book.sequence if kept.book is not None else None

    def _check(self, kept: KeptBook, publisher: str, event: BookSnapshot) -> None:
        """A picture of the moment at which the book is. The publisher is right if they differ; where it knows more, the
        book is made wider."""
        self.counters.checks += 1
        if kept.picture is not None and _is_top_of(event, kept.picture):
            return
        book = self._book(kept)
        if not book.agrees_with(event):
            self.counters.disagreed += 1
            kept.publisher, kept.others, kept.picture = publisher, (), event
        elif book.widen(event) and publisher != kept.publisher and publisher not in kept.others:
            kept.others += (publisher,)

    @staticmethod
    def _lose(kept: KeptBook, why: NoBook) -> None:
        """There is no book any more, until a full picture comes. Whoever holds the old one must see that, too: so it is
        let go, not changed."""
        kept.missing = why
        kept.picture = kept.book = None
        kept.comes_in, kept.others = "", ()


def _is_top_of(event: BookSnapshot, picture: BookSnapshot) -> bool:
    """Whether a picture shows the best levels of another one and nothing besides. It is a quick test: where it fails,
    the two may agree all the same."""
    bids, asks = event.bids, event.asks
    return (
        bids == picture.bids[: len(bids)]
        and asks == picture.asks[: len(asks)]
        and (not event.bids_whole or (picture.bids_whole and len(bids) == len(picture.bids)))
        and (not event.asks_whole or (picture.asks_whole and len(asks) == len(picture.asks)))
    )
