"""The service: its tree, real sockets, the real bus. tests/edges runs it as systemd does."""

from __future__ import annotations

import logging
import os
import socket
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trio

import feedbus
from feedbus import config as configuration
from feedbus.actors import actor_class
from feedbus.bus.publisher import BEAT_EVERY
from feedbus.config import BackoffConfig, BusConfig, Config, FeedConfig, ShardingConfig, TelemetryConfig
from feedbus.errors import Escalated, StartFailed
from feedbus.feed import feed as feed_module
from feedbus.feed.connector import Connector
from feedbus.feed.weights import WeightTurns
from feedbus.schema.events import BookSnapshot, FeedStatus, Gap, Instrument, MarketData
from feedbus.service import metric_table as metrics
from feedbus.service import tree as services
from feedbus.sim import rest as rest_sim
from feedbus.sim.binance import server as binance_sim
from feedbus.sim.moex import server as moex_sim
from feedbus.sim.moex.rest import MoexRest
from feedbus.telemetry.series import CollectorRegistry
from feedbus.venues.listings import Selection
from tests.transport.proxy import ProxyServer, proxying

TIMEOUT = 20


def two_boards(folder: Path, url: str, rest: str, **feed: object) -> Config:
    """A feed of three papers that TQBR and TQTF list, over two connections."""
    made = FeedConfig(
        name="moex",
        venue="moex",
        url=url,
        symbols=(),
        selection=Selection(("TQBR", "TQTF"), sample=3),
        rest=rest,
        channels=("orderbooks",),
        sharding=ShardingConfig(2, 2),
        **feed,  # type: ignore[arg-type]
    )
    return Config("test", BusConfig(f"ipc://{folder}/events.ipc"), (made,), cache_dir=str(folder / "cache"))


async def simulated(nursery: trio.Nursery) -> str:
    url: str = await nursery.start(partial(moex_sim.serve, moex_sim.MoexSimOptions(rate=20.0), "127.0.0.1", 0))
    return url


async def books_of(subscription: feedbus.BusSubscription, count: int) -> set[str]:
    """The symbols of the books that come, until there are so many."""
    symbols: set[str] = set()
    async for event in subscription:
        if isinstance(event, BookSnapshot):
            symbols.add(event.symbol)
        if len(symbols) == count:
            return symbols
    raise AssertionError("the subscription ended")


def registry_of(service: services.Service) -> CollectorRegistry:
    return metrics.registry(
        service.feeds,
        service.publishers,
        service.actors,
        service._supervisors,
        metrics.ProcessFigures(service._lag, service._clock, service._watchdog, dict, dict),
    )


async def test_boards_are_listed_by_the_venue_and_from_the_copy_while_it_is_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with trio.fail_after(TIMEOUT):
        async with trio.open_nursery() as nursery:
            url = await simulated(nursery)
            rest = await nursery.start(partial(rest_sim.serve, MoexRest(), "127.0.0.1", 0))
            config = two_boards(tmp_path, url, rest)
            found, requests = [], []
            for away in (False, True):
                if away:
                    listing = tmp_path / "cache" / "moex.listing.json"
                    broken = await nursery.start(partial(rest_sim.serve, MoexRest(failure="html"), "127.0.0.1", 0))
                    # The same question, but another answers it now.
                    listing.write_text(listing.read_text().replace(rest, broken))
                    config = two_boards(tmp_path, url, broken)
                reader = feedbus.subscribe(config.bus.publish, topics="book")
                async with reader as subscription, services.running(config) as service:
                    found.append(await books_of(subscription, 3))
                    requests.append(
                        registry_of(service).get_sample_value("feedbus_feed_http_requests_total", {"feed": "moex"})
                    )
            nursery.cancel_scope.cancel()
    assert found[0] == found[1]
    assert requests == [4, 1], "two pages of each board, and one that is no list"
    assert any("using the copy" in record.getMessage() for record in caplog.records)


