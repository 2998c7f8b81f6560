"""The aggregator's model: the events of the bus in, derived events out. Pure: time is an argument.

It sorts events by kind, to the maker of bars and the maker of book metrics, and finds out whom a Gap concerns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from feedbus.analytics.bar_maker import BarMaker
from feedbus.analytics.book_metrics_maker import BookMetricsMaker
from feedbus.analytics.options import AggregateCounters, Options
from feedbus.schema.events import BookDelta, BookSnapshot, Event, Gap, MarketData, Quote, Ticker, Trade

TOPICS = ("trade", "ticker", "book", "quote")
MAX_SOURCES = 4096
"""Publishers and their venues that are remembered. Beyond, a gap that names no topic concerns every instrument."""


class Aggregates:
    """`add` what comes off the bus, then publish what `take` gives; `take` again when `next_due` says so."""

    def __init__(self, options: Options) -> None:
        self.counters = AggregateCounters()
        self._bars = BarMaker(options, self.counters)
        self._metrics = BookMetricsMaker(options, self.counters)
        self._sources: set[tuple[str, str]] = set()  # (publisher, venue)
        self._takers: dict[type[Event], Callable[[Any, float], None]] = {
            Trade: self._bars.trade,
            Ticker: self._bars.ticker,
            BookSnapshot: self._metrics.book,
            BookDelta: self._metrics.delta,
            Quote: self._metrics.quote,
            Gap: self._gap,
        }

    def add(self, publisher: str, events: Sequence[MarketData | Gap], now: float) -> None:
        """Take in the events of one message of this publisher, in order; kinds that nothing is made of are passed
        over."""
        takers = self._takers
        for event in events:
            take = takers.get(type(event))
            if take is not None:
                take(event, now)
        last = events[-1] if events else None
        if last is not None and not isinstance(last, Gap) and len(self._sources) < MAX_SOURCES:
            self._sources.add((publisher, last.venue))

    def take(self, now: float) -> list[MarketData]:
        """What is to be published by `now` (seconds by a clock that only goes forwards), in order."""
        return self._bars.take(now) + self._metrics.take(now)

    def next_due(self) -> float:
        """When `take` will have something though nothing comes."""
        return min(self._bars.next_due(), self._metrics.next_due())

    def counts(self) -> dict[str, int]:
        """Plain totals."""
        return {name: getattr(self.counters, name) for name in self.counters.__struct_fields__}

    def _gap(self, gap: Gap, now: float) -> None:
        self.counters.gaps += 1
        if not gap.topic:
            venues = {venue for publisher, venue in self._sources if publisher == gap.publisher}
            concerned = venues if len(self._sources) < MAX_SOURCES else None
            self._bars.lost_any(concerned, now)
            self._metrics.lost_any(concerned, now)
            return
        word, _, rest = gap.topic.partition(".")
        venue, _, symbol = rest.partition(".")
        if word in ("book", "quote"):
            self._metrics.lost(word, venue, symbol, now)
        elif word in ("trade", "ticker"):
            self._bars.lost("trades" if word == "trade" else "ticker", venue, symbol, now)
