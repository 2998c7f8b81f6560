"""The books of a reader against what the venue had, by update number: whatever comes of one or two publishers in
whatever order, a book equals the venue's at its number as far as it is known, or there is none.

Each publisher says a picture when its book is right, and then deltas; between them it says the best levels again. It
stops being right, says so, begins anew. Of what it says some is lost, which a Gap tells before anything else of it, and
some comes twice. Besides, the model says when there must be a book, and when there must be none."""

from __future__ import annotations

from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.books.books import Books
from feedbus.schema.events import BookDelta, BookSnapshot, Gap, Level, MarketData, Status, TrustState
from feedbus.testing.strategies import examples
from tests.numbered_books import Side, Venue


class Reader:
    """A reader's books, held to the venue after each thing that comes."""

    def __init__(self, venue: Venue, max_levels: int) -> None:
        self.venue = venue
        self.books = Books(max_levels=max_levels)
        self.said: tuple[str, bool] | None = None
        """Who said last how the book is, and whether it may be used by that."""
        self.pictured: set[str] = set()
        """Who has said a picture that nothing has called into question since."""

    def take(self, publisher: str, event: MarketData | Gap) -> None:
        books = self.books
        before = books.get("v", "S")
        known, checks = before and (before.sequence, *before.known_range), books.counters.checks
        books.apply(SimpleNamespace(publisher=publisher), [event])
        book = books.get("v", "S")
        assert (book is None) == bool(books.why_none("v", "S")) == (books.best("v", "S") is None)
        if book is not None:
            self._is_the_venue_s(book)
        match event:
            case BookSnapshot():
                self.pictured.add(publisher)
                assert (book is not None) == (self.said is None or self.said[1]), "a picture brings the book"
                if known and book is not None and known[0] == event.venue_sequence:
                    assert books.counters.checks == checks + 1
                    assert book.known_range[0] <= known[1]
                    assert book.known_range[1] >= known[2]
            case Status():
                self.said = publisher, event.state == "live"
                if event.state not in ("live", "stale"):
                    self.pictured.clear()
                assert event.state == "live" or book is None
            case Gap():
                assert book is None or known, "a Gap brings no book"
                its_own = self.said is not None and self.said[0] == publisher
                if its_own and not event.topic.startswith("book"):
                    self.said = publisher, False
                if event.topic.startswith("book") or (event.topic and not its_own):
                    self.pictured.clear()
                elif not event.topic and not (its_own and event.cause == "silent"):
                    self.pictured.discard(publisher)
        assert self.pictured or book is None, "nobody vouches for this book"
        assert books.counters.disagreed == 0

    def _is_the_venue_s(self, book: Any) -> None:
        for side, had in zip((book.bids, book.asks), self.venue.history[book.sequence], strict=True):
            assert side.sizes == {price: size for price, size in had.items() if side.low <= price <= side.high}
            assert not side.whole or side.sizes == had
        assert self.books.best("v", "S") == (book.bids.best, book.asks.best)


UNUSABLE: list[TrustState] = ["gapped", "resyncing", "unsubscribed"]
WHAT = ["goes on"] * 6 + ["again"] * 3 + ["wrong", "restart", "stale", "silent"]


def status(state: TrustState, word: str = "book") -> Status:
    return Status("v", "S", 0, 1, state, "", 0, 1, word)


