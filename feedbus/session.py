"""The vocabulary between a venue's pure half and its shell: what a Session is asked, and what it answers. Pure.

An Account is what all connections of one venue account share: credentials, channels, the rules for symbols.
A Session is one conversation on one connection. It is handed what happened and when, and yields Effects; it
knows no socket, no clock and no log. A Listing is one conversation over HTTP: what a venue lists, by board. A venue is
one module in feedbus/venues/ with an `Account` class.

Times: `now` is seconds of any monotonic clock, the same one in every call; `ts_recv` is nanoseconds since the
epoch, when the bytes left the socket.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, runtime_checkable

import msgspec

from feedbus.errors import BadData, VenueError
from feedbus.events import Instrument, MarketData


class Subscription(msgspec.Struct, frozen=True, order=True):
    """What is subscribed: one channel of one symbol."""

    channel: str
    symbol: str

    def __str__(self) -> str:
        return f"{self.channel} {self.symbol}"


class Send(msgspec.Struct, frozen=True):
    """Send one WebSocket message: bytes as a binary one, str as a text one."""

    data: bytes | str


class WakeAt(msgspec.Struct, frozen=True):
    """Call `tick` at this time (`now` seconds) or soon after. A later WakeAt replaces an earlier one."""

    when: float


class Ready(msgspec.Struct, frozen=True):
    """The venue took our login: the conversation is open."""


class Confirmed(msgspec.Struct, frozen=True):
    """The venue confirmed a subscription, by word or by data."""

    subscription: Subscription


class Refused(msgspec.Struct, frozen=True):
    """The venue refused or ended a subscription; the Session asks again by itself, later and later."""

    subscription: Subscription
    reason: str


class Skipped(msgspec.Struct, frozen=True):
    """A frame, or part of one, was unusable and was passed over; the conversation goes on."""

    error: BadData


class Notice(msgspec.Struct, frozen=True):
    """Something that an operator should read once."""

    text: str


class Close(msgspec.Struct, frozen=True):
    """The conversation can't go on: close the connection and make a new one."""

    error: VenueError


class Fatal(msgspec.Struct, frozen=True):
    """The venue refuses our credentials: no connection of this account will fare better."""

    reason: str


Effect = MarketData | Send | WakeAt | Ready | Confirmed | Refused | Skipped | Notice | Close | Fatal


class Session(Protocol):
    """One conversation with a venue on one connection."""

    def opened(self, now: float) -> Iterable[Effect]:
        """The WebSocket is open."""

    def frame(self, data: bytes | bytearray, ts_recv: int, now: float) -> Iterable[Effect]:
        """A whole WebSocket message came. Never raises, whatever the bytes are."""

    def tick(self, now: float) -> Iterable[Effect]:
        """The time of the last WakeAt has come (or any other time: it does no harm)."""

    def subscribe(self, symbols: Sequence[str], now: float) -> Iterable[Effect]:
        """Take these symbols too, on every channel."""

    def unsubscribe(self, symbols: Sequence[str], now: float) -> Iterable[Effect]:
        """Give these symbols up."""

    def closing(self) -> Iterable[Effect]:
        """We are about to close: the last Sends."""

    def counters(self) -> Mapping[str, int]:
        """Plain totals since the session began, by name."""

    def instruments(self) -> dict[str, int]:
        """How many symbols are in which state: wanted, sent, confirmed, live (data on every channel), refused."""


class Fetch(msgspec.Struct, frozen=True):
    """GET this path, with its query, under the base of the venue's REST interface ("/iss/…?start=0")."""

    path: str


class Listing(Protocol):
    """What a venue lists on some boards, asked page by page. Its answers may come in any order."""

    def requests(self) -> Iterable[Fetch]:
        """The first things to fetch."""

    def fetched(self, fetch: Fetch, status: int, body: bytes, ts_recv: int) -> Iterable[Fetch]:
        """The answer to one of them, whatever its HTTP status; returns what is to be fetched next. It is complete when
        every Fetch has been answered. Raises VenueError: BadData for what is no list."""

    def instruments(self) -> Sequence[Instrument]:
        """What was listed and can be subscribed, none twice, in the venue's order. Raises BadData when a board listed
        nothing."""

    def symbols(self) -> Sequence[str]:
        """Theirs."""

    def problems(self) -> Sequence[str]:
        """What an operator should know of the list: a line each."""


class Account(Protocol):
    """What the connections of one venue account share. Made from configuration, so it raises ConfigError."""

    venue: str
    subprotocols: Sequence[str]

    def __init__(self, credentials: Mapping[str, str], channels: Sequence[str]) -> None:
        """Raises ConfigError, without the place: the caller knows it. No channels means the venue's usual."""

    def check_symbol(self, symbol: str) -> str | None:
        """Why this symbol can't be subscribed, or None."""

    def session(self, symbols: Sequence[str]) -> Session:
        """A new conversation about these symbols."""


@runtime_checkable
class Lists(Account, Protocol):
    """What an Account is besides when its venue lists symbols by board. `rest` is the base of its REST interface."""

    rest: str

    @staticmethod
    def check_board(board: str) -> str | None:
        """Why the symbols of this board can't be listed, or None."""

    def listing(self, boards: Sequence[str]) -> Listing:
        """A new conversation about what these boards list; all of them have passed `check_board`."""
