"""The REST interface of the simulated exchange (ISS): the securities of a board, and their last day. Pure.

    /iss/engines/stock/markets/shares/boards/TQBR/securities.json?iss.meta=off&iss.only=securities&start=0&limit=100
    /iss/history/engines/stock/markets/shares/boards/TQBR/securities.json?start=0&limit=100

Of the exchange's three blocks `securities` is simulated, and of `marketdata` the trading status; `dataversion` has
columns and no rows. The history is that of the last weekday. The board may be in upper or lower case. The path may name
any market: the exchange has bonds (TQCB) in another one than shares. `limit` is 100 by default, and 1000 at most, in
the history 100.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

import msgspec

from feedbus.sim.message_faults import FAULTS_PATH, ArmedFaults, faults_answer
from feedbus.sim.moex.catalogue import Security, securities
from feedbus.sim.seam import HTML, JSON, SimRequest, SimResponse

RestFailure = Literal["none", "html"]

LIMIT, MAX_LIMIT = 100, 1000

_PATH = re.compile(r"/iss/(history/)?engines/\w+/markets/\w+/boards/(\w+)/securities\.json", re.ASCII)
_MOSCOW = dt.timezone(dt.timedelta(hours=3))
_BOARD_NAMES = {"TQBR": "Акции", "TQTF": "Паи фондов", "TQCB": "Облигации"}
_TYPES = {"share": "1", "fund": "9", "bond": "6"}

# Column:type, or column:bytes for a string.
_SECURITIES = (
    "SECID:36 BOARDID:12 SHORTNAME:30 PREVPRICE:double LOTSIZE:int32 FACEVALUE:double STATUS:3 BOARDNAME:381 "
    "DECIMALS:int32 SECNAME:90 REMARKS:24 MARKETCODE:12 INSTRID:12 SECTORID:12 MINSTEP:double PREVWAPRICE:double "
    "FACEUNIT:12 PREVDATE:date ISSUESIZE:int64 ISIN:36 LATNAME:90 REGNUMBER:90 PREVLEGALCLOSEPRICE:double "
    "CURRENCYID:12 SECTYPE:3 LISTLEVEL:int32 SETTLEDATE:date"
)
_BLOCKS = {
    "securities": _SECURITIES,
    "marketdata": "SECID:36 BOARDID:12 BID:double OFFER:double LAST:double NUMTRADES:int32 TRADINGSTATUS:3",
    "dataversion": "boardid:12 secid:36",
}
_HISTORY = {
    "history": "BOARDID:12 TRADEDATE:date SHORTNAME:189 SECID:36 NUMTRADES:double VALUE:double CLOSE:double "
    "VOLUME:double"
}
SECURITIES_COLUMNS = tuple(column.partition(":")[0] for column in _SECURITIES.split())

_FAILURE_PAGE = """<!DOCTYPE html>
<html><head><title>ISS</title></head><body><h1>The token has expired</h1></body></html>
"""


class MoexRest:
    """The REST interface, a Handler. `start_ns` decides the market's day; without it that is the day of the request.
    With `failure` "html" every answer is HTTP 200 and a page, which is how the exchange answers an expired token. With
    `faults` these can be armed at /sim/faults."""

    def __init__(
        self, start_ns: int | None = None, failure: RestFailure = "none", faults: ArmedFaults | None = None
    ) -> None:
        self._start_ns = start_ns
        self._failure = failure
        self._faults = faults

    def __call__(self, request: SimRequest) -> SimResponse:
        """Answer a request."""
        if self._faults is not None and request.target == FAULTS_PATH:
            return faults_answer(self._faults, request)
        return self.answer(request.target, request.now_ns) if request.method == "GET" else SimResponse(405, HTML, b"")

    def answer(self, target: str, now_ns: int = 0) -> SimResponse:
        """Answer a GET of this target."""
        if self._failure == "html":
            return SimResponse(200, HTML, _FAILURE_PAGE.encode())
        path, query = _split(target)
        found = _PATH.fullmatch(path)
        if found is None:
            return SimResponse(404, HTML, b"<html><body>404 Not Found</body></html>")
        start, limit = _number(query.get("start"), 0), _number(query.get("limit"), LIMIT)
        if start is None or limit is None:
            return SimResponse(400, HTML, b"<html><body>400 Bad Request</body></html>")
        is_history, board = found[1] is not None, found[2].upper()
        listed = [security for security in securities() if security.board == board]
        listed = listed[start : start + min(limit, LIMIT if is_history else MAX_LIMIT)]
        today = _day(now_ns if self._start_ns is None else self._start_ns)
        rows = {
            "securities": [_row(security, today) for security in listed],
            "marketdata": [[security.secid, board, None, None, None, None, "T"] for security in listed],
            "history": [_history_row(security, today) for security in listed],
        }
        known = _HISTORY if is_history else _BLOCKS
        only = query.get("iss.only", ",".join(known)).split(",")
        meta = query.get("iss.meta", "on") != "off"
        blocks = {name: _block(columns, rows.get(name, []), meta) for name, columns in known.items() if name in only}
        return SimResponse(200, JSON, msgspec.json.encode(blocks))


def _day(time_ns: int) -> dt.date:
    return dt.datetime.fromtimestamp(time_ns / 1e9, _MOSCOW).date()


def _row(security: Security, today: dt.date) -> list[Any]:
    unit = 10**security.decimals
    previous = security.price // security.tick * security.tick / unit
    values = {
        "SECID": security.secid,
        "BOARDID": security.board,
        "SHORTNAME": security.name[:10],
        "PREVPRICE": previous,
        "LOTSIZE": security.lot,
        "FACEVALUE": security.face or None,
        "STATUS": "A",
        "BOARDNAME": _BOARD_NAMES[security.board],
        "DECIMALS": security.decimals,
        "SECNAME": security.name,
        "MARKETCODE": "FNDT",
        "INSTRID": "EQIN",
        "MINSTEP": security.tick / unit,
        "PREVWAPRICE": security.price / unit,
        "FACEUNIT": "SUR",
        "PREVDATE": str(_weekday(today, -1)),
        "ISSUESIZE": security.issue_size,
        "ISIN": security.isin,
        "LATNAME": security.latin_name,
        "PREVLEGALCLOSEPRICE": previous,
        "CURRENCYID": "SUR",
        "SECTYPE": _TYPES[security.kind],
        "LISTLEVEL": 3 - security.tier,
        "SETTLEDATE": str(_weekday(today, 1)),
    }
    return [values.get(column) for column in SECURITIES_COLUMNS]


def _history_row(security: Security, today: dt.date) -> list[Any]:
    """The last weekday of a security. Its turnover is as large as its issue and tier let one expect, and the same on
    every day."""
    price = security.price / 10**security.decimals
    lots = 1 + security.issue_size % 997 + 200_000 // 8**security.tier
    volume = lots * security.lot
    day = str(_weekday(today, -1))
    return [security.board, day, security.name[:10], security.secid, lots // 3, price * volume, price, volume]


def _split(target: str) -> tuple[str, dict[str, str]]:
    try:
        parts = urlsplit(target)
        return parts.path, dict(parse_qsl(parts.query, max_num_fields=32))
    except ValueError:
        return "", {}


def _number(text: str | None, default: int) -> int | None:
    """A count in a query, `default` when it is left out; None when it isn't a number."""
    if text is None:
        return default
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _block(columns: str, rows: list[list[Any]], meta: bool) -> dict[str, Any]:
    kinds = dict(column.split(":") for column in columns.split())
    block: dict[str, Any] = {"metadata": {name: _kind(kind) for name, kind in kinds.items()}} if meta else {}
    return {**block, "columns": list(kinds), "data": rows}


def _kind(kind: str) -> dict[str, Any]:
    if kind == "date":
        return {"type": "date", "bytes": 10, "max_size": 0}
    return {"type": "string", "bytes": int(kind), "max_size": 0} if kind.isdigit() else {"type": kind}


def _weekday(day: dt.date, days: int) -> dt.date:
    """The nearest weekday, `days` (1 or -1) at a time."""
    day += dt.timedelta(days=days)
    while day.weekday() > 4:
        day += dt.timedelta(days=days)
    return day
