"""The REST interface of the simulated Binance: ping, the venue's clock, its pairs, and books. Pure.

    GET /api/v3/ping  /api/v3/time  /api/v3/exchangeInfo[?symbol=|symbols=]  /api/v3/depth?symbol=BTCUSDT&limit=100

Each answer has the request weight that was used in this minute (X-MBX-USED-WEIGHT-1M); beyond the limit the answer is
HTTP 429. The venue counts by IP address; here the weight of all clients is counted together, as all are on this
machine. A book has 100 levels a side at most. Source: binance-spot-api-docs, rest-api.md and errors.md.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from feedbus.sim.binance import wire
from feedbus.sim.binance.catalogue import Pair
from feedbus.sim.binance.venue import BinanceVenue
from feedbus.sim.seam import HTML, SimRequest, SimResponse

JSON = "application/json;charset=UTF-8"
MAX_LIMIT = 5000
_MINUTE_NS = 60_000_000_000
_DEPTH_WEIGHTS = ((100, 5), (500, 25), (1000, 50), (MAX_LIMIT, 250))
_ORDER_TYPES = ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"]
_STP_MODES = ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT"]


class BinanceRestRefusal(Exception):
    """A request that is refused, with an HTTP status and the venue's error code and text."""

    def __init__(self, status: int, code: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.body = msgspec.json.encode({"code": code, "msg": text})


class BinanceRest:
    """The REST interface of one venue, a Handler."""

    def __init__(self, venue: BinanceVenue) -> None:
        self._venue = venue
        self._minute = 0
        self._used = 0
        self._paths = {
            "/api/v3/ping": self._ping,
            "/api/v3/time": self._time,
            "/api/v3/exchangeInfo": self._exchange_info,
            "/api/v3/depth": self._depth,
        }

    def __call__(self, request: SimRequest) -> SimResponse:
        """Answer a request."""
        try:
            parts = urlsplit(request.target)
            query = dict(parse_qsl(parts.query, max_num_fields=32))
        except ValueError:
            return SimResponse(400, HTML, b"<html><body>400 Bad Request</body></html>")
        answer = self._paths.get(parts.path)
        if answer is None:
            return SimResponse(404, HTML, b"<html><body>404 Not found</body></html>")
        if request.method != "GET":
            return SimResponse(405, HTML, b"")
        try:
            return self._answered(200, answer(query, request.now_ns))
        except BinanceRestRefusal as refusal:
            return self._answered(refusal.status, refusal.body, request.now_ns)

    def _answered(self, status: int, body: bytes, now_ns: int = 0) -> SimResponse:
        headers = [("X-MBX-USED-WEIGHT", str(self._used)), ("X-MBX-USED-WEIGHT-1M", str(self._used))]
        if status == 429:
            headers.append(("Retry-After", str(60 - now_ns % _MINUTE_NS // 1_000_000_000)))
        return SimResponse(status, JSON, body, tuple(headers))

    def _weigh(self, weight: int, now_ns: int) -> None:
        """Add a request to the weight of its minute. Raises BinanceRestRefusal beyond the limit."""
        if now_ns // _MINUTE_NS != self._minute:
            self._minute, self._used = now_ns // _MINUTE_NS, 0
        self._used += weight
        limit = self._venue.options.weight_limit
        if self._used > limit:
            text = (
                f"Too much request weight used; current limit is {limit} request weight per 1 MINUTE. "
                "Please use WebSocket Streams for live updates to avoid polling the API."
            )
            raise BinanceRestRefusal(429, -1003, text)

    def _ping(self, _query: dict[str, str], now_ns: int) -> bytes:
        self._weigh(1, now_ns)
        return b"{}"

    def _time(self, _query: dict[str, str], now_ns: int) -> bytes:
        self._weigh(1, now_ns)
        return b'{"serverTime":%d}' % (self._venue.now_ns(now_ns) // wire.MILLISECOND)

    def _depth(self, query: dict[str, str], now_ns: int) -> bytes:
        limit = _limit(query.get("limit", "100"))
        self._weigh(next(weight for most, weight in _DEPTH_WEIGHTS if limit <= most), now_ns)
        symbol = query.get("symbol", "")
        if not symbol:
            text = "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."
            raise BinanceRestRefusal(400, -1102, text)
        return wire.depth(self._venue.market.instruments[self._known(symbol)], limit).encode()

    def _exchange_info(self, query: dict[str, str], now_ns: int) -> bytes:
        self._weigh(20, now_ns)
        market = self._venue.market
        wanted = _wanted(query)
        symbols = list(market.instruments) if wanted is None else [self._known(symbol) for symbol in wanted]
        info = {
            "timezone": "UTC",
            "serverTime": self._venue.now_ns(now_ns) // wire.MILLISECOND,
            "rateLimits": [
                _rate_limit("REQUEST_WEIGHT", "MINUTE", 1, self._venue.options.weight_limit),
                _rate_limit("ORDERS", "SECOND", 10, 100),
                _rate_limit("ORDERS", "DAY", 1, 200_000),
                _rate_limit("RAW_REQUESTS", "MINUTE", 5, 61_000),
            ],
            "exchangeFilters": [],
            "symbols": [_symbol(market.instruments[symbol].pair) for symbol in symbols],
        }
        return msgspec.json.encode(info)

    def _known(self, symbol: str) -> str:
        """The symbol itself. Raises BinanceRestRefusal when no such pair is listed."""
        if symbol not in self._venue.market.instruments:
            raise BinanceRestRefusal(400, -1121, "Invalid symbol.")
        return symbol


def _limit(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 20):
        raise BinanceRestRefusal(
            400, -1100, "Illegal characters found in parameter 'limit'; legal range is '^[0-9]{1,20}$'."
        )
    return min(int(value) or 1, MAX_LIMIT)


def _wanted(query: dict[str, str]) -> list[str] | None:
    """The symbols that the query asks for; None: all of them."""
    if "symbol" in query:
        return [query["symbol"]]
    if "symbols" not in query:
        return None
    try:
        return msgspec.json.decode(query["symbols"], type=list[str])
    except msgspec.MsgspecError:
        text = "Illegal characters found in parameter 'symbols'; legal range is '^\\[(\"[A-Z0-9-_.]{1,20}\")*\\]$'."
        raise BinanceRestRefusal(400, -1100, text) from None


def _rate_limit(kind: str, interval: str, number: int, limit: int) -> dict[str, Any]:
    return {"rateLimitType": kind, "interval": interval, "intervalNum": number, "limit": limit}


def _symbol(pair: Pair) -> dict[str, Any]:
    return {
        "symbol": pair.symbol,
        "status": "TRADING",
        "baseAsset": pair.base,
        "baseAssetPrecision": 8,
        "quoteAsset": pair.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": _ORDER_TYPES,
        "icebergAllowed": True,
        "ocoAllowed": True,
        "otoAllowed": True,
        "opoAllowed": True,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": True,
        "cancelReplaceAllowed": True,
        "amendAllowed": True,
        "pegInstructionsAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": _filters(pair),
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": _STP_MODES,
    }


def _filters(pair: Pair) -> list[dict[str, Any]]:
    tick, lot, price = (
        wire.number(pair.tick),
        wire.number(pair.lot),
        wire.number(pair.price * 16 // pair.tick * pair.tick),
    )
    most = wire.number(pair.lot * 90_000_000)
    return [
        {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": price, "tickSize": tick},
        {"filterType": "LOT_SIZE", "minQty": lot, "maxQty": most, "stepSize": lot},
        {"filterType": "ICEBERG_PARTS", "limit": 100},
        {"filterType": "MARKET_LOT_SIZE", "minQty": "0.00000000", "maxQty": most, "stepSize": "0.00000000"},
        {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": "5",
            "bidMultiplierDown": "0.2",
            "askMultiplierUp": "5",
            "askMultiplierDown": "0.2",
            "avgPriceMins": 5,
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": "5.00000000",
            "applyMinToMarket": True,
            "maxNotional": "9000000.00000000",
            "applyMaxToMarket": False,
            "avgPriceMins": 5,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 5},
    ]
