"""feedbus: a market-data feed handler built of actors around a message bus.

A program subscribes to a running feedbus like this:

    async with feedbus.subscribe("ipc:///run/feedbus/events.ipc", topics=["book.moex.TQBR.SBER"]) as events:
        async for event in events:      # trio; feedbus.subscribe_sync is the same for plain programs
            ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from feedbus.bus.subscriber import subscribe, subscribe_sync

__version__ = "0.1.0"
__all__ = ["__version__", "subscribe", "subscribe_sync"]


def __getattr__(name: str) -> Any:
    """Import the bus only when it is used, so that `feedbus --help` answers at once."""
    if name in ("subscribe", "subscribe_sync"):
        from feedbus.bus import subscriber

        return getattr(subscriber, name)
    raise AttributeError(f"module 'feedbus' has no attribute {name!r}")
