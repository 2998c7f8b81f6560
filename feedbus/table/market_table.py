"""The model of the live table: what the newest events say of each instrument. Pure: time is an argument.

`add` is called for every event of the bus, so it only stores values. Everything else (order, filter, counts, decimals)
is worked out by `snapshot`, which is called once a second, and decimals only for the rows that will be shown.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal, cast

import msgspec

from feedbus import venues
from feedbus.books.books import KeptBook
from feedbus.schema.events import (
    DELAYED_AFTER,
    OLD_PICTURE,
    UPDATES,
    Alert,
    Bar,
    BookDelta,
    BookSnapshot,
    Event,
    FeedStatus,
    Gap,
    Instrument,
    MarketData,
    MarketEvent,
    Quote,
    Status,
    Ticker,
    Trade,
)
from feedbus.table.alert_table import AlertTable, AlertView
from feedbus.table.bar_table import BarsSeen, BarTable, BarView, change
from feedbus.table.book_prices import BestFrom, BookPrices, set_best
from feedbus.table.connection_table import SECOND, ConnectionTable, FeedView
from feedbus.table.price_decimals import InstrumentDecimals, needed
from feedbus.table.run_totals import DayTotals, Total, TradeTotals, sums_of
from feedbus.trust.readers_trust import UNHEARD, Trusted

MAX_INSTRUMENTS = 20_000
RATE_WINDOW = 5 * SECOND
"""The rate of updates is the average over this long (ns)."""
LAG_IS_KNOWN_FOR = 10 * SECOND
"""The lag of a venue's events is shown for this long (ns) after the interval in which it was seen."""


class InstrumentRow(msgspec.Struct, gc=False):
    """What is known of one instrument.

    `best_at` and `best_from` say when and by which kind of event bid and ask were set, `last_at` and `last_from` the
    same of the last price, and `heard_at` when the last event came: all by the table's clock. `updated_at` is the
    newest ts_recv. `decimals` is how many the prices that were shown have needed.
    """

    venue: str
    symbol: str
    bid: float | None = None
    ask: float | None = None
    last: float | None = None
    ticker: Ticker | None = None
    """The newest one."""
    updates: int = 0
    updated_at: int = 0
    heard_at: int = 0
    best_at: int = 0
    best_from: BestFrom = "ticker"
    last_at: int = 0
    last_from: Literal["ticker", "trade"] = "ticker"
    decimals: int = 0
    words: str = ""
    """The text that a filter searches: symbol and venue, case folded, on a line each."""
    trades: TradeTotals | None = None
    newest: Trade | None = None
    """The newest trade: those that come late precede it."""
    day: DayTotals | None = None
    book: KeptBook | None = None
    """None until there has been a full book."""

    @property
    def priced(self) -> bool:
        return self.bid is not None or self.ask is not None or self.last is not None


Sort = Literal["updates", "instrument", "last", "spread", "volume", "age"]


class Order(msgspec.Struct, frozen=True):
    """Which rows are wanted, and in which order.

    The largest number, the first name and the oldest row come first; with `backwards`, they come last. Rows without a
    value come last in both orders. Only rows whose symbol or venue contains `text`, in any case, are wanted.
    """

    sort: Sort = "updates"
    backwards: bool = False
    text: str = ""


class RowView(msgspec.Struct, frozen=True):
    """One instrument at one moment.

    `change` is last / previous close - 1, None when the venue doesn't say the previous close. `high`, `low` and
    `volume` are of the day, or of the time over which the venue counts them. `spread` is (ask - bid) / mid price.
    `age_ns` is the time since the instrument's last market data came, and `updated_at` the ts_recv of that. `bar` is
    the newest bar; bars count neither as updates nor for the age. `trusted` is how far the instrument as a whole may be
    trusted, and `doubted` is True unless it is live.
    """

    venue: str
    symbol: str
    bid: float | None
    ask: float | None
    last: float | None
    decimals: int
    change: float | None
    high: float | None
    low: float | None
    volume: float | None
    status: str | None
    updates: int
    age_ns: int
    updated_at: int
    spread: float | None
    bar: BarView
    trusted: Trusted = UNHEARD

    @property
    def doubted(self) -> bool | None:
        return None if self.trusted.state == "live" else True


