"""The bus as a user's program sees it: feedbus.subscribe and feedbus.subscribe_sync, over real sockets."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import get_args

import pytest
import trio

import feedbus
from feedbus.bus.nng import MESSAGE_SIZE, PubSocket
from feedbus.bus.publisher import Publisher
from feedbus.bus.subscriber import BusSubscription, SyncSubscription
from feedbus.schema import codec
from feedbus.schema.events import BookSnapshot, Event, Gap, MarketData, Trade
from tests.places import ROOT

PATIENCE = 10.0  # seconds; only a failing test waits that long

PLAIN_PROGRAM = """
import signal, sys
import feedbus

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
try:
    with feedbus.subscribe_sync(sys.argv[1], topics=["trade.moex.A"]) as subscription:
        print("subscribed", flush=True)
        for event in subscription:
            print(event.trade_id, flush=True)
except KeyboardInterrupt:
    print("interrupted", subscription.stats().delivered["trade"], flush=True)
"""


def trade(number: int, symbol: str = "A") -> Trade:
    return Trade("moex", symbol, number, number, 1.5, 2.0, None, number)


class Bus:
    """A PubSocket that counts, by topic, what went through it."""

    def __init__(self, address: str, stalled_bytes: int = 64 * MESSAGE_SIZE) -> None:
        self.socket = PubSocket(address, stalled_bytes)
        self.published: Counter[str] = Counter()

    def send(self, message: bytes) -> None:
        if not message.startswith(b"heartbeat."):
            header, groups = codec.decode(message)
            for symbol, _, events in groups:
                self.published[f"{header.word}.{header.venue}.{symbol}"] += len(events)
        self.socket.send(message)

    async def joined(self, subscribers: int = 1) -> None:
        """Return when that many subscribers are connected."""
        token = trio.lowlevel.current_trio_token()
        connected = trio.Event()

        def look() -> None:
            if len(self.socket._socket.pipes) >= subscribers:
                connected.set()

        self.socket._socket.add_post_pipe_connect_cb(lambda _: token.run_sync_soon(look))
        look()
        await connected.wait()


@asynccontextmanager
async def bus(address: str) -> AsyncIterator[Bus]:
    """A bus socket, open while the body runs; which may not take longer than PATIENCE."""
    opened = Bus(address)
    try:
        with trio.fail_after(PATIENCE):
            yield opened
    finally:
        opened.socket.close()


@asynccontextmanager
async def reading(subscription: BusSubscription) -> AsyncIterator[list[Event]]:
    """What a task reads while the body runs."""
    got: list[Event] = []

    async def read() -> None:
        async for event in subscription:
            got.append(event)  # noqa: PERF401 (it never ends)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        yield got
        nursery.cancel_scope.cancel()


async def take(subscription: BusSubscription, count: int) -> list[Event]:
    return [await anext(subscription) for _ in range(count)]


def test_feedbus_names_every_event_that_a_subscriber_gets_and_imports_nothing_before() -> None:
    kinds = {kind.__name__ for kind in (*get_args(MarketData), Gap)}
    assert kinds <= set(feedbus.__all__) <= set(dir(feedbus))
    assert {getattr(feedbus, name).__name__ for name in kinds} == kinds
    with pytest.raises(AttributeError, match="has no attribute 'Trde'"):
        feedbus.Trde  # type: ignore[attr-defined]  # noqa: B018
    code = "import sys, feedbus; assert not {'trio', 'msgspec', 'pynng', 'feedbus.schema'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


async def test_all_arrives_in_order_and_unchanged(address: str) -> None:
    async with bus(address) as sink, feedbus.subscribe(address) as events, trio.open_nursery() as nursery:
        publisher = Publisher("moex", sink)
        await sink.joined()
        await nursery.start(publisher.run)
        sent = [trade(number, "AB"[number % 2]) for number in range(2000)]
        for start in range(0, len(sent), 7):
            publisher.publish(sent[start : start + 7])
            await trio.lowlevel.checkpoint()
        got = await take(events, len(sent))
        for symbol in "AB":
            assert [event for event in got if event.symbol == symbol] == [  # type: ignore[attr-defined]
                event for event in sent if event.symbol == symbol
            ]
        assert events.stats().gaps == 0
        nursery.cancel_scope.cancel()


async def test_subscriber_may_start_first_and_nothing_is_a_gap_before_the_first_message(address: str) -> None:
    async with feedbus.subscribe(address) as events:
        with trio.move_on_after(0.25) as waited:
            await anext(events)
        assert waited.cancelled_caught
        async with bus(address) as sink, reading(events) as got:
            start = trio.current_time()
            publisher = Publisher("moex", sink, linger=0)
            publisher.publish([trade(1)])
            await sink.joined()
            assert trio.current_time() - start < 3
            publisher.publish([trade(2)])
            while not got or got == [trade(1)]:  # it may have dialled in the very moment before
                await trio.lowlevel.checkpoint()
            assert got[-1] == trade(2)
            assert events.stats().gaps == 0


async def test_restarted_publisher_is_one_gap_and_flows_again_within_a_second(address: str) -> None:
    async with feedbus.subscribe(address, topics=["trade"]) as events, reading(events) as got:
        epochs = []
        for number in range(3):
            async with bus(address) as sink, trio.open_nursery() as nursery:
                start = trio.current_time()
                publisher = Publisher("moex", sink, linger=0)
                epochs.append(publisher.epoch)
                await nursery.start(publisher.run)
                await sink.joined()
                publisher.publish([trade(number)])
                while trade(number) not in got:
                    await trio.lowlevel.checkpoint()
                assert trio.current_time() - start < 3
                nursery.cancel_scope.cancel()
    restarts = [Gap("", "moex", epoch, None, None, "restart") for epoch in epochs]
    assert got == [trade(0), restarts[0], trade(1), restarts[1], trade(2)]
    assert epochs == sorted(set(epochs))


async def test_two_publishers_share_one_socket_and_one_topic(address: str) -> None:
    async with bus(address) as sink, feedbus.subscribe(address) as events:
        await sink.joined()
        for name in ("one", "two", "one"):
            Publisher(name, sink, linger=0).publish([trade(1)])
        got = await take(events, 4)
        assert [type(event) for event in got] == [Trade, Trade, Gap, Trade], "the second 'one' is a new epoch"


async def test_one_subscription_takes_two_addresses(address: str, ipc: str) -> None:
    other = f"{ipc}.other"
    async with bus(address) as first, bus(other) as second, feedbus.subscribe([address, other]) as events:
        await first.joined()
        await second.joined()
        Publisher("one", first, linger=0).publish([trade(1, "A")])
        Publisher("two", second, linger=0).publish([trade(2, "B")])
        got = await take(events, 2)
        assert sorted(event.symbol for event in got) == ["A", "B"]  # type: ignore[attr-defined]


async def test_no_topics_means_all(ipc: str) -> None:
    async with bus(ipc) as sink, feedbus.subscribe([ipc], topics=[]) as events:
        await sink.joined()
        Publisher("moex", sink).publish([trade(1)])
        assert await anext(events) == trade(1)


async def test_stalled_subscriber_loses_the_oldest_and_the_balance_is_exact(address: str) -> None:
    stalled_bytes = 16 * MESSAGE_SIZE
    async with bus(address) as sink, feedbus.subscribe(address, stalled_bytes=stalled_bytes) as events:
        publisher = Publisher("moex", sink, linger=0)
        await sink.joined()
        publisher.publish([trade(0, symbol) for symbol in "ABC"])
        got = await take(events, 3)
        slowest = 0.0
        for number in range(1, 2000):  # 16 MB in messages of 8 kB: nng and the kernel can't hold them
            start = time.perf_counter()
            publisher.publish([trade(number, "AB"[number % 2])] * 200)
            slowest = max(slowest, time.perf_counter() - start)
        publisher.publish([trade(9999, symbol) for symbol in "ABC"])
        publisher.beat()
        while got[-1] != trade(9999, "C"):
            got.append(await anext(events))
        stats = events.stats()
        gaps = [event for event in got if isinstance(event, Gap) and event.cause == "lost"]
        delivered = Counter(f"trade.moex.{event.symbol}" for event in got if isinstance(event, Trade))
        lost: Counter[str] = Counter()
        for gap in gaps:
            assert gap.first is not None
            assert gap.last is not None
            lost[gap.topic] += gap.last - gap.first + 1
        assert lost["trade.moex.A"] > 0
        assert delivered + lost == sink.published
        assert stats.delivered == {"trade": delivered.total()}
        assert stats.lost == {"trade": lost.total()}
        assert stats.published == {"trade": sink.published.total()}
        assert slowest < 1, "nobody waits for a slow subscriber"


async def test_a_stalled_subscriber_costs_its_neighbour_nothing(ipc: str) -> None:
    async with bus(ipc) as sink, feedbus.subscribe(ipc, stalled_bytes=1) as stalled, feedbus.subscribe(ipc) as events:
        publisher = Publisher("moex", sink, linger=0)
        await sink.joined(2)
        for number in range(1000):
            publisher.publish([trade(number)] * 100)
            assert await take(events, 100) == [trade(number)] * 100
        assert events.stats().gaps == 0
        assert stalled.stats().messages == 0


# For programs without trio


def plain_take(subscription: SyncSubscription, count: int) -> list[Event]:
    found = iter(subscription)
    return [next(found) for _ in range(count)]


async def test_plain_program_may_iterate_in_a_thread(address: str) -> None:
    async with bus(address) as sink:
        with feedbus.subscribe_sync(address, topics=["trade.moex.A", "trade.moex.C"]) as events:
            await sink.joined()
            Publisher("moex", sink).publish([trade(1), trade(2, "B"), trade(3, "C"), trade(4)])
            got = await trio.to_thread.run_sync(plain_take, events, 3, abandon_on_cancel=True)
    assert sorted(event.ts_event for event in got) == [1, 3, 4]  # type: ignore[attr-defined]
    assert events.stats().delivered == {"trade": 3}


@pytest.fixture
def program(ipc: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", PLAIN_PROGRAM, ipc], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        yield child
        child.kill()


@pytest.mark.parametrize(
    ("stop", "last_words"), [(signal.SIGINT, b"interrupted 1\n"), (signal.SIGTERM, b"")], ids=["SIGINT", "SIGTERM"]
)
async def test_plain_program_is_woken_by_signals(
    ipc: str, program: subprocess.Popen[bytes], stop: signal.Signals, last_words: bytes
) -> None:
    assert program.stdout is not None
    assert program.stderr is not None
    async with bus(ipc) as sink:
        await sink.joined()
        Publisher("moex", sink).publish([trade(42), trade(43, "B")])
        lines = [await trio.to_thread.run_sync(program.stdout.readline, abandon_on_cancel=True) for _ in range(2)]
        assert lines == [b"subscribed\n", b"42\n"]
        os.kill(program.pid, stop)
        rest = await trio.to_thread.run_sync(program.communicate, abandon_on_cancel=True)
    assert rest == (last_words, b"")
    assert program.returncode == 0


# The program of the README


@pytest.fixture
def readme_program(tmp_path: Path) -> Path:
    path = tmp_path / "program.py"
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    path.write_text(program)
    return path


def checked(path: Path) -> str:
    """What mypy says of a user's program. It finds feedbus as an installed package, and not as sources to check."""
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(path.parent / "cache"), str(path)]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=path.parent, env=environ
    ).stdout.strip()


