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
import yaml

from feedbus.actors.metrics.actor import Actor
from feedbus.actors.protocol import ActorContext
from feedbus.bus.publisher import Publisher
from feedbus.config import FeedConfig, ShardingConfig
from feedbus.feed.feed import Feed
from feedbus.runtime.supervisor import Supervisor
from feedbus.runtime.wall_clock import WallClock
from feedbus.schema.events import Alert, FeedStatus, Trade
from feedbus.service import metric_table as metrics
from feedbus.sim.moex import server as moex_sim
from feedbus.telemetry.loop_lag import LoopLag
from feedbus.telemetry.server import Server
from feedbus.telemetry.systemd import Notifier
from feedbus.telemetry.watchdog import Watchdog
from feedbus.testing.memory_bus import MemoryBus
from feedbus.transport import DialOptions, websocket
from tests.edges.environments import environment, unpack
from tests.edges.processes import Start, line
from tests.free_port import free_port
from tests.places import DOCS

pytestmark = [pytest.mark.edge, pytest.mark.timeout(300)]  # it may have to install promtool

POLL = 0.05  # seconds between two questions to another program


class Tools(NamedTuple):
    promtool: str
    prometheus: str


@pytest.fixture(scope="module")
def tools() -> Tools:
    """Those of the machine, or else those of the folder, which is kept for the next time."""
    installed = shutil.which("promtool"), shutil.which("prometheus")
    if installed[0] and installed[1]:
        return Tools(installed[0], installed[1])
    folder = environment("prometheus", partial(unpack, "prometheus"))
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
        figures = metrics.ProcessFigures(lag, WallClock(), watchdog, lambda: {"info": 1}, dict)
        registry = metrics.registry([feed], [publisher], [], lambda: [supervisor], figures)
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
            process = await _start(tools, tmp_path, ["{}:{}".format(*server.address)], nursery)
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


async def _start(
    tools: Tools, folder: Path, targets: list[str], nursery: trio.Nursery, *, rules: str = ""
) -> trio.Process:
    config = folder / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}\n"
        f"rule_files: {[str(folder / rules)] if rules else []}\n"
        f"scrape_configs: [{{job_name: feedbus, static_configs: [{{targets: {targets}}}]}}]\n"
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
    for row in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        columns = row.split()
        if columns[3] == "0A" and columns[9] in inodes:
            return int(columns[1].rpartition(":")[2], 16)
    return None


# The rules of docs/operations.md

PAGE = (DOCS / "operations.md").read_text()
BLOCKS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
GROUPS = [group for block in BLOCKS for group in block.get("groups", ())]
RULES: dict[str, dict[str, str]] = {rule["alert"]: rule for group in GROUPS for rule in group["rules"]}
FIRING = {
    "FeedDown": {"feedbus_feed_up": "1x5 0x30"},
    "Bug": {"feedbus_supervisor_crashes_total": "0x5 1x30"},
    "PartHangs": {"feedbus_watchdog_withheld_total": "0x5 3x30"},
    "Overloaded": {"feedbus_event_loop_worst_lag_seconds": "0.01x5 1.5x30"},
    "EventsTooLarge": {"feedbus_publisher_oversized_events_total": "0x5 1x30"},
    "ConnectionsMissing": {"feedbus_bus_connections_up": "3x5 2x30", "feedbus_bus_connections_wanted": "3x35"},
    "PublisherSilent": {"feedbus_bus_publisher_heartbeats_total": "0+60x5 300x30"},
    "EventsLost": {"feedbus_bus_lost_events_total": "0x5 7x30"},
    "DataOld": {'feedbus_bus_age_seconds{quantile="0.99", kind="trade"}': "0.1x5 2x30"},
}
"""Series, a minute a sample, at which each of the rules has to fire."""
CONFIG = """\
bus: {{publish: "ipc://{folder}/events.ipc"}}
telemetry: {{listen: "{process}"}}
feeds:
  moex: {{venue: moex, url: {moex}, channels: [orderbooks, securities, candles.M1], symbols: [TQBR.SBER, TQBR.GAZP]}}
  binance: {{venue: binance, url: {binance}, symbols: [BTCUSDT, ETHUSDT]}}
actors:
  aggregator: {{periods: [5, 60]}}
  alerting: {{rules: [{{kind: price_jump, threshold: 0.001}}]}}
  metrics: {{listen: "{bus}"}}
"""
HOLDS = 5  # seconds that a rule holds here before it fires, in place of its minutes
SCRAPES = 70  # of each process, five a second, in which no rule may fire


