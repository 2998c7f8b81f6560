"""The simulated MOEX for the simulation of the truth: how it speaks, and what its market is. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from feedbus.schema.events import MarketData, Ticker
from feedbus.sim.moex import catalogue
from feedbus.sim.moex.conversation import MoexConversation
from feedbus.sim.moex.market import MoexInstrument
from feedbus.sim.moex.server import PATH
from feedbus.sim.moex.venue import MoexSimOptions, MoexVenue
from feedbus.sim.seam import HTML, Conversation, Frame, ServerCounters, SimRequest, SimResponse
from feedbus.testing.truth.budgets import COUNTED
from feedbus.testing.truth.oracle import Picture
from feedbus.testing.truth.venue import (
    LEVELS,
    Carried,
    LineMemory,
    News,
    book_picture,
    options,
    plain_picture,
    torn,
)

_WORDS = {"orderbooks": ("book",), "securities": ("ticker",)}
_TELLING = frozenset({"LAST", "BID", "OFFER", "NUMTRADES"})
"""The columns of `securities` that are compared."""
_SUBSCRIPTION = b"\nsubscription:"
_COLUMNS = re.compile(rb'"type":"updates".*\n"columns":\[([^\]]*)\]')
_TICKER = re.compile(rb'TICKER="MXSE\.([^"]+)"')


class ProbedMoex:
    """A market of some of the listed shares."""

    name = "moex"
    url = f"ws://127.0.0.1:1{PATH}"
    damage_shows = True
    words = ("book", "ticker")

    def __init__(self, seed: int, tickers: int, tempo: float) -> None:
        listed = [each for each in catalogue.securities() if each.kind != "bond"]
        listed += [each for each in catalogue.securities() if each.kind == "bond"]
        self._venue = MoexVenue(MoexSimOptions(**options(seed, tempo), **COUNTED), securities=listed[:tickers])
        self._market = self._venue.market
        self._market.open(self._market.start_ns)
        self._instruments = tuple(self._market.instruments.items())
        self.symbols = tuple(self._market.instruments)

    @property
    def counters(self) -> ServerCounters:
        """What the venue itself has counted."""
        return self._venue.counters

    def settings(self) -> Mapping[str, Any]:
        """The usual channels."""
        return {"channels": ("orderbooks", "securities")}

    def advance(self) -> Iterator[News]:
        """Move the market by one step. A ticker is told when the venue's pace says so, and not at each act."""
        market = self._market
        market.advance()
        step = market.step
        for symbol, instrument in self._instruments:
            if instrument.moved_at == step:
                yield News(symbol, "book", _book(instrument))
                yield News(symbol, "ticker", _ticker(instrument), told=instrument.ticked_at == step)

    def news(self) -> Iterable[News]:
        """All books and tickers."""
        for symbol, instrument in self._instruments:
            yield News(symbol, "book", _book(instrument))
            yield News(symbol, "ticker", _ticker(instrument))

    def converse(self, target: str, now_ns: int) -> Conversation | int | None:
        """A conversation at the venue's one path."""
        if target != PATH:
            return None
        return self._venue.limits.connect(now_ns) or MoexConversation(self._venue)

    def opened(self, memory: LineMemory) -> None:
        """The venue counts no connections."""

    def closed(self, memory: LineMemory) -> None:
        """The venue counts no connections."""

    def rest(self, request: SimRequest) -> SimResponse:  # noqa: ARG002
        """Nothing is asked of it."""
        return SimResponse(404, HTML, b"")

    def heard(self, memory: LineMemory, message: bytes | str) -> set[str]:
        """SUBSCRIBE has the ticker in its selector, and the channel in its destination."""
        raw = message.encode() if isinstance(message, str) else message
        begun = set()
        for part in raw.split(b"\0"):
            if not part.strip().startswith(b"SUBSCRIBE"):
                continue
            name, channel = _header(part, b"id"), _header(part, b"destination").partition(".")[2]
            if found := _TICKER.search(part.replace(b"\\c", b":")):
                memory.topics[name] = Carried(name, found[1].decode(), _WORDS[channel])
                begun.add(name)
        return begun

    def topic(self, memory: LineMemory, frame: Frame) -> Carried | None:
        """The header `subscription` says what a MESSAGE is about."""
        if not isinstance(frame, bytes) or not frame.startswith(b"MESSAGE"):
            return None
        at = frame.index(_SUBSCRIPTION) + len(_SUBSCRIPTION)
        return memory.topics.get(frame[at : frame.index(b"\n", at)].decode())

    def cells(self, frame: Frame) -> frozenset[str] | None:
        """The columns of an update; everything else is a whole picture."""
        if not isinstance(frame, bytes) or not (found := _COLUMNS.search(frame)):
            return None
        return _TELLING.intersection(found[1].decode().replace('"', "").split(","))

    def is_dated(self, topic: Carried) -> bool:  # noqa: ARG002
        """All have times and numbers."""
        return True

    def damaged(self, frame: Frame) -> Frame:
        """Half of it."""
        return torn(frame)

    def misdirected(self, memory: LineMemory, topic: Carried, frame: Frame) -> Frame | None:  # noqa: ARG002
        """A row names its ticker; a book names none."""
        if "ticker" not in topic.words or not isinstance(frame, bytes):
            return None
        other = next((each for each in self.symbols if each != topic.symbol), topic.symbol)
        instrument = self._market.instruments[other]
        body = self._venue.bodies[instrument.security.ticker].snapshot("en")
        head = frame[: frame.index(b"\n\n")]
        length = re.sub(rb"content-length:\d+", b"content-length:%d" % len(body), head)
        return b"%b\n\n%b\0" % (length, body)

    def refuse_logins(self, *, refused: bool) -> None:
        """No account is known while logins are refused."""
        accounts = () if refused else MoexSimOptions().accounts
        self._venue.options = msgspec.structs.replace(self._venue.options, accounts=accounts)

    def ban(self, seconds: float, now_ns: int) -> None:
        """The venue itself bans nobody."""

    def picture(self, event: MarketData) -> Picture:
        """A ticker is its best prices, the last one, and the number of trades."""
        if isinstance(event, Ticker):
            return (event.bid, event.ask, event.last, event.trades)
        return plain_picture(event)

    def over_budget(self) -> Sequence[str]:
        """The venue publishes no limits."""
        return []


def _header(frame: bytes, name: bytes) -> str:
    found = re.search(rb"\n%b:([^\n]*)" % name, frame)
    return found[1].decode() if found else ""


def _book(instrument: MoexInstrument) -> Picture:
    scale = 10**instrument.security.decimals
    bids, asks = instrument.bids, instrument.asks
    return book_picture(
        [(price / scale, float(size)) for price, size in zip(bids.prices[:LEVELS], bids.sizes, strict=False)],
        [(price / scale, float(size)) for price, size in zip(asks.prices[:LEVELS], asks.sizes, strict=False)],
    )


def _ticker(instrument: MoexInstrument) -> Picture:
    scale = 10**instrument.security.decimals
    return (
        instrument.bids.prices[0] / scale,
        instrument.asks.prices[0] / scale,
        instrument.last / scale,
        instrument.trades,
    )
