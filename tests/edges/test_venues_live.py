"""Each venue's Session, Account and shells against its simulator: real sockets, the real bus, the venue's limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

import feedbus
from feedbus import config
from feedbus.schema.events import Bar, BookSnapshot, Event, FeedStatus, Quote, Ticker, Trade
from feedbus.service.tree import Service, running
from feedbus.sim.binance import catalogue as binance_catalogue
from feedbus.sim.binance import server as binance_sim
from feedbus.sim.simulations import Simulation, simulation
from feedbus.venues import binance
from feedbus.venues.alor import tokens
from feedbus.venues.protocol import Confirmed, Effect, Send, WakeAt

pytestmark = pytest.mark.edge

TIMEOUT = 40.0
ANY = ("127.0.0.1", 0)
SYMBOLS = {
    "moex": ["TQBR.SBER", "TQBR.GAZP", "TQBR.LKOH"],
    "alor": ["SBER", "MOEX:GAZP:TQBR", "LKOH"],
    "binance": ["BTCUSDT", "ETHUSDT", "BNBUSDT"],
}
CHANNELS = {
    "moex": ["orderbooks", "securities", "candles.M1"],
    "alor": ["orderbook", "alltrades", "quotes"],
    "binance": ["trade", "bookTicker", "depth5@100ms", "miniTicker", "kline_1s"],
}
KINDS: dict[str, set[type[Event]]] = {
    "moex": {BookSnapshot, Ticker, Bar},
    "alor": {BookSnapshot, Trade, Quote, Ticker},
    "binance": {Trade, Quote, BookSnapshot, Ticker, Bar},
}
NOWHERE = "ws://127.0.0.1:9/"  # nobody listens at the port of the discard service


def feed_of(name: str, url: str, rest_url: str, **keys: str) -> str:
    """A feed of this venue in YAML: two connections, every channel."""
    lines = {
        "venue": name,
        "url": url,
        "symbols": f"[{', '.join(map(repr, SYMBOLS[name]))}]",
        "channels": f"[{', '.join(CHANNELS[name])}]",
        "sharding": "{connections: 2, per_connection: 2}",
        "backoff": "{first: 0.1, cap: 1}",
    }
    if name == "alor":
        lines |= {"auth": rest_url, "credentials": "{refresh_token: right}"}
    return f"  {name}:\n" + "".join(f"    {key}: {value}\n" for key, value in (lines | keys).items())


@asynccontextmanager
async def service_of(folder: Path, *feeds: str) -> AsyncIterator[tuple[Service, feedbus.BusSubscription]]:
    """A running service of these feeds, and a subscription to all of it."""
    text = f"bus: {{publish: 'ipc://{folder}/b'}}\nfeeds:\n{''.join(feeds)}"
    loaded = config.parse(text, name="c.yaml", directory=folder, environ={"HOME": str(folder)})
    with trio.fail_after(TIMEOUT):
        async with feedbus.subscribe(loaded.bus.publish) as subscription, running(loaded) as service:
            yield service, subscription


async def until(subscription: feedbus.BusSubscription, holds: Callable[[], bool]) -> list[Event]:
    """What comes until something holds; looked at whenever a message has come."""
    events: list[Event] = []
    async for _, batch in subscription.messages():
        events += batch
        if holds():
            return events
    raise AssertionError("the subscription ended")


def states(service: Service) -> list[dict[str, int]]:
    """How many symbols of each connection are in which state."""
    return [
        connector.session.instruments() if connector.session else {}
        for feed in service.feeds
        for connector in feed.connectors
    ]


@pytest.mark.parametrize("name", sorted(SYMBOLS))
async def test_every_channel_of_every_symbol_comes_off_the_bus(name: str, tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        urls = await simulation(name, rate=20.0).start(nursery, ANY, ANY)
        async with service_of(tmp_path, feed_of(name, *urls)) as (service, subscription):
            seen: set[tuple[type[Event], str]] = set()
            wanted = {(kind, symbol) for kind in KINDS[name] for symbol in SYMBOLS[name]}
            async for event in subscription:
                seen.add((type(event), getattr(event, "symbol", "")))
                if wanted <= seen and states(service) == [{"live": 2}, {"live": 1}]:
                    break
            (feed,) = service.feeds
            assert feed.not_up() == []
            assert feed.failures() == {}
            assert sum(connector.skipped for connector in feed.connectors) == 0
            assert subscription.stats().gaps == 0
        nursery.cancel_scope.cancel()


async def test_one_venue_away_and_one_that_refuses_us_change_nothing_for_the_third(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        alor_urls = await simulation("alor", refresh_tokens=("another",)).start(nursery, ANY, ANY)
        binance_urls = await simulation("binance", rate=20.0).start(nursery, ANY, ANY)
        feeds = (feed_of("moex", NOWHERE, ""), feed_of("alor", *alor_urls), feed_of("binance", *binance_urls))
        async with service_of(tmp_path, *feeds) as (service, subscription):
            await until(subscription, lambda: states(service)[-2:] == [{"live": 2}, {"live": 1}])
            moex, alor, third = service.feeds
            await until(subscription, lambda: moex.failures()["connect_failed"] >= 3)
            events = await until(subscription, lambda: third.connectors[0].events > 500)
            assert {connector.state for connector in alor.connectors} == {"refused"}
            assert alor.fetcher.requests == 1
            assert {connector.generation for connector in third.connectors} == {1}
            assert third.not_up() == []
            assert all(feed.first_attempt.is_set() for feed in service.feeds)
            said = {event.reason for event in events if isinstance(event, FeedStatus) and event.venue == "alor"}
            assert not any("right" in reason for reason in said)  # the token, which is wrong
        nursery.cancel_scope.cancel()


# Tokens of ALOR


@pytest.fixture
def may_ask_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token may be asked for again at once, where ALOR's rules have us wait for 10 s."""
    monkeypatch.setattr(tokens, "LEAST_BETWEEN", 0.1)