async def test_pairs_are_selected_by_quote_and_pattern_and_who_comes_later_learns_the_instruments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("feedbus.venues.instruments.AGAIN_EVERY", 0.5)
    monkeypatch.setattr("feedbus.feed.instruments.REFUSED_WITHIN", 0.1)
    options = binance_sim.BinanceSimOptions(rate=20.0)
    venue = binance_sim.BinanceVenue(options)
    text = """
        bus: {{publish: "ipc://{folder}/events.ipc"}}
        cache_dir: cache
        feeds:
          some: {{venue: binance, url: "{url}", rest: "{rest}", symbols: {{quote: USDT, pattern: [B*, "?OL*"]}}}}
          named: {{venue: binance, url: "{url}", rest: "{rest}", symbols: [ETHBTC, ETHBTX]}}
        """
    wanted = {"BTCUSDT", "BNBUSDT", "BCHUSDT", "SOLUSDT", "ETHBTC"}
    told: dict[str, Instrument] = {}
    with trio.fail_after(TIMEOUT):
        async with trio.open_nursery() as nursery:
            url = await nursery.start(partial(binance_sim.serve, options, "127.0.0.1", 0, venue=venue))
            rest = await nursery.start(partial(rest_sim.serve, binance_sim.BinanceRest(venue), "127.0.0.1", 0))
            written = text.format(folder=tmp_path, url=url, rest=rest)
            config = configuration.parse(written, name="c", directory=tmp_path, environ={})
            async with services.running(config) as service:
                while registry_of(service).get_sample_value("feedbus_feed_symbols_missing", {"feed": "named"}) != 1:
                    await trio.lowlevel.checkpoint()
                async with feedbus.subscribe(config.bus.publish, topics="instrument") as late:
                    async for event in late:
                        if isinstance(event, Instrument):
                            told[event.symbol] = event
                        if told.keys() == wanted and "ETHBTX" in caplog.text:
                            break
                known = registry_of(service).get_sample_value("feedbus_feed_instruments_known", {"feed": "some"})
            nursery.cancel_scope.cancel()
    assert known == 4
    assert (told["BTCUSDT"].currency, told["BTCUSDT"].decimals, told["ETHBTC"].tick_size) == ("USDT", 2, 1e-05)
    assert "the venue doesn't list the symbol ETHBTX: did you mean ETHBTC or ETHUSDT?" in caplog.text


@pytest.mark.parametrize("named", ["by the environment", "by the feed"])
async def test_rest_and_websocket_go_through_the_proxy_that_is_named(
    named: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "feedbus")
    with trio.fail_after(TIMEOUT):
        async with trio.open_nursery() as nursery:
            url = await simulated(nursery)
            rest = await nursery.start(partial(rest_sim.serve, MoexRest(), "127.0.0.1", 0))
            server = ProxyServer({"feed.venue": netloc(url), "iss.venue": netloc(rest)}, login=("jo", "s3cr3t"))
            async with proxying(server, "socks5h") as proxy:
                written = f"socks5h://jo:s3cr3t@{proxy.place}"
                text = f"""
                    bus: {{publish: "ipc://{tmp_path}/events.ipc"}}
                    cache_dir: cache
                    feeds:
                      moex:
                        venue: moex
                        url: {url.replace(netloc(url), "feed.venue")}
                        rest: http://iss.venue
                        proxy: {written if named == "by the feed" else ""}
                        symbols: {{boards: [TQBR, TQTF], sample: 3}}
                        channels: [orderbooks]
                    """
                environ = {"ALL_PROXY": written} if named == "by the environment" else {"NO_PROXY": "*"}
                config = configuration.parse(text, name="c", directory=tmp_path, environ=environ)
                reader = feedbus.subscribe(config.bus.publish, topics="book")
                async with reader as subscription, services.running(config):
                    assert len(await books_of(subscription, 3)) == 3
            nursery.cancel_scope.cancel()
    assert server.asked == [("iss.venue", 80), ("feed.venue", 80)]
    name = "ALL_PROXY" if named == "by the environment" else "proxy"
    assert f"connections are made through the proxy {proxy} ({name})" in caplog.messages
    assert "s3cr3t" not in f"{caplog.text} {config!r}"


