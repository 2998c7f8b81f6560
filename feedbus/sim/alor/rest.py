"""What the simulated ALOR answers over REST: access tokens, and what clients ask for before they subscribe. Pure.

    POST /refresh?token=...                                   (or {"token": "..."} in the body, which wins)
    GET /md/v2/time
    GET /md/v2/Securities?query=...&limit=...&offset=...
    GET /md/v2/Securities/MOEX[?limit=...&offset=...]
    GET /md/v2/Securities/MOEX/SBER[?instrumentGroup=TQBR]
    GET /md/v2/Securities/MOEX/SBER/availableBoards
    GET /md/v2/Securities/MOEX/SBER/alltrades[?take=...]
    GET /md/v2/Securities/MOEX:SBER,MOEX:GAZP/quotes
    GET /md/v2/orderbooks/MOEX/SBER[?depth=...]
    GET /md/v2/history?exchange=MOEX&symbol=SBER&tf=60&from=...&to=...

The case of a path's words doesn't matter, all is in the format Simple. A request may do without a token (ALOR answers
such with data that are late), but with a bad one it is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from feedbus.sim.alor import wire
from feedbus.sim.alor.conversation import DEPTH, MAX_DEPTH, AlorRefusal, minutes_of
from feedbus.sim.alor.venue import EXCHANGE, TYPES, AlorListing, AlorVenue
from feedbus.sim.seam import JSON, SimRequest, SimResponse

LIMIT, MAX_LIMIT = 25, 1000
MAX_TRADES = 5000
_TEXT = "text/plain; charset=utf-8"

Query = dict[str, str]
T = TypeVar("T")


class AlorRest:
    """The REST interface of a venue. A Handler."""

    def __init__(self, venue: AlorVenue) -> None:
        self._venue = venue

    def __call__(self, request: SimRequest) -> SimResponse:
        """What a request is answered. Never raises."""
        path, query = _split(request.target)
        self._venue.market.await_opening(request.now_ns)
        try:
            if path == ["refresh"]:
                return self._refresh(request, query)
            if request.method != "GET":
                raise AlorRefusal("Method not allowed", 405)
            bearer = request.headers.get("authorization", "")
            if bearer and not self._venue.tokens.good(bearer.removeprefix("Bearer "), request.now_ns):
                raise AlorRefusal(wire.BAD_TOKEN, 401)
            return SimResponse(200, JSON, self._told(path, query, request.now_ns).encode())
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

    def _told(self, path: list[str], query: Query, now_ns: int) -> str:
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
                return wire.text(_card(self._listing(exchange, code, query)))
            case [exchange, code, "availableboards"]:
                self._listing(exchange, code, query)
                return wire.text([each.paper.board for each in self._venue.listings[code]])
            case [exchange, code, "alltrades"]:
                listing = self._listing(exchange, code, query)
                deals = listing.newest_deals(_number(query, "take", MAX_LIMIT, MAX_TRADES))
                if query.get("descending") == "true":
                    deals.reverse()
                return _array(deals, lambda deal: listing.tape.trade("simple", deal, existing=True))
        raise AlorRefusal("No such resource", 404)

    def _list(self, query: Query, wanted: str, exchange: str) -> str:
        if exchange != EXCHANGE:
            raise AlorRefusal("No such exchange", 404)
        wanted = wanted.casefold()
        listings = [each for listed in self._venue.listings.values() for each in listed]
        found = [each for each in listings if wanted in each.paper.secid.casefold()]
        offset, limit = _number(query, "offset", 0, 1 << 30), _number(query, "limit", LIMIT, MAX_LIMIT)
        return wire.text([_card(each) for each in found[offset : offset + limit]])

    def _history(self, query: Query) -> str:
        listing = self._listing(query.get("exchange"), query.get("symbol"), query)
        since, until = _number(query, "from", 0, 1 << 40), _number(query, "to", 1 << 40, 1 << 40)
        bars = [each for each in listing.bars(minutes_of(query.get("tf")), since) if each.time <= until]
        decimals = listing.paper.decimals
        return f'{{"history":{_array(bars, lambda each: wire.bar("simple", each, decimals))},"next":null,"prev":null}}'

    def _listing(self, exchange: str | None, code: str | None, query: Query) -> AlorListing:
        listing = self._venue.find(exchange, code, query.get("instrumentGroup"))
        if listing is None:
            raise AlorRefusal("No such instrument", 404)
        return listing


def _card(listing: AlorListing) -> dict[str, Any]:
    """What there is to know about an instrument."""
    paper, state = listing.paper, listing.state()
    step = wire.raw(wire.short(paper.tick, paper.decimals))
    return {
        "symbol": paper.secid,
        "shortname": paper.name[:10],
        "description": paper.name,
        "exchange": EXCHANGE,
        "market": "FORTS" if paper.kind == "future" else "FOND",
        "type": TYPES[paper.kind],
        "lotsize": paper.lot,
        "facevalue": paper.face or 1,
        "cfiCode": {"future": "FXXXXX", "bond": "DBXXXX", "fund": "EUXXXX"}.get(paper.kind, "ESXXXX"),
        "cancellation": "2099-12-31T00:00:00",
        "minstep": step,
        "rating": 0,
        "marginbuy": 0,
        "marginsell": 0,
        "marginrate": 0,
        "pricestep": step,
        "priceMax": state["most"],
        "priceMin": state["least"],
        "theorPrice": 0,
        "theorPriceLimit": 0,
        "volatility": 0,
        "currency": "RUB",
        "ISIN": paper.isin or "",
        "yield": None,
        "board": paper.board,
        "primary_board": paper.board,
        "tradingStatus": state["status"],
        "tradingStatusInfo": state["status_text"],
        "complexProductCategory": None,
        "priceMultiplier": 1,
        "priceShownUnits": 1,
    }


def _split(target: str) -> tuple[list[str], Query]:
    """The path's words, those that are names of resources in lower case, and the query."""
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
    """The refresh token in a request's body, whatever the case of its key; "" when there is none."""
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return ""
    if not isinstance(content, dict):
        return ""
    token = next((value for key, value in content.items() if str(key).lower() == "token"), "")
    return token if isinstance(token, str) else ""


def _number(query: Query, name: str, default: int, most: int) -> int:
    """A count in a query, at most the largest there may be. Raises Refusal when it is none."""
    written = query.get(name)
    if written is None:
        return default
    if not written.isascii() or not written.isdigit() or len(written) > 12:
        raise AlorRefusal(f"{name} is not a number")
    return min(int(written), most)


def _array(items: list[T], written: Callable[[T], str]) -> str:
    return f"[{','.join([written(each) for each in items])}]"
