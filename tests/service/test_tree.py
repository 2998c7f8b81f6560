"""The service: its tree in this process, and as systemd runs it, a real process with a real datagram socket."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import trio

import feedbus
from feedbus.config import BackoffConfig, BoardsConfig, BusConfig, Config, FeedConfig, ShardingConfig, TelemetryConfig
from feedbus.feed.connector import Connector
from feedbus.runtime.supervisor import Escalated, StartFailed
from feedbus.schema.events import BookSnapshot, FeedStatus, Gap, MarketData
from feedbus.service import metric_table as metrics
from feedbus.service import tree as services
from feedbus.sim import rest as rest_sim
from feedbus.sim.moex import server as moex_sim
from feedbus.sim.moex.rest import MoexRest
from feedbus.telemetry.series import CollectorRegistry
from tests import places

ROOT = places.ROOT
FEEDBUS = [sys.executable, "-m", "feedbus"]
TIMEOUT = 30

Start = Callable[..., subprocess.Popen[str]]


class Manager:
    """systemd's end of NOTIFY_SOCKET: keeps every assignment that comes."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.told: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.settimeout(TIMEOUT)

    def receive(self) -> None:
        """Wait for one more datagram."""
        self.told += self._socket.recv(4096).decode().split("\n")

    def until(self, true: Callable[[str], bool]) -> str:
        """The first assignment of which this is true, waiting for it if need be."""
        while not (found := [line for line in self.told if true(line)]):
            self.receive()
        return found[0]

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify")
    yield made
    made.close()


@pytest.fixture
def start(tmp_path: Path, manager: Manager) -> Iterator[Start]:
    """Starts commands as systemd would, and ends those that a test left. Their log lines go to a file."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MOEX_", "XDG_", "WATCHDOG_"))}
    environ = {**kept, "XDG_RUNTIME_DIR": str(tmp_path / "run"), "PYTHONPATH": str(ROOT)}
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str, log: str = "other.log", **variables: str) -> subprocess.Popen[str]:
        with (tmp_path / log).open("w") as errors:
            process = subprocess.Popen(
                [*FEEDBUS, *arguments],
                stdout=subprocess.PIPE,
                stderr=errors,
                stdin=subprocess.DEVNULL,
                text=True,
                cwd=tmp_path,
                env=environ | variables,
            )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def service(start: Start, manager: Manager, tmp_path: Path) -> subprocess.Popen[str]:
    """Two feeds at one simulated exchange; the second one's passcode is wrong."""
    simulator = start("sim", "moex", "--listen", "127.0.0.1:0")
    assert simulator.stdout is not None
    url = simulator.stdout.readline().strip().removeprefix("moex: ")
    (tmp_path / "c.yaml").write_text(
        'bus: {publish: "ipc://${XDG_RUNTIME_DIR:-/run}/feedbus/events.ipc"}\n'
        "telemetry: {listen: 127.0.0.1:0}\n"
        "feeds:\n"
        f"  good: {{venue: moex, url: {url}, symbols: [TQBR.SBER]}}\n"
        f"  bad: {{venue: moex, url: {url}, symbols: [TQBR.GAZP], credentials: {{passcode: s3cret-wr0ng}}}}\n"
    )
    return start("run", "c.yaml", log="run.log", NOTIFY_SOCKET=manager.path, WATCHDOG_USEC="2000000")


