"""Numbers drawn from an order book: spread, mid, microprice, depth, imbalance, liquidity. Pure.

With bid and ask the best prices, and bid_size and ask_size what is offered there:

spread           ask - bid
mid              (bid + ask) / 2
relative_spread  spread / mid; None unless mid > 0
microprice       (bid * ask_size + ask * bid_size) / (bid_size + ask_size): nearer to the side with less on it
bid_depth[i]     the sum of the sizes of the first levels[i] bids, of all where there are fewer; ask_depth likewise
imbalance[i]     (bid_depth[i] - ask_depth[i]) / (bid_depth[i] + ask_depth[i]): 1 is bids alone, -1 asks alone
liquidity        the sum of price * size over the first max(levels) levels of both sides

Prices, and so spread, mid and microprice, are in the quote currency; depths in the venue's unit of size; liquidity in
the product of both. The first four are None when a side is empty, and when the book is crossed (bid > ask), as it may
be in an auction: what they mean isn't defined there. No value is ever NaN or infinite.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from feedbus.schema.events import BookMetrics, Level, MarketEvent, Quote

MAX_NUMBER = 1e100
"""A price or a size beyond it is taken for garbage; sums and products of those within stay finite."""

Best = tuple[float | None, float | None, float | None, float | None]
"""(spread, relative_spread, mid, microprice)"""
UNDEFINED: Best = (None, None, None, None)


def of_book(
    event: MarketEvent, bids: Sequence[Level], asks: Sequence[Level], levels: Sequence[int]
) -> BookMetrics | None:
    """The metrics of a full book, best level first; `levels` ascend. None for a book with numbers that aren't any."""
    deepest = levels[-1]
    bid_sums, bid_worth = _side(bids[:deepest])
    ask_sums, ask_worth = _side(asks[:deepest])
    liquidity = bid_worth + ask_worth
    # NaN and infinity show in the sum, whichever of the numbers is one.
    if not -inf < liquidity < inf or max(bid_sums[-1], ask_sums[-1]) > MAX_NUMBER:
        return None
    best = of_best(*bids[0], *asks[0]) if bids and asks else UNDEFINED
    bid_last, ask_last = len(bid_sums) - 1, len(ask_sums) - 1
    bid_depth = [bid_sums[min(level, bid_last)] for level in levels]
    ask_depth = [ask_sums[min(level, ask_last)] for level in levels]
    return _event(event, best, levels, bid_depth, ask_depth, liquidity)


def of_quote(quote: Quote) -> BookMetrics | None:
    """The metrics of a quote: a book of one level. A side without a price is empty. Where a size isn't given, there is
    no depth: `levels` is empty then, and microprice and liquidity are None. None as in `of_book`."""
    bid, ask = quote.bid, quote.ask
    bid_size, ask_size = quote.bid_size, quote.ask_size
    if (bid is None or bid_size is not None) and (ask is None or ask_size is not None):
        bids = [] if bid is None or bid_size is None else [(bid, bid_size)]
        asks = [] if ask is None or ask_size is None else [(ask, ask_size)]
        return of_book(quote, bids, asks, (1,))
    best = UNDEFINED if bid is None or ask is None else of_best(bid, 0.0, ask, 0.0)
    return _event(quote, best, (), [], [], None)


def unknown(event: MarketEvent) -> BookMetrics:
    """What is published when the book isn't known any more: all values None, and no levels."""
    return _event(event, UNDEFINED, (), [], [], None)


def of_best(bid: float, bid_size: float, ask: float, ask_size: float) -> Best:
    """Spread, relative spread, mid and microprice of the best level. Sizes aren't negative."""
    if not -MAX_NUMBER <= bid <= ask <= MAX_NUMBER:
        return UNDEFINED
    spread = ask - bid
    mid = (bid + ask) / 2
    size = bid_size + ask_size
    relative = spread / mid if mid > 0 else None
    # Rounded, the weighted mean may leave its bounds by its last digit.
    micro = min(max((bid * ask_size + ask * bid_size) / size, bid), ask) if size > 0 else None
    return spread, relative, mid, micro


def _side(side: Sequence[Level]) -> tuple[list[float], float]:
    """The sums of the first 0, 1, 2, … sizes, and of all price * size: that is infinite for a size below 0."""
    total = worth = 0.0
    sums = [0.0]
    for price, size in side:
        if size < 0:
            return [0.0], inf
        total += size
        worth += price * size
        sums.append(total)
    return sums, worth


def _event(
    event: MarketEvent,
    best: Best,
    levels: Sequence[int],
    bid_depth: list[float],
    ask_depth: list[float],
    liquidity: float | None,
) -> BookMetrics:
    imbalance = [
        (bid - ask) / (bid + ask) if bid + ask > 0 else None for bid, ask in zip(bid_depth, ask_depth, strict=True)
    ]
    return BookMetrics(
        event.venue, event.symbol, event.ts_event, event.ts_recv, *best, list(levels), bid_depth, ask_depth, imbalance,
        liquidity,
    )  # fmt: skip
