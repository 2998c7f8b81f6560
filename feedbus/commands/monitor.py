"""`feedbus monitor`: the live table of whatever is published at some addresses."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence

import trio
from rich.console import Console

from feedbus.bus.receiver import Stats
from feedbus.bus.subscriber import WARN_AFTER, subscribe
from feedbus.commands.signals import before_sudden_end, run_until_stopped, stop_signal
from feedbus.table.market_table import MarketTable
from feedbus.table.monitor import TOPICS, run_monitor
from feedbus.table.terminal import as_it_is
from feedbus.telemetry import logs


def monitor(addresses: Sequence[str]) -> None:
    """Show the live table on standard output until q is typed or a signal asks it to stop."""
    console = standard_output()
    if not console.is_terminal:
        logs.to_user()
    run_until_stopped(_until_stopped, addresses, console)


def standard_output() -> Console:
    """The console at standard output: a terminal that the table may fill, or else an output for plain lines, as a
    terminal without control sequences is one too.

    Rich alone would take a pipe for a terminal where the environment asks for colours (FORCE_COLOR).
    """
    fills = sys.stdout.isatty() and os.environ.get("TERM", "").lower() not in ("", "dumb", "unknown")
    return Console(force_terminal=fills, force_interactive=fills)


async def _until_stopped(addresses: Sequence[str], console: Console) -> None:
    with stop_signal() as stop:
        await watch(addresses, stop, console=console)


async def watch(
    addresses: Sequence[str],
    stop: trio.Event,
    *,
    console: Console,
    seconds: float | None = None,
    title: str = "",
    last_log: Callable[[], str] | None = None,
) -> tuple[MarketTable, Stats]:
    """Show the live table until q is typed, `stop` is set, or `seconds` have passed (None: without a limit).

    `title` is shown in the last line instead of the addresses, and `last_log` is asked at each redraw for a further
    text there. While nothing comes at all, a terminal's table says why itself; elsewhere a warning is logged. Returns
    the table with all that it has taken in, and what the subscription has counted.
    """
    title = title or (addresses[0] if len(addresses) == 1 else f"{len(addresses)} addresses")
    warn_after = None if console.is_terminal else WARN_AFTER
    table = MarketTable(time.monotonic_ns())
    with before_sudden_end(as_it_is()):
        async with (
            subscribe(addresses, topics=TOPICS, warn_after=warn_after) as subscription,
            trio.open_nursery() as nursery,
        ):

            async def cancel_at_stop() -> None:
                await stop.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(cancel_at_stop)
            await run_monitor(
                subscription,
                console=console,
                keys=True,
                title=title,
                seconds=seconds,
                last_log=last_log,
                table=table,
            )
            nursery.cancel_scope.cancel()
    return table, subscription.stats()
