"""Differences and means of prices as the decimal numbers that they are.

Prices are doubles, and 100.02 - 100.01 is 0.009999999999990905 in doubles, since neither price is exactly what its
decimals say. A double carries 15 significant digits, so a price of 100.02 has at most 12 decimals, and so has any
difference of such prices. Rounded to these decimals the difference is 0.01 again. Nobody has to know the tick for it.

The module is pure. This runs for each book that is published, so it costs a table look-up and no call of Python code.
"""

from __future__ import annotations

from math import ceil, frexp, log10

DIGITS = 15
"""The significant decimal digits that every double carries."""
EXACT = 22
"""10 to this power is the highest that is exactly a double."""


def _scale(decimals: int) -> float:
    """Returns the power of ten that has so many zeros, or 0 where prices have no decimals: nothing is rounded then."""
    return 10.0 ** min(decimals, EXACT) if decimals >= 0 else 0.0


def _row(exponent: int) -> tuple[float, float, float]:
    digits = ceil(exponent * log10(2))  # before the point, of the largest number below 2**exponent
    return 10.0 ** (digits - 1), _scale(DIGITS - digits + 1), _scale(DIGITS - digits)


SCALES = {exponent: _row(exponent) for exponent in range(-40, 60)}
"""By the binary exponent of a number (as math.frexp gives it): a limit, the scale of numbers below the limit, and that
of the others. Beyond the table, below 1e-12 and above 1e18, nothing is rounded."""
NOT_ROUNDED = (0.0, 0.0, 0.0)


def scale_of(largest: float) -> float:
    """Returns by what to multiply sums and differences of numbers up to `largest`, which isn't negative, so that
    rounding them to a whole number leaves all their decimals in place. It is 0 where they aren't to be rounded."""
    limit, below, above = SCALES.get(frexp(largest)[1], NOT_ROUNDED)
    return below if largest < limit else above


def difference(after: float, before: float) -> float:
    """Returns `after` minus `before`, rounded to the decimals that numbers of this size may have."""
    scale = scale_of(max(abs(after), abs(before)))
    return round((after - before) * scale) / scale if scale else after - before
