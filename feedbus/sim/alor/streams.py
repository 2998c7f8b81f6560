"""The streams of the simulated ALOR: what each kind of subscription is sent. Pure.

    OrderBookGetAndSubscribe      the whole book, then the whole newest book, at most once an interval
    AllTradesGetAndSubscribe      the last `depth` trades, then every trade
    QuotesSubscribe               the whole quote, then the newest quote, at most once an interval
    BarsGetAndSubscribe           the candles from `from` on, then the open candle as it changes, and each new one
    InstrumentsGetAndSubscribeV2  status and price limits, then the limits that have changed, every few seconds

`first` returns the objects at the subscription, `due` those since the last call, at the market's newest step. `due` may
be left out at any step: books, quotes and candles are conflated, and trades come later.
"""

from __future__ import annotations

from typing import Protocol

from feedbus.sim.alor import wire
from feedbus.sim.alor.market import AlorListing

LIMITS_S = 5
"""Seconds between two looks at whether the price limits have changed."""


class AlorStream(Protocol):
    """The objects of one subscription, as JSON."""

    def first(self) -> list[str]: ...

    def due(self) -> list[str]: ...


def interval_steps(interval_ms: int, step_ns: int) -> int:
    """The least number of steps that take this many milliseconds, at least 1."""
    return max(1, -(-interval_ms * 1_000_000 // step_ns))


class AlorBookStream:
    """The stream of OrderBookGetAndSubscribe."""

    def __init__(self, listing: AlorListing, form: wire.WireFormat, depth: int, interval: int) -> None:
        self._listing = listing
        self._form = form
        self._depth = depth
        self._interval = interval
        self._only_first = listing.options.book_sides == "none"
        self._sent_at = 0

    def first(self) -> list[str]:
        self._sent_at = self._listing.market.step
        return [wire.book(self._form, self._listing.book(self._depth, existing=True))]

    def due(self) -> list[str]:
        listing, step = self._listing, self._listing.market.step
        changed = listing.instrument.moved_at > self._sent_at
        if self._only_first or not changed or step - self._sent_at < self._interval:
            return []
        self._sent_at = step
        return [wire.book(self._form, listing.book(self._depth, existing=False))]


class AlorTradeStream:
    """The stream of AllTradesGetAndSubscribe. A client that falls behind by more than 1024 fills misses the oldest."""

    def __init__(self, listing: AlorListing, form: wire.WireFormat, depth: int) -> None:
        self._listing = listing
        self._form = form
        self._depth = depth
        self._sent_number = listing.number
        self._repeated: list[wire.AlorTrade] = []

    def first(self) -> list[str]:
        trades = self._listing.newest_trades(self._depth)
        count = self._listing.options.repeated_trades
        self._repeated = trades[-count:] if count else []
        return [self._listing.trade_writer.trade(self._form, trade, existing=True) for trade in trades]

    def due(self) -> list[str]:
        listing = self._listing
        if listing.number == self._sent_number:
            return []
        trades = [*self._repeated, *listing.trades_after(self._sent_number)]
        self._sent_number, self._repeated = listing.number, []
        return [listing.trade_writer.trade(self._form, trade, existing=False) for trade in trades]


class AlorQuoteStream:
    """The stream of QuotesSubscribe."""

    def __init__(self, listing: AlorListing, form: wire.WireFormat, interval: int) -> None:
        self._listing = listing
        self._form = form
        self._interval = interval
        self._sent_at = 0

    def first(self) -> list[str]:
        self._sent_at = self._listing.market.step
        return [wire.quote(self._form, self._listing.quote())]

    def due(self) -> list[str]:
        step = self._listing.market.step
        if self._listing.instrument.moved_at <= self._sent_at or step - self._sent_at < self._interval:
            return []
        return self.first()


class AlorBarStream:
    """The stream of BarsGetAndSubscribe."""

    def __init__(
        self, listing: AlorListing, form: wire.WireFormat, seconds: int, since_s: int, interval: int, *, history: bool
    ) -> None:
        self._listing = listing
        self._form = form
        self._seconds = seconds
        self._since_s = since_s
        self._interval = interval
        self._history = history
        self._sent_at = 0
        self._newest: wire.AlorBar | None = None

    def first(self) -> list[str]:
        bars = self._take()
        return self._written(bars if self._history else [])

    def due(self) -> list[str]:
        step = self._listing.market.step
        if self._listing.instrument.traded_at <= self._sent_at or step - self._sent_at < self._interval:
            return []
        return self._written(self._take())

    def _take(self) -> list[wire.AlorBar]:
        """The candles that are new or have changed since the last call."""
        newest, self._sent_at = self._newest, self._listing.market.step
        bars = self._listing.bars(self._seconds, self._since_s)
        if bars:
            self._newest = bars[-1]
            self._since_s = bars[-1].time
        return [each for each in bars if each != newest]

    def _written(self, bars: list[wire.AlorBar]) -> list[str]:
        return [wire.bar(self._form, each, self._listing.security.decimals) for each in bars]


class AlorInstrumentStream:
    """The stream of InstrumentsGetAndSubscribeV2."""

    def __init__(self, listing: AlorListing, form: wire.WireFormat) -> None:
        self._listing = listing
        self._form = form
        self._interval = interval_steps(LIMITS_S * 1000, listing.market.step_ns)
        self._looked_at = 0
        self._sent_state: wire.Values = {}

    def first(self) -> list[str]:
        self._looked_at = self._listing.market.step
        self._sent_state = self._listing.state()
        return [wire.instrument(self._form, self._sent_state)]

    def due(self) -> list[str]:
        step = self._listing.market.step
        if step - self._looked_at < self._interval:
            return []
        self._looked_at = step
        state = self._listing.state()
        changed = {name: value for name, value in state.items() if value != self._sent_state[name]}
        self._sent_state = state
        return [wire.instrument(self._form, {"symbol": state["symbol"], **changed})] if changed else []
