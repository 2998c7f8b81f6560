"""What Binance spot writes in a payload, and how it becomes an event. Pure.

    @trade       {"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,"p":"61837.63000000","q":"0.02000000",
                 "T":1723161255342,"m":true,"M":true}
    @aggTrade    the same with "a" in place of "t", and the first and last trade, "f" and "l"
    @bookTicker  {"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000","a":"61837.64000000",
                 "A":"1.54698000"}
    @depth5      {"lastUpdateId":160,"bids":[["0.0024","10"]],"asks":[["0.0026","100"]]}
    @kline_1m    {"e":"kline","E":1633998523963,"s":"NKNUSDT","k":{"t":1633998480000,"T":1633998539999,"i":"1m",
                 "o":"0.35270000","c":"0.35280000","h":"0.35280000","l":"0.35220000","v":"25877.00000000","n":30,
                 "x":false,"q":"9116.04600000","V":"58.00000000","Q":"20.46240000","B":"0"}}
    @miniTicker  {"e":"24hrMiniTicker","E":1672515782136,"s":"BNBBTC","c":"0.0025","o":"0.0010","h":"0.0025",
                 "l":"0.0010","v":"10000","q":"18"}
    @ticker      the same and "x" (the last price before the window), "b", "a", "n" (trades) and more
    @ticker_1h   {"e":"1hTicker","E":1786540437000,"s":"BTCUSDT","p":"0.0015","P":"250.00","o":"0.0010","h":"0.0025",
                 "l":"0.0010","c":"0.0025","w":"0.0018","v":"10000","q":"18","O":1786536780000,"C":1786540437000,"F":0,
                 "L":18150,"n":18151}
    @avgPrice    {"e":"avgPrice","E":1786540437000,"s":"BTCUSDT","i":"5m","w":"63876.86000000","T":1786540436213}

Numbers are texts. A number is what JSON takes for one, in quotes or without: no sign +, no blanks, no `1_0`, no `0x10`;
nan and infinity, values below 0 and absurd ones become None, and a level that has one is left out; both are counted.
The venue writes a price of 0 where there is none (no bid, no trade in the window): it becomes None too. Times are
milliseconds since the epoch, or microseconds when the address of the connection had timeUnit=MICROSECOND: 13 and 16
digits, so that their size tells the unit.

A reader takes one payload and returns its event, or raises one of DECODE_ERRORS and has changed nothing. The usual one
refuses a payload with any number out of bounds, the loose one reads it without these numbers. Which symbol a payload is
about is known from its stream. Where the payload names another one, as `s`, OtherInstrument is raised: whichever of the
two is right, a price may not be published under the wrong symbol.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from functools import partial
from typing import Any

import msgspec
from msgspec import Raw

from feedbus.schema.events import Bar, BookSnapshot, Indicator, MarketData, Quote, Side, Ticker, Trade
from feedbus.trust.trade_spans import TradeSpans
from feedbus.venues.binance.channels import DEPTHS, PERIODS, WINDOWS
from feedbus.venues.binance.shapes import (
    AggTradePayload,
    AveragePricePayload,
    BookTickerPayload,
    DepthPayload,
    KlineEventPayload,
    MiniTickerPayload,
    RollingTickerPayload,
    TickerPayload,
    TradePayload,
)
from feedbus.venues.fields import LARGEST, Amount, OtherInstrument, Price, Size
from feedbus.venues.problems import Problems, not_whole
from feedbus.venues.protocol import Subscription

VENUE = "binance"
WINDOW_S = 86_400  # seconds; the tickers tell of the last 24 hours
MILLISECONDS_BELOW = 2**63 // 1_000_000  # the year 2262 in milliseconds, or April 1970 in microseconds

Read = Callable[[bytes | Raw, int], MarketData]
"""(payload, ts_recv) -> event."""

DecodePayload = Callable[[bytes | Raw], Any]
"""Payload -> the struct of its kind."""


class Revisions:
    """Counts how often each of the last two bars of one symbol and period was published.

    It outlives the connection, so that the count goes on after a reconnect, and so that a bar whose end fell into the
    reconnect is ended by what comes then: the venue doesn't repeat it."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._newest: Bar | None = None
        self._cut_off: Bar | None = None

    def note(self, bar: Bar) -> None:
        """Notes that this bar is published now."""
        before = self._newest
        if before is not None and not before.final and before.start < bar.start:
            self._cut_off = before
        if before is None or (before.start <= bar.start and not self._is_old(bar.start, bar.ts_event)):
            self._newest = bar

    def take_cut_off(self) -> Bar | None:
        """Returns the final version of the bar before, of which the venue hasn't sent one, and forgets it. It isn't
        complete, because what was traded after its last version isn't known."""
        bar, self._cut_off = self._cut_off, None
        if bar is None:
            return None
        revision = self._counts.get(bar.start, bar.revision) + 1
        if bar.start in self._counts:
            self._counts[bar.start] = revision
        return msgspec.structs.replace(bar, final=True, complete=False, revision=revision)

    def _is_old(self, start: int, time: int) -> bool:
        """Whether a version of this bar and time is older than the newest one, so that it isn't published."""
        newest = self._newest
        return newest is not None and start <= newest.start and time < newest.ts_event

    def next(self, start: int, time: int) -> int:
        """The revision of the version of a bar that is published now, by its start and its time."""
        if self._is_old(start, time):
            return self._counts.get(start, 0)
        revision = self._counts.pop(start, -1) + 1
        self._counts[start] = revision
        if len(self._counts) > 2:
            del self._counts[next(iter(self._counts))]
        return revision


