"""Bars: open, high, low, close and sums of what was traded in a period. Pure: time is an argument, an event's own.

Bars are aligned to the epoch (UTC): one of 300 s begins at a whole multiple of 300 s. A bar is [start, end): what is
timed at its end belongs to the next one. Prices go by the times of the trades, not by the order in which they came:
`open` is the earliest's, `close` the latest's, and of two at the same time the first that came opens and the last
closes. Sums are compensated, so that a million trades are added up as exactly as three: plain sums of real trades are
off in the last digits, and those of a million by 9e-13.
"""

from __future__ import annotations

from math import inf
from typing import Literal

from feedbus.schema.events import Bar, MarketEvent, Side

SECOND = 1_000_000_000
NEVER = 2**64  # later than any time in ns that the bus can carry

Source = Literal["trades", "ticker"]


class BarState:
    """One bar that is being made, or was. `fill` is the price that it shows while nothing was traded in it.

    `event` is the last input; `changed` says that there is something new since it was published last, `published` how
    often it was. `has_*` turns False when a change came without that sum.
    """

    __slots__ = (
        "buy", "buy_rest", "changed", "close", "complete", "end", "event", "fill", "final", "first_at", "has_trades",
        "has_turnover", "has_volume", "high", "last_at", "low", "open", "published", "sell", "sell_rest", "start",
        "trades", "turnover", "turnover_rest", "volume", "volume_rest",
    )  # fmt: skip

    def __init__(self, start: int, end: int, event: MarketEvent, *, fill: float, complete: bool) -> None:
        self.start = start
        self.end = end
        self.event = event
        self.fill = fill
        self.complete = complete
        self.final = False
        self.changed = False
        self.published = 0
        self.first_at, self.last_at = NEVER, -NEVER
        self.open = self.close = fill
        self.high, self.low = -inf, inf
        # Compensated sums (Neumaier's, without his branch): `*_rest` is what rounding has cut off so far.
        self.volume = self.volume_rest = 0.0
        self.turnover = self.turnover_rest = 0.0
        self.buy = self.buy_rest = 0.0
        self.sell = self.sell_rest = 0.0
        self.trades = 0
        self.has_volume = self.has_turnover = self.has_trades = True

    def add_trade(self, event: MarketEvent, at: int, price: float, size: float, side: Side | None) -> None:
        """One trade at the time `at`, which is within the bar. The numbers are finite, the size isn't negative.

        This runs for each period of each trade, which is why it is written out."""
        self.event = event
        self.changed = True
        self.trades += 1
        if price > self.high:
            self.high = price
        if price < self.low:
            self.low = price
        if at >= self.last_at:
            self.close, self.last_at = price, at
        if at < self.first_at:
            self.open, self.first_at = price, at
        before = self.volume
        self.volume = after = before + size
        self.volume_rest += (before - after) + size
        worth = price * size
        before = self.turnover
        self.turnover = after = before + worth
        self.turnover_rest += (before - after) + worth
        if side == "buy":
            before = self.buy
            self.buy = after = before + size
            self.buy_rest += (before - after) + size
        elif side == "sell":
            before = self.sell
            self.sell = after = before + size
            self.sell_rest += (before - after) + size

    def add_change(
        self,
        event: MarketEvent,
        at: int,
        price: float,
        volume: float | None,
        turnover: float | None,
        trades: int | None,
    ) -> None:
        """What was traded between two tickers: the last price, and how far the day's sums rose (None: not known)."""
        self.event = event
        self.changed = True
        if price > self.high:
            self.high = price
        if price < self.low:
            self.low = price
        if at >= self.last_at:
            self.close, self.last_at = price, at
        if at < self.first_at:
            self.open, self.first_at = price, at
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

    @property
    def traded(self) -> bool:
        """False for an empty bar."""
        return self.first_at != NEVER

    def publish(self, period_s: int, source: Source) -> Bar:
        """The bar as it is now, as the next revision."""
        revision = self.published
        self.published += 1
        self.changed = False
        low, high = (self.low, self.high) if self.traded else (self.fill, self.fill)
        volume = self.volume + self.volume_rest
        turnover = self.turnover + self.turnover_rest
        buy = sell = vwap = None
        if source == "trades":
            # Where no trade had a side, the venue doesn't say it: that isn't the same as nothing bought or sold.
            if self.buy or self.sell or not volume:
                buy, sell = self.buy + self.buy_rest, self.sell + self.sell_rest
            if volume:
                # Rounded, the quotient may leave the range of the prices by its last digit.
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
            trades=self.trades if self.has_trades else None,
            buy_volume=buy,
            sell_volume=sell,
            vwap=vwap,
            final=self.final,
            revision=revision,
            complete=self.complete,
        )


