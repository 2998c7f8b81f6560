"""The REST interface of the simulated Binance: ping, the venue's clock, its pairs, books and days. Pure.

    GET /api/v3/ping  /api/v3/time  /api/v3/exchangeInfo[?symbol=|symbols=]  /api/v3/depth?symbol=BTCUSDT&limit=100
    GET /api/v3/ticker/24hr[?symbol=|symbols=][&type=MINI]
    GET /sim/faults     the simulator's own: what is armed and what was done
    POST /sim/faults    arms faults, which fault_requests.py lists; answered like a GET, or by HTTP 400

Each answer of the venue has the request weight that was used in this minute (X-MBX-USED-WEIGHT-1M); weights.py says
what becomes of who uses too much. Source: binance-spot-api-docs, rest-api.md and errors.md.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import msgspec
from msgspec import structs

from feedbus.sim.binance import fault_requests, tickers, wire
from feedbus.sim.binance.exchange_info import exchange_info
from feedbus.sim.binance.venue import BinanceVenue
from feedbus.sim.seam import HTML, SimRequest, SimResponse

BinanceQuery = dict[str, str]

JSON = "application/json;charset=UTF-8"
FAULTS = "/sim/faults"
MAX_LIMIT = 5000
ALL_TICKERS = 80  # the weight of the tickers of all pairs, or of more than a hundred
_DEPTH_WEIGHTS = ((100, 5), (500, 25), (1000, 50), (MAX_LIMIT, 250))
_TICKER_WEIGHTS = ((20, 2), (100, 40))
_TICKERS = {"FULL": tickers.full, "MINI": tickers.mini}
_MAINTENANCE = b"<html><body><h1>The service is under maintenance.</h1></body></html>"


class BinanceRestRefusal(Exception):
    """A request that is refused, with an HTTP status and the venue's error code and text."""

    def __init__(self, status: int, code: int, text: str, retry_after_s: int | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.retry_after_s = retry_after_s
        self.body = msgspec.json.encode({"code": code, "msg": text})


class BinanceRest:
    """The REST interface of one venue, a Handler."""

    def __init__(self, venue: BinanceVenue) -> None:
        self._venue = venue
        self._paths = {
            "/api/v3/ping": self._ping,
            "/api/v3/time": self._time,
            "/api/v3/exchangeInfo": self._exchange_info,
            "/api/v3/depth": self._depth,
            "/api/v3/ticker/24hr": self._ticker,
        }

    def __call__(self, request: SimRequest) -> SimResponse:
        """Answer a request."""
        try:
            parts = urlsplit(request.target)
            query = dict(parse_qsl(parts.query, max_num_fields=32))
        except ValueError:
            return SimResponse(400, HTML, b"<html><body>400 Bad Request</body></html>")
        if parts.path == FAULTS:
            return self._faults(request)
        self._venue.weights.roll(request.now_ns)
        answer = self._answer(parts.path, query, request)
        self._venue.counters.heaviest_minute = self._venue.weights.heaviest
        used = str(self._venue.weights.used)
        weights = (("X-MBX-USED-WEIGHT", used), ("X-MBX-USED-WEIGHT-1M", used))
        return structs.replace(answer, headers=weights + answer.headers, delay_s=self._venue.faults.delay_s())

    def _answer(self, path: str, query: BinanceQuery, request: SimRequest) -> SimResponse:
        answer = self._paths.get(path)
        if answer is None:
            return SimResponse(404, HTML, b"<html><body>404 Not found</body></html>")
        if request.method != "GET":
            return SimResponse(405, HTML, b"")
        try:
            self._refuse_on_purpose()
            body = answer(query, request.now_ns)
        except BinanceRestRefusal as refusal:
            after = refusal.retry_after_s
            headers = () if after is None else (("Retry-After", str(after)),)
            return SimResponse(refusal.status, JSON, refusal.body, headers)
        return SimResponse(200, HTML if body is _MAINTENANCE else JSON, body)

    def _faults(self, request: SimRequest) -> SimResponse:
        """The simulator's own resource, which no fault touches and which weighs nothing."""
        if request.method not in ("GET", "POST"):
            return SimResponse(405, HTML, b"")
        if request.method == "POST":
            try:
                self._venue.arm(fault_requests.parse(request.body), request.now_ns)
            except ValueError as error:
                return SimResponse(400, JSON, msgspec.json.encode({"error": str(error)}))
        self._venue.counters.heaviest_minute = self._venue.weights.heaviest
        return SimResponse(200, JSON, msgspec.json.encode(self._venue.faults_told()))

    def _refuse_on_purpose(self) -> None:
        """Raises BinanceRestRefusal when a fault says so."""
        refused = self._venue.faults.refusal()
        if refused is not None:
            raise BinanceRestRefusal(refused.status, -1003, "Too many requests.", refused.retry_after_s)

    def _weigh(self, weight: int, now_ns: int) -> None:
        """Add a request to the weight of its minute. Raises BinanceRestRefusal beyond the limit."""
        over = self._venue.weights.spend(weight, now_ns)
        if over is not None:
            raise BinanceRestRefusal(over.status, -1003, over.text, over.retry_after_s)

    def _ping(self, _query: BinanceQuery, now_ns: int) -> bytes:
        self._weigh(1, now_ns)
        return b"{}"

    def _time(self, _query: BinanceQuery, now_ns: int) -> bytes:
        self._weigh(1, now_ns)
        return b'{"serverTime":%d}' % (self._venue.now_ns(now_ns) // wire.MILLISECOND)

    def _depth(self, query: BinanceQuery, now_ns: int) -> bytes:
        limit = _limit(query.get("limit", "100"))
        self._weigh(next(weight for most, weight in _DEPTH_WEIGHTS if limit <= most), now_ns)
        symbol = query.get("symbol", "")
        if not symbol:
            text = "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."
            raise BinanceRestRefusal(400, -1102, text)
        return self._book(self._known(symbol), limit)

    def _book(self, symbol: str, limit: int) -> bytes:
        instruments, faults = self._venue.market.instruments, self._venue.faults
        match faults.depth_answer(symbol):
            case "stale_depth":
                return wire.depth(faults.old_book(symbol), limit).encode()
            case "html_depth":
                return _MAINTENANCE
            case "cut_depth":
                whole = wire.depth(instruments[symbol], limit).encode()
                return whole[: len(whole) // 2]
            case "other_depth":
                symbol = next((other for other in instruments if other != symbol), symbol)
        return wire.depth(instruments[symbol], limit).encode()

    def _exchange_info(self, query: BinanceQuery, now_ns: int) -> bytes:
        self._weigh(20, now_ns)
        instruments = self._venue.market.instruments
        wanted = _wanted(query)
        symbols = list(instruments) if wanted is None else [self._known(symbol) for symbol in wanted]
        time = self._venue.now_ns(now_ns) // wire.MILLISECOND
        return exchange_info([instruments[each] for each in symbols], time, self._venue.options.weight_limit)

    def _ticker(self, query: BinanceQuery, now_ns: int) -> bytes:
        wanted = _wanted(query)
        weights = (weight for most, weight in _TICKER_WEIGHTS if wanted is not None and len(wanted) <= most)
        self._weigh(next(weights, ALL_TICKERS), now_ns)
        render = _TICKERS.get(query.get("type", "FULL"))
        if render is None:
            raise BinanceRestRefusal(400, -1139, "Invalid ticker type.")
        instruments, time_ns = self._venue.market.instruments, self._venue.now_ns(now_ns)
        symbols = list(instruments) if wanted is None else [self._known(symbol) for symbol in wanted]
        told = [render(instruments[each], time_ns) for each in symbols]
        return msgspec.json.encode(told[0] if "symbol" in query else told)

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


def _wanted(query: BinanceQuery) -> list[str] | None:
    """The symbols that the query asks for; None: all of them."""
    if "symbol" in query and "symbols" in query:
        raise BinanceRestRefusal(400, -1128, "Combination of optional parameters invalid.")
    if "symbol" in query:
        return [query["symbol"]]
    if "symbols" not in query:
        return None
    try:
        return msgspec.json.decode(query["symbols"], type=list[str])
    except msgspec.MsgspecError:
        text = "Illegal characters found in parameter 'symbols'; legal range is '^\\[(\"[A-Z0-9-_.]{1,20}\")*\\]$'."
        raise BinanceRestRefusal(400, -1100, text) from None
