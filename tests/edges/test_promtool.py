"""Prometheus' own judgement: `promtool check metrics` on a scrape, and a Prometheus that scrapes.

Both come from Debian's package `prometheus`, unpacked into a folder of its own (nothing is installed, no root needed).
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import trio
import trio.testing

from feedbus.actors.metrics.actor import Actor
from feedbus.actors.protocol import ActorContext
from feedbus.bus.publisher import Publisher
from feedbus.config import FeedConfig, ShardingConfig
from feedbus.feed.feed import Feed
from feedbus.runtime.supervisor import Supervisor
from feedbus.schema.events import Alert, FeedStatus, Trade
from feedbus.service import metric_table as metrics
from feedbus.sim.moex import server as moex_sim
from feedbus.telemetry.loop_lag import LoopLag
from feedbus.telemetry.server import Server
from feedbus.telemetry.systemd import Notifier
from feedbus.telemetry.watchdog import Watchdog
from feedbus.testing.memory_bus import MemoryBus
from feedbus.transport import DialOptions, websocket
from tests.edges.environments import environment, run

pytestmark = [pytest.mark.edge, pytest.mark.timeout(300)]  # it may have to install promtool

POLL = 0.05  # seconds between two questions to another program


class Tools(NamedTuple):
    promtool: str
    prometheus: str


def _unpack(folder: Path) -> None:
    """By apt, with lists of packages of its own: the machine's may be missing, and are left alone."""
    for name in ("state/lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    folders = {"Dir::State": folder / "state", "Dir::Cache": folder / "cache"}
    system = {"Dir::State::status": "/var/lib/dpkg/status", "APT::Sandbox::User": "root"}
    options = [part for name, value in {**folders, **system}.items() for part in ("-o", f"{name}={value}")]
    run("apt-get", "-qq", *options, "update", cwd=folder)
    run("apt-get", "-qq", *options, "download", "prometheus", cwd=folder)
    (package,) = folder.glob("prometheus_*.deb")
    run("dpkg", "-x", package, folder)
    package.unlink()
    for name in ("state", "cache"):
        shutil.rmtree(folder / name)


@pytest.fixture(scope="module")
def tools() -> Tools:
    """Those of the machine, or else those of the folder, which is kept for the next time."""
    installed = shutil.which("promtool"), shutil.which("prometheus")
    if installed[0] and installed[1]:
        return Tools(installed[0], installed[1])
    folder = environment("prometheus", _unpack)
    return Tools(str(folder / "usr/bin/promtool"), str(folder / "usr/bin/prometheus"))


class Sink:
    """Takes what is published."""

    def send(self, message: bytes) -> None:
        pass


@asynccontextmanager
async def service() -> AsyncIterator[tuple[Feed, Server]]:
    """A feed on the simulated exchange with one ticker that there isn't, and its telemetry."""
    publisher, lag = Publisher("moex", Sink()), LoopLag()
    watchdog = Watchdog(Notifier({}), list, str, trio.Event().wait)
    supervisor = Supervisor("service", [])
    supervisor.crashes["moex"] = supervisor.restarts["moex"] = 1
    async with trio.open_nursery() as nursery:
        url = await nursery.start(partial(moex_sim.serve, moex_sim.MoexSimOptions(rate=20.0), "127.0.0.1", 0))
        symbols = ("TQBR.SBER", "TQBR.GAZP", "TQBR.NOSUCH")
        config = FeedConfig(name="moex", venue="moex", url=url, symbols=symbols, sharding=ShardingConfig(2, 2))
        feed = Feed(config, publisher, websocket.dial, DialOptions(subprotocols=("STOMP",)))
        figures = {"lag": lag, "watchdog": watchdog, "log_lines": lambda: {"info": 1}, "log_lines_left_out": dict}
        registry = metrics.registry([feed], [publisher], [], lambda: [supervisor], **figures)  # type: ignore[arg-type]
        server = Server("127.0.0.1", 0, registry, list, list)
        await nursery.start(server.serve)
        await nursery.start(publisher.run)
        nursery.start_soon(lag.run)
        nursery.start_soon(watchdog.run)
        nursery.start_soon(feed.run)

        def seen() -> bool:
            shards = feed.connectors
            return all(each.events for each in shards) and any(each.refusals for each in shards)

        await _until(seen)
        yield feed, server
        nursery.cancel_scope.cancel()


def check(tools: Tools, text: str) -> subprocess.CompletedProcess[str]:
    command = [tools.promtool, "check", "metrics"]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)


