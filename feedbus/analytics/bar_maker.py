"""The bars and indicators of all instruments: trades and tickers go in, Bar and Indicator events come out when due.

The times of bars are the venue's. To close a bar in time even when no further trade comes, one has to know what the
venue's clock shows now. That is estimated for each instrument from its newest event: the venue's time of that event,
plus the time that has passed since the event was received. So bars are closed in time whether the venue's clock is fast
or slow, or its data 15 minutes delayed, and our own wall clock doesn't matter.

The module is pure. Every `now` is in seconds by one monotonic clock; times of events and bars are in nanoseconds since
the epoch.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Mapping
from math import inf

from feedbus.analytics.bars import SECOND, BarState, Source
from feedbus.analytics.day_changes import Change, DayChanges
from feedbus.analytics.options import AggregateCounters, Options
from feedbus.analytics.pacing import Pacer
from feedbus.analytics.published_series import PublishedSeries
from feedbus.schema.events import Instrument, MarketData, MarketEvent, Ticker, Trade

MAX_NUMBER = 1e100
"""A larger price or size is taken for garbage. Sums of products of numbers within the limit stay finite."""
MAX_AHEAD = 60 * SECOND
"""A venue time that is further ahead of the receipt is taken for wrong. If a single one were accepted, all events up to
that time would look late."""
MAX_SURPRISE = 10 * SECOND
"""Where a venue time seems wrong by our wall clock, it is right if it is ahead of what the venue's clock should show by
now by no more than this."""
LATEST = 2**62
"""A time in the year 2116. Later ones are taken for wrong, so that no time computed from them overflows the bus."""
GAP_DETECTION_TIME = 10 * SECOND
"""A Gap is detected within two heartbeats, that is, much faster than this. So nothing is missing from a bar that ended
longer ago."""
OUTAGE_DETECTION_TIME = 45 * SECOND
"""A connection that has fallen silent is noticed by the pong that it owes, by default 40 s later at most. What is stale
was silent for longer, since its newest event."""

ONE = "base units"
"""The unit of sizes whose lot is 1: price times size is an amount of money by itself."""

TradingDay = Callable[[str], Callable[[int], int]]


class InstrumentState:
    """What is known of one instrument. Its bars are made of tickers until its first trade comes."""

    __slots__ = ("day_changes", "is_usable", "lot", "newest_time", "received_at", "series", "source", "venue")

    def __init__(self, venue: str, day_changes: DayChanges, lot: float | None) -> None:
        self.venue = venue
        self.lot = lot
        """What price times size is multiplied by to be an amount of money; None while that isn't known."""
        self.is_usable = True
        """Whether the statuses say that its trades (its tickers, while bars are made of them) may be used."""
        self.source: Source = "ticker"
        self.series: list[PublishedSeries] = []
        """One for each period."""
        self.day_changes = day_changes
        self.newest_time = 0
        """The venue's time of the newest event, in nanoseconds since the epoch."""
        self.received_at = -inf
        """When that event was received, in seconds by the caller's monotonic clock."""

    def change(self, ticker: Ticker, event_time: int) -> Change | None:
        """Returns what was traded since the ticker before, or None when no trade can be seen."""
        change = self.day_changes.change(ticker, event_time)
        if change is None and self.is_usable:
            for series in self.series:
                series.nothing_missing_from(event_time)
        return change

    def local_time(self, venue_time: int) -> float:
        """Returns when the venue's clock shows `venue_time`, in seconds by the caller's clock."""
        return self.received_at + (venue_time - self.newest_time) / SECOND

    def venue_time(self, now: float) -> int:
        """Returns what the venue's clock shows `now`, in nanoseconds since the epoch."""
        return self.newest_time + int((now - self.received_at) * SECOND)


