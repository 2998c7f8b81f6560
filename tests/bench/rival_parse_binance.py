# mypy: disable-error-code="import-not-found, misc"
"""cryptofeed's handler of Binance, as parse_binance.py measures it. Runs in an environment that has cryptofeed.

Frames come on standard input, a line each; one line of JSON goes out: how many, how many came out as events, and the
CPU time. Its symbols are given to it, which it would fetch otherwise; its callbacks do nothing but count.
"""

from __future__ import annotations

import asyncio  # noqa: TID251 (cryptofeed is an asyncio library)
import json
import sys
from time import process_time_ns
from typing import Any

from cryptofeed.defines import TICKER, TRADES
from cryptofeed.exchanges import Binance
from cryptofeed.symbols import Symbols


async def measure(frames: list[str]) -> tuple[int, int]:
    """(events, CPU nanoseconds) of all frames."""
    seen = 0

    async def count(event: Any, received: float) -> None:
        nonlocal seen
        seen += 1

    Symbols.set(Binance.id, {"BTC-USDT": "BTCUSDT"}, {"instrument_type": {"BTC-USDT": "spot"}})
    feed = Binance(symbols=["BTC-USDT"], channels=[TRADES, TICKER], callbacks={TRADES: count, TICKER: count})
    handle = feed.message_handler
    for frame in frames[:1000]:
        await handle(frame, None, 1.0)
    seen = 0
    begin = process_time_ns()
    for frame in frames:
        await handle(frame, None, 1.0)
    return seen, process_time_ns() - begin


def main() -> None:
    """Measure what comes on standard input."""
    frames = sys.stdin.buffer.read().decode().splitlines()
    events, cpu = asyncio.run(measure(frames))
    sys.stdout.write(json.dumps({"frames": len(frames), "events": events, "cpu_ns": cpu}) + "\n")


if __name__ == "__main__":
    main()
