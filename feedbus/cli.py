"""The command line: its arguments, the command that they start, and the exit status.

What the commands do stands in feedbus/commands. A command's module is imported only when the command runs, so that
`feedbus --help` answers at once.

The exit status is 0 after a clean stop (also by SIGINT, SIGTERM or SIGHUP), 2 for bad usage or a bad configuration, and
1 for any other failure. An error is printed as one line; `--debug` adds the traceback.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import feedbus
from feedbus import sim
from feedbus.commands import standard_streams
from feedbus.errors import READER_GONE, BadAddress, CantServe, ConfigError, FeedbusError
from feedbus.mask import MAX_TEXT

MAX_FAULTS = 64 * 1024  # characters of a file of faults
DEFAULT_LISTEN = "127.0.0.1:9000"
MAX_LADDER = 1000
"""The most levels a side that `feedbus book` shows."""
SIMULATED = sim.names()
OWN_OPTIONS = {
    "moex": ("unsubscribe_reply", "late_messages", "connect_headers", "crlf", "rest_failure"),
    "binance": ("levels",),
}
"""The arguments of `feedbus sim` that only one simulated venue takes."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that these arguments name (None: those of the process), and return the exit status."""
    standard_streams.prepare()
    debug = False
    try:
        arguments = _parser().parse_args(argv)
        debug = arguments.debug
        status = arguments.command(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 0
    except Exception as error:
        first = _first(error)
        if isinstance(first, OSError) and first.errno in READER_GONE:
            return 0
        if debug:
            standard_streams.tell(_hidden("".join(traceback.format_exception(error)).rstrip()))
        return _failed(first)
    finally:
        standard_streams.finish()
    return status or 0


def _first(error: BaseException) -> BaseException:
    """The error itself, or the first one of a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _failed(error: BaseException) -> int:
    """Print what went wrong as one line on standard error, and return the exit status for it."""
    if isinstance(error.__cause__, ConfigError | CantServe):
        error = error.__cause__  # "the service can't start" alone wouldn't tell the operator what to change
    if isinstance(error, ConfigError | BadAddress):
        standard_streams.tell(f"feedbus: {error}")
        return 2
    if isinstance(error, OSError) and error.strerror:
        text = ": ".join(str(part) for part in (error.filename, error.strerror) if part is not None)
    elif isinstance(error, FeedbusError | OSError):
        text = str(error)
    else:
        text = f"{type(error).__name__}: {error} (a bug; --debug shows where)"
    standard_streams.tell(f"feedbus: {_hidden(text)}")
    return 1


def _hidden(text: str) -> str:
    """The text without the secrets of the service that ran, if one did."""
    from feedbus.telemetry import logs

    return logs.hidden(text[-MAX_TEXT:])


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

    demo = command(
        "demo", _demo, "run simulated venues, feeds, actors, the bus and the live table, all on this machine"
    )
    demo.add_argument("--seconds", type=_seconds, metavar="N", help="end after N seconds")
    demo.add_argument("--processes", action="store_true", help="each feed and actor in a process of its own")
    _log_argument(demo)
    run = command("run", _run, "run the service: the feeds and actors of a configuration, which publish on its bus")
    run.add_argument("config", metavar="CONFIG", help="a YAML file")
    run.add_argument(
        "--only",
        action="append",
        metavar="NAME",
        help="run only this feed or actor (repeatable); by default all of them run",
    )
    _log_argument(run)
    check = command("check", _check, "validate a configuration and print the shard plan")
    check.add_argument("config", metavar="CONFIG", help="a YAML file")
    _doctor_arguments(
        command("doctor", _doctor, "go through what must hold before a configuration is trusted, and say what to do")
    )
    _sim_arguments(command("sim", _sim, "run simulated venues, and nothing else"))
    tail = command("tail", _tail, "print the events on the bus as JSON lines")
    tail.add_argument(
        "topics", nargs="*", metavar="TOPIC", help="word, word.venue. or word.venue.SYMBOL; by default all topics"
    )
    _bus_arguments(tail)
    tail.add_argument("--count", type=_positive, metavar="N", help="end after N events")
    _bench_arguments(
        command("bench", _bench, "measure what an event costs on this machine; prints JSON, and a table for people")
    )
    monitor = command("monitor", _monitor, "show the live table of a running feedbus; q quits")
    _bus_arguments(monitor)
    _book_arguments(command("book", _book, "show the live order book of one instrument; q quits"))
    return parser


def _bus_arguments(command: argparse.ArgumentParser) -> None:
    where = command.add_mutually_exclusive_group()
    where.add_argument("--bus", action="append", metavar="ADDR", help="the address of a publisher (repeatable)")
    where.add_argument("--config", metavar="FILE", help="follow all publishers of this configuration")


def _doctor_arguments(doctor: argparse.ArgumentParser) -> None:
    doctor.add_argument("config", metavar="CONFIG", help="a YAML file")
    doctor.add_argument(
        "--only", action="append", metavar="NAME", help="look at this feed only (repeatable); by default at all of them"
    )
    doctor.add_argument(
        "--wait",
        type=_seconds,
        default=15.0,
        metavar="SECONDS",
        help="how long data may take to come after its subscription (default 15)",
    )
    doctor.add_argument(
        "--ntp",
        type=_time_server,
        default="pool.ntp.org",
        metavar="HOST[:PORT]",
        help="the time server that the clock is compared with (default pool.ntp.org); none asks nobody",
    )
    doctor.add_argument("--json", action="store_true", help="print one JSON object instead of lines")


def _book_arguments(book: argparse.ArgumentParser) -> None:
    book.add_argument("venue", type=_venue_part, metavar="VENUE", help="the venue, as topics name it: binance")
    book.add_argument("symbol", type=_symbol_part, metavar="SYMBOL", help="the instrument, as its venue writes it")
    _bus_arguments(book)
    book.add_argument(
        "--levels", type=_levels, metavar="N", help="levels a side, 1 to 1000; by default as many as there is room for"
    )
    book.add_argument(
        "--range", type=_percent, metavar="PERCENT", help="only levels that are so near to the mid, for instance 0.5"
    )
    book.add_argument("--once", action="store_true", help="print one picture, and end")


def _sim_arguments(command: argparse.ArgumentParser) -> None:
    known = ", ".join(SIMULATED)
    command.add_argument("venues", nargs="*", type=_venue, metavar="VENUE", help=f"{known}; by default all of them")
    command.add_argument(
        "--listen",
        type=_host_port,
        default=_host_port(DEFAULT_LISTEN),
        metavar="HOST:PORT",
        help="address of the first venue; the port of each further venue is higher by ten",
    )
    command.add_argument("--seed", type=int, default=1, help="the same seed, start and requests give the same bytes")
    command.add_argument("--start", type=_time, metavar="TIME", help="market time at the first subscription (ISO 8601)")
    command.add_argument("--rate", type=float, help="market steps a second (by default the venue's own)")
    command.add_argument(
        "--unsubscribe-reply",
        choices=["none", "receipt", "closed"],
        default="none",
        help="moex: how UNSUBSCRIBE is answered",
    )
    command.add_argument(
        "--late-messages",
        type=_count,
        default=0,
        metavar="N",
        help="moex: how many MESSAGEs are still sent after UNSUBSCRIBE",
    )
    command.add_argument(
        "--connect-headers",
        choices=["accept", "refuse"],
        default="accept",
        help="moex: whether a CONNECT with additional headers is accepted or refused",
    )
    command.add_argument(
        "--crlf",
        choices=["accept", "disconnect"],
        default="accept",
        help="moex: whether frames with CRLF are accepted, or end the connection",
    )
    command.add_argument(
        "--rest",
        type=_host_port,
        metavar="HOST:PORT",
        help="address of a single venue's REST service (default: the port after --listen)",
    )
    command.add_argument(
        "--rest-failure",
        choices=["none", "html"],
        default="none",
        help="moex: with html every REST request is answered with an HTML page and HTTP 200",
    )
    command.add_argument(
        "--levels", type=_positive, default=100, metavar="N", help="binance: levels of a book on each side, up to 5000"
    )
    command.add_argument(
        "--faults",
        type=_text_of_file,
        metavar="FILE",
        help="what goes wrong from the start; JSON as POST /sim/faults takes it, of several venues by their names",
    )
    _log_argument(command)


def _log_argument(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--log-format",
        choices=["auto", "text", "json"],
        default="auto",
        help="the form of log lines on standard error; auto is text on a terminal, otherwise JSON",
    )


def _bench_arguments(bench: argparse.ArgumentParser) -> None:
    bench.add_argument("names", nargs="*", metavar="SCENARIO", help="scenarios of docs/benchmarks.md; by default all")
    bench.add_argument(
        "--compare",
        action="store_true",
        help="also measure the hand-written rivals of the checkout, in alternating turns",
    )
    bench.add_argument("--turns", type=_positive, default=5, metavar="N", help="turns of each contender (default 5)")
    bench.add_argument("--events", type=_positive, metavar="N", help="events a turn")
    bench.add_argument(
        "--rate", type=_rate, metavar="R", help="events a second over all connections; 0 sends them as fast as possible"
    )
    bench.add_argument("--connections", type=_positive, metavar="C", help="connections to the venue")
    bench.add_argument("--symbols", type=_positive, metavar="S", help="tickers a connection")
    bench.add_argument("--frames-per-write", type=_positive, metavar="K", help="frames that the venue writes at once")
    bench.add_argument(
        "--linger",
        type=_rate,
        metavar="SECONDS",
        help="measure only this linger, instead of the default pace and latency",
    )
    bench.add_argument("--transport", metavar="NAME", help="the transport, named as in a configuration")
    bench.add_argument("--json", metavar="FILE", help="write the JSON to this file instead of standard output")
    bench.add_argument("--markdown", action="store_true", help="print the table as Markdown instead of the JSON")


# The commands. Each imports its module when it runs, and not before.


def _demo(arguments: argparse.Namespace) -> None:
    from feedbus.commands.demo import demo

    def on_start(address: str, where: str) -> None:
        print(f"bus: {address}\nin another terminal: {f'feedbus monitor {where}'.rstrip()}", flush=True)

    print(
        demo(
            seconds=arguments.seconds,
            apart=arguments.processes,
            log_format=arguments.log_format,
            on_start=on_start,
        )
    )


def _run(arguments: argparse.Namespace) -> None:
    from feedbus.commands.run import run

    print(run(arguments.config, arguments.only or (), log_format=arguments.log_format))


def _check(arguments: argparse.Namespace) -> None:
    from feedbus.commands.check import check

    print("\n".join(check(arguments.config)))


def _doctor(arguments: argparse.Namespace) -> int:
    from feedbus.commands.doctor import doctor
    from feedbus.doctor.examination import Wishes
    from feedbus.doctor.patience import Patience

    wishes = Wishes(arguments.only or (), arguments.ntp, Patience(data=arguments.wait))
    return doctor(arguments.config, wishes, as_json=arguments.json, out=lambda text: print(text, flush=True))


def _sim(arguments: argparse.Namespace) -> None:
    from feedbus.commands.simulate import simulate

    def on_start(name: str, url: str, rest_url: str) -> None:
        with suppress(BrokenPipeError):  # the venues are of use also where nobody reads this
            print(f"{name}: {url}\n{name} rest: {rest_url}", flush=True)

    print(
        simulate(
            arguments.venues,
            listen=arguments.listen,
            rest=arguments.rest,
            options={"seed": arguments.seed, "start_ns": arguments.start, "rate": arguments.rate},
            faults=arguments.faults,
            own_options={
                venue: {name: getattr(arguments, name) for name in names} for venue, names in OWN_OPTIONS.items()
            },
            log_format=arguments.log_format,
            on_start=on_start,
        )
    )


def _tail(arguments: argparse.Namespace) -> None:
    from feedbus.commands.addresses import addresses
    from feedbus.commands.tail import tail

    where = addresses(arguments.bus, arguments.config)
    tail(where, arguments.topics or [""], arguments.count, sys.stdout.buffer)


def _monitor(arguments: argparse.Namespace) -> None:
    from feedbus.commands.addresses import addresses
    from feedbus.commands.monitor import monitor

    monitor(addresses(arguments.bus, arguments.config))


def _book(arguments: argparse.Namespace) -> None:
    from feedbus.commands.addresses import addresses
    from feedbus.commands.book import book

    book(
        addresses(arguments.bus, arguments.config),
        arguments.venue,
        arguments.symbol,
        levels=arguments.levels,
        percent=arguments.range,
        once=arguments.once,
    )


def _bench(arguments: argparse.Namespace) -> None:
    from feedbus.bench import command
    from feedbus.commands.signals import interrupted_by_signal

    with interrupted_by_signal():
        command.main(
            vars(arguments), out=lambda text: print(text, flush=True), note=lambda text: print(text, file=sys.stderr)
        )


# The types of arguments. Each function converts a text, and raises ValueError when the text isn't a valid value.


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError("not positive")
    return value


def _levels(text: str) -> int:
    value = int(text)
    if not 1 <= value <= MAX_LADDER:
        raise ValueError("out of range")
    return value


def _percent(text: str) -> float:
    value = float(text)
    if not 0 < value <= 100:
        raise ValueError("not a part")
    return value


def _venue_part(text: str) -> str:
    """The venue in a topic: another dot or none would make it another topic."""
    if not text or "." in text:
        raise ValueError("no venue")
    return text.lower()


def _symbol_part(text: str) -> str:
    """The symbol in a topic: without one, or with a dot at its end, the topic would stand for many instruments."""
    if not text or text.endswith("."):
        raise ValueError("no symbol")
    return text


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


def _time_server(text: str) -> str:
    """HOST, HOST:PORT or [ADDRESS]:PORT, or `none`."""
    from feedbus.doctor.clock import place_of

    if text != "none":
        place_of(text)
    return text


def _text_of_file(path: str) -> str:
    """The text of a small file."""
    try:
        with Path(path).open(encoding="utf-8") as file:
            return file.read(MAX_FAULTS)
    except (OSError, ValueError):
        raise ValueError("can't be read") from None


def _time(text: str) -> int:
    """A time in ISO 8601 as nanoseconds since the epoch; without a time zone it is in UTC."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000


# argparse puts the name of the function into its error message: "invalid ISO 8601 time value: 'yesterday'".
for _checked, _name in (
    (_positive, "positive number"),
    (_count, "count"),
    (_levels, f"number of levels (1 to {MAX_LADDER})"),
    (_percent, "percentage (above 0, at most 100)"),
    (_venue_part, "name of a venue"),
    (_symbol_part, "symbol"),
    (_venue, f"venue (there are {', '.join(SIMULATED)})"),
    (_seconds, "number of seconds"),
    (_rate, "number, 0 or more"),
    (_host_port, "HOST:PORT"),
    (_time, "ISO 8601 time"),
    (_time_server, "HOST or HOST:PORT"),
    (_text_of_file, "readable file"),
):
    _checked.__name__ = _name
