"""One contender set up: its configuration, its figures, and a turn that loses something."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from feedbus import config
from feedbus.bench import rig as rigs
from feedbus.bench.figures import Latency
from feedbus.bench.rig import Rig, configuration, turn_of
from feedbus.bench.scenarios import SCENARIOS, Contender, Scenario
from feedbus.errors import FeedbusError

SMALL = msgspec.structs.replace(SCENARIOS["paced"], events=60, rate=0.0, connections=2, symbols=3)
HEARD = {"done": 4, "receive_us": None, "write_us": None}


def load(scenario: Scenario, contender: Contender, folder: Path) -> config.Config:
    path = folder / "bench.yaml"
    path.write_text(configuration(scenario, contender, "ws://127.0.0.1:9/x", "ipc:///tmp/x.ipc"))
    return config.load(path, {})


def test_the_configuration_is_one_that_the_product_takes(tmp_path: Path) -> None:
    sharded = SCENARIOS["sharded"]
    found = load(sharded, sharded.contenders[0], tmp_path)
    assert found.bus == config.BusConfig(found.bus.publish), "the product's own"
    (feed,) = found.feeds
    assert (feed.venue, feed.channels, len(feed.symbols)) == ("moex", ("orderbooks",), 1500)
    assert (feed.sharding.connections, feed.sharding.per_connection) == (30, 50)


def test_linger_transport_and_ten_times_the_tickers_are_written_when_asked_for(tmp_path: Path) -> None:
    scenario = msgspec.structs.replace(SCENARIOS["tickers"], transport="sansio")
    found = load(scenario, Contender("x", bus={"linger": 0.0}, times=10), tmp_path)
    assert found.bus.linger == 0
    assert found.feeds[0].transport == "sansio"
    assert len(found.feeds[0].symbols) == found.feeds[0].sharding.per_connection == 500


def test_other_keys_of_the_bus_and_quotes_of_binance_are_written_when_asked_for(tmp_path: Path) -> None:
    scenario = msgspec.structs.replace(SCENARIOS["trickle"], protocol="binance", symbols=2)
    found = load(scenario, Contender("x", bus={"linger": 0.1, "stalled_bytes": 2**21}), tmp_path)
    assert (found.bus.linger, found.bus.stalled_bytes) == (0.1, 2**21)
    assert (found.feeds[0].venue, found.feeds[0].channels) == ("binance", ("bookTicker",))
    assert found.feeds[0].symbols == ("BTCUSDT", "ETHUSDT")


def test_figures_are_by_event_and_shares_by_second() -> None:
    quantiles = {"p50": 1.0, "p99": 2.0, "p999": 3.0, "max": 4.0}
    turn = turn_of(4, HEARD | {"receive_us": quantiles}, 8_000_000, 2_000_000, 0.5)
    assert (turn.connector_us, turn.subscriber_us, turn.sum_us) == (2000, 500, 2500)
    assert (turn.connector_share, turn.subscriber_share, turn.events_per_s) == (0.016, 0.004, 8)
    assert turn.receive_to_subscriber_us == Latency(1, 2, 3, 4)
    assert turn.write_to_subscriber_us is None
    assert turn.lossless


@pytest.mark.parametrize(("sent", "gaps"), [(5, 0), (3, 0), (4, 1)], ids=["less", "more", "gap"])
def test_less_or_more_or_a_gap_is_loss(sent: int, gaps: int) -> None:
    assert not turn_of(sent, HEARD | {"gaps": gaps}, 1, 1, 1.0).lossless


def test_without_a_checkout_there_is_neither_rival_nor_trades() -> None:
    with pytest.raises(FeedbusError, match="rivals need the checkout"), Rig(SMALL, Contender("r", "rival"), None):
        pass
    trades = SCENARIOS["trades"]
    with pytest.raises(FeedbusError, match="trades need the checkout"), Rig(trades, trades.contenders[0], None):
        pass


class FakeChild:
    """A Child that says what it was told to say; None stands for a timeout."""

    pid = os.getpid()

    def __init__(self, *lines: dict[str, Any] | None) -> None:
        self.lines = list(lines)
        self.told: list[str] = []
        self.signals: list[int] = []

    def hear(self, timeout: float) -> dict[str, Any] | None:
        return self.lines.pop(0)

    def expect(self, word: str, timeout: float) -> dict[str, Any]:
        found = self.lines.pop(0)
        assert found is not None
        assert word in found
        return found

    def tell(self, line: str) -> None:
        self.told.append(line)

    def signal(self, number: int) -> None:
        self.signals.append(number)

    def check(self) -> None:
        pass


def rig_of(venue: FakeChild, subscriber: FakeChild) -> Rig:
    rig = Rig(SMALL, SMALL.contenders[0], None)
    rig._venue, rig._subscriber, rig._connector = venue, subscriber, FakeChild()  # type: ignore[assignment]
    return rig


DONE = {"done": 60, "cpu_ns": 10**18, "at": 10**18}
REST = {"receive_us": None, "write_us": None, "gaps": 0}


def test_a_turn_begins_when_a_warm_up_has_come_whole_and_ends_with_the_last_event() -> None:
    venue = FakeChild({"warmed": 1}, {"warmed": 2}, {"sent": 60})
    subscriber = FakeChild(None, {"warm": 1}, {"warm": 2}, DONE, REST)
    turn = rig_of(venue, subscriber).turn()
    assert venue.told == ["warm 1", "warm 2", "go"]
    assert turn.lossless
    assert turn.subscriber_us > turn.connector_us > 0
    assert subscriber.signals == []


def test_what_does_not_come_is_given_up_some_time_after_the_last_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rigs, "PATIENCE", -1.0)
    venue = FakeChild({"warmed": 1}, None, {"sent": 60})
    subscriber = FakeChild({"warm": 1}, None, None, DONE | {"done": 58}, REST)
    turn = rig_of(venue, subscriber).turn()
    assert subscriber.signals == [signal.SIGUSR1]
    assert (turn.sent, turn.received, turn.lossless) == (60, 58, False)


def test_a_subscriber_that_gets_nothing_is_an_error() -> None:
    venue = FakeChild(*({"warmed": number} for number in range(rigs.ROUNDS)))
    with pytest.raises(FeedbusError, match="bench: feedbus: the subscriber gets nothing, or not all"):
        rig_of(venue, FakeChild(*[None] * rigs.ROUNDS)).turn()


def test_books_go_through_the_real_service_over_several_connections() -> None:
    with Rig(SMALL, SMALL.contenders[0], None) as rig:
        turns = [rig.turn(), rig.turn()]
        assert rig.memory().now > 5
    for turn in turns:
        assert (turn.sent, turn.received, turn.gaps) == (60, 60, 0)
        assert turn.receive_to_subscriber_us is not None
        assert turn.write_to_subscriber_us is not None
        assert 0 < turn.receive_to_subscriber_us.p50 < turn.write_to_subscriber_us.p50
        assert min(turn.connector_us, turn.subscriber_us) > 0
