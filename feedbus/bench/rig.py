"""One contender at work: its venue, connector and subscriber, each in a process of its own that serves all turns.

A turn begins when no event is on its way any more (see the warm-up in turn.py), and ends when the subscriber has
received everything that the venue sent. The CPU clocks of the processes are read at both ends, so what their start
costs is in no figure.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import msgspec

from feedbus.bench.binance_listing import binance_symbol
from feedbus.bench.child_process import ChildProcess, cpu_ns, memory
from feedbus.bench.figures import Latency, Memory, Turn
from feedbus.bench.rivals import Rivals
from feedbus.bench.scenarios import Contender, Scenario
from feedbus.bench.slotted_frames import symbol
from feedbus.errors import FeedbusError

ROOT = Path(__file__).resolve().parents[2]
START_WITHIN = 90.0  # seconds until all tickers are subscribed
ROUND_WITHIN = 0.2  # seconds for the first warm-up round to arrive; each further round gets twice as long
ROUNDS = 9  # warm-up rounds before the turn is given up
ANSWER_WITHIN = 30.0  # seconds for an answer that takes no work
PATIENCE = 20.0  # seconds after the venue's last write until events that have not arrived count as lost
LOOK_EVERY = 0.5  # seconds between two checks that the connector is alive
WORDS = {"moex": "book", "trades": "trade", "binance": "quote"}
"""The first part of the bus topics on which the events of each protocol arrive."""
PATHS = {"moex": "/infocx/v3/websocket", "trades": "/", "binance": "/stream"}
SUBSCRIPTIONS = {
    "moex": ("moex", "orderbooks"),
    "trades": ("bench_trades", "trades"),
    "binance": ("binance", "bookTicker"),
}
"""The venue and the channel of each protocol, as they stand in a configuration."""


class Rig:
    """The processes of one contender; a context manager. Every method raises FeedbusError when one of them fails."""

    def __init__(self, scenario: Scenario, contender: Contender, rivals: Rivals | None) -> None:
        self.label = contender.label
        self._scenario = scenario
        self._contender = contender
        self._rivals = rivals
        self._symbols = scenario.symbols * contender.times
        self._stack = ExitStack()
        self._round = 0

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def memory(self) -> Memory:
        """The connector's memory."""
        return memory(self._connector.pid)

    # Setting up

    def _start(self) -> None:
        folder = Path(self._stack.enter_context(TemporaryDirectory(prefix="feedbus-bench-")))
        self._venue = self._child("venue", [sys.executable, "-m", "feedbus.bench.fast_venue", self._orders()], folder)
        url = f"ws://127.0.0.1:{self._venue.expect('port', START_WITHIN)['port']}{PATHS[self._scenario.protocol]}"
        connector, subscriber = self._commands(url, f"ipc://{folder / 'events.ipc'}", folder)
        self._subscriber = self._child("subscriber", subscriber, folder)
        self._connector = self._child("connector", connector, folder) if connector else self._subscriber
        self._await_subscriptions()

    def _commands(self, url: str, address: str, folder: Path) -> tuple[list[str], list[str]]:
        """The commands that start the connector and the subscriber; no connector where one process does both."""
        if self._contender.program == "feedbus":
            return self._feedbus(url, address, folder)
        return self._rival(url, address)

    def _orders(self) -> str:
        names = ("protocol", "connections", "events", "rate", "frames_per_write", "traffic")
        return json.dumps({name: getattr(self._scenario, name) for name in names} | {"symbols": self._symbols})

    def _child(self, name: str, command: list[str], folder: Path) -> ChildProcess:
        child = ChildProcess(name, command, folder, {**os.environ, "PYTHONPATH": str(ROOT)})
        self._stack.callback(child.stop)
        return child

    def _feedbus(self, url: str, address: str, folder: Path) -> tuple[list[str], list[str]]:
        """The commands that start feedbus's connector and its subscriber."""
        config = folder / "bench.yaml"
        config.write_text(configuration(self._scenario, self._contender, url, address))
        word = WORDS[self._scenario.protocol]
        subscriber = ["feedbus.bench.counting_subscriber", address, word, *self._subscriber_arguments()]
        if self._scenario.protocol != "trades":
            connector = ["feedbus", "run", str(config)]
        elif self._rivals is not None:
            connector = ["feedbus.bench.rivals", str(self._rivals.venues), str(config)]
        else:
            raise FeedbusError("bench: trades need the checkout of feedbus: their Session is in its tests/bench")
        return [sys.executable, "-m", *connector], [sys.executable, "-m", *subscriber]

    def _rival(self, url: str, address: str) -> tuple[list[str], list[str]]:
        """The commands that start the rival's connector and its subscriber."""
        if self._rivals is None:
            raise FeedbusError(
                "bench: the hand-written rivals need the checkout of feedbus: they are in its tests/bench"
            )
        program = self._rivals.program(self._scenario.protocol, tuned=self._contender.program == "tuned")
        shape = [str(self._scenario.connections), str(self._symbols)]
        connector = [*program, "connector", url, address, *shape]
        return connector, [*program, "subscriber", address, *self._subscriber_arguments()]

    def _subscriber_arguments(self) -> list[str]:
        tickers = self._symbols * self._scenario.connections
        return [str(tickers), str(self._scenario.events), str(int(self._scenario.latency))]

    def _await_subscriptions(self) -> None:
        until = time.monotonic() + START_WITHIN
        while self._venue.hear(LOOK_EVERY) is None:
            self._connector.check()
            if time.monotonic() > until:
                raise FeedbusError(f"bench: {self.label}: not all tickers were subscribed in {START_WITHIN:.0f} s")

    # Measuring

    def turn(self) -> Turn:
        """Let the venue send its events once, and return what that cost."""
        self._warm_up()
        connector, subscriber = cpu_ns(self._connector.pid), cpu_ns(self._subscriber.pid)
        began = time.perf_counter_ns()
        self._venue.tell("go")
        done, sent = self._await_end()
        connector = cpu_ns(self._connector.pid) - connector if self._connector is not self._subscriber else 0
        subscriber = done["cpu_ns"] - subscriber
        rest = self._subscriber.expect("receive_us", ANSWER_WITHIN)
        if sent is None:
            sent = self._venue.expect("sent", ANSWER_WITHIN)
        return turn_of(sent["sent"], done | rest, connector, subscriber, (done["at"] - began) / 1e9)

    def _warm_up(self) -> None:
        """Return once a warm-up round has come whole: all tickers are subscribed, and no older event is on its way."""
        for attempt in range(ROUNDS):
            self._round += 1
            self._venue.tell(f"warm {self._round}")
            self._venue.expect("warmed", ANSWER_WITHIN)
            while (heard := self._subscriber.hear(ROUND_WITHIN * 2**attempt)) is not None:
                if heard.get("warm") == self._round:
                    return
            self._connector.check()
        raise FeedbusError(f"bench: {self.label}: the subscriber gets nothing, or not all")

    def _await_end(self) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """Wait until the subscriber has everything, or until it has been told to give up. Returns its report, and the
        venue's if that has come by then."""
        sent: dict[str, Any] | None = None
        until = float("inf")
        while (done := self._subscriber.hear(LOOK_EVERY)) is None:
            self._connector.check()
            if sent is None and (sent := self._venue.hear(0)) is not None:
                until = time.monotonic() + PATIENCE
            if time.monotonic() > until:
                self._subscriber.signal(signal.SIGUSR1)
                return self._subscriber.expect("done", ANSWER_WITHIN), sent
        return done, sent


