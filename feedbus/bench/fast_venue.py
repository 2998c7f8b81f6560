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
    VenueReply,
    answer,
    frame,
    market_frame,
    opening,
    slot_of,
)
from feedbus.bench.traffic import TRAFFIC, TrafficName, Write, even_writes, real_writes
from feedbus.bench.turn import say

POOL = 2000  # frames that are built beforehand for all connections together, at least one for each ticker
LOOK_EVERY = 0.25  # seconds between two reads of what clients say (pings, closes) while events are sent
RECEIVE = 65536  # bytes of one read
WRITE_TIMEOUT = 30.0  # seconds after which a client that doesn't read ends the run
SLOT_EXAMPLE = 10**18  # it has as many digits as the times that will overwrite it


class Orders(NamedTuple):
    """What to serve: `symbols` tickers on each of `connections` connections. Each `go` sends `events` events in all, at
    `rate` a second (0: as fast as they are read), with `frames_per_write` frames of one connection in one write; or in
    groups as in this `traffic`."""

    protocol: Protocol
    connections: int
    symbols: int
    events: int
    rate: float
    frames_per_write: int
    traffic: TrafficName | None = None


class Block(NamedTuple):
    """Frames that are ready to be sent: their bytes, where the slot of each begins, and where each ends."""

    data: bytearray
    slots: list[int]
    ends: list[int]

    def stamped(self, begin: int, end: int, digits: bytes) -> memoryview:
        """The bytes of the frames from the one with the number `begin` to the one before `end`, with these digits in
        every slot. They are valid until the next call."""
        data, size = self.data, len(digits)
        for at in self.slots[begin:end]:
            data[at : at + size] = digits
        return memoryview(data)[self.ends[begin - 1] if begin else 0 : self.ends[end - 1]]


def block_of(frames: Sequence[SlottedFrame]) -> Block:
    """Join frames."""
    data, slots, ends = bytearray(), [], []
    for one, slot in frames:
        slots.append(len(data) + slot)
        data += one
        ends.append(len(data))
    return Block(data, slots, ends)


def writes(orders: Orders) -> Iterator[Write]:
    """When the venue writes, and how many frames at once, without end."""
    if orders.traffic is None:
        return even_writes(orders.rate, orders.frames_per_write)
    return real_writes(TRAFFIC[orders.traffic], orders.rate)


class VenueClient:
    """One connection: what it subscribed to, and the frames that are ready to be sent to it."""

    def __init__(self, connection: socket.socket, orders: Orders) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(WRITE_TIMEOUT)
        self.socket = connection
        self.subscribed: list[str] = []
        self._block = block_of([])
        self._next = 0  # the frame of the block that is sent next
        self._protocol = orders.protocol
        self._listed = orders.connections * orders.symbols
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
            self._head = None
            if not self._reply(opening(self._protocol, head, self._listed)):
                return False
        return all(self._answer(opcode, payload) for opcode, payload in self._frames.feed(data))

    def _answer(self, opcode: int, payload: bytes) -> bool:
        if opcode == PING:
            self.socket.sendall(frame(payload, PONG))
        elif opcode == CLOSE:
            self.socket.sendall(frame(payload, CLOSE))
            return False
        elif opcode != PONG:
            return self._reply(answer(self._protocol, payload))
        return True

    def _reply(self, said: VenueReply) -> bool:
        """Send what the venue says. Returns whether the conversation goes on."""
        self.subscribed += said.subscribed
        self.socket.sendall(said.data)
        return not said.over

    def prepare(self, rounds: int) -> None:
        """Build the frames: `rounds` events of every ticker of this connection."""
        now = time.time_ns() // 1_000_000
        names = self.subscribed * rounds
        self._block = block_of(
            [market_frame(self._protocol, name, at, now, SLOT_EXAMPLE) for at, name in enumerate(names)]
        )

    def send(self, count: int) -> int:
        """Send the next `count` frames in one write, or all if there are fewer, with the time in their slots. Returns
        how many. Begins anew with the first where too few are left."""
        built = len(self._block.ends)
        begin = self._next if self._next + count <= built else 0
        self._next = end = min(begin + count, built)
        self.socket.sendall(self._block.stamped(begin, end, slot_of(self._protocol, time.time_ns())))
        return end - begin

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
                client.prepare(rounds)
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
        """Send the measured events, to one connection after the other. Returns how many were sent, and in how many
        seconds."""
        wanted, sent = self.orders.events, 0
        began = looked = time.perf_counter()
        for client, write in zip(self._by_turns(), writes(self.orders), strict=False):
            now = time.perf_counter()
            if (ahead := began + write.due - now) > 0:
                time.sleep(ahead)
            if now - looked > LOOK_EVERY:
                looked = now
                self.serve_ready(timeout_ms=0)
            sent += client.send(min(write.frames, wanted - sent))
            if sent == wanted:
                break
        return {"sent": sent, "seconds": time.perf_counter() - began}

    def _by_turns(self) -> Iterator[VenueClient]:
        while self.clients:
            yield from list(self.clients)


if __name__ == "__main__":
    FastVenue(Orders(**json.loads(sys.argv[1]))).run()
