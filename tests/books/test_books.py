"""The books of a reader: full pictures, deltas, statuses, losses. Whatever comes in whatever order, a book equals the
naive one of what the publisher had, or there is none."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.books.books import Books
from feedbus.schema.events import BookDelta, BookSnapshot, Gap, Level, MarketData, Status, Trade
from feedbus.testing.strategies import examples

HEADER = SimpleNamespace(publisher="p")
BID, ASK = (10.0, 1.0), (11.0, 2.0)


def picture(
    sequence: int | None = 5, bids: tuple[Level, ...] = (BID,), *, symbol: str = "S", whole: bool = True
) -> BookSnapshot:
    return BookSnapshot("v", symbol, 1, 2, list(bids), [ASK], sequence, whole, whole)


WHOLE_ASKS = BookSnapshot("v", "S", 1, 2, [BID], [ASK], 5, False, True)


def delta(first: int | None, last: int | None, *bids: Level, symbol: str = "S") -> BookDelta:
    return BookDelta("v", symbol, 3, 4, list(bids), [], first, last)


def status(state: str, word: str = "book") -> Status:
    return Status("v", "S", 0, 1, state, "hole", 1, 1, word)  # type: ignore[arg-type]


def gap(topic: str, publisher: str = "p") -> Gap:
    return Gap(topic, publisher, 1, 1, 1, "lost")


SILENT = Gap("", "p", 1, None, None, "silent")


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
        ([picture(), status("gapped"), picture(9)], "gapped"),
        ([status("resyncing"), picture()], "resyncing"),
        ([status("stale"), status("resyncing"), picture(), status("quiet")], [BID]),
        ([picture(), status("stale"), delta(6, 7, (9.0, 1.0))], "stale"),
        ([status("stale")], "stale"),
        ([status("resyncing")], "resyncing"),
        ([picture(), gap("book.v.S"), status("stale")], "gap"),
        ([picture(), status("stale"), delta(6, 7, (9.0, 1.0)), status("live")], [BID, (9.0, 1.0)]),
        ([picture(), status("delayed"), status("quiet")], [BID]),
        ([picture(), gap("book.v.S")], "gap"),
        ([picture(), gap("status.v.S")], "gap"),
        ([picture(), gap("")], "gap"),
        ([picture(), gap("trade.v.S"), gap("book.v.OTHER"), gap("", "q")], [BID]),
        ([picture(), gap("book.v.S"), delta(6, 7), picture(7)], [BID]),
        ([status("live")], "no picture yet"),
        # What bars a book that was never said to be right is lost until the next picture, and else until it is said.
        ([picture(), gap("status.v.S"), picture()], [BID]),
        ([picture(), status("live"), gap("status.v.S")], "gap"),
        ([picture(), status("live"), gap("status.v.S"), picture(9)], "gap"),
        ([picture(), status("live"), gap("status.v.S"), delta(6, 7, (9.0, 1.0)), status("live")], [BID, (9.0, 1.0)]),
        ([picture(), status("live"), gap(""), status("live")], "gap"),
        ([picture(), status("live"), gap(""), picture(9)], "gap"),
        ([picture(), status("live"), gap(""), picture(9), status("live")], [BID]),
        ([picture(), status("live"), gap("book.v.S"), status("live")], "gap"),
        # A publisher that says nothing any more.
        ([picture(), SILENT], "publisher silent"),
        ([picture(), SILENT, delta(6, 7)], "publisher silent"),
        ([picture(), SILENT, picture(9)], [BID]),
        ([picture(), status("live"), SILENT], "publisher silent"),
        ([picture(), status("live"), SILENT, picture(9)], "publisher silent"),
        ([picture(), status("live"), SILENT, delta(6, 7, (9.0, 1.0)), status("live")], [BID, (9.0, 1.0)]),
        ([picture(), status("live"), SILENT, delta(7, 7), status("live")], "hole"),
        ([picture(), status("live"), SILENT, gap("book.v.S"), status("live")], "gap"),
        ([picture(), status("live"), SILENT, gap(""), status("live")], "gap"),
        ([picture(), status("live"), SILENT, status("stale")], "stale"),
        ([picture(), status("gapped"), SILENT], "publisher silent"),
        ([picture(), status("gapped"), SILENT, status("live")], "gapped"),
        ([SILENT], "no picture yet"),
        ([status("live"), SILENT], "publisher silent"),
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
    assert (kept.there, kept.why_none, books.add_status("p", status("live"))) == (False, "gapped", kept)
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
    gone = [books.add_gap(gap(topic, publisher)) for topic, publisher in (("", "q"), ("", "q"), ("book.v.S", "p"))]
    assert gone == [[other], [], [kept]]
    books.add_picture(kept, "p", picture())
    assert (books.add_delta(kept, "p", delta(7, 8)), kept.there, kept.missing) == (False, False, "hole")
    books.add_picture(kept, "q", picture())  # the data is another publisher's, and the status is still the first one's
    assert (books.add_gap(gap("", "q")), kept.why_none) == ([kept], "gap")
    books.add_picture(kept, "q", picture())
    assert (books.add_gap(gap("", "p")), kept.why_none) == ([kept], "gap")
    assert (books.add_gap(gap("", "q")), books.add_status("p", status("live"))) == ([], None)  # it wasn't there already
    books.add_picture(kept, "p", picture())
    assert (books.add_gap(SILENT), books.add_gap(SILENT)) == ([kept], [])
    assert (books.add_status("p", status("live")), kept.best, len(books)) == (kept, (BID, ASK), 2)
    assert (books.kept("p", "v", "S") is kept, Books(max_books=0).kept("p", "v", "S")) == (True, None)


def test_what_was_applied_says_how_far_any_word_may_be_trusted() -> None:
    books = Books()
    trade = Trade("v", "S", 1, 2, 10.0, 1.0, None, None)
    books.apply(HEADER, [status("live"), status("live", "trade"), gap("trade.v.S"), gap("book.v.S")], 7)
    said = [books.trust.trust("v", "S", word) for word in ("trade", "book")]
    assert [(each.reason, each.since) for each in said] == [("lost", 7)] * 2
    books.apply(HEADER, [delta(1, 2)])
    assert books.trust.trust("v", "S", "book").reason == "lost"
    books.apply(HEADER, [trade, picture()])
    assert books.trust.trust("v", "S").state == "live"


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


@pytest.mark.parametrize(
    ("events", "found"),
    [
        # A repeat, or a delta that comes while there is no book, makes the book nobody else's.
        ([("p", picture()), ("q", delta(4, 5)), ("p", gap(""))], "gap"),
        ([("p", picture()), ("q", delta(4, 5)), ("q", gap(""))], [BID]),
        ([("q", delta(4, 5)), ("p", picture()), ("q", gap(""))], [BID]),
        # A delta that is applied concerns both, until the first has said all of it itself, or another picture is taken.
        ([("p", picture()), ("q", delta(6, 7, BID)), ("p", gap(""))], "gap"),
        ([("p", picture()), ("q", delta(6, 7, BID)), ("q", gap(""))], "gap"),
        ([("p", picture()), ("q", delta(6, 7, BID)), ("p", delta(6, 6, BID)), ("q", gap(""))], "gap"),
        ([("p", picture()), ("q", delta(6, 7, BID)), ("p", delta(6, 7, BID)), ("q", gap(""))], [BID]),
        ([("p", picture()), ("q", delta(6, 7, BID)), ("q", delta(6, 7, BID)), ("q", gap(""))], "gap"),
        ([("p", picture()), ("q", delta(6, 7, BID)), ("p", picture(8)), ("q", gap(""))], [BID]),
        ([("p", picture()), ("q", gap("")), ("q", picture(8)), ("p", gap(""))], [BID]),
        # A check makes it another's only where that one knew more.
        ([("p", picture()), ("q", picture()), ("q", gap(""))], [BID]),
        ([("p", picture(whole=False)), ("q", picture()), ("q", gap(""))], "gap"),
        ([("p", picture(whole=False)), ("q", picture()), ("p", gap(""))], "gap"),
        ([("p", WHOLE_ASKS), ("q", picture()), ("q", gap(""))], "gap"),
        ([("p", picture()), ("q", picture(5, ((9.0, 1.0),))), ("p", gap(""))], [(9.0, 1.0)]),
        ([("p", picture()), ("q", picture(5, ((9.0, 1.0),))), ("q", gap(""))], "gap"),
        # What was said of a book counts until its publisher says it again, or somebody says something else.
        ([("p", status("stale")), ("p", gap("book.v.S")), ("p", picture())], "stale"),
        ([("p", status("stale")), ("p", gap("status.v.S")), ("p", picture())], "gap"),
        ([("p", status("stale")), ("p", gap("")), ("p", picture())], "gap"),
        ([("p", status("stale")), ("p", gap("")), ("p", picture()), ("p", status("live"))], [BID]),
        ([("p", status("stale")), ("p", gap("")), ("p", delta(6, 7))], "gap"),
        ([("p", picture()), ("p", status("stale")), ("p", gap("")), ("p", picture(7)), ("p", delta(8, 8))], "gap"),
        ([("p", picture()), ("p", status("stale")), ("p", gap("status.v.S"))], "gap"),
        ([("p", status("stale")), ("q", gap("")), ("p", picture())], "stale"),
        ([("p", status("stale")), ("q", gap("status.v.S")), ("p", picture())], "stale"),
        ([("p", status("stale")), ("q", picture()), ("p", gap(""))], "gap"),
        ([("p", status("stale")), ("q", picture()), ("q", gap("")), ("q", picture())], "stale"),
        ([("p", status("stale")), ("p", status("live")), ("q", picture()), ("p", gap(""))], "gap"),
        ([("p", status("live")), ("q", picture()), ("p", gap("")), ("p", status("live"))], [BID]),
        ([("p", status("live")), ("q", picture()), ("q", gap("status.v.S")), ("p", status("live"))], "gap"),
        ([("p", status("live")), ("q", picture()), ("q", SILENT), ("p", status("live"))], "publisher silent"),
    ],
)
def test_a_gap_concerns_what_its_publisher_has_said(
    events: list[tuple[str, MarketData | Gap]], found: list[Level] | str
) -> None:
    books = Books()
    for publisher, event in events:
        said = msgspec.structs.replace(event, publisher=publisher) if isinstance(event, Gap) else event
        books.apply(SimpleNamespace(publisher=publisher), [said])
    assert bids_of(books) == found


def test_pictures_and_deltas_tell_of_themselves_how_a_book_comes() -> None:
    """After a delta the same number is the same moment, whatever numbers pictures had; and so it is until pictures of
    one publisher have had several numbers, for all that others say."""
    books = Books()
    for publisher, event, checks, disagreed in (
        ("p", picture(1), 0, 0),
        ("q", picture(2), 0, 0),
        ("q", picture(2), 1, 0),
        ("q", picture(3), 1, 0),
        ("q", picture(3, ((9.0, 1.0),)), 1, 0),
        ("q", delta(4, 4, BID), 1, 0),
        ("q", picture(4, ((9.0, 1.0),)), 2, 1),
        ("q", picture(5), 2, 1),
        ("q", picture(5), 3, 1),
        ("q", status("gapped"), 3, 1),
        ("q", picture(6), 3, 1),
        ("q", picture(6), 4, 1),
        ("q", picture(7), 4, 1),
        ("q", picture(7, ((9.0, 1.0),)), 4, 1),
    ):
        books.apply(SimpleNamespace(publisher=publisher), [event])
        counters = books.counters
        assert (counters.checks, counters.disagreed) == (checks, disagreed)


LEVELS = [(10.0, 1.0), (9.0, 1.0), (8.0, 1.0)]


@pytest.mark.parametrize("is_bids", [True, False])
@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize(
    ("first", "then", "disagreed", "left"),
    [
        ((3, False), (2, False), 0, (3, False)),
        ((3, False), (0, False), 0, (3, False)),
        ((3, False), (3, True), 0, (3, True)),
        ((3, False), (2, True), 1, (2, True)),
        ((3, True), (3, False), 0, (3, True)),
        ((3, True), (2, False), 0, (3, True)),
        ((3, True), (2, True), 1, (2, True)),
        ((2, False), (3, False), 0, (3, False)),
        ((2, False), (3, True), 0, (3, True)),
        ((2, True), (3, False), 1, (3, False)),
        ((2, True), (3, True), 1, (3, True)),
    ],
)
def test_the_wider_of_two_pictures_of_the_same_moment_is_kept(
    is_bids: bool, asked: bool, first: tuple[int, bool], then: tuple[int, bool], disagreed: int, left: tuple[int, bool]
) -> None:
    """Of each the number of levels, and whether there are none besides."""
    books = Books()
    for count, whole in (first, then):
        side = LEVELS[:count]
        if is_bids:
            event = BookSnapshot("v", "S", 1, 2, side, [ASK], 5, whole, True)
        else:
            asks = [(30 - price, size) for price, size in side]
            event = BookSnapshot("v", "S", 1, 2, [BID], asks, 5, True, whole)
        books.apply(HEADER, [event])
        if asked:
            books.get("v", "S")
    book = books.get("v", "S")
    assert book is not None
    found = book.bids if is_bids else book.asks
    assert ((len(found), found.whole), books.counters.checks, books.counters.disagreed) == (left, 1, disagreed)


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
