"""The model of the live table: what the newest events say of each instrument. Pure: time is an argument.

`add` is called for every event of the bus, so it does little; what is only looked at once a second (order, filter,
counts, decimals) is worked out in `snapshot`, and decimals only for the rows that will be seen.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from typing import Any, Literal, cast

import msgspec

from feedbus.schema.events import (
    OLD_PICTURE,
    Alert,
    Bar,
    BookDelta,
    BookSnapshot,
    Event,
    FeedStatus,
    Gap,
    MarketEvent,
    Quote,
    Ticker,
    Trade,
)
from feedbus.table.alert_table import AlertTable, AlertView
from feedbus.table.bar_table import BarsSeen, BarTable, BarView
from feedbus.table.connection_table import SECOND, ConnectionTable, FeedView
from feedbus.table.run_totals import DayTotals, Total, TradeTotals, sums_of

MAX_INSTRUMENTS = 20_000
MAX_DECIMALS = 8
RATE_WINDOW = 5 * SECOND
DELAYED_AFTER = 60 * SECOND
LAG_IS_KNOWN_FOR = 10 * SECOND


class InstrumentRow(msgspec.Struct, gc=False):
    """One instrument. `best_*` is about bid and ask; times are the ts_recv of what the values came in."""

    venue: str
    symbol: str
    bid: float | None = None
    ask: float | None = None
    last: float | None = None
    volume: float | None = None
    status: str | None = None
    updates: int = 0
    updated_at: int = 0
    best_at: int = 0
    best_from: Literal["ticker", "quote", "book"] = "ticker"
    last_at: int = 0
    last_from: Literal["ticker", "trade"] = "ticker"
    decimals: int = 0
    words: str = ""
    """What a filter looks into: symbol and venue, case folded, a line each."""
    trades: TradeTotals | None = None
    day: DayTotals | None = None

    @property
    def priced(self) -> bool:
        return self.bid is not None or self.ask is not None or self.last is not None


Sort = Literal["updates", "instrument", "last", "spread", "volume", "age"]


class Order(msgspec.Struct, frozen=True):
    """Which rows are wanted, and in which order.

    Numbers begin with the largest, names with the first, ages with the oldest; `backwards` is the other way about.
    Rows without a value come last either way. `text` is what symbol or venue must contain, in any case.
    """

    sort: Sort = "updates"
    backwards: bool = False
    text: str = ""


class RowView(msgspec.Struct, frozen=True):
    """One instrument at one moment. `spread` is relative to the middle; `updated_at` is a ts_recv; `bar` is the newest
    one, which is no update of the instrument and has no part in its age."""

    venue: str
    symbol: str
    bid: float | None
    ask: float | None
    last: float | None
    decimals: int
    volume: float | None
    status: str | None
    updates: int
    age_ns: int
    updated_at: int
    spread: float | None
    bar: BarView


class Snapshot(msgspec.Struct, frozen=True):
    """The whole table at one moment, with as many rows as were asked for, out of `matching` that the order's text
    lets through. `delays` is by venue, in seconds. `alerts` are those that are firing; None, as `bars`, when none ever
    came."""

    uptime_s: int
    updates: int
    rate: float
    gaps: int
    with_data: int
    with_price: int
    not_shown: int
    venues: int
    delays: dict[str, float | None]
    feed: FeedView
    matching: int
    rows: list[RowView]
    bars: BarsSeen | None
    alerts: list[AlertView] | None


ORDER = Order()


class MarketTable:
    """Events in, snapshots out. `tick` ends an interval: call it before each redraw."""

    def __init__(self, started_ns: int) -> None:
        self.updates = 0
        self.gaps = 0
        self.not_shown = 0
        """Updates of instruments beyond MAX_INSTRUMENTS."""
        self._started_ns = started_ns
        self._rows: dict[tuple[str, str], InstrumentRow] = {}
        self._connections = ConnectionTable()
        self._bars = BarTable()
        self._alerts = AlertTable()
        self._marks: deque[tuple[int, int]] = deque([(started_ns, 0)], maxlen=100)
        self._least_lag: dict[str, int] = {}
        self._lag: dict[str, tuple[int, int]] = {}

    def add(self, event: Event, publisher: str = "") -> None:
        """Take one event of a publisher in; kinds that the table doesn't show are passed over."""
        read = READERS.get(type(event))
        if read is not None:
            self._add_update(cast(MarketEvent, event), read)
        elif isinstance(event, Bar):
            self._bars.add(event)
        elif isinstance(event, FeedStatus):
            self._connections.add(event)
        elif isinstance(event, Alert):
            self._alerts.add(event, publisher)
        elif isinstance(event, Gap):
            self.gaps += 1
            if event.cause == "restart":
                self._alerts.restarted(event.publisher)

    def _add_update(self, event: MarketEvent, read: Callable[[InstrumentRow, Any], None]) -> None:
        self.updates += 1
        key = (event.venue, event.symbol)
        row = self._rows.get(key)
        if row is None:
            if len(self._rows) >= MAX_INSTRUMENTS:
                self.not_shown += 1
                return
            row = self._rows[key] = InstrumentRow(event.venue, event.symbol)
            row.words = f"{event.symbol}\n{event.venue}".casefold()
        row.updates += 1
        at = event.ts_recv
        if at > row.updated_at:
            row.updated_at = at
        if event.ts_event:
            lag = at - event.ts_event
            if lag < self._least_lag.get(event.venue, OLD_PICTURE):
                self._least_lag[event.venue] = lag
        read(row, event)

    def tick(self, now_ns: int) -> None:
        """End an interval: what came in it gives the rate and the lag."""
        if now_ns <= self._marks[-1][0]:
            self._marks.clear()
        self._marks.append((now_ns, self.updates))
        while len(self._marks) > 2 and self._marks[1][0] <= now_ns - RATE_WINDOW:
            self._marks.popleft()
        self._lag.update({venue: (lag, now_ns) for venue, lag in self._least_lag.items()})
        self._least_lag.clear()

    def snapshot(self, now_ns: int, rows: int, order: Order = ORDER) -> Snapshot:
        """The table now, with the first `rows` instruments in this order: the most active ones where none is given."""
        feed = self._connections.view(now_ns)
        matching: Collection[InstrumentRow] = self._rows.values()
        if order.text:
            text = order.text.casefold()
            matching = [row for row in matching if text in row.words]
        return Snapshot(
            uptime_s=max(0, now_ns - self._started_ns) // SECOND,
            updates=self.updates,
            rate=self._rate(),
            gaps=self.gaps,
            with_data=len(self._rows),
            with_price=sum(row.priced for row in self._rows.values()),
            not_shown=self.not_shown + feed.not_shown + self._bars.not_shown + self._alerts.not_shown,
            venues=len({venue for venue, _ in self._rows}),
            delays=self._delays(feed, now_ns),
            feed=feed,
            matching=len(matching),
            rows=[
                _view(row, now_ns, self._bars.of(row.venue, row.symbol, now_ns))
                for row in _first(rows, matching, order)
            ],
            bars=self._bars.seen and msgspec.structs.replace(self._bars.seen),
            alerts=self._alerts.view(),
        )

    def totals(self, count: int) -> list[Total]:
        """Of the `count` most active instruments, what was traded since the table began."""
        return [_total(row) for row in _first(count, self._rows.values(), ORDER)]

    def _rate(self) -> float:
        (then, before), (now, after) = self._marks[0], self._marks[-1]
        return (after - before) * SECOND / (now - then) if now > then else 0.0

    def _delays(self, feed: FeedView, now_ns: int) -> dict[str, float | None]:
        """By venue, what the connections say; where they say nothing, what the events of the last seconds show."""
        delays = dict(feed.delays)
        for venue, (lag, at) in self._lag.items():
            if lag > DELAYED_AFTER and now_ns - at <= LAG_IS_KNOWN_FOR and delays.get(venue) is None:
                delays[venue] = lag / SECOND
        return delays


