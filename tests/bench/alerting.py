"""What judging costs: `python -m tests.bench.alerting` prints CPU nanoseconds an event of each kind, and a status.

Everything between the decoded event and the alerts, by the rules of `configs/all.yaml` but those of bars, about 50
instruments. Nothing fires but now and then, as in a market. A status says again what was said before, as publishers do
every ten seconds. The least of some rounds is printed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from feedbus.alerts import AlertEngine, Rule
from feedbus.schema.events import MarketData, Status
from tests.bench.analytics import ROUNDS, START, SYMBOLS, books, deltas, tickers, trades

WORDS = ("trade", "quote", "book", "ticker")
RULES = (
    Rule("connection_down", for_=30),
    Rule("stale", 60),
    Rule("wide_spread", 0.5, for_=10),
    Rule("crossed_book", for_=30),
    Rule("large_trade", 5_000_000, of="notional"),
    Rule("price_jump", 5, window=60),
)


def statuses() -> list[MarketData]:
    """Of each word of each instrument one that says that it is live."""
    return [Status("bench", symbol, 0, START, "live", "", START, 1, word) for symbol in SYMBOLS for word in WORDS]


def measure(rules: Sequence[Rule], events: Sequence[MarketData]) -> float:
    """CPU nanoseconds an event."""
    least = float("inf")
    for _ in range(ROUNDS):
        engine = AlertEngine(rules)
        for event in statuses():
            engine.add(event, START, "bench")
        add = engine.add
        began = time.process_time()
        for event in events:
            add(event, event.ts_recv, "bench")
        least = min(least, time.process_time() - began)
    return least / len(events) * 1e9


def main() -> None:
    """Print a line for each kind of event."""
    for what, events in (
        ("trade", trades(200_000, 10_000)),
        ("ticker", tickers(100_000, 1_500)),
        ("book", books(40_000, 3_000)),
        ("delta", deltas(40_000, 3_000)),
        ("status", statuses() * 200),
    ):
        sys.stdout.write(f"{what:6} {measure(RULES, events):7.0f} ns\n")


if __name__ == "__main__":
    main()