class Snapshot(msgspec.Struct, frozen=True):
    """The whole table at one moment.

    `rate` is in updates a second. `with_data` and `with_price` are numbers of instruments. `not_shown` counts the
    events that were dropped because a limit of the table was reached. `delays` is by venue, in seconds (None: not
    known). `matching` is the number of instruments that pass the filter, and `rows` are as many of them as were asked
    for, after the `above` first ones. `seen` are the OPTIONAL fields that any row that was asked for has ever had.
    `live` is how many instruments with data are live, and `unusable` of how many it is said that their prices may not
    be used. `alerts` are those that are firing. `bars` and `alerts` are None when no such event has ever come. `silent`
    are the publishers that say nothing any more, each with the seconds for which it has.
    """

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
    seen: frozenset[str]
    above: int
    live: int = 0
    unusable: int = 0
    silent: Mapping[str, float] = {}

    @property
    def anything(self) -> bool:
        """True when any event that the table shows has ever come."""
        return bool(self.updates or self.gaps or self.feed.connections or self.bars or self.alerts is not None)


ORDER = Order()
OPTIONAL = frozenset({"change", "high", "low", "status", "doubted"})
"""The fields of a RowView that some venues never have, and that of a doubt about a row."""


class MarketTable:
    """Takes in events, and gives snapshots. `tick` has to be called once an interval, before each redraw."""

    def __init__(self, started_ns: int) -> None:
        self.updates = 0
        self.gaps = 0
        self.not_shown = 0
        """How many updates were dropped because they were of an instrument beyond MAX_INSTRUMENTS."""
        self._started_ns = started_ns
        self._rows: dict[tuple[str, str], InstrumentRow] = {}
        self._books = BookPrices(self._rows, MAX_INSTRUMENTS)
        self._trust = self._books.trust
        self._trust.reads.update(kind.WORD for kind in UPDATES)
        self._readers: dict[type[Event], Callable[[InstrumentRow, Any, int], None]] = {
            **READERS,
            BookSnapshot: self._books.read_book,
            BookDelta: self._books.read_delta,
        }
        self._connections = ConnectionTable()
        self._bars = BarTable()
        self._alerts = AlertTable()
        self._decimals = InstrumentDecimals()
        self._marks: deque[tuple[int, int]] = deque([(started_ns, 0)], maxlen=100)
        self._seen: frozenset[str] = frozenset()
        self._least_lag: dict[str, int] = {}
        self._lag: dict[str, tuple[int, int]] = {}
        self._silent: Mapping[str, float] = {}

    def add(self, event: Event, publisher: str = "", now_ns: int | None = None) -> None:
        """Take in one event of this publisher. Kinds that the table doesn't show are ignored.

        `now_ns` is when it came, by the clock of `tick` and `snapshot`. Without it that clock is the one by which the
        events were stamped.
        """
        self._books.publisher = publisher
        read = self._readers.get(type(event))
        if read is not None:
            self._add_update(cast(MarketEvent, event), read, now_ns)
            return
        if now_ns is not None and isinstance(event, MarketEvent):
            # What is old, and what is newest, is judged by when it came: the wall clock may have been set meanwhile.
            event = msgspec.structs.replace(event, ts_recv=now_ns)
        if isinstance(event, Bar):
            self._bars.add(event)
        elif isinstance(event, FeedStatus):
            self._connections.add(event, publisher)
        elif isinstance(event, Alert):
            self._alerts.add(event, publisher)
        elif isinstance(event, Instrument):
            self._decimals.add(event)
        elif isinstance(event, Status):
            self._books.add_status(event)
        elif isinstance(event, Gap):
            self.gaps += 1
            self._books.add_gap(event, now_ns or 0)
            if event.cause == "restart":
                self._alerts.restarted(event.publisher)

    def _add_update(
        self, event: MarketEvent, read: Callable[[InstrumentRow, Any, int], None], now_ns: int | None
    ) -> None:
        self.updates += 1
        if self._trust.awaits_data:
            self._trust.add_data(cast(MarketData, event))
        key = (event.venue, event.symbol)
        row = self._rows.get(key)
        if row is None:
            if len(self._rows) >= MAX_INSTRUMENTS:
                self.not_shown += 1
                return
            row = self._rows[key] = InstrumentRow(event.venue, event.symbol)
            row.words = f"{event.symbol}\n{event.venue}".casefold()
        row.updates += 1
        at = event.ts_recv if now_ns is None else now_ns
        if at >= row.heard_at:
            row.heard_at, row.updated_at = at, event.ts_recv
        if event.ts_event:
            lag = event.ts_recv - event.ts_event
            if lag < self._least_lag.get(event.venue, OLD_PICTURE):
                self._least_lag[event.venue] = lag
        read(row, event, at)

    def tick(self, now_ns: int, silent: Mapping[str, float] | None = None) -> None:
        """End an interval: the rate of updates and the lag of each venue are worked out of what has come in it.

        `silent` are the publishers that say nothing at all by now, each with the seconds for which it has.
        """
        self._silent = silent or {}
        self._marks.append((now_ns, self.updates))
        while len(self._marks) > 2 and self._marks[1][0] <= now_ns - RATE_WINDOW:
            self._marks.popleft()
        self._lag.update({venue: (lag, now_ns) for venue, lag in self._least_lag.items()})
        self._least_lag.clear()

    def snapshot(self, now_ns: int, rows: int, order: Order = ORDER, above: int = 0) -> Snapshot:
        """The table at this time, with the first `rows` instruments of this order after the `above` first ones; by
        default, those with most updates.
        """
        silent = self._silent
        feed = self._connections.view(now_ns, silent)
        matching: Collection[InstrumentRow] = self._rows.values()
        if order.text:
            text = order.text.casefold()
            matching = [row for row in matching if text in row.words]
        shown = [
            _view(
                row,
                now_ns,
                self._bars.of(row.venue, row.symbol, now_ns),
                self._widened(row),
                self._trust.trust(row.venue, row.symbol),
            )
            for row in _first(above + rows, matching, order)[above:]
        ]
        for field in OPTIONAL - self._seen:
            if any(getattr(row, field) is not None for row in shown):
                self._seen |= {field}
        answers = [self._trust.trust(venue, symbol) for venue, symbol in self._rows]
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
            rows=shown,
            bars=self._bars.seen and msgspec.structs.replace(self._bars.seen),
            alerts=self._alerts.view(),
            seen=self._seen,
            above=above,
            live=sum(answer.state == "live" for answer in answers),
            unusable=sum(not answer.usable and answer is not UNHEARD for answer in answers),
            silent=silent,
        )

    def totals(self, count: int) -> list[Total]:
        """What was traded since the table began, of the `count` instruments with the most updates."""
        return [_total(row, self._widened(row)) for row in _first(count, self._rows.values(), ORDER)]

    def _widened(self, row: InstrumentRow) -> int:
        """How many decimals the row's prices are shown with. Those that are guessed of prices never shrink: a price
        would change its width as it moves.
        """
        said = self._decimals.of(row.venue, row.symbol)
        if said is not None:
            return said
        ticker = row.ticker or NO_TICKER
        row.decimals = needed((row.bid, row.ask, row.last, ticker.high, ticker.low), row.decimals)
        return row.decimals

    def _rate(self) -> float:
        (then, before), (now, after) = self._marks[0], self._marks[-1]
        return (after - before) * SECOND / (now - then) if now > then else 0.0

    def _delays(self, feed: FeedView, now_ns: int) -> dict[str, float | None]:
        """The delay of each delayed venue in seconds, as its connections report it.

        Where no connection says whether it is delayed, or how much, it is the least lag of the events of the last
        seconds, when that is a long one. Otherwise their word counts: they know when their clock was set.
        """
        delays = dict(feed.delays)
        on_time = feed.on_time - delays.keys()
        for venue, (lag, at) in self._lag.items():
            is_known = delays.get(venue) is not None or venue in on_time
            if lag > DELAYED_AFTER and now_ns - at <= LAG_IS_KNOWN_FOR and not is_known:
                delays[venue] = lag / SECOND
        return delays


