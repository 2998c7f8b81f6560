"""What can be subscribed at the simulated ALOR, and what each subscription is sent. Pure.

    OrderBookGetAndSubscribe      the book as it is, then the newest book, whole, at most once an interval
    AllTradesGetAndSubscribe      the last `depth` trades, then every trade
    QuotesSubscribe               the whole quote, then the newest, at most once an interval
    BarsGetAndSubscribe           the candles from `from` on, then the forming one as it changes, and each next one
    InstrumentsGetAndSubscribeV2  status and limits, then which of the limits have changed, every few seconds

`first` are the objects to begin with, `due` those that the market's newest step brings; it may be asked at any step,
and leaves nothing out but what is conflated.
"""

from __future__ import annotations

from typing import Protocol

from feedbus.sim.alor import wire
from feedbus.sim.alor.venue import AlorListing

LIMITS_S = 5
"""How often the limits of a price are looked at."""


class AlorStream(Protocol):
    """One subscription's source of objects, as JSON."""

    def first(self) -> list[str]: ...

    def due(self) -> list[str]: ...


def interval_steps(interval_ms: int, step_ns: int) -> int:
    """How many steps are at least so many milliseconds; one at least."""
    return max(1, -(-interval_ms * 1_000_000 // step_ns))


class AlorBooks:
    """OrderBookGetAndSubscribe."""

    def __init__(self, listing: AlorListing, form: wire.Format, depth: int, interval: int) -> None:
        self._listing = listing
        self._form = form
        self._depth = depth
        self._interval = interval
        self._silent = listing.options.book_sides == "none"
        self._sent_at = 0

    def first(self) -> list[str]:
        self._sent_at = self._listing.market.step
        return [wire.book(self._form, self._listing.book(self._depth, existing=True))]

    def due(self) -> list[str]:
        listing, step = self._listing, self._listing.market.step
        changed = listing.instrument.moved_at > self._sent_at
        if self._silent or not changed or step - self._sent_at < self._interval:
            return []
        self._sent_at = step
        return [wire.book(self._form, listing.book(self._depth, existing=False))]


class AlorTrades:
    """AllTradesGetAndSubscribe. A client that couldn't be told of the newest 1024 prints misses the older ones."""

    def __init__(self, listing: AlorListing, form: wire.Format, depth: int) -> None:
        self._listing = listing
        self._form = form
        self._depth = depth
        self._told = listing.number
        self._again: list[wire.AlorDeal] = []

    def first(self) -> list[str]:
        deals = self._listing.newest_deals(self._depth)
        repeated = self._listing.options.repeated_trades
        self._again = deals[-repeated:] if repeated else []
        return [self._listing.tape.trade(self._form, deal, existing=True) for deal in deals]

    def due(self) -> list[str]:
        listing = self._listing
        if listing.number == self._told:
            return []
        deals = [*self._again, *listing.deals_after(self._told)]
        self._told, self._again = listing.number, []
        return [listing.tape.trade(self._form, deal, existing=False) for deal in deals]


class AlorQuotes:
    """QuotesSubscribe."""

    def __init__(self, listing: AlorListing, form: wire.Format, interval: int) -> None:
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


class AlorBars:
    """BarsGetAndSubscribe."""

    def __init__(
        self, listing: AlorListing, form: wire.Format, minutes: int, since_s: int, interval: int, *, history: bool
    ) -> None:
        self._listing = listing
        self._form = form
        self._minutes = minutes
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
        """The bars that are new, or other than they were."""
        newest, self._sent_at = self._newest, self._listing.market.step
        bars = self._listing.bars(self._minutes, self._since_s)
        if bars:
            self._newest = bars[-1]
            self._since_s = bars[-1].time
        return [each for each in bars if each != newest]

    def _written(self, bars: list[wire.AlorBar]) -> list[str]:
        return [wire.bar(self._form, each, self._listing.paper.decimals) for each in bars]


class AlorInstruments:
    """InstrumentsGetAndSubscribeV2."""

    def __init__(self, listing: AlorListing, form: wire.Format) -> None:
        self._listing = listing
        self._form = form
        self._interval = interval_steps(LIMITS_S * 1000, listing.market.step_ns)
        self._looked_at = 0
        self._told: wire.Values = {}

    def first(self) -> list[str]:
        self._looked_at = self._listing.market.step
        self._told = self._listing.state()
        return [wire.instrument(self._form, self._told)]

    def due(self) -> list[str]:
        step = self._listing.market.step
        if step - self._looked_at < self._interval:
            return []
        self._looked_at = step
        state = self._listing.state()
        changed = {name: value for name, value in state.items() if value != self._told[name]}
        self._told = state
        return [wire.instrument(self._form, {"symbol": state["symbol"], **changed})] if changed else []
