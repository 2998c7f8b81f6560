"""What MOEX ISS+ writes in the body of a MESSAGE, and how it becomes an event. Pure.

    {"properties":{"type":"snapshot","seqnum":569811206658952028,"published":1719825533789,"timestamp":1719825533789},
    "columns":["BUYSELL","PRICE","QUANTITY","REPOVALUE"],
    "data":[["B",[327.95,2],1044,null],["S",[328.05,2],1947,null]]}

`columns` may differ in every message and is read in every message. A `fixed` cell is [value, decimals], a missing
one null. Times are milliseconds since the epoch, UTC. `seqnum` is a uint64 that jumps: a hole in it is no loss.
Anything of another shape raises BadData, and leaves what was merged before as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from feedbus.errors import BadData
from feedbus.schema.events import BookSnapshot, Level, Ticker
from feedbus.text import quoted

VENUE = "moex"
MAX_ROWS = 2000  # a book has 20 rows, a table of securities one
MAX_INT = 2**63

BOOK_COLUMNS = ["BUYSELL", "PRICE", "QUANTITY", "REPOVALUE"]

_Size = Annotated[float, Meta(ge=0)]
_Time = Annotated[int, Meta(ge=0, lt=MAX_INT // 1_000_000)]  # so that its nanoseconds fit 64 bits


class _Properties(msgspec.Struct, gc=False):
    type: str
    seqnum: Annotated[int, Meta(ge=0)] = 0
    timestamp: _Time = 0


class _SnapshotProperties(_Properties, gc=False):
    type: Literal["snapshot"]


class _Price(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """A `fixed` cell: [value, decimals]."""

    value: float
    decimals: int


class _Row(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """A row of a book. Structs are decoded faster than tuples are, and a Literal makes no new text."""

    side: Literal["B", "S"]
    price: _Price
    size: _Size
    repo_value: Any


class _Book(msgspec.Struct, gc=False):
    """A book in the usual columns: what nearly every message is."""

    properties: _SnapshotProperties
    columns: tuple[Literal["BUYSELL"], Literal["PRICE"], Literal["QUANTITY"], Literal["REPOVALUE"]]
    data: list[_Row]


class MoexTable(msgspec.Struct, gc=False):
    """Any table."""

    properties: _Properties
    columns: list[str]
    data: list[list[Any]]


_decode_book = msgspec.json.Decoder(_Book).decode
_decode_table = msgspec.json.Decoder(MoexTable).decode


def number(cell: Any, place: str) -> float | None:
    """A `fixed` [value, decimals], a plain number, or null. Raises BadData for anything else."""
    value = cell[0] if type(cell) is list and len(cell) == 2 and type(cell[1]) is int else cell
    if value is None:
        return None
    if type(value) is float:
        return value
    if type(value) is int and abs(value) < MAX_INT:
        return float(value)
    raise BadData(place, f"not a number: {quoted(cell)}")


def _count(cell: Any, place: str) -> int | None:
    value = number(cell, place)
    if value is None:
        return None
    if not (0 <= value < MAX_INT and value.is_integer()):
        raise BadData(place, f"not a count: {quoted(cell)}")
    return int(value)


def size_of(cell: Any, place: str) -> float | None:
    """A number that isn't negative, or null. Raises BadData."""
    value = number(cell, place)
    if value is not None and value < 0:
        raise BadData(place, f"negative: {quoted(cell)}")
    return value


def _word(cell: Any, place: str) -> str | None:
    if cell is None or (type(cell) is str and len(cell) <= 16 and cell.isprintable()):
        return cell
    raise BadData(place, f"not a short text: {quoted(cell)}")


