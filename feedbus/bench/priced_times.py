"""Times that travel as a price, where a protocol has no other field that every client hands on. Pure.

A best bid and ask has an update id, but some clients drop it and keep the two prices alone. So the venue writes the
bid as PRICE_DIGITS digits, as many as a double keeps: a 1, and then the last of the time's nanoseconds, of which 8 are
decimals. They begin anew after 27 hours.

This module imports nothing but the standard library, because the other programs that are measured use it, too.
"""

from __future__ import annotations

UNITS = 10**8  # of one whole
WRAP = 10**14
"""Nanoseconds after which such a price begins anew. A lower number is that of a round of the warm-up."""


def price_of(number: int) -> str:
    """The price for a time (nanoseconds since the epoch) or for a smaller number, which stays what it is."""
    if number >= WRAP:
        number = WRAP + number % WRAP
    return f"{number // UNITS}.{number % UNITS:08d}"


def number_of(price: float) -> int:
    """The number that was written as this price: for a time, WRAP and the last digits of its nanoseconds."""
    return round(price * UNITS)


def passed(price: float, now: int) -> int:
    """The nanoseconds from the time that was written as this price until `now` (nanoseconds since the epoch)."""
    return (now - number_of(price)) % WRAP
