"""The commands. Parts are imported when a command runs, so that `feedbus --help` answers at once.

Exit status: 0 on a clean stop (SIGINT and SIGTERM too), 2 on bad usage or configuration, 1 on failure. Errors are
one line; `--debug` shows where they came from.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import feedbus
from feedbus.errors import BadAddress, CantServe, ConfigError, FeedbusError

if TYPE_CHECKING:
    from feedbus.config import Config
    from feedbus.service.processes import Process
    from feedbus.sim.simulations import Simulation

T = TypeVar("T")

DEFAULT_LISTEN = "127.0.0.1:9000"
SIMULATED = ("moex", "alor", "binance")
OF_MOEX = ("unsubscribe_reply", "late_messages", "connect_headers", "crlf", "rest_failure")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.command(arguments)
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:
        # The reader of our output has gone: nothing more to say, also not when Python flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if arguments.debug:
            traceback.print_exception(error)
        return _failed(error)
    return 0


def _failed(error: BaseException) -> int:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error.__cause__, ConfigError | CantServe):
        error = error.__cause__  # what kept the service from starting says it all
    if isinstance(error, ConfigError | BadAddress):
        print(f"feedbus: {error}", file=sys.stderr)
        return 2
    known = isinstance(error, FeedbusError | OSError)
    text = str(error) if known else f"{type(error).__name__}: {error} (a bug; --debug shows where)"
    print(f"feedbus: {text}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="show tracebacks")
    parser = argparse.ArgumentParser(
        prog="feedbus", description="Market data over sharded WebSockets onto a message bus."
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    parser.add_argument("--version", action="version", version=f"feedbus {feedbus.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: object, help_text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help_text, description=help_text, parents=[common])
        added.set_defaults(command=run)
        return added

    demo = command("demo", _demo, "simulated venues, feeds, actors, bus and the live table, all on this machine")
    demo.add_argument("--seconds", type=_seconds, metavar="N", help="end after N seconds")
    demo.add_argument("--processes", action="store_true", help="each feed and actor in a process of its own")
    _log_argument(demo)
    run = command("run", _run, "the service: the feeds and actors of a configuration, published on its bus")
    run.add_argument("config", metavar="CONFIG", help="a YAML file")
    run.add_argument(
        "--only", action="append", metavar="NAME", help="run this feed or actor alone (repeatable); none: all of them"
    )
    _log_argument(run)
    check = command("check", _check, "validate a configuration and print the shard plan")
    check.add_argument("config", metavar="CONFIG", help="a YAML file")
    _sim_arguments(command("sim", _sim, "simulated venues alone"))
    tail = command("tail", _tail, "events off the bus as JSON lines")
    tail.add_argument("topics", nargs="*", metavar="TOPIC", help="word, word.venue. or word.venue.SYMBOL; none: all")
    _bus_arguments(tail)
    tail.add_argument("--count", type=_positive, metavar="N", help="end after N events")
    _bench_arguments(command("bench", _bench, "what an event costs on this machine: JSON, and a table for people"))
    monitor = command("monitor", _monitor, "the live table of a running feedbus; q quits")
    _bus_arguments(monitor)
    return parser


def _bus_arguments(command: argparse.ArgumentParser) -> None:
    where = command.add_mutually_exclusive_group()
    where.add_argument("--bus", action="append", metavar="ADDR", help="a publisher's address (repeatable)")
    where.add_argument("--config", metavar="FILE", help="follow all publishers of this configuration")


def _sim_arguments(sim: argparse.ArgumentParser) -> None:
    known = ", ".join(SIMULATED)
    sim.add_argument("venues", nargs="*", type=_venue, metavar="VENUE", help=f"{known}; none: all of them")
    sim.add_argument(
        "--listen",
        type=_host_port,
        default=_host_port(DEFAULT_LISTEN),
        metavar="HOST:PORT",
        help="of the first venue; each further one is ten ports further",
    )
    sim.add_argument("--seed", type=int, default=1, help="the same seed, start and requests give the same bytes")
    sim.add_argument("--start", type=_time, metavar="TIME", help="market time at the first subscription (ISO 8601)")
    sim.add_argument("--rate", type=float, help="market steps a second (by default the venue's own)")
    sim.add_argument(
        "--unsubscribe-reply", choices=["none", "receipt", "closed"], default="none", help="moex: answer to UNSUBSCRIBE"
    )
    sim.add_argument(
        "--late-messages", type=_count, default=0, metavar="N", help="moex: MESSAGEs still sent after UNSUBSCRIBE"
    )
    sim.add_argument(
        "--connect-headers", choices=["accept", "refuse"], default="accept", help="moex: CONNECT with further headers"
    )
    sim.add_argument("--crlf", choices=["accept", "disconnect"], default="accept", help="moex: frames with CRLF")
    sim.add_argument(
        "--rest", type=_host_port, metavar="HOST:PORT", help="REST of a single venue (default: the next port)"
    )
    sim.add_argument(
        "--rest-failure",
        choices=["none", "html"],
        default="none",
        help="moex, html: a page and HTTP 200 for all",
    )
    _log_argument(sim)


def _log_argument(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--log-format",
        choices=["auto", "text", "json"],
        default="auto",
        help="log lines on standard error; auto: text on a terminal, else JSON",
    )


def _bench_arguments(bench: argparse.ArgumentParser) -> None:
    bench.add_argument("names", nargs="*", metavar="SCENARIO", help="as docs/benchmarks.md lists them; none: all")
    bench.add_argument("--compare", action="store_true", help="by turns with the hand-written rival of the checkout")
    bench.add_argument("--turns", type=_positive, default=5, metavar="N", help="of each contender (default 5)")
    bench.add_argument("--events", type=_positive, metavar="N", help="events a turn")
    bench.add_argument("--rate", type=_rate, metavar="R", help="events a second in all; 0: as fast as they are taken")
    bench.add_argument("--connections", type=_positive, metavar="C")
    bench.add_argument("--symbols", type=_positive, metavar="S", help="tickers a connection")
    bench.add_argument("--frames-per-write", type=_positive, metavar="K", help="frames that the venue writes at once")
    bench.add_argument("--linger", type=_rate, metavar="SECONDS", help="instead of the product's own and 0")
    bench.add_argument("--transport", metavar="NAME", help="as `transport` in a configuration")
    bench.add_argument("--json", metavar="FILE", help="write the JSON there, and not to standard output")
    bench.add_argument("--markdown", action="store_true", help="print the table of the README instead of the JSON")


# The commands


def _demo(arguments: argparse.Namespace) -> None:
    from rich.console import Console

    from feedbus.commands import demo
    from feedbus.telemetry import logs

    console = Console()
    last_log = None
    if console.is_terminal:
        kept = logs.to_table()
        last_log = lambda: kept.text  # noqa: E731 (a closure of one expression)
    else:
        logs.to_stderr(style=arguments.log_format)

    def on_start(address: str, where: str) -> None:
        print(f"bus: {address}\nin another terminal: feedbus monitor {where}", flush=True)

    async def run() -> str:
        return await demo.demo(
            console=console,
            seconds=arguments.seconds,
            apart=arguments.processes,
            log_format=arguments.log_format,
            on_start=on_start,
            last_log=last_log,
        )

    print(_run_to_the_end(run))


def _run(arguments: argparse.Namespace) -> None:
    from feedbus import config
    from feedbus.commands import app
    from feedbus.telemetry import logs

    loaded = config.load(arguments.config, config.environment(Path.cwd()))
    logs.to_stderr(style=arguments.log_format)
    print(_run_to_the_end(app.run, loaded, arguments.only or ()))


def _check(arguments: argparse.Namespace) -> None:
    from feedbus import config
    from feedbus.feed import sharding

    loaded = config.load(arguments.config, config.environment(Path.cwd()))
    print(f"{arguments.config}: good; publishes at {loaded.bus.publish}")
    for feed in loaded.feeds:
        url = feed.url.partition("?")[0]  # what follows may hold a token
        if feed.boards is not None:
            listed = "all that is listed" if feed.boards.sample is None else f"at most {feed.boards.sample}"
            room = f"{feed.sharding.connections} connections of {feed.sharding.per_connection}"
            print(f"{feed.name}: {listed} on {', '.join(feed.boards.boards)}, asked at the start; {room} to {url}")
            continue
        plan = sharding.plan(feed.symbols, feed.sharding.connections, feed.sharding.per_connection)
        print(f"{feed.name}: {len(feed.symbols)} symbols over {sum(map(bool, plan))} connections to {url}")
        for number, symbols in enumerate(filter(None, plan)):
            print(f"  {feed.name}/{number}  {len(symbols):>4}  {' '.join(symbols)}")
    if loaded.actors:
        print(f"actors: {', '.join(loaded.actors)}")
        _print_processes(loaded)


def _print_processes(config: Config) -> None:
    """Where each part is when it has a process of its own; or why none can, which is no fault of the file's."""
    from feedbus.service import processes

    try:
        found = {name: processes.process(config, [name]) for name in processes.names(config)}
    except ConfigError as error:
        print(f"they can't run in processes of their own (--only NAME): {error}")
        return
    print("in processes of their own (--only NAME):")
    for name, process in found.items():
        _print_process(name, process)


