"""The whole service in one process, as `feedbus run` runs it: a simulated exchange, real sockets, the real bus."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest
import trio
from msgspec import structs

import feedbus
from feedbus.actors import actor_class
from feedbus.bus.nng import PubSocket
from feedbus.commands.run import serve as run_service
from feedbus.config import BusConfig, Config, FeedConfig, ShardingConfig
from feedbus.errors import BusError, ConfigError
from feedbus.schema.events import UPDATES, BookDelta, BookSnapshot, FeedStatus, Gap, Ticker
from feedbus.service import tree as service
from feedbus.sim.moex import server as moex_sim
from feedbus.table.market_table import READERS

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


async def test_books_and_tickers_of_every_symbol_come_off_the_bus(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/bus/events.ipc"
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery, feedbus.subscribe(address) as subscription:
            url = await serve(nursery)
            async with service.running(config(address, url)) as running:

                def complete(events: list[object]) -> bool:
                    books = {event.symbol for event in events if isinstance(event, BookSnapshot)}
                    tickers = {event.symbol for event in events if isinstance(event, Ticker)}
                    # What was said before we had dialled is said again within 5 s.
                    up = max((event.connections_up for event in events if isinstance(event, FeedStatus)), default=0)
                    return books == tickers == set(SYMBOLS) and up == 2

                events = await collect(subscription, complete)
                summary = running.summary(gaps=0)
            nursery.cancel_scope.cancel()
    assert not any(isinstance(event, Gap) for event in events)
    words = [line.split("  ")[0] for line in summary.splitlines()]
    assert words == [
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
    assert "4 of 4 with a price" in summary
    assert "2 of 2 were up" in summary


async def test_the_summary_counts_as_updates_what_the_table_counts(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/events.ipc"
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery, feedbus.subscribe(address, topics="bookmetrics") as subscription:
            actors = {"aggregator": actor_class("aggregator").Options()}
            made = structs.replace(config(address, await serve(nursery)), actors=actors)
            async with service.running(made) as running:
                await collect(subscription, lambda events: len(events) >= 3)
                lines = dict(line.split("  ", 1) for line in running.summary(gaps=0).splitlines())
            nursery.cancel_scope.cancel()
    counts = {
        kind: int(count.replace(",", "")) for kind, count in re.findall(r"(\w+) ([\d,]+)(?:, |$)", lines["events"])
    }
    assert counts["bookmetrics"] >= 3
    assert int(lines["updates"].replace(",", "")) == counts["book"] + counts["ticker"]
    assert {*READERS, BookSnapshot, BookDelta} == UPDATES


async def test_an_unknown_ticker_is_refused_and_counted_and_the_others_live(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/events.ipc"
    symbols = ("TQBR.SBER", "TQBR.NOSUCH")
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery, feedbus.subscribe(address, topics="book") as subscription:
            url = await serve(nursery)
            async with service.running(config(address, url, symbols, connections=1)) as running:
                await collect(subscription, lambda events: len(events) >= 10)
            nursery.cancel_scope.cancel()
    summary = running.summary(gaps=None)
    assert "refused tickers  1 TQBR.NOSUCH" in summary
    assert "1 of 2 with a price" in summary
    assert "gaps             not watched" in summary


async def test_a_wrong_password_is_refused_once_whatever_the_number_of_connections(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    address = f"ipc://{tmp_path}/events.ipc"
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery, feedbus.subscribe(address, topics="feed") as subscription:
            url = await serve(nursery)
            wrong = {"domain": "passport", "login": "me", "passcode": "s3cret-wrong"}
            async with service.running(config(address, url, connections=4, credentials=wrong)) as running:

                def all_refused(events: list[object]) -> bool:
                    statuses = [event for event in events if isinstance(event, FeedStatus)]
                    return len({status.symbol for status in statuses if status.state == "refused"}) == 4

                await collect(subscription, all_refused)
            nursery.cancel_scope.cancel()
    assert sum(feed.failures()["login_refused"] for feed in running.feeds) == 1
    assert "Access denied" in caplog.text
    assert "s3cret" not in caplog.text


async def test_the_stop_is_orderly_and_quick_and_the_last_status_is_said(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/events.ipc"
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery, feedbus.subscribe(address) as subscription:
            url = await serve(nursery)
            async with service.running(config(address, url)):
                await collect(subscription, lambda events: len(events) >= 10)
                began = trio.current_time()
            assert trio.current_time() - began < 5
            stopped = await collect(
                subscription,
                lambda events: sum(isinstance(e, FeedStatus) and e.state == "stopped" for e in events) == 2,
            )
            nursery.cancel_scope.cancel()
    assert not any(isinstance(event, Gap) for event in stopped)


async def test_an_address_in_use_is_a_bus_error(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/events.ipc"
    taken = PubSocket(address)
    try:
        with pytest.raises(BusError, match="can't publish at ipc://"):
            async with service.running(config(address, "ws://127.0.0.1:1/")):
                raise AssertionError("not reached")
    finally:
        taken.close()


async def test_a_ca_file_that_is_none_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("not a certificate")
    broken = config("inproc://ca", "wss://venue.example/", ca_file=str(tmp_path / "ca.pem"))
    with pytest.raises(ConfigError, match=r"ca\.pem"):
        async with service.running(broken):
            raise AssertionError("not reached")


async def test_it_runs_until_a_signal_and_returns_the_final_statistics(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/events.ipc"
    summaries: list[str] = []
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery, feedbus.subscribe(address) as subscription:
            url = await serve(nursery)

            async def run() -> None:
                summaries.append(await run_service(config(address, url)))
                nursery.cancel_scope.cancel()

            nursery.start_soon(run)
            await collect(
                subscription, lambda events: any(isinstance(e, FeedStatus) and e.connections_up == 2 for e in events)
            )
            signal.raise_signal(signal.SIGTERM)
            await trio.sleep_forever()
    assert "connections      2 of 2 were up" in summaries[0]
    assert "gaps             not watched" in summaries[0]
