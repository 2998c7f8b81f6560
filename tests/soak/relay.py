"""A TCP relay that is a bad network: it cuts, resets and stalls the connections that go through it, and refuses new
ones for a while. What it does is drawn from a seeded generator.
"""

from __future__ import annotations

import random
import socket
import struct
from collections import Counter
from functools import partial

import trio

CHUNK = 64 * 1024
FAULTS = ["cut", "cut", "reset", "reset", "hiccup", "hiccup", "stall", "stall", "cut all", "refuse"]
PAUSES = (0.5, 4.0)  # seconds between two faults
HICCUP = 2.0  # seconds, which the service should get over
STALL = 60.0  # seconds, which it should not wait for
REFUSE = 8.0  # seconds without a new connection
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with a RST


class Link:
    """One connection, both ways."""

    def __init__(self, client: trio.SocketStream) -> None:
        self._client = client
        self._scope = trio.CancelScope()
        self._open = trio.Event()
        self._open.set()

    async def run(self, port: int) -> None:
        """Until either side closes, or it is cut."""
        with self._scope:
            async with await trio.open_tcp_stream("127.0.0.1", port) as venue, trio.open_nursery() as nursery:
                nursery.start_soon(self._pump, self._client, venue)
                nursery.start_soon(self._pump, venue, self._client)

    def cut(self, *, reset: bool = False) -> None:
        if reset:
            self._client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._scope.cancel()

    async def stall(self, seconds: float) -> None:
        """Nothing goes through for a while, and nobody is told."""
        self._open = trio.Event()
        await trio.sleep(seconds)
        self._open.set()

    async def _pump(self, source: trio.SocketStream, target: trio.SocketStream) -> None:
        try:
            async for data in source:
                await self._open.wait()
                await target.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        self._scope.cancel()


class Relay:
    """Between the service and the venue at `port`."""

    def __init__(self, port: int, seed: int) -> None:
        self.faults: Counter[str] = Counter()
        self.accepted = 0
        self._port = port
        self._random = random.Random(seed)
        self._links: set[Link] = set()
        self._refusing = False

    async def serve(self, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
        """Relay until cancelled; starts with the port to connect to."""
        async with trio.open_nursery() as nursery:
            serve = partial(trio.serve_tcp, self._relay, 0, host="127.0.0.1")
            listeners: list[trio.SocketListener] = await nursery.start(serve)
            task_status.started(listeners[0].socket.getsockname()[1])

    async def _relay(self, client: trio.SocketStream) -> None:
        link = Link(client)
        if self._refusing:
            link.cut(reset=True)
        self.accepted += 1
        self._links.add(link)
        try:
            await link.run(self._port)
        finally:
            self._links.discard(link)

    async def misbehave(self) -> None:
        """Do harm until cancelled; what was begun is undone then."""
        try:
            async with trio.open_nursery() as nursery:
                while True:
                    await trio.sleep(self._random.uniform(*PAUSES))
                    fault = self._random.choice(FAULTS)
                    if self._links:
                        self.faults[fault] += 1
                        nursery.start_soon(self._do, fault)
        finally:
            self._refusing = False
            for link in list(self._links):
                link.cut()

    async def _do(self, fault: str) -> None:
        link = self._random.choice(sorted(self._links, key=id))
        match fault:
            case "cut" | "reset":
                link.cut(reset=fault == "reset")
            case "hiccup" | "stall":
                await link.stall(HICCUP if fault == "hiccup" else STALL)
            case "cut all":
                for each in list(self._links):
                    each.cut()
            case "refuse":
                self._refusing = True
                link.cut(reset=True)
                await trio.sleep(REFUSE)
                self._refusing = False
