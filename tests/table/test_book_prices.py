"""The best prices of books in the live table: whatever comes, they are those of the naive book, or there are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.schema.events import (
    BookDelta,
    BookSnapshot,
    Event,
    Gap,
    Level,
    MarketData,
    Quote,
    Status,
    Ticker,
    TrustState,
)
from feedbus.table.market_table import MarketTable
from feedbus.testing.strategies import examples
from tests.naive_books import BOOK_EVENTS, PUBLISHER, SYMBOL, VENUE, NaiveBook

NONE = (None, None)


def best_of(table: MarketTable) -> tuple[float | None, float | None]:
    return next(((row.bid, row.ask) for row in table.snapshot(100, 10).rows if row.symbol == SYMBOL), NONE)


@examples(150)
@given(st.lists(BOOK_EVENTS, max_size=14))
def test_the_best_prices_are_those_of_the_naive_book(events: list[MarketData | Gap]) -> None:
    table, naive = MarketTable(0), NaiveBook()
    for number, event in enumerate(events):
        naive.add(event)
        table.add(event, PUBLISHER, number)
        bids, asks = naive.levels() or ([], [])
        assert best_of(table) == (bids[0][0] if bids else None, asks[0][0] if asks else None)


def picture(bid: float = 10.0, sequence: int = 5) -> BookSnapshot:
    return BookSnapshot(VENUE, SYMBOL, 1, 2, [(bid, 1.0)], [(11.0, 1.0)], sequence, True, True)


def delta(first: int, *bids: Level) -> BookDelta:
    return BookDelta(VENUE, SYMBOL, 1, 2, list(bids), [], first, first)


def status(state: TrustState, symbol: str = SYMBOL) -> Status:
    return Status(VENUE, symbol, 1, 2, state, "", 0, 1)


def ticker(bid: float | None, ask: float | None) -> Ticker:
    return Ticker(VENUE, SYMBOL, 1, 2, bid=bid, ask=ask)


def gap(topic: str = "", publisher: str = PUBLISHER) -> Gap:
    return Gap(topic, publisher, 1, None, None, "lost")


QUOTE = Quote(VENUE, SYMBOL, 1, 2, 8.0, 1.0, 9.0, 1.0, None)


@pytest.mark.parametrize(
    ("events", "best"),
    [
        ([picture(), delta(6, (10.5, 1.0))], (10.5, 11.0)),
        ([picture(), delta(6, (10.0, 0.0))], (None, 11.0)),
        ([picture(), QUOTE], (8.0, 9.0)),
        ([picture(), QUOTE, delta(6, (10.5, 1.0))], (10.5, 11.0)),  # the newest, whatever it came in
        ([QUOTE, delta(6, (10.5, 1.0))], (8.0, 9.0)),
        # a loss takes what the book showed, and nothing else
        ([picture(), gap()], NONE),
        ([picture(), gap("", "another")], (10.0, 11.0)),
        ([picture(), delta(7, (10.5, 1.0))], NONE),
        ([picture(), QUOTE, gap()], (8.0, 9.0)),
        ([picture(), gap(), ticker(8.0, 9.0)], (8.0, 9.0)),
        ([picture(), gap(), ticker(8.0, 9.0), ticker(8.0, None)], (8.0, None)),
        ([picture(), gap(), ticker(8.0, 9.0), delta(6, (10.5, 1.0))], (8.0, 9.0)),
        ([picture(), gap(), QUOTE, gap()], (8.0, 9.0)),
        ([picture(), gap(), picture(10.5, 9)], (10.5, 11.0)),
        # what a publisher says
        ([picture(), status("stale"), delta(6, (10.5, 1.0))], NONE),
        ([picture(), status("stale"), delta(6, (10.5, 1.0)), status("live")], (10.5, 11.0)),
        ([picture(), status("stale"), QUOTE, status("live")], (10.0, 11.0)),
        ([status("stale"), picture()], NONE),
        ([status("stale"), status("resyncing"), picture()], NONE),
        ([status("resyncing"), picture(), status("live")], (10.0, 11.0)),
        ([status("stale", "B"), gap(), picture()], (10.0, 11.0)),
    ],
)
def test_what_a_book_showed_goes_with_the_book(
    events: list[MarketData | Gap], best: tuple[float | None, float | None]
) -> None:
    table = MarketTable(0)
    for number, event in enumerate(events):
        table.add(event, PUBLISHER, number)
    assert best_of(table) == best


def test_a_status_is_no_update_and_makes_no_row() -> None:
    table = MarketTable(0)
    added: list[Event] = [status("stale"), status("live", "B"), gap(), picture(), delta(6, (10.5, 1.0)), delta(6)]
    for event in added:
        table.add(event, PUBLISHER, 5)
    table.add(status("quiet"), PUBLISHER, 90)
    snapshot = table.snapshot(100, 10)
    assert (snapshot.updates, snapshot.gaps, [(row.updates, row.age_ns) for row in snapshot.rows]) == (3, 1, [(3, 95)])


def test_a_status_takes_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feedbus.table.market_table.MAX_INSTRUMENTS", 1)
    table = MarketTable(0)
    for event in (status("stale", "B"), picture(), delta(6)):
        table.add(event, PUBLISHER, 1)
    assert best_of(table) == (10.0, 11.0)


def test_a_picture_that_shows_less_of_the_same_book_takes_no_price_away() -> None:
    table = MarketTable(0)
    table.add(picture(), PUBLISHER, 1)
    table.add(BookSnapshot(VENUE, SYMBOL, 1, 2, [], [], 5), PUBLISHER, 2)
    assert best_of(table) == (10.0, 11.0)


def test_a_book_of_another_publisher_is_lost_by_its_gap() -> None:
    table = MarketTable(0)
    table.add(picture(), PUBLISHER, 1)
    table.add(picture(10.5), "q", 2)
    table.add(gap(), PUBLISHER, 3)
    assert best_of(table) == (10.5, 11.0)
    table.add(delta(5), PUBLISHER, 4)
    table.add(gap(), PUBLISHER, 4)
    assert best_of(table) == (10.5, 11.0)  # it said nothing new
    table.add(delta(6), PUBLISHER, 5)
    table.add(gap(), PUBLISHER, 5)
    assert best_of(table) == NONE  # it has changed the book
    table.add(picture(10.5), "q", 6)
    table.add(gap(f"book.{VENUE}.{SYMBOL}"), "q", 7)
    assert best_of(table) == NONE
