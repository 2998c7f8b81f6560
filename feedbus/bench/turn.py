"""What a measuring subscriber does in each turn. feedbus's subscriber and the rival's both use it.

A turn begins with rounds of warm-up events: the venue sends one event of every ticker, and all of them carry the number
of the round as their sequence. When a round has arrived whole, no event of an earlier turn can still be on its way. The
subscriber reports the round, and the first event whose sequence is a time of day begins the measurement. After the last
event the subscriber reports at once that it has everything, so that its CPU clock is read before it works out the
figures.

This module imports nothing but the standard library, because the rival runs in an environment without feedbus's
dependencies.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

FIRST_TIME = 10**14  # a sequence below this is the number of a warm-up round, any other stands for a time
QUANTILES = (("p50", 0.5), ("p99", 0.99), ("p999", 0.999), ("max", 1.0))


class TurnOver(Exception):
    """The benchmark has given up waiting for the rest of this turn's events."""


def on_signal() -> None:
    """Make SIGUSR1 raise TurnOver in the main thread."""

    def over(_number: int, _frame: object) -> NoReturn:
        raise TurnOver

    signal.signal(signal.SIGUSR1, over)


class WarmUp:
    """Reports each round of the warm-up that has arrived whole, which means an event of each of the tickers."""

    def __init__(self, tickers: int) -> None:
        self._tickers = tickers
        self._seen: dict[int, set[str]] = {}
        self.complete = 0  # the number of the last whole round, 0 before the first

    def starts(self, events: Iterable[tuple[str, int]]) -> bool:
        """Look at the (symbol, sequence) of events in their order. Returns True once a measured event is among them."""
        for symbol, sequence in events:
            if sequence >= FIRST_TIME:
                if self.complete:
                    return True
                continue  # it is a late event of the turn before
            seen = self._seen.setdefault(sequence, set())
            seen.add(symbol)
            if len(seen) == self._tickers:
                self.complete = sequence
                say(warm=sequence)
        return False


class Measured:
    """The result of one turn, which the subscriber's loop fills in.

    `receive` and `write` hold a latency in nanoseconds for each event. Both end when the subscriber has the decoded
    event. `receive` begins with the connector's read from its socket, `write` with the venue's write.
    """

    def __init__(self) -> None:
        self.received = 0
        self.receive: list[int] = []
        self.write: list[int] = []

    def done(self) -> None:
        """Report at once that the turn is over: events received, CPU time of this process, and the time now."""
        say(done=self.received, cpu_ns=time.process_time_ns(), at=time.perf_counter_ns())

    def report(self, **extra: Any) -> None:
        """Report the latencies and `extra`. This comes after `done`, because sorting the latencies costs CPU time."""
        say(receive_us=quantiles(self.receive), write_us=quantiles(self.write), **extra)


def quantiles(values: Sequence[int]) -> dict[str, float] | None:
    """p50, p99, p999 and max in microseconds, of values in nanoseconds; None when there are no values."""
    if not values:
        return None
    ordered = sorted(values)
    last = len(ordered) - 1
    return {name: ordered[min(last, int(len(ordered) * part))] / 1000 for name, part in QUANTILES}


def say(**words: Any) -> None:
    """Write one line of JSON to standard output, which the process that started this one reads."""
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()
