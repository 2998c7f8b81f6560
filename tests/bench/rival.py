# mypy: disable-error-code="import-not-found, misc"
"""What the hand-written rivals share: the connections, the publisher, the measuring subscriber.

They are what an expert would write for this one job: picows on asyncio, msgspec, one pyzmq message an event. No
supervision, no sequence numbers, no metrics, no reconnecting. rival_books_tuned.py is the books once more, by somebody
who has profiled them: on uvloop (a tenth cheaper where each frame is a write of its own), decoding into structs.
They run in .venv-bench, which has no feedbus; of feedbus they take nothing but the stop-watch (feedbus/bench/turn.py),
so that both sides are timed by the same code.
"""

from __future__ import annotations

import asyncio  # noqa: TID251 (the rival is an asyncio program)
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from time import time_ns
from typing import Any

import picows
import zmq

from feedbus.bench.turn import Measured, TurnOver, WarmUp, on_signal

Send = Callable[[bytes], None]
Listeners = Callable[[list[list[str]], Send], Sequence[picows.WSListener]]
Run = Callable[[Coroutine[Any, Any, None]], None]


def connector(url: str, address: str, shards: list[list[str]], listeners: Listeners, run: Run) -> None:
    """Publish what the listeners make of the frames, until SIGTERM."""
    socket = zmq.Context().socket(zmq.PUB)
    socket.setsockopt(zmq.SNDHWM, 0)  # nothing is dropped
    socket.bind(address)
    run(_listen(url, listeners(shards, socket.send)))


async def _listen(url: str, listeners: Sequence[picows.WSListener]) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    for listener in listeners:
        await picows.ws_connect(lambda listener=listener: listener, url)
    await stop.wait()


def subscriber(address: str, decode: Callable[[memoryview], Any], tickers: int, count: int, latency: bool) -> None:
    """Turn after turn, until we are killed."""
    on_signal()
    socket = zmq.Context().socket(zmq.SUB)
    socket.setsockopt(zmq.RCVHWM, 0)
    socket.connect(address)
    socket.subscribe(b"")
    while True:
        measured = Measured()
        with suppress(TurnOver):
            first = first_measured(socket.recv, decode, tickers)
            measured.received = 1
            if latency:
                note(measured, first)
                time_all(socket.recv, decode, count, measured)
            else:
                count_all(socket.recv, decode, count, measured)
        measured.done()
        measured.report()


def first_measured(receive: Callable[[], bytes], decode: Callable[[memoryview], Any], tickers: int) -> Any:
    """Take the warm-up, and the first measured event."""
    warm_up = WarmUp(tickers)
    while True:
        data = receive()
        event = decode(memoryview(data)[data.index(b"\0") + 1 :])
        if warm_up.starts([(event.symbol, event.number)]):
            return event


def note(measured: Measured, event: Any) -> None:
    """One event is here now."""
    now = time_ns()
    measured.receive.append(now - event.ts_recv)
    measured.write.append(now - event.number)


def count_all(
    receive: Callable[[], bytes], decode: Callable[[memoryview], Any], count: int, measured: Measured
) -> None:
    """Take events until there are `count`."""
    received = measured.received
    try:
        while received < count:
            data = receive()
            decode(memoryview(data)[data.index(b"\0") + 1 :])
            received += 1
    finally:
        measured.received = received


def time_all(receive: Callable[[], bytes], decode: Callable[[memoryview], Any], count: int, measured: Measured) -> None:
    """Take events until there are `count`, and note when each was here, decoded."""
    note_receive, note_write = measured.receive.append, measured.write.append
    received = measured.received
    try:
        while received < count:
            data = receive()
            event = decode(memoryview(data)[data.index(b"\0") + 1 :])
            now = time_ns()
            note_receive(now - event.ts_recv)
            note_write(now - event.number)
            received += 1
    finally:
        measured.received = received


def main(listeners: Listeners, decode: Callable[[memoryview], Any], run: Run = asyncio.run) -> None:
    """`connector URL ADDRESS CONNECTIONS SYMBOLS` or `subscriber ADDRESS TICKERS EVENTS LATENCY`."""
    if sys.argv[1] == "connector":
        url, address, connections, symbols = sys.argv[2:]
        names = [f"TQBR.T{number:04d}" for number in range(int(connections) * int(symbols))]
        shards = [names[at : at + int(symbols)] for at in range(0, len(names), int(symbols))]
        connector(url, address, shards, listeners, run)
    else:
        address, tickers, count, latency = sys.argv[2:]
        subscriber(address, decode, int(tickers), int(count), latency == "1")
