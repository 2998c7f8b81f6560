"""The service under a bad network for a long time: `make soak`. Prints what it saw as JSON; exits 1 when anything of it
is wrong.

    simulated exchange ── relay that cuts, resets and stalls ── feedbus run ── a fast reader, and one that is stopped

Environment: SOAK_SECONDS (600), SOAK_CONNECTIONS (10), SOAK_PER_CONNECTION (30), SOAK_SEED (1), SOAK_MAX_MIB (120),
SOAK_GROWTH_MIB (6).
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import trio

from feedbus.sim.moex import catalogue
from tests.soak import verdict
from tests.soak.relay import Relay

SECONDS = float(os.environ.get("SOAK_SECONDS", "600"))
CONNECTIONS = int(os.environ.get("SOAK_CONNECTIONS", "10"))
PER_CONNECTION = int(os.environ.get("SOAK_PER_CONNECTION", "30"))
SEED = int(os.environ.get("SOAK_SEED", "1"))
MAX_MIB = float(os.environ.get("SOAK_MAX_MIB", "120"))
GROWTH_MIB = float(os.environ.get("SOAK_GROWTH_MIB", "6"))

WARM_UP = 0.25  # of the time: until then caches, queues and the heap fill
RECOVERY = 60.0  # seconds until all must be well again after the last fault
PATIENCE = 30.0  # seconds for a process to start or end
STALLED_BYTES = 8 * 1024 * 1024
BUGS = re.compile(r"Traceback|a bug|Error:")

CONFIG = """\
bus: {{publish: "{address}", stalled_bytes: {stalled}}}
feeds:
  moex:
    venue: moex
    url: ws://127.0.0.1:{port}{path}
    symbols: [{symbols}]
    sharding: {{connections: {connections}, per_connection: {per_connection}}}
    ping_interval: 5
    ping_timeout: 5
    backoff: {{first: 0.5, cap: 5, reset_after: 10}}
