"""The simulation itself: it finds nothing wrong in what is right, and something in everything that was spoilt."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import trio

from feedbus.schema.events import MarketData, Status
from feedbus.testing.truth.faults import Fault, FaultKind, Schedule, fixed_schedules
from feedbus.testing.truth.outcome import RunOutcome
from feedbus.testing.truth.process import ProbedProcess
from feedbus.testing.truth.world import SpoilWorld, World, run
from feedbus.venues.turns import Turns


@pytest.mark.parametrize("schedule", fixed_schedules(), ids=lambda schedule: f"{schedule.seed}-{schedule.venue}")
def test_no_price_that_is_called_live_is_untrue(schedule: Schedule) -> None:
    outcome = run(schedule)
    assert not outcome.failures, outcome.report()
    assert outcome.usable > 0.5, outcome.report()


def small(*faults: Fault, venue: str = "moex", seconds: float = 40.0, seed: int = 1) -> Schedule:
    return Schedule(seed, venue, faults, seconds, connections=2, tickers=6, tempo=2.0)


@pytest.mark.parametrize("venue", ["moex", "alor", "binance"])
def test_one_seed_gives_the_same_run_byte_for_byte_and_another_seed_another(venue: str) -> None:
    faults = Fault("reset", 10.0), Fault("drop", 12.0, place=1, count=2)
    first, second = run(small(*faults, venue=venue)), run(small(*faults, venue=venue))
    assert first.digest == second.digest
    assert first.messages == second.messages > 100
    assert run(small(*faults, venue=venue, seed=2)).digest != first.digest


@pytest.mark.parametrize("venue", ["moex", "alor", "binance"])
@pytest.mark.parametrize("kind", ["refuse", "login_refused", "ban", "restart", "stop"])
def test_a_reader_that_believes_everything_is_told_untruths(venue: str, kind: FaultKind) -> None:
    if (venue, kind) == ("binance", "login_refused"):
        pytest.skip("there are no logins")
    outcome = run(small(Fault(kind, 10.0, lasts=15.0), venue=venue), credulous=True)
    assert outcome.untrue > 10, outcome.report()
    assert outcome.lies[0].at > 10.0


def spoilt(spoil: SpoilWorld, *faults: Fault, venue: str = "moex") -> RunOutcome:
    return run(small(*faults, venue=venue), spoil=spoil)


def test_a_feed_whose_judge_says_only_live_is_found() -> None:
    def flatter(process: ProbedProcess) -> None:
        publish = process.publisher.publish

        def lie(events: Sequence[MarketData]) -> None:
            kept = [each for each in events if not isinstance(each, Status) or each.state == "live"]
            publish(kept)

        process.publisher.publish = lie  # type: ignore[method-assign]
        process.feed.publish = lie
        process.feed.trust.publish = lie

    def spoil(world: World) -> None:
        world.started = flatter

    outcome = spoilt(spoil, Fault("refuse", 10.0, lasts=10.0))
    assert outcome.untrue > 10
    assert "weren't true" in outcome.failures[0]


def test_a_publisher_that_skips_a_number_is_found() -> None:
    def skip(process: ProbedProcess) -> None:
        send, sent = process.send, 0

        def forget_one(message: bytes) -> None:
            nonlocal sent
            sent += 1
            if sent != 50:
                send(message)

        process.publisher._sink = _Forgetful(forget_one)

    def spoil(world: World) -> None:
        world.started = skip

    assert any("numbers are missing" in each for each in spoilt(spoil).failures)


class _Forgetful:
    def __init__(self, send: Callable[[bytes], None]) -> None:
        self.send = send


def test_a_connection_that_is_left_open_is_found() -> None:
    def spoil(world: World) -> None:
        world.network._forget = lambda line: None  # type: ignore[method-assign]

    assert any("left open" in each for each in spoilt(spoil).failures)


def test_a_task_that_is_left_is_found() -> None:
    def leak(process: ProbedProcess) -> None:
        if len(leaked) < 1:
            leaked.append(trio.lowlevel.spawn_system_task(trio.sleep, 60.0))

    leaked: list[object] = []

    def spoil(world: World) -> None:
        world.started = leak

    assert any("tasks are left" in each for each in spoilt(spoil).failures)


@pytest.mark.parametrize("kind", ["mute_all", "mute_one"])
def test_a_feed_that_bears_any_silence_is_found(kind: FaultKind) -> None:
    def be_patient(process: ProbedProcess) -> None:
        process.feed.trust.judge.sweep = lambda now, ts: ([], [])  # type: ignore[method-assign]

    def spoil(world: World) -> None:
        world.started = be_patient

    outcome = run(small(Fault(kind, 10.0), seconds=120.0), spoil=spoil)
    assert outcome.untrue > 10, outcome.report()


def test_a_feed_that_is_left_in_memory_is_found() -> None:
    kept = []

    def spoil(world: World) -> None:
        world.started = lambda process: kept.append(process.feed)

    assert any("left in memory" in each for each in spoilt(spoil).failures)


def test_a_venue_that_was_asked_too_often_is_found() -> None:
    def spoil(world: World) -> None:
        def hurry(process: ProbedProcess) -> None:
            async def hardly(*_: object) -> None:
                await trio.sleep(0.02)

            process.feed.connect_turn = process.feed.pause = hardly  # type: ignore[assignment, method-assign]

        world.started = hurry

    def found(*faults: Fault) -> int:
        return sum("attempts to connect" in each for each in spoilt(spoil, *faults).failures)

    assert found(Fault("refuse", 5.0, lasts=30.0)) == 1  # the venue doesn't learn of these
    assert found(*(Fault("reset", 5.0 + second, place=second) for second in range(8))) == 2


@pytest.mark.parametrize("venue", ["moex", "alor"])
def test_a_feed_that_waits_for_no_turn_to_send_is_found(venue: str) -> None:
    def rush(process: ProbedProcess) -> None:
        process.feed.turns = lambda wake: Turns(wake=wake)

    def spoil(world: World) -> None:
        world.started = rush

    told = "; ".join(spoilt(spoil, venue=venue).failures)
    assert "messages on a connection" in told
    assert "requests to subscribe" in told


def test_what_isnt_well_again_in_the_end_is_found() -> None:
    outcome = run(small(Fault("refuse", 10.0, lasts=100.0)))
    assert any("can't be used in the end" in each for each in outcome.failures)
