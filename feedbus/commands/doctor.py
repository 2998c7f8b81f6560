"""`feedbus doctor`: goes through what must hold before a set-up is trusted, and says what to do where it doesn't."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import trio

from feedbus.commands.signals import run_until_stopped, stop_signal
from feedbus.config import Config, FeedConfig, environment, load
from feedbus.doctor import rendering
from feedbus.doctor.examination import Examination, Wishes
from feedbus.doctor.findings import has_failed
from feedbus.service.tree import dial_of, transport_options
from feedbus.transport import Dial, DialOptions

Print = Callable[[str], None]


def doctor(path: str, wishes: Wishes, *, as_json: bool, out: Print) -> int:
    """Look at everything that the configuration at `path` needs, and print what is found to `out`: line by line, or as
    one JSON object in the end.

    Returns the exit status: 0 when nothing failed, 1 when something did or the doctor was stopped before its end.
    Raises ConfigError for a configuration that can't be used, and for a feed that it doesn't have.
    """
    environ = environment(Path.cwd())
    return run_until_stopped(examine, load(path, environ), environ, wishes, as_json, out)


async def examine(config: Config, environ: dict[str, str], wishes: Wishes, as_json: bool, out: Print) -> int:
    """Make all checks, until a signal comes. Returns the exit status."""
    news = trio.Event()
    began = trio.current_time()

    def told() -> None:
        news.set()

    examination = Examination(config, environ, wishes, transport, told)
    lines = rendering.Lines(examination.report)

    async def show() -> None:
        nonlocal news
        while True:
            await news.wait()
            news = trio.Event()
            if not as_json:
                _print(lines.due(), out)

    async def stop_at(stop: trio.Event, scope: trio.CancelScope) -> None:
        await stop.wait()
        scope.cancel()

    if not as_json:
        _print([*lines.head(), *lines.due()], out)
    with stop_signal() as stop:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(show)
            nursery.start_soon(stop_at, stop, nursery.cancel_scope)
            await examination.run()
            nursery.cancel_scope.cancel()
    took = trio.current_time() - began
    if as_json:
        out(rendering.as_json(examination.report, took))
    else:
        _print([*lines.due(), *lines.foot(took)], out)
    return int(has_failed(examination.report.sections))


def transport(feed: FeedConfig) -> tuple[Dial, DialOptions]:
    """How the service would connect this feed."""
    return dial_of(feed.transport), transport_options(feed, None)


def _print(lines: list[str], out: Print) -> None:
    for line in lines:
        out(line)