def tokens_issued(simulated: Simulation) -> int:
    return int(vars(simulated.counters)["tokens_issued"])


@pytest.mark.usefixtures("may_ask_often")
async def test_a_token_is_renewed_before_it_expires_for_all_connections_at_once(tmp_path: Path) -> None:
    simulated = simulation("alor", token_s=2)
    async with trio.open_nursery() as nursery:
        urls = await simulated.start(nursery, ANY, ANY)
        async with service_of(tmp_path, feed_of("alor", *urls)) as (service, subscription):
            await until(subscription, lambda: states(service) == [{"live": 2}, {"live": 1}])
            assert tokens_issued(simulated) == 1
            await until(subscription, lambda: tokens_issued(simulated) == 2)
            (feed,) = service.feeds
            await until(subscription, lambda: feed.fetcher.requests == 2)
            assert [connector.generation for connector in feed.connectors] == [1, 1]
            assert feed.failures() == {}
        nursery.cancel_scope.cancel()
    assert vars(simulated.counters)["tokens_refused"] == 0


@pytest.mark.usefixtures("may_ask_often")
async def test_a_token_that_the_venue_does_not_know_is_renewed_once_and_all_is_asked_again(tmp_path: Path) -> None:
    """The venue comes back with another key, as after a restart: our token is none of its."""
    async with trio.open_nursery() as nursery:
        first, second = simulation("alor", seed=1), simulation("alor", seed=2)
        one = await nursery.start(served, first, ANY, ANY)
        places = [place_of(url) for url in one.urls]
        async with service_of(tmp_path, feed_of("alor", *one.urls)) as (service, subscription):
            await until(subscription, lambda: states(service) == [{"live": 2}, {"live": 1}])
            one.scope.cancel()
            await one.ended.wait()
            await nursery.start(served, second, *places)
            await until(subscription, lambda: tokens_issued(second) > 0)
            await until(subscription, lambda: states(service) == [{"live": 2}, {"live": 1}])
            (feed,) = service.feeds
            counts = sum((connector.session_counts() for connector in feed.connectors), start=Counter[str]())
            assert counts["unauthorized"] > 0
            assert tokens_issued(second) == 1
            assert {connector.state for connector in feed.connectors} == {"online"}
        nursery.cancel_scope.cancel()


class Served:
    """A simulated venue that can be stopped by itself."""

    def __init__(self, urls: tuple[str, str], scope: trio.CancelScope) -> None:
        self.urls = urls
        self.scope = scope
        self.ended = trio.Event()


async def served(simulated: Simulation, websocket: Any, rest: Any, task_status: trio.TaskStatus[Served]) -> None:
    async with trio.open_nursery() as nursery:
        made = Served(await simulated.start(nursery, websocket, rest), nursery.cancel_scope)
        task_status.started(made)
    made.ended.set()


def place_of(url: str) -> tuple[str, int]:
    host, _, port = url.split("/")[2].partition(":")
    return host, int(port)


# The budget of messages of Binance


def test_hundreds_of_streams_come_and_go_within_the_venues_budget() -> None:
    """Sans-I/O on both sides: the simulated venue disconnects whoever sends more than 5 messages within a second."""
    venue = binance_sim.BinanceVenue(binance_sim.BinanceSimOptions(start_ns=1_700_000_000_000_000_000))
    conversation = binance_sim.converse(venue, "/stream", 0)
    assert conversation is not None
    names = binance_catalogue.symbols()
    symbols, late = names[:24], names[24:]
    session = binance.Account({}, ["trade", "bookTicker", "depth5", "miniTicker", "kline_1m"]).session(symbols)
    confirmed = 0
    wake = [0.0]
    now = 0.0

    def carry_out(effects: list[Effect]) -> None:
        nonlocal confirmed
        for effect in effects:
            confirmed += isinstance(effect, Confirmed)
            if isinstance(effect, WakeAt):
                wake[0] = effect.when
            if isinstance(effect, Send):
                for answer in conversation.receive(effect.data, int(now * 1e9)):
                    carry_out(list(session.frame(str(answer).encode(), 1, now)))

    def pass_time(until: float) -> None:
        nonlocal now
        while wake[0] <= until:
            now, wake[0] = max(now, wake[0]), float("inf")
            carry_out(list(session.tick(now)))
        now = until

    carry_out(list(session.opened(now)))
    for number in range(40):  # far more often than requests may be sent
        pass_time(number * 0.05)
        carry_out(list(session.unsubscribe([symbols[number % 24]], now)))
        carry_out(list(session.subscribe([late[number % len(late)], symbols[number % 24]], now)))
        assert conversation.ending == ""
    pass_time(now + 60.0)
    assert conversation.ending == ""
    wanted = {*symbols, *late}
    assert session.instruments() == {"confirmed": len(wanted)}
    assert confirmed >= 5 * len(wanted)