def netloc(url: str) -> str:
    return urlsplit(url).netloc


async def test_without_a_list_the_feed_says_why_and_asks_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "STATUS_EVERY", 0.1)
    with trio.fail_after(TIMEOUT):
        async with trio.open_nursery() as nursery:
            broken = await nursery.start(partial(rest_sim.serve, MoexRest(failure="html"), "127.0.0.1", 0))
            config = two_boards(tmp_path, "ws://127.0.0.1:9/", broken)
            reader = feedbus.subscribe(config.bus.publish, topics="feed")
            async with reader as subscription, services.running(config) as service:
                [feed] = service.feeds
                await feed.first_attempt.wait()
                while sum("next attempt in" in record.getMessage() for record in caplog.records) < 2:
                    await trio.lowlevel.checkpoint()
                [reason] = feed.not_up()
                up = registry_of(service).get_sample_value("feedbus_feed_up", {"feed": "moex"})
                status = service._status()
                said: MarketData | Gap | None = None
                async for said in subscription:
                    if isinstance(said, FeedStatus) and said.reason:
                        break
            nursery.cancel_scope.cancel()
    assert reason.startswith("moex: no list of symbols: bad_data: ")
    assert up == 0
    assert status.startswith("0 of 2 connections up; moex: no list of symbols")
    assert isinstance(said, FeedStatus)
    assert (said.symbol, said.state, said.connections_up, said.connections_wanted) == ("moex/0", "connecting", 0, 2)


async def test_feeds_of_one_process_share_what_their_venue_allows_one_address(tmp_path: Path) -> None:
    nowhere = {"url": "ws://127.0.0.1:1/stream", "rest": "http://127.0.0.1:1", "symbols": ("BTCUSDT",)}
    feeds = tuple(FeedConfig(name=name, venue="binance", **nowhere) for name in "ab")  # type: ignore[arg-type]
    config = Config("test", BusConfig(f"ipc://{tmp_path}/events.ipc"), feeds)
    with trio.fail_after(TIMEOUT):
        async with services.running(config) as service:
            budgets = [feed.budgets["rest_weight"] for feed in service.feeds]
    assert isinstance(budgets[0], WeightTurns)
    assert isinstance(budgets[1], WeightTurns)
    assert budgets[0].budget is budgets[1].budget
    assert budgets[0] is not budgets[1]


async def test_a_part_that_crashes_is_started_again_and_the_others_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with trio.fail_after(TIMEOUT):
        async with trio.open_nursery() as nursery:
            url = await simulated(nursery)
            symbols = ("TQBR.SBER", "TQBR.GAZP")
            made = FeedConfig(name="moex", venue="moex", url=url, symbols=symbols, sharding=ShardingConfig(2, 1))
            config = Config("test", BusConfig(f"ipc://{tmp_path}/events.ipc"), (made,))
            reader = feedbus.subscribe(config.bus.publish, topics="book")
            async with reader as subscription, services.running(config) as service:
                await books_of(subscription, 2)
                first, second = service.feeds[0].connectors
                generation = second.generation
                assert first.session is not None
                first.session.frame = None  # type: ignore[assignment, method-assign]
                while first.generation < 2 or first.state != "online":
                    await trio.lowlevel.checkpoint()
                await books_of(subscription, 2)
                assert second.generation == generation
                [supervisor] = service.feeds[0].supervisors
                assert supervisor.counts()["crashes"] == 1
            nursery.cancel_scope.cancel()
    [crash] = [record.getMessage() for record in caplog.records if "crashed" in record.getMessage()]
    assert crash.startswith("moex/0 crashed: TypeError: 'NoneType' object is not callable (feed/connector.py:")