def _print_process(name: str, process: Process) -> None:
    publishes = f"publishes at {process.publish}" if process.publish else "publishes nothing"
    metrics = f", metrics at {process.telemetry.listen}" if process.telemetry else ""
    print(f"  {name}  {publishes}{metrics}")


def _sim(arguments: argparse.Namespace) -> None:
    from feedbus.commands import app
    from feedbus.sim import simulations
    from feedbus.telemetry import logs

    logs.to_stderr(style=arguments.log_format)
    names = list(dict.fromkeys(arguments.venues)) or list(simulations.NAMES)
    host, port = arguments.listen
    places = simulations.places(host, port, names)
    if arguments.rest is not None:
        if len(names) > 1:
            raise ConfigError("--rest is for a single venue")
        places[names[0]] = (places[names[0]][0], arguments.rest)
    try:
        found = [(_simulation(name, arguments), places[name]) for name in names]
    except ValueError as error:
        raise ConfigError(str(error)) from None

    def on_start(name: str, url: str, rest_url: str) -> None:
        print(f"{name}: {url}\n{name} rest: {rest_url}", flush=True)

    print(_run_to_the_end(app.simulate, found, on_start))


def _simulation(name: str, arguments: argparse.Namespace) -> Simulation:
    from feedbus.sim.simulations import simulation

    own: dict[str, Any] = {}
    if name == "moex":
        own = {key: getattr(arguments, key) for key in OF_MOEX}
    return simulation(name, seed=arguments.seed, start_ns=arguments.start, rate=arguments.rate, **own)