def read_table(body: bytes | bytearray, place: str) -> MoexTable:
    """A body in any columns, each row as wide as they are. Raises BadData."""
    try:
        table = _decode_table(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadData(place, str(error)) from None
    if len(table.data) > MAX_ROWS:
        raise BadData(place, f"{len(table.data)} rows, more than {MAX_ROWS}")
    width = len(table.columns)
    for index, row in enumerate(table.data):
        if len(row) != width:
            raise BadData(place, f"row {index} has {len(row)} cells for {width} columns")
    return table


def column(table: MoexTable, name: str, place: str) -> int:
    """Where a column is in this message. Raises BadData when it isn't."""
    try:
        return table.columns.index(name)
    except ValueError:
        raise BadData(place, f"column {name} is missing") from None


class OutOfStep(BadData):
    """What we hold can't be brought up to date by this message: the stream has to be subscribed again."""


class Orderbook:
    """Decodes the messages of one subscription to `orderbooks`: each is the full book.

    Rows come bids first, each side ascending; they are sorted all the same.
    """

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.place = f"orderbooks {symbol}"
        self.problems: Sequence[BadData] = ()  # a book is taken whole or not at all
        self.last_seqnum = -1
        self.seqnum_regressions = 0

    def decode(self, body: bytes | bytearray, ts_recv: int) -> BookSnapshot:
        """The book. Raises BadData; OutOfStep for a type other than `snapshot`: a book has no key to merge by."""
        try:
            message = _decode_book(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._decode_other_columns(body, ts_recv)
        bids: list[Level] = []
        asks: list[Level] = []
        for row in message.data:
            (bids if row.side == "B" else asks).append((row.price.value, row.size))
        return self._book(message.properties, bids, asks, ts_recv)

    def _decode_other_columns(self, body: bytes | bytearray, ts_recv: int) -> BookSnapshot:
        table = read_table(body, self.place)
        if table.properties.type != "snapshot":
            raise OutOfStep(self.place, f"type {quoted(table.properties.type)}, where every book is a snapshot")
        side_at, price_at, size_at = (column(table, name, self.place) for name in BOOK_COLUMNS[:3])
        sides: dict[Any, list[Level]] = {"B": [], "S": []}
        for index, row in enumerate(table.data):
            place = f"{self.place} row {index}"
            price, size = number(row[price_at], f"{place} PRICE"), size_of(row[size_at], f"{place} QUANTITY")
            if price is None or size is None:
                raise BadData(place, "PRICE or QUANTITY is null")
            if row[side_at] not in ("B", "S"):
                raise BadData(place, f"BUYSELL is neither B nor S: {quoted(row[side_at])}")
            sides[row[side_at]].append((price, size))
        return self._book(table.properties, sides["B"], sides["S"], ts_recv)

    def _book(self, properties: _Properties, bids: list[Level], asks: list[Level], ts_recv: int) -> BookSnapshot:
        seqnum = properties.seqnum
        if seqnum >= MAX_INT * 2 or len(bids) + len(asks) > MAX_ROWS:
            raise BadData(self.place, "seqnum beyond 64 bits" if seqnum >= MAX_INT * 2 else f"over {MAX_ROWS} rows")
        if seqnum < self.last_seqnum:
            self.seqnum_regressions += 1
        self.last_seqnum = seqnum
        bids.sort(reverse=True)
        asks.sort()
        return BookSnapshot(VENUE, self.symbol, properties.timestamp * 1_000_000, ts_recv, bids, asks, seqnum)


_TICKER_CELLS = {
    "BID": ("bid", number),
    "OFFER": ("ask", number),
    "LAST": ("last", number),
    "HIGH": ("high", number),
    "LOW": ("low", number),
    "PREVPRICE": ("previous_close", number),
    "VOLTODAY": ("volume", size_of),
    "VALTODAY": ("turnover", size_of),
    "NUMTRADES": ("trades", _count),
    "TRADINGSTATUS": ("status", _word),
}


class Securities:
    """Decodes and merges the messages of one subscription to `securities`: one row, known by its TICKER.

    A snapshot replaces the row (one without rows empties it), updates change the cells that they name or bring the
    row, a removal empties it. Changes come once: a message that can't be read at all is OutOfStep, and a cell that
    can't be read becomes None, with a BadData in `problems`, rather than keep a value that is no longer true.
    """

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.place = f"securities {symbol}"
        self.problems: Sequence[BadData] = ()  # of the last message
        self.last_seqnum = -1
        self.seqnum_regressions = 0
        self._begun = False
        self._key: str | None = None
        self._row: dict[str, Any] = {}

    def decode(self, body: bytes | bytearray, ts_recv: int) -> Ticker | None:
        """The merged row after this message, or None when it changed none. Raises OutOfStep."""
        self.problems = ()
        try:
            return self._decode(body, ts_recv)
        except BadData as error:
            raise OutOfStep(error.place, error.reason) from None

    def _decode(self, body: bytes | bytearray, ts_recv: int) -> Ticker | None:
        table = read_table(body, self.place)
        kind = table.properties.type
        if kind not in ("snapshot", "updates", "removal"):
            raise BadData(self.place, f"unknown type {quoted(kind)}")
        if kind != "snapshot" and not self._begun:
            raise BadData(self.place, f"{kind} before a snapshot")
        changed = self._merge(kind, *self._read_rows(table))
        self._note_seqnum(table.properties.seqnum)
        if not changed:
            return None
        return Ticker(VENUE, self.symbol, table.properties.timestamp * 1_000_000, ts_recv, **self._row)

    def _merge(self, kind: str, key: str | None, cells: dict[str, Any]) -> bool:
        """Take one message into the row; False when it says nothing of a row."""
        if kind != "snapshot" and None not in (key, self._key) and key != self._key:
            raise BadData(self.place, f"a row of another TICKER: {quoted(key)}")
        held = self._key is not None
        self._begun = True
        if kind == "snapshot":
            self._key, self._row = key, cells
            return held or key is not None
        if key is None or (kind == "removal" and not held):
            return False
        if kind == "updates":
            self._key = key
            self._row.update(cells)
        else:
            self._key, self._row = None, {}
        return True

    def _read_rows(self, table: MoexTable) -> tuple[str | None, dict[str, Any]]:
        """The TICKER of the rows and their known cells; later rows win."""
        key_at = column(table, "TICKER", self.place)
        key: str | None = None
        cells: dict[str, Any] = {}
        for row in table.data:
            if type(row[key_at]) is not str or (key is not None and row[key_at] != key):
                raise BadData(self.place, "TICKER is not the same text in every row")
            key = row[key_at]
            for name, cell in zip(table.columns, row, strict=True):
                if (known := _TICKER_CELLS.get(name)) is not None:
                    cells[known[0]] = self._cell(known[1], cell, f"{self.place} {name}")
        return key, cells

    def _cell(self, read: Callable[[Any, str], Any], cell: Any, place: str) -> Any:
        try:
            return read(cell, place)
        except BadData as error:
            self.problems = (*self.problems, error)
            return None

    def _note_seqnum(self, seqnum: int) -> None:
        if seqnum < self.last_seqnum:
            self.seqnum_regressions += 1
        self.last_seqnum = seqnum