def get(url: str) -> tuple[int, str]:
    """Status and body, also of an answer that is no success."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_one_refused_login_keeps_neither_ready_nor_the_other_feed_from_coming(
    service: subprocess.Popen[str], manager: Manager, start: Start, tmp_path: Path
) -> None:
    tail = start("tail", "--count", "20", "book.moex.TQBR.SBER")
    manager.until(lambda line: line == "READY=1")
    status = manager.until(lambda line: line.startswith("STATUS=") and "denied" in line)
    assert "bad" in status

    events = [json.loads(line) for line in tail.communicate(timeout=TIMEOUT)[0].splitlines()]
    assert [event["kind"] for event in events] == ["book"] * 20
    assert {event["publisher"] for event in events} == {"good"}

    # Refused is no reason to be killed: it is the venue's word, and the feed keeps its own deadlines.
    signs = manager.told.count("WATCHDOG=1")
    while manager.told.count("WATCHDOG=1") < signs + 3:
        manager.receive()

    logged = (tmp_path / "run.log").read_text()
    address = re.search(r"http://127\.0\.0\.1:\d+", logged)
    assert address is not None
    code, body = get(f"{address[0]}/readyz")
    assert code == 503
    assert "bad" in body
    assert "denied" in body
    assert "good" not in body
    assert get(f"{address[0]}/healthz")[0] == 200
    metrics = get(f"{address[0]}/metrics")[1]
    assert 'feedbus_feed_up{feed="good"} 1.0' in metrics
    assert 'feedbus_connection_state{connection="bad/0",feed="bad",state="refused"} 1.0' in metrics
    assert 'feedbus_connection_failures_total{cause="login_refused",connection="bad/0",feed="bad"} 1.0' in metrics

    service.send_signal(signal.SIGTERM)
    manager.until(lambda line: line == "STOPPING=1")
    summary, _ = service.communicate(timeout=TIMEOUT)
    assert service.returncode == 0
    assert "connections      1 of 2 were up" in summary
    assert manager.told.count("READY=1") == 1
    everything = [*manager.told, logged, summary, body, metrics]
    assert "s3cret" not in "".join(everything)


def test_every_log_line_of_a_service_is_one_json_object(
    service: subprocess.Popen[str], manager: Manager, tmp_path: Path
) -> None:
    manager.until(lambda line: line.startswith("STATUS=") and "denied" in line)
    service.send_signal(signal.SIGTERM)
    service.communicate(timeout=TIMEOUT)
    lines = [json.loads(line) for line in (tmp_path / "run.log").read_text().splitlines()]
    assert any(line["level"] == "error" and "login refused" in line["message"] for line in lines)
    assert all({"ts", "level", "logger", "message"} <= set(line) for line in lines)


# In this process


def two_boards(folder: Path, url: str, rest: str, **feed: object) -> Config:
    """A feed of three papers that TQBR and TQTF list, over two connections."""
    made = FeedConfig(
        name="moex",
        venue="moex",
        url=url,
        symbols=(),
        boards=BoardsConfig(("TQBR", "TQTF"), 3),
        rest=rest,
        channels=("orderbooks",),
        sharding=ShardingConfig(2, 2),
        **feed,  # type: ignore[arg-type]
    )
    return Config("test", BusConfig(f"ipc://{folder}/events.ipc"), (made,), cache_dir=str(folder / "cache"))


async def simulated(nursery: trio.Nursery) -> str:
    url: str = await nursery.start(partial(moex_sim.serve, moex_sim.MoexSimOptions(rate=20.0), "127.0.0.1", 0))
    return url


async def books_of(subscription: feedbus.Subscription, count: int) -> set[str]:
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
        lag=service._lag,
        watchdog=service._watchdog,
        log_lines=dict,
    )


async def test_boards_are_listed_by_the_venue_and_from_the_copy_while_it_is_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with trio.fail_after(TIMEOUT):
        async with trio.open_nursery() as nursery:
            url = await simulated(nursery)
            rest = await nursery.start(partial(rest_sim.serve, MoexRest(), "127.0.0.1", 0))
            config = two_boards(tmp_path, url, rest)
            found = []
            for away in (False, True):
                if away:
                    listing = tmp_path / "cache" / "moex.listing.json"
                    broken = await nursery.start(partial(rest_sim.serve, MoexRest(failure="html"), "127.0.0.1", 0))
                    # The same question, but another answers it now.
                    listing.write_text(listing.read_text().replace(rest, broken))
                    config = two_boards(tmp_path, url, broken)
                reader = feedbus.subscribe(config.bus.publish, topics="book")
                async with reader as subscription, services.running(config):
                    found.append(await books_of(subscription, 3))
            nursery.cancel_scope.cancel()
    assert found[0] == found[1]
    assert any("using the copy" in record.getMessage() for record in caplog.records)


async def test_without_a_list_the_feed_says_why_and_asks_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
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


async def test_a_telemetry_port_in_use_keeps_the_service_from_starting(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        made = FeedConfig(name="moex", venue="moex", url="ws://127.0.0.1:9/", symbols=("TQBR.SBER",))
        config = Config("test", BusConfig(f"ipc://{tmp_path}/events.ipc"), (made,), telemetry=TelemetryConfig(listen))
        with pytest.RaisesGroup(pytest.RaisesExc(StartFailed, match=f"service can't start: telemetry: .*{listen}")):
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
