"""The loops of the measuring subscriber, over batches that are made up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from feedbus.bench.counting_subscriber import count_all, from_start, sequences, time_all
from feedbus.bench.priced_times import price_of
from feedbus.bench.turn import FIRST_TIME, Measured, TurnOver
from feedbus.bus.receiver import Batch, Header
from feedbus.schema.events import BookSnapshot, Gap, MarketData, Quote, Trade

GAP = Gap("book.moex.A", "bench", 1, 2, 3, "lost")


def book(symbol: str, sequence: int, ts_recv: int = 0) -> BookSnapshot:
    return BookSnapshot("moex", symbol, 0, ts_recv, [], [], sequence)


def batches(*of: Sequence[MarketData | Gap]) -> Iterator[Batch]:
    return ((Header("book", "moex", "bench", 1, 0, []), list(events)) for events in of)


def quote(symbol: str, number: int, ts_recv: int = 0) -> Quote:
    return Quote("binance", symbol, 0, ts_recv, float(price_of(number)), 1.0, 2e6, 1.0, 5)


def test_books_trades_and_quotes_have_a_sequence_and_gaps_none() -> None:
    trade = Trade("bench_trades", "B", 0, 0, 1.0, 2.0, None, 8)
    assert list(sequences([book("A", 7), GAP, trade, quote("C", 9)])) == [("A", 7), ("B", 8), ("C", 9)]
    assert all(number >= FIRST_TIME for _, number in sequences([quote("C", time.time_ns())]))


def test_the_warm_up_is_passed_over() -> None:
    first, second = [book("A", FIRST_TIME)], [book("B", FIRST_TIME)]
    taken = from_start(batches([book("A", 1)], [book("B", 1)], first, second), 2)
    assert [events for _, events in taken] == [first, second]


def test_no_more_is_taken_than_was_sent() -> None:
    measured, source = Measured(), batches(*([book("A", FIRST_TIME)] * 2 for _ in range(9)))
    count_all(source, 6, measured)
    assert measured.received == 6
    assert len(list(source)) == 6


def test_what_had_come_counts_when_the_turn_is_over() -> None:
    def broken_off() -> Iterator[Batch]:
        yield from batches([book("A", FIRST_TIME)])
        raise TurnOver

    for take in (count_all, time_all):
        measured = Measured()
        with pytest.raises(TurnOver):
            take(broken_off(), 9, measured)
        assert measured.received == 1


@pytest.mark.parametrize("event", [book, quote])
def test_times_are_from_receipt_and_from_write_and_a_gap_has_none(
    event: Callable[[str, int, int], BookSnapshot | Quote],
) -> None:
    measured, now = Measured(), time.time_ns()
    time_all(batches([event("A", now - 3_000_000, now - 1_000_000), GAP]), 2, measured)
    assert measured.received == 2
    assert len(measured.receive) == len(measured.write) == 1
    assert measured.receive[0] >= 1_000_000
    assert measured.write[0] - measured.receive[0] == 2_000_000
