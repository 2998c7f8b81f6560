"""The kinds of rules that look at prices, sizes and bars. Pure."""

from __future__ import annotations

from collections import deque
from typing import ClassVar

from feedbus.alerts.states import QUIET, SECOND, Moment, RuleInUse, Scene, Subject, Watch, number
from feedbus.alerts.window import Window
from feedbus.schema.events import Bar, BookDelta, BookSnapshot, Quote, Ticker, Trade

EPSILON = 1e-12
_TICKER, _BOOK, _QUOTE = range(1, 4)


class WideSpread(Watch):
    """The spread is more than `threshold` per cent of the mid: 100 · (ask - bid) / ((ask + bid) / 2).

    Of an instrument's quotes, full books and tickers the best source that it has had is judged: they tell the same at
    different times, and would contradict one another. A book that comes in deltas isn't put together here, so its
    snapshots are left alone. Where a side is empty nothing can be said, and all stays as it is.
    """

    HANDLES: ClassVar[dict[type, str]] = {Quote: "quote", BookSnapshot: "book", BookDelta: "delta", Ticker: "ticker"}

    __slots__ = ("_ask", "_bid", "_has_deltas", "_share", "_source")

    def __init__(self, rule: RuleInUse, subject: Subject, scene: Scene) -> None:
        super().__init__(rule, subject, scene)
        self._share = rule.threshold / 200  # of bid + ask, that the spread may be
        self._source = 0
        self._has_deltas = False
        self._bid = self._ask = 0.0

    def quote(self, event: Quote, now: int) -> None:
        """The best source."""
        self._source = _QUOTE
        if event.bid is not None and event.ask is not None:
            self._judge(event.bid, event.ask, now, event.ts_event)

    def book(self, event: BookSnapshot, now: int) -> None:
        """The second best, if it comes whole each time."""
        if self._source <= _BOOK and not self._has_deltas:
            self._source = _BOOK
            bids, asks = event.bids, event.asks
            if bids and asks:
                bid, ask = bids[0][0], asks[0][0]
                # What most books come to costs no call.
                if self.state != QUIET or ask - bid > self._share * (ask + bid):
                    self._judge(bid, ask, now, event.ts_event)

    def delta(self, event: BookDelta, now: int) -> None:
        """From now on the snapshots say how a book was, and not how it is."""
        if not self._has_deltas:
            self._has_deltas = True
            if self._source == _BOOK:
                self._source = 0
                self.over(now, event.ts_event)

    def ticker(self, event: Ticker, now: int) -> None:
        """Where there is nothing else."""
        if self._source <= _TICKER and event.bid is not None and event.ask is not None:
            self._source = _TICKER
            self._judge(event.bid, event.ask, now, event.ts_event)

    def _judge(self, bid: float, ask: float, now: int, ts_event: int) -> None:
        twice_mid = ask + bid
        if twice_mid <= 0:
            return
        if ask - bid > self._share * twice_mid:
            self._bid, self._ask = bid, ask
            self.holds(now, now, ts_event)
        elif self.state != QUIET:
            self._bid, self._ask = bid, ask
            self.over(now, ts_event)

    def says(self) -> tuple[float | None, str]:
        """The spread in per cent."""
        return self._spread("above")

    def says_over(self) -> tuple[float | None, str]:
        """The same."""
        if self._source == 0:
            return None, "not judged any more: the book comes in deltas"
        return self._spread("not above")

    def _spread(self, is_it: str) -> tuple[float, str]:
        spread = 200 * (self._ask - self._bid) / (self._ask + self._bid)
        sides = f"bid {number(self._bid)}, ask {number(self._ask)}"
        return spread, f"spread {spread:.3g} % ({sides}), {is_it} {number(self.rule.threshold)} %"


class LargeTrade(Moment):
    """A trade of at least `threshold`: of its size, or of price times size."""

    HANDLES: ClassVar[dict[type, str]] = {Trade: "trade"}

    __slots__ = ("_is_notional", "_trade")

    def __init__(self, rule: RuleInUse, subject: Subject, scene: Scene) -> None:
        super().__init__(rule, subject, scene)
        self._is_notional = rule.rule.of == "notional"
        self._trade: Trade | None = None

    def trade(self, event: Trade, now: int) -> None:
        """Each trade is judged by itself."""
        value = event.price * event.size if self._is_notional else event.size
        if value >= self.rule.threshold:
            self._trade = event
            self.happened(value, now, event.ts_event)

    def says(self) -> tuple[float | None, str]:
        """The size, or the notional value."""
        trade = self._trade
        if trade is None:
            return self.value, "a trade"
        side = f" {trade.side}" if trade.side else ""
        worth = f" = {number(self.value)}" if self._is_notional else ""
        return self.value, f"trade{side} {number(trade.size)} at {number(trade.price)}{worth}"


