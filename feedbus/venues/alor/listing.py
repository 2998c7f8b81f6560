"""What ALOR lists on a board or of an exchange, over its REST interface, page by page. Pure.

    GET /md/v2/Securities?format=Heavy&limit=1000&offset=0&exchange=MOEX&instrumentGroup=TQBR&includeNonBaseBoards=true

    [{"symbol":"SBER","exchange":"MOEX","board":"TQBR","primaryBoard":"TQBR","lotSize":1,"minStep":0.01,"roundTo":2,…},…]

This resource alone can be asked without an access token, so none is sent; its data is 15 minutes old then, which does a
list no harm, but for the trading status, which is therefore left out. The format is Heavy, since no other says the
decimals. Without `instrumentGroup` each instrument is listed on its primary board.

The venue sorts by the day's turnover, so that instruments change places while we turn the pages. Each page therefore
begins a tenth of a page before the end of the last one; one that moves farther than that just then is missing in this
list. Pages are asked for until one is empty or brings nothing new, because a server may give fewer rows than `limit`,
or ignore `offset`. Where codes are searched for and one isn't found, those that begin alike are searched for too, so
that the nearest can be named.

The venue doesn't say the turnover, but its order does. The currency is that of prices, so it is left out where the
kind of an instrument (`cfiCode`) isn't one that is priced in money: bonds are priced in per cent, derivatives in
points. Source: ALOR's OpenAPI specification (WarpOpenAPIv2.yml), and ISO 10962 for the kinds.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, MutableMapping, Sequence
from typing import NamedTuple
from urllib.parse import urlencode

import msgspec
from msgspec import field

from feedbus.errors import BadData
from feedbus.schema.events import Instrument
from feedbus.text import hinted
from feedbus.venues.alor.payloads import VENUE
from feedbus.venues.alor.symbols import BOARD, parse_symbol, symbol_problem
from feedbus.venues.fields import DECODE_ERRORS, LARGEST, Scalar, too_dear
from feedbus.venues.listings import Selection, pattern_problem
from feedbus.venues.problems import Problems
from feedbus.venues.protocol import Fetch

PAGE = 1000
MAX_PAGES = 200  # the most pages that are fetched for one question
MAX_ROWS = 20_000  # of one page, from a server that ignores `limit`
MAX_INSTRUMENTS = 100_000
MAX_TEXT = 128
MAX_SEARCHES = 50
"""Up to so many codes are searched for one by one; for more of them the whole exchange is listed."""

THE_LIST = "the list of"
SPBX = "SPBX"  # this exchange, and its only board
ALIKE = 3
"""Letters that codes have in common with one that isn't found, when they are searched for in its place."""
PRICED_IN_MONEY = ("E", "C", "MRC")
"""What the kinds begin with whose prices are in a currency: shares, funds, and pairs of currencies."""


class _Row(msgspec.Struct, gc=False):
    code: Scalar = field(name="symbol", default=None)
    exchange: Scalar = None
    board: Scalar = None
    primary: Scalar = field(name="primaryBoard", default=None)
    isin: Scalar = field(name="ISIN", default=None)
    lot: Scalar = field(name="lotSize", default=None)
    tick_size: Scalar = field(name="minStep", default=None)
    decimals: Scalar = field(name="roundTo", default=None)
    currency: Scalar = None
    type: Scalar = None
    kind: Scalar = field(name="cfiCode", default=None)


_decode_page = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_row = msgspec.json.Decoder(_Row).decode


class _Question(NamedTuple):
    """What is asked: of an exchange, a board of it ("" for the primary boards), and what codes hold ("" for all)."""

    exchange: str
    board: str
    search: str

    def __str__(self) -> str:
        return " ".join(filter(None, (self.exchange, self.board, self.search)))


class _Page(NamedTuple):
    question: _Question
    offset: int
    number: int

    @property
    def place(self) -> str:
        return f"{THE_LIST} {self.question} from row {self.offset}"


def board_problem(board: str) -> str | None:
    """Why the instruments of this board can't be listed, or None."""
    if BOARD.fullmatch(board):
        return None
    if BOARD.fullmatch(board.upper()):
        return hinted("a board is written in capitals", board.upper())
    return "not the code of a board, like TQBR"


def pattern_of_codes_problem(pattern: str) -> str | None:
    """Why the instruments that match this pattern can't be listed, or None."""
    if (reason := pattern_problem(pattern)) is not None:
        return reason
    parts = pattern.split(":")
    if len(parts) > 3:
        return "not CODE, EXCHANGE:CODE or EXCHANGE:CODE:BOARD, like MOEX:S*:TQBR"
    board = parts[2] if len(parts) == 3 else ""
    if "*" in board or "?" in board:
        return "a pattern has no * or ? in its board"
    if board and (reason := board_problem(board)) is not None:
        return f"its board {board}: {reason}"
    return None


