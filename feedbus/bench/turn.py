"""What a measuring subscriber does in each turn, feedbus's and the rival's alike. The standard library alone: the
rival runs it in an environment without feedbus's dependencies.

A turn: the venue sends rounds of warm-up events, one of every ticker, whose sequence is a small number. As soon as a
round is complete nothing older can be on its way; it is reported, and the first event whose sequence is a time begins
the measurement. After the last event its line is written at once, then the figures are worked out.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

FIRST_TIME = 10**15  # a sequence below it is a round of the warm-up, from here on a time in nanoseconds
QUANTILES = (("p50", 0.5), ("p99", 0.99), ("p999", 0.999), ("max", 1.0))


class TurnOver(Exception):
    """Whoever measures won't wait for the rest of the events."""


def on_signal() -> None:
    """Have SIGUSR1 raise TurnOver."""

    def over(_number: int, _frame: object) -> NoReturn:
        raise TurnOver

    signal.signal(signal.SIGUSR1, over)


class WarmUp:
    """Which rounds of the warm-up are complete."""

    def __init__(self, tickers: int) -> None:
        self._tickers = tickers
        self._seen: dict[int, set[str]] = {}
        self.complete = 0  # the last whole round

    def starts(self, events: Iterable[tuple[str, int]]) -> bool:
        """Look at (symbol, sequence) of events in order; True when the measured ones have begun."""
        for symbol, sequence in events:
            if sequence >= FIRST_TIME:
                if self.complete:
                    return True
                continue  # late, of the turn before
            seen = self._seen.setdefault(sequence, set())
            seen.add(symbol)
            if len(seen) == self._tickers:
                self.complete = sequence
                say(warm=sequence)
        return False


class Measured:
    """One turn's result, filled by the subscriber's loop. Latencies are nanoseconds: `receive` from the socket read
    of the connector, `write` from the venue's write, both to the decoded event in the subscriber's hands."""

    def __init__(self) -> None:
        self.received = 0
        self.receive: list[int] = []
        self.write: list[int] = []

    def done(self) -> None:
        """Say at once that all is here, with our CPU clock."""
        say(done=self.received, cpu_ns=time.process_time_ns(), at=time.perf_counter_ns())

    def report(self, **extra: Any) -> None:
        """Say the rest, which takes a while to work out."""
        say(receive_us=quantiles(self.receive), write_us=quantiles(self.write), **extra)


def quantiles(values: Sequence[int]) -> dict[str, float] | None:
    """p50, p99, p999 and max in microseconds of nanoseconds; None when nothing was recorded."""
    if not values:
        return None
    ordered = sorted(values)
    last = len(ordered) - 1
    return {name: ordered[min(last, int(len(ordered) * part))] / 1000 for name, part in QUANTILES}


def say(**words: Any) -> None:
    """One line for whoever started us."""
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()
