"""What Binance spot lists, over REST. Pure.

    GET /api/v3/exchangeInfo?permissions=SPOT&showPermissionSets=false&symbolStatus=TRADING
    GET /api/v3/exchangeInfo?symbols=["BTCUSDT","ETHUSDT"]

    {…,"symbols":[{"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT",
                   "filters":[{"filterType":"PRICE_FILTER","tickSize":"0.01000000",…},…],…},…]}

and, where the turnover of the last day is wanted,

    GET /api/v3/ticker/24hr?type=MINI

    [{"symbol":"BTCUSDT","lastPrice":"61837.63000000","quoteVolume":"1523456789.01000000",…},…]

The list of all pairs is several megabytes, of which most are permission sets and pairs that aren't traded, so these are
left out of it. A few named symbols are asked for by name. When the venue refuses them (HTTP 400) because one of them
doesn't exist, the list of all is fetched after all, for the nearest names, and those that aren't in it are asked for
one by one: they may exist, and not be traded now. Source: rest-api.md of
https://github.com/binance/binance-spot-api-docs.

Sizes are in the base asset, so the lot is 1. The currency is the quote asset. The turnover of the last 24 hours, which
is in the quote asset too, is converted to USDT, or else pairs with different ones couldn't be compared.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Annotated, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Meta

from feedbus.errors import BadData
from feedbus.schema.events import Instrument
from feedbus.text import hinted
from feedbus.venues.binance.channels import symbol_problem
from feedbus.venues.binance.payloads import VENUE
from feedbus.venues.fields import DECODE_ERRORS, LARGEST, Amount, too_dear
from feedbus.venues.listings import pattern_problem
from feedbus.venues.problems import Problems
from feedbus.venues.protocol import Fetch

INFO = "/api/v3/exchangeInfo"
INFO_WEIGHT, DAYS_WEIGHT = 20, 80  # what the venue counts them as
ALL = Fetch(f"{INFO}?permissions=SPOT&showPermissionSets=false&symbolStatus=TRADING", weight=INFO_WEIGHT)
DAYS = Fetch("/api/v3/ticker/24hr?type=MINI", weight=DAYS_WEIGHT)
BY_NAME = 100
"""So many symbols are asked for by name; of more, the list of all is no larger than what is wanted of it."""
ASKED_ALONE = 20
"""So many symbols that aren't in the list of all are asked for one by one. Each costs the venue as much as a list."""
MAX_PAIRS = 20_000
COMMON = "USDT"
WAYS = 3
"""How many pairs may lie between an asset and USDT when its price is looked for."""
TRADING = "TRADING"
UNKNOWN_SYMBOL = (-1100, -1121)  # the venue's codes: illegal characters, invalid symbol

T = TypeVar("T")
Word = Annotated[str, Meta(min_length=1, max_length=64)]


class _Filter(msgspec.Struct, gc=False):
    filterType: str  # noqa: N815 - the venue's name
    tickSize: str | None = None  # noqa: N815


class _Pair(msgspec.Struct, gc=False):
    symbol: Word
    status: Word
    baseAsset: Word  # noqa: N815
    quoteAsset: Word  # noqa: N815
    filters: list[_Filter] = []


class _Info(msgspec.Struct, gc=False):
    symbols: Annotated[list[_Pair], Meta(max_length=MAX_PAIRS)]


class _Day(msgspec.Struct, gc=False):
    symbol: Word
    lastPrice: Amount = 0.0  # noqa: N815
    quoteVolume: Amount = 0.0  # noqa: N815


class _ErrorBody(msgspec.Struct, gc=False):
    code: int = 0


_decode_info = msgspec.json.Decoder(_Info).decode
_decode_days = msgspec.json.Decoder(Annotated[list[_Day], Meta(max_length=MAX_PAIRS)], strict=False).decode
_decode_error = msgspec.json.Decoder(_ErrorBody).decode
_TICK = re.compile(r"(\d{1,20})(?:\.(\d{1,18}))?")


def board_problem(board: str) -> str:
    """Why no board can be listed: there are none."""
    return f"venue {VENUE} has no boards, but quote assets: use quote" if board else "a board is empty"


def pattern_of_pairs_problem(pattern: str) -> str | None:
    """Why the pairs that match this pattern can't be listed, or None."""
    if (reason := pattern_problem(pattern)) is not None:
        return reason
    return None if pattern == pattern.upper() else hinted("symbols are written in capitals", pattern.upper())


