"""The formulas of the best level: spread, mid and microprice. Pure.

With `bid` and `ask` the best prices, and `bid_size` and `ask_size` the sizes offered at them:

spread           ask - bid
mid              (bid + ask) / 2
relative_spread  spread / mid; None unless mid > 0
microprice       (bid * ask_size + ask * bid_size) / (bid_size + ask_size): the size-weighted mid. Each price has
                 the size of the other side as its weight, so the microprice lies nearer to the side with less size,
                 which is where the price is likelier to move.

All are None when the book is crossed (bid > ask), because they have no meaning there. Spread, mid and microprice are
rounded to the decimals that prices of their size may have (decimals.py): 0.01, not 0.009999999999990905.
"""

from __future__ import annotations

from math import frexp

from feedbus.books.decimals import NOT_ROUNDED, ROUNDS, SCALES

MAX_NUMBER = 1e100
"""A larger price or size is taken for garbage. Sums and products of numbers within the limit can't overflow."""

TopOfBook = tuple[float | None, float | None, float | None, float | None]
"""The four metrics of the best level, in this order: spread, relative_spread, mid, microprice."""
UNDEFINED: TopOfBook = (None, None, None, None)


def of_best(bid: float, bid_size: float, ask: float, ask_size: float) -> TopOfBook:
    """Returns the four metrics of the best level. The sizes must not be negative."""
    if not -MAX_NUMBER <= bid <= ask <= MAX_NUMBER:
        return UNDEFINED
    spread = ask - bid
    mid = (bid + ask) / 2
    size = bid_size + ask_size
    micro = (bid * ask_size + ask * bid_size) / size if size > 0 else mid
    # Written out, and without calls where it can be, since this runs for each book that is published.
    largest = ask if bid >= 0 else max(ask, -bid)
    limit, below, above = SCALES.get(frexp(largest)[1], NOT_ROUNDED)
    if scale := below if largest < limit else above:
        spread = (spread * scale + ROUNDS - ROUNDS) / scale
        mid = (mid * scale + ROUNDS - ROUNDS) / scale
        micro = (micro * scale + ROUNDS - ROUNDS) / scale
    # A mean lies between its two prices; rounding may carry it over by the last digit.
    mid = bid if mid < bid else min(mid, ask)
    micro = bid if micro < bid else min(micro, ask)
    return spread, spread / mid if mid > 0 else None, mid, micro if size > 0 else None
