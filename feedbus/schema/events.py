"""The event schema: everything that travels on the bus. Pure: the standard library and msgspec.

An event is a fact about a market, or about what we know of it. The fields, their order and the tags are a
contract with every subscriber, in any language: fields are added at the end only, readers ignore extra fields
and unknown kinds, and SCHEMA_VERSION rises only when a meaning changes.

Units, everywhere:
  venue     the venue's name in lower case ("moex")
  symbol    as the venue writes it ("TQBR.SBER")
  ts_event  nanoseconds since the epoch, UTC, by the venue's clock; 0 when the venue gives none
  ts_recv   nanoseconds since the epoch, UTC, by our clock, read once when the bytes left the socket
  price     quote currency, an IEEE double: up to 15 significant digits come back exactly
  size      the venue's own unit: lots on MOEX and ALOR, base units on Binance
A value that the venue doesn't give is None, never 0 or NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import msgspec

SCHEMA_VERSION = 1

Side = Literal["buy", "sell"]
Level = tuple[float, float]
"""(price, size)"""

OLD_PICTURE = 3_600_000_000_000
"""Nanoseconds. Where an event is so much older than its receipt, the market has been still that long (a book that we
get after the session has ended), and the age doesn't say how late the venue's data is."""

DELAYED_AFTER = 60_000_000_000
"""Nanoseconds. Where the time from an event at the venue to its receipt is longer, its data is delayed. What is shorter
may be the difference of two clocks."""


class Event(msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="kind"):
    """What all events share. WORD is the first part of the topic that a kind is published on."""

    WORD: ClassVar[str] = ""


class MarketEvent(Event, frozen=True, array_like=True, gc=False):
    """The four fields that every kind about an instrument or a connection begins with."""

    venue: str
    symbol: str
    ts_event: int
    ts_recv: int


class Trade(MarketEvent, frozen=True, array_like=True, gc=False, tag="trade"):
    """One trade. `side` is the aggressor's, None when the venue doesn't say."""

    WORD: ClassVar[str] = "trade"
    price: float
    size: float
    side: Side | None
    trade_id: int | str | None

    def precedes(self, other: Trade) -> bool:
        """Whether this one was before another trade of its instrument: by their times, and where these are the same by
        their ids. A trade may come late, behind those that it precedes; the last price isn't its then."""
        if self.ts_event != other.ts_event:
            return self.ts_event < other.ts_event
        mine, its = self.trade_id, other.trade_id
        return isinstance(mine, int) and isinstance(its, int) and mine < its


class Quote(MarketEvent, frozen=True, array_like=True, gc=False, tag="quote"):
    """The best bid and ask. `venue_sequence` is the venue's own number."""

    WORD: ClassVar[str] = "quote"
    bid: float | None
    bid_size: float | None
    ask: float | None
    ask_size: float | None
    venue_sequence: int | None


class BookSnapshot(MarketEvent, frozen=True, array_like=True, gc=False, tag="book"):
    """A full picture of an order book, best level first on both sides; a side may be empty.

    A side that is `whole` has no levels besides these. Of another one nothing is known beyond its worst level here.
    """

    WORD: ClassVar[str] = "book"
    bids: list[Level]
    asks: list[Level]
    venue_sequence: int | None
    bids_whole: bool = False
    asks_whole: bool = False


class BookDelta(MarketEvent, frozen=True, array_like=True, gc=False, tag="delta"):
    """Changed levels of a book, on the book's own topic. A size of 0 removes the level.

    It holds the venue's updates `first_venue_sequence` to `last_venue_sequence`, and follows the picture or the delta
    before it, whose last update is `first_venue_sequence` - 1 or later.
    """

    WORD: ClassVar[str] = "book"
    bids: list[Level]
    asks: list[Level]
    first_venue_sequence: int | None
    last_venue_sequence: int | None


class Ticker(MarketEvent, frozen=True, array_like=True, gc=False, tag="ticker"):
    """The statistics of a day or of a rolling window. `volume` is in the unit that the venue's package names,
    `turnover` in quote currency, `trades` a count, `status` the venue's own word for the trading phase ("T" on MOEX).
    `window_s` is the length of a rolling window in seconds, whose sums may fall; None means since the day began."""

    WORD: ClassVar[str] = "ticker"
    bid: float | None = None
    ask: float | None = None
    last: float | None = None
    open: float | None = None
    high: float | None = None
    low: float | None = None
    previous_close: float | None = None
    volume: float | None = None
    turnover: float | None = None
    trades: int | None = None
    status: str | None = None
    window_s: int | None = None


