"""The kinds of rules that judge trades, last prices and bars: `large_trade`, `price_jump`, `volume_spike`.

Each kind is a Watch: its methods take the events, decide whether the condition holds, and tell the state machine.
docs/alerting.md has the formulas. The module is pure.
"""

from __future__ import annotations

from collections import deque
from typing import ClassVar

from feedbus.alerts.states import (
    FIRING,
    QUIET,
    SECOND,
    CompiledRule,
    MomentWatch,
    SharedState,
    Subject,
    Watch,
)
from feedbus.alerts.window import Window
from feedbus.schema.events import Bar, Event, Ticker, Trade
from feedbus.text import plain_decimal

EPSILON = 1e-12
"""The relative margin by which a quick test is stricter than the exact one, so that rounding decides nothing."""
LOTS = "lots"
"""The unit of sizes that have to be multiplied by what a lot holds."""
HISTORY_NS = 60 * SECOND
SMALLEST, LARGEST = 1e-100, 1e100
"""Prices, sizes and volumes beyond these are garbage. Quotients and products of those between them stay finite, so the
value of an alert is never NaN or infinite."""
_SOURCE_WORDS = {"trades": Trade.WORD, "ticker": Ticker.WORD, "venue": Bar.WORD}
TEXT_DIGITS = 10
"""The significant digits of prices and sizes in texts: what rounding has added to a product isn't shown."""


class LargeTrade(MomentWatch):
    """Fires when the size of a trade, or its notional value (price times size times lot), is at least `threshold`.

    A lot is what the instrument's events say. Where sizes are in lots, nothing is judged by its notional value before
    they have said it, nor where the price isn't in a currency; such trades are counted. Where sizes are units, the lot
    is 1 until they say another.

    A trade that is over a minute older than the newest trade of its instrument is history, and fires nothing.
    """

    HANDLERS: ClassVar[dict[type, str]] = {Trade: "on_trade"}

    __slots__ = ("_is_notional", "_key", "_newest", "_trade", "_usual_lot")

    def __init__(self, rule: CompiledRule, subject: Subject, shared: SharedState) -> None:
        super().__init__(rule, subject, shared)
        self._is_notional = rule.rule.of == "notional"
        self._key = (subject.venue, subject.symbol)
        self._usual_lot = None if shared.units(subject.venue).get("trades") == LOTS else 1.0
        self._newest = 0  # the latest `ts_event` of a trade
        self._trade: Trade | None = None

    def on_trade(self, event: Trade, now: int) -> None:
        """Judges one trade."""
        value = event.size
        if self._is_notional:
            lot = self.shared.lots.get(self._key, self._usual_lot)
            if lot is None:
                self.shared.unpriced += 1
                return
            value *= event.price * lot
        # A time beyond that of its receipt is wrong, and must not make history of everything that follows.
        self._newest = max(self._newest, min(event.ts_event, event.ts_recv))
        if value >= self.rule.threshold and not 0 < event.ts_event <= self._newest - HISTORY_NS:
            if not value < LARGEST:
                self.shared.unusable += 1
                return
            self._trade = event
            self.happened(value, now, event.ts_event)

    def data_word(self) -> str:
        """Returns that of trades."""
        return Trade.WORD

    def describe_firing(self) -> tuple[float | None, str]:
        """Returns the size, or the notional value."""
        trade = self._trade
        if trade is None:
            return self.value, "a trade"
        side = f" {trade.side}" if trade.side else ""
        unit = self.shared.units(self.subject.venue).get("trades", "")
        size = f"{_number(trade.size)} {unit}".rstrip()
        worth = ""
        if self._is_notional:
            lot = self.shared.lots.get(self._key, self._usual_lot) or 1.0
            times = f"price times {unit or 'size'}" + ("" if lot == 1 else f" of {_number(lot)}")
            worth = f" = {_number(self.value)} ({times})"
        return self.value, f"trade{side} {size} at {_number(trade.price)}{worth}"


