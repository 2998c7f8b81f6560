"""What the simulation has to know of a simulated venue: how it speaks, and what its market is. Types and helpers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from feedbus.schema.events import BookSnapshot, MarketData, Quote, Ticker, Trade
from feedbus.sim.seam import Conversation, Frame, ServerCounters, SimRequest, SimResponse
from feedbus.testing.determinism import EPOCH_NS
from feedbus.testing.truth.oracle import Picture

LEVELS = 5
"""How many levels of each side of a book are compared."""

START_NS = EPOCH_NS + 38_800_000_000_000
"""The time at the beginning, in ns since the epoch: 2023-11-15 09:00:00 UTC, a Wednesday, at noon in Moscow."""

STEP_S = 0.5
"""Seconds between two steps of a market. It is exact in binary, so that no time is rounded."""


class Carried(NamedTuple):
    """What a message of the venue is about: the venue's name of the subscription, our symbol, and the topic words of
    what becomes of it."""

    name: str
    symbol: str
    words: tuple[str, ...]


class News(NamedTuple):
    """The picture that the market of an instrument has now, in one word. `told` is whether clients are told now."""

    symbol: str
    word: str
    picture: Picture
    told: bool = True


class LineMemory:
    """What is remembered of one connection: its subscriptions, by the venue's names of them."""

    def __init__(self) -> None:
        self.topics: dict[str, Carried] = {}


class ProbedVenue(Protocol):
    """A simulated venue, as the simulation needs it."""

    @property
    def name(self) -> str: ...

    @property
    def url(self) -> str: ...

    @property
    def words(self) -> tuple[str, ...]:
        """The topic words of the channels that are subscribed."""

    @property
    def symbols(self) -> tuple[str, ...]: ...

    @property
    def damage_shows(self) -> bool:
        """Whether a damaged message still shows which subscription it belongs to."""

    @property
    def counters(self) -> ServerCounters:
        """What the venue itself has counted."""

    def settings(self) -> Mapping[str, Any]:
        """What the FeedConfig has besides what all venues have."""

    def advance(self) -> Iterable[News]:
        """Move the market by one step, and say what has changed."""

    def news(self) -> Iterable[News]:
        """All there is to say of the market now."""

    def converse(self, target: str, now_ns: int) -> Conversation | int | None:
        """The venue's side of a new connection, or the HTTP status with which it is refused."""

    def opened(self, memory: LineMemory) -> None:
        """A connection is open now."""

    def closed(self, memory: LineMemory) -> None:
        """The venue has seen the end of a connection."""

    def rest(self, request: SimRequest) -> SimResponse:
        """Answer a request over HTTP."""

    def heard(self, memory: LineMemory, message: bytes | str) -> set[str]:
        """The feed has sent this. Returns the names of the subscriptions that it begins anew."""

    def topic(self, memory: LineMemory, frame: Frame) -> Carried | None:
        """What a message of the venue is about; None when it brings no data."""

    def cells(self, frame: Frame) -> frozenset[str] | None:
        """The values that a message tells; None when it tells all there is."""

    def damaged(self, frame: Frame) -> Frame:
        """A message that was damaged on its way."""

    def is_dated(self, topic: Carried) -> bool:
        """Whether the messages of a subscription have a time or a number, by which an old one can be known."""

    def misdirected(self, memory: LineMemory, topic: Carried, frame: Frame) -> Frame | None:
        """A message in this subscription about another instrument; None where messages name no instrument."""

    def refuse_logins(self, *, refused: bool) -> None:
        """Refuse all logins, or accept them again."""

    def ban(self, seconds: float, now_ns: int) -> None:
        """Ban the address of the feed, where the venue itself can do that."""

    def picture(self, event: MarketData) -> Picture:
        """What an event of the feed shows, in the form of News.picture."""

    def over_budget(self) -> Sequence[str]:
        """What the venue found that was asked too often, by its own counts."""


def options(seed: int, tempo: float) -> dict[str, Any]:
    """The options that all simulated venues are made with."""
    return {"seed": seed, "start_ns": START_NS, "rate": 1 / STEP_S, "acts_every_s": tempo}


def book_picture(bids: Sequence[tuple[float, float]], asks: Sequence[tuple[float, float]]) -> Picture:
    """A book as it is compared: its best levels."""
    return tuple(bids[:LEVELS]), tuple(asks[:LEVELS])


def plain_picture(event: MarketData) -> Picture:
    """What an event shows, where the venue wants nothing else to be compared."""
    match event:
        case BookSnapshot():
            return book_picture(event.bids, event.asks)
        case Trade():
            return (event.trade_id, event.price, event.size)
        case Quote():
            return (event.bid, event.bid_size, event.ask, event.ask_size)
        case Ticker():
            return (event.bid, event.ask, event.last)
        case _:
            return msgspec.structs.astuple(event)


def torn(frame: Frame) -> Frame:
    """A message whose second half is lost, so that nobody can read it."""
    return frame[: len(frame) // 2]
