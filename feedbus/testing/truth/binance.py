"""The simulated Binance for the simulation of the truth: how it speaks, and what its market is. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from feedbus.schema.events import MarketData, Ticker
from feedbus.sim.binance.candles import BinanceTrade
from feedbus.sim.binance.catalogue import SCALE, Pair, pairs
from feedbus.sim.binance.market import BinanceInstrument, Top
from feedbus.sim.binance.rest import BinanceRest
from feedbus.sim.binance.server import PATH, admit
from feedbus.sim.binance.venue import BinanceSimOptions, BinanceVenue
from feedbus.sim.seam import Conversation, Frame, ServerCounters, SimRequest, SimResponse
from feedbus.testing.truth.oracle import Picture
from feedbus.testing.truth.venue import (
    LEVELS,
    START_NS,
    Carried,
    LineMemory,
    News,
    book_picture,
    options,
    plain_picture,
    torn,
)
from feedbus.venues import account_class

_WORDS = {"depth@100ms": ("book",), "trade": ("trade",), "bookTicker": ("quote",), "miniTicker": ("ticker",)}
_BEGIN, _END = '{"stream":"', '"'
_CHANGES = '@depth@100ms","data":'
SECOND_NS = 1_000_000_000


class ProbedBinance:
    """A market of some pairs, of which each is made after a listed one."""

    name = "binance"
    url = f"ws://127.0.0.1:1{PATH}"
    damage_shows = True
    words = ("book", "trade", "quote", "ticker")

    def __init__(self, seed: int, tickers: int, tempo: float) -> None:
        listed = [each for each in pairs() if each.symbol.isascii()]
        made = [_pair(listed[number % len(listed)], number // len(listed)) for number in range(tickers)]
        self._venue = BinanceVenue(BinanceSimOptions(**options(seed, tempo), levels=20), listed=made)
        self._market = self._venue.market
        self._market.open(START_NS)
        self._instruments = tuple(self._market.instruments.items())
        self._rest = BinanceRest(self._venue)
        self._bans = 0
        self._tickers_at: dict[str, int] = {}
        self.symbols = tuple(self._market.instruments)

    @property
    def counters(self) -> ServerCounters:
        """What the venue itself has counted."""
        return self._venue.counters

    def settings(self) -> Mapping[str, Any]:
        """Channels of every kind, the address of the snapshots, and snapshots that cost little."""
        options = account_class(self.name).Options(snapshot_levels=100)
        return {"channels": tuple(_WORDS), "rest": "http://127.0.0.1:1", "options": options}

    def advance(self) -> Iterator[News]:
        """Move the market by one step. The day's figures are told once a second of those that were traded."""
        market = self._market
        self._venue.advance()
        step, passed = market.step, market.passed(SECOND_NS)
        for symbol, instrument in self._instruments:
            if instrument.changes:
                yield News(symbol, "book", _book(instrument))
            for top in instrument.tops:
                yield News(symbol, "quote", _quote(top))
            if instrument.fills:
                yield from (News(symbol, "trade", _trade(trade)) for fill in instrument.fills for trade in fill.trades)
                yield News(symbol, "ticker", _ticker(instrument), told=passed)
                if not passed:
                    self._tickers_at[symbol] = step
            elif passed and self._tickers_at.pop(symbol, None) is not None:
                yield News(symbol, "ticker", _ticker(instrument))

    def news(self) -> Iterable[News]:
        """Books and tickers; nobody is told of trades and quotes before the next one."""
        for symbol, instrument in self._instruments:
            yield News(symbol, "book", _book(instrument))
            yield News(symbol, "quote", _quote(instrument.top()))
            yield News(symbol, "ticker", _ticker(instrument))

    def converse(self, target: str, now_ns: int) -> Conversation | int | None:
        """A conversation about the streams that the target names."""
        return admit(self._venue, target, now_ns)

    def opened(self, memory: LineMemory) -> None:
        """The venue counts no connections."""

    def closed(self, memory: LineMemory) -> None:
        """The venue counts no connections."""

    def rest(self, request: SimRequest) -> SimResponse:
        """Snapshots of books, and the list of pairs."""
        return self._rest(request)

    def heard(self, memory: LineMemory, message: bytes | str) -> set[str]:
        """SUBSCRIBE names streams."""
        request = msgspec.json.decode(message)
        begun = set()
        if request.get("method") == "SUBSCRIBE":
            for name in request["params"]:
                symbol, _, channel = name.partition("@")
                if channel in _WORDS:
                    memory.topics[name] = Carried(name, symbol.upper(), _WORDS[channel])
                    begun.add(name)
        return begun

    def topic(self, memory: LineMemory, frame: Frame) -> Carried | None:
        """The name of the stream begins a message."""
        if not isinstance(frame, str) or not frame.startswith(_BEGIN):
            return None
        return memory.topics.get(frame[len(_BEGIN) : frame.index(_END, len(_BEGIN))])

    def cells(self, frame: Frame) -> frozenset[str] | None:  # noqa: ARG002
        """A message tells all there is; changes of a book have numbers, by which what is missing shows."""
        return None

    def is_dated(self, topic: Carried) -> bool:  # noqa: ARG002
        """All have times and numbers."""
        return True

    def damaged(self, frame: Frame) -> Frame:
        """Half of it. Of the changes of a book it is sometimes the second one, which names no stream: the feed sees at
        once that any of its books may be meant, so that excuses no old book."""
        if isinstance(frame, str) and _CHANGES in frame and len(frame) % 2:
            return frame[len(frame) // 2 :]
        return torn(frame)

    def misdirected(self, memory: LineMemory, topic: Carried, frame: Frame) -> Frame | None:  # noqa: ARG002
        """Every payload names its pair."""
        other = next((each for each in self.symbols if each != topic.symbol), topic.symbol)
        return frame.replace(f'"s":"{topic.symbol}"', f'"s":"{other}"', 1) if isinstance(frame, str) else None

    def refuse_logins(self, *, refused: bool) -> None:
        """There are no logins."""

    def ban(self, seconds: float, now_ns: int) -> None:
        """Ban the address."""
        self._bans += 1
        self._venue.weights.ban(seconds, now_ns)

    def picture(self, event: MarketData) -> Picture:
        """A ticker is the last price and the volume."""
        if isinstance(event, Ticker):
            return (event.last, event.volume)
        return plain_picture(event)

    def over_budget(self) -> Sequence[str]:
        """Messages that came too fast, and weight beyond the limit."""
        counters, weights = self._venue.counters, self._venue.weights
        found = []
        if counters.clients_over_limit:
            found.append(f"{counters.clients_over_limit} connections sent messages too fast")
        if weights.heaviest > self._venue.options.weight_limit:
            found.append(f"a minute had a weight of {weights.heaviest}")
        if weights.bans > self._bans:
            found.append(f"{weights.bans - self._bans} bans")
        return found


def _pair(like: Pair, number: int) -> Pair:
    return like if not number else msgspec.structs.replace(like, base=f"{like.base}{number}")


def _book(instrument: BinanceInstrument) -> Picture:
    bids, asks = instrument.bids, instrument.asks
    return book_picture(
        [(price / SCALE, size / SCALE) for price, size in zip(bids.prices[:LEVELS], bids.sizes, strict=False)],
        [(price / SCALE, size / SCALE) for price, size in zip(asks.prices[:LEVELS], asks.sizes, strict=False)],
    )


def _quote(top: Top) -> Picture:
    return (top.bid / SCALE, top.bid_size / SCALE, top.ask / SCALE, top.ask_size / SCALE)


def _trade(trade: BinanceTrade) -> Picture:
    return (trade.id, trade.price / SCALE, trade.quantity / SCALE)


def _ticker(instrument: BinanceInstrument) -> Picture:
    return (instrument.day.close / SCALE, instrument.day.volume / SCALE)