def test_promtool_has_nothing_to_say_of_what_the_page_shows(tools: Tools, tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": GROUPS}))
    (scraping,) = (block for block in BLOCKS if "scrape_configs" in block)
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump({**scraping, "rule_files": ["rules.yml"]}))
    command = [tools.promtool, "check", "config", str(tmp_path / "prometheus.yml")]
    judged = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (judged.returncode, judged.stderr) == (0, "")
    assert f"{len(RULES)} rules found" in judged.stdout


def test_every_rule_fires_at_what_it_is_there_for(tools: Tools, tmp_path: Path) -> None:
    assert set(FIRING) == set(RULES)
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": GROUPS}))
    tests = [
        {
            "interval": "1m",
            "input_series": [{"series": series, "values": values} for series, values in given.items()],
            "promql_expr_test": [
                {"expr": f'count(ALERTS{{alertstate="firing", alertname="{name}"}}) or vector(0)', "eval_time": at}
                | {"exp_samples": [{"labels": "{}", "value": count}]}
                for at, count in (("4m", 0), ("8m" if "[5m]" in RULES[name]["expr"] else "20m", 1))
            ],
        }
        for name, given in FIRING.items()
    ]
    (tmp_path / "tests.yml").write_text(yaml.safe_dump({"rule_files": ["rules.yml"], "tests": tests}))
    command = [tools.promtool, "test", "rules", "tests.yml"]
    judged = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert (judged.returncode, judged.stderr) == (0, ""), judged.stdout


async def test_no_rule_fires_on_a_healthy_service(tools: Tools, tmp_path: Path, start: Start) -> None:
    """All feeds and actors in one process, on simulated venues; its metrics, scraped by a real Prometheus."""
    venues = start("sim", "moex", "binance", "--listen", "127.0.0.1:0")
    urls = dict(line(venues).split(": ", 1) for _ in range(4))
    served = {name: f"127.0.0.1:{free_port()}" for name in ("process", "bus")}
    text = CONFIG.format(folder=tmp_path, moex=urls["moex"], binance=urls["binance"], **served)
    (tmp_path / "c.yaml").write_text(text)
    start("run", "c.yaml", log="run.log")
    rules = [{**rule, **({"for": f"{HOLDS}s"} if "for" in rule else {})} for rule in RULES.values()]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "docs", "rules": rules}]}))
    with trio.fail_after(120):
        async with trio.open_nursery() as nursery, httpx.AsyncClient() as client:

            async def ready(address: str) -> bool:
                with suppress(httpx.TransportError):
                    return (await client.get(f"http://{address}/readyz")).status_code == 200
                return False

            for address in served.values():
                await _until(partial(ready, address))
            process = await _start(tools, tmp_path, list(served.values()), nursery, rules="rules.yml")
            base = f"http://127.0.0.1:{await _until(lambda: _listening_port(process.pid))}/api/v1"

            async def query(expression: str) -> list[Any]:
                answer = await client.get(f"{base}/query", params={"query": expression})
                found: list[Any] = answer.json()["data"]["result"] if answer.status_code == 200 else []
                return found

            # Every rule is about series that there are, and has been judged for long enough.
            for metric in {name for rule in RULES.values() for name in re.findall(r"feedbus_\w+", rule["expr"])}:
                await _until(partial(query, f"count({metric})"))
            await _until(partial(query, f"min(count_over_time(up[1m])) > {SCRAPES}"))
            judged = (await client.get(f"{base}/rules")).json()["data"]["groups"][0]["rules"]
            assert {rule["name"]: rule["health"] for rule in judged} == dict.fromkeys(RULES, "ok")
            fired = await query('count by (alertname) (count_over_time(ALERTS{alertstate="firing"}[1m]))')
            assert [each["metric"] for each in fired] == []
            # A bar is older than a second on a healthy service, so a rule about every kind would fire. The quantile is
            # of the last seconds alone, in which there may have been no bar.
            await _until(partial(query, 'max_over_time(feedbus_bus_age_seconds{quantile="0.99", kind="bar"}[5m]) > 1'))
            process.terminate()
            nursery.cancel_scope.cancel()
