"""What MOEX lists on a board, over ISS REST, page by page. Pure.

    GET /iss/engines/stock/markets/shares/boards/TQBR/securities.json
        ?iss.meta=off&iss.only=securities,marketdata&start=0&limit=1000

    {"securities":{"columns":["SECID","BOARDID",…],"data":[["SBER","TQBR",…],…]},
     "marketdata":{"columns":["SECID","TRADINGSTATUS",…],"data":[["SBER","T",…],…]}}

and, where the turnover of the last day is wanted,

    GET /iss/history/engines/stock/markets/shares/boards/TQBR/securities.json
        ?iss.meta=off&iss.only=history&start=0&limit=100

    {"history":{"columns":["BOARDID","SECID","VALUE",…],"data":[["TQBR","SBER",12345678.9,…],…]}}

The path names the market of ISS besides the board, so only boards of markets that are known here can be listed. `start`
counts rows. Pages are asked for until one is empty or brings nothing new, because a server may ignore `start`. A
failure often comes as HTTP 200 with a page of HTML. Sources of the rules: https://moexalgo.github.io (openapi.yaml) and
https://iss.moex.com/iss/reference. The host is https://iss.moex.com; without a token its data is 15 minutes old, which
does a list no harm.

The tick size is MINSTEP, which on some instruments isn't a power of ten. The lot is LOTSIZE, which the exchange changes
now and then. The status is TRADINGSTATUS, as in the tickers. The currency is that of prices, so bonds, which are priced
in per cent, indices and derivatives, which are priced in points, have none here; nor have derivatives a lot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from feedbus.errors import BadData
from feedbus.schema.events import Instrument
from feedbus.text import hinted, quoted
from feedbus.venues.boards import BONDS, USUAL_BOARD
from feedbus.venues.fields import DECODE_ERRORS, LARGEST, too_dear
from feedbus.venues.listings import Selection, pattern_problem
from feedbus.venues.moex.symbols import BOARD, DEFAULT_MARKET, MARKETS, symbol_problem
from feedbus.venues.moex.tables import VENUE, Cell, ReadCell, number
from feedbus.venues.problems import Problems
from feedbus.venues.protocol import Fetch

PAGE = 1000  # the most rows that the venue gives at once; it may give fewer
HISTORY_PAGE = 100  # the same of its history
MAX_PAGES = 200  # the most pages that are fetched of one board
MAX_ROWS = 5000  # of one page, from a server that ignores `limit`
MAX_INSTRUMENTS = 50_000
MAX_TEXT = 64

ISS_MARKETS = {
    "MXSE": "engines/stock/markets/shares",
    "MXCX": "engines/currency/markets/selt",
    "FORTS": "engines/futures/markets/forts",
    "OPTIONS": "engines/futures/markets/options",
    "INDICES": "engines/stock/markets/index",
}
"""Where ISS has the boards of a market of ISS+."""
ISS_BONDS = "engines/stock/markets/bonds"
PRICED_IN_MONEY = frozenset({ISS_MARKETS["MXSE"], ISS_MARKETS["MXCX"]})


class _Block(msgspec.Struct, gc=False):
    columns: list[str]
    data: list[list[Cell]]


class _ListingPage(msgspec.Struct, gc=False):
    securities: _Block
    marketdata: _Block | None = None


class _HistoryPage(msgspec.Struct, gc=False):
    history: _Block


_decode = msgspec.json.Decoder(_ListingPage).decode
_decode_history = msgspec.json.Decoder(_HistoryPage).decode


class _Asked(NamedTuple):
    """What a Fetch asks for: one page of a board, which is written as in symbols (`TQBR`, `FORTS.RFUD`)."""

    board: str
    start: int
    page: int
    is_history: bool

    @property
    def place(self) -> str:
        return f"ISS {self.board}{' history' if self.is_history else ''} from row {self.start}"


def iss_path(board: str) -> str | None:
    """Where ISS has a board, "" for a board that is none, None for one of a market that isn't known here."""
    market, dot, name = board.rpartition(".")
    if not BOARD.fullmatch(name) or name in MARKETS or (dot and market not in MARKETS) or market == DEFAULT_MARKET:
        return ""
    found = ISS_BONDS if not market and name in BONDS else ISS_MARKETS.get(market or DEFAULT_MARKET)
    return None if found is None else f"{found}/boards/{name}/securities.json"


