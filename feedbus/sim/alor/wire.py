"""The wire format of the simulated ALOR: acknowledgements, and the objects of each feed in the three formats. Pure.

The keys and their order are those of ALOR's specification. The blanks in envelopes and the form of a trade are those of
frames captured in production. The subscription of an object is named by the guid of its envelope alone.

Prices are whole numbers of 10^-decimals. They are written without trailing zeros, except in trades, which have all
decimals as captured (`10.24500`). None is written as null.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from feedbus.sim.moex.wire import number

WireFormat = Literal["simple", "slim", "heavy"]
Spacing = Literal["wide", "compact"]

LEAST_MS: dict[str, int] = {"simple": 25, "slim": 10, "heavy": 500}
"""The least milliseconds between two books, quotes or candles of a subscription, by format."""

HANDLED = "Handled successfully"
BAD_TOKEN = "Invalid JWT token!"  # noqa: S105 (a message about tokens)

_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 (UTC; written without an offset)
_CACHED_PRICES = 65536

Values = dict[str, object]


class AlorTrade(NamedTuple):
    """One trade. `time_us` is microseconds since the epoch; `buy` is true when the buyer was the aggressor."""

    id: int
    time_us: int
    price: int
    lots: int
    buy: bool
    open_interest: int | None


class AlorBook(NamedTuple):
    """A book, best level first: (price as it is written, lots). `existing` is true for what was there before the
    subscription. Bonds also have the yields of their bids and asks."""

    bids: Sequence[tuple[str, int]]
    asks: Sequence[tuple[str, int]]
    time_ms: int
    existing: bool
    yields: tuple[Sequence[str], Sequence[str]] | None = None


class AlorBar(NamedTuple):
    """A candle: its start in seconds since the epoch, prices, and volume in lots."""

    time: int
    open: int
    high: int
    low: int
    close: int
    volume: int


def text(value: object) -> str:
    """Any value as JSON."""
    return msgspec.json.encode(value).decode()


def _short(value: int, decimals: int) -> str:
    written = number(value, decimals)
    return written.rstrip("0").rstrip(".") if decimals else written


short = functools.lru_cache(maxsize=_CACHED_PRICES)(_short)
"""A price without trailing zeros: short(25770, 2) == "257.7"."""


def acknowledgement(guid: str, code: int = 200, message: str = HANDLED) -> str:
    """The answer to a request. `guid` is JSON."""
    return f'{{"requestGuid":{guid},"httpCode":{code},"message":{text(message)}}}'


def enveloped(data: str, guid: str, spacing: Spacing) -> str:
    """An object in its subscription's envelope. `data` and `guid` are JSON."""
    if spacing == "wide":
        return f'{{ "data": {data}, "guid":{guid} }}'
    return f'{{"data":{data},"guid":{guid}}}'


def book(form: WireFormat, what: AlorBook) -> str:
    """A book of OrderBookGetAndSubscribe. The format Slim alone has the yields of bonds."""
    time_ms, existing = what.time_ms, _flag(what.existing)
    if form == "slim":
        bid_yields, ask_yields = what.yields or (None, None)
        bids, asks = _slim_side(what.bids, bid_yields), _slim_side(what.asks, ask_yields)
        return f'{{"b":[{bids}],"a":[{asks}],"t":{time_ms},"h":{existing}}}'
    sides = f'"bids":[{_side(what.bids)}],"asks":[{_side(what.asks)}]'
    if form == "heavy":
        return f'{{{sides},"msTimestamp":{time_ms},"existing":{existing}}}'
    times = f'"timestamp":{time_ms // 1000},"ms_timestamp":{time_ms}'
    return f'{{"snapshot":true,{sides},{times},"existing":{existing}}}'


def _side(levels: Sequence[tuple[str, int]]) -> str:
    return ",".join([f'{{"price":{price},"volume":{lots}}}' for price, lots in levels])


def _slim_side(levels: Sequence[tuple[str, int]], yields: Sequence[str] | None) -> str:
    if yields is None:
        return ",".join([f'{{"p":{price},"v":{lots}}}' for price, lots in levels])
    rows = zip(levels, yields, strict=True)
    return ",".join([f'{{"p":{price},"v":{lots},"y":{each}}}' for (price, lots), each in rows])


