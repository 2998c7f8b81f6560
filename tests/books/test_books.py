"""The books of a reader: full pictures, deltas, statuses, losses. Whatever comes in whatever order, a book equals the
naive one of what the publisher had, or there is none."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.books.books import Books
from feedbus.schema.events import BookDelta, BookSnapshot, Gap, Level, MarketData, Status, Trade
from feedbus.testing.strategies import examples

HEADER = SimpleNamespace(publisher="p")
BID, ASK = (10.0, 1.0), (11.0, 2.0)


def picture(sequence: int | None = 5, bids: tuple[Level, ...] = (BID,), *, symbol: str = "S") -> BookSnapshot:
    return BookSnapshot("v", symbol, 1, 2, list(bids), [ASK], sequence, True, True)


def delta(first: int | None, last: int | None, *bids: Level, symbol: str = "S") -> BookDelta:
    return BookDelta("v", symbol, 3, 4, list(bids), [], first, last)


def status(state: str, word: str = "book") -> Status:
    return Status("v", "S", 0, 1, state, "hole", 1, 1, word)  # type: ignore[arg-type]


def gap(topic: str, publisher: str = "p") -> Gap:
    return Gap(topic, publisher, 1, 1, 1, "lost")


def bids_of(books: Books, symbol: str = "S") -> list[Level] | str:
    book = books.get("v", symbol)
    assert (book is None) == bool(books.why_none("v", symbol)) == (books.best("v", symbol) is None)
    return books.why_none("v", symbol) if book is None else book.bids.top()


@pytest.mark.parametrize(
    ("events", "found"),
    [
        ([], "no picture yet"),
        ([delta(1, 2, BID)], "no picture yet"),
        ([picture()], [BID]),
        ([picture(None)], [BID]),
        ([picture(), picture(6, ((9.0, 1.0),))], [(9.0, 1.0)]),
        ([picture(), delta(6, 8, (9.0, 3.0))], [BID, (9.0, 3.0)]),
        ([picture(), delta(4, 6, BID, (9.0, 3.0))], [BID, (9.0, 3.0)]),
        ([picture(), delta(6, 8, (10.0, 0.0)), delta(9, 9, (9.0, 1.0))], [(9.0, 1.0)]),
        ([picture(), delta(7, 8, (9.0, 3.0))], "hole"),
        ([picture(), delta(7, 8), delta(9, 9)], "hole"),
        ([picture(), delta(7, 8), picture(8)], [BID]),
        ([picture(), delta(3, 5, (10.0, 0.0))], [BID]),
        ([picture(None), delta(6, 7, (10.0, 0.0))], "hole"),
        ([picture(None), delta(None, None, (10.0, 4.0))], [(10.0, 4.0)]),
        ([picture(), status("gapped")], "gapped"),
        ([picture(), status("resyncing", "")], "resyncing"),
        ([picture(), status("gapped", "trade")], [BID]),
        ([picture(), status("gapped"), delta(6, 7)], "gapped"),
        ([picture(), status("gapped"), status("live")], "gapped"),
        ([picture(), status("gapped"), picture(9), status("live")], [BID]),
        ([picture(), status("stale"), delta(6, 7, (9.0, 1.0))], "stale"),
        ([picture(), status("stale"), delta(6, 7, (9.0, 1.0)), status("live")], [BID, (9.0, 1.0)]),
        ([picture(), status("delayed"), status("quiet")], [BID]),
        ([picture(), gap("book.v.S")], "gap"),
        ([picture(), gap("status.v.S")], "gap"),
        ([picture(), gap("")], "gap"),
        ([picture(), gap("trade.v.S"), gap("book.v.OTHER"), gap("", "q")], [BID]),
        ([picture(), gap("book.v.S"), delta(6, 7), picture(7)], [BID]),
        ([status("resyncing")], "resyncing"),
        ([status("live")], "no picture yet"),
    ],
)
def test_a_book_is_there_only_while_it_is_right(events: list[MarketData | Gap], found: list[Level] | str) -> None:
    at_once, one_by_one = Books(), Books()
    at_once.apply(HEADER, [*events, Trade("v", "S", 1, 2, 10.0, 1.0, None, None)])
    for event in events:
        one_by_one.apply(HEADER, [event])
        bids_of(one_by_one)  # asking changes nothing
    assert bids_of(at_once) == bids_of(one_by_one) == found


def test_a_reader_that_keeps_the_books_itself_is_told_which_are_lost_or_back() -> None:
    books = Books()
    kept, other = books.kept("p", "v", "S"), books.kept("q", "v", "T")
    assert kept is not None
    assert other is not None
    assert (kept.there, kept.best, books.add_gap(gap("")), books.add_status("p", status("gapped"))) == (
        False,
        None,
        [],
        None,
    )
    books.add_picture(kept, "p", picture())
    books.add_picture(other, "q", picture(symbol="T"))
    assert (kept.there, kept.best, kept.picture) == (True, (BID, ASK), picture())
    assert [books.add_delta(kept, "p", delta(number, number, (9.5, 1.0))) for number in (6, 6, 5)] == [
        True,
        False,
        False,
    ]
    assert (kept.there, kept.best, kept.picture) == (True, (BID, ASK), None)
    changed = [books.add_status("p", status(state, word)) for state, word in (
        ("quiet", ""), ("stale", "trade"), ("stale", ""), ("stale", ""), ("live", ""), ("gapped", ""), ("live", ""),
    )]  # fmt: skip
    assert changed == [None, None, kept, None, kept, kept, None]
    books.add_picture(kept, "p", picture())
    assert (books.add_gap(gap("", "q")), books.add_gap(gap("", "q")), books.add_gap(gap("book.v.S"))) == (
        [other],
        [],
        [kept],
    )
    books.add_picture(kept, "p", picture())
    assert (books.add_delta(kept, "p", delta(7, 8)), kept.there, kept.missing) == (False, False, "hole")
    books.add_picture(kept, "q", picture())  # another publisher has taken over
    assert (books.add_gap(gap("", "p")), books.add_gap(gap("", "q"))) == ([], [kept])
    books.add_picture(kept, "p", picture())
    assert (books.add_status("p", status("stale")), books.add_gap(gap(""))) == (kept, [])  # it wasn't there already
    assert (books.knows("v", "S"), books.knows("v", "Z"), books.knows("w", "S")) == (True, False, False)
    assert (books.kept("p", "v", "S") is kept, Books(max_books=0).kept("p", "v", "S")) == (True, None)


def test_a_book_by_deltas_is_compared_with_each_picture_of_its_moment() -> None:
    books = Books()
    books.apply(HEADER, [picture(), delta(6, 6, (9.0, 3.0))])
    kept = books.get("v", "S")
    books.apply(HEADER, [BookSnapshot("v", "S", 3, 4, [BID], [ASK], 6)])  # fewer levels: the wider book stays
    assert (bids_of(books), books.get("v", "S") is kept) == ([BID, (9.0, 3.0)], True)
    books.apply(HEADER, [picture(6, ((10.0, 7.0),))])
    assert (bids_of(books), books.counters.checks, books.counters.disagreed) == ([(10.0, 7.0)], 2, 1)


def test_instruments_beyond_the_limit_have_no_book_and_are_counted() -> None:
    books = Books(max_books=1)
    books.apply(HEADER, [picture(), picture(symbol="T"), delta(6, 7, symbol="T")])
    assert (bids_of(books), bids_of(books, "T"), books.counters.ignored, len(books)) == ([BID], "too many books", 2, 1)
    assert Books.topics("v", "S") == ["book.v.S", "status.v.S"]


CHANGES = st.lists(st.tuples(st.integers(1, 6).map(float), st.sampled_from([0.0, 1.0, 2.0])), min_size=1, max_size=3)


class Publisher:
    """A venue's book, and what its publisher says of it: a picture when it begins, and then deltas."""

    def __init__(self) -> None:
        self.bids: dict[float, float] = {3.0: 1.0}
        self.sequence = 10

    def picture(self) -> BookSnapshot:
        return BookSnapshot("v", "S", 0, 0, sorted(self.bids.items(), reverse=True), [], self.sequence, True, True)

    def change(self, levels: list[Level], updates: int) -> BookDelta:
        for price, size in levels:
            self.bids[price] = size
        self.bids = {price: size for price, size in self.bids.items() if size}
        first, self.sequence = self.sequence + 1, self.sequence + updates
        return BookDelta("v", "S", 0, 0, levels, [], first, self.sequence)


