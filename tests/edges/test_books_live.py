"""Books over real sockets, the real bus and the simulated Binance, which drops, spoils and bans on request."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

import feedbus
from feedbus import config
from feedbus.schema.events import BookDelta, BookSnapshot, Status
from feedbus.service.tree import Service, running
from feedbus.sim import rest
from feedbus.sim.binance.catalogue import SCALE, Pair, pairs
from feedbus.sim.binance.fault_requests import parse
from feedbus.sim.binance.rest import BinanceRest
from feedbus.sim.binance.server import serve
from feedbus.sim.binance.venue import BinanceSimOptions, BinanceVenue
from feedbus.venues.binance import book_sync, snapshot_turns

pytestmark = pytest.mark.edge

TIMEOUT = 25.0
BACK_WITHIN = 2.0


def listed(count: int) -> list[Pair]:
    """So many pairs: quiet ones, unless they are few."""
    first = pairs()[0]
    return [msgspec.structs.replace(first, base=f"P{number}", tier=0 if count < 10 else 2) for number in range(count)]


class Stage:
    """A simulated venue, a service with all its books, and a reader of the bus."""

    def __init__(self, venue: BinanceVenue, service: Service, bus: feedbus.BusSubscription) -> None:
        self.venue = venue
        self.service = service
        self.bus = bus
        self.books = feedbus.Books()
        self.symbols = list(venue.market.instruments)
        self.said: dict[str, list[str]] = defaultdict(list)
        self.last_said: dict[str, tuple[str, str, int]] = {}
        self.deltas: Counter[str] = Counter()
        self.compared = True

    def arm(self, **faults: Any) -> None:
        self.venue.arm(parse(msgspec.json.encode(faults)), 0)

    async def take(self) -> None:
        """Take in one message of the bus."""
        header, events = await anext(self.bus.messages())
        self.books.apply(header, events)
        for event in events:
            if isinstance(event, Status) and event.word == "book":
                what = event.state, event.reason, event.since
                # What is said again isn't news, nor is it the first time if it was said before this reader came.
                is_news = self.last_said.get(event.symbol, ("live", "", event.since)) != what
                self.last_said[event.symbol] = what
                if is_news:
                    self.said[event.symbol].append(f"{event.state} {event.reason}".rstrip())
            elif isinstance(event, BookDelta) and not self.books.why_none("binance", event.symbol):
                self.deltas[event.symbol] += 1
            if isinstance(event, BookDelta | BookSnapshot):
                self.compare(event.symbol)

    def compare(self, symbol: str) -> None:
        """With the market's own book, where both are at the same update."""
        book, truth = self.books.get("binance", symbol), self.venue.market.instruments[symbol]
        if self.compared and book is not None and book.sequence == truth.update:
            for side, real in ((book.bids, truth.bids), (book.asks, truth.asks)):
                sizes = zip(real.prices, real.sizes, strict=True)
                known = {price: size for price, size in sizes if side.low <= price / SCALE <= side.high}
                assert {round(price * SCALE): round(size * SCALE) for price, size in side.top()} == known

    async def all_right(self) -> None:
        """Wait until every book is there and has changed since: what was said of it has come by then."""
        self.deltas.clear()
        while any(self.books.why_none("binance", symbol) or not self.deltas[symbol] for symbol in self.symbols):
            await self.take()

    def counters(self) -> Counter[str]:
        """Of all sessions together."""
        connectors = [connector for feed in self.service.feeds for connector in feed.connectors]
        return sum((connector.session_counts() for connector in connectors), Counter())


@asynccontextmanager
async def stage(folder: Path, count: int, sim: BinanceSimOptions, **keys: str) -> AsyncIterator[Stage]:
    venue = BinanceVenue(sim, listed=listed(count))
    with trio.fail_after(TIMEOUT):
        async with trio.open_nursery() as nursery:
            url = await nursery.start(partial(serve, sim, "127.0.0.1", 0, venue=venue))
            rest_url = await nursery.start(partial(rest.serve, BinanceRest(venue), "127.0.0.1", 0))
            lines = {
                "venue": "binance",
                "url": url,
                "rest": rest_url,
                "symbols": f"[{', '.join(venue.market.instruments)}]",
                "channels": "[depth@100ms, bookTicker]",
                "options": "{snapshot_levels: 200, audit_s: 0}",
                "sharding": f"{{connections: 2, per_connection: {(count + 1) // 2}}}",
                "backoff": "{first: 0.1, cap: 1}",
            } | keys
            text = "".join(f"    {key}: {value}\n" for key, value in lines.items())
            loaded = config.parse(
                f"bus: {{publish: 'ipc://{folder}/b'}}\nfeeds:\n  binance:\n{text}",
                name="c.yaml",
                directory=folder,
                environ={"HOME": str(folder)},
            )
            async with (
                feedbus.subscribe(loaded.bus.publish, topics=feedbus.Books.TOPICS) as bus,
                running(loaded) as service,
            ):
                yield Stage(venue, service, bus)
            nursery.cancel_scope.cancel()


