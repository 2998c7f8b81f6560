"""The errors of feedbus, sorted by whose fault they are, because that decides what happens next. Pure.

FeedbusError
├── ConfigError         the operator has to change the configuration: feedbus refuses to start, exit status 2
├── CantServe           an address of ours can't be listened at, for instance because it is in use
├── BusError            the message bus can't do what was asked, or a bus message can't be read
│   └── BadAddress          what was asked for is no address of a bus, or no topic
├── Stuck               a part missed its own deadline again and again: it is started again
├── StartFailed         a supervisor could not start, because one of its children failed before it was up
├── Escalated           a supervisor gave up, because its children crashed too often
└── VenueError          the venue or the network failed: counted, and followed by a new attempt after a pause
    ├── ConnectFailed       no connection could be made: name lookup, TCP, TLS, the WebSocket handshake
    │   └── ProxyFailed         the proxy between us and the venue is why
    ├── TimedOut            a deadline passed: connecting, logging in, a confirmation, a pong
    ├── BadData             bytes that break the protocol, or a message of another shape than documented
    ├── ClosedByPeer        the venue closed the connection; carries the code and the reason
    ├── RateLimited         the venue says that we ask for too much
    └── LoginRefused        the venue refuses our credentials; this is not retried in a loop

Whatever else is raised is a bug of ours. It ends the part in which it is raised, and the part's supervisor starts it
again.
"""

from __future__ import annotations

import errno

READER_GONE = (errno.EPIPE, errno.EIO)
"""What an OSError says, in `errno`, when the reader of a pipe that we write to is gone, or the terminal: nobody is at
fault, and there is nothing more to do.
"""


class FeedbusError(Exception):
    """The root of every error that feedbus raises on purpose. Its text is one line, fit for an operator."""


class ConfigError(FeedbusError):
    """The configuration can't be used; the text names the place (file, line, key)."""


class BusError(FeedbusError):
    """The bus can't do what was asked, or a bus message can't be read."""


class BadAddress(BusError):
    """What was asked for is no address of a bus, or no topic."""


class CantServe(FeedbusError):
    """feedbus can't listen at one of its own addresses, for instance because the port is in use."""


class Stuck(FeedbusError):
    """A part missed its own deadline at two checks in a row, so it doesn't get on by itself."""


class StartFailed(FeedbusError):
    """A supervisor could not start: one of its children failed before it was up. The others have been stopped."""


class Escalated(FeedbusError):
    """A supervisor gave up: its children crashed too often. All of them have been stopped."""


class VenueError(FeedbusError):
    """The venue or the network failed. `cause` is a word that counters and logs use, and never changes."""

    cause = "venue_error"


class ConnectFailed(VenueError):
    """No connection could be made: name lookup, TCP, TLS or the WebSocket handshake failed."""

    cause = "connect_failed"


class ProxyFailed(ConnectFailed):
    """No connection could be made because of the proxy: it can't be reached, wants another login, doesn't answer in
    time, or refuses or fails to connect us."""

    cause = "proxy_failed"


class TimedOut(VenueError):
    """The venue did not answer before a deadline."""

    cause = "timed_out"


class Mute(VenueError):
    """A connection is open and answers, but most of what it carries has fallen silent."""

    cause = "mute"


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
    """The venue asks for fewer connections or messages. `retry_after` is the number of seconds to wait, None when the
    venue doesn't say. `banned` is whether it shuts us out because we asked too much, which lasts longer."""

    cause = "rate_limited"

    def __init__(self, reason: str, retry_after: float | None = None, *, banned: bool = False) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.banned = banned


class LoginRefused(VenueError):
    """The venue refuses our credentials. The next attempt waits long: repeated ones may lock the account."""

    cause = "login_refused"
