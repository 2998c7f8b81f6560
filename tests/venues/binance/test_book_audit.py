"""The comparisons of a book by themselves. What follows from them is in test_book_sync.py."""

from __future__ import annotations

from collections import Counter

import pytest

from feedbus.books.order_book import OrderBook
from feedbus.schema.events import Level, Quote
from feedbus.venues.binance import book_audit
from feedbus.venues.binance.book_audit import REACHED_WITHIN, BookAudit

BIDS: list[Level] = [(10.0, 1.0), (9.0, 2.0)]
ASKS: list[Level] = [(11.0, 3.0), (12.0, 4.0)]


def book_of(bids: list[Level], asks: list[Level], *, whole: bool = False) -> OrderBook:
    made = OrderBook("binance", "BTCUSDT", max_levels=10)
    made.replace(bids, asks, bids_whole=whole, asks_whole=whole)
    return made


def quote_of(update: int | None, bid: Level | None = BIDS[0], ask: Level | None = ASKS[0]) -> Quote:
    (bid_price, bid_size), (ask_price, ask_size) = bid or (None, None), ask or (None, None)
    return Quote("binance", "BTCUSDT", 0, 0, bid_price, bid_size, ask_price, ask_size, update)


@pytest.fixture
def counts() -> Counter[str]:
    return Counter()


@pytest.fixture
def audit(counts: Counter[str]) -> BookAudit:
    return BookAudit(counts)


@pytest.mark.parametrize(
    ("quote", "right"),
    [
        (quote_of(5), True),
        (quote_of(5, bid=(10.0, 1.5)), False),
        (quote_of(5, ask=(11.5, 3.0)), False),
        (quote_of(5, bid=None), False),
    ],
)
def test_a_best_bid_and_ask_are_compared_and_counted(
    audit: BookAudit, counts: Counter[str], quote: Quote, right: bool
) -> None:
    assert audit.confirmed_by_quote(book_of(BIDS, ASKS), quote) is right
    assert counts == ({"quotes_compared": 1} if right else {"quotes_compared": 1, "quotes_disagreed": 1})
    assert set(counts) == {"quotes_compared"} | (set() if right else {"quotes_disagreed"})


def test_a_best_level_that_the_book_does_not_know_is_told(audit: BookAudit) -> None:
    book = book_of([], ASKS)
    assert audit.confirmed_by_quote(book, quote_of(5, bid=(10.5, 7.0)))
    assert (book.bids.best, book.bids.whole) == ((10.5, 7.0), False)
    assert not audit.confirmed_by_quote(book_of([], ASKS, whole=True), quote_of(5))


@pytest.mark.parametrize(
    ("updates", "left", "compared"), [([3, 4, 6], [6], 0), ([4, 5, 6, 7], [6, 7], 1), ([6], [6], 0), ([None], [], 0)]
)
def test_of_those_that_wait_the_one_of_the_update_reached_is_compared_and_older_ones_are_forgotten(
    audit: BookAudit, counts: Counter[str], updates: list[int | None], left: list[int], compared: int
) -> None:
    wrong = [quote_of(update, bid=(1.0, 1.0)) for update in updates if update != 5]
    audit.waiting.extend(sorted([*wrong, *[quote_of(5)] * (5 in updates)], key=lambda it: it.venue_sequence or 0))
    assert audit.confirmed_by_waiting(book_of(BIDS, ASKS), 5)
    assert [it.venue_sequence for it in audit.waiting] == left
    assert counts["quotes_compared"] == compared


def test_one_of_the_update_reached_that_differs_does_not_confirm(audit: BookAudit, counts: Counter[str]) -> None:
    audit.waiting.append(quote_of(5, bid=(10.0, 9.0)))
    assert not audit.confirmed_by_waiting(book_of(BIDS, ASKS), 5)
    assert (counts["quotes_disagreed"], len(audit.waiting)) == (1, 0)


def test_no_more_wait_than_there_is_room_for(audit: BookAudit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_audit, "MAX_QUOTES", 3)
    for update in range(5):
        audit.wait(quote_of(update), 0.0)
    assert [it.venue_sequence for it in audit.waiting] == [0, 1, 2]


def test_one_that_waits_for_too_long_is_counted(audit: BookAudit, counts: Counter[str]) -> None:
    assert not audit.unreached(1e9)
    audit.wait(quote_of(6), 10.0)
    audit.wait(quote_of(7), 12.0)
    assert not audit.unreached(10.0 + REACHED_WITHIN - 0.1)
    assert audit.confirmed_by_waiting(book_of(BIDS, ASKS), 6)  # so the other one is the first
    assert not audit.unreached(10.0 + REACHED_WITHIN)
    assert not audit.unreached(10.0 + 2 * REACHED_WITHIN - 0.1)
    assert counts["quotes_ahead"] == 0
    assert audit.unreached(10.0 + 2 * REACHED_WITHIN)
    assert counts["quotes_ahead"] == 1


def test_a_snapshot_that_agrees_widens_what_is_known(audit: BookAudit, counts: Counter[str]) -> None:
    book = book_of(BIDS[:1], ASKS[:1])
    assert audit.confirmed_by_snapshot(book, book_of(BIDS, ASKS))
    assert book.known_range == (9.0, 12.0)
    assert dict(counts) == {"audits": 1}


def test_a_snapshot_that_differs_changes_nothing_and_is_counted(audit: BookAudit, counts: Counter[str]) -> None:
    book = book_of(BIDS[:1], ASKS)
    assert not audit.confirmed_by_snapshot(book, book_of([(10.0, 5.0), (9.0, 2.0)], ASKS))
    assert (book.known_range, book.bids.best) == ((10.0, 12.0), BIDS[0])
    assert dict(counts) == {"audits": 1, "audits_disagreed": 1}
