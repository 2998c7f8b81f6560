"""`feedbus book`: the live ladder of one instrument."""

from __future__ import annotations

from collections.abc import Sequence

import trio
from rich.console import Console

from feedbus.bus.subscriber import WARN_AFTER, subscribe
from feedbus.commands.monitor import standard_output
from feedbus.commands.signals import before_sudden_end, run_until_stopped, stop_signal
from feedbus.table.ladder import Ladder
from feedbus.table.ladder_screen import Asked, run_ladder, show_once
from feedbus.table.terminal import as_it_is
from feedbus.telemetry import logs


def book(
    addresses: Sequence[str], venue: str, symbol: str, *, levels: int | None, percent: float | None, once: bool
) -> None:
    """Show the ladder on standard output until q is typed or a signal asks it to stop; or, with `once`, print one
    picture. Raises BusError when there is no book for that picture."""
    console = standard_output()
    if not console.is_terminal:
        logs.to_user()
    title = addresses[0] if len(addresses) == 1 else f"{len(addresses)} addresses"
    asked = Asked(levels, percent, title)
    run_until_stopped(_until_stopped, addresses, Ladder(venue, symbol), asked, console, once)


async def _until_stopped(addresses: Sequence[str], ladder: Ladder, asked: Asked, console: Console, once: bool) -> None:
    with stop_signal() as stop:
        await watch_book(addresses, ladder, asked, stop, console=console, once=once)


async def watch_book(
    addresses: Sequence[str], ladder: Ladder, asked: Asked, stop: trio.Event, *, console: Console, once: bool
) -> None:
    """Show the ladder until q is typed or `stop` is set; or, with `once`, print one picture of it.

    While nothing comes at all, a terminal's ladder says why itself; elsewhere a warning is logged, but not where the
    error at the end of the wait will say the same.
    """
    warn_after = None if console.is_terminal or once else WARN_AFTER
    topics = Ladder.topics(ladder.venue, ladder.symbol)
    with before_sudden_end(as_it_is()):
        async with (
            subscribe(addresses, topics=topics, warn_after=warn_after) as subscription,
            trio.open_nursery() as nursery,
        ):

            async def cancel_at_stop() -> None:
                await stop.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(cancel_at_stop)
            if once:
                await show_once(subscription, ladder, asked, console=console)
            else:
                await run_ladder(subscription, ladder, asked, console=console, keys=True)
            nursery.cancel_scope.cancel()