class BinanceListing:
    """One question. See feedbus.venues.listings for the calls."""

    def __init__(
        self,
        symbols: Sequence[str] = (),
        *,
        turnover: bool = False,
        learned: MutableMapping[str, float] | None = None,
    ) -> None:
        """The pairs of these symbols, or all that are traded. `turnover` says whether the turnover of the last day is
        wanted; `learned` is given it too, as soon as it is known."""
        self._learned = {} if learned is None else learned
        self._symbols = list(dict.fromkeys(symbols))
        self._turnover = turnover
        self._pairs: dict[str, tuple[Instrument, str]] = {}  # with the base asset
        self._days: dict[str, _Day] = {}
        self._refused_once = False
        self._problems = Problems(INFO)

    def requests(self) -> list[Fetch]:
        """The list of all, or the named ones where these are few."""
        pairs = _named(self._symbols) if 0 < len(self._symbols) <= BY_NAME else ALL
        return [pairs, DAYS] if self._turnover else [pairs]

    def fetched(self, fetch: Fetch, status: int, body: bytes, ts_recv: int) -> list[Fetch]:
        """Takes in one answer. Raises BadData."""
        if fetch == DAYS:
            self._days = {day.symbol: day for day in _decoded(_decode_days, fetch, status, body)}
            self._learned.update(self.turnovers())
            return []
        if fetch != ALL and status == 400:
            return self._refused(fetch, body)
        for pair in _decoded(_decode_info, fetch, status, body).symbols:
            self._add(pair, ts_recv)
        self._learned.update(self.turnovers())
        if fetch != ALL:
            return []
        missing = [symbol for symbol in self._symbols if symbol not in self._pairs]
        return [_named([symbol]) for symbol in missing[:ASKED_ALONE]]

    def instruments(self) -> list[Instrument]:
        """Every pair, once. Raises BadData when there is none and all were asked for."""
        if not self._pairs and not self._symbols:
            raise BadData(INFO, "no pairs that can be subscribed")
        return [instrument for instrument, _ in self._pairs.values()]

    def turnovers(self) -> Mapping[str, float]:
        """The turnover of the last 24 hours, in USDT; 0 where the price of the quote asset in USDT isn't known."""
        traded = [
            (symbol, base, instrument.currency or "", self._days[symbol])
            for symbol, (instrument, base) in self._pairs.items()
            if symbol in self._days
        ]
        rates = {COMMON: 1.0}
        for _ in range(WAYS):
            for _, base, quoted, day in traded:
                if quoted in rates:
                    rates.setdefault(base, min(day.lastPrice * rates[quoted], LARGEST))
                elif base in rates and day.lastPrice:
                    rates[quoted] = min(rates[base] / day.lastPrice, LARGEST)
        return {symbol: min(day.quoteVolume * rates.get(quoted, 0.0), LARGEST) for symbol, _, quoted, day in traded}

    def unlistable(self) -> Sequence[str]:
        """Every symbol can be asked for."""
        return ()

    def problems(self) -> list[str]:
        """Pairs and ticks that were passed over, and why."""
        return list(map(str, self._problems.errors()))

    def _refused(self, fetch: Fetch, body: bytes) -> list[Fetch]:
        """The venue refuses names. Where there are several, the list of all tells which of them it has. Raises BadData
        where it refuses something else."""
        first, self._refused_once = not self._refused_once, True
        if first and fetch == _named(self._symbols):
            return [ALL]
        try:
            code = _decode_error(body).code
        except DECODE_ERRORS:
            code = 0
        if code not in UNKNOWN_SYMBOL:
            raise BadData(INFO, f"HTTP 400: code {code}")
        return []

    def _add(self, pair: _Pair, ts_recv: int) -> None:
        """Takes in one pair. One that can't be subscribed is passed over, and a tick that can't be read is None."""
        symbol = pair.symbol
        if (reason := symbol_problem(symbol)) is not None:
            self._problems.note("symbol", reason, symbol)
            return
        if not self._symbols and pair.status != TRADING:
            return
        tick, decimals = self._tick(pair)
        status, currency = _word(pair.status), _word(pair.quoteAsset)
        made = Instrument(VENUE, symbol, 0, ts_recv, None, 1.0, tick, decimals, currency, None, "SPOT", status)
        self._pairs[symbol] = (made, pair.baseAsset)

    def _tick(self, pair: _Pair) -> tuple[float | None, int | None]:
        """The price step, and how many decimals it has."""
        text = next((each.tickSize for each in pair.filters if each.filterType == "PRICE_FILTER"), None)
        if text is None:
            return None, None
        found = _TICK.fullmatch(text)
        tick = float(text) if found else 0.0
        if not found or not tick:
            self._problems.note(pair.symbol, "not a price step", text)
            return None, None
        return tick, len((found[2] or "").rstrip("0"))


def _named(symbols: Sequence[str]) -> Fetch:
    names = msgspec.json.encode(list(symbols)).decode()
    return Fetch(f"{INFO}?symbols={quote(names, safe='')}", weight=INFO_WEIGHT)


def _word(text: str) -> str | None:
    return text if text.isprintable() else None


def _decoded(decode: Callable[[bytes], T], fetch: Fetch, status: int, body: bytes) -> T:
    """What an answer holds. Raises BadData."""
    place = fetch.path.partition("?")[0]
    if status != 200:
        raise BadData(place, f"HTTP {status}")
    if reason := too_dear(body):
        raise BadData(place, reason)
    try:
        return decode(body)
    except DECODE_ERRORS as error:
        raise BadData(place, str(error)) from None