class PriceJump(Watch):
    """Fires when the last price is at least `threshold` per cent above the lowest price of the last `window` seconds,
    or below the highest.

    The condition ends when the last price is near both extremes again, or when the extreme has left the window. A
    single wrong price is a jump there and a jump back, so its alert lasts for a window.

    A ticker repeats its last price with every other change, and the first ticker of a morning has yesterday's. So a
    ticker is an observation only if a trade lies between it and the ticker before: its last price, its day's volume or
    its day's count of trades has changed.

    Prices that are older than the newest one by the window are history, and no observations. Nor is what spans an
    outage of the venue, or a time in which the data wasn't judged: the price after it is compared with no price before
    it.
    """

    HANDLERS: ClassVar[dict[type, str]] = {Trade: "on_trade", Ticker: "on_ticker"}
    NEEDS_DATA: ClassVar[bool] = True

    __slots__ = (
        "_move", "_newest", "_outages", "_quiet_above", "_quiet_below", "_ticker", "_venue", "_window", "_word",
    )  # fmt: skip

    def __init__(self, rule: CompiledRule, subject: Subject, shared: SharedState) -> None:
        super().__init__(rule, subject, shared)
        self._window = Window(rule.window_ns)
        self._word = ""  # of the price that was judged last
        self._venue = shared.connections.venue(subject.venue)
        self._outages = self._venue.outages  # up to the last price
        self._newest = 0  # the latest `ts_event` of a price
        self._move = 0.0
        self._quiet_above = self._quiet_below = 0.0
        self._ticker: Ticker | None = None

    def on_trade(self, event: Trade, now: int) -> None:
        """Judges the price of a trade."""
        if self._is_observation(event):
            self._on_price(event.price, now, event)

    def on_ticker(self, event: Ticker, now: int) -> None:
        """Judges the last price of a ticker, if somebody has traded since the ticker before."""
        if not self._is_observation(event):
            return
        before, self._ticker = self._ticker, event
        if event.last is None or before is None:
            return
        if event.last != before.last or event.volume != before.volume or event.trades != before.trades:
            self._on_price(event.last, now, event)

    def _is_observation(self, event: Trade | Ticker) -> bool:
        """Returns False for an event of the past. Forgets the prices before an outage."""
        if self._outages != self._venue.outages:
            self._outages = self._venue.outages
            self._forget()
        time = event.ts_event
        if time > self._newest:
            # As in LargeTrade, but without calls: this runs for each trade.
            if time <= event.ts_recv:
                self._newest = time
            elif event.ts_recv > self._newest:
                self._newest = event.ts_recv
            return True
        return time > self._newest - self.rule.window_ns or time <= 0  # 0: the venue gives no time

    def on_word_lost(self, _word: str) -> None:
        """Forgets the prices, since nobody knows what is traded from now on."""
        self.unknown()
        self._forget()

    def _forget(self) -> None:
        self._ticker = None
        self._window = Window(self.rule.window_ns)

    def _on_price(self, price: float, now: int, event: Trade | Ticker | None) -> None:
        window = self._window
        if now < window.bucket_end and window.bucket_low <= price <= window.bucket_high:
            window.last = price  # most prices are within their bucket's range and cost no call
        elif not SMALLEST < price < LARGEST:
            # A percentage of a price of 0 and below means nothing (calendar spreads, oil in April 2020).
            self.shared.unusable += price > 0
            return
        elif window.add(price, now):
            reach = self.rule.threshold / 100
            # Between these two prices there is no jump for certain, and the exact test is skipped.
            self._quiet_below = window.low * (1 + reach) * (1 - EPSILON)
            self._quiet_above = window.high * (1 - reach) * (1 + EPSILON)
        if self.state != QUIET or not self._quiet_above < price < self._quiet_below:
            if event is not None:
                self._word = event.WORD
            self._judge(now, event.ts_event if event else 0)

    def data_word(self) -> str:
        """Returns that of the last price that was judged."""
        return self._word

    def _judge(self, now: int, ts_event: int) -> None:
        window = self._window
        last, low, high = window.last, window.low, window.high
        reach = self.rule.resolve_at if self.state == FIRING else self.rule.threshold
        if (last - low) * 100 >= reach * low or (high - last) * 100 >= reach * high:
            up, down = 100 * (last - low) / low, 100 * (last - high) / high
            self._move = up if up >= -down else down
            self.condition_holds(now, now, ts_event)
            self.shared.timers.set(self, window.changes_at())
        else:
            self.condition_ended(now, ts_event)

    def on_timer(self, now: int) -> None:
        """Judges the last price again, since an extreme may have left the window. It stays the last price even when all
        prices have left the window. There may be none, though."""
        if self.state != QUIET and self._window.last:
            self._on_price(self._window.last, now, None)

    def describe_firing(self) -> tuple[float | None, str]:
        """Returns the move in per cent, which is negative when the price fell."""
        low, high, last = (_number(price) for price in (self._window.low, self._window.high, self._window.last))
        sign = "+" if self._move > 0 else ""
        origin = f"the lowest {low}" if self._move > 0 else f"the highest {high}"
        return self._move, f"last {last} is {sign}{plain_decimal(self._move, 3)} % from {origin} of {self._seconds()} s"

    def describe_resolved(self) -> tuple[float | None, str]:
        """Returns no value; the text shows the range of the window."""
        window = self._window
        reach = f"{_number(window.low)} to {_number(window.high)}"
        return None, f"last {_number(window.last)}, within {reach} in {self._seconds()} s"

    def _seconds(self) -> str:
        return _number(self.rule.rule.window)


