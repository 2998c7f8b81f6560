"""Trades and tickers in, bars and indicators out. Pure: `now` is seconds by a clock that only goes forwards.

Times of bars are the venue's. How late it is there is known from an instrument's newest event: that event's time, and
as much as has passed since it came. So bars are closed in time whether the venue's clock is ahead or behind, or its
data 15 minutes old, and our own wall clock doesn't matter.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection
from math import inf

from feedbus.analytics.bars import SECOND, BarSeries, BarState, Source
from feedbus.analytics.day_changes import DayChanges
from feedbus.analytics.indicators import KINDS, MovingAverage, Name
from feedbus.analytics.options import AggregateCounters, Options
from feedbus.analytics.pacing import Pacer
from feedbus.schema.events import Indicator, MarketData, MarketEvent, Ticker, Trade

MAX_NUMBER = 1e100
"""A price or a size beyond it is taken for garbage; sums of products of those within stay finite."""
MAX_AHEAD = 60 * SECOND
"""A venue's time so far ahead of the receipt is none: one such event makes all that follow late, for so long."""
LATEST = 2**62
"""The year 2116: no time is later, so that none of what is counted on from it is too large for the bus."""
GAP_REACHES = 10 * SECOND
"""A gap is found within two heartbeats, so from a bar that ended earlier than this nothing is missing."""


class PublishedSeries(BarSeries):
    """A Series with its indicators; `given` is the bar that they were given last, and `given_close` its close then."""

    __slots__ = ("given", "given_close", "indicators", "timed")

    def __init__(self, period_s: int, source: Source, options: Options) -> None:
        super().__init__(period_s, source, empty=options.max_empty if options.empty else 0)
        self.indicators: list[tuple[Name, MovingAverage]] = [
            (of.name, KINDS[of.name](of.window)) for of in options.indicators
        ]
        self.given: BarState | None = None
        self.given_close = 0.0
        self.timed = False  # it waits for the end of a period


class InstrumentState:
    """One instrument: its bars are made of tickers until there is a trade. `newest_at` is the time of its newest event,
    which came at `came`."""

    __slots__ = ("came", "changes", "lines", "newest_at", "source", "venue")

    def __init__(self, venue: str) -> None:
        self.venue = venue
        self.source: Source = "ticker"
        self.lines: list[PublishedSeries] = []
        self.changes = DayChanges()
        self.newest_at = 0
        self.came = -inf

    def due(self, at: int) -> float:
        """When the venue's clock shows `at`, by ours."""
        return self.came + (at - self.newest_at) / SECOND

    def venue_time(self, now: float) -> int:
        """What the venue's clock shows `now`."""
        return self.newest_at + int((now - self.came) * SECOND)