def _read_book(row: InstrumentRow, book: BookSnapshot) -> None:
    bid = book.bids[0][0] if book.bids else None
    ask = book.asks[0][0] if book.asks else None
    _set_best(row, bid, ask, book.ts_recv, "book")


def _read_quote(row: InstrumentRow, quote: Quote) -> None:
    _set_best(row, quote.bid, quote.ask, quote.ts_recv, "quote")


def _set_best(
    row: InstrumentRow, bid: float | None, ask: float | None, at: int, source: Literal["quote", "book"]
) -> None:
    if at >= row.best_at:
        row.bid, row.ask, row.best_at, row.best_from = bid, ask, at, source


def _read_delta(row: InstrumentRow, delta: BookDelta) -> None:
    """The table keeps no books: after a change the best prices of the last full book are unknown, not the old ones."""
    if row.best_from == "book":
        _set_best(row, None, None, delta.ts_recv, "book")


def _read_trade(row: InstrumentRow, trade: Trade) -> None:
    if trade.ts_recv >= row.last_at:
        row.last, row.last_at, row.last_from = trade.price, trade.ts_recv, "trade"
    trades = row.trades
    if trades is None:
        trades = row.trades = TradeTotals()
    trades.add(trade)


def _read_ticker(row: InstrumentRow, ticker: Ticker) -> None:
    """A ticker's None takes back only what a ticker gave: where books or trades come, it just isn't in the ticker."""
    volume = ticker.volume
    row.volume, row.status = volume, ticker.status
    if volume is not None and ticker.window_s is None:
        day = row.day
        if day is None:
            row.day = DayTotals(ticker, ticker)
        elif volume < (day.newest.volume or 0.0):
            day.fell(ticker)
        else:
            day.newest = ticker
    if ticker.ts_recv >= row.best_at:
        alone = row.best_from == "ticker"
        row.bid = ticker.bid if alone or ticker.bid is not None else row.bid
        row.ask = ticker.ask if alone or ticker.ask is not None else row.ask
        row.best_at = ticker.ts_recv
    if ticker.ts_recv >= row.last_at and (row.last_from == "ticker" or ticker.last is not None):
        row.last, row.last_at = ticker.last, ticker.ts_recv


