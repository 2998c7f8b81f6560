"""The benchmark's venue: a WebSocket server in a process of its own that sends events at a chosen rate.

It must cost less than what it measures, so it works on raw sockets and builds its frames beforehand. It has one thread
and its writes block: a slow reader slows it down, and nothing piles up inside it.

It is started as `python -m feedbus.bench.fast_venue ORDERS`, with the fields of Orders as JSON, and talks in lines. It
prints {"port": …}, and {"subscribed": …} as soon as all tickers are subscribed on all connections. It then reads
commands from standard input and answers each with one line: `warm N` sends one event of every ticker with the number N
in its slot, `go` sends the events that are measured, with the time of the write in their slots. It ends when its
standard input ends.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from feedbus.bench.slotted_frames import (
    CLOSE,
    PING,
    PONG,
    ClientFrames,
    Protocol,
    SlottedFrame,
    answer,
    frame,
    handshake,
    market_frame,
)
from feedbus.bench.turn import say

POOL = 2000  # frames that are built beforehand for all connections together, at least one for each ticker
LOOK_EVERY = 0.25  # seconds between two reads of what clients say (pings, closes) while events are sent
RECEIVE = 65536  # bytes of one read
WRITE_TIMEOUT = 30.0  # seconds after which a client that doesn't read ends the run
SLOT_EXAMPLE = 10**18  # it has as many digits as the times that will overwrite it


class Orders(NamedTuple):
    """What to serve: `symbols` tickers on each of `connections` connections. Each `go` sends `events` events in all, at
    `rate` a second (0: as fast as they are read), with `frames_per_write` frames of one connection in one write."""

    protocol: Protocol
    connections: int
    symbols: int
    events: int
    rate: float
    frames_per_write: int


class Block(NamedTuple):
    """The frames of one write: their bytes, where the slot of each begins, and where each ends."""

    data: bytearray
    slots: list[int]
    ends: list[int]


def block_of(frames: Sequence[SlottedFrame]) -> Block:
    """Join frames into the bytes of one write."""
    data, slots, ends = bytearray(), [], []
    for one, slot in frames:
        slots.append(len(data) + slot)
        data += one
        ends.append(len(data))
    return Block(data, slots, ends)


def stamp(block: Block, digits: bytes) -> None:
    """Overwrite every slot of the block with the same digits."""
    data, size = block.data, len(digits)
    for at in block.slots:
        data[at : at + size] = digits


class VenueClient:
    """One connection: what it subscribed to, and the blocks that are ready to be sent to it."""

    def __init__(self, connection: socket.socket, orders: Orders) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(WRITE_TIMEOUT)
        self.socket = connection
        self.subscribed: list[str] = []
        self.blocks: list[Block] = []
        self._protocol = orders.protocol
        self._head: bytes | None = b""
        self._frames = ClientFrames()

    def readable(self) -> bool:
        """Read from the client and answer it. Returns False when the client has gone."""
        try:
            data = self.socket.recv(RECEIVE)
        except ConnectionError:
            return False
        if not data:
            return False
        if self._head is not None:
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return True
            self.socket.sendall(handshake(head))
            self._head = None
        return all(self._answer(opcode, payload) for opcode, payload in self._frames.feed(data))

    def _answer(self, opcode: int, payload: bytes) -> bool:
        if opcode == PING:
            self.socket.sendall(frame(payload, PONG))
        elif opcode == CLOSE:
            self.socket.sendall(frame(payload, CLOSE))
            return False
        elif opcode != PONG:
            said = answer(self._protocol, payload)
            self.subscribed += said.subscribed
            self.socket.sendall(said.data)
        return True

    def prepare(self, rounds: int, frames_per_write: int) -> None:
        """Build the blocks: `rounds` events of every ticker of this connection."""
        now = time.time_ns() // 1_000_000
        names = self.subscribed * rounds
        frames = [market_frame(self._protocol, name, at, now, SLOT_EXAMPLE) for at, name in enumerate(names)]
        self.blocks = [block_of(frames[at : at + frames_per_write]) for at in range(0, len(frames), frames_per_write)]

    def send_warmup(self, number: int) -> None:
        """Send one event of every ticker, with `number` in its slot."""
        now = time.time_ns() // 1_000_000
        frames = [market_frame(self._protocol, name, at, now, number).data for at, name in enumerate(self.subscribed)]
        self.socket.sendall(b"".join(frames))


class FastVenue:
    """The server: it accepts the connections and carries out the commands."""

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        self.clients: list[VenueClient] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._poll = select.poll()
        self._poll.register(self._listener, select.POLLIN)
        self._by_fd: dict[int, VenueClient] = {}
        self._announced = False

    @property
    def port(self) -> int:
        """The TCP port on which it listens."""
        return int(self._listener.getsockname()[1])

    def run(self) -> None:
        """Serve until standard input ends. Commands are obeyed one after the other."""
        say(port=self.port)
        commands = sys.stdin.fileno()
        self._poll.register(commands, select.POLLIN)
        while True:
            if commands in self.serve_ready(timeout_ms=None):
                line = sys.stdin.readline().split()
                if not line:
                    return
                self.carry_out(line)

    def carry_out(self, line: list[str]) -> None:
        """Carry out one command, and answer it with one line."""
        if line[0] == "warm":
            for client in self.clients:
                client.send_warmup(int(line[1]))
            say(warmed=int(line[1]))
        else:
            say(**self.send())

    def serve_ready(self, timeout_ms: int | None) -> list[int]:
        """Wait for at most `timeout_ms` (None: without end), accept new clients, and answer those that said something.
        Returns the file descriptors that could be read."""
        ready = [fd for fd, _ in self._poll.poll(timeout_ms)]
        for fd in ready:
            if fd == self._listener.fileno():
                self._accept()
            elif fd in self._by_fd and not self._by_fd[fd].readable():
                self._drop(fd)
        if not self._announced and self._complete():
            self._announced = True
            rounds = max(1, POOL // (self.orders.connections * self.orders.symbols))
            for client in self.clients:
                client.prepare(rounds, self.orders.frames_per_write)
            say(subscribed=self._subscribed())
        return ready

    def close(self) -> None:
        """Stop listening."""
        self._listener.close()

    def _subscribed(self) -> int:
        return sum(len(client.subscribed) for client in self.clients)

    def _complete(self) -> bool:
        return self._subscribed() == self.orders.connections * self.orders.symbols

    def _accept(self) -> None:
        client = VenueClient(self._listener.accept()[0], self.orders)
        self.clients.append(client)
        self._by_fd[client.socket.fileno()] = client
        self._poll.register(client.socket, select.POLLIN)

    def _drop(self, fd: int) -> None:
        client = self._by_fd.pop(fd)
        self._poll.unregister(fd)
        client.socket.close()
        self.clients.remove(client)

    def send(self) -> dict[str, Any]:
        """Send the measured events, a block to each connection in turn. Returns how many were sent, and in how many
        seconds."""
        rate, left = self.orders.rate, self.orders.events
        began = looked = time.perf_counter()
        sent = 0
        for client, block in self._blocks():
            count = min(len(block.slots), left - sent)
            stamp(block, b"%d" % time.time_ns())
            client.socket.sendall(block.data if count == len(block.slots) else block.data[: block.ends[count - 1]])
            sent += count
            if sent == left:
                break
            now = time.perf_counter()
            if rate and (ahead := began + sent / rate - now) > 0:
                time.sleep(ahead)
            if now - looked > LOOK_EVERY:
                looked = now
                self.serve_ready(timeout_ms=0)
        return {"sent": sent, "seconds": time.perf_counter() - began}

    def _blocks(self) -> Iterator[tuple[VenueClient, Block]]:
        turn = 0
        while self.clients:
            for client in self.clients:
                yield client, client.blocks[turn % len(client.blocks)]
            turn += 1


if __name__ == "__main__":
    FastVenue(Orders(**json.loads(sys.argv[1]))).run()
