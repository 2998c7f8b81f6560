"""The aggregator's model: events of the bus go in, derived events come out.

`Aggregates` hands each event to the maker that needs it: trades and tickers make bars, for which instruments tell the
lot; books and quotes make book metrics. It also finds out which instruments a Gap concerns, and whose data may not be
used, since what is derived from incomplete data must say so.
The module is pure: the time is an argument, and nothing is read or published here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from feedbus.analytics.bar_maker import OUTAGE_DETECTION_TIME, BarMaker, TradingDay
from feedbus.analytics.book_metrics_maker import BookMetricsMaker
from feedbus.analytics.options import AggregateCounters, Options
from feedbus.schema.events import (
    BookDelta,
    BookSnapshot,
    Event,
    Gap,
    Instrument,
    MarketData,
    Quote,
    Status,
    Ticker,
    Trade,
)
from feedbus.trust.readers_trust import UNHEARD, Trust

TOPICS = ("trade", "ticker", "book", "quote", "status", "instrument")
"""The topic words that the aggregator subscribes to."""
MAX_SOURCES = 4096
"""How many pairs of publisher and venue are remembered. When this limit is reached, a Gap that names no topic is taken
to concern every instrument."""


class Aggregates:
    """Computes bars, indicators and book metrics from the events of the bus.

    Call `add` with each message of the bus and then publish what `take` returns. Some results are due because time
    passes, so call `take` again at `next_due` even when no message has come. Every `now` is in seconds by one monotonic
    clock, whose origin doesn't matter.
    """

    def __init__(
        self,
        options: Options,
        trading_day: TradingDay,
        units: Callable[[str], Mapping[str, str]] = lambda _venue: {},
    ) -> None:
        """`trading_day` returns, by venue, the function that tells on which of the venue's trading days a time lies,
        and `units` the words for what the venue counts volumes in."""
        self.counters = AggregateCounters()
        self._trust = Trust(max_instruments=options.max_instruments)
        self._bars = BarMaker(options, self.counters, trading_day=trading_day, units=units, is_usable=self._is_usable)
        self._metrics = BookMetricsMaker(options, self.counters)
        self._sources: set[tuple[str, str]] = set()  # (publisher, venue)
        self._handlers: dict[type[Event], Callable[[Any, float], None]] = {
            Trade: self._bars.add_trade,
            Ticker: self._bars.add_ticker,
            BookSnapshot: self._metrics.add_book,
            BookDelta: self._metrics.add_delta,
            Quote: self._metrics.add_quote,
            Instrument: self._bars.add_instrument,
            Status: self._add_status,
            Gap: self._add_gap,
        }

    def add(self, publisher: str, events: Sequence[MarketData | Gap], now: float) -> None:
        """Takes in the events of one message of `publisher`, in their order. Events of other kinds are ignored."""
        handlers = self._handlers
        self._metrics.publisher = publisher
        for event in events:
            handler = handlers.get(type(event))
            if handler is not None:
                handler(event, now)
        # All events of a message are of one venue, so the last one is enough to learn which venues a publisher has.
        last = events[-1] if events else None
        if last is not None and not isinstance(last, Gap) and len(self._sources) < MAX_SOURCES:
            self._sources.add((publisher, last.venue))

    def take(self, now: float) -> list[MarketData]:
        """Returns the events that are to be published by `now`, in the order in which they are to be published."""
        return self._bars.take(now) + self._metrics.take(now)

    def next_due(self) -> float:
        """Returns when `take` is to be called next if no message comes before; infinity when nothing is waiting."""
        return min(self._bars.next_due(), self._metrics.next_due())

    def counts(self) -> dict[str, int]:
        """Returns the totals of AggregateCounters by name."""
        self._metrics.count_books()
        return {name: getattr(self.counters, name) for name in self.counters.__struct_fields__}

    def _add_status(self, status: Status, now: float) -> None:
        self._trust.add_status(self._metrics.publisher, status)
        detection_time = None if status.state == "stale" else OUTAGE_DETECTION_TIME
        self._bars.judge(status.venue, status.symbol, now, detection_time)
        self._metrics.add_status(status, now)

    def _is_usable(self, venue: str, symbol: str, word: str) -> bool:
        """Whether this data may be used. It may where nobody has said anything of it: the publishers of other programs
        needn't say statuses."""
        said = self._trust.said(venue, symbol, word)
        return said.usable or said is UNHEARD

    def _add_gap(self, gap: Gap, now: float) -> None:
        self.counters.gaps += 1
        self._trust.add_gap(gap, 0)
        if not gap.topic:
            # Anything of this publisher may be missing, so every instrument of its venues is concerned.
            venues = {venue for publisher, venue in self._sources if publisher == gap.publisher}
            concerned = venues if len(self._sources) < MAX_SOURCES else None
            self._bars.judge_venues(concerned, now)
            self._bars.mark_gap_in_venues(concerned, now)
            self._metrics.add_gap(gap, concerned, now)
            return
        word, _, rest = gap.topic.partition(".")
        venue, _, symbol = rest.partition(".")
        if word in ("book", "quote", "status"):
            self._metrics.add_gap(gap, (), now)
            if word == "status":
                self._bars.judge(venue, symbol, now)
        elif word in ("trade", "ticker"):
            self._bars.mark_gap("trades" if word == "trade" else "ticker", venue, symbol, now)
