"""What MOEX lists on a board, over ISS REST, page by page. Pure.

    GET /iss/engines/stock/markets/shares/boards/TQBR/securities.json
        ?iss.meta=off&iss.only=securities&start=0&limit=1000

    {"securities":{"columns":["SECID","BOARDID",…],"data":[["SBER","TQBR",…],…]}}

Only boards of the market `shares` (TQBR, TQTF, …) can be listed. The path names the market too, and the documentation
doesn't say to which market another board belongs; a board that is asked for on the wrong market lists nothing. `start`
counts rows. Pages are asked for until one is empty or brings nothing new, because a server may ignore `start`. A
failure often comes as HTTP 200 with a page of HTML. Source of the rules: https://moexalgo.github.io (openapi.yaml). The
host is https://iss.moex.com; without a token its data is 15 minutes old, which does a list no harm.

The tick size is MINSTEP, which on some instruments isn't a power of ten. The lot is LOTSIZE, which the exchange changes
now and then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from feedbus.errors import BadData
from feedbus.schema.events import Instrument
from feedbus.text import hinted, quoted
from feedbus.venues.fields import DECODE_ERRORS, LARGEST, too_dear
from feedbus.venues.moex.symbols import BOARD, MARKETS, symbol_problem
from feedbus.venues.moex.tables import VENUE, Cell, ReadCell, number
from feedbus.venues.problems import Problems
from feedbus.venues.protocol import Fetch

PAGE = 1000  # the most rows that the venue gives at once; it may give fewer
MAX_PAGES = 200  # the most pages that are fetched of one board
MAX_ROWS = 5000  # of one page, from a server that ignores `limit`
MAX_INSTRUMENTS = 50_000
MAX_TEXT = 64


class _Block(msgspec.Struct, gc=False):
    columns: list[str]
    data: list[list[Cell]]


class _ListingPage(msgspec.Struct, gc=False):
    securities: _Block


_decode = msgspec.json.Decoder(_ListingPage).decode


def board_problem(board: str) -> str | None:
    """Why the instruments of this board can't be listed, or None."""
    if board in MARKETS:
        return "a market, not a board"
    if BOARD.fullmatch(board):
        return None
    if BOARD.fullmatch(board.upper()):
        return hinted("a board is written in capitals", board.upper())
    return "not the code of a board, like TQBR"