@examples(300)
@given(st.data())
def test_a_book_equals_the_publishers_or_there_is_none(data: st.DataObject) -> None:
    """Losses on the bus are told by a Gap in the place of what is lost, as the subscriber library does."""
    publisher, books = Publisher(), Books()
    said: list[BookDelta] = []
    for _ in range(data.draw(st.integers(0, 12))):
        events: list[MarketData | Gap] = []
        match data.draw(st.sampled_from(["delta", "delta", "delta", "picture", "lost", "hole", "again", "restart"])):
            case "delta":
                events = [publisher.change(data.draw(CHANGES), data.draw(st.integers(1, 3)))]
                said += [event for event in events if isinstance(event, BookDelta)]
            case "picture":
                events = [publisher.picture()]
            case "lost":
                publisher.change(data.draw(CHANGES), 1)
                events = [gap(data.draw(st.sampled_from(["", "book.v.S"])))]
            case "hole":  # the publisher lost something itself, and says so before anything else
                publisher.change(data.draw(CHANGES), 2)
                events = [status("resyncing")]
            case "again":
                events = [*said[-1:]]
            case "restart":
                publisher = Publisher()
                publisher.sequence = data.draw(st.integers(1, 30))
                said.clear()
                events = [Gap("", "p", 2, None, None, "restart")]
        books.apply(HEADER, events)
        if (book := books.get("v", "S")) is not None:
            assert book.bids.top() == publisher.picture().bids
            assert book.sequence == publisher.sequence