class BarSeries:
    """The bars of one period out of one source: the one that is being made, and the last one that was closed, which a
    late trade still corrects.

    The first bar is incomplete: we joined in the middle of it. With `empty`, a period in which nothing was traded has
    a bar too, but no more than so many in a row.
    """

    __slots__ = ("bar", "closed", "empty", "period_s", "silent", "source", "step", "tainted")

    def __init__(self, period_s: int, source: Source, *, empty: int) -> None:
        self.period_s = period_s
        self.source = source
        self.step = period_s * SECOND
        self.empty = empty
        self.bar: BarState | None = None
        self.closed: BarState | None = None
        self.silent = 0  # empty bars in a row, up to the last closed one
        self.tainted = True  # trades may be missing, which the next one's bar won't hold

    def find(self, at: int, event: MarketEvent, finished: list[BarState]) -> BarState | None:
        """The bar of the time `at`, for an event to be added; None when that is final and not the last one.

        What is final by this is put into `finished`: the bar before it, empty ones, corrections of the last one."""
        bar = self.bar
        if bar is None or at >= bar.end:
            bar = self._later(at, event, finished)
        elif at < bar.start:
            bar = self._closed_at(at)
        if bar is not None and self.tainted:
            bar.complete = False
            self.tainted = bar.final  # a late one says nothing of what is missing before the next
        return bar

    def _later(self, at: int, event: MarketEvent, finished: list[BarState]) -> BarState | None:
        start = at // self.step * self.step
        if self.bar is not None:
            self.close(finished)
        while self.closed is not None and self.closed.end < start and self.silent < self.empty:
            self._add_empty(self.closed, finished)
        if self.closed is not None and at < self.closed.end:
            return self._closed_at(at)
        self.silent = 0
        self.bar = BarState(start, start + self.step, event, fill=0.0, complete=True)
        return self.bar

    def _closed_at(self, at: int) -> BarState | None:
        closed = self.closed
        return closed if closed is not None and closed.start <= at < closed.end else None

    def close(self, finished: list[BarState]) -> None:
        """The bar that is being made is over; without one, the empty period after the last one is, if it has a bar."""
        if self.bar is not None:
            bar, self.bar = self.bar, None
            self._finish(bar, finished)
        elif self.closed is not None and self.silent < self.empty:
            self._add_empty(self.closed, finished)

    def _add_empty(self, before: BarState, finished: list[BarState]) -> None:
        self.silent = 1 if before.traded else self.silent + 1
        start = before.end
        complete = not self.tainted
        self._finish(BarState(start, start + self.step, before.event, fill=before.close, complete=complete), finished)

    def _finish(self, bar: BarState, finished: list[BarState]) -> None:
        """It takes the place of the last closed one, whose correction nobody has published yet if it has changed."""
        before = self.closed
        if before is not None and before.changed and before not in finished[-1:]:
            finished.append(before)
        bar.final = bar.changed = True
        self.closed = bar
        finished.append(bar)

    def ends(self) -> int | None:
        """When `close` will be due: the end of a bar, by the venue's clock; None when there is none to come."""
        if self.bar is not None:
            return self.bar.end
        if self.closed is not None and self.silent < self.empty:
            return self.closed.end + self.step
        return None

    def taint(self, since: int) -> bool:
        """Trades are missing, after the last one that was added and before the next one: both their bars are
        incomplete, the last one's unless it ended by `since`. True when a bar has changed by that."""
        self.tainted = True
        bar = self.bar or self.closed
        if bar is None or not bar.complete or bar.end <= since:
            return False
        bar.complete = False
        bar.changed = True
        return True
