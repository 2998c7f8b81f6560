"""What the truth about prices costs: `python -m tests.bench.trust` prints CPU nanoseconds an event, and the sweep.

- `judge`: the judge of a feed, with the events of a read, and without what checks the data for losses, which the
  venues decide on.
- `reader`: `feedbus.Trust` in a program that subscribes, with the events of a bus message; `status` is one that says
  again what was said before.
- `sweep`: looking for what has fallen silent once a second, as a share of one core, for so many instruments with the
  words of trades and books, of which half speak every second and the others every minute.

The least of some rounds is printed, less what the same loop costs without the judge.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

from feedbus import Trust
from feedbus.schema.codec import MessageHeader
from feedbus.schema.events import MarketData, Status
from feedbus.trust.judge import Facts, Judge
from tests.bench.alerting import statuses
from tests.bench.analytics import BATCH, ROUNDS, START, SYMBOLS, books, tickers, trades

FACTS = Facts("bench", {"trades": ("trade",), "books": ("book",), "tickers": ("ticker",)})
TWO_WORDS = Facts("bench", {"trades": ("trade",), "books": ("book",)})
SECOND = 1_000_000_000
MINUTES = 5  # of sweeping


def least_of(rounds: int, once: Callable[[], float]) -> float:
    """The least of so many CPU times."""
    return min(once() for _ in range(rounds))


def in_reads(events: Sequence[MarketData]) -> list[list[MarketData]]:
    """The events as they come in reads."""
    return [list(events[at : at + BATCH]) for at in range(0, len(events), BATCH)]


def judging(events: Sequence[MarketData]) -> float:
    """CPU nanoseconds an event that all words are live for."""
    reads = in_reads(events)

    def with_judge() -> float:
        judge = Judge(FACTS)
        line = judge.line("main-1")
        judge.carry(line, SYMBOLS, "connecting", 0.0, START)
        judge.ready(line, 0.0)
        for channel in FACTS.words:
            for symbol in SYMBOLS:
                judge.confirmed(channel, symbol, 0.0)
        for read in reads:
            judge.take(line, read, 0.0)
        began = time.process_time()
        for read in reads:
            now = (read[-1].ts_recv - START) / SECOND
            judge.take(line, read, now)
        return time.process_time() - began

    return (least_of(ROUNDS, with_judge) - least_of(ROUNDS, lambda: bare(reads))) / len(events) * 1e9


def bare(reads: Sequence[Sequence[MarketData]]) -> float:
    """CPU seconds of the loop alone."""
    began = time.process_time()
    for read in reads:
        _now = (read[-1].ts_recv - START) / SECOND
    return time.process_time() - began


def reading(events: Sequence[MarketData]) -> float:
    """CPU nanoseconds an event in a program that asks what may be used."""
    messages = in_reads(events)

    def with_trust() -> float:
        trust = Trust()
        header = MessageHeader("trade", "bench", "bench", 1, START)
        for event in statuses():
            trust.apply(header, [event], 0)
        began = time.process_time()
        for message in messages:
            trust.apply(header, message, message[-1].ts_recv)
        return time.process_time() - began

    return least_of(ROUNDS, with_trust) / len(events) * 1e9


def sweeping(instruments: int) -> float:
    """The share of a core that the sweeps of so many instruments take."""
    symbols = [f"S{number}" for number in range(instruments)]
    judge = Judge(TWO_WORDS)
    line = judge.line("main-1")
    judge.carry(line, symbols, "connecting", 0.0, START)
    judge.ready(line, 0.0)
    for channel in TWO_WORDS.words:
        for symbol in symbols:
            judge.confirmed(channel, symbol, 0.0)
    template = [*trades(len(SYMBOLS), 1000), *books(len(SYMBOLS), 1000)]
    spent = 0.0
    for second in range(MINUTES * 60):
        now, ts = float(second), START + second * SECOND
        heard = symbols if second % 60 == 0 else symbols[: instruments // 2]
        events = [renamed(template[0], symbol, ts) for symbol in heard]
        events += [renamed(template[-1], symbol, ts) for symbol in heard]
        judge.take(line, events, now)
        began = time.process_time()
        judge.sweep(now + 0.5, ts)
        spent += time.process_time() - began
    return spent / (MINUTES * 60)


def renamed(event: MarketData, symbol: str, ts: int) -> MarketData:
    """The same event of another instrument at another time."""
    fields = [getattr(event, name) for name in event.__struct_fields__]
    fields[1:4] = symbol, ts, ts
    return type(event)(*fields)


def main() -> None:
    """Print a line for each figure."""
    said: list[tuple[str, Sequence[MarketData]]] = [
        ("trade", trades(200_000, 10_000)),
        ("ticker", tickers(100_000, 1_500)),
        ("book", books(40_000, 3_000)),
    ]
    for what, events in said:
        sys.stdout.write(f"judge  {what:6} {judging(events):7.0f} ns\n")
    again: list[MarketData] = [status for status in statuses() * 200 if isinstance(status, Status)]
    for what, events in (*said, ("status", again)):
        sys.stdout.write(f"reader {what:6} {reading(events):7.0f} ns\n")
    for instruments in (50, 1_500):
        sys.stdout.write(f"sweep  {instruments:6,} {sweeping(instruments):7.2%} of a core\n")


if __name__ == "__main__":
    main()
