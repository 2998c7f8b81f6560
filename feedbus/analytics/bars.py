"""Bars: open, high, low, close and sums of what was traded in a period. One bar is a BarState, a sequence of them a
BarSeries.

Bars are aligned to the epoch (UTC): a bar of 300 s begins at a whole multiple of 300 s. A bar covers the half-open
interval [start, end), so a trade at the time `end` belongs to the next bar. Open and close go by the times of the
trades, not by the order in which they came: `open` is the price of the earliest trade and `close` that of the latest.
Of several trades at the same time the first that came opens and the last that came closes.

Sums are compensated for rounding, so that a million trades are added up as exactly as three. Plain sums of doubles are
off in the last digits: those of a million trades by 9e-13 of their value.

The module is pure: times are those of the events, in nanoseconds since the epoch.
"""

from __future__ import annotations

from math import inf
from typing import Literal

from feedbus.schema.events import Bar, MarketEvent, Side

SECOND = 1_000_000_000
NEVER = 2**64
"""Later than any time in nanoseconds, and more than any count, that the bus can carry."""

Source = Literal["trades", "ticker"]
"""What bars are made of."""


class BarState:
    """One bar, while it is being made and after it was closed.

    start, end     the interval that it covers
    event          the last event that went into it, which gives the published bar its venue, symbol and times
    fill_price     the price that it shows while nothing was traded in it: the close of the bar before
    first_time     the time of the earliest trade in it, NEVER while there is none
    last_time      the time of the latest trade in it
    changed        whether anything is new since it was published last
    next_revision  how many times it was published, which is the `revision` of its next version
    final          whether its period is over
    complete       False when trades of its period are known to be missing
    lot            what turnover is multiplied by to be an amount of money; None while that isn't known
    has_*          False once a change of unknown volume, turnover or count has gone into it: that sum is unknown then
    *_rest         what rounding has cut off from each sum so far
    """

    __slots__ = (
        "_earlier_money",
        "_earlier_turnover",
        "buy_rest",
        "buy_volume",
        "changed",
        "close",
        "complete",
        "end",
        "event",
        "fill_price",
        "final",
        "first_time",
        "has_trades",
        "has_turnover",
        "has_volume",
        "high",
        "last_time",
        "lot",
        "low",
        "next_revision",
        "open",
        "sell_rest",
        "sell_volume",
        "start",
        "trades",
        "turnover",
        "turnover_rest",
        "volume",
        "volume_rest",
    )  # fmt: skip

    def __init__(
        self,
        start: int,
        end: int,
        event: MarketEvent,
        *,
        fill_price: float,
        complete: bool,
        lot: float | None = None,
    ) -> None:
        self.lot = lot
        self._earlier_turnover = self._earlier_money = 0.0  # up to the last change of the lot
        self.start = start
        self.end = end
        self.event = event
        self.fill_price = fill_price
        self.complete = complete
        self.final = False
        self.changed = False
        self.next_revision = 0
        self.first_time, self.last_time = NEVER, -NEVER
        self.open = self.close = fill_price
        self.high, self.low = -inf, inf
        # Neumaier's compensated summation, without his branch for terms that are larger than the sum.
        self.volume = self.volume_rest = 0.0
        self.turnover = self.turnover_rest = 0.0
        self.buy_volume = self.buy_rest = 0.0
        self.sell_volume = self.sell_rest = 0.0
        self.trades = 0
        self.has_volume = self.has_turnover = self.has_trades = True

    def add_trade(self, event: MarketEvent, event_time: int, price: float, size: float, side: Side | None) -> None:
        """Adds one trade. Its time must lie within the bar, its numbers must be finite, its size not negative.

        This runs once for each trade and period and is the aggregator's hot path. That is why the summation is written
        out instead of being called."""
        self.event = event
        self.changed = True
        self.trades += 1
        if price > self.high:
            self.high = price
        if price < self.low:
            self.low = price
        if event_time >= self.last_time:
            self.close, self.last_time = price, event_time
        if event_time < self.first_time:
            self.open, self.first_time = price, event_time
        before = self.volume
        self.volume = after = before + size
        self.volume_rest += (before - after) + size
        worth = price * size
        before = self.turnover
        self.turnover = after = before + worth
        self.turnover_rest += (before - after) + worth
        if side == "buy":
            before = self.buy_volume
            self.buy_volume = after = before + size
            self.buy_rest += (before - after) + size
        elif side == "sell":
            before = self.sell_volume
            self.sell_volume = after = before + size
            self.sell_rest += (before - after) + size

    def add_change(
        self,
        event: MarketEvent,
        event_time: int,
        price: float,
        volume: float | None,
        turnover: float | None,
        trades: int | None,
    ) -> None:
        """Adds what was traded between two tickers: `price` is the last price; `volume`, `turnover` and `trades` are
        how far the sums of the day rose, None where that is unknown."""
        self.event = event
        self.changed = True
        if price > self.high:
            self.high = price
        if price < self.low:
            self.low = price
        if event_time >= self.last_time:
            self.close, self.last_time = price, event_time
        if event_time < self.first_time:
            self.open, self.first_time = price, event_time
        size, worth = volume or 0.0, turnover or 0.0
        before = self.volume
        self.volume = after = before + size
        self.volume_rest += (before - after) + size
        before = self.turnover
        self.turnover = after = before + worth
        self.turnover_rest += (before - after) + worth
        self.trades += trades or 0
        self.has_volume = self.has_volume and volume is not None
        self.has_turnover = self.has_turnover and turnover is not None
        self.has_trades = self.has_trades and trades is not None

    def set_lot(self, lot: float | None) -> None:
        """From now on the lot is another one. What was traded before keeps the lot that it was traded in; where that
        one wasn't known, this is the first news of it."""
        if self.lot is not None:
            turnover = self.turnover + self.turnover_rest
            self._earlier_money += (turnover - self._earlier_turnover) * self.lot
            self._earlier_turnover = turnover
        self.lot = lot

    def _money(self, turnover: float, source: Source) -> float | None:
        """The turnover as an amount of money. That of tickers is one already."""
        if source == "ticker":
            return turnover if self.has_turnover else None
        if self.lot is None:
            return None
        money = self._earlier_money + (turnover - self._earlier_turnover) * self.lot
        return money if -inf < money < inf else None

    @property
    def traded(self) -> bool:
        """Whether anything was traded in the bar; False for an empty bar."""
        return self.first_time != NEVER

    def publish(self, period_s: int, source: Source) -> Bar:
        """Returns the bar as an event, in its present state and as its next revision."""
        revision = self.next_revision
        self.next_revision += 1
        self.changed = False
        low, high = (self.low, self.high) if self.traded else (self.fill_price, self.fill_price)
        volume = self.volume + self.volume_rest
        turnover = self.turnover + self.turnover_rest
        buy = sell = vwap = None
        if source == "trades":
            # Where there is volume but no trade had a side, the venue doesn't tell sides: both sums are unknown (None),
            # not 0.
            if self.buy_volume or self.sell_volume or not volume:
                buy, sell = self.buy_volume + self.buy_rest, self.sell_volume + self.sell_rest
            if volume:
                # The mean lies between low and high; rounding may carry it over by the last digit.
                vwap = min(max(turnover / volume, low), high)
        return Bar(
            venue=self.event.venue,
            symbol=self.event.symbol,
            ts_event=self.event.ts_event,
            ts_recv=self.event.ts_recv,
            source=source,
            period_s=period_s,
            start=self.start,
            open=self.open,
            high=high,
            low=low,
            close=self.close,
            volume=volume if self.has_volume else None,
            turnover=turnover if self.has_turnover else None,
            trades=self.trades if self.has_trades and self.trades < NEVER else None,
            buy_volume=buy,
            sell_volume=sell,
            vwap=vwap,
            final=self.final,
            revision=revision,
            complete=self.complete,
            turnover_currency=self._money(turnover, source),
        )