AllRevisions = MutableMapping[Subscription, Revisions]


def reader(subscription: Subscription, revisions: AllRevisions, spans: TradeSpans | None = None) -> Read:
    """Returns the function that turns the payloads of this subscription into events, where they are sound. The spans of
    aggregate trades go to `spans`."""
    return _reader(subscription, revisions, _STRICT, spans)


def loose_reader(
    subscription: Subscription, revisions: AllRevisions, problems: Problems, spans: TradeSpans | None = None
) -> Read:
    """Returns the function for a payload that `reader` refuses: it leaves out what is out of bounds, and notes it. A
    trade without a sound price or size, or an average price that is none, is refused all the same."""

    def cleaning(decode: DecodePayload) -> DecodePayload:
        def cleaned(payload: bytes | Raw) -> Any:
            body = decode(payload)
            problems.clean(body.kline if isinstance(body, KlineEventPayload) else body)
            return body

        return cleaned

    loose = {kind: decode if kind in _ALL_OR_NOTHING else cleaning(decode) for kind, decode in _LOOSE.items()}
    read = _reader(subscription, revisions, loose, spans)

    def read_thinned(payload: bytes | Raw, ts_recv: int) -> MarketData:
        event = read(payload, ts_recv)
        return not_whole(event, problems.thinned) if isinstance(event, BookSnapshot) else event

    return read_thinned


def _reader(
    subscription: Subscription,
    revisions: AllRevisions,
    decoders: Mapping[str, DecodePayload],
    spans: TradeSpans | None,
) -> Read:
    channel, symbol = subscription.channel, subscription.symbol
    if channel == "aggTrade" and spans is not None:
        return partial(_aggregate_trade, decoders[channel], spans, symbol)
    if channel in PERIODS:
        bars = revisions.setdefault(subscription, Revisions())
        return partial(_noted, bars, partial(_bar, decoders["kline"], symbol, PERIODS[channel], bars))
    if channel in DEPTHS:
        levels = int(channel.removeprefix("depth").partition("@")[0])
        return partial(_book, decoders["depth"], symbol, levels)
    if channel in WINDOWS:
        return partial(_rolling_ticker, decoders["rolling"], symbol, WINDOWS[channel])
    return partial(_BY_CHANNEL[channel], decoders[channel], symbol)


def _noted(bars: Revisions, read: Callable[[bytes | Raw, int], Bar], payload: bytes | Raw, ts_recv: int) -> Bar:
    bar = read(payload, ts_recv)
    bars.note(bar)
    return bar


