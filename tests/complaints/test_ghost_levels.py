"""Users complain: after a reconnect the book shows levels that were deleted while the client was away, for a whole
weekend, and they traded on such prices.

Here levels are deleted while the connection is away, while messages of the venue are lost, and while messages are lost
on the way to a reader of the bus. At no time does the reader have a book with a level that went seconds ago, and
afterwards it has exactly the venue's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from feedbus.schema.events import Level
from feedbus.sim.binance.catalogue import SCALE
from feedbus.testing.truth.venue import STEP_S
from tests.complaints.scene import VENUES, Scene

AWAY, SETTLES = 20.0, 20.0  # seconds
KNOWN_WITHIN = 4.0  # seconds until the next message, or the next heartbeat, shows that some are missing
Ruin = Callable[[Scene], object]


def venues_book(scene: Scene, symbol: str) -> tuple[list[Level], list[Level]]:
    """All levels that the venue has, best first."""
    venue: Any = scene.venue
    if venue.name == "alor":
        listing = venue._listings[symbol]
        book, scale = listing.instrument, 10**listing.security.decimals
    else:
        book = venue._market.instruments[symbol]
        scale = SCALE if venue.name == "binance" else 10**book.security.decimals
    units = scale if venue.name == "binance" else 1
    bids, asks = (
        [(price / scale, size / units) for price, size in zip(side.prices, side.sizes, strict=True)]
        for side in (book.bids, book.asks)
    )
    return bids, asks


def readers_book(scene: Scene, symbol: str) -> tuple[list[Level], list[Level]] | None:
    """All levels that a reader of the bus has; None when it has no book that is right."""
    book = scene.reader.books.get(scene.venue.name, symbol)
    return None if book is None else (book.bids.top(), book.asks.top())


def prices(book: tuple[list[Level], list[Level]]) -> set[float]:
    return {price for side in book for price, _ in side}


def cut(scene: Scene) -> None:
    scene.network.refuse(trio.current_time() + AWAY)


def lose_messages(scene: Scene) -> None:
    for symbol in scene.symbols:
        scene.network.arm("drop", symbol, 3)


def lose_on_the_bus(scene: Scene) -> None:
    scene.bus.loses = 60


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize("ruin", [cut, lose_messages, lose_on_the_bus])
async def test_a_level_that_is_deleted_unseen_is_in_no_book_afterwards(
    venue: str, ruin: Ruin, autojump_clock: MockClock
) -> None:
    channel = {"moex": "orderbooks", "alor": "orderbook", "binance": "depth@100ms"}[venue]
    scene = Scene(venue, connections=1, channels=(channel,), tempo=0.5)
    scene.reader.keys = tuple((symbol, "book") for symbol in scene.symbols)
    async with scene.running():
        await trio.sleep(5.2)  # between two steps of the market
        before = {symbol: venues_book(scene, symbol) for symbol in scene.symbols}
        assert before == {symbol: readers_book(scene, symbol) for symbol in scene.symbols}
        ruin(scene)
        recent: deque[dict[str, set[float]]] = deque(maxlen=round(KNOWN_WITHIN / STEP_S))
        for _ in range(round((AWAY + SETTLES) / STEP_S)):
            recent.append({symbol: prices(venues_book(scene, symbol)) for symbol in scene.symbols})
            for symbol in scene.symbols:
                if (shown := readers_book(scene, symbol)) is not None:
                    assert prices(shown) <= set().union(*(each[symbol] for each in recent))
            await trio.sleep(STEP_S)
        assert scene.usable()
        after = {symbol: venues_book(scene, symbol) for symbol in scene.symbols}
        assert all(prices(before[symbol]) - prices(after[symbol]) for symbol in scene.symbols)  # levels were deleted
        assert after == {symbol: readers_book(scene, symbol) for symbol in scene.symbols}
        if ruin is lose_on_the_bus:
            assert scene.gaps