@pytest.mark.parametrize(
    "processes", [[()], [("moex", "metrics"), ("aggregator",)], [("moex", "aggregator"), ("metrics",)]]
)
async def test_an_actor_hears_every_publisher_in_whatever_process_it_is(
    processes: list[tuple[str, ...]], tmp_path: Path
) -> None:
    options = {
        "metrics": actor_class("metrics").Options("127.0.0.1:0"),
        "aggregator": actor_class("aggregator").Options(),
    }
    with trio.fail_after(TIMEOUT):
        async with trio.open_nursery() as nursery:
            made = FeedConfig(name="moex", venue="moex", url=await simulated(nursery), symbols=("TQBR.SBER",))
            config = Config("test", BusConfig(f"ipc://{tmp_path}/{{publisher}}.ipc"), (made,), options)
            async with AsyncExitStack() as stack:
                running = [await stack.enter_async_context(services.running(config, only)) for only in processes]
                [metrics_actor] = [each for service in running for each in service.actors if each.name == "metrics"]
                [reader] = metrics_actor._readers
                while not {"book", "feed", "bookmetrics"} <= reader.stats().delivered.keys():
                    await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    assert reader.publishers().keys() == {"moex", "aggregator"}
    assert reader.stats().gaps == 0


async def test_a_deleted_bus_socket_is_unhealthy_and_bound_again_within_two_heartbeats(tmp_path: Path) -> None:
    made = FeedConfig(name="moex", venue="moex", url="ws://127.0.0.1:9/", symbols=("TQBR.SBER",))
    config = Config("test", BusConfig(f"ipc://{tmp_path}/events.ipc"), (made,))
    with trio.fail_after(TIMEOUT):
        async with services.running(config) as service:
            assert service._watchdog.overdue() == []
            (tmp_path / "events.ipc").unlink()
            [said] = service._watchdog.overdue()
            assert said == f"the bus: nobody can subscribe at {config.bus.publish}: its socket was deleted"
            with trio.fail_after(2 * BEAT_EVERY):
                while service._watchdog.overdue():
                    await trio.lowlevel.checkpoint()
            async with feedbus.subscribe(config.bus.publish, topics="feed") as subscription:
                assert isinstance(await anext(subscription), FeedStatus)
    assert os.listdir(tmp_path) == []  # noqa: PTH208 (pathlib would block, for the linter)


async def test_a_telemetry_port_in_use_keeps_the_service_from_starting(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        made = FeedConfig(name="moex", venue="moex", url="ws://127.0.0.1:9/", symbols=("TQBR.SBER",))
        config = Config("test", BusConfig(f"ipc://{tmp_path}/events.ipc"), (made,), telemetry=TelemetryConfig(listen))
        # a sentence for people, without the names of classes and files
        said = f"^service can't start: telemetry: can't serve telemetry at {listen}: [^()]*in use[^()]*$"
        with pytest.RaisesGroup(pytest.RaisesExc(StartFailed, match=said)):
            async with services.running(config):
                raise AssertionError("started")


async def test_a_part_that_keeps_crashing_ends_the_service_and_every_supervisor_on_the_way_counts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def buggy(_connector: Connector) -> None:
        await trio.lowlevel.checkpoint()
        raise KeyError("a bug")

    monkeypatch.setattr(Connector, "_attempt", buggy)
    quick = BackoffConfig(first=0.001, cap=0.001)
    made = FeedConfig(name="moex", venue="moex", url="ws://127.0.0.1:9/", symbols=("TQBR.SBER",), backoff=quick)
    config = Config("test", BusConfig(f"ipc://{tmp_path}/events.ipc"), (made,))
    given_up = pytest.RaisesExc(Escalated, match=r"^service gives up: .* moex/0: KeyError: 'a bug'")
    with trio.fail_after(TIMEOUT), pytest.RaisesGroup(given_up):
        async with services.running(config) as service:
            await trio.sleep_forever()
    counts = {each.name: each.escalations for each in service._supervisors()}
    assert counts["service"] == 1
    assert counts["feeds"] > 1
    assert {"publishers", "moex"} <= counts.keys()