class BarMaker:
    """Makes the bars and indicators of all instruments.

    Call `take` after each message that was added, and at `next_due` when no message has come.
    """

    def __init__(
        self,
        options: Options,
        counters: AggregateCounters,
        *,
        trading_day: TradingDay,
        units: Callable[[str], Mapping[str, str]] = lambda _venue: {},
        is_usable: Callable[[str, str, str], bool] = lambda _venue, _symbol, _word: True,
    ) -> None:
        """`trading_day` returns, by venue, the function that tells on which of the venue's trading days a time lies,
        and `units` the words for what the venue counts volumes in. `is_usable` tells whether the data of this venue,
        symbol and topic word may be used, as far as is known; `judge` has to be called when its answer may have
        changed."""
        self._options = options
        self._is_usable = is_usable
        self._trading_day = trading_day
        self._counters = counters
        self._units = units
        self._lots: dict[tuple[str, str], float | None] = {}  # by venue and symbol, as instruments say it
        self._instruments: dict[tuple[str, str], InstrumentState] = {}  # by venue and symbol
        self._pacer = Pacer[InstrumentState](options.forming_every)
        # A heap of (when the period of a series ends, count, …); the count breaks ties, since series can't be compared.
        self._scheduled_ends: list[tuple[float, int, InstrumentState, PublishedSeries]] = []
        self._scheduled_count = 0
        self._finished: list[BarState] = []  # final bars of one series that are about to be published
        self._out: list[MarketData] = []

    def add_trade(self, trade: Trade, now: float) -> None:
        """Takes in one trade."""
        counters = self._counters
        counters.trades += 1
        instrument = self._instruments.get((trade.venue, trade.symbol)) or self._new(trade)
        if instrument is None:
            return
        price, size = trade.price, trade.size
        if not (-MAX_NUMBER < price < MAX_NUMBER and 0 <= size < MAX_NUMBER):
            counters.unusable += 1
            return
        event_time = trade.ts_event
        if not 0 < event_time < LATEST or event_time - trade.ts_recv > MAX_AHEAD:
            event_time = self._time_of(trade, instrument, now)
        if instrument.source == "ticker":
            self._switch_to_trades(instrument, trade)
        if event_time >= instrument.newest_time:
            instrument.newest_time, instrument.received_at = event_time, now
        for series in instrument.series:
            bar = series.bar
            # Most trades belong to the bar that is being made; only the others pay for the search.
            if bar is None or series.tainted or not bar.start <= event_time < bar.end:
                bar = self._find_bar(instrument, series, event_time, trade)
                if bar is None:
                    continue
            bar.add_trade(trade, event_time, price, size, trade.side)
        self._pacer.mark_changed(instrument, now)

    def add_ticker(self, ticker: Ticker, now: float) -> None:
        """Takes in one ticker. It counts only until the instrument's first trade, and only if it isn't older than the
        ticker before."""
        self._counters.tickers += 1
        instrument = self._instruments.get((ticker.venue, ticker.symbol)) or self._new(ticker)
        if instrument is None or instrument.source == "trades":
            return
        event_time = ticker.ts_event
        if not 0 < event_time < LATEST or event_time - ticker.ts_recv > MAX_AHEAD:
            event_time = self._time_of(ticker, instrument, now)
        if event_time < instrument.newest_time:
            self._counters.stale += 1
            return
        if not _is_usable(ticker):
            self._counters.unusable += 1
            return
        instrument.newest_time, instrument.received_at = event_time, now
        change = instrument.change(ticker, event_time)
        if change is None:
            return
        instrument.series = instrument.series or self._new_series("ticker", instrument.lot)
        for series in instrument.series:
            bar = series.bar
            if bar is None or series.tainted or not bar.start <= event_time < bar.end:
                bar = self._find_bar(instrument, series, event_time, ticker)
                if bar is None:
                    continue
            bar.add_change(ticker, event_time, change.price, change.volume, change.turnover, change.trades)
        self._pacer.mark_changed(instrument, now)

    def add_instrument(self, event: Instrument, now: float) -> None:  # noqa: ARG002 - the signature of all handlers
        """Takes in what is known of one instrument: its lot."""
        self._counters.instruments += 1
        key, lot = (event.venue, event.symbol), event.worth()
        if lot is not None and not 0 < lot < MAX_NUMBER:
            self._counters.unusable += 1
            return
        if key not in self._lots and len(self._lots) >= self._options.max_instruments:
            self._counters.ignored += 1
            return
        self._lots[key] = lot
        instrument = self._instruments.get(key)
        if instrument is not None:
            instrument.lot = lot
            for series in instrument.series:
                series.set_lot(lot)

    def mark_gap(self, source: Source, venue: str, symbol: str, now: float) -> None:
        """Notes that events of one instrument are missing. `source` says which: its trades or its tickers."""
        instrument = self._instruments.get((venue, symbol))
        if instrument is not None and instrument.source == source:
            self._taint_instrument(instrument, now, GAP_DETECTION_TIME)

    def mark_gap_in_venues(self, venues: Collection[str] | None, now: float) -> None:
        """Notes that events of any instrument of these venues may be missing; None means of all venues."""
        for instrument in self._instruments.values():
            if venues is None or instrument.venue in venues:
                self._taint_instrument(instrument, now, GAP_DETECTION_TIME)

    def judge(self, venue: str, symbol: str, now: float, detection_time: int | None = GAP_DETECTION_TIME) -> None:
        """Asks whether the data of an instrument may be used now. If it may not any more, trades may be missing since
        `detection_time` ago (ns; None: since its newest event), until it may be used again and has spoken."""
        instrument = self._instruments.get((venue, symbol))
        if instrument is not None:
            self._judge(symbol, instrument, now, detection_time)

    def judge_venues(self, venues: Collection[str] | None, now: float) -> None:
        """Asks whether the data of each instrument of these venues may be used now; None means of all venues."""
        for (venue, symbol), instrument in self._instruments.items():
            if venues is None or venue in venues:
                self._judge(symbol, instrument, now, GAP_DETECTION_TIME)

    def _judge(self, symbol: str, instrument: InstrumentState, now: float, detection_time: int | None) -> None:
        word = Trade.WORD if instrument.source == "trades" else Ticker.WORD
        is_usable = self._is_usable(instrument.venue, symbol, word)
        if is_usable is instrument.is_usable:
            return
        instrument.is_usable = is_usable
        if not is_usable:
            self._counters.outages += 1
            self._taint_instrument(instrument, now, detection_time)
        elif instrument.newest_time:
            # It is said to be usable behind the event that justifies that: from that one on all is there.
            for series in instrument.series:
                series.nothing_missing_from(instrument.newest_time)

    def take(self, now: float) -> list[MarketData]:
        """Returns the bars and indicators that are to be published by `now`, in order."""
        self._close_ended(now)
        for instrument in self._pacer.take(now):
            for series in instrument.series:
                if series.closed is not None and series.closed.changed:
                    self._publish_final(series, series.closed)
                if series.bar is not None and series.bar.changed:
                    self._publish(series, series.bar)
        out, self._out = self._out, []
        return out

    def next_due(self) -> float:
        """Returns when `take` is to be called next if no event comes before; infinity when nothing is waiting.

        The call may return nothing: the end of a bar that was scheduled may have been overtaken by a later trade.
        """
        return min(self._scheduled_ends[0][0] if self._scheduled_ends else inf, self._pacer.next_due())

    def __len__(self) -> int:
        """How many instruments are known."""
        return len(self._instruments)

    # Instruments

    def _new(self, event: MarketEvent) -> InstrumentState | None:
        """Returns the state of a new instrument, or None when there are too many instruments already."""
        if len(self._instruments) >= self._options.max_instruments:
            self._counters.ignored += 1
            return None
        day_changes = DayChanges(self._trading_day(event.venue))
        key = (event.venue, event.symbol)
        usual = 1.0 if self._units(event.venue).get("trades") == ONE else None
        instrument = InstrumentState(event.venue, day_changes, self._lots.get(key, usual))
        instrument.is_usable = self._is_usable(event.venue, event.symbol, event.WORD)
        self._instruments[key] = instrument
        return instrument

    def _new_series(self, source: Source, lot: float | None) -> list[PublishedSeries]:
        made = [PublishedSeries(period_s, source, self._options) for period_s in self._options.periods]
        for series in made:
            series.set_lot(lot)
        return made

    def _switch_to_trades(self, instrument: InstrumentState, trade: Trade) -> None:
        """Ends the bars made of tickers, which are incomplete since they end early, and begins new series.

        Bars of both sources at once would count everything twice.
        """
        for series in instrument.series:
            series.max_empty = 0  # an end that is still scheduled must not add an empty bar
            if series.bar is not None:
                series.bar.complete = False
                series.close(self._finished)
            elif series.closed is not None and series.closed.changed:
                self._finished.append(series.closed)
            self._publish_finished(series)
        instrument.source = "trades"
        instrument.is_usable = self._is_usable(trade.venue, trade.symbol, Trade.WORD)
        instrument.series = self._new_series("trades", instrument.lot)
        instrument.newest_time = 0  # tickers may be timed ahead of trades

    def _time_of(self, event: MarketEvent, instrument: InstrumentState, now: float) -> int:
        """Returns the time of an event that has none, or one that is too far ahead of its receipt: the time of receipt.

        The receipt is stamped by our wall clock. When that is set back, the venue's times only seem to be ahead, and
        times of receipt repeat. What the venue's clock should show by now, which doesn't depend on it, tells that.
        """
        event_time, receipt = event.ts_event, min(max(0, event.ts_recv), LATEST)
        expected = instrument.venue_time(now) if instrument.newest_time else receipt
        if 0 < event_time < LATEST and event_time <= expected + MAX_SURPRISE:
            return event_time
        self._counters.odd_times += event_time != 0
        return receipt if receipt >= expected - MAX_AHEAD else expected

    def _taint_instrument(self, instrument: InstrumentState, now: float, detection_time: int | None) -> None:
        """Trades may be missing since so long ago (ns), but not since before the newest event; None: since that."""
        instrument.day_changes.restart()
        since = instrument.newest_time
        if instrument.series and detection_time is not None:
            since = max(since, instrument.venue_time(now) - detection_time)
        for series in instrument.series:
            for bar in series.taint(since):
                if bar is series.bar or bar is series.closed:
                    self._pacer.mark_changed(instrument, now)
                else:
                    self._publish_final(series, bar)

    # Bars

    def _find_bar(
        self, instrument: InstrumentState, series: PublishedSeries, event_time: int, event: MarketEvent
    ) -> BarState | None:
        """Returns the bar of this time, or None when it is too late for it, and publishes what is final by this."""
        bar = series.find(event_time, event, self._finished, still_missing=not instrument.is_usable)
        if self._finished:
            self._publish_finished(series)
        if bar is None:
            self._counters.too_late += 1
            return None
        self._counters.corrected += bar.final
        if not series.end_scheduled:
            self._schedule_end(instrument, series)
        return bar

    def _schedule_end(self, instrument: InstrumentState, series: PublishedSeries) -> None:
        """Has `take` look at the series when its current period ends, if anything ends at all."""
        end = series.next_end()
        series.end_scheduled = end is not None
        if end is not None:
            self._scheduled_count += 1
            due = instrument.local_time(end) + self._options.grace
            heapq.heappush(self._scheduled_ends, (due, self._scheduled_count, instrument, series))

    def _close_ended(self, now: float) -> None:
        """Closes the bars whose period and grace are over.

        A scheduled end may be outdated: a later trade has closed the bar and begun another, or has moved the estimate
        of the venue's clock. Such a series is only scheduled again. That is cheaper than moving it with every trade.
        """
        while self._scheduled_ends and self._scheduled_ends[0][0] <= now:
            _, _, instrument, series = heapq.heappop(self._scheduled_ends)
            end = series.next_end()
            if end is not None and instrument.local_time(end) + self._options.grace <= now:
                series.close(self._finished)
                self._publish_finished(series)
            self._schedule_end(instrument, series)

    # Publishing

    def _publish_finished(self, series: PublishedSeries) -> None:
        for bar in self._finished:
            self._publish_final(series, bar)
        self._finished.clear()

    def _publish_final(self, series: PublishedSeries, bar: BarState) -> None:
        """Publishes a final bar, and the indicators that are new or others because of it."""
        self._publish(series, bar)
        self._counters.bars_final += 1
        indicators = series.indicators(bar)
        self._counters.indicators += len(indicators)
        self._out += indicators

    def _publish(self, series: PublishedSeries, bar: BarState) -> None:
        self._counters.bars += 1
        self._out.append(bar.publish(series.period_s, series.source))


def _is_usable(ticker: Ticker) -> bool:
    """Whether all numbers that a bar takes from the ticker are finite and within MAX_NUMBER, and neither volume
    nor count is negative."""
    for value in (ticker.last, ticker.volume, ticker.turnover):
        if value is not None and not -MAX_NUMBER < value < MAX_NUMBER:
            return False
    return (ticker.volume or 0) >= 0 and (ticker.trades or 0) >= 0
