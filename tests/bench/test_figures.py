"""Spreads, ratios by turns, losses."""

from __future__ import annotations

from feedbus.bench.figures import Latency, Memory, Outcome, Turn, TurnSpread, contender, losses, ratios, result, spread
from feedbus.bench.scenarios import RIVAL, SCENARIOS

MEMORY = Memory(40.0, 41.0)
PACED = SCENARIOS["paced"]


def turn(sum_us: float, *, received: int = 10, gaps: int = 0, p50: float | None = None) -> Turn:
    latency = None if p50 is None else Latency(p50, p50 * 2, p50 * 3, p50 * 4)
    return Turn(sum_us - 1, 1, sum_us, 1.0, 10.0, 0.5, 0.25, 10, received, gaps, latency, latency)


def outcome(label: str, *turns: Turn) -> Outcome:
    return Outcome(label, list(turns), MEMORY, MEMORY)


def test_a_spread_is_least_median_and_most() -> None:
    assert spread([3.0, 1.0, 2.0]) == TurnSpread(1, 2, 3)
    assert spread([]) is None


def test_ratios_are_of_the_same_turn() -> None:
    ours, theirs = outcome("feedbus", turn(2), turn(30)), outcome(RIVAL, turn(4), turn(20))
    assert ratios(ours, theirs, lambda one: one.sum_us) == TurnSpread(0.5, 1.0, 1.5)


def test_a_turn_that_lost_something_is_in_no_median_and_no_ratio() -> None:
    ours = outcome("feedbus", turn(2), turn(1, received=9), turn(1, gaps=1), turn(2))
    theirs = outcome(RIVAL, turn(4), turn(4), turn(4), turn(9, received=11))
    found = contender(ours, theirs)
    assert found["sum_us"] == TurnSpread(2, 2, 2)
    assert found["ratio"] == TurnSpread(0.5, 0.5, 0.5)
    assert found["ratio_of_least"] == 0.5
    assert (found["lossy_turns"], found["lost"], found["gaps"]) == (2, 1, 1)
    assert losses(PACED, [ours, theirs]) == [
        "paced, feedbus: 1 events, 1 gaps, in 2 of 4 turns",
        f"paced, {RIVAL}: -1 events, 0 gaps, in 1 of 4 turns",
    ]
    assert losses(PACED, [outcome("feedbus", turn(1))]) == []


def test_a_contender_that_lost_in_every_turn_has_no_figures() -> None:
    found = contender(outcome("feedbus", turn(1, received=0, p50=1)), outcome(RIVAL, turn(1, p50=1)))
    assert found["sum_us"] is None
    assert found["ratio"] is None
    assert found["ratio_of_least"] is None
    assert found["receive_to_subscriber_us"]["p50"] is None


def test_latencies_are_compared_where_they_were_recorded() -> None:
    ours, theirs = outcome("feedbus", turn(1, p50=30)), outcome(RIVAL, turn(1, p50=10))
    assert contender(ours, theirs)["latency_ratio"] == {"p50": TurnSpread(3, 3, 3), "p99": TurnSpread(3, 3, 3)}
    assert contender(ours, theirs)["write_to_subscriber_us"]["max"] == TurnSpread(120, 120, 120)
    untimed = contender(outcome("feedbus", turn(1)), outcome(RIVAL, turn(1)))
    assert untimed["latency_ratio"] == {"p50": None, "p99": None}
    assert untimed["write_to_subscriber_us"] == dict.fromkeys(["p50", "p99", "p999", "max"])


def test_nobody_is_compared_to_itself_or_to_who_is_not_there() -> None:
    found = result(PACED, [outcome("feedbus", turn(2)), outcome(RIVAL, turn(4))])["contenders"]
    assert (found["feedbus"]["ratio"], found[RIVAL]["ratio"]) == (TurnSpread(0.5, 0.5, 0.5), None)
    assert result(PACED, [outcome("feedbus", turn(2))])["contenders"]["feedbus"]["ratio"] is None


def test_an_idle_bus_says_nothing_of_the_cost_of_an_event() -> None:
    ours, theirs = outcome("feedbus", turn(9, p50=1)), outcome(RIVAL, turn(3, p50=1))
    found = result(SCENARIOS["idle"], [ours, theirs])["contenders"]["feedbus"]
    assert (found["sum_us"], found["ratio"]) == (None, None)
    assert found["latency_ratio"]["p50"] == TurnSpread(1, 1, 1)
