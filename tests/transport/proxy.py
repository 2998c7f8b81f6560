"""A proxy that works, on a real socket: HTTP CONNECT and SOCKS5, with or without a login. It knows names of its own."""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import trio

from feedbus.proxies import Proxy, Scheme

USER, PASSWORD = "jo@desk", "p:s3cr3t/%"


class ProxyServer:
    """Connects its clients to where `names` says that a host is: HOST:PORT on this machine.

    `asked` are the hosts and ports that clients asked for, `logins` what they showed. With a `login`, no one else gets
    through. `dribble` writes each answer byte by byte.
    """

    def __init__(
        self, names: Mapping[str, str], *, login: tuple[str, str] | None = None, dribble: bool = False
    ) -> None:
        self.asked: list[tuple[str, int]] = []
        self.logins: list[tuple[str, str]] = []
        self._names = names
        self._login = login
        self._dribble = dribble

    async def serve(self, client: trio.SocketStream) -> None:
        """One connection of a client. The first byte tells which protocol it speaks."""
        try:
            first = await exactly(client, 1)
            target = await (self._socks5(client) if first == b"\x05" else self._connect(client, first))
            if target is not None:
                await self._relay(client, target)
        except (trio.BrokenResourceError, trio.ClosedResourceError, EOFError):
            pass  # one of the two has left

    async def _connect(self, client: trio.SocketStream, head: bytes) -> trio.SocketStream | None:
        while not head.endswith(b"\r\n\r\n"):
            head += await exactly(client, 1)
        lines = head.decode().split("\r\n")
        method, target, _ = lines[0].split(" ")
        headers = dict(line.lower().split(": ", 1) if ":" not in line else line.split(": ", 1) for line in lines[1:-2])
        assert (method, headers["Host"]) == ("CONNECT", target)
        kind, _, shown = headers.get("Proxy-Authorization", "").partition(" ")
        if kind:
            user, _, password = base64.b64decode(shown).decode().partition(":")
            self.logins.append((user, password))
        if self._login is not None and self._login not in self.logins:
            await self._say(client, f"HTTP/1.1 407 {shown or 'Who are you?'}\r\nContent-Length: 0\r\n\r\n".encode())
            return None
        found = await self._open(target.rpartition(":")[0], int(target.rpartition(":")[2]))
        status = "502 It isn't there" if found is None else "200 Here you are"
        await self._say(client, f"HTTP/1.1 {status}\r\nVia: a proxy\r\n\r\n".encode())
        return found

    async def _socks5(self, client: trio.SocketStream) -> trio.SocketStream | None:
        methods = await exactly(client, (await exactly(client, 1))[0])
        if self._login is None:
            await self._say(client, b"\x05\x00")
        elif b"\x02" in methods:
            await self._say(client, b"\x05\x02")
            assert await exactly(client, 1) == b"\x01"
            user, password = [(await exactly(client, (await exactly(client, 1))[0])).decode() for _ in range(2)]
            self.logins.append((user, password))
            await self._say(client, b"\x01\x00" if (user, password) == self._login else b"\x01\x01")
            if (user, password) != self._login:
                return None
        else:
            await self._say(client, b"\x05\xff")
            return None
        assert await exactly(client, 3) == b"\x05\x01\x00"
        kind = (await exactly(client, 1))[0]
        size = {1: 4, 4: 16}.get(kind) or (await exactly(client, 1))[0]
        host = await exactly(client, size)
        name = host.decode() if kind == 3 else str(ipaddress.ip_address(host))
        found = await self._open(name, int.from_bytes(await exactly(client, 2)))
        await self._say(client, (b"\x05\x04" if found is None else b"\x05\x00") + b"\x00\x03\x05a.b.c\x00\x50")
        return found

    async def _open(self, host: str, port: int) -> trio.SocketStream | None:
        self.asked.append((host, port))
        place = self._names.get(host)
        if place is None:
            return None
        name, _, number = place.rpartition(":")
        return await trio.open_tcp_stream(name, int(number))

    async def _say(self, client: trio.SocketStream, data: bytes) -> None:
        for at in range(0, len(data), 1) if self._dribble else ():
            await client.send_all(data[at : at + 1])
        if not self._dribble:
            await client.send_all(data)

    async def _relay(self, client: trio.SocketStream, venue: trio.SocketStream) -> None:
        async def copy(source: trio.SocketStream, sink: trio.SocketStream) -> None:
            try:
                async for data in source:
                    await sink.send_all(data)
                await sink.send_eof()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                nursery.cancel_scope.cancel()

        async with client, venue, trio.open_nursery() as nursery:
            nursery.start_soon(copy, client, venue)
            nursery.start_soon(copy, venue, client)


async def exactly(stream: trio.abc.ReceiveStream, size: int) -> bytes:
    """The next bytes. EOFError when there are fewer."""
    data = b""
    while len(data) < size:
        part = await stream.receive_some(size - len(data))
        if not part:
            raise EOFError
        data += part
    return data


@asynccontextmanager
async def proxying(server: ProxyServer, scheme: Scheme, user: str = "", password: str = "") -> AsyncIterator[Proxy]:
    """The address of a proxy that runs, with what its client shows as login."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, server.serve, [listener])
        yield Proxy(scheme, "127.0.0.1", listener.socket.getsockname()[1], user, password)
        nursery.cancel_scope.cancel()