def board_problem(board: str) -> str | None:
    """Why the instruments of this board can't be listed, or None."""
    if iss_path(board):
        return None
    if board in MARKETS:
        return "a market, not a board"
    if iss_path(board) is None:
        return f"ISS isn't asked for this market; it is for {', '.join(sorted(ISS_MARKETS))}"
    if iss_path(board.upper()):
        return hinted("a board is written in capitals", board.upper())
    return "not the code of a board, like TQBR"


def board_of(symbol: str) -> str:
    """The board of a symbol or of a pattern, with its market where that is written: "" where there is none."""
    parts = symbol.split(".")
    return ".".join(parts[: 2 if parts[0] in MARKETS and len(parts) > 2 else 1]) if len(parts) > 1 else ""


def pattern_of_symbols_problem(pattern: str) -> str | None:
    """Why the instruments that match this pattern can't be listed, or None: ISS is asked by board."""
    if (reason := pattern_problem(pattern)) is not None:
        return reason
    board = board_of(pattern)
    if not board:
        return hinted("a pattern begins with its board", f"{USUAL_BOARD}.{pattern}")
    if "*" in board or "?" in board:
        return "a pattern has its * and ? behind the board"
    reason = board_problem(board)
    return None if reason is None else f"its board {board}: {reason}"


def boards_of(selection: Selection) -> list[str]:
    """The boards that have to be asked for a selection."""
    return list(dict.fromkeys(selection.boards or map(board_of, selection.pattern)))


class MoexListing:
    """One conversation. See feedbus.venues.listings for the calls."""

    def __init__(self, boards: Sequence[str], *, turnover: bool = False, symbols: Sequence[str] = ()) -> None:
        """`turnover` says whether the turnover of the last day is wanted. With `symbols`, theirs are the boards that
        are asked, and it is no error when one of these lists nothing."""
        self._by_name = bool(symbols)
        paths = {board: iss_path(board) for board in (*boards, *map(board_of, symbols))}
        self._unlistable = [symbol for symbol in symbols if not paths[board_of(symbol)]]
        self._paths = {board: path for board, path in paths.items() if path}
        self._turnover = turnover
        self._turnovers: dict[str, float] = {}
        self._instruments: dict[str, dict[str, Instrument]] = {board: {} for board in self._paths}
        self._asked: dict[Fetch, _Asked] = {}
        self._seen: set[tuple[str, bool, str]] = set()  # board, is_history and SECID of every row that has come
        self._problems = Problems("ISS")

    def requests(self) -> list[Fetch]:
        """The first page of every board."""
        listed = [self._ask(_Asked(board, 0, 1, is_history=False)) for board in self._paths]
        return listed + [self._ask(_Asked(board, 0, 1, is_history=True)) for board in self._paths if self._turnover]

    def fetched(self, fetch: Fetch, status: int, body: bytes, ts_recv: int) -> list[Fetch]:
        """Takes one page in, and returns the request for the next one, if there is any. Raises BadData."""
        asked = self._asked.pop(fetch)
        page = _page(status, body, asked)
        block = page.history if isinstance(page, _HistoryPage) else page.securities
        if isinstance(page, _HistoryPage):
            fresh = self._take_turnovers(page.history, asked)
        else:
            fresh = self._take(page.securities, _statuses(page.marketdata, asked), asked, ts_recv)
        if not fresh:
            return []
        if asked.page == MAX_PAGES or len(self._seen) > 2 * MAX_INSTRUMENTS:
            raise BadData(asked.place, f"the list has no end: {len(self._seen)} rows on {asked.page} pages so far")
        return [self._ask(asked._replace(start=asked.start + len(block.data), page=asked.page + 1))]

    def instruments(self) -> list[Instrument]:
        """Every instrument, once. Raises BadData for a board without any."""
        empty = [board for board, found in self._instruments.items() if not found]
        if empty and not self._by_name:
            raise BadData(
                f"ISS {empty[0]}", f"no instruments that can be subscribed; is it a board of {self._paths[empty[0]]}?"
            )
        return [instrument for found in self._instruments.values() for instrument in found.values()]

    def turnovers(self) -> Mapping[str, float]:
        """The turnover of the last day that was traded, in the settlement currency."""
        return self._turnovers

    def unlistable(self) -> list[str]:
        """The symbols of markets that ISS isn't asked for."""
        return list(self._unlistable)

    def problems(self) -> list[str]:
        """Rows and cells that were passed over, and why."""
        return list(map(str, self._problems.errors()))

    def _ask(self, asked: _Asked) -> Fetch:
        path, blocks, limit = self._paths[asked.board], "securities,marketdata", PAGE
        if asked.is_history:
            path, blocks, limit = f"history/{path}", "history", HISTORY_PAGE
        fetch = Fetch(f"/iss/{path}?iss.meta=off&iss.only={blocks}&start={asked.start}&limit={limit}")
        self._asked[fetch] = asked
        return fetch

    def _rows(self, block: _Block, asked: _Asked) -> list[tuple[int, dict[str, Cell]]]:
        """The rows that hadn't come before, each with its number and the cells that are read. Raises BadData."""
        found = []
        for index, row in _cells(block, asked, ("SECID", "BOARDID")):
            key = (asked.board, asked.is_history, quoted(row["SECID"]))
            if key not in self._seen:
                self._seen.add(key)
                found.append((index, row))
        return found

    def _take(self, block: _Block, statuses: Mapping[str, Cell], asked: _Asked, ts_recv: int) -> bool:
        """Takes in the instruments of one page. Returns False when all of them had come before."""
        rows = self._rows(block, asked)
        for index, row in rows:
            self._add(row, statuses, asked, f"{asked.board} from row {asked.start} row {index}", ts_recv)
        return bool(rows)

    def _add(
        self, row: Mapping[str, Cell], statuses: Mapping[str, Cell], asked: _Asked, where: str, ts_recv: int
    ) -> None:
        """Takes in one row. A row that isn't an instrument is passed over, and a cell that can't be read becomes
        None."""
        secid = row["SECID"]
        symbol = f"{asked.board}.{secid[: MAX_TEXT + 1]}" if type(secid) is str else ""
        reason = symbol_problem(symbol) if symbol else "not text"
        board = asked.board.rpartition(".")[2]
        if row["BOARDID"] != board:
            reason = f"of another board, {quoted(row['BOARDID'])}"
        if reason is not None:
            self._problems.note(where, reason, secid)
            return
        cells: dict[str, Any] = {
            field: read(row.get(name), f"{where} {name}", self._problems) for name, (field, read) in _CELLS.items()
        }
        if self._paths[asked.board].partition("/boards/")[0] not in PRICED_IN_MONEY:
            cells["currency"] = None
        status = _text(statuses.get(str(secid)), f"{where} TRADINGSTATUS", self._problems)
        made = Instrument(VENUE, symbol, 0, ts_recv, board=board, status=status, **cells)
        self._instruments[asked.board][symbol] = made

    def _take_turnovers(self, block: _Block, asked: _Asked) -> bool:
        """Takes in a page of history. Returns False when all of it had come before."""
        rows = self._rows(block, asked)
        for index, row in rows:
            where = f"{asked.board} history from row {asked.start} row {index} VALUE"
            value = number(row.get("VALUE"), where, self._problems)
            if value is not None and 0 <= value < LARGEST and type(row["SECID"]) is str:
                self._turnovers[f"{asked.board}.{row['SECID']}"] = value
        return bool(rows)


