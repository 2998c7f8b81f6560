"""A recording of six minutes through the Session, the snapshot where it lies in the file: the book that a reader of the
bus has is the naive one after every event, and its best levels are those of every bookTicker of the same update."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from heapq import nlargest, nsmallest
from types import SimpleNamespace
from typing import Any

import pytest

from feedbus.books.books import Books
from feedbus.schema.events import BookDelta, BookSnapshot, Event, MarketData, Quote, Status
from feedbus.venues.binance.account import Account
from feedbus.venues.protocol import Effect, Fetch, FetchResponse
from tests.places import CAPTURES

CAPTURE = CAPTURES / "binance" / "spot_btcusdt_20240808.gz"
HEADER = SimpleNamespace(publisher="p")


class Replay:
    """The session, a reader of what it publishes, and a naive book of the same messages: a dict of sizes by price."""

    def __init__(self, every: int) -> None:
        """All levels are compared after every so many events, the best twenty after each."""
        self.every = every
        self.session = Account({}, ["depth@100ms", "bookTicker"]).session(["BTCUSDT"])
        self.books = Books()
        self.bids: dict[float, float] = {}
        self.asks: dict[float, float] = {}
        self.fetches: list[Fetch] = []
        self.quotes: dict[int, Quote] = {}
        self.said: list[str] = []
        self.books_compared = self.quotes_compared = 0

    def take(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Fetch):
                self.fetches.append(effect)
            elif isinstance(effect, Event):
                self.books.apply(HEADER, [effect])
                self.event(effect)

    def event(self, event: MarketData) -> None:
        if isinstance(event, Status):
            self.said.append(f"{event.state} {event.reason}".rstrip())
            if event.state == "live":
                self.compare()
        elif isinstance(event, Quote):
            self.quotes[event.venue_sequence or 0] = event
            self.compare_best()
        elif isinstance(event, BookDelta | BookSnapshot) and self.said[-1] == "live":
            self.compare()
            self.compare_best()

    def naive(self, levels: dict[float, float], changed: list[list[str]]) -> None:
        """Change the naive book as a frame says."""
        for price, size in changed:
            levels[float(price)] = float(size)
            if not float(size):
                del levels[float(price)]

    def compare(self) -> None:
        book = self.books.get("binance", "BTCUSDT")
        assert book is not None
        low, high = book.known_range
        if self.books_compared % self.every == 0:
            assert book.bids.sizes == {price: size for price, size in self.bids.items() if price >= low}
            assert book.asks.sizes == {price: size for price, size in self.asks.items() if price <= high}
        assert book.bids.top(20) == [(price, self.bids[price]) for price in nlargest(20, self.bids) if price >= low]
        assert book.asks.top(20) == [(price, self.asks[price]) for price in nsmallest(20, self.asks) if price <= high]
        self.books_compared += 1

    def compare_best(self) -> None:
        """With a quote of the same update, whichever of the two came first."""
        book = self.books.get("binance", "BTCUSDT")
        quote = None if book is None else self.quotes.pop(book.sequence or 0, None)
        if book is not None and quote is not None:
            assert book.bids.best == (quote.bid, quote.bid_size)
            assert book.asks.best == (quote.ask, quote.ask_size)
            self.quotes_compared += 1


@pytest.mark.skipif(not CAPTURE.exists(), reason="the recordings aren't here")
def test_the_recorded_book_is_the_naive_one_and_agrees_with_every_quote_of_the_same_update() -> None:
    replay = Replay(every=50)
    lines = [line.partition(b" ")[::2] for line in gzip.decompress(CAPTURE.read_bytes()).splitlines()]
    began = int(lines[0][0])
    replay.take(replay.session.opened(0.0))
    replay.take(replay.session.frame(b'{"result":null,"id":1}', began, 0.0))
    before: list[dict[str, Any]] = []
    shown = 0
    for received, frame in lines:
        now = (int(received) - began) / 1e9
        if frame.startswith(b'{"lastUpdateId"'):
            whole = json.loads(frame)
            shown = whole["lastUpdateId"]
            for changed in [{"b": whole["bids"], "a": whole["asks"]}, *(each for each in before if each["u"] > shown)]:
                replay.naive(replay.bids, changed["b"])
                replay.naive(replay.asks, changed["a"])
            replay.take(replay.session.fetched(replay.fetches[0], FetchResponse(200, frame, int(received)), now))
            continue
        if frame.startswith(b'{"stream":"btcusdt@depth@100ms"'):
            data = json.loads(frame)["data"]
            before.append(data)
            if shown:
                replay.naive(replay.bids, data["b"])
                replay.naive(replay.asks, data["a"])
        replay.take(replay.session.frame(frame, int(received), now))
    counters = replay.session.counters()
    assert (counters["quotes_compared"], counters.get("quotes_disagreed", 0), counters["snapshots"]) == (564, 0, 1)
    assert (replay.quotes_compared, replay.books_compared) == (564, 3444)
    # Near the end the price leaves the snapshot's levels for half a second, until a quote tells which one is the best.
    assert replay.said == ["resyncing first_picture", "live", "resyncing exhausted", "live"]
