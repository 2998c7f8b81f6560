"""The best prices of books in the live table: those of a right book, changed by its deltas, and none of a lost one."""

from __future__ import annotations

import pytest

from feedbus.schema.events import BookDelta, BookSnapshot, Event, Gap, Level, Quote, Status, Ticker
from feedbus.table.market_table import MarketTable

NOW = 1_700_000_000_000_000_000
Prices = tuple[float | None, float | None]


def book(at: int, sequence: int, bid: float = 10.0, ask: float = 11.0) -> BookSnapshot:
    return BookSnapshot("v", "S", 0, NOW + at, [(bid, 1.0), (bid - 1, 1.0)], [(ask, 1.0)], sequence, True, True)


def delta(at: int, sequence: int, *bids: Level) -> BookDelta:
    return BookDelta("v", "S", 0, NOW + at, [*bids], [], sequence, sequence)


def status(at: int, state: str) -> Status:
    return Status("v", "S", 0, NOW + at, state, "", 0, 1, "book")  # type: ignore[arg-type]


def quote(at: int) -> Quote:
    return Quote("v", "S", 0, NOW + at, 20.0, 1.0, 21.0, 1.0, None)


GAP = Gap("book.v.S", "p", 1, 1, 1, "lost")
EVERYTHING = Gap("", "p", 1, None, None, "restart")
TICKER = Ticker("v", "S", 0, NOW, bid=5.0, ask=6.0)


@pytest.mark.parametrize(
    ("events", "shown"),
    [
        ([book(0, 5), delta(1, 6, (10.5, 1.0))], (10.5, 11.0)),
        ([book(0, 5), delta(1, 6, (10.0, 0.0))], (9.0, 11.0)),
        ([book(0, 5), delta(1, 6, (10.0, 0.0), (9.0, 0.0))], (None, 11.0)),
        ([delta(1, 6, (10.5, 1.0))], (None, None)),
        ([book(0, 5), delta(1, 7, (10.5, 1.0))], (None, None)),  # a hole
        ([book(0, 5), delta(1, 7), book(2, 7)], (10.0, 11.0)),
        ([book(0, 5), GAP], (None, None)),
        ([book(0, 5), EVERYTHING, delta(1, 6)], (None, None)),
        ([book(0, 5), GAP, book(1, 9, 12.0, 13.0)], (12.0, 13.0)),
        ([book(0, 5), status(1, "gapped")], (None, None)),
        ([book(0, 5), status(1, "gapped"), book(2, 6), status(3, "live")], (10.0, 11.0)),
        ([book(0, 5), status(1, "stale")], (None, None)),
        ([book(0, 5), status(1, "stale"), status(2, "live")], (10.0, 11.0)),
        ([book(0, 5), quote(1), GAP], (20.0, 21.0)),  # what isn't the book's stays
        ([book(0, 5), quote(1), delta(2, 6, (10.5, 1.0))], (10.5, 11.0)),
        ([book(0, 5), GAP, TICKER], (5.0, 6.0)),
    ],
)
def test_a_row_shows_the_best_of_a_right_book_and_nothing_of_a_lost_one(events: list[Event], shown: Prices) -> None:
    table = MarketTable(NOW)
    for event in events:
        table.add(event, publisher="p")
    (row,) = table.snapshot(NOW + 10, 10).rows
    assert (row.bid, row.ask) == shown
