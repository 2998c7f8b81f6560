"""A slow decoder of MOEX order books that is plainly right: what the real one is compared with.

It takes a body apart with the standard library's json, numbers kept as they are written, and builds the book from that
by the words of feedbus.venues.moex.orderbook. It differs from a parser that looks only at what it needs in its time.
"""

from __future__ import annotations

import json
import re
from math import isfinite
from typing import Any

from feedbus.errors import BadData
from feedbus.schema.events import BookSnapshot
from feedbus.venues.fields import LARGEST
from feedbus.venues.moex.tables import MAX_ROWS
from feedbus.venues.sessions import OutOfStep

SYMBOL = "TQBR.SBER"
USUAL = ["BUYSELL", "PRICE", "QUANTITY", "REPOVALUE"]
NOT_UTF8 = "\U0010ffff"
"""Stands for bytes that are no text: harmless where nobody looks, refused where somebody does."""


class Refused(Exception):
    """The body is no book. `kind` is the error that says so."""

    def __init__(self, kind: type[BadData] = BadData) -> None:
        self.kind = kind


class Number(str):
    """A number of JSON as it is written."""

    __slots__ = ()

    @property
    def whole(self) -> bool:
        return not set(self) & set(".eE")

    @property
    def value(self) -> float:
        found = float(self)
        require(isfinite(found))
        return found


class Pairs(list[tuple[str, Any]]):
    """An object of JSON with all its keys, also those that are there twice."""


class Reference:
    """The book of a body, and whether it leans on a whole number that 64 bits can't hold: there, and only there, a
    decoder may refuse or read it as it likes."""

    def __init__(self, body: bytes) -> None:
        self.huge = False
        document = parsed(body)
        fields = known(document, {"properties": properties, "columns": texts, "data": rows})
        require(fields.keys() >= {"properties", "columns", "data"})
        about, columns, data = fields["properties"], fields["columns"], fields["data"]
        require(len(data) <= MAX_ROWS)
        require(all(len(row) == len(columns) for row in data))
        if about["type"] != "snapshot":
            raise Refused(OutOfStep)
        require(all(name in columns for name in USUAL[:3]))
        self.sides: dict[str, list[Any]] = {"B": [], "S": []}
        self.rows = [row[columns.index("BUYSELL")] for row in data]
        for row in data:
            side, price, size = (row[columns.index(name)] for name in USUAL[:3])
            require(type(side) is str and side in self.sides)
            level = self.number(price), self.number(size)
            if level[0] and level[1] and abs(level[0]) < LARGEST and 0 < level[1] < LARGEST:
                self.sides[side].append(level)
        self.seqnum, self.timestamp = about.get("seqnum", 0), about.get("timestamp", 0)
        require(self.seqnum < 2**64)

    def number(self, cell: Any) -> float | None:
        """[value, decimals] or a plain number, or null for none."""
        if type(cell) is list and len(cell) == 2 and type(cell[1]) is Number and cell[1].whole:
            cell = cell[0]
        if cell is None:
            return None
        require(type(cell) is Number)
        self.huge = self.huge or (cell.whole and abs(int(cell)) >= 2**63)
        return float(cell.value)

    def book(self, ts_recv: int) -> BookSnapshot:
        bids, asks = sorted(self.sides["B"], reverse=True), sorted(self.sides["S"])
        # Whole is a side of fewer than ten rows, each of which is a level.
        whole = [len(side) == self.rows.count(name) <= 9 for name, side in self.sides.items()]
        return BookSnapshot("moex", SYMBOL, self.timestamp * 1_000_000, ts_recv, bids, asks, self.seqnum, *whole)


def require(condition: bool) -> None:
    if not condition:
        raise Refused


def parsed(body: bytes) -> Any:
    """JSON and nothing else: no NaN, no half of a pair of surrogates; bytes that are no UTF-8 are marked."""

    def refuse(_: str) -> None:
        raise Refused

    text = re.sub("[\udc80-\udcff]", NOT_UTF8, body.decode(errors="surrogateescape"))
    try:
        document = json.loads(
            text, parse_int=Number, parse_float=Number, parse_constant=refuse, object_pairs_hook=Pairs
        )
    except ValueError:
        raise Refused from None
    require(not any("\ud800" <= char <= "\udfff" for text in all_texts(document) for char in text))
    return document


def all_texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [text for part in value for text in all_texts(part)] if isinstance(value, list | tuple) else []


def known(document: Any, readers: dict[str, Any]) -> dict[str, Any]:
    """The fields of an object that somebody looks at: each must be right wherever it is, and the last one counts."""
    require(type(document) is Pairs)
    return {name: readers[name](value) for name, value in document if name in readers}


def properties(value: Any) -> dict[str, Any]:
    def time(number: Any) -> int:
        require(count(number) < 2**63 // 1_000_000)
        return count(number)

    found = known(value, {"type": text, "seqnum": count, "timestamp": time})
    require("type" in found)
    return found


def count(value: Any) -> int:
    require(type(value) is Number and value.whole and int(value) >= 0)
    return int(value)


def text(value: Any) -> str:
    require(type(value) is str and NOT_UTF8 not in value)
    return str(value)


def texts(value: Any) -> list[str]:
    require(type(value) is list)
    return [text(part) for part in value]


def rows(value: Any) -> list[list[Any]]:
    """Every cell is looked at, also one of a column that nobody needs. What is in an object, or in a list within the
    list of a cell, is passed over; an object within the list of a cell is none of the venue's shapes."""
    require(type(value) is list and all(type(row) is list for row in value))
    cells = [cell for row in value for cell in row]
    parts = [part for cell in cells for part in (cell if type(cell) is list else [cell])]
    require(not any(type(part) is Pairs for cell in cells if type(cell) is list for part in cell))
    seen = [part for part in parts if not isinstance(part, list)]
    require(not any(NOT_UTF8 in part for part in seen if isinstance(part, str)))
    check_numbers(seen)
    return list(value)


def check_numbers(value: Any) -> None:
    if type(value) is Number and not value.whole:
        require(isfinite(value.value))
    elif isinstance(value, list | tuple):
        for part in value:
            check_numbers(part)