class AlorTradeWriter:
    """Writes one instrument's trades. `symbol`, `board` and `order` are JSON; without a board its key is left out;
    `suffix` is the end of times ("Z" as specified, nothing as captured)."""

    def __init__(self, symbol: str, board: str | None, decimals: int, *, order: str, suffix: str) -> None:
        self._symbol = symbol
        self._board = board
        self._decimals = decimals
        self._order = order
        self._suffix = suffix

    def trade(self, form: WireFormat, trade: AlorTrade, *, existing: bool) -> str:
        """One trade of AllTradesGetAndSubscribe."""
        side = "buy" if trade.buy else "sell"
        interest = "null" if trade.open_interest is None else str(trade.open_interest)
        price = number(trade.price, self._decimals)
        milliseconds = trade.time_us // 1000
        flag = _flag(existing)
        if form == "slim":
            board = "" if self._board is None else f'"bd":{self._board},'
            what = f'"q":{trade.lots},"px":{price},"t":{milliseconds},"oi":{interest},"h":{flag},"s":"{side}"'
            return f'{{"id":{trade.id},"sym":{self._symbol},{board}{what}}}'
        board = "" if self._board is None else f'"board":{self._board},'
        what = (
            f'{board}"qty":{trade.lots},"price":{price},"time":"{self._time(trade.time_us)}","timestamp":{milliseconds}'
        )
        if form == "heavy":
            tail = f'"oi":{interest},"existing":{flag},"side":"{side}"'
            return f'{{"id":{trade.id},"symbol":{self._symbol},{what},{tail}}}'
        tail = f'"side":"{side}","oi":{interest},"existing":{flag}'
        return f'{{"id":{trade.id},"orderno":{self._order},"symbol":{self._symbol},{what},{tail}}}'

    def _time(self, time_us: int) -> str:
        at = _EPOCH + dt.timedelta(microseconds=time_us)
        return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond:06d}0{self._suffix}"


def bar(form: WireFormat, what: AlorBar, decimals: int) -> str:
    """A candle of BarsGetAndSubscribe."""
    opened, high = short(what.open, decimals), short(what.high, decimals)
    low, close = short(what.low, decimals), short(what.close, decimals)
    if form == "slim":
        return f'{{"t":{what.time},"c":{close},"o":{opened},"h":{high},"l":{low},"v":{what.volume}}}'
    prices = f'"close":{close},"open":{opened},"high":{high},"low":{low}'
    return f'{{"time":{what.time},{prices},"volume":{what.volume}}}'


_QUOTE: dict[str, dict[str, str]] = {
    "simple": {
        "symbol": "symbol", "exchange": "exchange", "description": "description", "prev_close_price": "previous",
        "last_price": "last", "last_price_timestamp": "traded_s", "high_price": "high", "low_price": "low",
        "accruedInt": "accrued", "volume": "volume", "open_interest": "interest", "ask": "ask", "bid": "bid",
        "ask_vol": "ask_lots", "bid_vol": "bid_lots", "ob_ms_timestamp": "book_ms", "open_price": "opening",
        "yield": "yield", "lotsize": "lot", "lotvalue": "lot_value", "facevalue": "face", "type": "type",
        "total_bid_vol": "all_bids", "total_ask_vol": "all_asks", "accrued_interest": "accrued", "change": "change",
        "change_percent": "change_percent",
    },
    "slim": {
        "sym": "symbol", "ex": "exchange", "desc": "description", "tst": "traded_s", "tso": "book_ms", "o": "opening",
        "h": "high", "l": "low", "c": "last", "v": "volume", "acci": "accrued", "oi": "interest", "y": "yield",
        "ask": "ask", "bid": "bid", "av": "ask_lots", "bv": "bid_lots", "tbv": "all_bids", "tav": "all_asks",
        "lot": "lot", "lotv": "lot_value", "fv": "face", "t": "type",
    },
    "heavy": {
        "symbol": "symbol", "exchange": "exchange", "description": "description", "currency": "currency",
        "prevClosePrice": "previous", "lastPrice": "last", "lastPriceTimestamp": "traded_s", "highPrice": "high",
        "lowPrice": "low", "accruedInterest": "accrued", "volume": "volume", "openInterest": "interest", "ask": "ask",
        "bid": "bid", "askVol": "ask_lots", "bidVol": "bid_lots", "obMsTimestamp": "book_ms", "openPrice": "opening",
        "yield": "yield", "lotSize": "lot", "lotValue": "lot_value", "faceValue": "face", "type": "type",
        "totalBidVol": "all_bids", "totalAskVol": "all_asks", "change": "change", "changePercent": "change_percent",
    },
}  # fmt: skip
"""The name of a value, by format and key on the wire."""

_INSTRUMENT: dict[str, dict[str, str]] = {
    "simple": {
        "symbol": "symbol", "exchange": "exchange", "board": "board", "tradingStatus": "status",
        "tradingStatusInfo": "status_text", "priceMin": "price_min", "priceMax": "price_max",
    },
    "slim": {
        "sym": "symbol", "ex": "exchange", "bd": "board", "st": "status", "sti": "status_text", "pxmn": "price_min",
        "pxmx": "price_max",
    },
}  # fmt: skip
_INSTRUMENT["heavy"] = _INSTRUMENT["simple"]


def quote(form: WireFormat, values: Values) -> str:
    """An object of QuotesSubscribe, which always has all keys. Prices in `values` are Raw, ready for JSON."""
    return text({key: values[name] for key, name in _QUOTE[form].items()})


def instrument(form: WireFormat, values: Values) -> str:
    """An object of InstrumentsGetAndSubscribeV2, which has only the keys of the `values` that are given."""
    return text({key: values[name] for key, name in _INSTRUMENT[form].items() if name in values})


def raw(written: str) -> msgspec.Raw:
    """A number that is written as JSON already."""
    return msgspec.Raw(written.encode())


def _flag(value: bool) -> str:
    return "true" if value else "false"
