"""What of one message can't be used: the first few things are told in words, and the rest is counted. Pure.

A message may be large and hold nothing that can be used. What is said about it must not cost more than reading it, so
no text is made for anything beyond the first few.

Prices and sizes outside the bounds of fields.py are left out here too: a value becomes None, a level of a book goes.
Prices below 0 are sound where a venue has derivatives. 0 is what venues write where there is no price, so it is left
out and counted without a word, as a missing one is. What was left out of a side of a book may be a level all the same,
so that side isn't whole.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from feedbus.errors import BadData
from feedbus.schema.events import BookSnapshot
from feedbus.text import quoted
from feedbus.venues.fields import LARGEST

MAX_PROBLEMS = 8
"""How many errors are told of one message, the one that counts the rest included."""

PRICES = frozenset({"bid", "ask", "last", "open", "high", "low", "close", "previous_close"})
AMOUNTS = frozenset({"bid_size", "ask_size", "volume", "turnover", "buy_volume"})
SIDES = frozenset({"bids", "asks"})


class Problems:
    """The problems of one message, or of one list that comes in several. `place` says which: a channel and symbol.
    `below_zero` says whether the venue has instruments whose price may be below 0.

    It is true when there is any problem. `values` and `levels` count what was left out, and `thinned` are the sides of
    a book that `clean` left levels out of.
    """

    __slots__ = ("_first", "_least", "count", "levels", "place", "thinned", "values")

    def __init__(self, place: str, *, below_zero: bool = False) -> None:
        self.place = place
        self.count = 0
        self.values = 0
        self.levels = 0
        self.thinned: list[str] = []
        self._least = -LARGEST if below_zero else 0.0
        self._first: list[BadData] = []

    def __bool__(self) -> bool:
        return self.count > 0

    def note(self, where: str, what: str, *value: object) -> None:
        """Note one problem: where in the message it is ("" for no place in particular), what is wrong, and with which
        value."""
        self.count += 1
        if self.count <= MAX_PROBLEMS:
            reason = f"{what}: {quoted(value[0])}" if value else what
            self._first.append(BadData(f"{self.place} {where}" if where else self.place, reason))

    def errors(self) -> list[BadData]:
        """At most MAX_PROBLEMS errors; the last one says how many more there are."""
        if self.count <= MAX_PROBLEMS:
            return list(self._first)
        more = BadData(self.place, f"{self.count - MAX_PROBLEMS + 1} more of its rows or cells can't be used")
        return [*self._first[: MAX_PROBLEMS - 1], more]

    def left_out(self) -> dict[str, int]:
        """The counts as all venues call them among the counters of a session; {} for none."""
        counts = {"values_left_out": self.values, "levels_left_out": self.levels}
        return {name: count for name, count in counts.items() if count}

    def price(self, value: float | None, where: str) -> float | None:
        """The price, or None for what is none."""
        if value is None or (value != 0 and self._least < value < LARGEST):
            return value
        self.values += 1
        if value != 0:
            self.note(where, "not a price", value)
        return None

    def amount(self, value: float | None, where: str) -> float | None:
        """The size, volume or turnover, or None for what is none."""
        if value is None or 0 <= value < LARGEST:
            return value
        self.values += 1
        self.note(where, "not a size", value)
        return None

    def level(self, price: float | None, size: float | None, where: str) -> bool:
        """Whether these are a level of a whole book."""
        if price and size is not None and self._least < price < LARGEST and 0 < size < LARGEST:
            return True
        self.levels += 1
        if (price and not self._least < price < LARGEST) or not 0 <= (size or 0) < LARGEST:
            self.note(where, "not a level", (price, size))
        return False

    def clean(self, body: msgspec.Struct) -> None:
        """Leave out of a decoded body whatever is out of bounds. Its fields are known by the names of PRICES, AMOUNTS
        and SIDES, and all others stay as they are."""
        for name in body.__struct_fields__:
            if name in PRICES:
                setattr(body, name, self.price(getattr(body, name), name))
            elif name in AMOUNTS:
                setattr(body, name, self.amount(getattr(body, name), name))
            elif name in SIDES:
                levels = getattr(body, name)
                sound = [level for level in levels if self._is_level(level, name)]
                setattr(body, name, sound)
                if len(sound) < len(levels):
                    self.thinned.append(name)

    def _is_level(self, level: Any, side: str) -> bool:
        """`level` is (price, size), or a struct with these two fields."""
        price, size = level if isinstance(level, tuple) else (level.price, level.size)
        return self.level(price, size, side)


def not_whole(book: BookSnapshot, sides: Collection[str]) -> BookSnapshot:
    """The book, of whose `sides` ("bids", "asks") levels were left out, so that nobody knows how many there are."""
    return msgspec.structs.replace(book, **{f"{side}_whole": False for side in sides})
