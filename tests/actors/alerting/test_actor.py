"""The alerting actor over a bus in memory and on a virtual clock: what it subscribes, publishes, logs and counts."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import msgspec
import pytest
import trio
import trio.testing

from feedbus.actors.alerting.actor import MINUTE, OVERDUE_AFTER, Actor, AlertLog, Options
from feedbus.actors.alerting.webhook import WebhookOptions
from feedbus.actors.protocol import Actor as SubscriberActor
from feedbus.actors.protocol import ActorContext
from feedbus.alerts import Rule
from feedbus.bus.publisher import Publisher
from feedbus.errors import ConfigError
from feedbus.schema import codec
from feedbus.schema.events import (
    Alert,
    BookDelta,
    BookSnapshot,
    FeedState,
    FeedStatus,
    MarketData,
    Quote,
    Status,
    Ticker,
    Trade,
    TrustState,
)
from feedbus.telemetry.log_limits import OWN_LIMIT
from feedbus.testing.determinism import EPOCH_NS, wall_ns
from feedbus.testing.memory_bus import MemoryBus

LARGE = Rule("large_trade", 10, cooldown=5)


class Bench:
    """A running actor. It reads what `put` publishes on `bus`, and what it publishes itself is in `alerts`."""

    def __init__(self, options: Options, wall: Callable[[], int] = wall_ns) -> None:
        self.bus = MemoryBus()
        self.publisher = Publisher("moex", self.bus, linger=0, wall_ns=wall)
        self.alerts: list[Alert] = []
        self.actor = Actor(options, ActorContext(self.bus.subscribe, self._publish, wall))

    def _publish(self, events: Sequence[MarketData]) -> None:
        for event in events:
            assert isinstance(event, Alert)
            self.alerts.append(event)

    async def put(self, *events: MarketData) -> None:
        """Publishes events on the bus and returns when they have been judged."""
        self.publisher.publish(events)
        await trio.testing.wait_all_tasks_blocked()

    def told(self) -> list[tuple[str, str, float]]:
        """Returns (state, symbol, seconds) of all alerts so far."""
        return [(alert.state, alert.symbol, (alert.ts_recv - EPOCH_NS) / 1e9) for alert in self.alerts]


@asynccontextmanager
async def running(*rules: Rule, log_per_minute: int = 60) -> AsyncIterator[Bench]:
    bench = Bench(Options(rules=rules, log_per_minute=log_per_minute))
    async with trio.open_nursery() as nursery:
        await nursery.start(bench.actor.run)
        yield bench
        nursery.cancel_scope.cancel()


def trade(symbol: str = "A", size: float = 50.0) -> Trade:
    return Trade("moex", symbol, 1, wall_ns(), 10.0, size, "buy", 1)


def status(state: FeedState) -> FeedStatus:
    return FeedStatus("moex", "moex/0", 0, wall_ns(), state, "", 1, 2, {}, 0.0, None, 1)


async def test_what_fires_is_published_and_resolves_when_its_time_has_come(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with running(LARGE) as bench:
        await bench.put(trade(), trade("B", 1))
        assert bench.told() == [("firing", "A", 0)]
        await trio.sleep(60)
        assert bench.told()[1:] == [("resolved", "A", 5)]


async def test_an_instrument_is_stale_at_its_time_and_not_at_the_next_event(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with running(Rule("stale", 42.5)) as bench:
        await bench.put(Ticker("moex", "A", 1, wall_ns(), last=1.0))
        await trio.sleep(100)
        assert bench.told() == [("firing", "A", 42.5)]
        await bench.put(Quote("moex", "A", 1, wall_ns(), 1.0, 1.0, 1.0, 1.0, None))
        assert bench.told()[1:] == [("resolved", "A", 100)]


async def test_a_timer_that_comes_to_be_due_earlier_is_not_slept_over(autojump_clock: trio.testing.MockClock) -> None:
    async with running(Rule("stale", 3600), Rule("wide_spread", 1, for_=0.25)) as bench:
        await trio.sleep(1)
        await bench.put(Quote("moex", "A", 1, wall_ns(), 1.0, 1.0, 2.0, 1.0, None))
        await trio.sleep(10)
        assert bench.told() == [("firing", "A", 1.25)]


async def test_only_what_the_rules_need_is_subscribed_to() -> None:
    async with running(Rule("large_trade", 10, symbols=("moex:A",))) as bench:
        quote = Quote("moex", "A", 1, wall_ns(), 1.0, 1.0, 2.0, 1.0, None)
        await bench.put(quote, trade("B"), trade("A"))
        assert bench.actor.counters()["events"] == 1
        assert [alert.symbol for alert in bench.alerts] == ["A"]


async def test_connections_are_judged_from_what_they_say_and_from_their_silence(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with running(Rule("connection_down", for_=10)) as bench:
        await trio.sleep(100)
        await bench.put(status("online"))
        await trio.sleep(5)
        await bench.put(status("waiting"))
        await trio.sleep(100)
        assert bench.told() == [("firing", "moex/0", 115)]


async def test_nothing_fires_by_a_gap_and_it_is_counted() -> None:
    async with running(LARGE) as bench:
        header = codec.MessageHeader("trade", "moex", "moex", 7, 5)
        bench.bus.send(codec.encode(header, [("A", 1, [trade(size=1)])]))
        bench.bus.send(codec.encode(header, [("A", 9, [trade(size=1)])]))
        await trio.testing.wait_all_tasks_blocked()
        assert bench.alerts == []
        assert (bench.actor.counters()["gaps"], bench.actor.counters()["events"]) == (1, 2)


async def test_a_book_that_is_lost_on_the_bus_or_by_a_status_is_not_called_crossed_any_more() -> None:
    def picture(bid: float, sequence: int) -> BookSnapshot:
        return BookSnapshot("moex", "A", 1, wall_ns(), [(bid, 1.0)], [(10.0, 1.0)], sequence, True, True)

    def delta(bid: float, sequence: int) -> BookDelta:
        return BookDelta("moex", "A", 1, wall_ns(), [(bid, 1.0)], [], sequence, sequence)

    crossed = Rule("crossed_book", cooldown=0)
    async with running(crossed) as bench:
        await bench.put(picture(9, 1), delta(11, 2))
        bench.publisher._sink = MemoryBus()  # nobody hears this
        bench.publisher.publish([delta(12, 3)])
        bench.publisher._sink = bench.bus
        await bench.put(delta(11, 2))  # says nothing new, but its number on the bus tells what was lost
        assert "the book is lost (gap)" in bench.alerts[1].text
        await bench.put(picture(11, 4), Status("moex", "A", 1, wall_ns(), "gapped", "hole", 1, 1))
        assert [alert.state for alert in bench.alerts] == ["firing", "resolved"] * 2
        await bench.put(picture(11, 5), Status("moex", "A", 1, wall_ns(), "live", "", 1, 1))
        bench.publisher.begin_epoch()
        await bench.put(Quote("moex", "B", 1, wall_ns(), 1.0, 1.0, 2.0, 1.0, None), delta(11, 5))
        assert [alert.state for alert in bench.alerts] == ["firing", "resolved"] * 3
    async with running(crossed) as bench:  # a second life knows nothing until a picture comes
        await bench.put(delta(12, 5))
        assert bench.alerts == []
        await bench.put(picture(11, 5))
        assert [alert.state for alert in bench.alerts] == ["firing"]


async def test_a_new_life_knows_nothing_of_the_old_one(autojump_clock: trio.testing.MockClock) -> None:
    for _ in range(2):
        async with running(Rule("wide_spread", 1)) as bench:
            await bench.put(Quote("moex", "A", 1, wall_ns(), 1.0, 1.0, 2.0, 1.0, None))
            assert [alert.state for alert in bench.alerts] == ["firing"]


# What is said of the instruments


def said(state: TrustState, reason: str = "", symbol: str = "A", word: str = "trade") -> Status:
    return Status("moex", symbol, 0, wall_ns(), state, reason, wall_ns(), 1, word)


async def test_a_publisher_that_is_killed_makes_its_instruments_not_live_and_its_connections_down(
    autojump_clock: trio.testing.MockClock,
) -> None:
    rules = (Rule("not_live", for_=2, cooldown=0), Rule("connection_down", for_=2, cooldown=0), LARGE)
    async with running(*rules) as bench, trio.open_nursery() as nursery:
        await nursery.start(bench.bus.watch)
        bench.publisher.publish([said("live"), status("online")])
        await trio.sleep(30)  # it doesn't speak any more
        texts = sorted((alert.rule, alert.text) for alert in bench.alerts)
        assert texts == [
            ("connection_down", "its publisher moex says nothing any more, and said online"),
            ("not_live", "trade: resyncing publisher_silent (its publisher says nothing any more)"),
        ]
        assert all(4 <= seconds <= 6 for _, _, seconds in bench.told())
        await bench.put(trade())
        assert len(bench.alerts) == 2, "what it says of its trades may be old"
        bench.publisher.begin_epoch()  # the supervisor has started it anew
        await bench.put(said("resyncing", "connecting"), status("connecting"))
        await trio.sleep(1)
        assert len(bench.alerts) == 2
        await bench.put(trade(size=1), said("live"), trade(), status("online"))
        found = [(alert.rule, alert.state) for alert in bench.alerts[2:]]
        assert sorted(found) == [("connection_down", "resolved"), ("large_trade", "firing"), ("not_live", "resolved")]
        nursery.cancel_scope.cancel()


async def test_a_new_life_learns_from_what_is_said_again_what_holds_still(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bad = said("stale", "silent")
    for life in range(2):
        async with running(Rule("not_live", for_=60), Rule("stale")) as bench:
            await bench.put(said("live", symbol="B"))
            await trio.sleep(100)
            again = msgspec.structs.replace(bad, ts_recv=wall_ns())
            await bench.put(again)  # as publishers say all of it again and again
            await bench.put(again)
            assert sorted((alert.rule, alert.symbol) for alert in bench.alerts) == [("not_live", "A"), ("stale", "A")]
            assert {alert.value for alert in bench.alerts} == {100 * (life + 1)}


async def test_what_two_publishers_say_of_one_instrument_counts_whatever_the_order() -> None:
    jump = Rule("price_jump", 10, cooldown=0)
    async with running(jump, Rule("not_live", cooldown=0)) as bench:
        other = Publisher("other", bench.bus, linger=0, wall_ns=wall_ns)
        await bench.put(said("live", word="ticker"))
        other.publish([said("gapped", "hole")])
        await bench.put(Ticker("moex", "A", 1, wall_ns(), last=1.0), trade())
        await bench.put(said("live", word="ticker"))  # of its own word; the trades are gapped all the same
        await bench.put(*(Ticker("moex", "A", 1, wall_ns(), last=last) for last in (2.0, 3.0)))
        assert [(alert.rule, alert.state) for alert in bench.alerts] == [
            ("not_live", "firing"),
            ("price_jump", "firing"),
        ]
        other.publish([said("live")])
        await trio.testing.wait_all_tasks_blocked()
        assert [(alert.rule, alert.state) for alert in bench.alerts[2:]] == [("not_live", "resolved")]


# Clocks


@pytest.mark.parametrize("jump_s", [-10_800, -3600, 3600])
async def test_a_wall_clock_that_is_set_moves_labels_and_nothing_else(
    jump_s: int, autojump_clock: trio.testing.MockClock
) -> None:
    jumped = 0

    def wall() -> int:
        return wall_ns() + jumped * 1_000_000_000

    bench = Bench(Options(rules=(Rule("connection_down", for_=30), Rule("stale", 60))), wall)
    async with trio.open_nursery() as nursery:
        await nursery.start(bench.actor.run)
        await bench.put(status("online"), trade())
        jumped = jump_s
        await bench.put(status("online"), trade())
        assert bench.alerts == []
        await bench.put(status("waiting"))
        await trio.sleep(31)
        assert bench.told() == [("firing", "moex/0", 30 + jump_s)]
        await trio.sleep(30)
        assert bench.told()[1:] == [("firing", "A", 60 + jump_s)]
        nursery.cancel_scope.cancel()


# The log


async def test_a_change_is_a_line(autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "feedbus.alerting")
    async with running(Rule("large_trade", 10, name="whale", severity="critical", cooldown=5)) as bench:
        await bench.put(trade())
        await trio.sleep(60)
    assert [(record.name, record.levelname, record.getMessage()) for record in caplog.records] == [
        ("feedbus.alerting", "CRITICAL", "critical whale firing: moex:A: trade buy 50 lots at 10"),
        ("feedbus.alerting", "INFO", "critical whale resolved: moex:A: 5 s have passed since"),
    ]


async def test_a_storm_is_so_many_lines_a_minute_and_one_that_counts_the_others(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "feedbus.alerting")
    async with running(Rule("large_trade", 10, cooldown=1000), log_per_minute=3) as bench:
        await bench.put(*(trade(f"S{number}") for number in range(1000)))
        assert [getattr(record, OWN_LIMIT) for record in caplog.records] == [True] * 3
        await trio.sleep(MINUTE + 10)
        assert [record.getMessage() for record in caplog.records[3:]] == [
            "997 more alerts within a minute: not logged, but published"
        ]
        await bench.put(trade("S1000"))
        assert len(caplog.records) == 5
        assert len(bench.alerts) == 1001
        assert bench.actor.counters()["log_lines_left_out"] == 997


async def test_a_storm_of_one_severity_leaves_the_lines_of_another(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "feedbus.alerting")
    noise = Rule("large_trade", 10, name="noise", cooldown=1000, severity="info")
    grave = Rule("large_trade", 99, name="grave", cooldown=1000, severity="critical")
    async with running(noise, grave, log_per_minute=2) as bench:
        await bench.put(*(trade(f"S{number}") for number in range(50)), trade("A", 100))
    assert [record.getMessage().split()[1] for record in caplog.records] == ["noise", "noise", "grave"]


def test_a_quiet_minute_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    lines = AlertLog(1)
    for now in (0.0, 61.0, 200.0):
        lines.end_minute(now)
    assert (caplog.records, lines.left_out) == ([], 0)


# What it is to its supervisor


async def test_totals_are_counted(autojump_clock: trio.testing.MockClock) -> None:
    async with running(LARGE) as bench:
        await bench.put(trade(), trade("B"), trade("C", 1))
        await trio.sleep(60)
        assert bench.actor.counters() == {
            "events": 3,
            "gaps": 0,
            "fired": 2,
            "resolved": 2,
            "events_passed_over": 0,
            "unusable": 0,
            "unpriced": 0,
            "log_lines_left_out": 0,
        }


async def test_it_is_overdue_only_when_a_rule_was_due_and_nobody_looked(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bench = Bench(Options(rules=(LARGE,)))
    assert bench.actor.overdue(1e9) is None  # it doesn't run yet
    async with running(LARGE) as bench:
        await trio.sleep(1000)
        now = trio.current_time()
        assert bench.actor.overdue(now) is None
        assert bench.actor.overdue(now + 2 * OVERDUE_AFTER + 0.1) == "alerting: rules that are due aren't judged"


def test_it_is_an_actor_with_defaults_for_everything() -> None:
    kind: type[SubscriberActor] = Actor
    assert kind.publishes
    actor = kind(kind.Options(), ActorContext(MemoryBus().subscribe, lambda events: None, wall_ns))
    assert actor.counters()["events"] == 0


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (Options(rules=()), "rules: there are none"),
        (Options(rules=(Rule("price_jump"),)), "rule price_jump: threshold"),
        (Options(webhook=WebhookOptions("nonsense")), "webhook.url: must be"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: Options, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        Actor(options, ActorContext(MemoryBus().subscribe, lambda events: None, wall_ns))


def test_the_options_are_what_a_file_may_hold() -> None:
    options = msgspec.convert(
        {
            "rules": [{"kind": "stale", "threshold": "60", "for": "5", "symbols": ["TQBR.*"]}],
            "webhook": {"url": "https://hooks.example.com/T0", "queue": "10"},
        },
        Options,
        strict=False,
    )
    assert options.rules == (Rule("stale", 60, for_=5, symbols=("TQBR.*",)),)
    assert options.webhook is not None
    assert (options.webhook.queue, options.max_instruments) == (10, 20_000)
