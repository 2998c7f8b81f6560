"""What a change of a Binance book costs in the real service, from the venue's socket to the subscriber, part by part.

    python -m tests.bench.depth_service CAPTURE.gz

The venue (depth_venue.py) plays the changes of a capture under twenty names, `feedbus run` keeps the books and
publishes, and a subscriber receives the changes; by turns it keeps the books as well. Each is a process of its own, and
each turn has new ones. The figures are CPU microseconds a change of the book, without what starting costs, and come off
the processes' CPU clocks. What the parts of the connector cost is measured in memory, with the same messages; what is
left of the process is the socket, the WebSocket frames, the event loop and nng.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time_ns

import msgspec

from feedbus.bench.binance_listing import binance_symbol
from feedbus.bench.child_process import ChildProcess, cpu_ns, memory
from feedbus.bench.rig import ROOT
from feedbus.books.book_side import BookSide
from feedbus.bus.publisher import Publisher
from feedbus.schema.events import BookDelta, BookSnapshot, MarketData, Status
from feedbus.venues.binance.depth import DepthUpdate, decode_update, snapshot_of
from feedbus.venues.protocol import FetchResponse
from tests.bench.depth_venue import NAME, WARM_UP
from tests.bench.parse_binance import lines_of, lines_with
from tests.bench.replayed_depth import CHANNEL, SNAPSHOT, Capture, replay

WITHIN = 120.0  # seconds for each step
LOADS = {"burst": (0.0, 32), "5,000/s": (5000.0, 1)}
"""Frames a second (0: as fast as they are read), and frames in one write."""


class Turn(msgspec.Struct):
    """CPU microseconds a change, the connector's memory, and how many of the changes that were sent
    didn't come, since the book wasn't known when they came."""

    connector_us: float
    subscriber_us: float
    megabytes: float
    without_book: int


class _Message(msgspec.Struct):
    data: msgspec.Raw


# In memory


class Discard:
    """A sink that keeps nothing."""

    def send(self, message: bytes) -> None:
        """Take a message."""


def in_memory(capture: Capture, turns: int) -> dict[str, float]:
    """CPU microseconds a change, by part."""
    raws = [_payload(message.raw) for message in capture.messages]
    updates = [decode_update(raw) for raw in raws]
    events: list[BookDelta | BookSnapshot | Status] = []
    replay(capture, events.append)
    work: dict[str, Callable[[], object]] = {
        "decoding": lambda: deque(map(decode_update, raws), maxlen=0),
        "applying the levels": lambda: apply(updates, capture),
        "packing": lambda: pack(events),
    }
    decoding, applying, packing = (median(_cpu_us(part, len(raws)) for _ in range(turns)) for part in work.values())
    session = median(replay(capture).cpu_ns / len(raws) / 1000 for _ in range(turns))
    return {
        "decoding": decoding,
        "applying the levels": applying,
        "the rest of the Session: finding the stream, judging, making the event": session - decoding - applying,
        "numbering and encoding for the bus": packing,
    }


def apply(updates: Sequence[DepthUpdate], capture: Capture) -> None:
    """Apply all changes to the captured snapshot."""
    first = next(iter(capture.answers.values()))
    snapshot = snapshot_of(FetchResponse(200, first, 0), NAME)
    bids, asks = BookSide(is_bid=True), BookSide(is_bid=False)
    bids.replace(snapshot.bids, whole=False)
    asks.replace(snapshot.asks, whole=False)
    for update in updates:
        bids.update(update.bids)
        asks.update(update.asks)


def pack(events: Sequence[MarketData]) -> None:
    """Publish all, in messages that are as full as can be."""
    publisher = Publisher("bench", Discard(), linger=WITHIN, clock=time.monotonic)
    for event in events:
        publisher.publish((event,))
    publisher.flush()


def _payload(message: bytes) -> bytes:
    return bytes(msgspec.json.decode(message, type=_Message).data)


def _cpu_us(work: Callable[[], object], times: int) -> float:
    begin = process_time_ns()
    work()
    return (process_time_ns() - begin) / times / 1000


# In the service


def turn(path: Path, capture: Capture, symbols: int, load: tuple[float, int], kept: str) -> Turn:
    """Start all, play the beginning, and measure the rest."""
    warm_up = next(iter(capture.answers)) + WARM_UP
    first, last = (str(decode_update(_payload(capture.messages[at].raw)).last) for at in (warm_up - 1, -1))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="feedbus-bench-")))

        def child(name: str, module: str, *arguments: str) -> ChildProcess:
            command = [sys.executable, "-m", module, *arguments]
            made = ChildProcess(name, command, folder, {**os.environ, "PYTHONPATH": str(ROOT)})
            stack.callback(made.stop)
            return made

        venue = child("venue", "tests.bench.depth_venue", str(path), str(symbols), *map(str, load))
        port = venue.expect("port", WITHIN)["port"]
        address = f"ipc://{folder / 'events.ipc'}"
        config = folder / "bench.yaml"
        config.write_text(configuration(address, port, symbols))
        subscriber = child("subscriber", "tests.bench.depth_subscriber", address, str(symbols), first, last, kept)
        connector = child("connector", "feedbus", "run", str(config))
        venue.expect("subscribed", WITHIN)
        venue.tell("warm")
        venue.expect("sent", WITHIN)
        subscriber.expect("begun", WITHIN)
        begin = cpu_ns(connector.pid), cpu_ns(subscriber.pid)
        venue.tell("go")
        sent = venue.expect("sent", WITHIN)["sent"]
        done = subscriber.expect("done", WITHIN)
        spent = cpu_ns(connector.pid) - begin[0], done["cpu_ns"] - begin[1]
        if done["gaps"] or (kept == "books" and done["right"] != symbols):
            raise SystemExit(f"the subscriber was told of {done['gaps']} gaps, and has {done['right']} books")
        per_us = sent * 1000
        return Turn(spent[0] / per_us, spent[1] / per_us, memory(connector.pid).now, sent - done["done"])


def configuration(address: str, port: int, symbols: int) -> str:
    """The YAML for `feedbus run`."""
    names = ", ".join(binance_symbol(number) for number in range(symbols))
    return f"""
