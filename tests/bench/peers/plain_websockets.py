"""A plain script with `websockets` and `json`, which keeps the last prices: `plain_websockets.py URL TICKERS EVENTS
LATENCY SYMBOL …`. One process is connector and subscriber.
"""

from __future__ import annotations

import asyncio  # noqa: TID251 (it is an asyncio program)
import json
import signal
import sys
from time import time_ns

from websockets.asyncio.client import connect

from tests.bench.peers.stopwatch import Stopwatch


async def follow(url: str, stopwatch: Stopwatch, symbols: tuple[str, ...]) -> None:
    """Keep the last prices until SIGTERM."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, stopwatch.over)
    last: dict[str, tuple[float, float]] = {}
    streams = "/".join(f"{symbol.lower()}@bookTicker" for symbol in symbols)
    async with connect(f"{url}?streams={streams}") as connection:
        async for message in connection:
            received = time_ns()
            data = json.loads(message)["data"]
            last[data["s"]] = (float(data["b"]), float(data["a"]))
            stopwatch.take(data["s"], last[data["s"]][0], received)


def main(url: str, tickers: str, count: str, latency: str, *symbols: str) -> None:
    """Do turn after turn, until the benchmark ends this process."""
    asyncio.run(follow(url, Stopwatch(int(tickers), int(count), latency == "1"), symbols))


if __name__ == "__main__":
    main(*sys.argv[1:])