def nanoseconds(time: int) -> int:
    """Since the epoch, of a time in milliseconds or microseconds."""
    return time * 1_000_000 if time < MILLISECONDS_BELOW else time * 1000


def _trade(decode: DecodePayload, symbol: str, payload: bytes | Raw, ts_recv: int) -> Trade:
    raw = decode(payload)
    if raw.symbol != symbol and raw.symbol:
        raise OtherInstrument(raw.symbol)
    time = raw.time
    ts_event = time * 1_000_000 if time < MILLISECONDS_BELOW else time * 1000  # `nanoseconds`, without a call
    side: Side = "sell" if raw.sold else "buy"
    return Trade(VENUE, symbol, ts_event, ts_recv, raw.price, raw.size, side, raw.number)


def _aggregate_trade(
    decode: DecodePayload, spans: TradeSpans, symbol: str, payload: bytes | Raw, ts_recv: int
) -> Trade:
    raw = decode(payload)
    if raw.symbol != symbol and raw.symbol:
        raise OtherInstrument(raw.symbol)
    spans.put(symbol, raw.number, raw.first, raw.last)
    side: Side = "sell" if raw.sold else "buy"
    return Trade(VENUE, symbol, nanoseconds(raw.time), ts_recv, raw.price, raw.size, side, raw.number)


def _quote(decode: DecodePayload, symbol: str, payload: bytes | Raw, ts_recv: int) -> Quote:
    raw = decode(payload)
    if raw.symbol != symbol and raw.symbol:
        raise OtherInstrument(raw.symbol)
    bid, ask = raw.bid, raw.ask
    if bid and ask:
        return Quote(VENUE, symbol, 0, ts_recv, bid, raw.bid_size, ask, raw.ask_size, raw.update)
    bid_size, ask_size = raw.bid_size if bid else None, raw.ask_size if ask else None
    return Quote(VENUE, symbol, 0, ts_recv, bid or None, bid_size, ask or None, ask_size, raw.update)


def _book(decode: DecodePayload, symbol: str, levels: int, payload: bytes | Raw, ts_recv: int) -> BookSnapshot:
    """The venue writes the best level first, but nothing promises that, so the sides are sorted. A side with fewer
    levels than were asked for is whole."""
    raw = decode(payload)
    bids, asks = raw.bids, raw.asks
    bids.sort(reverse=True)
    asks.sort()
    return BookSnapshot(VENUE, symbol, 0, ts_recv, bids, asks, raw.update, len(bids) < levels, len(asks) < levels)


def _bar(
    decode: DecodePayload, symbol: str, period: int, revisions: Revisions, payload: bytes | Raw, ts_recv: int
) -> Bar:
    raw = decode(payload)
    if raw.symbol != symbol and raw.symbol:
        raise OtherInstrument(raw.symbol)
    kline = raw.kline
    start, time = nanoseconds(kline.start), nanoseconds(raw.time)
    volume, bought = kline.volume, kline.buy_volume
    vwap = kline.turnover / volume if volume and kline.turnover else None
    return Bar(
        VENUE,
        symbol,
        time,
        ts_recv,
        "venue",
        period,
        start,
        kline.open or None,
        kline.high or None,
        kline.low or None,
        kline.close or None,
        volume,
        kline.turnover,
        kline.trades,
        bought,
        # The venue writes 8 decimals, and a difference of doubles has more of its own.
        sell_volume=None if volume is None or bought is None else max(0.0, round(volume - bought, 8)),
        vwap=vwap if vwap is not None and 0 < vwap < LARGEST else None,
        final=kline.final,
        revision=revisions.next(start, time),
        complete=True,
        turnover_currency=kline.turnover,
    )


def _mini_ticker(decode: DecodePayload, symbol: str, payload: bytes | Raw, ts_recv: int) -> Ticker:
    raw = decode(payload)
    if raw.symbol != symbol and raw.symbol:
        raise OtherInstrument(raw.symbol)
    return Ticker(
        VENUE,
        symbol,
        nanoseconds(raw.time),
        ts_recv,
        last=raw.last or None,
        open=raw.open or None,
        high=raw.high or None,
        low=raw.low or None,
        volume=raw.volume,
        turnover=raw.turnover,
        window_s=WINDOW_S,
    )


