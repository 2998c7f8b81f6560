"""What `make bench-peers` does before and after it measures. The other programs aren't in the tests' environment."""

from __future__ import annotations

import json
import time
from pathlib import Path

import msgspec
import pytest

from feedbus import config
from feedbus.bench.figures import Latency, Turn
from feedbus.bench.priced_times import price_of
from feedbus.bench.rig import ROOT, configuration
from feedbus.bench.scenarios import FEEDBUS
from feedbus.bench.slotted_frames import market_frame
from tests.bench.peers.__main__ import bus_keys, rigs
from tests.bench.peers.contenders import BASELINE, LOADS, OTHERS, OURS, Peer, Place
from tests.bench.peers.floor import Frames
from tests.bench.peers.peer_rig import PeerRig
from tests.bench.peers.peer_table import TITLES, rows
from tests.bench.peers.stopwatch import Stopwatch

PLACE = Place("ws://127.0.0.1:9/stream", "ipc:///tmp/x.ipc", 9, ["BTCUSDT"], "python", "/root", ["1", "2", "3"])


def turn(connector: float, subscriber: float, p50: float | None, received: int = 10) -> Turn:
    latency = None if p50 is None else Latency(p50, p50 * 2, p50 * 3, p50 * 4)
    total = connector + subscriber
    return Turn(connector, subscriber, total, 1.0, 10.0, 0.5, 0.5, 10, received, 0, None, latency)


def test_a_stopwatch_passes_over_the_warm_up_and_begins_anew(capsys: pytest.CaptureFixture[str]) -> None:
    stopwatch = Stopwatch(2, 2, True)
    for _ in range(2):
        stopwatch.take("A", float(price_of(1)), 0)
        stopwatch.take("B", float(price_of(1)), 0)
        written = time.time_ns() - 5_000_000
        for name in "AB":
            stopwatch.take(name, float(price_of(written)), written + 1_000_000)
    stopwatch.take("A", float(price_of(time.time_ns())), None)
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [next(iter(line)) for line in said] == ["warm", "done", "receive_us"] * 2, "a late event is no new turn"
    assert [said[1]["done"], said[4]["done"]] == [2, 2]
    assert said[5]["write_us"]["p50"] - said[5]["receive_us"]["p50"] == pytest.approx(1000)
    assert said[5]["write_us"]["p50"] >= 5000


def test_a_turn_that_is_broken_off_reports_what_had_come(capsys: pytest.CaptureFixture[str]) -> None:
    stopwatch = Stopwatch(1, 9, False)
    stopwatch.take("A", float(price_of(1)), 0)
    stopwatch.take("A", float(price_of(time.time_ns())), 0)
    stopwatch.over()
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (said[1]["done"], said[2]["write_us"]) == (1, None)


@pytest.mark.parametrize("contender", OURS, ids=lambda one: one.label)
def test_our_contenders_are_ones_that_the_product_takes(contender: object, tmp_path: Path) -> None:
    path = tmp_path / "bench.yaml"
    path.write_text(configuration(LOADS["500/s"], contender, PLACE.url, PLACE.address))  # type: ignore[arg-type]
    (feed,) = config.load(path, {}).feeds
    assert (feed.venue, len(feed.symbols)) == ("binance", 50)


@pytest.mark.parametrize("peer", OTHERS, ids=lambda one: one.label)
def test_every_program_of_a_peer_is_there(peer: Peer) -> None:
    connector, subscriber = peer.commands(PLACE)
    for command in (connector, subscriber):
        if command:
            assert (ROOT / f"{command[2].replace('.', '/')}.py").is_file()
    assert subscriber[3:]
    assert bool(connector) == (PLACE.url not in subscriber), "one process does both, or a connector has the venue"


def test_contenders_are_chosen_by_how_their_labels_begin_and_may_be_more_of_feedbus() -> None:
    economy = bus_keys("linger=0.2,stalled_bytes=2097152")
    assert economy.bus == {"linger": "0.2", "stalled_bytes": "2097152"}
    labels = [rig.label for rig in rigs(LOADS["burst"], [*OURS, economy], ["feedbus linger 0.2", "nautilus"])]
    assert labels == ["feedbus linger 0.2,stalled_bytes 2097152", "nautilus_trader"]
    made = rigs(LOADS["burst"], OURS, [])
    assert len(made) == len({rig.label for rig in made}) == len(OURS) + len(OTHERS)


def test_the_table_compares_with_the_baseline_turn_by_turn() -> None:
    load = LOADS["500/s"]
    assert load.baseline == BASELINE
    found = {
        BASELINE: [turn(6, 4, 100), turn(60, 40, 1000)],
        FEEDBUS: [turn(4, 1, 50), turn(70, 20, 500, received=9)],
        "one process": [turn(0, 1, None), turn(0, 2, None)],
    }
    contenders = {label: {"turns": turns} for label, turns in found.items()}
    table = [dict(zip(TITLES, row, strict=True)) for row in rows({"scenario": load, "contenders": contenders})]
    assert [row["ratio"] for row in table] == ["1.00", "0.70", "0.06"]
    assert [row["p50 ratio"] for row in table] == ["1.00", "0.50", "-"]
    assert [row["connector us"] for row in table] == ["33.0", "37.0", "-"]
    assert [row["lost"] for row in table] == ["0", "1 of 20", "0"]


class Taken:
    """Stands for a stopwatch."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, float]] = []

    def take(self, symbol: str, bid: float, received_ns: int | None) -> None:
        self.taken.append((symbol, bid))


@pytest.mark.parametrize("cut", range(1, 200, 7))
def test_a_floor_finds_every_frame_wherever_the_bytes_are_cut(cut: int) -> None:
    made = [market_frame("binance", f"{name}@bookTicker", 1, 0, at).data for at, name in enumerate(["a", "b", "c"], 7)]
    taken, data = Taken(), b"".join(made)
    frames = Frames(taken)  # type: ignore[arg-type]
    for at in range(0, len(data), cut):
        frames.take(data[at : at + cut])
    assert taken.taken == [("A", 7e-8), ("B", 8e-8), ("C", 9e-8)]


def test_a_floor_goes_through_the_real_processes() -> None:
    small = msgspec.structs.replace(LOADS["500/s"], events=60, rate=0.0, symbols=3)
    peer = next(peer for peer in OTHERS if peer.label == "floor: trio, nng to Unix socket")
    with PeerRig(small, peer) as rig:
        turns = [rig.turn(), rig.turn()]
    assert [(one.sent, one.received) for one in turns] == [(60, 60)] * 2
    assert all(one.connector_us > 0 and one.write_to_subscriber_us is not None for one in turns)