def turn_of(sent: int, heard: dict[str, Any], connector_ns: int, subscriber_ns: int, seconds: float) -> Turn:
    """The figures of one turn. `sent` is the venue's count of events, `heard` the subscriber's report."""
    events = max(1, heard["done"])
    return Turn(
        connector_us=connector_ns / events / 1000,
        subscriber_us=subscriber_ns / events / 1000,
        sum_us=(connector_ns + subscriber_ns) / events / 1000,
        seconds=seconds,
        events_per_s=events / seconds,
        connector_share=connector_ns / seconds / 1e9,
        subscriber_share=subscriber_ns / seconds / 1e9,
        sent=sent,
        received=heard["done"],
        gaps=heard.get("gaps", 0),
        receive_to_subscriber_us=msgspec.convert(heard["receive_us"], Latency | None),
        write_to_subscriber_us=msgspec.convert(heard["write_us"], Latency | None),
    )


def configuration(scenario: Scenario, contender: Contender, url: str, address: str) -> str:
    """The YAML for `feedbus run`. The bus is published at `address`, and the venue is at `url`."""
    per_connection = scenario.symbols * contender.times
    name = binance_symbol if scenario.protocol == "binance" else symbol
    symbols = ", ".join(name(number) for number in range(scenario.connections * per_connection))
    venue, channel = SUBSCRIPTIONS[scenario.protocol]
    lines = [
        "bus:",
        f'  publish: "{address}"',
        *(f"  {key}: {value}" for key, value in contender.bus.items()),
        "feeds:",
        "  bench:",
        f"    venue: {venue}",
        f"    url: {url}",
        f"    channels: [{channel}]",
        f"    symbols: [{symbols}]",
        f"    sharding: {{connections: {scenario.connections}, per_connection: {per_connection}}}",
        *([] if scenario.transport is None else [f"    transport: {scenario.transport}"]),
    ]
    return "\n".join(lines) + "\n"
