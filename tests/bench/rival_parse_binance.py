# mypy: disable-error-code="import-not-found, misc"
"""cryptofeed's handler of Binance, as parse_binance.py measures it. Runs in an environment that has cryptofeed.

With `--frames`, trades, or best bids and asks, come on standard input, a frame a line. With `--depth` lines of a
capture come, with the time of receipt before each frame: changes of the book, and the snapshot, which is what the
handler gets when it asks for one. One line of JSON goes out: how many frames, how many came out as events, the CPU
time, and the best prices of the book. The handler's symbols are given to it, which it would fetch otherwise; its
callbacks do nothing but count.
"""

from __future__ import annotations

import asyncio  # noqa: TID251 (cryptofeed is an asyncio library)
import json
import sys
from importlib.metadata import version
from time import process_time_ns
from typing import Any

from cryptofeed.defines import L2_BOOK, TICKER, TRADES
from cryptofeed.exchanges import Binance
from cryptofeed.symbols import Symbols

SNAPSHOT = '{"lastUpdateId"'


class Snapshot:
    """Stands in for the handler's HTTP connection."""

    def __init__(self, text: str) -> None:
        self.text = text

    async def read(self, *args: Any, **options: Any) -> str:
        return self.text


def feed_of(channels: list[str], callback: Any) -> Any:
    """The handler."""
    Symbols.set(Binance.id, {"BTC-USDT": "BTCUSDT"}, {"instrument_type": {"BTC-USDT": "spot"}})
    return Binance(symbols=["BTC-USDT"], channels=channels, callbacks=dict.fromkeys(channels, callback))


async def measure(frames: list[str]) -> dict[str, Any]:
    """A turn about trades, or best bids and asks."""
    seen = 0

    async def count(event: Any, received: float) -> None:
        nonlocal seen
        seen += 1

    handle = feed_of([TRADES, TICKER], count).message_handler
    for frame in frames[:1000]:
        await handle(frame, None, 1.0)
    seen = 0
    begin = process_time_ns()
    for frame in frames:
        await handle(frame, None, 1.0)
    return {"frames": len(frames), "events": seen, "cpu_ns": process_time_ns() - begin}


async def measure_depth(lines: list[str]) -> dict[str, Any]:
    """A turn about the book. All is played twice, to handlers of their own; the first time warms up."""
    texts = [line.partition(" ")[2] for line in lines]
    (snapshot,) = (text for text in texts if text.startswith(SNAPSHOT))
    frames = [text for text in texts if not text.startswith(SNAPSHOT)]
    said: dict[str, Any] = {}
    for _ in range(2):
        changes = 0

        async def count(book: Any, received: float) -> None:
            nonlocal changes
            changes += book.delta is not None

        feed = feed_of([L2_BOOK], count)
        feed.http_conn = Snapshot(snapshot)
        handle = feed.message_handler
        begin = process_time_ns()
        for frame in frames:
            await handle(frame, None, 1.0)
        cpu = process_time_ns() - begin
        book = feed._l2_book["BTC-USDT"].book
        best = [float(side.index(0)[0]) for side in (book.bids, book.asks)]
        said = {"frames": len(frames), "events": changes, "cpu_ns": cpu, "best": best}
    return said


def main() -> None:
    """Measure what comes on standard input."""
    lines = sys.stdin.buffer.read().decode().splitlines()
    said = asyncio.run((measure_depth if "--depth" in sys.argv else measure)(lines))
    sys.stdout.write(json.dumps({"name": f"cryptofeed {version('cryptofeed')}", **said}) + "\n")


if __name__ == "__main__":
    main()
