"""feedbus's measuring subscriber: a plain program around `feedbus.subscribe_sync`, in a process of its own.

It is started as `python -m feedbus.bench.counting_subscriber ADDRESS WORD TICKERS EVENTS LATENCY`. WORD is the first
part of the topics, TICKERS the number of symbols over all connections, EVENTS the number of events in a turn. LATENCY
is 1 when the latency of each event is to be recorded, otherwise 0. turn.py says what happens in a turn.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any

import feedbus
from feedbus.bench.priced_times import number_of, passed
from feedbus.bench.turn import Measured, TurnOver, WarmUp, on_signal
from feedbus.bus.receiver import Batch
from feedbus.bus.subscriber import SyncSubscription
from feedbus.schema.events import BookSnapshot, Gap, MarketData, Quote, Trade


def sequences(events: Sequence[MarketData | Gap]) -> Iterator[tuple[str, int]]:
    """The (symbol, sequence) of each book, trade and quote, which is what the venue wrote into the frame's slot."""
    for event in events:
        if isinstance(event, BookSnapshot):
            yield event.symbol, event.venue_sequence or 0
        elif isinstance(event, Trade):
            yield event.symbol, int(event.trade_id or 0)
        elif isinstance(event, Quote):
            yield event.symbol, number_of(event.bid or 0.0)


def from_start(batches: Iterator[Batch], tickers: int) -> Iterator[Batch]:
    """The batches from the one with the first measured event on; those of the warm-up are read and dropped."""
    warm_up = WarmUp(tickers)
    first = next(batch for batch in batches if warm_up.starts(sequences(batch[1])))
    return chain([first], batches)


def count_all(batches: Iterator[Batch], count: int, measured: Measured) -> None:
    """Receive `count` events and only count them."""
    received = measured.received
    try:
        for _, events in batches:
            received += len(events)
            if received >= count:
                break
    finally:
        measured.received = received


def time_all(batches: Iterator[Batch], count: int, measured: Measured) -> None:
    """Receive `count` books or quotes and record the latency of each, at the moment at which its batch is decoded."""
    receive, write, time_ns = measured.receive, measured.write, time.time_ns
    while measured.received < count:
        events = next(batches)[1]
        now = time_ns()
        books: list[Any] = [event for event in events if event.__class__ is BookSnapshot]
        receive += [now - book.ts_recv for book in books]
        write += [now - book.venue_sequence for book in books]
        quotes: list[Any] = [event for event in events if event.__class__ is Quote]
        receive += [now - quote.ts_recv for quote in quotes]
        write += [passed(quote.bid, now) for quote in quotes]
        measured.received += len(events)


def turn(subscription: SyncSubscription, tickers: int, count: int, latency: bool) -> None:
    """Do one turn, from the warm-up to the report. Gaps during the warm-up are not counted."""
    measured = Measured()
    gaps = subscription.stats().gaps
    with suppress(TurnOver):
        started = from_start(subscription.messages(), tickers)
        gaps = subscription.stats().gaps
        (time_all if latency else count_all)(started, count, measured)
    measured.done()
    measured.report(gaps=subscription.stats().gaps - gaps)


def main(address: str, word: str, tickers: int, count: int, latency: bool) -> None:
    """Do turn after turn, until the benchmark ends this process."""
    on_signal()
    with feedbus.subscribe_sync(address, topics=[f"{word}."]) as subscription:
        while True:
            turn(subscription, tickers, count, latency)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5] == "1")