async def test_promtool_has_nothing_to_say_of_our_metrics(tools: Tools) -> None:
    with trio.fail_after(60):
        async with service() as (_, server), httpx.AsyncClient() as client:
            assert server.address is not None
            answer = await client.get("http://{}:{}/metrics".format(*server.address))
    assert 'feedbus_connection_up{connection="moex/0",feed="moex"} 1.0' in answer.text
    judged = await trio.to_thread.run_sync(check, tools, answer.text)
    assert (judged.returncode, judged.stdout, judged.stderr) == (0, "", "")


async def test_promtool_has_nothing_to_say_of_the_view_of_the_bus(tools: Tools) -> None:
    bus = MemoryBus()
    actor = Actor(Actor.Options(listen="127.0.0.1:0"), ActorContext(bus.subscribe, lambda events: None, time.time_ns))
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery, httpx.AsyncClient() as client:
            await nursery.start(actor.run)
            at = time.time_ns()
            Publisher("moex", bus, linger=0).publish(
                [
                    Trade("moex", "TQBR.SBER", at, at, 306.1, 1.0, None, None),
                    FeedStatus("moex", "moex/0", 0, at, "online", "", 1, 1, {}, 0.0, None, 1),
                    Alert("moex", "TQBR.SBER", 0, at, "spread", "page", "firing", None, ""),
                ]
            )
            await trio.testing.wait_all_tasks_blocked()
            assert actor.address is not None
            answer = await client.get("http://{}:{}/metrics".format(*actor.address))
            nursery.cancel_scope.cancel()
    assert 'feedbus_bus_age_seconds{feed="moex",kind="trade",quantile="0.5"}' in answer.text
    judged = await trio.to_thread.run_sync(check, tools, answer.text)
    assert (judged.returncode, judged.stdout, judged.stderr) == (0, "", "")


def test_promtool_would_say_it(tools: Tools) -> None:
    judged = check(tools, "# TYPE feedbus_delay_ms counter\nfeedbus_delay_ms 1\n")
    assert judged.returncode != 0
    assert "no help text" in judged.stdout + judged.stderr


async def test_a_real_prometheus_scrapes_and_keeps_our_series(tools: Tools, tmp_path: Path) -> None:
    with trio.fail_after(120):
        async with service() as (_, server), trio.open_nursery() as nursery, httpx.AsyncClient() as client:
            assert server.address is not None
            process = await _start(tools, tmp_path, "{}:{}".format(*server.address), nursery)
            base = f"http://127.0.0.1:{await _until(lambda: _listening_port(process.pid))}/api/v1"

            async def query(expression: str) -> list[Any]:
                answer = await client.get(f"{base}/query", params={"query": expression})
                # Until it is ready it says so with a 503.
                found: list[Any] = answer.json()["data"]["result"] if answer.status_code == 200 else []
                return found

            (up,) = await _until(lambda: query('feedbus_connection_up{connection="moex/0"} == 1'))
            assert up["metric"]["feed"] == "moex"
            (count,) = await query('count(count by (__name__) ({__name__=~"feedbus_.+"}))')
            assert int(count["value"][1]) >= 20
            (scrapes,) = await query("up")
            assert scrapes["value"][1] == "1"
            process.terminate()
            nursery.cancel_scope.cancel()


async def _start(tools: Tools, folder: Path, target: str, nursery: trio.Nursery) -> trio.Process:
    config = folder / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 200ms, scrape_timeout: 200ms}\n"
        f"scrape_configs: [{{job_name: feedbus, static_configs: [{{targets: ['{target}']}}]}}]\n"
    )
    command = [tools.prometheus, f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"]
    start = partial(trio.run_process, check=False, capture_stdout=True, capture_stderr=True)
    process: trio.Process = await nursery.start(start, [*command, "--web.listen-address=127.0.0.1:0"])
    return process


async def _until(ask: Callable[[], Any]) -> Any:
    """The first answer that is one; `ask` may be async."""
    while True:
        answer = ask()
        if isinstance(answer, Awaitable):
            answer = await answer
        if answer:
            return answer
        await trio.sleep(POLL)


def _listening_port(pid: int) -> int | None:
    """The port that a process listens on: 0 lets the system choose, and Prometheus doesn't say what it chose."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it is closed by now
            if found := re.fullmatch(r"socket:\[(\d+)\]", str(descriptor.readlink())):
                inodes.add(found[1])
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        columns = line.split()
        if columns[3] == "0A" and columns[9] in inodes:
            return int(columns[1].rpartition(":")[2], 16)
    return None