async def test_a_hole_in_one_of_200_books_costs_that_book_alone_and_it_is_right_again_at_once(tmp_path: Path) -> None:
    async with stage(tmp_path, 200, BinanceSimOptions(rate=10.0)) as it:
        await it.all_right()
        it.said.clear()
        it.deltas.clear()
        hole = it.symbols[77]
        it.arm(drop_diffs={"symbol": hole, "count": 1})
        while not it.said:
            await it.take()
        lost = trio.current_time()
        while it.said[hole][-1] != "live":
            await it.take()
        assert trio.current_time() - lost < BACK_WITHIN
        assert dict(it.said) == {hole: ["resyncing hole", "live"]}
        while len(it.deltas) < 200:  # all others go on
            await it.take()
        assert it.books.counters.holes == it.books.counters.gaps == it.books.counters.disagreed == 0
        assert it.counters()["depth_holes"] == 1


async def test_all_200_books_are_reset_at_once_and_come_back_within_the_budget(tmp_path: Path) -> None:
    """The weight of 200 snapshots is nearly all that the venue allows in a minute, and others use a part of it."""
    options = BinanceSimOptions(rate=10.0, weight_limit=11_000)
    async with stage(tmp_path, 200, options, budgets="{rest_weight: {count: 11000, per_s: 60}}") as it:
        await it.all_right()
        it.arm(cut_connections=True)
        while len({symbol for symbol, said in it.said.items() if "resyncing connecting" in said}) < 200:
            await it.take()
        lost = trio.current_time()
        await it.all_right()
        assert trio.current_time() - lost < BACK_WITHIN + 1.0  # the connections are made anew, too
        assert it.venue.counters.clients_banned == 0
        assert it.venue.counters.heaviest_minute <= options.weight_limit
        (feed,) = it.service.feeds
        snapshots = 2 * 200 * 25
        assert snapshots <= feed.budgets["rest_weight"].taken <= snapshots + 300  # the list of instruments weighs, too


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"jump_back_diffs": {"symbol": "P0USDT"}}, "resyncing hole"),
    ({"cross_diffs": {"symbol": "P0USDT"}}, "gapped crossed"),
    ({"nan_diffs": {"symbol": "P0USDT"}}, "resyncing hole"),
    ({"negative_diffs": {"symbol": "P0USDT"}}, "resyncing hole"),
    ({"restart_ids": {"symbol": "P0USDT"}}, "resyncing hole"),
    ({"duplicate_diffs": {"symbol": "P0USDT"}, "exponent_diffs": {"symbol": "P0USDT"}}, ""),
    ({"unknown_removals": {"symbol": "P0USDT"}}, ""),
    ({"stale_depth": {"symbol": "P0USDT", "count": 2}, "drop_diffs": {"symbol": "P0USDT"}}, "resyncing hole"),
    ({"html_depth": {"symbol": "P0USDT"}, "drop_diffs": {"symbol": "P0USDT"}}, "resyncing hole"),
    ({"cut_depth": {"symbol": "P0USDT"}, "drop_diffs": {"symbol": "P0USDT"}}, "resyncing hole"),
    ({"other_depth": {"symbol": "P0USDT"}, "drop_diffs": {"symbol": "P0USDT"}}, "resyncing hole"),
    ({"delay_rest": {"delay_s": 0.5, "count": 1}, "drop_diffs": {"symbol": "P0USDT"}}, "resyncing hole"),
    ({"refuse_rest": {"status": 429, "retry_after_s": 1}, "drop_diffs": {"symbol": "P0USDT"}}, "resyncing hole"),
]


async def test_each_fault_costs_one_book_and_is_repaired_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot_turns, "CALM_AFTER", 0.0)  # so many losses of one book would make it wait
    monkeypatch.setattr(book_sync, "REACHED_WITHIN", 0.5)
    async with stage(tmp_path, 3, BinanceSimOptions(rate=20.0)) as it:
        await it.all_right()
        for fault, said in FAULTS:
            it.said.clear()
            done = sum(it.venue.faults_told()["done"].values())
            it.arm(**fault)
            while sum(it.venue.faults_told()["done"].values()) < done + len(fault):
                await it.take()
            seen = it.deltas["P0USDT"]
            while not (it.said["P0USDT"] or not said) or it.deltas["P0USDT"] < seen + 2:
                await it.take()
            while it.said["P0USDT"] and it.said["P0USDT"][-1] != "live":
                await it.take()
            assert it.said.pop("P0USDT", [])[:1] == ([said] if said else []), fault
            assert dict(it.said) == {}, fault
        assert it.venue.counters.clients_banned == 0


async def test_a_level_that_is_silently_wrong_is_found_by_the_audit_and_repaired(tmp_path: Path) -> None:
    options = "{snapshot_levels: 100, audit_s: 0.2}"
    async with stage(tmp_path, 1, BinanceSimOptions(rate=20.0), options=options) as it:
        await it.all_right()
        it.said.clear()
        it.compared = False  # the book isn't the market's until the audit has found it
        it.arm(wrong_level={"symbol": "P0USDT", "level": 95, "count": 100_000})
        while not it.said["P0USDT"]:
            await it.take()
        it.arm(clear=True)
        while "live" not in it.said["P0USDT"]:
            await it.take()
        assert it.said["P0USDT"] == ["gapped audit", "live"]
        assert it.counters()["audits_disagreed"] == 1
        it.compared = True
        await it.all_right()
