"""What a simulated venue is to the servers that serve it (server.py, rest.py). Types and protocols alone.

A venue is pure: a Market that goes step by step, and for each client a Conversation, which is given what the client
sends and asked at every step what is due. Its REST interface is a Handler. Time is an argument everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

import msgspec

__all__ = [
    "HTML",
    "JSON",
    "Conversation",
    "Ending",
    "Frame",
    "Handler",
    "MarketClock",
    "ServerCounters",
    "SimRequest",
    "SimResponse",
]

Frame = bytes | str
"""One WebSocket message; a str is sent as a text frame, bytes as a binary one."""

Ending = Literal["", "close", "refuse", "abort"]
"""How a connection must be closed: not yet; with code 1000; with code 1008; by cutting it without a closing frame."""

JSON, HTML = "application/json; charset=utf-8", "text/html; charset=utf-8"


class MarketClock(Protocol):
    """The market's clock. The server calls `advance` once every `step_ns` from the moment that `opened` is true,
    which it looks at after each new conversation and each received message: the venue decides what opens it."""

    @property
    def opened(self) -> bool: ...

    @property
    def step(self) -> int: ...

    @property
    def step_ns(self) -> int: ...

    def advance(self) -> None: ...


class Conversation(Protocol):
    """One client's connection. None of its methods raise; what they return is sent in order."""

    @property
    def ending(self) -> Ending:
        """Looked at after each call below; once set, what was returned is sent and the connection closed."""

    def receive(self, data: Frame, now_ns: int) -> Sequence[Frame]:
        """The client sent a message, at this time by the wall clock; the answers to it."""

    def due(self) -> Sequence[Frame]:
        """What the market's newest step brings. Not called at a step that the client is too slow for, so the state
        has to be told, not the change since the last step."""

    def goodbye(self) -> Sequence[Frame]:
        """What is said last when the server stops."""


class ServerCounters:
    """Plain totals over all connections of a WebSocket server."""

    def __init__(self) -> None:
        self.connections = 0
        self.connections_open = 0
        self.connections_broken = 0
        self.connections_cut = 0
        self.frames_received = 0
        self.frames_sent = 0
        self.bytes_sent = 0
        self.errors_sent = 0
        self.logins_refused = 0
        self.subscriptions = 0
        self.steps = 0
        self.steps_skipped = 0
        self.conflations = 0


class SimRequest(msgspec.Struct, frozen=True):
    """An HTTP request. A HEAD comes as a GET; header names are in lower case; `now_ns` is the wall clock."""

    method: str
    target: str
    body: bytes = b""
    headers: Mapping[str, str] = {}
    now_ns: int = 0


class SimResponse(msgspec.Struct, frozen=True):
    """An HTTP response without its framing."""

    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


Handler = Callable[[SimRequest], SimResponse]
"""A REST interface. Never raises."""