class PriceJump(Watch):
    """The last price is at least `threshold` per cent above the lowest, or below the highest, of the last `window`
    seconds. It is over when the price is near all of them again, or when the extreme is older than the window.

    One wrong price is a jump there and one back, and so lasts for a window.
    """

    HANDLES: ClassVar[dict[type, str]] = {Trade: "trade", Ticker: "ticker"}

    __slots__ = ("_fine_from", "_fine_to", "_move", "_window")

    def __init__(self, rule: RuleInUse, subject: Subject, scene: Scene) -> None:
        super().__init__(rule, subject, scene)
        self._window = Window(round(rule.rule.window * SECOND))
        self._move = 0.0
        self._fine_from = self._fine_to = 0.0

    def trade(self, event: Trade, now: int) -> None:
        """A trade's price is the last price."""
        self._price(event.price, now, event)

    def ticker(self, event: Ticker, now: int) -> None:
        """And so is a ticker's last."""
        if event.last is not None:
            self._price(event.last, now, event)

    def _price(self, price: float, now: int, event: Trade | Ticker | None) -> None:
        window = self._window
        if now < window.ends and window.lowest <= price <= window.highest:
            window.last = price  # what most prices come to
        elif price <= 0:
            return  # a spread, or oil in April 2020: no per cent of it means anything
        elif window.add(price, now):
            reach = self.rule.threshold / 100
            # A little within what is fine: rounding must not decide.
            self._fine_to = window.low * (1 + reach) * (1 - EPSILON)
            self._fine_from = window.high * (1 - reach) * (1 + EPSILON)
        if self.state != QUIET or not self._fine_from < price < self._fine_to:
            self._judge(now, event.ts_event if event else 0)

    def _judge(self, now: int, ts_event: int) -> None:
        window = self._window
        last, low, high = window.last, window.low, window.high
        reach = self.rule.threshold
        if (last - low) * 100 >= reach * low or (high - last) * 100 >= reach * high:
            up, down = 100 * (last - low) / low, 100 * (last - high) / high
            self._move = up if up >= -down else down
            self.holds(now, now, ts_event)
            self.scene.timers.set(self, window.changes_at())
        else:
            self.over(now, ts_event)

    def timer(self, now: int) -> None:
        """An extreme may have left the window. The last price is still the last one, even where all have left."""
        if self.state != QUIET:
            self._price(self._window.last, now, None)

    def says(self) -> tuple[float | None, str]:
        """The move in per cent, below 0 when the price fell."""
        window = self._window
        origin = f"the lowest {number(window.low)}" if self._move > 0 else f"the highest {number(window.high)}"
        return self._move, f"last {number(window.last)} is {self._move:+.3g} % from {origin} of {self._seconds()} s"

    def says_over(self) -> tuple[float | None, str]:
        """The last price is where the others are."""
        window = self._window
        reach = f"{number(window.low)} to {number(window.high)}"
        return None, f"last {number(window.last)}, within {reach} in {self._seconds()} s"

    def _seconds(self) -> str:
        return number(self.rule.rule.window)


class VolumeSpike(Moment):
    """A bar's volume is at least `threshold` times the mean of the `bars` final bars before it.

    Bars of the rule's source and period alone are looked at. A bar that isn't final is judged too, and each one fires
    once; the mean is made of final ones, of which a later revision takes its place.
    """

    HANDLES: ClassVar[dict[type, str]] = {Bar: "bar"}

    __slots__ = ("_finals", "_fired", "_mean")

    def __init__(self, rule: RuleInUse, subject: Subject, scene: Scene) -> None:
        super().__init__(rule, subject, scene)
        self._finals: deque[tuple[int, float]] = deque(maxlen=rule.rule.bars)  # (start, volume)
        self._mean: float | None = None
        self._fired = -1

    def bar(self, event: Bar, now: int) -> None:
        """A bar, or a new version of it."""
        rule, volume = self.rule.rule, event.volume
        if event.period_s != rule.period_s or event.source != rule.source or volume is None:
            return
        newest = self._finals[-1][0] if self._finals else -1
        if event.start > newest:
            if event.start != self._fired:
                self._judge(event, volume, now)
            if event.final and event.complete:
                self._remember(event.start, volume)
        elif event.start == newest and event.final:
            self._finals.pop()
            self._remember(event.start, volume)

    def _judge(self, event: Bar, volume: float, now: int) -> None:
        mean = self._mean
        if mean and volume >= self.rule.threshold * mean and self.state == QUIET:
            self._fired = event.start
            self.happened(volume / mean, now, event.ts_event)

    def _remember(self, start: int, volume: float) -> None:
        finals = self._finals
        finals.append((start, volume))
        if len(finals) == finals.maxlen:
            self._mean = sum(volume for _, volume in finals) / len(finals)

    def says(self) -> tuple[float | None, str]:
        """How many times the mean."""
        rule, mean = self.rule.rule, self._mean or 0.0
        bars = f"the mean {number(mean)} of {rule.bars} bars of {rule.period_s} s"
        return self.value, f"volume {number(self.value * mean)} is {self.value:.3g} times {bars}"