def boards_of(selection: Selection) -> list[str]:
    """The boards that have to be asked for a selection: its own, or those of its patterns. "" is the list of primary
    boards, on which symbols are written without one."""
    named = [pattern.split(":")[2] if pattern.count(":") == 2 else "" for pattern in selection.pattern]
    return list(dict.fromkeys(selection.boards or named or [""]))


def selection_problem(selection: Selection) -> str | None:
    """Why this can't be listed, or None."""
    if selection.top is not None and len(boards_of(selection)) > 1:
        return f"on {VENUE} top is of one board alone, or of all without boards: the venue doesn't say the turnover"
    return None


class AlorInstrumentList:
    """One question about what the venue lists: on boards, or where `symbols` are. See feedbus.venues.listings for the
    calls.

    The board "" is the list of primary boards. `exchange` is that list's, and that of symbols that name none. What is
    learnt of an instrument is also kept in `known`, by symbol.
    """

    def __init__(
        self,
        boards: Sequence[str],
        exchange: str,
        *,
        symbols: Sequence[str] = (),
        known: MutableMapping[str, Instrument] | None = None,
    ) -> None:
        self._exchange = exchange
        self._wanted: dict[tuple[str, str, str], list[str]] = {}  # the symbols by exchange, code, and board or ""
        for symbol in dict.fromkeys(symbols):
            named = parse_symbol(symbol, exchange)
            self._wanted.setdefault((named.exchange, named.code, named.board or ""), []).append(symbol)
        self._questions = tuple(dict.fromkeys((*(_of_board(board, exchange) for board in boards), *self._of_symbols())))
        self._known = {} if known is None else known
        self._found: dict[_Question, dict[str, Instrument]] = {question: {} for question in self._questions}
        self._asked: dict[Fetch, _Page] = {}
        self._seen: set[tuple[_Question, Hashable]] = set()  # every row that has come
        self._elsewhere = 0
        self._problems = Problems(THE_LIST)

    def requests(self) -> list[Fetch]:
        """The first page of every question."""
        return [self._ask(_Page(question, 0, 1)) for question in self._questions]

    def fetched(self, fetch: Fetch, status: int, body: bytes, ts_recv: int) -> list[Fetch]:
        """Takes one page in, and returns the request for the next one, if there is any. Raises BadData."""
        page = self._asked.pop(fetch)
        rows = _rows(status, body, page.place)
        fresh = [self._take(row, page, index, ts_recv) for index, row in enumerate(rows)]
        if self._has_answer(page.question):
            return []
        if not any(fresh):
            return self._look_around(page.question)
        if page.number == MAX_PAGES or len(self._seen) > MAX_INSTRUMENTS:
            raise BadData(page.place, f"the list has no end: {len(self._seen)} rows on {page.number} pages so far")
        step = max(1, len(rows) - len(rows) // 10)
        return [self._ask(_Page(page.question, page.offset + step, page.number + 1))]

    def instruments(self) -> list[Instrument]:
        """Every instrument, once. Raises BadData for a board without any."""
        if not self._wanted:
            for question, found in self._found.items():
                if not found:
                    raise BadData(
                        f"{THE_LIST} {question}", "no instruments that can be subscribed; is there such a board?"
                    )
        every = {symbol: each for found in self._found.values() for symbol, each in found.items()}
        return list(every.values())

    def turnovers(self) -> dict[str, float]:
        """The venue sorts by turnover, but doesn't say it: this is the number of instruments with less of it."""
        listed = [symbol for found in self._found.values() for symbol in found]
        return {symbol: float(len(listed) - place) for place, symbol in enumerate(listed, 1)}

    def unlistable(self) -> list[str]:
        """None: every symbol can be asked for."""
        return []

    def problems(self) -> list[str]:
        """What was passed over, and why."""
        elsewhere = [f"{self._elsewhere} rows are of other boards or exchanges"] if self._elsewhere else []
        return [*map(str, self._problems.errors()), *elsewhere]

    def _of_symbols(self) -> Iterable[_Question]:
        few = len(self._wanted) <= MAX_SEARCHES
        return (_Question(exchange, board, code if few else "") for exchange, code, board in self._wanted)

    def _has_answer(self, question: _Question) -> bool:
        """Whether what was searched for has been found, so that there is no need for further pages."""
        names = self._wanted.get((question.exchange, question.search, question.board), ())
        return any(name in self._found[question] for name in names)

    def _look_around(self, question: _Question) -> list[Fetch]:
        """What was searched for isn't there: search for codes that begin alike."""
        around = question._replace(search=question.search[:ALIKE])
        if not question.search or around in self._found:
            return []
        self._found[around] = {}
        return [self._ask(_Page(around, 0, 1))]

    def _ask(self, page: _Page) -> Fetch:
        query: dict[str, str | int] = {"format": "Heavy", "limit": PAGE, "offset": page.offset}
        query["exchange"] = page.question.exchange
        if page.question.search:
            query["query"] = page.question.search
        if page.question.board:
            query |= {"instrumentGroup": page.question.board, "includeNonBaseBoards": "true"}
        fetch = Fetch(f"/md/v2/Securities?{urlencode(query)}", weight=1)
        self._asked[fetch] = page
        return fetch

    def _take(self, raw: msgspec.Raw, page: _Page, index: int, ts_recv: int) -> bool:
        """Takes one row in. Returns False when it had come before."""
        question, where = page.question, f"{page.question} row {page.offset + index}"
        try:
            row, reason = _decode_row(raw), "its symbol isn't text"
        except DECODE_ERRORS as error:
            row, reason = None, str(error)
        key = bytes(raw)[:MAX_TEXT] if row is None else (row.exchange, row.code, row.board)
        if (question, key) in self._seen:
            return False
        self._seen.add((question, key))
        if row is None or not isinstance(row.code, str):
            self._problems.note(where, reason)
        elif row.exchange != question.exchange or row.board != (question.board or row.primary):
            self._elsewhere += 1
        else:
            self._add(row, question, where, ts_recv)
        return True

    def _add(self, row: _Row, question: _Question, where: str, ts_recv: int) -> None:
        """Adds an instrument under each of its names. A row that can't be subscribed is passed over, and a cell that
        can't be read becomes None."""
        names = self._names(question, str(row.code)[: MAX_TEXT + 1])
        reason = symbol_problem(names[0])
        if reason is not None:
            self._problems.note(where, reason, row.code)
            return
        instrument = Instrument(
            VENUE,
            "",
            0,
            ts_recv,
            isin=self._text(row.isin, f"{where} ISIN"),
            lot=self._positive(row.lot, f"{where} lotSize"),
            tick_size=self._positive(row.tick_size, f"{where} minStep"),
            decimals=self._decimals(row.decimals, f"{where} roundTo"),
            currency=self._currency(row, f"{where} currency"),
            board=self._text(row.board, f"{where} board"),
            type=self._text(row.type, f"{where} type"),
            status=None,
        )
        for name in names:
            self._found[question][name] = self._known[name] = msgspec.structs.replace(instrument, symbol=name)

    def _names(self, question: _Question, code: str) -> list[str]:
        """The symbols of an instrument: those that were asked for, else the one that its list calls it by."""
        exchange, board = question.exchange, question.board
        names = list(self._wanted.get((exchange, code, board), ()))
        if names:
            return names
        if exchange == SPBX:
            return [f"{SPBX}:{code}"]
        if board:
            return [f"{exchange}:{code}:{board}"]
        return [code if exchange == self._exchange else f"{exchange}:{code}"]

    def _currency(self, row: _Row, where: str) -> str | None:
        """The currency of prices."""
        listed = self._text(row.currency, where)
        return listed if isinstance(row.kind, str) and row.kind.startswith(PRICED_IN_MONEY) else None

    def _positive(self, cell: Scalar, where: str) -> float | None:
        if cell is None:
            return None
        if isinstance(cell, int | float) and not isinstance(cell, bool) and 0 < cell < LARGEST:
            return float(cell)
        self._problems.note(where, "not above zero, or absurd", cell)
        return None

    def _decimals(self, cell: Scalar, where: str) -> int | None:
        if cell is None or (type(cell) is int and 0 <= cell <= 18):
            return cell if cell is None else int(cell)
        self._problems.note(where, "not a number of decimals", cell)
        return None

    def _text(self, cell: Scalar, where: str) -> str | None:
        if cell is None or cell == "":
            return None
        if isinstance(cell, str) and len(cell) <= MAX_TEXT and cell.isprintable():
            return cell
        self._problems.note(where, "not a short text", cell)
        return None


def _of_board(board: str, exchange: str) -> _Question:
    if not board:
        return _Question(exchange, "", "")
    return _Question(SPBX if board == SPBX else "MOEX", board, "")


def _rows(status: int, body: bytes, place: str) -> list[msgspec.Raw]:
    """Returns the rows of an answer. Raises BadData, which says what came in its place."""
    if status != 200:
        raise BadData(place, f"HTTP {status}")
    if reason := too_dear(body):
        raise BadData(place, reason)
    try:
        rows = _decode_page(body)
    except DECODE_ERRORS as error:
        raise BadData(place, str(error)) from None
    if len(rows) > MAX_ROWS:
        raise BadData(place, f"{len(rows)} rows, more than {MAX_ROWS}")
    return rows
