"""The tables that MOEX ISS+ writes in the body of a MESSAGE, and how their cells are read. Pure.

    {"properties":{"type":"updates","seqnum":569811206658952028,"published":1719825533789,"timestamp":1719825533789},
    "columns":["TICKER","LAST"],
    "data":[["MXSE.TQBR.SBER",[327.95,2]]]}

`columns` may differ in every message and is read in every message. A `fixed` cell is [value, decimals], a missing one
is null. Times are milliseconds since the epoch, UTC. `seqnum` is a uint64 that jumps, so a hole in it doesn't mean that
a message was lost. Anything of another shape raises BadData; a single cell that can't be read becomes None, and is
noted among the message's Problems. Source: https://moexalgo.github.io (docs/websocket), and
frames as recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from feedbus.errors import BadData
from feedbus.venues.fields import DECODE_ERRORS, LARGEST, AnyArray, AnyObject, Milliseconds, Scalar
from feedbus.venues.problems import Problems

VENUE = "moex"
MAX_ROWS = 2000  # a book has 20 rows, a table of securities one, a snapshot of candles 256
MAX_CELLS = 16_384  # the widest table has 41 columns and one row, the longest 8 columns and 256 rows
MAX_INT = 2**63

Cell = Scalar | list[Scalar | AnyArray] | AnyObject
"""A cell: the venue writes scalars and lists of them. What is nested deeper isn't built, since that costs the most."""


class Properties(msgspec.Struct, gc=False):
    """What a message says of itself: its type, its sequence number, and its time in milliseconds."""

    type: str
    seqnum: Annotated[int, Meta(ge=0)] = 0
    timestamp: Milliseconds = 0


class MoexTable(msgspec.Struct, gc=False):
    """A message in any columns."""

    properties: Properties
    columns: list[str]
    data: list[list[Cell]]


ReadCell = Callable[[Cell, str, Problems], Any]
"""(cell, the name of its column, the message's Problems) -> its value, None for null and for what can't be read."""


_decode_table = msgspec.json.Decoder(MoexTable).decode


def read_table(body: bytes | bytearray, place: str) -> MoexTable:
    """Decodes a body with any columns. Raises BadData, also for a row that isn't as wide as the columns."""
    try:
        table = _decode_table(body)
    except DECODE_ERRORS as error:
        raise BadData(place, str(error)) from None
    if len(table.data) > MAX_ROWS:
        raise BadData(place, f"{len(table.data)} rows, more than {MAX_ROWS}")
    width = len(table.columns)
    if len(table.data) * width > MAX_CELLS:
        raise BadData(place, f"{len(table.data)} rows of {width} columns, more than {MAX_CELLS} cells")
    for index, row in enumerate(table.data):
        if len(row) != width:
            raise BadData(place, f"row {index} has {len(row)} cells for {width} columns")
    return table


def column(table: MoexTable, name: str, place: str) -> int:
    """Returns the index of a column in this message. Raises BadData when it isn't there."""
    try:
        return table.columns.index(name)
    except ValueError:
        raise BadData(place, f"column {name} is missing") from None


def number(cell: Cell, name: str, problems: Problems) -> float | None:
    """A `fixed` [value, decimals], a plain number, or null. Anything else is a problem, and None."""
    value = cell[0] if type(cell) is list and len(cell) == 2 and type(cell[1]) is int else cell
    if value is None:
        return None
    if type(value) is float:
        return value
    if type(value) is int and abs(value) < MAX_INT:
        return float(value)
    problems.note(name, "not a number", cell)
    return None


def price_of(cell: Cell, name: str, problems: Problems) -> float | None:
    """A price, or null."""
    if type(cell) is list and len(cell) == 2 and type(cell[1]) is int:  # as nearly all are, and without a further call
        price = cell[0]
        if type(price) is float and 0 < price < LARGEST:
            return price
    value = number(cell, name, problems)
    return value if value is None or 0 < value < LARGEST else problems.price(value, name)


def size_of(cell: Cell, name: str, problems: Problems) -> float | None:
    """A size, a volume or a turnover, or null."""
    value = number(cell, name, problems)
    return value if value is None or 0 <= value < LARGEST else problems.amount(value, name)


def count_of(cell: Cell, name: str, problems: Problems) -> int | None:
    """A whole number that isn't negative, or null."""
    value = number(cell, name, problems)
    if value is None:
        return None
    if not (0 <= value < MAX_INT and value.is_integer()):
        problems.note(name, "not a count", cell)
        return None
    return int(value)


def word_of(cell: Cell, name: str, problems: Problems) -> str | None:
    """A short printable text, or null."""
    if cell is None or (type(cell) is str and len(cell) <= 16 and cell.isprintable()):
        return cell
    problems.note(name, "not a short text", cell)
    return None
