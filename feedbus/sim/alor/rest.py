"""The REST interface of the simulated ALOR: access tokens, and what clients request before they subscribe. Pure.

    POST /refresh?token=...                                   (or {"token": "..."} in the body, which has precedence)
    GET /md/v2/time
    GET /md/v2/Securities?query=...&limit=...&offset=...
    GET /md/v2/Securities/MOEX[?limit=...&offset=...]
    GET /md/v2/Securities/MOEX/SBER[?instrumentGroup=TQBR]
    GET /md/v2/Securities/MOEX/SBER/availableBoards
    GET /md/v2/Securities/MOEX/SBER/alltrades[?take=...]
    GET /md/v2/Securities/MOEX:SBER,MOEX:GAZP/quotes
    GET /md/v2/orderbooks/MOEX/SBER[?depth=...]
    GET /md/v2/history?exchange=MOEX&symbol=SBER&tf=60&from=...&to=...

The names of resources in a path may be in upper or lower case. All answers are in the format Simple. A request without
an access token is answered (by ALOR with delayed data, here with the newest), one with an invalid token is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from feedbus.sim.alor import wire
from feedbus.sim.alor.conversation import DEPTH, MAX_DEPTH, AlorRefusal, minutes_of
from feedbus.sim.alor.market import EXCHANGE, TYPES, AlorListing
from feedbus.sim.alor.venue import AlorVenue
from feedbus.sim.seam import JSON, SimRequest, SimResponse

LIMIT, MAX_LIMIT = 25, 1000
MAX_TRADES = 5000
_TEXT = "text/plain; charset=utf-8"

Query = dict[str, str]
T = TypeVar("T")


class AlorRest:
    """The REST interface of a venue, a Handler."""

    def __init__(self, venue: AlorVenue) -> None:
        self._venue = venue

    def __call__(self, request: SimRequest) -> SimResponse:
        """Answer a request."""
        path, query = _split(request.target)
        self._venue.market.await_opening(request.now_ns)
        try:
            if path == ["refresh"]:
                return self._refresh(request, query)
            if request.method != "GET":
                raise AlorRefusal("Method not allowed", 405)
            bearer = request.headers.get("authorization", "")
            if bearer and not self._venue.tokens.valid(bearer.removeprefix("Bearer "), request.now_ns):
                raise AlorRefusal(wire.BAD_TOKEN, 401)
            return SimResponse(200, JSON, self._content(path, query, request.now_ns).encode())
        except AlorRefusal as refusal:
            body = {"code": str(refusal), "message": str(refusal), "traceId": None}
            return SimResponse(refusal.code, JSON, msgspec.json.encode(body))

    def _refresh(self, request: SimRequest, query: Query) -> SimResponse:
        options, counters = self._venue.options, self._venue.counters
        if request.method != "POST":
            raise AlorRefusal("Method not allowed", 405)
        if options.refresh_failure == "500":
            counters.logins_refused += 1
            return SimResponse(500, _TEXT, b"Internal Server Error")
        token = _token(request.body) or query.get("token", "")
        if not token or (options.refresh_tokens and token not in options.refresh_tokens):
            counters.logins_refused += 1
            raise AlorRefusal("Invalid refresh token", 403)
        counters.tokens_issued += 1
        return SimResponse(200, JSON, msgspec.json.encode({"AccessToken": self._venue.tokens.issue(request.now_ns)}))

    def _content(self, path: list[str], query: Query, now_ns: int) -> str:
        match path:
            case ["md", "v2", "time"]:
                return str(now_ns // 1_000_000_000)
            case ["md", "v2", "history"]:
                return self._history(query)
            case ["md", "v2", "orderbooks", exchange, code]:
                depth = max(1, _number(query, "depth", DEPTH, MAX_DEPTH))
                return wire.book("simple", self._listing(exchange, code, query).book(depth, existing=True))
            case ["md", "v2", "securities", *rest]:
                return self._securities(rest, query)
        raise AlorRefusal("No such resource", 404)

    def _securities(self, path: list[str], query: Query) -> str:
        match path:
            case []:
                return self._list(query, query.get("query", ""), query.get("exchange", EXCHANGE))
            case [exchange]:
                return self._list(query, "", exchange)
            case [pairs, "quotes"]:
                codes = [pair.partition(":") for pair in pairs.split(",")[:MAX_LIMIT]]
                listings = [self._listing(exchange, code, {}) for exchange, _, code in codes]
                return _array(listings, lambda each: wire.quote("simple", each.quote()))
            case [exchange, code]:
                return wire.text(_description(self._listing(exchange, code, query)))
            case [exchange, code, "availableboards"]:
                self._listing(exchange, code, query)
                return wire.text([each.security.board for each in self._venue.listings[code]])
            case [exchange, code, "alltrades"]:
                listing = self._listing(exchange, code, query)
                trades = listing.newest_trades(_number(query, "take", MAX_LIMIT, MAX_TRADES))
                if query.get("descending") == "true":
                    trades.reverse()
                return _array(trades, lambda trade: listing.trade_writer.trade("simple", trade, existing=True))
        raise AlorRefusal("No such resource", 404)

    def _list(self, query: Query, wanted: str, exchange: str) -> str:
        if exchange != EXCHANGE:
            raise AlorRefusal("No such exchange", 404)
        wanted = wanted.casefold()
        listings = [each for listed in self._venue.listings.values() for each in listed]
        found = [each for each in listings if wanted in each.security.secid.casefold()]
        offset, limit = _number(query, "offset", 0, 1 << 30), _number(query, "limit", LIMIT, MAX_LIMIT)
        return wire.text([_description(each) for each in found[offset : offset + limit]])

    def _history(self, query: Query) -> str:
        listing = self._listing(query.get("exchange"), query.get("symbol"), query)
        since, until = _number(query, "from", 0, 1 << 40), _number(query, "to", 1 << 40, 1 << 40)
        bars = [each for each in listing.bars(minutes_of(query.get("tf")), since) if each.time <= until]
        decimals = listing.security.decimals
        return f'{{"history":{_array(bars, lambda each: wire.bar("simple", each, decimals))},"next":null,"prev":null}}'

    def _listing(self, exchange: str | None, code: str | None, query: Query) -> AlorListing:
        listing = self._venue.find(exchange, code, query.get("instrumentGroup"))
        if listing is None:
            raise AlorRefusal("No such instrument", 404)
        return listing


def _description(listing: AlorListing) -> dict[str, Any]:
    """The description of an instrument."""
    security, state = listing.security, listing.state()
    step = wire.raw(wire.short(security.tick, security.decimals))
    return {
        "symbol": security.secid,
        "shortname": security.name[:10],
        "description": security.name,
        "exchange": EXCHANGE,
        "market": "FORTS" if security.kind == "future" else "FOND",
        "type": TYPES[security.kind],
        "lotsize": security.lot,
        "facevalue": security.face or 1,
        "cfiCode": {"future": "FXXXXX", "bond": "DBXXXX", "fund": "EUXXXX"}.get(security.kind, "ESXXXX"),
        "cancellation": "2099-12-31T00:00:00",
        "minstep": step,
        "rating": 0,
        "marginbuy": 0,
        "marginsell": 0,
        "marginrate": 0,
        "pricestep": step,
        "priceMax": state["price_max"],
        "priceMin": state["price_min"],
        "theorPrice": 0,
        "theorPriceLimit": 0,
        "volatility": 0,
        "currency": "RUB",
        "ISIN": security.isin or "",
        "yield": None,
        "board": security.board,
        "primary_board": security.board,
        "tradingStatus": state["status"],
        "tradingStatusInfo": state["status_text"],
        "complexProductCategory": None,
        "priceMultiplier": 1,
        "priceShownUnits": 1,
    }


def _split(target: str) -> tuple[list[str], Query]:
    """The segments of the path, those that are names of resources in lower case, and the query."""
    try:
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query, max_num_fields=32))
    except ValueError:
        return [], {}
    words = [unquote(word) for word in parts.path.strip("/").split("/")]
    known = {"refresh", "md", "v2", "time", "history", "orderbooks", "securities", "quotes", "alltrades"}
    known.add("availableboards")
    return [word.lower() if word.lower() in known else word for word in words], query


def _token(body: bytes) -> str:
    """The refresh token in a request's body, with its key in any case; "" when there is none."""
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return ""
    if not isinstance(content, dict):
        return ""
    token = next((value for key, value in content.items() if str(key).lower() == "token"), "")
    return token if isinstance(token, str) else ""


def _number(query: Query, name: str, default: int, most: int) -> int:
    """A count in a query, limited to `most`. Raises AlorRefusal when it isn't a number."""
    written = query.get(name)
    if written is None:
        return default
    if not written.isascii() or not written.isdigit() or len(written) > 12:
        raise AlorRefusal(f"{name} is not a number")
    return min(int(written), most)


def _array(items: list[T], write: Callable[[T], str]) -> str:
    return f"[{','.join([write(each) for each in items])}]"
