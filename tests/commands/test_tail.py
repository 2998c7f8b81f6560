"""`feedbus tail` as a process of its own: its lines, its end, and its exit status."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from feedbus.bus.nng import PubSocket
from feedbus.bus.publisher import Publisher
from feedbus.bus.receiver import Header
from feedbus.commands import tail
from feedbus.commands.signals import STOP_SIGNALS
from feedbus.schema import codec
from feedbus.schema.events import BookSnapshot, Gap, Trade

PATIENCE = 10.0  # seconds; only a failing test waits that long
EPOCH = 7


def trade(number: int, symbol: str = "TQBR.SBER") -> Trade:
    return Trade("moex", symbol, 1, 2, 300.5, 10.0, "buy", number)


@contextmanager
def tailing(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "feedbus", "tail", *arguments]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=buffered) as process:
        try:
            yield process
        finally:
            process.kill()


def was_dialled(path: Path) -> None:
    """Return when somebody has dialled this address, and been hung up on."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(PATIENCE)
        listener.accept()[0].close()
    path.unlink()


async def joined(sink: PubSocket) -> None:
    """Return when a subscriber is connected."""
    token = trio.lowlevel.current_trio_token()
    connected = trio.Event()
    sink._socket.add_post_pipe_connect_cb(lambda _: token.run_sync_soon(connected.set))
    with trio.fail_after(PATIENCE):
        if not sink._socket.pipes:
            await connected.wait()


async def line_of(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    assert process.stdout is not None
    with trio.fail_after(PATIENCE):
        line = await trio.to_thread.run_sync(process.stdout.readline, abandon_on_cancel=True)
    found: dict[str, Any] = json.loads(line)
    return found


async def ended(process: subprocess.Popen[bytes]) -> tuple[int, list[dict[str, Any]], str]:
    """Exit status, the lines that are left, what it said on stderr."""
    with trio.fail_after(PATIENCE):
        out, err = await trio.to_thread.run_sync(process.communicate, abandon_on_cancel=True)
    return process.returncode, [json.loads(line) for line in out.splitlines()], err.decode()


def publish(sink: PubSocket, *runs: tuple[str, int, list[Trade]]) -> None:
    """One message for each run of events, under numbers that may have holes."""
    for run in runs:
        sink.send(codec.encode(codec.MessageHeader("trade", "moex", "moex", EPOCH, 5), [run]))


def test_a_line_names_topic_kind_publisher_epoch_and_number_before_the_events_own_fields() -> None:
    book = BookSnapshot("moex", "TQBR.SBER", 1, 2, [(1.5, 2.0)], [], None)
    gap = Gap("book.moex.TQBR.SBER", "moex", 6, None, None, "restart")
    header = Header("book", "moex", "moex", EPOCH, 5, [(None, 1), (41, 1)])
    gap_line, book_line = tail.lines(header, [gap, book])
    assert book_line[0] == (
        b'{"topic":"book.moex.TQBR.SBER","kind":"book","publisher":"moex","epoch":7,"seq":41,'
        b'"venue":"moex","symbol":"TQBR.SBER","ts_event":1,"ts_recv":2,"bids":[[1.5,2.0]],"asks":[],'
        b'"venue_sequence":null,"bids_whole":false,"asks_whole":false}\n'
    )
    assert gap_line[0] == (
        b'{"topic":"book.moex.TQBR.SBER","kind":"gap","publisher":"moex","epoch":6,"seq":null,'
        b'"first":null,"last":null,"cause":"restart"}\n'
    )
    assert (book_line[1], gap_line[1]) == (True, False)


async def test_starts_before_its_publisher_and_ends_after_count_events_gaps_not_counted(ipc: str) -> None:
    with tailing("--bus", ipc, "--count", "3", "trade.moex.TQBR.SBER") as process:
        await trio.to_thread.run_sync(was_dialled, Path(ipc.removeprefix("ipc://")), abandon_on_cancel=True)
        with closing(PubSocket(ipc)) as sink:
            await joined(sink)
            publish(
                sink,
                ("TQBR.SBER", 1, [trade(1)]),
                ("TQBR.SBERP", 1, [trade(1, "TQBR.SBERP")]),
                ("TQBR.SBER", 5, [trade(5), trade(6), trade(7)]),
            )
            status, lines, said = await ended(process)
    assert (status, said) == (0, "")
    assert [(line["kind"], line["seq"]) for line in lines] == [
        ("trade", 1),
        ("gap", None),
        ("trade", 5),
        ("trade", 6),
    ]
    assert (lines[1]["topic"], lines[1]["first"], lines[1]["last"]) == ("trade.moex.TQBR.SBER", 2, 4)
    assert list(lines[0]) == ["topic", "kind", "publisher", "epoch", "seq", *Trade.__struct_fields__]


@pytest.mark.parametrize("stop", STOP_SIGNALS)
async def test_signal_ends_it_cleanly(ipc: str, stop: signal.Signals) -> None:
    with tailing("--bus", ipc) as process, closing(PubSocket(ipc)) as sink:
        await joined(sink)
        Publisher("moex", sink).publish([trade(1)])
        assert (await line_of(process))["seq"] == 1
        process.send_signal(stop)
        assert await ended(process) == (0, [], "")


async def test_closed_pipe_ends_it_cleanly(ipc: str) -> None:
    with tailing("--bus", ipc) as process, closing(PubSocket(ipc)) as sink:
        await joined(sink)
        publisher = Publisher("moex", sink, linger=0)
        publisher.publish([trade(1)])
        await line_of(process)
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        publisher.publish([trade(2)] * 10_000)
        with trio.fail_after(PATIENCE):
            _, said = await trio.to_thread.run_sync(process.communicate, abandon_on_cancel=True)
    assert (process.returncode, said) == (0, b"")


async def test_several_buses_are_read_at_once(ipc: str) -> None:
    other = f"{ipc}.other"
    with (
        tailing("--bus", ipc, "--bus", other, "--count", "2") as process,
        closing(PubSocket(ipc)) as one,
        closing(PubSocket(other)) as two,
    ):
        for sink, name in ((one, "one"), (two, "two")):
            await joined(sink)
            Publisher(name, sink).publish([trade(1)])
        status, lines, said = await ended(process)
    assert (status, said) == (0, "")
    assert sorted(line["publisher"] for line in lines) == ["one", "two"]


def test_signal_handler_is_put_back(ipc: str) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Exception, match="not a topic"):
        tail.tail([ipc], ["a\0b"], None, io.BytesIO())
    assert signal.getsignal(signal.SIGTERM) is before