class BarMaker:
    """The bars of all instruments. Call `take` after what came in, and whenever `next_due` says so."""

    def __init__(self, options: Options, counters: AggregateCounters) -> None:
        self._options = options
        self._counters = counters
        self._instruments: dict[tuple[str, str], InstrumentState] = {}
        self._pacer = Pacer[InstrumentState](options.forming_every)
        self._ends: list[
            tuple[float, int, InstrumentState, PublishedSeries]
        ] = []  # a heap; the number keeps lines from being compared
        self._number = 0
        self._finished: list[BarState] = []
        self._out: list[MarketData] = []

    def trade(self, trade: Trade, now: float) -> None:
        """Take in one trade."""
        counters = self._counters
        counters.trades += 1
        trading = self._instruments.get((trade.venue, trade.symbol)) or self._new(trade)
        if trading is None:
            return
        price, size = trade.price, trade.size
        if not (-MAX_NUMBER < price < MAX_NUMBER and 0 <= size < MAX_NUMBER):
            counters.unusable += 1
            return
        at = trade.ts_event
        if not 0 < at < LATEST or at - trade.ts_recv > MAX_AHEAD:
            at = self._receipt(trade)
        if trading.source == "ticker":
            self._begin_trades(trading)
        if at >= trading.newest_at:
            trading.newest_at, trading.came = at, now
        for line in trading.lines:
            bar = line.bar
            if bar is None or line.tainted or not bar.start <= at < bar.end:
                bar = self._other_bar(trading, line, at, trade)
                if bar is None:
                    continue
            bar.add_trade(trade, at, price, size, trade.side)
        self._pacer.touch(trading, now)

    def ticker(self, ticker: Ticker, now: float) -> None:
        """Take in one ticker: it makes bars where there are no trades."""
        self._counters.tickers += 1
        trading = self._instruments.get((ticker.venue, ticker.symbol)) or self._new(ticker)
        if trading is None or trading.source == "trades":
            return
        at = ticker.ts_event
        if not 0 < at < LATEST or at - ticker.ts_recv > MAX_AHEAD:
            at = self._receipt(ticker)
        if at < trading.newest_at:
            self._counters.stale += 1
            return
        if not _is_usable(ticker):
            self._counters.unusable += 1
            return
        trading.newest_at, trading.came = at, now
        change = trading.changes.change(ticker)
        if change is None:
            return
        trading.lines = trading.lines or self._lines("ticker")
        for line in trading.lines:
            bar = line.bar
            if bar is None or line.tainted or not bar.start <= at < bar.end:
                bar = self._other_bar(trading, line, at, ticker)
                if bar is None:
                    continue
            bar.add_change(ticker, at, change.price, change.volume, change.turnover, change.trades)
        self._pacer.touch(trading, now)

    def lost(self, source: Source, venue: str, symbol: str, now: float) -> None:
        """Events of one instrument are missing."""
        trading = self._instruments.get((venue, symbol))
        if trading is not None and trading.source == source:
            self._taint(trading, now)

    def lost_any(self, venues: Collection[str] | None, now: float) -> None:
        """Events of any instruments of these venues may be missing; None: of all venues."""
        for trading in self._instruments.values():
            if venues is None or trading.venue in venues:
                self._taint(trading, now)

    def take(self, now: float) -> list[MarketData]:
        """What is to be published by now, in order."""
        self._close_ended(now)
        for trading in self._pacer.take(now):
            for line in trading.lines:
                if line.closed is not None and line.closed.changed:
                    self._publish_final(line, line.closed)
                if line.bar is not None and line.bar.changed:
                    self._publish(line, line.bar)
        out, self._out = self._out, []
        return out

    def next_due(self) -> float:
        """When `take` will have something though nothing comes; it may turn out that it hasn't."""
        return min(self._ends[0][0] if self._ends else inf, self._pacer.next_due())

    def __len__(self) -> int:
        """How many instruments there are."""
        return len(self._instruments)

    # Instruments

    def _new(self, event: MarketEvent) -> InstrumentState | None:
        if len(self._instruments) >= self._options.max_instruments:
            self._counters.ignored += 1
            return None
        trading = self._instruments[(event.venue, event.symbol)] = InstrumentState(event.venue)
        return trading

    def _lines(self, source: Source) -> list[PublishedSeries]:
        return [PublishedSeries(period_s, source, self._options) for period_s in self._options.periods]

    def _begin_trades(self, trading: InstrumentState) -> None:
        """What the tickers have made ends here, in the middle of it, and indicators begin anew."""
        for line in trading.lines:
            line.empty = 0
            if line.bar is not None:
                line.bar.complete = False
                line.close(self._finished)
            elif line.closed is not None and line.closed.changed:
                self._finished.append(line.closed)
            self._publish_finished(line)
        trading.source = "trades"
        trading.lines = self._lines("trades")
        trading.newest_at = 0

    def _receipt(self, event: MarketEvent) -> int:
        """The time of an event whose venue gives none, or one that can't be."""
        self._counters.odd_times += event.ts_event != 0
        return min(max(0, event.ts_recv), LATEST)

    def _taint(self, trading: InstrumentState, now: float) -> None:
        since = trading.venue_time(now) - GAP_REACHES if trading.lines else 0
        for line in trading.lines:
            if line.taint(since):
                self._pacer.touch(trading, now)

    # Bars

    def _other_bar(
        self, trading: InstrumentState, line: PublishedSeries, at: int, event: MarketEvent
    ) -> BarState | None:
        bar = line.find(at, event, self._finished)
        if self._finished:
            self._publish_finished(line)
        if bar is None:
            self._counters.too_late += 1
            return None
        self._counters.corrected += bar.final
        if not line.timed:
            self._wait_for_end(trading, line)
        return bar

    def _wait_for_end(self, trading: InstrumentState, line: PublishedSeries) -> None:
        end = line.ends()
        line.timed = end is not None
        if end is not None:
            self._number += 1
            heapq.heappush(self._ends, (trading.due(end) + self._options.grace, self._number, trading, line))

    def _close_ended(self, now: float) -> None:
        """A line that waited for the end of a bar may have got another one since: then it waits for that one's."""
        while self._ends and self._ends[0][0] <= now:
            _, _, trading, line = heapq.heappop(self._ends)
            end = line.ends()
            if end is not None and trading.due(end) + self._options.grace <= now:
                line.close(self._finished)
                self._publish_finished(line)
            self._wait_for_end(trading, line)

    # Publishing

    def _publish_finished(self, line: PublishedSeries) -> None:
        for bar in self._finished:
            self._publish_final(line, bar)
        self._finished.clear()

    def _publish_final(self, line: PublishedSeries, bar: BarState) -> None:
        """With the indicators: of a correction, if it has another close."""
        self._publish(line, bar)
        self._counters.bars_final += 1
        again = bar is line.given
        if again and bar.close == line.given_close:
            return
        line.given, line.given_close = bar, bar.close
        event = bar.event
        for name, indicator in line.indicators:
            value = indicator.replace(bar.close) if again else indicator.add(bar.close)
            self._counters.indicators += 1
            self._out.append(
                Indicator(
                    venue=event.venue,
                    symbol=event.symbol,
                    ts_event=event.ts_event,
                    ts_recv=event.ts_recv,
                    name=name,
                    period_s=line.period_s,
                    window=indicator.window,
                    start=bar.start,
                    value=value,
                )
            )

    def _publish(self, line: PublishedSeries, bar: BarState) -> None:
        self._counters.bars += 1
        self._out.append(bar.publish(line.period_s, line.source))


def _is_usable(ticker: Ticker) -> bool:
    """All numbers that a bar takes from it are numbers, and nothing less than nothing was traded."""
    for value in (ticker.last, ticker.volume, ticker.turnover):
        if value is not None and not -MAX_NUMBER < value < MAX_NUMBER:
            return False
    return (ticker.volume or 0) >= 0 and (ticker.trades or 0) >= 0
