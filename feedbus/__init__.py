"""feedbus: a market-data feed handler built of actors around a message bus.

A program subscribes to a running feedbus like this:

    async with feedbus.subscribe(topics=["book.moex.TQBR.SBER"]) as events:
        async for event in events:      # trio; feedbus.subscribe_sync is the same for plain programs
            ...

The events are of the types that are named here: Trade, Quote, BookSnapshot, …, and Gap where something was missed.
Books keeps the order books of what comes, and answers with an OrderBook. Trust keeps how far what comes may be trusted,
and answers with a Trusted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from feedbus.books.books import Books
    from feedbus.books.order_book import OrderBook
    from feedbus.bus.subscriber import BusSubscription, SyncSubscription, subscribe, subscribe_sync
    from feedbus.errors import BadAddress, BusError, FeedbusError
    from feedbus.schema.events import (
        Alert,
        Bar,
        BookDelta,
        BookMetrics,
        BookSnapshot,
        FeedStatus,
        Gap,
        Indicator,
        Instrument,
        MarketData,
        Quote,
        Status,
        Ticker,
        Trade,
    )
    from feedbus.trust.readers_trust import Trust, Trusted

__version__ = "0.1.0"
__all__ = [
    "Alert",
    "BadAddress",
    "Bar",
    "BookDelta",
    "BookMetrics",
    "BookSnapshot",
    "Books",
    "BusError",
    "BusSubscription",
    "FeedStatus",
    "FeedbusError",
    "Gap",
    "Indicator",
    "Instrument",
    "MarketData",
    "OrderBook",
    "Quote",
    "Status",
    "SyncSubscription",
    "Ticker",
    "Trade",
    "Trust",
    "Trusted",
    "__version__",
    "subscribe",
    "subscribe_sync",
]

_SUBSCRIBING = {"BusSubscription", "SyncSubscription", "subscribe", "subscribe_sync"}
_ERRORS = {"BadAddress", "BusError", "FeedbusError"}
_TRUST = {"Trust", "Trusted"}

if not TYPE_CHECKING:  # a type checker that saw this function would take any name for one of ours

    def __getattr__(name: str) -> Any:
        """Import what is named only when it is used, so that `feedbus --help` answers at once."""
        if name not in __all__:
            raise AttributeError(f"module 'feedbus' has no attribute {name!r}")
        if name in _SUBSCRIBING:
            from feedbus.bus import subscriber as module
        elif name in _ERRORS:
            from feedbus import errors as module
        elif name == "Books":
            from feedbus.books import books as module
        elif name == "OrderBook":
            from feedbus.books import order_book as module
        elif name in _TRUST:
            from feedbus.trust import readers_trust as module
        else:
            from feedbus.schema import events as module
        return globals().setdefault(name, getattr(module, name))

    def __dir__() -> list[str]:
        """The names for a prompt that completes them."""
        return sorted({*globals(), *__all__})