def _read_quote(row: InstrumentRow, quote: Quote, at: int) -> None:
    set_best(row, quote.bid, quote.ask, at, "quote")


def _read_trade(row: InstrumentRow, trade: Trade, at: int) -> None:
    if at >= row.last_at and (row.newest is None or not trade.precedes(row.newest)):
        row.last, row.last_at, row.last_from, row.newest = trade.price, at, "trade", trade
    trades = row.trades
    if trades is None:
        trades = row.trades = TradeTotals()
    trades.add(trade)


def _read_ticker(row: InstrumentRow, ticker: Ticker, at: int) -> None:
    """A None in a ticker clears only a value that a ticker gave. A value of a book or a trade stays: that the ticker
    lacks it says nothing then.
    """
    volume = ticker.volume
    row.ticker = ticker
    if volume is not None and ticker.window_s is None:
        if row.day is None:
            row.day = DayTotals(ticker, venues.trading_day(ticker.venue))
        else:
            row.day.add(ticker)
    if at >= row.best_at:
        alone = row.best_from == "ticker"
        row.bid = ticker.bid if alone or ticker.bid is not None else row.bid
        row.ask = ticker.ask if alone or ticker.ask is not None else row.ask
        row.best_at = at
    if at >= row.last_at and (row.last_from == "ticker" or ticker.last is not None):
        row.last, row.last_at = ticker.last, at