class MoexListing:
    """One conversation. See feedbus.venues.protocol for the calls."""

    def __init__(self, boards: Sequence[str]) -> None:
        self._boards = tuple(dict.fromkeys(boards))
        self._instruments: dict[str, dict[str, Instrument]] = {board: {} for board in self._boards}
        self._asked: dict[Fetch, tuple[str, int, int]] = {}  # board, start, page
        self._seen: set[tuple[str, str]] = set()  # board and SECID of every row that has come
        self._problems = Problems("ISS")

    def requests(self) -> list[Fetch]:
        """The first page of every board."""
        return [self._ask(board, 0, 1) for board in self._boards]

    def fetched(self, fetch: Fetch, status: int, body: bytes, ts_recv: int) -> list[Fetch]:
        """Takes one page in, and returns the request for the next one, if there is any. Raises BadData."""
        board, start, page = self._asked.pop(fetch)
        place = _place(board, start)
        block = _securities(status, body, place)
        fresh = self._take(block, board, start, ts_recv)
        if not fresh:
            return []
        if page == MAX_PAGES or len(self._seen) > MAX_INSTRUMENTS:
            raise BadData(place, f"the list has no end: {len(self._seen)} rows on {page} pages so far")
        return [self._ask(board, start + len(block.data), page + 1)]

    def instruments(self) -> list[Instrument]:
        """Every instrument, once. Raises BadData for a board without any."""
        empty = [board for board, found in self._instruments.items() if not found]
        if empty:
            raise BadData(
                f"ISS {empty[0]}", "no instruments that can be subscribed; is it a board of the market shares?"
            )
        return [instrument for found in self._instruments.values() for instrument in found.values()]

    def symbols(self) -> list[str]:
        """`TQBR.SBER`, …"""
        return [instrument.symbol for instrument in self.instruments()]

    def problems(self) -> list[str]:
        """Rows and cells that were passed over, and why."""
        return list(map(str, self._problems.errors()))

    def _ask(self, board: str, start: int, page: int) -> Fetch:
        query = f"iss.meta=off&iss.only=securities&start={start}&limit={PAGE}"
        fetch = Fetch(f"/iss/engines/stock/markets/shares/boards/{board}/securities.json?{query}")
        self._asked[fetch] = (board, start, page)
        return fetch

    def _take(self, block: _Block, board: str, start: int, ts_recv: int) -> bool:
        """Takes in the instruments of one page. Returns False when all of them had come before."""
        place = _place(board, start)
        columns = {name: at for at, name in enumerate(block.columns) if name in _READ}
        for name in ("SECID", "BOARDID"):
            if name not in columns:
                raise BadData(place, f"column {name} is missing")
        fresh = False
        for index, cells in enumerate(block.data):
            if len(cells) != len(block.columns):
                raise BadData(place, f"row {index} has {len(cells)} cells for {len(block.columns)} columns")
            row = {name: cells[at] for name, at in columns.items()}
            key = (board, quoted(row["SECID"]))
            if key not in self._seen:
                self._seen.add(key)
                fresh = True
                self._add(row, board, f"{board} from row {start} row {index}", ts_recv)
        return fresh

    def _add(self, row: Mapping[str, Cell], board: str, where: str, ts_recv: int) -> None:
        """Takes in one row. A row that isn't an instrument is passed over, and a cell that can't be read becomes
        None."""
        secid = row["SECID"]
        symbol = f"{board}.{secid[: MAX_TEXT + 1]}" if type(secid) is str else ""
        reason = symbol_problem(symbol) if symbol else "not text"
        if row["BOARDID"] != board:
            reason = f"of another board, {quoted(row['BOARDID'])}"
        if reason is not None:
            self._problems.note(where, reason, secid)
            return
        cells: dict[str, Any] = {
            field: read(row.get(name), f"{where} {name}", self._problems) for name, (field, read) in _CELLS.items()
        }
        self._instruments[board][symbol] = Instrument(VENUE, symbol, 0, ts_recv, board=board, **cells)


def _place(board: str, start: int) -> str:
    return f"ISS {board} from row {start}"


def _securities(status: int, body: bytes, place: str) -> _Block:
    """Returns the table in an answer. Raises BadData, which says what came in its place."""
    if status not in (200, 401, 403):
        raise BadData(place, f"HTTP {status}")
    if body[:1024].lstrip()[:1] == b"<":
        reason = "a page of HTML, as ISS answers without an entitlement, with an expired token, or in trouble"
        raise BadData(place, f"HTTP {status}: {reason}")
    if status != 200:
        raise BadData(place, f"HTTP {status}")
    if reason := too_dear(body):
        raise BadData(place, reason)
    try:
        block = _decode(body).securities
    except DECODE_ERRORS as error:
        raise BadData(place, str(error)) from None
    if len(block.data) > MAX_ROWS:
        raise BadData(place, f"{len(block.data)} rows, more than {MAX_ROWS}")
    return block


def _positive(cell: Cell, name: str, problems: Problems) -> float | None:
    value = number(cell, name, problems)
    if value is not None and not 0 < value < LARGEST:
        problems.note(name, "not above zero, or absurd", cell)
        return None
    return value


def _decimals(cell: Cell, name: str, problems: Problems) -> int | None:
    if cell is None or (type(cell) is int and 0 <= cell <= 18):
        return cell
    problems.note(name, "not a number of decimals", cell)
    return None


def _text(cell: Cell, name: str, problems: Problems) -> str | None:
    if cell is None or (type(cell) is str and len(cell) <= MAX_TEXT and cell.isprintable()):
        return cell
    problems.note(name, "not a short text", cell)
    return None


_CELLS: dict[str, tuple[str, ReadCell]] = {
    "ISIN": ("isin", _text),
    "LOTSIZE": ("lot", _positive),
    "MINSTEP": ("tick_size", _positive),
    "DECIMALS": ("decimals", _decimals),
    "CURRENCYID": ("currency", _text),
    "SECTYPE": ("type", _text),
    "STATUS": ("status", _text),
}
_READ = frozenset({"SECID", "BOARDID", *_CELLS})
