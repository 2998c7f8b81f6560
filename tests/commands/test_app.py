"""The whole service in one process: the simulated exchange, real sockets, the real bus."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import trio

import feedbus
from feedbus.commands import app
from feedbus.config import BusConfig, Config, FeedConfig, ShardingConfig
from feedbus.errors import ConfigError
from feedbus.schema.events import BookSnapshot, FeedStatus, Gap, Ticker
from feedbus.service import tree as service
from feedbus.sim.moex import server as moex_sim
from feedbus.sim.simulations import simulation
from feedbus.transport import http

SYMBOLS = ("TQBR.SBER", "TQBR.GAZP", "TQBR.LKOH", "TQBR.ROSN")


def config(address: str, url: str, symbols: tuple[str, ...] = SYMBOLS, connections: int = 2, **feed: object) -> Config:
    sharding = ShardingConfig(connections, 50)
    made = FeedConfig(name="moex", venue="moex", url=url, symbols=symbols, sharding=sharding, **feed)  # type: ignore[arg-type]
    return Config("test", BusConfig(address), (made,))


async def serve(nursery: trio.Nursery) -> str:
    async def start(task_status: trio.TaskStatus[str]) -> None:
        await moex_sim.serve(moex_sim.MoexSimOptions(rate=20.0), "127.0.0.1", 0, task_status=task_status)

    url: str = await nursery.start(start)
    return url


async def collect(subscription: object, until: object) -> list[object]:
    """Events, until the predicate `until` holds of all that have come."""
    events: list[object] = []
    async for event in subscription:  # type: ignore[attr-defined]
        events.append(event)
        if until(events):  # type: ignore[operator]
            return events
    raise AssertionError("the subscription ended")


async def test_run_goes_on_until_a_signal_and_ends_with_what_there_was(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/bus/events.ipc"
    summaries = []
    ended = trio.Event()
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery, feedbus.subscribe(address) as subscription:
            made = config(address, await serve(nursery), (*SYMBOLS, "TQBR.NOSUCH"))

            async def run() -> None:
                summaries.append(await app.run(made))
                ended.set()

            def complete(events: list[object]) -> bool:
                books = {event.symbol for event in events if isinstance(event, BookSnapshot)}
                tickers = {event.symbol for event in events if isinstance(event, Ticker)}
                return books == tickers == set(SYMBOLS)

            def stopped(events: list[object]) -> bool:
                return sum(isinstance(event, FeedStatus) and event.state == "stopped" for event in events) == 2

            nursery.start_soon(run)
            events = await collect(subscription, complete)
            signal.raise_signal(signal.SIGTERM)
            began = trio.current_time()
            events += await collect(subscription, stopped)
            await ended.wait()
            assert trio.current_time() - began < 5
            nursery.cancel_scope.cancel()
    assert not any(isinstance(event, Gap) for event in events)
    lines = summaries[0].splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        "uptime",
        "connections",
        "frames",
        "events",
        "updates",
        "instruments",
        "reconnects",
        "refused tickers",
        "gaps",
    ]
    assert "4 of 5 with a price" in summaries[0]
    assert "refused tickers  1 TQBR.NOSUCH" in summaries[0]
    assert "gaps             not watched" in summaries[0]
    assert "2 of 2 were up" in summaries[0]


async def test_simulate_serves_until_a_signal_and_ends_with_its_counters() -> None:
    told: list[tuple[str, str, str]] = []
    totals = []
    serving = trio.Event()

    def on_start(name: str, url: str, rest: str) -> None:
        told.append((name, url, rest))
        serving.set()

    async def run() -> None:
        anywhere = ("127.0.0.1", 0)
        totals.append(await app.simulate([(simulation("moex", rest_failure="html"), (anywhere, anywhere))], on_start))

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            await serving.wait()
            ((name, url, rest),) = told
            async with http.client(rest) as client:
                answer = await client.get("/iss/engines.json")
            signal.raise_signal(signal.SIGTERM)
    assert (name, url.partition(":")[0]) == ("moex", "ws")
    assert (answer.status, answer.body[:1]) == (200, b"<")
    assert totals[0].startswith("moex: ")
    assert totals[0].endswith("rest requests 1, rest errors 0")


async def test_a_wrong_password_is_refused_once_whatever_the_number_of_connections(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    address = f"ipc://{tmp_path}/events.ipc"
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            url = await serve(nursery)
            wrong = {"passcode": "s3cret-wrong"}
            async with service.running(config(address, url, connections=4, credentials=wrong)) as running:
                (feed,) = running.feeds
                while {connector.state for connector in feed.connectors} != {"refused"}:
                    await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    assert feed.failures()["login_refused"] == 1
    assert "Access denied" in caplog.text
    assert "s3cret" not in caplog.text


async def test_a_ca_file_that_is_none_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("not a certificate")
    broken = config("inproc://ca", "wss://venue.example/", ca_file=str(tmp_path / "ca.pem"))
    with pytest.raises(ConfigError, match=r"ca\.pem"):
        async with service.running(broken):
            raise AssertionError("not reached")