def _ticker(decode: DecodePayload, symbol: str, payload: bytes | Raw, ts_recv: int) -> Ticker:
    raw = decode(payload)
    if raw.symbol != symbol and raw.symbol:
        raise OtherInstrument(raw.symbol)
    return Ticker(
        VENUE,
        symbol,
        nanoseconds(raw.time),
        ts_recv,
        bid=raw.bid or None,
        ask=raw.ask or None,
        last=raw.last or None,
        open=raw.open or None,
        high=raw.high or None,
        low=raw.low or None,
        previous_close=raw.previous_close or None,
        volume=raw.volume,
        turnover=raw.turnover,
        window_s=WINDOW_S,
        trades=raw.trades,
    )


def _rolling_ticker(decode: DecodePayload, symbol: str, window_s: int, payload: bytes | Raw, ts_recv: int) -> Ticker:
    """Its window begins on a whole minute, and so is up to a minute longer than `window_s`."""
    raw = decode(payload)
    if raw.symbol != symbol and raw.symbol:
        raise OtherInstrument(raw.symbol)
    return Ticker(
        VENUE,
        symbol,
        nanoseconds(raw.time),
        ts_recv,
        last=raw.last or None,
        open=raw.open or None,
        high=raw.high or None,
        low=raw.low or None,
        volume=raw.volume,
        turnover=raw.turnover,
        window_s=window_s,
        trades=raw.trades,
    )


def _average_price(decode: DecodePayload, symbol: str, payload: bytes | Raw, ts_recv: int) -> Indicator:
    """The mean price of the minutes up to now: one window, which moves with each message."""
    raw = decode(payload)
    if raw.symbol != symbol and raw.symbol:
        raise OtherInstrument(raw.symbol)
    period, time = int(raw.interval[:-1]) * _SECONDS[raw.interval[-1]], nanoseconds(raw.time)
    start = max(0, time - period * 1_000_000_000)
    return Indicator(VENUE, symbol, time, ts_recv, "avgPrice", period, 1, start, raw.average or None)


_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_BY_CHANNEL: dict[str, Callable[[DecodePayload, str, bytes | Raw, int], MarketData]] = {
    "trade": _trade,
    "aggTrade": _trade,
    "bookTicker": _quote,
    "miniTicker": _mini_ticker,
    "ticker": _ticker,
    "avgPrice": _average_price,
}
_ALL_OR_NOTHING = ("trade", "aggTrade", "avgPrice")


def _decoder(body: Any) -> DecodePayload:
    """With strict=False msgspec reads numbers out of texts itself: that takes half the time of calling float() here."""
    return msgspec.json.Decoder(body, strict=False).decode


_STRICT: dict[str, DecodePayload] = {
    "trade": _decoder(TradePayload),
    "aggTrade": _decoder(AggTradePayload),
    "bookTicker": _decoder(BookTickerPayload[Amount, Amount]),
    "depth": _decoder(DepthPayload[tuple[Price, Size]]),
    "kline": _decoder(KlineEventPayload[Amount, Amount]),
    "miniTicker": _decoder(MiniTickerPayload[Amount, Amount]),
    "ticker": _decoder(TickerPayload[Amount, Amount]),
    "rolling": _decoder(RollingTickerPayload[Amount, Amount]),
    "avgPrice": _decoder(AveragePricePayload),
}
_Number = float | None
_LOOSE: dict[str, DecodePayload] = {
    "trade": _STRICT["trade"],
    "aggTrade": _STRICT["aggTrade"],
    "bookTicker": _decoder(BookTickerPayload[_Number, _Number]),
    "depth": _decoder(DepthPayload[tuple[_Number, _Number]]),
    "kline": _decoder(KlineEventPayload[_Number, _Number]),
    "miniTicker": _decoder(MiniTickerPayload[_Number, _Number]),
    "ticker": _decoder(TickerPayload[_Number, _Number]),
    "rolling": _decoder(RollingTickerPayload[_Number, _Number]),
    "avgPrice": _STRICT["avgPrice"],
}