class BarSeries:
    """The bars of one instrument, period and source: the bar that is being made, and the last one that was closed.

    The last closed bar is kept because a late trade still corrects it. The first bar of a series is incomplete, since
    the series begins in the middle of it.

    A series is `tainted` while trades are known to be missing of which we can't say yet to which bar they belong: they
    lie somewhere between the last trade that was added and the next one. The bar of that next trade is then marked
    incomplete, and the taint is gone, unless more trades are still being missed.
    """

    __slots__ = (
        "bar", "closed", "lot", "max_empty", "period_ns", "period_s", "since_trade", "source", "tainted",
        "tainted_until",
    )  # fmt: skip

    def __init__(self, period_s: int, source: Source, *, max_empty: int) -> None:
        """`max_empty` is how many bars without trades may follow one another; with 0 there are none."""
        self.period_s = period_s
        self.source = source
        self.period_ns = period_s * SECOND
        self.max_empty = max_empty
        self.bar: BarState | None = None
        self.closed: BarState | None = None
        self.since_trade: list[BarState] = []
        """The closed bars from the last one with a trade on: that one, and at most `max_empty` empty ones."""
        self.lot: float | None = None
        """That of the bars to come; `set_lot` changes it."""
        self.tainted = True
        self.tainted_until = NEVER
        """The bars that begin then or later are complete, although no trade has come since the taint."""

    def find(
        self, event_time: int, event: MarketEvent, finished: list[BarState], *, still_missing: bool = False
    ) -> BarState | None:
        """Returns the bar of the time `event_time`, for the caller to add the event to; None when that bar is older
        than the last closed one, so that the event comes too late.

        Bars that become final by this are appended to `finished`, in order: the bar that was being made, empty bars
        after it, and a corrected bar whose correction wasn't published yet. While trades are `still_missing`, this one
        doesn't end the taint.
        """
        bar = self.bar
        if bar is None or event_time >= bar.end:
            bar = self._begin(event_time, event, finished)
        elif event_time < bar.start:
            bar = self._closed_at(event_time)
        if bar is not None and self.tainted:
            bar.complete = bar.complete and bar.start >= self.tainted_until
            # A late trade goes into a closed bar. It doesn't show what is missing before the next trade in order, so
            # the taint stays.
            self.tainted = bar.final or still_missing
        return bar

    def set_lot(self, lot: float | None) -> None:
        """From now on the lot is another one. A closed bar was traded in the one before, where that was known."""
        if lot == self.lot:
            return
        self.lot = lot
        if self.bar is not None:
            self.bar.set_lot(lot)
        if self.closed is not None and self.closed.lot is None:
            self.closed.set_lot(lot)

    def nothing_missing_from(self, time: int) -> None:
        """Notes that from this time on nothing is missing, as an event shows that is no trade."""
        if self.tainted and self.tainted_until == NEVER:
            self.tainted_until = time

    def _begin(self, event_time: int, event: MarketEvent, finished: list[BarState]) -> BarState | None:
        """Closes the bar that is being made and begins the one of this time. Returns the last closed bar instead when
        the time lies within it, and None when it lies before it."""
        start = event_time // self.period_ns * self.period_ns
        if self.bar is not None:
            self.close(finished)
        while self.closed is not None and self.closed.end < start and len(self.since_trade) <= self.max_empty:
            self._add_empty(self.closed, finished)
        if self.closed is not None and event_time < self.closed.end:
            return self._closed_at(event_time)
        self.bar = BarState(start, start + self.period_ns, event, fill_price=0.0, complete=True, lot=self.lot)
        return self.bar

    def _closed_at(self, event_time: int) -> BarState | None:
        closed = self.closed
        return closed if closed is not None and closed.start <= event_time < closed.end else None

    def close(self, finished: list[BarState]) -> None:
        """Closes the bar that is being made and appends it to `finished`. Where no bar is being made, the period after
        the last closed bar has ended without a trade, and gets an empty bar if empty bars are wanted."""
        if self.bar is not None:
            bar, self.bar = self.bar, None
            self._finish(bar, finished)
        elif self.closed is not None and len(self.since_trade) <= self.max_empty:
            self._add_empty(self.closed, finished)

    def _add_empty(self, before: BarState, finished: list[BarState]) -> None:
        start, end = before.end, before.end + self.period_ns
        complete = not self.tainted or start >= self.tainted_until
        empty = BarState(start, end, before.event, fill_price=before.close, complete=complete, lot=self.lot)
        self._finish(empty, finished)

    def _finish(self, bar: BarState, finished: list[BarState]) -> None:
        """Makes the bar the last closed one."""
        before = self.closed
        # The bar whose place it takes may have a correction that wasn't published yet, and this is the last chance.
        if before is not None and before.changed and before not in finished[-1:]:
            finished.append(before)
        bar.final = bar.changed = True
        self.closed = bar
        if bar.traded:
            self.since_trade = [bar]
        else:
            self.since_trade.append(bar)
        finished.append(bar)

    def next_end(self) -> int | None:
        """Returns when `close` is due: the end of the current period, by the venue's clock. None when no bar is being
        made and no empty bar will follow."""
        if self.bar is not None:
            return self.bar.end
        if self.closed is not None and len(self.since_trade) <= self.max_empty:
            return self.closed.end + self.period_ns
        return None

    def taint(self, since: int) -> list[BarState]:
        """Notes that trades are missing after the last one that was added and before the next one.

        The bars of both are incomplete then, and so are those between. Those before the next one stay complete if they
        ended by `since`, the earliest time from which something can be missing. Returns the bars that have changed by
        this and are to be published, the oldest first.
        """
        self.tainted = True
        self.tainted_until = NEVER
        touched = self.since_trade if self.bar is None else [self.bar]
        found = [bar for bar in touched if bar.complete and bar.end > since]
        for bar in found:
            bar.complete = False
            bar.changed = True
        return found
