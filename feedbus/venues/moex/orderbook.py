"""MOEX order books: the messages of one subscription to `orderbooks`. Pure.

    {"properties":{"type":"snapshot","seqnum":569811206658952028,"published":1719825533789,"timestamp":1719825533789},
    "columns":["BUYSELL","PRICE","QUANTITY","REPOVALUE"],
    "data":[["B",[327.95,2],1044,null],["S",[328.05,2],1947,null]]}

Every message is the full book, of at most LEVELS levels a side: a side that has fewer is whole. Nearly all messages
have these columns and sound numbers, and are decoded straight into structs. All others take the slow path, which looks
each column up. There a row without a price or a size, such as one for market orders at an auction, is left out and
counted, because it is no level of the book.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from feedbus.errors import BadData
from feedbus.schema.events import BookSnapshot, Level
from feedbus.text import quoted
from feedbus.venues.fields import DECODE_ERRORS, Price, Size
from feedbus.venues.moex.symbols import MARKETS
from feedbus.venues.moex.tables import (
    MAX_INT,
    MAX_ROWS,
    VENUE,
    Properties,
    column,
    number,
    read_table,
)
from feedbus.venues.problems import Problems, not_whole
from feedbus.venues.sessions import OutOfStep

LEVELS = 10
"""How many levels a side the market MXSE shows at most. How many other markets show isn't known."""

COLUMNS = ("BUYSELL", "PRICE", "QUANTITY", "REPOVALUE")


class _SnapshotProperties(Properties, gc=False):
    type: Literal["snapshot"]


class _FixedCell(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    value: Price
    decimals: int


class _RepoCell(msgspec.Struct, array_like=True, gc=False):
    """REPOVALUE as a `fixed`. Nothing in it is read."""


class _BookRow(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """A row of a book. A struct is decoded faster than a tuple, and a Literal doesn't allocate a string."""

    side: Literal["B", "S"]
    price: _FixedCell
    size: Size
    repo_value: _RepoCell | float | None


class _UsualBook(msgspec.Struct, gc=False):
    properties: _SnapshotProperties
    columns: tuple[Literal["BUYSELL"], Literal["PRICE"], Literal["QUANTITY"], Literal["REPOVALUE"]]
    data: list[_BookRow]


_decode_book = msgspec.json.Decoder(_UsualBook).decode


class Orderbook:
    """Decodes the messages of one subscription to `orderbooks`: each is the full book.

    Rows come bids first, each side ascending; they are sorted all the same.
    """

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.place = f"orderbooks {symbol}"
        self._whole_below = 0 if symbol.split(".", 1)[0] in MARKETS else LEVELS
        self.problems: Sequence[BadData] = ()  # of the last message
        self.last_seqnum = -1
        self.seqnum_regressions = 0
        self.values_left_out = self.levels_left_out = 0

    def decode(self, body: bytes | bytearray, ts_recv: int) -> BookSnapshot:
        """Returns the book. Raises BadData, and OutOfStep for a type other than `snapshot`, since the rows of a book
        have no key by which they could be merged."""
        self.problems = ()
        try:
            message = _decode_book(body)
        except DECODE_ERRORS:
            return self._decode_other_columns(body, ts_recv)
        bids: list[Level] = []
        asks: list[Level] = []
        for row in message.data:
            if row.side == "B":
                bids.append((row.price.value, row.size))
            else:
                asks.append((row.price.value, row.size))
        return self._book(message.properties, bids, asks, ts_recv)

    def _decode_other_columns(self, body: bytes | bytearray, ts_recv: int) -> BookSnapshot:
        table = read_table(body, self.place)
        if table.properties.type != "snapshot":
            raise OutOfStep(self.place, f"type {quoted(table.properties.type)}, where every book is a snapshot")
        side_at, price_at, size_at = (column(table, name, self.place) for name in COLUMNS[:3])
        sides: dict[str, list[Level]] = {"B": [], "S": []}
        thinned: set[str] = set()
        unreadable, problems = Problems(self.place), Problems(self.place, below_zero=True)
        for index, row in enumerate(table.data):
            where = f"row {index}"
            price = number(row[price_at], f"{where} PRICE", unreadable)
            size = number(row[size_at], f"{where} QUANTITY", unreadable)
            if unreadable:  # the venue's rows may be of another shape now, and a book in part would be wrong
                raise unreadable.errors()[0]
            side = row[side_at]
            if type(side) is not str or side not in sides:
                raise BadData(f"{self.place} {where}", f"BUYSELL is neither B nor S: {quoted(side)}")
            if price is not None and size is not None and problems.level(price, size, where):
                sides[side].append((price, size))
            else:
                thinned.add("bids" if side == "B" else "asks")
        book = self._book(table.properties, sides["B"], sides["S"], ts_recv)
        self.problems = problems.errors()
        self.levels_left_out += len(table.data) - len(book.bids) - len(book.asks)
        return not_whole(book, thinned)

    def _book(self, properties: Properties, bids: list[Level], asks: list[Level], ts_recv: int) -> BookSnapshot:
        seqnum = properties.seqnum
        if seqnum >= MAX_INT * 2 or len(bids) + len(asks) > MAX_ROWS:
            raise BadData(self.place, "seqnum beyond 64 bits" if seqnum >= MAX_INT * 2 else f"over {MAX_ROWS} rows")
        if seqnum < self.last_seqnum:
            self.seqnum_regressions += 1
        self.last_seqnum = seqnum
        bids.sort(reverse=True)
        asks.sort()
        time = properties.timestamp * 1_000_000
        below = self._whole_below
        return BookSnapshot(VENUE, self.symbol, time, ts_recv, bids, asks, seqnum, len(bids) < below, len(asks) < below)
