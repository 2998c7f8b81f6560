"""A Binance that plays the depth of a capture, under as many names as it is asked for, and answers with snapshots.

    python -m tests.bench.depth_venue CAPTURE.gz SYMBOLS RATE FRAMES_PER_WRITE

It is a process of its own that works on raw sockets and builds its frames beforehand, like the venue of `feedbus
bench`, and talks in the same lines: {"port": …}, {"subscribed": …}, and an answer to each command. `warm` plays the
beginning, up to a little behind the captured snapshot, and `go` the rest, RATE frames a second (0: as fast as they are
read). All names are served on one connection, and every message is played for all of them before the next one.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from feedbus.bench.binance_listing import binance_symbol
from feedbus.bench.slotted_frames import TEXT, ClientFrames, answer, frame, opening
from feedbus.bench.turn import say
from tests.bench.parse_binance import lines_of, lines_with
from tests.bench.replayed_depth import CHANNEL, SNAPSHOT, snapshots

NAME = "BTCUSDT"
SNAPSHOT_EVERY = 25  # messages
WARM_UP = 4 * SNAPSHOT_EVERY  # messages behind the captured snapshot that are played before the measurement
RECEIVE = 65536


class DepthVenue:
    """The server."""

    def __init__(self, capture: Path, symbols: int, rate: float, frames_per_write: int) -> None:
        begin = f'{{"stream":"btcusdt@{CHANNEL}",'.encode()
        found = [line.partition(b" ")[2] for line in lines_with(lines_of(capture), begin, SNAPSHOT)]
        place = next(number for number, raw in enumerate(found) if raw.startswith(SNAPSHOT))
        messages = found[:place] + found[place + 1 :]
        self._snapshots = dict(snapshots(found[place], messages, range(place, len(messages) + 1, SNAPSHOT_EVERY)))
        self._rate, self._frames_per_write = rate, frames_per_write
        names = [binance_symbol(number) for number in range(symbols)]
        self._symbols = len(names)
        self._frames = [frame(_named(raw, name), TEXT) for raw in messages for name in names]
        self._next = 0
        self._warm = (place + WARM_UP) * self._symbols
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._heads: dict[socket.socket, bytes] = {}  # of clients that haven't asked yet
        self._feed: socket.socket | None = None
        self._feed_reads = ClientFrames()
        self._subscribed: set[str] = set()

    def run(self) -> None:
        """Serve until standard input ends."""
        say(port=self._listener.getsockname()[1])
        while True:
            self._serve(None)
            if select.select([sys.stdin], [], [], 0)[0]:
                line = sys.stdin.readline().strip()
                if not line:
                    return
                say(sent=self._play(self._warm if line == "warm" else len(self._frames)))

    def _play(self, end: int) -> int:
        """Play the frames up to this one. Returns how many those were."""
        begin, began = self._next, time.perf_counter()
        feed = self._feed
        while feed is not None and self._next < end:
            due = began + (self._next - begin) / self._rate if self._rate else 0.0
            if (ahead := due - time.perf_counter()) > 0:
                time.sleep(ahead)
            stop = min(self._next + self._frames_per_write, end)
            feed.sendall(b"".join(self._frames[self._next : stop]))
            self._next = stop
            self._serve(0)
        return self._next - begin

    def _serve(self, timeout: float | None) -> None:
        """Answer all that is asked by now; wait for so many seconds if nothing is (None: without end)."""
        sources = [sys.stdin, self._listener, *self._heads, *([self._feed] if self._feed else [])]
        for ready in select.select(sources, [], [], timeout)[0]:
            if ready is self._listener:
                self._heads[self._listener.accept()[0]] = b""
            elif ready is self._feed and self._feed is not None:
                self._hear(self._feed)
            elif isinstance(ready, socket.socket):
                self._asked(ready)

    def _hear(self, feed: socket.socket) -> None:
        data = feed.recv(RECEIVE)
        if not data:
            raise SystemExit("the client has gone")
        for opcode, payload in self._feed_reads.feed(data):
            if opcode == TEXT:
                said = answer("binance", payload)
                feed.sendall(said.data)
                self._subscribed.update(said.subscribed)
                if said.subscribed and len(self._subscribed) == self._symbols:
                    say(subscribed=self._symbols)

    def _asked(self, client: socket.socket) -> None:
        data = client.recv(RECEIVE)
        head = self._heads.pop(client) + data
        if data and b"\r\n\r\n" not in head:
            self._heads[client] = head
            return
        address = urlsplit(head.split(b" ", 2)[1].decode()) if data else urlsplit("")
        if address.path == "/api/v3/depth":
            client.sendall(_answered(self._snapshot()))
        elif address.path == "/api/v3/ticker/24hr":
            client.sendall(_answered(b"[]"))
        elif data:
            said = opening("binance", head, self._symbols)
            client.sendall(said.data)
            if not said.over:
                self._feed = client
                return
        client.close()

    def _snapshot(self) -> bytes:
        """The next one of those that were made: it is at most so many messages newer than the stream."""
        played = self._next // self._symbols
        return self._snapshots[next((at for at in sorted(self._snapshots) if at >= played), max(self._snapshots))]


def _named(raw: bytes, name: str) -> bytes:
    """The message under another name."""
    return raw.replace(b'"btcusdt@', f'"{name.lower()}@'.encode(), 1).replace(
        f'"s":"{NAME}"'.encode(), f'"s":"{name}"'.encode(), 1
    )


def _answered(body: bytes) -> bytes:
    lines = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{lines}Connection: close\r\n\r\n".encode() + body


if __name__ == "__main__":
    DepthVenue(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])).run()
