"""What the aggregator costs: `python -m tests.bench.analytics` prints CPU microseconds a trade, a book and a delta.

Everything between the decoded event and the decision to publish, with what is published; encoding and nng are the bus's
(docs/benchmarks.md). Trades of 50 instruments through bars of three periods with the usual indicators, books of 10 + 10
levels and deltas of 3 levels through the metrics; the clock goes as if so many events came a second. The least of some
rounds is printed.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Sequence

from feedbus import venues
from feedbus.analytics.aggregates import Aggregates
from feedbus.analytics.options import Options
from feedbus.schema.events import BookDelta, BookSnapshot, MarketData, Side, Ticker, Trade

SECOND = 1_000_000_000
START = 1_680_000_000 * SECOND
SYMBOLS = [f"S{number}" for number in range(50)]
ROUNDS = 5
BATCH = 32  # events a bus message


def trades(count: int, rate: float) -> list[MarketData]:
    """So many trades at `rate` a second, of all symbols in turn."""
    chance = random.Random(1)
    found: list[MarketData] = []
    for number in range(count):
        at = START + int(number * SECOND / rate)
        price = round(100 + chance.gauss(0, 1), 2)
        size = float(chance.randint(1, 100))
        side: Side = "buy" if chance.random() < 0.5 else "sell"
        found.append(Trade("bench", SYMBOLS[number % len(SYMBOLS)], at, at, price, size, side, number))
    return found


def tickers(count: int, rate: float) -> list[MarketData]:
    """Tickers that each show one trade more."""
    chance = random.Random(2)
    found: list[MarketData] = []
    for number in range(count):
        at = START + int(number * SECOND / rate)
        price = round(100 + chance.gauss(0, 1), 2)
        so_far = number // len(SYMBOLS)
        symbol = SYMBOLS[number % len(SYMBOLS)]
        day = Ticker("bench", symbol, at, at, last=price, volume=so_far, turnover=so_far * 100.0, trades=so_far)
        found.append(day)
    return found


def books(count: int, rate: float) -> list[MarketData]:
    """Books of 10 + 10 levels."""
    chance = random.Random(3)
    found: list[MarketData] = []
    for number in range(count):
        at = START + int(number * SECOND / rate)
        middle = 100 + chance.gauss(0, 1)
        bids = [(round(middle - 0.01 * level, 2), float(chance.randint(1, 100))) for level in range(1, 11)]
        asks = [(round(middle + 0.01 * level, 2), float(chance.randint(1, 100))) for level in range(1, 11)]
        found.append(BookSnapshot("bench", SYMBOLS[number % len(SYMBOLS)], at, at, bids, asks, number))
    return found


def deltas(count: int, rate: float) -> list[MarketData]:
    """Changes of 3 levels each of books of 1000 + 1000 levels; each book's picture comes first."""
    chance = random.Random(4)
    found: list[MarketData] = []
    for symbol in SYMBOLS:
        bids = [(round(100 - 0.01 * level, 2), 1.0) for level in range(1, 1001)]
        asks = [(round(100 + 0.01 * level, 2), 1.0) for level in range(1, 1001)]
        found.append(BookSnapshot("bench", symbol, START, START, bids, asks, 0))
    for number in range(count):
        at = START + int(number * SECOND / rate)
        steps = [1 + int(chance.expovariate(0.1)) for _ in range(3)]
        sizes = [float(chance.choice((0, chance.randint(1, 100)))) for _ in range(3)]
        signs = (-1, -1, 1)
        levels = [
            (round(100 + 0.01 * sign * step, 2), size) for sign, step, size in zip(signs, steps, sizes, strict=True)
        ]
        turn = number // len(SYMBOLS) + 1
        found.append(BookDelta("bench", SYMBOLS[number % len(SYMBOLS)], at, at, levels[:2], levels[2:], turn, turn))
    return found


def measure(events: Sequence[MarketData], options: Options) -> tuple[float, int]:
    """(CPU microseconds an event, events published)."""
    batches = [events[at : at + BATCH] for at in range(0, len(events), BATCH)]
    least = float("inf")
    published = 0
    for _ in range(ROUNDS):
        model = Aggregates(options, venues.trading_day)
        published = 0
        began = time.process_time()
        for batch in batches:
            now = (batch[-1].ts_recv - START) / SECOND
            model.add("bench", batch, now)
            published += len(model.take(now))
            model.next_due()
        least = min(least, time.process_time() - began)
    return least / len(events) * 1e6, published


def main() -> None:
    """Print a line for each kind of event."""
    every_book = Options(book_every=0.0)
    rows = [
        ("trade", "10,000/s", trades(200_000, 10_000), Options()),
        ("trade", "200/s: most are published at once", trades(50_000, 200), Options()),
        ("ticker", "1,500/s", tickers(50_000, 1_500), Options()),
        ("book", "3,000/s, each one published", books(20_000, 3_000), every_book),
        ("book", "3,000/s, every 0.25 s an instrument", books(20_000, 3_000), Options()),
        ("delta", "3,000/s, each one published", deltas(20_000, 3_000), every_book),
        ("delta", "3,000/s, every 0.25 s an instrument", deltas(20_000, 3_000), Options()),
    ]
    for kind, what, events, options in rows:
        cost, published = measure(events, options)
        sys.stdout.write(f"{kind:6} {cost:6.2f} us  {published:7,} published of {len(events):,}  {what}\n")


if __name__ == "__main__":
    main()
