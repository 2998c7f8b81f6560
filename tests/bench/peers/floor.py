"""What reading the venue's socket and a hop over nng cost alone, in bare programs: the floor under any connector and
subscriber that work in this way.

    floor.py alone {read|trio} URL TICKERS EVENTS LATENCY SYMBOL …
    floor.py connector {read|trio} URL ADDRESS SYMBOL …
    floor.py subscriber {nng|unix} ADDRESS TICKERS EVENTS LATENCY

`read` waits in a blocking read of the socket, `trio` in trio's wait_readable. The connector hands on the bytes of each
read as one message, as they are. The subscriber waits in pynng's blocking `recv`, or reads the Unix socket itself, as
feedbus's subscriber does. Of each frame only the symbol and the bid are looked for. Nothing else is done: no
WebSocket frames, no JSON, no objects, no numbers in sequence.
"""

from __future__ import annotations

import re
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

import pynng
import trio

from feedbus.bench.turn import TurnOver, on_signal
from feedbus.bus.sp_messages import GREETING, SpMessages
from tests.bench.peers.stopwatch import Stopwatch

READ_SIZE = 65536
QUEUE = 8192  # messages; nothing is dropped
LOOK_EVERY = 0.1  # seconds between two looks whether the connector is there
FIELDS = re.compile(rb'"s":"(\w+)","b":"([\d.]+)"')

Take = Callable[[bytes], None]


class Frames:
    """Finds the frames in bytes that are cut anywhere, and gives each to the stopwatch."""

    def __init__(self, stopwatch: Stopwatch) -> None:
        self._stopwatch = stopwatch
        self._rest = b""

    def take(self, data: bytes) -> None:
        """The bytes of one read."""
        data, end = self._rest + data, 0
        for found in FIELDS.finditer(data):
            end = found.end()
            self._stopwatch.take(found[1].decode(), float(found[2]), None)
        self._rest = data[end:]


def subscribed(url: str, symbols: list[str]) -> socket.socket:
    """A socket of the venue on which nothing but data comes any more."""
    address = urlsplit(url)
    made = socket.create_connection((address.hostname or "", address.port or 0))
    streams = "/".join(f"{symbol.lower()}@bookTicker" for symbol in symbols)
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    made.sendall(f"GET {address.path}?streams={streams} HTTP/1.1\r\nHost: bench\r\n{key}\r\n\r\n".encode())
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += made.recv(READ_SIZE)
    return made


def follow(way: str, source: socket.socket, take: Take) -> None:
    """Take what is read, until the socket ends."""
    if way == "trio":
        trio.run(follow_in_trio, source, take)
    else:
        while data := source.recv(READ_SIZE):
            take(data)


async def follow_in_trio(source: socket.socket, take: Take) -> None:
    """The same in trio."""
    source.setblocking(False)
    while True:
        await trio.lowlevel.wait_readable(source)
        if not (data := source.recv(READ_SIZE)):
            return
        take(data)


def publisher(address: str) -> Take:
    """A bare Pub socket."""
    made = pynng.Pub0(send_buffer_size=QUEUE, listen=address)

    def take(data: bytes) -> None:
        pynng.lib.nng_send(made.socket, data, len(data), pynng.lib.NNG_FLAG_NONBLOCK)

    return take


def messages_of(way: str, address: str) -> Callable[[], list[bytes]]:
    """Waits for the next messages."""
    if way == "nng":
        made = pynng.Sub0(recv_buffer_size=QUEUE, topics=[b""])
        made.dial(address, block=False)
        return lambda: [made.recv()]
    pipe = socket.socket(socket.AF_UNIX)
    while pipe.connect_ex(address.removeprefix("ipc://")):
        time.sleep(LOOK_EVERY)
    pipe.sendall(GREETING)
    messages = SpMessages((b"",), READ_SIZE)
    return lambda: messages.feed(pipe.recv(READ_SIZE))


def measured(stopwatch: Stopwatch, work: Callable[[], object]) -> None:
    """Do turn after turn, until the benchmark ends this process."""
    on_signal()
    while True:
        with suppress(TurnOver):
            work()
        stopwatch.over()


def main(role: str, way: str, *rest: str) -> None:
    """Play the role."""
    if role == "connector":
        url, address, *symbols = rest
        take = publisher(address)
        follow(way, subscribed(url, symbols), take)
        return
    at, tickers, count, latency, *symbols = rest
    stopwatch = Stopwatch(int(tickers), int(count), latency == "1")
    frames = Frames(stopwatch)
    if role == "alone":
        source = subscribed(at, symbols)
        measured(stopwatch, lambda: follow(way, source, frames.take))
    else:
        messages = messages_of(way, at)

        def receive() -> None:
            while True:
                for data in messages():
                    frames.take(data)

        measured(stopwatch, receive)


if __name__ == "__main__":
    main(*sys.argv[1:])