class VolumeSpike(MomentWatch):
    """Fires when a bar's volume is at least `threshold` times the mean volume of the `bars` final bars before it.

    Only bars of the rule's source and period count. What they are made of has to be judged: trades, tickers, or the
    venue's bars. A bar is judged before it is final, too, and fires only once. The
    mean is that of final and complete bars; a later revision of the newest of them replaces it. A bar that had ended
    more than its own length before the venue sent it, or before it came where the venue doesn't say when that was, is
    history: it counts for the mean, but fires nothing. Since the time at which it came is by a clock that may be set,
    one that follows on a present bar as fast as the time passes is present, too.
    """

    HANDLERS: ClassVar[dict[type, str]] = {Bar: "on_bar"}

    __slots__ = ("_final_volumes", "_fired_start", "_mean", "_present")

    def __init__(self, rule: CompiledRule, subject: Subject, shared: SharedState) -> None:
        super().__init__(rule, subject, shared)
        self._final_volumes: deque[tuple[int, float]] = deque(maxlen=rule.rule.bars)  # (start, volume)
        self._mean: float | None = None
        self._fired_start = -1  # the start of the bar that fired last
        self._present = (0, 0)  # the start of the newest bar that was no history, and when it came

    def word_of(self, _kind: type[Event]) -> str:
        """Returns that of what the bars are made of: who makes bars of other data says nothing of them."""
        return _SOURCE_WORDS[self.rule.rule.source]

    def data_word(self) -> str:
        """Returns that of what the bars are made of."""
        return self.word_of(Bar)

    def on_bar(self, event: Bar, now: int) -> None:
        """Judges a bar, or a new revision of it."""
        rule, volume = self.rule.rule, event.volume
        if event.period_s != rule.period_s or event.source != rule.source or volume is None:
            return
        if not 0 <= volume < LARGEST:
            self.shared.unusable += 1
            return
        newest = self._final_volumes[-1][0] if self._final_volumes else -1
        if event.start > newest:
            if self._is_present(event, now):
                self._present = event.start, now
                if event.start != self._fired_start:
                    self._judge(event, volume, now)
            if event.final and event.complete:
                self._remember(event.start, volume)
        elif event.start == newest and event.final:
            self._final_volumes.pop()
            self._remember(event.start, volume)

    def _is_present(self, event: Bar, now: int) -> bool:
        recent = 2 * event.period_s * SECOND
        if (event.ts_event or event.ts_recv) - event.start <= recent:
            return True
        start, came = self._present
        return start > 0 and event.start >= start + now - came - recent

    def _judge(self, event: Bar, volume: float, now: int) -> None:
        mean = self._mean
        if mean and mean > SMALLEST and volume >= self.rule.threshold * mean and self.state == QUIET:
            self._fired_start = event.start
            self.happened(volume / mean, now, event.ts_event)

    def _remember(self, start: int, volume: float) -> None:
        finals = self._final_volumes
        finals.append((start, volume))
        if len(finals) == finals.maxlen:
            self._mean = sum(volume for _, volume in finals) / len(finals)

    def describe_firing(self) -> tuple[float | None, str]:
        """Returns how many times the mean the volume is."""
        rule, mean = self.rule.rule, self._mean or 0.0
        unit = self.shared.units(self.subject.venue).get(rule.source, "")
        volume = f"{_number(self.value * mean)} {unit}".rstrip()
        bars = f"the mean {_number(mean)} of {rule.bars} bars of {rule.period_s} s"
        return self.value, f"volume {volume} is {plain_decimal(self.value, 3)} times {bars}"


def _number(value: float) -> str:
    return plain_decimal(value, TEXT_DIGITS)
