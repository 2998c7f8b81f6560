"""`feedbus demo`: simulated venues, their feeds, the actors, the bus and the live table, all on this machine.

In one process, or each feed and actor in a process of its own, as systemd would run them: whichever ends is started
again a second later, and the others don't notice. The simulated venues and the table are always in this one.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import trio
from rich.console import Console

from feedbus.commands.app import stop_signal, watch
from feedbus.config import Config, parse
from feedbus.service import processes
from feedbus.service.tree import running
from feedbus.sim.binance import catalogue as binance_catalogue
from feedbus.sim.moex import catalogue
from feedbus.sim.simulations import NAMES, places, simulation
from feedbus.table.market_table import MarketTable
from feedbus.table.run_view import run_lines

SYMBOLS = {"moex": 12, "alor": 8, "binance": 10}
MOST_ACTIVE = 10  # in the final statistics
RESTART_AFTER = 1.0  # seconds

CONFIG = """\
bus: {{publish: "ipc://{folder}/events.ipc"}}
feeds:
  moex:
    venue: moex
    url: {urls[moex][0]}
    rest: {urls[moex][1]}
    symbols: [{moex}]
    sharding: {{connections: 3, per_connection: 4}}
  alor:
    venue: alor
    url: {urls[alor][0]}
    rest: {urls[alor][1]}
    auth: {urls[alor][1]}
    credentials: {{refresh_token: demo}}
    symbols: [{alor}]
    sharding: {{connections: 2, per_connection: 4}}
  binance:
    venue: binance
    url: {urls[binance][0]}
    rest: {urls[binance][1]}
    channels: [trade, bookTicker, depth10, miniTicker]
    symbols: [{binance}]
    sharding: {{connections: 2, per_connection: 5}}
actors:
  aggregator: {{periods: [60, 300, 900]}}
  alerting:
    rules:
      - {{kind: connection_down, for: 5, severity: critical}}
      - {{kind: stale, threshold: 15}}
      - {{kind: wide_spread, threshold: 0.2, for: 2}}
      - {{kind: price_jump, threshold: 0.3, window: 30}}
      - {{kind: large_trade, of: notional, threshold: 1000000, cooldown: 10}}
  metrics: {{listen: "127.0.0.1:0"}}
"""


async def demo(
    *,
    console: Console,
    seconds: float | None,
    apart: bool,
    log_format: str,
    on_start: Callable[[str, str], None],
    last_log: Callable[[], str] | None,
) -> str:
    """Run it until q, a signal, or the end of its time; `apart` puts each part into a process of its own.

    `on_start` is told where the bus is and what `monitor` takes for it, `last_log` says what else should be read
    beneath a table on a screen; where there is none, processes write their logs in `log_format` to standard error.
    Returns the final statistics.
    """
    with stop_signal() as stop, TemporaryDirectory(prefix="feedbus-demo-") as folder:
        async with trio.open_nursery() as nursery:
            path = Path(folder) / "demo.yaml"
            path.write_text(await _simulated(nursery, folder))
            config = parse(path.read_text(), name=str(path), directory=path.parent, environ={"HOME": folder})
            on_start(config.bus.publish, f"--config {path}" if apart else f"--bus {config.bus.publish}")
            if apart:
                summary = await _apart(
                    config, path, stop, console=console, seconds=seconds, log_format=None if last_log else log_format
                )
            else:
                async with running(config) as service:
                    table, stats = await watch(
                        [config.bus.publish], stop, console=console, seconds=seconds, last_log=last_log
                    )
                summary = f"{service.summary(gaps=stats.gaps)}\n{most_active(table)}"
            nursery.cancel_scope.cancel()
        return summary


def most_active(table: MarketTable) -> str:
    """What was traded of the instruments that changed most, for the end."""
    return "\n".join(run_lines(table.totals(MOST_ACTIVE)))


async def _simulated(nursery: trio.Nursery, folder: str) -> str:
    """The venues, served; the configuration for them."""
    urls = {}
    for name, (websocket, rest) in places("127.0.0.1", 0, NAMES).items():
        urls[name] = await simulation(name).start(nursery, websocket, rest)
    shares = catalogue.tickers()[: SYMBOLS["moex"]]
    return CONFIG.format(
        folder=folder,
        urls=urls,
        moex=", ".join(shares),
        alor=", ".join(symbol.partition(".")[2] for symbol in shares[: SYMBOLS["alor"]]),
        binance=", ".join(binance_catalogue.symbols()[: SYMBOLS["binance"]]),
    )


async def _apart(
    config: Config, path: Path, stop: trio.Event, *, console: Console, seconds: float | None, log_format: str | None
) -> str:
    """Every part in a process, and the table in this one."""
    parts = [_Part(path, name, log_format) for name in processes.names(config)]
    async with trio.open_nursery() as nursery:
        for part in parts:
            nursery.start_soon(part.run)
        table, stats = await watch(
            processes.subscribed(config), stop, console=console, seconds=seconds, last_log=lambda: _said(parts)
        )
        nursery.cancel_scope.cancel()
    restarts = sum(part.starts - 1 for part in parts)
    return f"processes {len(parts)}, started again {restarts}, gaps {stats.gaps:,}\n{most_active(table)}"


def _said(parts: Sequence[_Part]) -> str:
    return "  ".join(f"{part.name} {part.pid}" for part in parts if part.pid)


class _Part:
    """One part of the configuration in a process, which is started again whenever it ends."""

    def __init__(self, path: Path, name: str, log_format: str | None) -> None:
        """Without a format its log goes nowhere: there is a table on the screen."""
        self.name = name
        self.starts = 0
        self.pid: int | None = None
        self._command = [sys.executable, "-m", "feedbus", "run", str(path), "--only", name]
        self._command += ["--log-format", log_format or "auto"]
        self._stderr = None if log_format else subprocess.DEVNULL

    async def run(self) -> None:
        """Until cancelled; then it is asked to end, as systemd would."""
        while True:
            self.starts += 1
            process = await trio.lowlevel.open_process(
                self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._stderr
            )
            self.pid = process.pid
            try:
                await process.wait()
            except trio.Cancelled:
                with trio.CancelScope(shield=True):
                    await _end(process)
                raise
            self.pid = None
            await trio.sleep(RESTART_AFTER)


async def _end(process: trio.Process) -> None:
    """SIGTERM, and SIGKILL for whoever doesn't end in time."""
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    with trio.move_on_after(10):
        await process.wait()
    if process.poll() is None:
        process.kill()
        await process.wait()
