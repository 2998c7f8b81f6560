"""`feedbus demo`: simulated venues, their feeds, the actors, the bus and the live table, all on this machine.

All of it runs in one process, or each feed and actor runs in a process of its own, as under systemd: a process that
ends is started again a second later, and the others are not disturbed. The simulated venues and the live table are
always in this process.
"""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import trio
from rich.console import Console

from feedbus.bus.nng import PubSocket
from feedbus.bus.receiver import Stats
from feedbus.commands.addresses import addresses
from feedbus.commands.monitor import standard_output, watch
from feedbus.commands.signals import before_sudden_end, run_until_stopped, stop_signal
from feedbus.config import Config, parse
from feedbus.errors import BusError, ConfigError
from feedbus.service import processes
from feedbus.service.tree import running
from feedbus.sim.binance import catalogue as binance_catalogue
from feedbus.sim.moex import catalogue
from feedbus.sim.simulations import endpoints, simulation
from feedbus.table.market_table import MarketTable
from feedbus.table.market_view import run_lines
from feedbus.telemetry import logs

SYMBOLS_WANTED = {"moex": 12, "alor": 8, "binance": 10}
MOST_ACTIVE = 10  # instruments in the final statistics
RESTART_AFTER = 1.0  # seconds from the end of a process to its next start
TERMINATE_WITHIN = 10.0  # seconds that a process has to end after SIGTERM, before SIGKILL

CONFIG = """\
bus: {{publish: {publish}}}
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
      - {{kind: not_live, for: 5}}
      - {{kind: wide_spread, threshold: 0.2, for: 2}}
      - {{kind: price_jump, threshold: 0.3, window: 30}}
      - {{kind: large_trade, of: notional, threshold: 1000000, cooldown: 10}}
  metrics: {{listen: "127.0.0.1:0"}}
"""

log = logging.getLogger("feedbus")


def demo(*, seconds: float | None, apart: bool, log_format: logs.Style, on_start: Callable[[str, str], None]) -> str:
    """Run the demo on standard output until q is typed, a signal comes, or `seconds` have passed (None: no limit).

    The demo publishes at the address where the other commands look, or at one of its own when it can't have that one,
    which a warning says. With `apart`, each feed and actor has a process of its own. `on_start` is called with the
    address of the bus and with the arguments that `feedbus monitor` needs to follow it. On a terminal the newest log
    line is shown beneath the table; elsewhere logs go to standard error in `log_format`. Returns the final statistics.
    """
    console = standard_output()
    last_log = None
    if console.is_terminal:
        kept = logs.to_table()
        last_log = lambda: kept.text  # noqa: E731 (a closure of one expression)
    else:
        logs.to_stderr(style=log_format)
    show = partial(
        serve,
        console=console,
        seconds=seconds,
        apart=apart,
        log_format=log_format,
        on_start=on_start,
        last_log=last_log,
    )
    return run_until_stopped(show)


async def serve(
    *,
    console: Console,
    seconds: float | None,
    apart: bool,
    log_format: logs.Style,
    on_start: Callable[[str, str], None],
    last_log: Callable[[], str] | None,
) -> str:
    """Run the demo on this console; the other arguments are those of `demo`.

    `last_log` returns the text to show beneath the table. When it is None the console is no terminal, and the
    processes of the parts write their logs to standard error too.
    """
    with stop_signal() as stop, TemporaryDirectory(prefix="feedbus-demo-") as folder:
        async with trio.open_nursery() as nursery:
            path = Path(folder) / "demo.yaml"
            config, follow = _configured(await _simulated(nursery), path, apart=apart)
            on_start(config.bus.publish, follow)
            title = f"feedbus monitor {follow}" if follow else config.bus.publish
            show = partial(watch, stop=stop, console=console, seconds=seconds, title=title)
            if apart:
                summary = await _apart(config, path, show, log_format=None if last_log else log_format)
            else:
                async with running(config) as service:
                    table, stats = await show([config.bus.publish], last_log=last_log)
                summary = f"{service.summary(gaps=stats.gaps)}\n{most_active(table)}"
            nursery.cancel_scope.cancel()
        return summary


def most_active(table: MarketTable) -> str:
    """The final statistics of the instruments with the most updates, as lines of text."""
    return "\n".join(run_lines(table.totals(MOST_ACTIVE)))


