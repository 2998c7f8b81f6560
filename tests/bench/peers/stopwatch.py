"""The measuring part of a subscriber that is given its events one by one, for the other programs that are measured.

They run without feedbus's dependencies; of feedbus they take feedbus/bench/turn.py and priced_times.py, which need
nothing but the standard library, so that all contenders are timed by the same code.
"""

from __future__ import annotations

from time import time_ns

from feedbus.bench.priced_times import number_of, passed
from feedbus.bench.turn import Measured, WarmUp


class Stopwatch:
    """Takes events: passes over the warm-up, counts the turn's, and reports when the last one has come."""

    def __init__(self, tickers: int, count: int, latency: bool) -> None:
        self._tickers = tickers
        self._count = count
        self._latency = latency
        self._begin()

    def _begin(self) -> None:
        self._warm_up: WarmUp | None = WarmUp(self._tickers)
        self._measured = Measured()

    def take(self, symbol: str, bid: float, received_ns: int | None) -> None:
        """One event, now that it is decoded: its symbol, its bid, and when it was read from the venue's socket, if that
        is known."""
        if self._warm_up is not None:
            if not self._warm_up.starts([(symbol, number_of(bid))]):
                return
            self._warm_up = None
        measured = self._measured
        measured.received += 1
        if self._latency:
            now = time_ns()
            if received_ns is not None:
                measured.receive.append(now - received_ns)
            measured.write.append(passed(bid, now))
        if measured.received == self._count:
            self.over()

    def over(self) -> None:
        """The turn is over, with what has come until now; the next one begins."""
        measured = self._measured
        self._begin()
        measured.done()
        measured.report()
