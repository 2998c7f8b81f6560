"""The tables that MOEX ISS+ writes in the body of a MESSAGE, and how their cells are read. Pure.

    {"properties":{"type":"updates","seqnum":569811206658952028,"published":1719825533789,"timestamp":1719825533789},
    "columns":["TICKER","LAST"],
    "data":[["MXSE.TQBR.SBER",[327.95,2]]]}

`columns` may differ in every message and is read in every message. A `fixed` cell is [value, decimals], a missing one
is null. Times are milliseconds since the epoch, UTC. `seqnum` is a uint64 that jumps, so a hole in it doesn't mean that
a message was lost. Anything of another shape raises BadData. Source: https://moexalgo.github.io (docs/websocket), and
frames as recorded.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from feedbus.errors import BadData
from feedbus.text import quoted
from feedbus.venues.fields import DECODE_ERRORS, Milliseconds

VENUE = "moex"
MAX_ROWS = 2000  # a book has 20 rows, a table of securities one, a snapshot of candles 256
MAX_INT = 2**63


class Properties(msgspec.Struct, gc=False):
    """What a message says of itself: its type, its sequence number, and its time in milliseconds."""

    type: str
    seqnum: Annotated[int, Meta(ge=0)] = 0
    timestamp: Milliseconds = 0


class MoexTable(msgspec.Struct, gc=False):
    """A message in any columns."""

    properties: Properties
    columns: list[str]
    data: list[list[Any]]


class OutOfStep(BadData):
    """This message can't be applied to what we have, so the subscription has to be made anew."""


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


def size_of(cell: Any, place: str) -> float | None:
    """A number that isn't negative, or null. Raises BadData."""
    value = number(cell, place)
    if value is not None and value < 0:
        raise BadData(place, f"negative: {quoted(cell)}")
    return value


def count_of(cell: Any, place: str) -> int | None:
    """A whole number that isn't negative, or null. Raises BadData."""
    value = number(cell, place)
    if value is None:
        return None
    if not (0 <= value < MAX_INT and value.is_integer()):
        raise BadData(place, f"not a count: {quoted(cell)}")
    return int(value)


def word_of(cell: Any, place: str) -> str | None:
    """A short printable text, or null. Raises BadData."""
    if cell is None or (type(cell) is str and len(cell) <= 16 and cell.isprintable()):
        return cell
    raise BadData(place, f"not a short text: {quoted(cell)}")
