"""Ladders for the tests of how they are shown."""

from __future__ import annotations

from collections.abc import Sequence

from feedbus.schema.events import BookSnapshot, Level, Side, Status, Trade
from feedbus.table.connection_table import SECOND
from feedbus.table.ladder import MAX_TRADES, Ladder, LadderPicture

NOW = 1_000_000 * SECOND
BIDS: list[Level] = [(100.0, 1.0), (99.5, 2.0), (98.0, 4.0)]
ASKS: list[Level] = [(100.5, 3.0), (101.0, 1.0), (102.0, 10.0)]
Traded = tuple[float, float, Side | None]
"""Price, size and side of a trade."""


class Header:
    publisher = "binance"


def pictured(
    bids: list[Level] = BIDS,
    asks: list[Level] = ASKS,
    trades: Sequence[Traded] = (),
    *,
    venue: str = "binance",
    whole: bool = False,
    count: int = 1_000,
    percent: float | None = None,
    sequence: int | None = None,
) -> LadderPicture:
    """The ladder of this book, which is live, and these trades, which came a second apart."""
    made = Ladder(venue, "BTCUSDT")
    tape = [
        Trade(venue, "BTCUSDT", NOW + at * SECOND, NOW, price, size, side, None)
        for at, (price, size, side) in enumerate(trades)
    ]
    book = BookSnapshot(venue, "BTCUSDT", NOW, NOW, bids, asks, sequence, whole, whole)
    live = Status(venue, "BTCUSDT", 0, NOW, "live", "", 0, 1, "book")
    made.apply(Header(), [book, live, *tape], NOW, NOW)
    return made.picture(NOW, count, percent, MAX_TRADES)
