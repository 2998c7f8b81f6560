"""The simulated ALOR for the simulation of the truth: how it speaks, and what its market is. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from feedbus.schema.events import MarketData
from feedbus.sim.alor.conversation import AlorConversation
from feedbus.sim.alor.market import AlorListing
from feedbus.sim.alor.rest import AlorRest
from feedbus.sim.alor.server import PATH
from feedbus.sim.alor.tokens import TokenIssuer
from feedbus.sim.alor.venue import AlorSimOptions, AlorVenue
from feedbus.sim.moex import catalogue
from feedbus.sim.seam import Conversation, Frame, ServerCounters, SimRequest, SimResponse
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

_WORDS = {
    "OrderBookGetAndSubscribe": ("book",),
    "AllTradesGetAndSubscribe": ("trade",),
    "QuotesSubscribe": ("quote", "ticker"),
}
_GUID = '"guid":"'


class ProbedAlor:
    """A market of some of the listed shares."""

    name = "alor"
    url = f"ws://127.0.0.1:1{PATH}"
    damage_shows = False
    words = ("book", "trade", "quote", "ticker")

    def __init__(self, seed: int, tickers: int, tempo: float) -> None:
        shares = [each for each in catalogue.securities() if each.kind != "bond"]
        shares += [each for each in catalogue.securities() if each.kind == "bond"]
        listed = list({each.secid: each for each in reversed(shares)}.values())[::-1][:tickers]
        made = AlorSimOptions(**options(seed, tempo), **COUNTED, max_connections=1000)
        self._venue = AlorVenue(made, securities=listed)
        self._market = self._venue.market
        self._market.open(self._market.start_ns)
        self._listings = {code: found[0] for code, found in self._venue.listings.items()}
        self._rest = AlorRest(self._venue)
        self._issued = 0
        self.symbols = tuple(self._listings)

    @property
    def counters(self) -> ServerCounters:
        """What the venue itself has counted."""
        return self._venue.counters

    def settings(self) -> Mapping[str, Any]:
        """The usual channels, and a refresh token."""
        return {
            "channels": ("orderbook", "alltrades", "quotes"),
            "credentials": {"refresh_token": "the-token-of-the-simulation"},
            "rest": "http://127.0.0.1:1",
            "auth": "http://127.0.0.1:1",
        }

    def advance(self) -> Iterator[News]:
        """Move the market by one step."""
        self._market.advance()
        step = self._market.step
        for symbol, listing in self._listings.items():
            if listing.instrument.moved_at == step:
                fills, traded = listing.instrument.fills, listing.instrument.traded_at == step
                yield from _pictures(symbol, listing, fills[-1].trades if traded and fills else 0)

    def news(self) -> Iterable[News]:
        """All there is to say."""
        for symbol, listing in self._listings.items():
            yield from _pictures(symbol, listing, 0)

    def converse(self, target: str, now_ns: int) -> Conversation | int | None:
        """A conversation about market data."""
        if target != PATH:
            return None
        return self._venue.limits.connect(now_ns) or AlorConversation(self._venue)

    def opened(self, memory: LineMemory) -> None:  # noqa: ARG002
        """Count it."""
        self._venue.counters.connections_open += 1

    def closed(self, memory: LineMemory) -> None:  # noqa: ARG002
        """Count it."""
        self._venue.counters.connections_open -= 1

    def rest(self, request: SimRequest) -> SimResponse:
        """Access tokens, and the list of instruments."""
        return self._rest(request)

    def heard(self, memory: LineMemory, message: bytes | str) -> set[str]:
        """A subscription has a guid, by which its data is known."""
        request = msgspec.json.decode(message)
        words = _WORDS.get(request.get("opcode"))
        if words is None:
            return set()
        name = request["guid"]
        memory.topics[name] = Carried(name, request["code"], words)
        return {name}

    def topic(self, memory: LineMemory, frame: Frame) -> Carried | None:
        """The guid ends an envelope."""
        text = frame if isinstance(frame, str) else frame.decode()
        at = text.rfind(_GUID)
        if at < 0:
            return None
        at += len(_GUID)
        return memory.topics.get(text[at : text.index('"', at)])

    def cells(self, frame: Frame) -> frozenset[str] | None:  # noqa: ARG002
        """Every message tells all there is."""
        return None

    def is_dated(self, topic: Carried) -> bool:
        """Quotes have no time."""
        return "quote" not in topic.words

    def damaged(self, frame: Frame) -> Frame:
        """Half of it."""
        return torn(frame)

    def misdirected(self, memory: LineMemory, topic: Carried, frame: Frame) -> Frame | None:  # noqa: ARG002
        """Trades and quotes name their instrument; a book names none."""
        if "book" in topic.words or not isinstance(frame, str):
            return None
        other = next((each for each in self.symbols if each != topic.symbol), topic.symbol)
        return frame.replace(f'"{topic.symbol}"', f'"{other}"', 1)

    def refuse_logins(self, *, refused: bool) -> None:
        """No refresh token is valid any more, and no access token that was issued before."""
        self._issued += 1
        self._venue.tokens = TokenIssuer(f"simulation/{self._issued}", self._venue.options.token_s)
        tokens = ("another",) if refused else ()
        self._venue.options = msgspec.structs.replace(self._venue.options, refresh_tokens=tokens)

    def ban(self, seconds: float, now_ns: int) -> None:
        """The venue itself bans nobody."""

    def picture(self, event: MarketData) -> Picture:
        """What all events show."""
        return plain_picture(event)

    def over_budget(self) -> Sequence[str]:
        """Connections beyond its limit."""
        refused = self._venue.counters.connections_refused
        return [f"{refused} connections too many"] if refused else []


def _pictures(symbol: str, listing: AlorListing, traded: int) -> Iterator[News]:
    instrument, scale = listing.instrument, 10**listing.security.decimals
    bids, asks = instrument.bids, instrument.asks
    best_bids = [(price / scale, float(size)) for price, size in zip(bids.prices[:LEVELS], bids.sizes, strict=False)]
    best_asks = [(price / scale, float(size)) for price, size in zip(asks.prices[:LEVELS], asks.sizes, strict=False)]
    yield News(symbol, "book", book_picture(best_bids, best_asks))
    yield News(symbol, "quote", (*best_bids[0], *best_asks[0]))
    yield News(symbol, "ticker", (best_bids[0][0], best_asks[0][0], instrument.last / scale))
    for trade in listing.trades_after(listing.number - traded) if traded else ():
        yield News(symbol, "trade", (trade.id, trade.price / scale, float(trade.lots)))