def test_a_users_program_is_typed(readme_program: Path) -> None:
    assert checked(readme_program) == "Success: no issues found in 1 source file"
    with readme_program.open("a") as program:
        program.write("            case feedbus.Trde():\n                print(event.symbol.real)\n")
    assert '"Trde"; maybe "Trade"?' in checked(readme_program), "not every name is one of ours"


@pytest.fixture
def readme_running(readme_program: Path, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_RUNTIME_DIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-u", readme_program], stdout=subprocess.PIPE, env=environ) as child:
        yield child
        child.kill()


async def test_the_program_of_the_readme_prints_what_is_published(
    readme_running: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    assert readme_running.stdout is not None
    book = BookSnapshot("moex", "TQBR.SBER", 1, 2, [(306.4, 2.0)], [(306.5, 1.0)], None)
    async with bus(f"ipc://{tmp_path}/feedbus/events.ipc") as sink:
        await sink.joined()
        for word, group in (
            ("trade", ("A", 1, [trade(1)])),
            ("trade", ("A", 5, [trade(5)])),
            ("book", ("TQBR.SBER", 1, [book])),
        ):
            sink.send(codec.encode(codec.MessageHeader(word, "moex", "moex", 7, 5), [group]))
        read = readme_running.stdout.readline
        lines = [await trio.to_thread.run_sync(read, abandon_on_cancel=True) for _ in range(4)]
    assert b"".join(lines).decode().splitlines() == [
        "moex A traded 2.0 at 1.5",
        "missed on trade.moex.A 2 to 4",
        "moex A traded 2.0 at 1.5",
        "TQBR.SBER 306.4 306.5",
    ]
