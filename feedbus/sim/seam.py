"""The seam between a simulated venue and what serves it. Types, protocols and plain totals alone.

A simulated venue is a package in feedbus/sim, named like the venue. The package exports two names:

    Options                the venue's own options: a subclass of SimOptions
    simulated(options)     makes a SimulatedVenue of them

feedbus/sim/server.py serves its WebSocket connections, feedbus/sim/rest.py its REST interface, and
feedbus/sim/simulations.py starts both. The venue itself is pure: its market is a MarketClock that advances step by
step, each client's connection is a Conversation, which is given what the client sends and is asked after every step
what is due, and its REST interface is a Handler. Time is an argument everywhere.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
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
    "SimOptions",
    "SimRequest",
    "SimResponse",
    "SimulatedVenue",
]

Frame = bytes | str
"""One WebSocket message. A str is sent as a text message, bytes as a binary one."""

Ending = Literal["", "close", "refuse", "abort"]
"""How a connection must be closed: not yet; with code 1000; with code 1008; by cutting it without a closing frame."""

MAX_COUNTED = 100_000
"""How many happenings of one kind are remembered at most in order to count them."""

JSON, HTML = "application/json; charset=utf-8", "text/html; charset=utf-8"


class SimOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options that every simulated venue has. The same seed, start and requests give the same bytes.

    Raises ValueError for a rate outside 1 to 1000: at less than one step a second, no venue could send as often as it
    promises. And for limits of clients that are below 1, or above what is counted.
    """

    seed: int = 1
    start_ns: int | None = None
    """The market's time at step 0, in ns since the epoch. None: the time at which the first client subscribes."""
    rate: float = 10.0
    """Market steps a second. Nothing is sent more often."""
    acts_every_s: float | None = None
    """About how many seconds pass between two acts of an instrument, and twice as many at most. None: a busy instrument
    acts at nearly every step, and every one at least once a second."""
    max_messages: int | None = None
    """How many messages, pings and pongs a connection may send in `messages_s`; None: as many as it likes. limits.py
    says what becomes of who exceeds this limit and the next ones."""
    messages_s: float = 1.0
    max_subscribes: int | None = None
    """How often all connections together may ask to subscribe or to unsubscribe in `subscribes_s`."""
    subscribes_s: float = 1.0
    max_connects: int | None = None
    """How often clients may try to connect in `connects_s`."""
    connects_s: float = 60.0
    ban_s: float = 120.0
    """Seconds for which an address is banned that exceeds a limit again and again."""

    def __post_init__(self) -> None:
        if not 1.0 <= self.rate <= 1000.0:
            raise ValueError("rate: from 1 to 1000 market steps a second")
        if self.acts_every_s is not None and not self.acts_every_s > 0:
            raise ValueError("acts_every_s: more than 0")
        for limit in (self.max_messages, self.max_subscribes, self.max_connects):
            if limit is not None and not 1 <= limit < MAX_COUNTED:
                raise ValueError(f"max_messages, max_subscribes, max_connects: from 1, and below {MAX_COUNTED}")
        if min(self.messages_s, self.subscribes_s, self.connects_s, self.ban_s) <= 0:
            raise ValueError("messages_s, subscribes_s, connects_s, ban_s: more than 0")

    @property
    def acts_every(self) -> float | None:
        """The same in steps."""
        return None if self.acts_every_s is None else max(1.0, self.acts_every_s * self.rate)


class MarketClock(Protocol):
    """The market's clock, which the WebSocket server drives.

    The server looks at `opened` after each new connection and each received message. Once it is true, the server calls
    `advance` every `step_ns`. So the venue decides what opens its market.
    """

    @property
    def opened(self) -> bool: ...

    @property
    def step(self) -> int: ...

    @property
    def step_ns(self) -> int: ...

    def advance(self) -> None: ...


class Conversation(Protocol):
    """The venue's side of one client's connection. No method raises; the frames that they return are sent in order."""

    @property
    def ending(self) -> Ending:
        """How the connection must be closed. The server looks at it after each call below; when it is set, the frames
        that were returned are sent first."""

    def receive(self, data: Frame, now_ns: int) -> Sequence[Frame]:
        """Answer a message of the client. `now_ns` is feedbus.sim.clock's time."""

    def control(self, now_ns: int) -> None:
        """The client sent a ping or a pong, which is answered elsewhere."""

    def due(self) -> Sequence[Frame]:
        """The frames that the market's newest step brings. The server leaves out steps for which the client is too
        slow, so these frames have to hold the state, not the change since the last step."""

    def goodbye(self) -> Sequence[Frame]:
        """The last frames before the server stops."""


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
        self.clients_over_limit = 0
        """Connections that were closed because a limit was exceeded on them."""
        self.clients_banned = 0
        """How often the address of the clients was banned."""
        self.handshakes_refused = 0
        """WebSockets that weren't accepted, because of a ban or of a limit."""
        self.most_messages = 0
        """The most that one connection has sent within any `messages_s`, pings and pongs included."""
        self.most_subscribes = 0
        """The most requests to subscribe and to unsubscribe within any `subscribes_s`."""
        self.most_connects = 0
        """The most attempts to connect within any `connects_s`."""


class SimRequest(msgspec.Struct, frozen=True):
    """An HTTP request. A HEAD request comes as a GET; header names are in lower case; `now_ns` is the time of
    feedbus.sim.clock."""

    method: str
    target: str
    body: bytes = b""
    headers: Mapping[str, str] = {}
    now_ns: int = 0


class SimResponse(msgspec.Struct, frozen=True):
    """An HTTP response without its framing, which is sent after `delay_s` seconds."""

    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    delay_s: float = 0.0


Handler = Callable[[SimRequest], SimResponse]
"""A REST interface. It never raises."""


class SimulatedVenue(msgspec.Struct, frozen=True, kw_only=True):
    """A venue that is ready to be served. `counters` are totals of its WebSocket server, as attributes."""

    serve: Callable[..., Awaitable[None]]
    """Serves the WebSocket connections until it is cancelled. It takes `host`, `port` and `task_status`, and starts
    with the URL to connect to. Raises OSError when it can't listen there."""
    rest: Handler
    counters: ServerCounters