class Publisher:
    """Says what it knows of the venue's book, on a bus that may lose it."""

    def __init__(self, name: str, random: Random, reader: Reader) -> None:
        self._name, self._random, self._reader = name, random, reader
        self._is_right = False

    def step(self, venue: Venue, delta: BookDelta | None) -> None:
        """Says something; the venue has sent this delta."""
        random = self._random
        if not self._is_right:
            if random.random() < 0.5:
                self._is_right = True
                self._say(venue.picture(random.choice([2, 5, 20])))
                self._say(status("live"))
            return
        what = random.choice(WHAT)
        if what == "wrong":
            self._is_right = False
            self._reader.take(self._name, status(random.choice(UNUSABLE), random.choice(["", "book"])))
        elif what == "restart":
            self._is_right = False
            self._reader.take(self._name, Gap("", self._name, 2, None, None, "restart"))
        else:
            if what == "stale":
                self._reader.take(self._name, status("stale"))
            if what == "silent":
                self._reader.take(self._name, Gap("", self._name, 1, None, None, "silent"))
            if delta is not None:
                self._say(delta)
            if what in ("stale", "silent"):
                self._say(status("live"))
            if what == "again":
                self._say(venue.picture(random.choice([0, 1, 2, 4, 20])))

    def _say(self, event: MarketData) -> None:
        random, name = self._random, self._name
        fate = random.choice(["comes"] * 8 + ["comes twice", "lost"])
        if fate == "lost":
            topic = random.choice(["", f"{event.WORD}.v.S"])
            self._reader.take(name, Gap(topic, name, 1, None, None, "lost"))
            return
        for _ in range(1 + (fate == "comes twice")):
            self._reader.take(name, event)


@examples(2000)
@given(st.integers(0, 2**32).map(Random))
def test_a_book_is_the_venue_s_or_there_is_none(random: Random) -> None:
    venue = Venue(random)
    reader = Reader(venue, random.choice([10_000, 10_000, 4]))
    publishers = [Publisher(name, random, reader) for name in "pq"[: random.randint(1, 2)]]
    for _ in range(random.randint(1, 60)):
        delta = venue.change() if random.random() < 0.6 else None
        for publisher in publishers:
            publisher.step(venue, delta)


@examples(100)
@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 9)), max_size=4),
    st.integers(1, 9),
    st.integers(1, 9),
    st.booleans(),
    st.booleans(),
)
def test_a_picture_of_another_book_at_the_same_moment_is_counted_and_taken(
    changes: list[tuple[int, int]], shown: int, at: int, asked: bool, narrow: bool
) -> None:
    """Whether the book is a picture that nobody has asked for yet, or was changed and asked for."""
    header, books = SimpleNamespace(publisher="p"), Books()
    asks: list[Level] = [(20.0, 1.0)]
    books.apply(header, [BookSnapshot("v", "S", 0, 0, [(float(9 - n), 1.0) for n in range(9)], asks, 50)])
    for number, (size, price) in enumerate(changes, 51):
        books.apply(header, [BookDelta("v", "S", 0, 0, [(float(price), float(size))], [], number, number)])
        if asked:
            books.get("v", "S")
    naive: Side = {float(n): 1.0 for n in range(1, 10)} | {float(price): float(size) for size, price in changes}
    bids = sorted(naive.items(), reverse=True)[:shown]
    number = 50 + len(changes)
    other = [(price, size + (index == min(at, len(bids)) - 1)) for index, (price, size) in enumerate(bids)]
    for pictured, disagreed in ((bids, 0), (other, 1), (other[:1] if narrow else other, 1)):
        books.apply(header, [BookSnapshot("v", "S", 0, 0, list(pictured), asks, number)])
        assert books.counters.disagreed == disagreed
    assert books.counters.checks == 3
    book = books.get("v", "S")
    assert book is not None
    assert book.bids.top() == other


@pytest.mark.parametrize("numbers", [[None] * 5, [0] * 5, [7, 8, 8, 8, 3, 3]])
@pytest.mark.parametrize("asked", [False, True])
def test_where_a_venue_sends_full_pictures_each_is_the_book(numbers: list[int | None], asked: bool) -> None:
    """The numbers may be missing, stay what they are, and go back: here they identify no book."""
    header, books = SimpleNamespace(publisher="p"), Books()
    for index, number in enumerate(numbers):
        bids = [(10.0, 1.0), (9.0, 1.0), (8.0, 1.0)][: 3 - index % 3]
        books.apply(header, [BookSnapshot("v", "S", 0, 0, bids, [(11.0, index + 1.0)], number)])
        if asked or index == len(numbers) - 1:
            book = books.get("v", "S")
            assert book is not None
            assert (book.bids.top(), book.asks.best) == (bids, (11.0, index + 1.0))
    assert (books.counters.checks, books.counters.disagreed) == (0, 0)