def _cells(block: _Block, asked: _Asked, needed: Sequence[str]) -> list[tuple[int, dict[str, Cell]]]:
    """The cells of each row that are read, by the names of their columns. Raises BadData."""
    columns = {name: at for at, name in enumerate(block.columns) if name in _READ}
    for name in needed:
        if name not in columns:
            raise BadData(asked.place, f"column {name} is missing")
    rows = []
    for index, cells in enumerate(block.data):
        if len(cells) != len(block.columns):
            raise BadData(asked.place, f"row {index} has {len(cells)} cells for {len(block.columns)} columns")
        rows.append((index, {name: cells[at] for name, at in columns.items()}))
    return rows


def _statuses(block: _Block | None, asked: _Asked) -> dict[str, Cell]:
    """TRADINGSTATUS by SECID, as far as the page tells it. Raises BadData."""
    if block is None or not block.data:
        return {}
    rows = _cells(block, asked, ("SECID",))
    return {row["SECID"]: row.get("TRADINGSTATUS") for _, row in rows if type(row["SECID"]) is str}


def _page(status: int, body: bytes, asked: _Asked) -> _ListingPage | _HistoryPage:
    """Returns the tables in an answer. Raises BadData, which says what came in its place."""
    place = asked.place
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
        page: _ListingPage | _HistoryPage = _decode_history(body) if asked.is_history else _decode(body)
    except DECODE_ERRORS as error:
        raise BadData(place, str(error)) from None
    rows = len(page.history.data) if isinstance(page, _HistoryPage) else len(page.securities.data)
    if rows > MAX_ROWS:
        raise BadData(place, f"{rows} rows, more than {MAX_ROWS}")
    return page


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
}
_READ = frozenset({"SECID", "BOARDID", "TRADINGSTATUS", "VALUE", *_CELLS})