class Bar(MarketEvent, frozen=True, array_like=True, gc=False, tag="bar"):
    """Open, high, low, close over `period_s` seconds from `start` (ns). `source` says what it was made of.

    `volume` of source trades is in the unit of a trade's size, of source ticker in that of the ticker's volume, and of
    source venue in the venue's own unit for bars (on MOEX securities, not lots). `turnover` is in the quote currency,
    of source trades per unit of size, and `turnover_currency` in the quote currency whatever the source, None while the
    lot isn't known; `vwap` in the unit of prices. docs/analytics.md has the formulas. `revision`
    counts the versions of this bar that were published before; `final`: there will be none after it, but a correction;
    `complete`: no trade of the period is missing, as far as we know.
    """

    WORD: ClassVar[str] = "bar"
    source: Literal["venue", "trades", "ticker"]
    period_s: int
    start: int
    open: float | None
    high: float | None
    low: float | None
    close: float | None
    volume: float | None
    turnover: float | None
    trades: int | None
    buy_volume: float | None
    sell_volume: float | None
    vwap: float | None
    final: bool
    revision: int
    complete: bool
    turnover_currency: float | None = None


class BookMetrics(MarketEvent, frozen=True, array_like=True, gc=False, tag="bookmetrics"):
    """Numbers drawn from a book. `bid_depth`, `ask_depth` and `imbalance` are parallel to `levels`, which has only
    those depths that are known on both sides.

    Spread, mid and microprice are in the quote currency, depths in the unit of size, `liquidity` in both multiplied;
    `relative_spread` (of the mid) and `imbalance` (-1 to 1) have none. docs/analytics.md has the formulas.
    """

    WORD: ClassVar[str] = "bookmetrics"
    spread: float | None
    relative_spread: float | None
    mid: float | None
    microprice: float | None
    levels: list[int]
    bid_depth: list[float]
    ask_depth: list[float]
    imbalance: list[float | None]
    liquidity: float | None


class Indicator(MarketEvent, frozen=True, array_like=True, gc=False, tag="indicator"):
    """A value of a named indicator over `window` bars of `period_s` seconds; `start` is the last bar's. `revision`
    counts the versions of this value that were published before; `complete`: no trade is missing from the bars that it
    was made of, as far as we know, and there were enough of them.
    """

    WORD: ClassVar[str] = "indicator"
    name: str
    period_s: int
    window: int
    start: int
    value: float | None
    revision: int = 0
    complete: bool = True


class Instrument(MarketEvent, frozen=True, array_like=True, gc=False, tag="instrument"):
    """What is known of an instrument.

    `lot` converts sizes to units: a size of 3 with a lot of 10 are 30 shares. `tick_size` is the price step. `currency`
    is that of prices, None when they are in per cent or in points; where there is one, price times size times lot is an
    amount of it. `status` is the venue's own word for the trading phase, as in Ticker. docs/venues.md says what else
    each venue means by a field.
    """

    WORD: ClassVar[str] = "instrument"
    isin: str | None
    lot: float | None
    tick_size: float | None
    decimals: int | None
    currency: str | None
    board: str | None
    type: str | None
    status: str | None

    def worth(self) -> float | None:
        """What price times size has to be multiplied by to be an amount of `currency`; None where that isn't known."""
        return self.lot if self.currency is not None else None


FeedState = Literal["connecting", "online", "delayed", "waiting", "refused", "stopped"]


class FeedStatus(MarketEvent, frozen=True, array_like=True, gc=False, tag="feed"):
    """A connection's life; the symbol is the connection's name ("moex/3"). Sent at each change and every 5 s.

    `state`: connecting; online (logged in); delayed (online, and events lag receipt by 60 s to an hour);
    waiting (between two attempts, or for a turn); refused (the venue refuses our credentials); stopped.
    `reason` says why it is not online, "" when it is. `connections_up` and `connections_wanted` are the whole
    feed's. `instruments` counts this connection's instruments by state: wanted (nothing sent yet), sent,
    confirmed (no data yet), live (data seen on every channel), refused. `updates_per_s` is how many events of any
    kind this connection brought a second, over the time since its last FeedStatus. `delay_s` is how far
    receipt is behind its events (the least of the last seconds, without the steps of our clock; negative when our clock
    is behind), None when unknown. `generation` counts the connection's attempts to connect, from 1.
    """

    WORD: ClassVar[str] = "feed"
    state: FeedState
    reason: str
    connections_up: int
    connections_wanted: int
    instruments: dict[str, int]
    updates_per_s: float
    delay_s: float | None
    generation: int


TrustState = Literal["unsubscribed", "resyncing", "gapped", "stale", "delayed", "closed", "quiet", "live"]
"""How far an instrument's data may be trusted, the worst first. From unsubscribed to stale its prices may not be used;
delayed and closed say that they are old, and quiet and live that they are the present ones."""

UNUSABLE_STATES: frozenset[TrustState] = frozenset({"unsubscribed", "resyncing", "gapped", "stale"})
"""The states in which the prices may not be used."""

