"""The seam between a connector and a WebSocket library.

An implementation is an async context manager that opens one connection and yields a Connection. Whatever the
peer or the network does ends in a VenueError (ConnectFailed, TimedOut, BadData, ClosedByPeer), never in a
library's own exception.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from feedbus.transport.rounds import Rounds


class DialOptions(msgspec.Struct, frozen=True):
    """How to connect. Times are in seconds, sizes in bytes. A pong that is overdue ends the connection.

    `tls` is for wss:// only; without it the system's authorities are trusted. `connect_timeout` is for all of the
    opening: name lookup, TCP, TLS, handshake. `compression` offers permessage-deflate (RFC 7692), which the server may
    take or not; a transport that can't do it raises ConfigError. It saves the network and costs time and memory: see
    docs/transports.md. With `rounds` the sockets of many connections are read together.
    """

    subprotocols: tuple[str, ...] = ()
    tls: ssl.SSLContext | None = None
    connect_timeout: float = 10.0
    ping_interval: float = 20.0
    ping_timeout: float = 20.0
    close_timeout: float = 2.0
    max_message_size: int = 4 * 1024 * 1024
    compression: bool = False
    rounds: Rounds | None = None


class Connection(Protocol):
    """One open WebSocket. One task receives; any task may send."""

    @property
    def bytes_received(self) -> int:
        """Since the handshake."""

    @property
    def messages_received(self) -> int:
        """Handed out by `receive`."""

    async def receive(self) -> tuple[list[bytes | bytearray], int]:
        """Wait for data; returns one or more whole messages in order, and the time (ns since the epoch) at which
        the last of their bytes left the socket. Text messages come as valid UTF-8 bytes. Safe to cancel.

        Raises TimedOut (no pong in time), BadData (protocol broken, too large, text that isn't UTF-8) or
        ClosedByPeer; every message before the failure has been returned by then.
        """

    async def send(self, messages: Sequence[bytes | str]) -> None:
        """Send whole messages in one write, bytes as binary and str as text.

        Cancelled before the write has begun it does no harm; cancelled half way it ends the connection.
        Raises ClosedByPeer when the connection is gone, or the failure that `receive` raises.
        """


class Dial(Protocol):
    """Opens a connection to `url` (ws:// or wss://); leaving the context closes it cleanly, in close_timeout.

    What the body raises leaves the context as itself, never in a group.
    """

    def __call__(self, url: str, options: DialOptions) -> AbstractAsyncContextManager[Connection]:
        """Raises ConnectFailed or TimedOut on entering, ConfigError when `url` isn't a WebSocket URL or the transport
        can't do what the options ask."""