def _tail(arguments: argparse.Namespace) -> None:
    from feedbus.table import tail

    tail.run(_addresses(arguments), arguments.topics or [""], arguments.count, sys.stdout.buffer)


def _bench(arguments: argparse.Namespace) -> None:
    from feedbus.bench import command

    command.main(
        vars(arguments), out=lambda text: print(text, flush=True), note=lambda text: print(text, file=sys.stderr)
    )


def _monitor(arguments: argparse.Namespace) -> None:
    from rich.console import Console

    from feedbus.commands import app

    console = Console()

    async def run() -> None:
        await app.monitor(_addresses(arguments), console=console)

    _run_to_the_end(run)


def _run_to_the_end(command: Callable[..., Awaitable[T]], *arguments: object) -> T:
    """Run a command that takes SIGINT and SIGTERM itself. Before, between and after, they are ignored: one that comes
    while it stops can't take the final words away."""
    import trio

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    return trio.run(command, *arguments)


def _addresses(arguments: argparse.Namespace) -> list[str]:
    """Where the publishers are that a subscriber is to follow."""
    from feedbus import config
    from feedbus.service import processes

    environ = config.environment(Path.cwd())
    if arguments.config is not None:
        return list(processes.subscribed(config.load(arguments.config, environ)))
    return arguments.bus or [config.substitute(config.DEFAULT_PUBLISH, environ)]


# What arguments may be


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError("not positive")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError("negative")
    return value


def _venue(text: str) -> str:
    if text not in SIMULATED:
        raise ValueError("not simulated")
    return text


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e9:
        raise ValueError("not a time in seconds")
    return value


def _rate(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1e9:
        raise ValueError("negative, or not a number")
    return value


def _host_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not 0 <= int(port) <= 65535:
        raise ValueError("not HOST:PORT")
    return host.strip("[]"), int(port)


def _time(text: str) -> int:
    """Nanoseconds since the epoch; a time without a zone is UTC."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000


# argparse says "invalid TIME value"
for _checked, _name in (
    (_positive, "positive number"),
    (_count, "count"),
    (_venue, f"venue (there are {', '.join(SIMULATED)})"),
    (_seconds, "number of seconds"),
    (_rate, "number, 0 or more"),
    (_host_port, "HOST:PORT"),
    (_time, "ISO 8601 time"),
):
    _checked.__name__ = _name
