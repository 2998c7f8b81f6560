"""The subscriber of depth_service.py.

    python -m tests.bench.depth_subscriber ADDRESS TICKERS FIRST LAST {plain|books}

`plain` only receives and decodes, `books` keeps every book besides. It reports in lines: when all symbols have reached
the update FIRST, and when all have reached LAST, with the number of changes in between.
"""

from __future__ import annotations

import sys
import time

import feedbus
from feedbus.bench.turn import say
from feedbus.schema.events import BookDelta, BookSnapshot


def main(address: str, tickers: int, first: int, last: int, keep: bool) -> None:
    """One turn."""
    books = feedbus.Books()
    begun: set[str] = set()
    changes = over = 0
    with feedbus.subscribe_sync(address, topics=feedbus.Books.TOPICS) as subscription:
        for header, events in subscription.messages():
            if keep:
                books.apply(header, events)
            for event in events:
                if not isinstance(event, BookDelta | BookSnapshot):
                    continue
                reached = (event.last_venue_sequence if isinstance(event, BookDelta) else event.venue_sequence) or 0
                if isinstance(event, BookDelta) and reached > first:
                    changes += 1
                    over += reached == last
                elif reached >= first and event.symbol not in begun:
                    begun.add(event.symbol)
                    if len(begun) == tickers:
                        say(begun=tickers)
            if over == tickers:
                break
        right = sum(books.get("binance", symbol) is not None for symbol in begun)
        say(done=changes, cpu_ns=time.process_time_ns(), gaps=subscription.stats().gaps, right=right)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5] == "books")
