"""The seam between a connector and a WebSocket library: what every transport must offer.

A transport is a Dial: an async context manager that opens one connection and yields it as a Connection. Failures of the
peer and of the network are raised as a VenueError (ConnectFailed, RateLimited, TimedOut, BadData or ClosedByPeer). No
exception of a library leaves a transport, so that a connector treats all transports alike.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from feedbus.proxies import Proxy
from feedbus.transport.rounds import Rounds


def _uncounted() -> None:
    """Nobody counts pings and pongs."""


class DialOptions(msgspec.Struct, frozen=True):
    """How to connect. Times are in seconds, sizes in bytes.

    subprotocols      offered to the server, which chooses one of them or none (RFC 6455, section 1.9)
    tls               for wss:// only; None trusts the system's certificate authorities
    proxy             the proxy that the connection is made through; None connects directly
    connect_timeout   bounds the whole opening: name lookup, TCP, TLS and WebSocket handshake. A proxy has half of it
    ping_interval     the time between two of our pings; infinity means that no ping is sent. From 10 s on a ping may
                      come up to a second sooner, so that many connections ping together (feedbus/ticks.py)
    ping_timeout      how late a pong may be before the connection is ended with TimedOut
    close_timeout     how long leaving a connection may wait for the peer's close frame
    max_message_size  a message from the peer that is larger ends the connection with BadData
    compression       offers permessage-deflate (RFC 7692), which the server may accept or decline; a transport that
                      can't do it raises ConfigError. It saves bandwidth and costs CPU time and memory: see
                      docs/transports.md
    rounds            when given, the sockets of all connections that share it are read together, in rounds
    control_sent      called for each ping of ours and each pong, because some venues count them; it must not raise
    """

    subprotocols: tuple[str, ...] = ()
    tls: ssl.SSLContext | None = None
    proxy: Proxy | None = None
    connect_timeout: float = 10.0
    ping_interval: float = 20.0
    ping_timeout: float = 20.0
    close_timeout: float = 2.0
    max_message_size: int = 4 * 1024 * 1024
    compression: bool = False
    rounds: Rounds | None = None
    control_sent: Callable[[], None] = _uncounted


class Connection(Protocol):
    """One open WebSocket. One task receives; any task may send."""

    @property
    def bytes_received(self) -> int:
        """The bytes that have come from the socket since the handshake."""

    @property
    def messages_received(self) -> int:
        """The number of messages that `receive` has returned."""

    async def receive(self) -> tuple[list[bytes | bytearray], int]:
        """Wait for data. Returns one or more whole messages in the order received, and the time at which the last of
        their bytes was read from the socket, in nanoseconds since the Unix epoch.

        A text message is returned as its UTF-8 bytes, which have been validated (RFC 6455, section 8.1). Cancelling
        loses no message.

        Raises TimedOut (a pong is overdue), BadData (the peer violated the protocol, sent too large a message, or text
        that isn't UTF-8) or ClosedByPeer. All messages that came before the failure are returned first.
        """

    async def send(self, messages: Sequence[bytes | str]) -> None:
        """Send whole messages in one write: bytes as binary messages, str as text messages.

        Cancelling before the write has begun does no harm. Cancelling during the write ends the connection, because the
        peer may have received a part of a frame. Raises ClosedByPeer when the connection is closed, or whatever failure
        `receive` raises.
        """


class Dial(Protocol):
    """Opens a connection to `url` (ws:// or wss://). Leaving the context closes it by the closing handshake (RFC 6455,
    section 7.1.2), within close_timeout.

    An exception that the body raises leaves the context unchanged, never wrapped in an exception group, although the
    transport runs tasks of its own in the background.
    """

    def __call__(self, url: str, options: DialOptions) -> AbstractAsyncContextManager[Connection]:
        """Entering the context raises ConnectFailed or TimedOut, and ConfigError when `url` isn't a WebSocket URL or
        the transport can't do what the options ask for."""