READERS: dict[type[Event], Callable[[InstrumentRow, Any], None]] = {
    BookSnapshot: _read_book,
    BookDelta: _read_delta,
    Quote: _read_quote,
    Trade: _read_trade,
    Ticker: _read_ticker,
}
"""What each kind of market data changes in its row."""


def spread(bid: float | None, ask: float | None) -> float | None:
    """The spread relative to the middle of bid and ask; None where there is no such number."""
    if bid is None or ask is None:
        return None
    middle = (bid + ask) / 2
    return (ask - bid) / middle if 0 < middle < math.inf else None


VALUES: Mapping[Sort, Callable[[InstrumentRow], float | None]] = {
    "updates": lambda row: row.updates,
    "last": lambda row: row.last,
    "spread": lambda row: spread(row.bid, row.ask),
    "volume": lambda row: row.volume,
    "age": lambda row: -row.updated_at,
}
"""The number that each sort goes by; instruments go by their names."""


def _first(count: int, rows: Collection[InstrumentRow], order: Order) -> list[InstrumentRow]:
    """The first rows in this order. Equals, and what has no value, go by name."""
    if order.sort == "instrument":
        return (heapq.nlargest if order.backwards else heapq.nsmallest)(count, rows, key=_name)
    value_of = VALUES[order.sort]
    sign = 1 if order.backwards else -1
    keyed: list[tuple[float, str, str, InstrumentRow]] = []
    unknown: list[InstrumentRow] = []
    for row in rows:
        value = value_of(row)
        if value is None or value != value:
            unknown.append(row)
        else:
            keyed.append((sign * value, row.symbol, row.venue, row))
    first = [row for *_, row in heapq.nsmallest(count, keyed)]
    return first + heapq.nsmallest(count - len(first), unknown, key=_name)


def _name(row: InstrumentRow) -> tuple[str, str]:
    return row.symbol, row.venue


def _widen(row: InstrumentRow) -> None:
    """Decimals only grow, so that a price doesn't change its width as it moves."""
    for price in (row.bid, row.ask, row.last):
        if price is not None:
            row.decimals = max(row.decimals, decimals(price))


def _view(row: InstrumentRow, now_ns: int, bar: BarView) -> RowView:
    _widen(row)
    return RowView(
        venue=row.venue,
        symbol=row.symbol,
        bid=row.bid,
        ask=row.ask,
        last=row.last,
        decimals=row.decimals,
        volume=row.volume,
        status=row.status,
        updates=row.updates,
        age_ns=max(0, now_ns - row.updated_at),
        updated_at=row.updated_at,
        spread=spread(row.bid, row.ask),
        bar=bar,
    )


def _total(row: InstrumentRow) -> Total:
    _widen(row)
    (vwap, volume, bought, sold), source = sums_of(row.trades, row.day)
    return Total(row.venue, row.symbol, row.updates, row.last, row.decimals, vwap, volume, bought, sold, source)


def decimals(price: float) -> int:
    """How many decimals the first 15 digits have, all that a double is sure to keep; at most MAX_DECIMALS."""
    exponent = Decimal(f"{price:.15g}").normalize().as_tuple().exponent
    return min(MAX_DECIMALS, max(0, -exponent)) if isinstance(exponent, int) else 0