"""


class Child:
    """One process; its lines are read as they come, and the last ones are kept."""

    def __init__(self, name: str, process: trio.Process) -> None:
        self.name = name
        self.process = process
        self.lines: list[str] = []
        self.errors: list[str] = []
        self._news = trio.Event()

    async def read(self, stream: trio.abc.ReceiveStream | None, into: list[str], keep: int) -> None:
        assert stream is not None
        rest = ""
        async for data in stream:
            *lines, rest = (rest + data.decode(errors="replace")).split("\n")
            into += lines
            del into[:-keep]
            self._news.set()
            self._news = trio.Event()

    async def wait_for(self, what: Callable[[], Any], seconds: float = PATIENCE) -> Any:
        """What `what` makes of this process's lines, as soon as it is something; None when it isn't in time."""
        with trio.move_on_after(seconds):
            while not (found := what()):
                await self._news.wait()
            return found
        return None

    def report(self) -> dict[str, Any]:
        """The last line, of a reader."""
        found: dict[str, Any] = json.loads(self.lines[-1]) if self.lines else {}
        return found

    def resident(self) -> int:
        """Bytes."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    async def stop(self) -> int | None:
        """SIGTERM, and the exit status; None when it had to be killed."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        with trio.move_on_after(PATIENCE):
            return await self.process.wait()
        self.process.kill()
        return None


class Soak:
    """All of the processes, and what is found wrong."""

    def __init__(self, nursery: trio.Nursery, folder: Path) -> None:
        self.complaints: list[str] = []
        self.memory: list[tuple[float, int]] = []
        self.children: list[Child] = []
        self._nursery = nursery
        self._folder = folder
        self._started = trio.current_time()

    async def start(self, name: str, *arguments: str) -> Child:
        open_process = partial(
            trio.run_process,
            [sys.executable, "-m", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            check=False,
        )
        child = Child(name, await self._nursery.start(open_process))
        self._nursery.start_soon(child.read, child.process.stdout, child.lines, 100)
        self._nursery.start_soon(child.read, child.process.stderr, child.errors, 1000)
        self.children.append(child)
        return child

    def require(self, good: object, complaint: str) -> None:
        if not good:
            self.complaints.append(complaint)

    async def watch(self, service: Child) -> None:
        """Sample the memory once a second; a process that ends by itself ends the soak."""
        while all(child.process.poll() is None for child in self.children):
            self.memory.append((trio.current_time() - self._started, service.resident()))
            await trio.sleep(1)

    async def run(self) -> dict[str, Any]:
        venue = await self.start("sim", "feedbus", "sim", "moex", "--listen", "127.0.0.1:0")
        url = await venue.wait_for(lambda: venue.lines and re.search(r"ws://\S+", venue.lines[0]))
        if url is None:
            raise RuntimeError(f"the simulator did not start: {venue.errors[-3:]}")
        parts = urlsplit(url[0])
        relay = Relay(parts.port or 0, SEED)
        port = await self._nursery.start(relay.serve)
        address = f"ipc://{self._folder}/bus.ipc"
        fast = await self.start("fast", "tests.soak.reader", address)
        stopped = await self.start("stopped", "tests.soak.reader", address)
        for reader in (fast, stopped):
            self.require(await reader.wait_for(reader.report), f"{reader.name} did not start")
        service = await self.start("service", "feedbus", "run", str(self._config(address, port, parts.path)))
        await self._weather(relay, service, fast, stopped)
        return await self._end(relay, service, fast, stopped)

    def _config(self, address: str, port: int, path: str) -> Path:
        symbols = catalogue.tickers()[: CONNECTIONS * PER_CONNECTION]
        config = self._folder / "soak.yaml"
        config.write_text(
            CONFIG.format(
                address=address,
                stalled=STALLED_BYTES,
                port=port,
                path=path,
                symbols=", ".join(symbols),
                connections=CONNECTIONS,
                per_connection=PER_CONNECTION,
            )
        )
        return config

    async def _weather(self, relay: Relay, service: Child, fast: Child, stopped: Child) -> None:
        """All up, then the bad network for the whole time, then all up again."""
        self.require(await fast.wait_for(lambda: well(fast), RECOVERY), "the connections did not come up at the start")
        stopped.process.send_signal(signal.SIGSTOP)
        with trio.move_on_after(SECONDS) as time_is_up:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(relay.misbehave)
                await self.watch(service)
                nursery.cancel_scope.cancel()
        stopped.process.send_signal(signal.SIGCONT)
        for child in self.children:
            self.require(child.process.poll() is None, f"{child.name} ended by itself: {child.process.returncode}")
        if time_is_up.cancelled_caught:
            self.require(await fast.wait_for(lambda: well(fast), RECOVERY), f"not all well again: {brief(fast)}")

    async def _end(self, relay: Relay, service: Child, fast: Child, stopped: Child) -> dict[str, Any]:
        last = stopped.lines[-1] if stopped.lines else ""
        self.require(await stopped.wait_for(lambda: stopped.lines[-1] != last), "the stopped reader did not go on")
        self.require(await service.stop() == 0, f"the service's exit status is {service.process.returncode}")
        await trio.sleep(1)  # its last heartbeat is on its way
        for reader in (fast, stopped):
            self.require(await reader.stop() == 0, f"{reader.name}: exit status {reader.process.returncode}")
            self.complaints += verdict.balance(reader.name, reader.report())
        sent = published(service.lines)
        self.require(sent, "the service gave no summary of its events")
        self.complaints += verdict.whole("fast", fast.report(), sent)
        bugs = [line for child in self.children for line in child.errors if BUGS.search(line)]
        self.require(not bugs, f"on standard error: {bugs[:3]}")
        warm = [sample for sample in self.memory if sample[0] > SECONDS * WARM_UP]
        self.complaints += verdict.memory(warm, peak_mib=MAX_MIB, growth_mib=GROWTH_MIB)
        return {
            "good": not self.complaints,
            "complaints": self.complaints,
            "seconds": SECONDS,
            "connections": CONNECTIONS,
            "symbols": CONNECTIONS * PER_CONNECTION,
            "faults": dict(relay.faults),
            "connections_made": relay.accepted,
            "resident_mib": {
                "over_time": [
                    round(size / verdict.MIB, 1) for _, size in self.memory[:: max(1, len(self.memory) // 20)]
                ],
                "peak": round(max((size for _, size in warm), default=0) / verdict.MIB, 1),
                "growth": round(verdict.growth(warm) / verdict.MIB, 2) if warm else None,
                "slope_per_hour": round(verdict.slope(warm) / verdict.MIB, 2),
            },
            "published": sent,
            "fast": fast.report(),
            "stopped": stopped.report(),
            "summary": service.lines[-12:],
        }


def well(reader: Child) -> bool:
    """All connections are up, and every instrument is live."""
    report = reader.report()
    return (report.get("connections_up"), report.get("live")) == (CONNECTIONS, CONNECTIONS * PER_CONNECTION)


def brief(reader: Child) -> str:
    report = reader.report()
    return f"{report.get('connections_up')} of {CONNECTIONS} connections up, {report.get('live')} instruments live"


def published(lines: list[str]) -> dict[str, int]:
    """Events by kind, off the service's final summary."""
    events = next((line for line in lines if line.startswith("events")), "")
    return {kind: int(count.replace(",", "")) for kind, count in re.findall(r"(\w+) ([\d,]*\d)", events)}


async def main() -> dict[str, Any]:
    with TemporaryDirectory(prefix="feedbus-soak-") as folder:
        async with trio.open_nursery() as nursery:
            soak = Soak(nursery, Path(folder))
            try:
                found = await soak.run()
            finally:
                for child in soak.children:
                    if child.process.poll() is None:
                        child.process.kill()
            nursery.cancel_scope.cancel()
    return found


if __name__ == "__main__":
    result = trio.run(main)
    sys.stdout.write(json.dumps(result, indent=2) + "\n")
    sys.exit(0 if result["good"] else 1)
