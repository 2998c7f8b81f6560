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
"""By what to multiply differences and means of numbers so that a whole number holds all their decimals; 0 where they
aren't to be rounded. The key is the binary exponent of the largest of the numbers (as math.frexp gives it). The values
are a limit, the scale when the largest is below the limit, and the scale when it isn't. Beyond the table, below 1e-12
and above 1e18, nothing is rounded."""
NOT_ROUNDED = (0.0, 0.0, 0.0)
ROUNDS = 1.5 * 2.0**52
"""Added to a double of less than 2**51 and taken away again, it leaves the nearest whole number, because doubles of its
size have no decimals. That costs a fifth of a call of round()."""


def difference(after: float, before: float) -> float:
    """Returns `after` minus `before`, rounded to the decimals that numbers of this size may have."""
    largest = max(abs(after), abs(before))
    limit, below, above = SCALES.get(frexp(largest)[1], NOT_ROUNDED)
    scale = below if largest < limit else above
    return ((after - before) * scale + ROUNDS - ROUNDS) / scale if scale else after - before
