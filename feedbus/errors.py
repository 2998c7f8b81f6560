"""The errors of feedbus, sorted by whose fault they are. Pure.

FeedbusError
├── ConfigError      the operator: refuse to start, exit 2
├── BusError         the message bus: a socket that can't be bound, an unreadable message
│   └── BadAddress      not an address, or not a topic: whoever asked for it
└── VenueError       the other side, or the network to it: reconnect with a back-off, never a crash
    ├── ConnectFailed   no connection: name lookup, TCP, TLS, the WebSocket handshake
    ├── TimedOut        a deadline passed: connecting, logging in, a confirmation, a pong
    ├── BadData         bytes that break the protocol, or a message of another shape than documented
    ├── ClosedByPeer    the venue closed the connection; carries code and reason
    ├── RateLimited     the venue says that we ask too much
    └── LoginRefused    the venue refuses our credentials: not retried in a loop

Anything else that is raised is a bug of ours.
"""

from __future__ import annotations


class FeedbusError(Exception):
    """The root of every error that feedbus raises on purpose. Its text is one line, fit for an operator."""


class ConfigError(FeedbusError):
    """The configuration can't be used; the text names the place (file, line, key)."""


class BusError(FeedbusError):
    """The bus can't do what was asked, or a bus message can't be read."""


class BadAddress(BusError):
    """What was asked for is no address of a bus, or no topic."""


class CantServe(FeedbusError):
    """An address of ours can't be listened at."""


class VenueError(FeedbusError):
    """What the venue or the network did. `cause` is a stable word for counters and logs."""

    cause = "venue_error"


class ConnectFailed(VenueError):
    """No connection could be made."""

    cause = "connect_failed"


class TimedOut(VenueError):
    """A deadline passed."""

    cause = "timed_out"


class BadData(VenueError):
    """Data that breaks the venue's protocol. `place` says where: a channel and symbol, a header, a column."""

    cause = "bad_data"

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: {reason}")
        self.place = place
        self.reason = reason


class ClosedByPeer(VenueError):
    """The venue closed the connection. `code` is the WebSocket close code, 1006 when there was none."""

    cause = "closed_by_peer"

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"closed by the venue: {code} {reason}".rstrip())
        self.code = code
        self.reason = reason


class RateLimited(VenueError):
    """The venue asks for fewer connections or messages; `retry_after` is for how many seconds, None: it doesn't say."""

    cause = "rate_limited"

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class LoginRefused(VenueError):
    """The venue refuses the credentials."""

    cause = "login_refused"