READERS: dict[type[Event], Callable[[InstrumentRow, Any, int], None]] = {
    Quote: _read_quote,
    Trade: _read_trade,
    Ticker: _read_ticker,
}
"""The function that puts an event of each kind into its row; books are read by BookPrices."""


def spread(bid: float | None, ask: float | None) -> float | None:
    """(ask - bid) / mid price; None when a side is missing or the mid price is not a positive finite number."""
    if bid is None or ask is None:
        return None
    middle = (bid + ask) / 2
    return (ask - bid) / middle if 0 < middle < math.inf else None


VALUES: Mapping[Sort, Callable[[InstrumentRow], float | None]] = {
    "updates": lambda row: row.updates,
    "last": lambda row: row.last,
    "spread": lambda row: spread(row.bid, row.ask),
    "volume": lambda row: None if row.ticker is None else row.ticker.volume,
    "age": lambda row: -row.heard_at,
}
"""The number that each sort order compares; the order by instrument compares names instead."""


def _first(count: int, rows: Collection[InstrumentRow], order: Order) -> list[InstrumentRow]:
    """The first rows of this order. Rows with equal values, or without one, are in the order of their names."""
    if order.sort == "instrument":
        return (heapq.nlargest if order.backwards else heapq.nsmallest)(count, rows, key=_name)
    value_of = VALUES[order.sort]
    sign = 1 if order.backwards else -1
    keyed: list[tuple[float, str, str, InstrumentRow]] = []
    unknown: list[InstrumentRow] = []
    for row in rows:
        value = value_of(row)
        if value is None or value != value:  # NaN, which can't be ordered, is the only value that differs from itself
            unknown.append(row)
        else:
            keyed.append((sign * value, row.symbol, row.venue, row))
    first = [row for *_, row in heapq.nsmallest(count, keyed)]
    return first + heapq.nsmallest(count - len(first), unknown, key=_name)


def _name(row: InstrumentRow) -> tuple[str, str]:
    return row.symbol, row.venue


NO_TICKER = Ticker("", "", 0, 0)


def _view(row: InstrumentRow, now_ns: int, bar: BarView, decimals: int, trusted: Trusted) -> RowView:
    ticker = row.ticker or NO_TICKER
    return RowView(
        venue=row.venue,
        symbol=row.symbol,
        bid=row.bid,
        ask=row.ask,
        last=row.last,
        decimals=decimals,
        change=change(ticker.previous_close, row.last),
        high=ticker.high,
        low=ticker.low,
        volume=ticker.volume,
        status=ticker.status,
        updates=row.updates,
        age_ns=max(0, now_ns - row.heard_at),
        updated_at=row.updated_at,
        spread=spread(row.bid, row.ask),
        bar=bar,
        trusted=trusted,
    )


def _total(row: InstrumentRow, decimals: int) -> Total:
    (vwap, volume, bought, sold), source = sums_of(row.trades, row.day)
    return Total(row.venue, row.symbol, row.updates, row.last, decimals, vwap, volume, bought, sold, source)
