"""How many decimals prices are written with: those that the venue says of the instrument, or those that its prices
need. Pure.

The events of instruments come again and again, so whoever draws prices learns them within half a minute. Until then,
and where the venue says nothing, the decimals of the prices that were seen are taken: they never shrink, or a price
would change its width as it moves.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from feedbus.schema.events import Instrument

MAX_DECIMALS = 8
MAX_KNOWN = 20_000
"""Instruments whose decimals are remembered."""


class InstrumentDecimals:
    """The decimals that venues say of their instruments. `not_kept` counts the instruments beyond MAX_KNOWN."""

    def __init__(self) -> None:
        self.not_kept = 0
        self._known: dict[tuple[str, str], int | None] = {}

    def add(self, instrument: Instrument) -> None:
        """Take in what is known of an instrument."""
        key = (instrument.venue, instrument.symbol)
        if key not in self._known and len(self._known) >= MAX_KNOWN:
            self.not_kept += 1
            return
        said = instrument.decimals
        self._known[key] = None if said is None or said < 0 else min(said, MAX_DECIMALS)

    def of(self, venue: str, symbol: str) -> int | None:
        """What the venue says of this instrument; None where it says nothing, or hasn't yet."""
        return self._known.get((venue, symbol))


def needed(prices: Iterable[float | None], at_least: int = 0) -> int:
    """How many decimals these prices need, and no fewer than `at_least`."""
    return max(at_least, *(decimals(price) for price in prices if price is not None), 0)


def decimals(price: float) -> int:
    """How many decimals this price has, at most MAX_DECIMALS. Only its first 15 digits are looked at, since a double
    keeps no more than those reliably.
    """
    exponent = Decimal(f"{price:.15g}").normalize().as_tuple().exponent
    return min(MAX_DECIMALS, max(0, -exponent)) if isinstance(exponent, int) else 0
