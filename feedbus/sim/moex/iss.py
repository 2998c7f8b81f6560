"""What the simulated exchange answers over REST: the papers of a board. Pure: a request's target in, an answer out.

    /iss/engines/stock/markets/shares/boards/TQBR/securities.json?iss.meta=off&iss.only=securities&start=0&limit=100

Of the exchange's three blocks `securities` is simulated; `marketdata` and `dataversion` have columns and no rows. The
case of the board doesn't matter. Any market will do in the path, so that the made-up bonds (TQCB) can be listed like
shares. `limit` is 100 unless it is asked for, and 1000 at most.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

import msgspec

from feedbus.sim.moex.catalogue import Share, papers
from feedbus.sim.seam import HTML, JSON, SimRequest, SimResponse

Failure = Literal["none", "html"]

LIMIT, MAX_LIMIT = 100, 1000

_PATH = re.compile(r"/iss/engines/stock/markets/\w+/boards/(\w+)/securities\.json", re.ASCII)
_MOSCOW = dt.timezone(dt.timedelta(hours=3))
_BOARD_NAMES = {"TQBR": "Акции", "TQTF": "Паи фондов", "TQCB": "Облигации"}
_TYPES = {"share": "1", "fund": "9", "bond": "6"}

# Column: type, and the bytes of a text.
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
SECURITIES_COLUMNS = tuple(column.partition(":")[0] for column in _SECURITIES.split())

_SORRY = """<!DOCTYPE html>
<html><head><title>ISS</title></head><body><h1>The token has expired</h1></body></html>
"""


class Iss:
    """The REST interface. `failure` "html" answers all with HTTP 200 and a page, as the exchange does to an expired
    token; `start_ns` is when the market's day is, that of the request when left out. A Handler."""

    def __init__(self, start_ns: int | None = None, failure: Failure = "none") -> None:
        self._start_ns = start_ns
        self._failure = failure

    def __call__(self, request: SimRequest) -> SimResponse:
        """What a request is answered. Never raises."""
        return self.answer(request.target, request.now_ns) if request.method == "GET" else SimResponse(405, HTML, b"")

    def answer(self, target: str, now_ns: int = 0) -> SimResponse:
        """What a GET of this target is answered. Never raises."""
        if self._failure == "html":
            return SimResponse(200, HTML, _SORRY.encode())
        path, query = _split(target)
        found = _PATH.fullmatch(path)
        if found is None:
            return SimResponse(404, HTML, b"<html><body>404 Not Found</body></html>")
        start, limit = _number(query.get("start"), 0), _number(query.get("limit"), LIMIT)
        if start is None or limit is None:
            return SimResponse(400, HTML, b"<html><body>400 Bad Request</body></html>")
        board = found[1].upper()
        listed = [paper for paper in papers() if paper.board == board][start : start + min(limit, MAX_LIMIT)]
        today = _day(now_ns if self._start_ns is None else self._start_ns)
        rows = {"securities": [_row(paper, today) for paper in listed]}
        only = query.get("iss.only", ",".join(_BLOCKS)).split(",")
        meta = query.get("iss.meta", "on") != "off"
        blocks = {name: _block(columns, rows.get(name, []), meta) for name, columns in _BLOCKS.items() if name in only}
        return SimResponse(200, JSON, msgspec.json.encode(blocks))


def _day(time_ns: int) -> dt.date:
    return dt.datetime.fromtimestamp(time_ns / 1e9, _MOSCOW).date()


def _row(paper: Share, today: dt.date) -> list[Any]:
    unit = 10**paper.decimals
    previous = paper.price // paper.tick * paper.tick / unit
    values = {
        "SECID": paper.secid,
        "BOARDID": paper.board,
        "SHORTNAME": paper.name[:10],
        "PREVPRICE": previous,
        "LOTSIZE": paper.lot,
        "FACEVALUE": paper.face or None,
        "STATUS": "A",
        "BOARDNAME": _BOARD_NAMES[paper.board],
        "DECIMALS": paper.decimals,
        "SECNAME": paper.name,
        "MARKETCODE": "FNDT",
        "INSTRID": "EQIN",
        "MINSTEP": paper.tick / unit,
        "PREVWAPRICE": paper.price / unit,
        "FACEUNIT": "SUR",
        "PREVDATE": str(_weekday(today, -1)),
        "ISSUESIZE": paper.issue_size,
        "ISIN": paper.isin,
        "LATNAME": paper.latin_name,
        "PREVLEGALCLOSEPRICE": previous,
        "CURRENCYID": "SUR",
        "SECTYPE": _TYPES[paper.kind],
        "LISTLEVEL": 3 - paper.tier,
        "SETTLEDATE": str(_weekday(today, 1)),
    }
    return [values.get(column) for column in SECURITIES_COLUMNS]


def _split(target: str) -> tuple[str, dict[str, str]]:
    try:
        parts = urlsplit(target)
        return parts.path, dict(parse_qsl(parts.query, max_num_fields=32))
    except ValueError:
        return "", {}


def _number(text: str | None, default: int) -> int | None:
    """A count in a query; None when it is none."""
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
    """The nearest working day in that direction."""
    day += dt.timedelta(days=days)
    while day.weekday() > 4:
        day += dt.timedelta(days=days)
    return day