TRUST_REASONS: Mapping[str, str] = {
    "": "",  # live
    "connecting": "its connection is away",
    "login": "its connection isn't logged in yet",
    "unconfirmed": "the venue hasn't confirmed its subscription",
    "first_picture": "its first data hasn't come yet",
    "buffering": "its changes wait for a full picture",
    "moved": "it moves to another connection",
    "hole": "updates are missing",
    "audit": "a fresh snapshot, or a best bid and ask, says otherwise",
    "crossed": "the best bid isn't below the best ask",
    "overflow": "more came than could be kept",
    "exhausted": "the price has left the levels that are known",
    "counters": "the venue's sums of the day went back",
    "silent": "nothing has come for longer than usual",
    "late": "its data is old when it comes",
    "halted": "the venue has halted its trading",
    "closed": "it isn't traded now",
    "refused": "the venue refuses it",
    "unwanted": "nobody asks for it",
    "unheard": "nothing has been said of it yet",
    "lost": "messages about it were lost on the bus",
    "publisher_silent": "its publisher says nothing any more",
}
"""Why a state is what it is, and what that means in words. docs/trust.md explains each. The last three are never on the
bus: readers of it (feedbus.Trust) make them."""


class Status(MarketEvent, frozen=True, array_like=True, gc=False, tag="status"):
    """How far one instrument's data may be trusted (`state`), why (`reason`, "" when it is live), and since when (ns
    since the epoch). `generation` is that of the connection, as in FeedStatus. `word` is the topic word that it is
    about, "" for all of the instrument's data.

    A publisher sends it in order with the data: a worsening before anything that came after its cause, and live after
    the data that justifies it.
    """

    WORD: ClassVar[str] = "status"
    state: TrustState
    reason: str
    since: int
    generation: int
    word: str = ""


class Alert(MarketEvent, frozen=True, array_like=True, gc=False, tag="alert"):
    """A rule fired or resolved. The symbol is "" when it is about no instrument."""

    WORD: ClassVar[str] = "alert"
    rule: str
    severity: str
    state: Literal["firing", "resolved"]
    value: float | None
    text: str


class Gap(Event, frozen=True, array_like=True, gc=False, tag="gap"):
    """Messages `first` to `last` (inclusive) of one stream did not arrive; made by the subscriber library.

    A bound that isn't known is None. `topic` is "" when all topics of the publisher may be concerned. `cause` is
    "lost" (numbers are missing), "heartbeat" (a heartbeat is missing, and with it the last numbers that it told),
    "restart" (the publisher began a new epoch, and nobody knows what it still sent in the old one) or "silent" (it
    hasn't said anything for longer than two heartbeats, and its bounds aren't known).
    """

    topic: str
    publisher: str
    epoch: int
    first: int | None
    last: int | None
    cause: Literal["lost", "heartbeat", "restart", "silent"]


class Heartbeat(Event, frozen=True, array_like=True, gc=False, tag="heartbeat"):
    """Sent by every publisher every second, in `parts` parts numbered `part` = 1 to `parts`.

    `beat` counts from 1 in each epoch. `heads` are the (topic, last sequence) that changed since the last beat.
    """

    WORD: ClassVar[str] = "heartbeat"
    publisher: str
    epoch: int
    beat: int
    part: int
    parts: int
    heads: list[tuple[str, int]]


class End(Event, frozen=True, array_like=True, gc=False, tag="end"):
    """The last message of a stream; the topic goes on at `next_publisher`. Reserved: nobody publishes it yet."""

    topic: str
    publisher: str
    epoch: int
    next_publisher: str


class Marker(Event, frozen=True, array_like=True, gc=False, tag="marker"):
    """A mark in the stream, asked for by a subscriber that joins. Reserved: nobody publishes it yet."""

    WORD: ClassVar[str] = "sync"
    nonce: str


MarketData = (
    Trade
    | Quote
    | BookSnapshot
    | BookDelta
    | Ticker
    | Bar
    | BookMetrics
    | Indicator
    | Instrument
    | FeedStatus
    | Status
    | Alert
)
"""The kinds that `subscribe` yields, beside Gap."""

UPDATES: frozenset[type[Event]] = frozenset({Trade, Quote, BookSnapshot, BookDelta, Ticker})
"""The kinds that count as updates of an instrument, wherever updates are counted: what a venue says of its market. Bars
and everything else are made of them, or are about connections."""

AnyEvent = MarketData | Gap | Heartbeat | End | Marker

EVENT_TYPES: tuple[type[Event], ...] = AnyEvent.__args__


def kind(event: Event) -> str:
    """The event's tag: `kind` in JSON, e.g. "book"."""
    return kind_of(type(event))


def kind_of(event_type: type[Event]) -> str:
    """The tag of this type of event."""
    return str(event_type.__struct_config__.tag)


def has_price(event: Event) -> bool:
    """True when an event says a price of its instrument: a bid, an ask or a last one."""
    match event:
        case Trade():
            return True
        case BookSnapshot() | BookDelta():
            return bool(event.bids or event.asks)
        case Ticker():
            return event.bid is not None or event.ask is not None or event.last is not None
        case Quote():
            return event.bid is not None or event.ask is not None
        case _:
            return False