async def _simulated(nursery: trio.Nursery) -> Callable[..., str]:
    """Serve the simulated venues in this nursery; returns what makes the YAML of a configuration that connects to them,
    given the `publish` address.
    """
    urls = {}
    for name, (websocket, rest) in endpoints("127.0.0.1", 0, list(SYMBOLS_WANTED)).items():
        urls[name] = await simulation(name).start(nursery, websocket, rest)
    shares = catalogue.tickers()[: SYMBOLS_WANTED["moex"]]
    return partial(
        CONFIG.format,
        urls=urls,
        moex=", ".join(shares),
        alor=", ".join(symbol.partition(".")[2] for symbol in shares[: SYMBOLS_WANTED["alor"]]),
        binance=", ".join(binance_catalogue.symbols()[: SYMBOLS_WANTED["binance"]]),
    )


def _configured(yaml: Callable[..., str], path: Path, *, apart: bool) -> tuple[Config, str]:
    """Write the configuration to `path`. Returns it, and the arguments with which `feedbus monitor` follows it, which
    are none when it publishes where `monitor` looks anyway.

    Whether that address can be had is found out by binding it for a moment. If not, a warning says why, and the demo
    publishes beside `path`.
    """

    def configured(publish: str) -> Config:
        path.write_text(yaml(publish=json.dumps(publish.replace("$", "$$"))))
        return parse(path.read_text(), name=str(path), directory=path.parent, environ={"HOME": str(path.parent)})

    (usual,) = addresses(None, None)
    try:
        config = configured(usual)
        needed = [processes.address(config, name) for name in processes.publishers(config)] if apart else [usual]
        for address in needed:
            PubSocket(address).close()
    except (BusError, ConfigError) as error:
        config = configured(f"ipc://{path.parent}/events.ipc")
        log.warning("%s; the demo publishes at %s instead", error, config.bus.publish)
        return config, f"--config {path}" if apart else f"--bus {config.bus.publish}"
    return config, f"--config {path}" if apart else ""


async def _apart(
    config: Config,
    path: Path,
    show: Callable[..., Awaitable[tuple[MarketTable, Stats]]],
    *,
    log_format: str | None,
) -> str:
    """Run each part in a process of its own and the live table in this one; returns the final statistics.

    `show` is `watch` but for the addresses and the last line. The processes write no logs when `log_format` is None.
    """
    parts = [_Part(path, name, log_format) for name in processes.names(config)]
    async with trio.open_nursery() as nursery:
        for part in parts:
            nursery.start_soon(part.run)
        table, stats = await show(processes.subscribed(config), last_log=lambda: _running(parts))
        nursery.cancel_scope.cancel()
    restarts = sum(part.starts - 1 for part in parts)
    return f"processes {len(parts)}, started again {restarts}, gaps {stats.gaps:,}\n{most_active(table)}"


def _running(parts: Sequence[_Part]) -> str:
    """The name and process id of each part that runs, to be shown beneath the table."""
    return "  ".join(f"{part.name} {part.pid}" for part in parts if part.pid)


class _Part:
    """The process of one part of the configuration. It is started again whenever it ends."""

    def __init__(self, path: Path, name: str, log_format: str | None) -> None:
        """`log_format` is None where a table fills the screen: log lines would garble it, so they are dropped."""
        self.name = name
        self.starts = 0
        self.pid: int | None = None
        self._command = [sys.executable, "-m", "feedbus", "run", str(path), "--only", name]
        self._command += ["--log-format", log_format or "auto"]
        self._stderr = None if log_format else subprocess.DEVNULL

    async def run(self) -> None:
        """Keep the process running until cancelled, and stop it then."""
        while True:
            self.starts += 1
            # Ctrl-C goes to every process of a terminal's foreground group. The part is in a group of its own, so that
            # it is stopped only once, by us.
            process = await trio.lowlevel.open_process(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._stderr,
                process_group=0,
            )
            self.pid = process.pid
            with before_sudden_end(process.kill):
                try:
                    await process.wait()
                except trio.Cancelled:
                    with trio.CancelScope(shield=True):
                        await _terminate(process)
                    raise
            self.pid = None
            await trio.sleep(RESTART_AFTER)


async def _terminate(process: trio.Process) -> None:
    """Ask the process to end with SIGTERM, as systemd would, and kill it when it takes too long."""
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    with trio.move_on_after(TERMINATE_WITHIN):
        await process.wait()
    if process.poll() is None:
        process.kill()
        await process.wait()
