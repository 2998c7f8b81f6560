"""The REST interface of the simulated ALOR: access tokens, and what clients request before they subscribe. Pure.

    POST /refresh?token=...                                   (or {"token": "..."} in the body, which has precedence)
    GET /md/v2/time
    GET /md/v2/Securities?query=...&exchange=...&instrumentGroup=...&sector=...&cficode=...&limit=...&offset=...
    GET /md/v2/Securities/MOEX[?market=...&limit=...&offset=...]                                               (token)
    GET /md/v2/Securities/MOEX/SBER[?instrumentGroup=TQBR]                                                     (token)
    GET /md/v2/Securities/MOEX/SBER/availableBoards
    GET /md/v2/Securities/MOEX/SBER/alltrades[?take=...]                                                       (token)
    GET /md/v2/Securities/MOEX:SBER,MOEX:GAZP/quotes
    GET /md/v2/orderbooks/MOEX/SBER[?depth=...]                                                                (token)
    GET /md/v2/history?exchange=MOEX&symbol=SBER&tf=60&from=...&to=...
    GET, POST /sim/faults                     the simulator's own: what goes wrong on purpose (message_faults.py)

The names of resources in a path may be in upper or lower case. Each takes `format`. Those with (token) are refused
without an access token; the others are answered without one (by ALOR with data 15 minutes old, here with the newest),
and an invalid token is always refused. A list of all exchanges has 25 instruments at a time unless `limit` says
otherwise, 1000 at most, and that of one exchange all of them. ALOR sorts them by turnover; here the order never
changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from feedbus.sim.alor import wire
from feedbus.sim.alor.cards import card, cfi_code, market_of
from feedbus.sim.alor.conversation import DEPTH, FORMS, MAX_DEPTH, AlorRefusal, seconds_of
from feedbus.sim.alor.market import EXCHANGE, AlorListing
from feedbus.sim.alor.venue import AlorVenue
from feedbus.sim.message_faults import FAULTS_PATH, faults_answer
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
        if request.target == FAULTS_PATH:
            return faults_answer(self._venue.faults, request)
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
            if not bearer and _needs_token(path):
                raise AlorRefusal("Unauthorized", 401)
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
                return wire.book(_form(query), self._listing(exchange, code, query).book(depth, existing=True))
            case ["md", "v2", "securities", *rest]:
                return self._securities(rest, query)
        raise AlorRefusal("No such resource", 404)

    def _securities(self, path: list[str], query: Query) -> str:
        match path:
            case []:
                listed = self._listed(query.get("exchange", EXCHANGE), query.get("sector"))
                return _array(_page(_matching(listed, query), query, LIMIT), lambda each: card(_form(query), each))
            case [exchange]:
                listed = self._listed(exchange, query.get("market"))
                return _array(_page(listed, query, len(listed)), lambda each: card(_form(query), each))
            case [pairs, "quotes"]:
                codes = [pair.partition(":") for pair in pairs.split(",")[:MAX_LIMIT]]
                listings = [self._listing(exchange, code, {}) for exchange, _, code in codes]
                return _array(listings, lambda each: wire.quote(_form(query), each.quote()))
            case [exchange, code]:
                return card(_form(query), self._listing(exchange, code, query))
            case [exchange, code, "availableboards"]:
                self._listing(exchange, code, query)
                return wire.text([each.security.board for each in self._venue.listings[code]])
            case [exchange, code, "alltrades"]:
                listing = self._listing(exchange, code, query)
                trades = listing.newest_trades(_number(query, "take", MAX_LIMIT, MAX_TRADES))
                form = _form(query)
                if query.get("descending") == "true":
                    trades.reverse()
                return _array(trades, lambda trade: listing.trade_writer.trade(form, trade, existing=True))
        raise AlorRefusal("No such resource", 404)

    def _listed(self, exchange: str, market: str | None) -> list[AlorListing]:
        """All instruments of an exchange, or those of one of its markets."""
        if exchange != EXCHANGE:
            raise AlorRefusal("No such exchange", 404)
        listings = [each for listed in self._venue.listings.values() for each in listed]
        return [each for each in listings if market in (None, "", market_of(each))]

    def _history(self, query: Query) -> str:
        listing = self._listing(query.get("exchange"), query.get("symbol"), query)
        since, until = _number(query, "from", 0, 1 << 40), _number(query, "to", 1 << 40, 1 << 40)
        bars = [each for each in listing.bars(seconds_of(query.get("tf")), since) if each.time <= until]
        form, decimals = _form(query), listing.security.decimals
        return f'{{"history":{_array(bars, lambda each: wire.bar(form, each, decimals))},"next":null,"prev":null}}'

    def _listing(self, exchange: str | None, code: str | None, query: Query) -> AlorListing:
        listing = self._venue.find(exchange, code, query.get("instrumentGroup"))
        if listing is None:
            raise AlorRefusal("No such instrument", 404)
        return listing


def _needs_token(path: list[str]) -> bool:
    """Whether ALOR refuses a request for this resource without an access token."""
    match path:
        case ["md", "v2", "securities", _]:
            return True
        case ["md", "v2", "securities", _, last]:
            return last != "quotes"
        case ["md", "v2", "orderbooks", *_] | ["md", "v2", "securities", _, _, "alltrades"]:
            return True
    return False


def _matching(listings: list[AlorListing], query: Query) -> list[AlorListing]:
    """Those that a search is about. What is searched for is a part of the code, in upper or lower case."""
    wanted, board, cfi = query.get("query", "").casefold(), query.get("instrumentGroup"), query.get("cficode", "")
    return [
        each
        for each in listings
        if wanted in each.security.secid.casefold()
        and board in (None, "", each.security.board)
        and cfi_code(each).startswith(cfi.rstrip("X"))
    ]


def _page(listings: list[AlorListing], query: Query, limit: int) -> list[AlorListing]:
    """The part of a list that is asked for, `limit` long where the query doesn't say."""
    offset = _number(query, "offset", 0, 1 << 30)
    return listings[offset : offset + _number(query, "limit", limit, MAX_LIMIT)]


def _form(query: Query) -> wire.WireFormat:
    form = query.get("format", "Simple").lower()
    if form not in FORMS:
        raise AlorRefusal("No such format")
    return FORMS[form]


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