bus: {{publish: "{address}"}}
feeds:
  bench:
    venue: binance
    url: ws://127.0.0.1:{port}/stream
    rest: http://127.0.0.1:{port}
    channels: [{CHANNEL}]
    symbols: [{names}]
    sharding: {{connections: 1, per_connection: {symbols}}}
"""


def main() -> None:
    """Print a table as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.depth_service", description=__doc__.split("\n")[0])
    parser.add_argument("capture", type=Path)
    parser.add_argument("--symbols", type=int, default=20)
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    begin = f'{{"stream":"btcusdt@{CHANNEL}",'.encode()
    capture = Capture(NAME, lines_with(lines_of(options.capture), begin, SNAPSHOT))
    write = sys.stdout.write
    write("| of the connector, in memory | CPU us a change |\n|---|---:|\n")
    for name, us in in_memory(capture, options.turns).items():
        write(f"| {name} | {us:.1f} |\n")
    write("\n| load | connector | subscriber | the same, keeping the books | MB | without a book |\n")
    write("|---|---:|---:|---:|---:|---:|\n")
    for name, load in LOADS.items():
        turns = [
            turn(options.capture.resolve(), capture, options.symbols, load, kept)
            for _ in range(options.turns)
            for kept in ("plain", "books")
        ]
        plain, books = turns[::2], turns[1::2]
        cells = [
            f"{median(one.connector_us for one in turns):.1f}",
            *(f"{median(one.subscriber_us for one in some):.1f}" for some in (plain, books)),
            f"{max(one.megabytes for one in turns):.0f}",
            str(sum(one.without_book for one in turns)),
        ]
        write(f"| {name} | {' | '.join(cells)} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
