"""The formulas of the order book metrics: spread, mid, microprice, depth, imbalance and liquidity.

Spread, relative spread, mid and microprice are those of feedbus/books/top_of_book.py. Besides:

levels           the depths asked for, without those that aren't known: a side has fewer levels, and there may be more
                 beyond them
bid_depth[i]     the sum of the sizes of the first levels[i] bids, or of all bids where there are no more; ask_depth[i]
                 is the same of the asks
imbalance[i]     (bid_depth[i] - ask_depth[i]) / (bid_depth[i] + ask_depth[i]), from -1 (asks only) to 1 (bids only)
liquidity        the sum of price * size over as many levels of both sides as the deepest depth asked for; None where
                 that isn't known

Prices, and so spread, mid and microprice, are in the quote currency; depths are in the venue's unit of size; liquidity
is in the product of both units. The first four are None when a side is empty and when the book is crossed (bid > ask),
as it may be during an auction, because they have no meaning there. No value is ever NaN or infinite.

The module is pure: events go in, a BookMetrics event comes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from feedbus.books.order_book import OrderBook
from feedbus.books.top_of_book import MAX_NUMBER, UNDEFINED, TopOfBook, of_best
from feedbus.schema.events import BookMetrics, Level, MarketEvent, Quote


def of_book(
    event: MarketEvent | OrderBook,
    bids: Sequence[Level],
    asks: Sequence[Level],
    levels: Sequence[int],
    *,
    bids_whole: bool,
    asks_whole: bool,
) -> BookMetrics | None:
    """Returns the metrics of a full book, or None when the book holds a number that can't be used: NaN, infinite,
    beyond MAX_NUMBER, or a negative size.

    `bids` and `asks` begin with the best level; a side that is whole has no levels besides, and of another one nothing
    is known beyond them. `levels` ascend; it says how many levels each depth sums up. `event` gives the metrics their
    venue, symbol and times.
    """
    deepest = levels[-1]
    bid_sums, bid_worth = _sum_up(bids[:deepest])
    ask_sums, ask_worth = _sum_up(asks[:deepest])
    liquidity = bid_worth + ask_worth
    # A NaN or an infinity anywhere in the book makes this sum NaN or infinite, so one comparison finds them all.
    if not -inf < liquidity < inf or max(bid_sums[-1], ask_sums[-1]) > MAX_NUMBER:
        return None
    top = of_best(*bids[0], *asks[0]) if bids and asks else UNDEFINED
    bid_last, ask_last = len(bid_sums) - 1, len(ask_sums) - 1
    known = min(deepest if bids_whole else bid_last, deepest if asks_whole else ask_last)
    if known < deepest:
        levels = [level for level in levels if level <= known]
    bid_depth = [bid_sums[min(level, bid_last)] for level in levels]
    ask_depth = [ask_sums[min(level, ask_last)] for level in levels]
    return _event(event, top, levels, bid_depth, ask_depth, liquidity if known >= deepest else None)


def of_quote(quote: Quote) -> BookMetrics | None:
    """Returns the metrics of a quote, which is treated as a book of one level; a side without a price is empty.

    Where a price comes without a size there is no depth: `levels` is empty then, and microprice and liquidity are None.
    Returns None for a quote with unusable numbers, as `of_book` does.
    """
    bid, ask = quote.bid, quote.ask
    bid_size, ask_size = quote.bid_size, quote.ask_size
    if (bid is None or bid_size is not None) and (ask is None or ask_size is not None):
        bids = [] if bid is None or bid_size is None else [(bid, bid_size)]
        asks = [] if ask is None or ask_size is None else [(ask, ask_size)]
        return of_book(quote, bids, asks, (1,), bids_whole=True, asks_whole=True)
    top = UNDEFINED if bid is None or ask is None else of_best(bid, 0.0, ask, 0.0)
    return _event(quote, top, (), [], [], None)


def unknown(event: MarketEvent) -> BookMetrics:
    """Returns what is published once the book isn't known any more: every value is None and `levels` is empty."""
    return _event(event, UNDEFINED, (), [], [], None)


def _sum_up(side: Sequence[Level]) -> tuple[list[float], float]:
    """Returns the sums of the first 0, 1, 2, … sizes of one side, and the sum of all price * size. That is infinite
    when a size is negative, so that the caller's check for finite numbers refuses the book."""
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
    event: MarketEvent | OrderBook,
    top: TopOfBook,
    levels: Sequence[int],
    bid_depth: list[float],
    ask_depth: list[float],
    liquidity: float | None,
) -> BookMetrics:
    imbalance = [
        (bid - ask) / (bid + ask) if bid + ask > 0 else None for bid, ask in zip(bid_depth, ask_depth, strict=True)
    ]
    return BookMetrics(
        event.venue, event.symbol, event.ts_event, event.ts_recv, *top, list(levels), bid_depth, ask_depth, imbalance,
        liquidity,
    )  # fmt: skip
