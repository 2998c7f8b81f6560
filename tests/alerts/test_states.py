"""A watch as a state machine, and its timers: fires after `for`, once, and not again before its cooldown is over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.alerts.rules import Rule
from feedbus.alerts.states import NEVER, SECOND, SPARE, CompiledRule, MomentWatch, SharedState, Subject, Watch
from feedbus.trust.readers_trust import Trust


class Told(Watch):
    """A watch whose condition the test sets."""

    def describe_firing(self) -> tuple[float | None, str]:
        return 1.0, "so"

    def describe_resolved(self) -> tuple[float | None, str]:
        return 0.0, "not so"


class ToldMoment(MomentWatch):
    """A watch of moments that the test makes happen."""

    def describe_firing(self) -> tuple[float | None, str]:
        return self.value, "then"


def at(rule: Rule) -> tuple[SharedState, Told]:
    shared = SharedState(Trust())
    return shared, Told(CompiledRule(rule), Subject("moex", "A", 0), shared)


def seen(shared: SharedState) -> list[tuple[str, float]]:
    """Returns (state, seconds) of the alerts so far."""
    return [(alert.state, alert.ts_recv / SECOND) for alert in shared.alerts]


Step = tuple[float, str]


def play(rule: Rule, *steps: Step) -> list[tuple[str, float]]:
    """Returns the alerts when the condition holds (+) or doesn't (-) at these seconds. With "" only time passes."""
    shared, watch = at(rule)
    for seconds, what in steps:
        now = round(seconds * SECOND)
        if shared.timers.next <= now:
            shared.timers.run(now)
        if what == "+":
            watch.condition_holds(now, now)
        elif what == "-":
            watch.condition_ended(now)
    return seen(shared)


@pytest.mark.parametrize(
    ("for_", "cooldown", "steps", "expected"),
    [
        (0, 0, [(1, "+")], [("firing", 1)]),
        (0, 0, [(1, "+"), (2, "+"), (3, "+")], [("firing", 1)]),
        (0, 0, [(1, "+"), (2, "-"), (3, "-")], [("firing", 1), ("resolved", 2)]),
        (0, 0, [(1, "+"), (2, "-"), (3, "+")], [("firing", 1), ("resolved", 2), ("firing", 3)]),
        (5, 0, [(1, "+"), (5, "")], []),
        (5, 0, [(1, "+"), (6, "")], [("firing", 6)]),
        (5, 0, [(1, "+"), (7, "+")], [("firing", 7)]),
        (5, 0, [(1, "+"), (5, "-"), (20, "")], []),
        (5, 0, [(1, "+"), (5, "-"), (5.5, "+"), (10, "")], []),
        (5, 0, [(1, "+"), (5, "-"), (5.5, "+"), (10.5, "")], [("firing", 10.5)]),
        (0, 10, [(1, "+"), (2, "-"), (3, "+")], [("firing", 1), ("resolved", 2)]),
        (0, 10, [(1, "+"), (2, "-"), (3, "+"), (12, "")], [("firing", 1), ("resolved", 2), ("firing", 12)]),
        (0, 10, [(1, "+"), (2, "-"), (3, "+"), (11, "-"), (12, "")], [("firing", 1), ("resolved", 2)]),
        (0, 10, [(1, "+"), (2, "-"), (13, "+")], [("firing", 1), ("resolved", 2), ("firing", 13)]),
        (5, 2, [(0, "+"), (5, "-"), (6, "+"), (10, ""), (11, "")], [("firing", 5), ("resolved", 5), ("firing", 11)]),
    ],
)
def test_fires_and_resolves(for_: float, cooldown: float, steps: list[Step], expected: list[tuple[str, float]]) -> None:
    assert play(Rule("stale", 1, for_=for_, cooldown=cooldown), *steps) == expected


@pytest.mark.parametrize(
    ("cooldown", "happens", "until", "expected"),
    [
        (10, [1], 20, [("firing", 1), ("resolved", 11)]),
        (10, [1, 2, 10.5], 10.9, [("firing", 1)]),
        (10, [1, 2, 12], 30, [("firing", 1), ("resolved", 11), ("firing", 12), ("resolved", 22)]),
        (0, [1, 2], 3, [("firing", 1), ("resolved", 1), ("firing", 2), ("resolved", 2)]),
    ],
)
def test_a_moment_resolves_by_itself_when_its_cooldown_is_over(
    cooldown: float, happens: list[float], until: float, expected: list[tuple[str, float]]
) -> None:
    shared = SharedState(Trust())
    watch = ToldMoment(CompiledRule(Rule("large_trade", 1, cooldown=cooldown)), Subject("moex", "A", 0), shared)
    for seconds in happens:
        while shared.timers.next <= seconds * SECOND:
            shared.timers.run(shared.timers.next)
        watch.happened(seconds, round(seconds * SECOND), 7)
    while shared.timers.next <= until * SECOND:
        shared.timers.run(shared.timers.next)
    assert seen(shared) == expected
    assert (shared.alerts[0].value, shared.alerts[0].ts_event) == (happens[0], 7)


def test_an_alert_has_all_that_is_known() -> None:
    shared, watch = at(Rule("stale", 1, name="quiet", severity="critical"))
    watch.condition_holds(5, 5, ts_event=3)
    (alert,) = shared.alerts
    assert (alert.venue, alert.symbol, alert.ts_event, alert.ts_recv) == ("moex", "A", 3, 5)
    assert (alert.rule, alert.severity, alert.state) == ("quiet", "critical", "firing")
    assert (alert.value, alert.text) == (1.0, "so")


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([(1, "+"), (2, "-"), (11, "")], [("firing", 1)]),
        ([(1, "+"), (2, "-"), (12, "")], [("firing", 1), ("resolved", 12)]),
        ([(1, "+"), (2, "-"), (3, "+"), (4, "-"), (13, "")], [("firing", 1)]),
        ([(1, "+"), (2, "-"), (3, "+"), (4, "-"), (14, "")], [("firing", 1), ("resolved", 14)]),
        (
            [(1, "+"), (2, "-"), (5, "-"), (12, ""), (13, "+"), (99, "-")],
            [("firing", 1), ("resolved", 12), ("firing", 13)],
        ),
    ],
)
def test_a_condition_that_comes_and_goes_is_one_alert_with_keep_firing_for(
    steps: list[Step], expected: list[tuple[str, float]]
) -> None:
    assert play(Rule("wide_spread", 1, keep_firing_for=10, cooldown=0), *steps) == expected


def test_a_timer_keeps_the_earlier_time_and_an_outdated_entry_calls_nobody() -> None:
    shared, watch = at(Rule("stale", 1, for_=10))
    timers = shared.timers
    timers.set(watch, 50)
    timers.set(watch, 70)
    assert (timers.next, len(timers)) == (50, 1)
    timers.set(watch, 30)
    assert (timers.next, len(timers), timers.waiting) == (30, 2, 1)
    timers.run(30)
    assert (timers.next, timers.waiting) == (50, 0)
    timers.run(60)
    assert (timers.next, len(timers), timers.waiting) == (NEVER, 0, 0)


def test_outdated_entries_are_bounded() -> None:
    shared, watch = at(Rule("stale", 1))
    for due in range(10_000, 0, -1):
        shared.timers.set(watch, due)
        assert len(shared.timers) <= 2 + SPARE
    assert shared.timers.next == 1


@given(
    st.floats(0, 5), st.floats(0, 5), st.lists(st.tuples(st.floats(0, 3), st.sampled_from(["+", "-", ""])), max_size=60)
)
def test_firing_and_resolved_take_turns_and_the_cooldown_is_kept(
    for_: float, cooldown: float, taken: list[Step]
) -> None:
    now, steps = 0.0, list[Step]()
    for wait, what in taken:
        now += wait
        steps.append((now, what))
    alerts = play(Rule("stale", 1, for_=for_, cooldown=cooldown), *steps)
    assert [state for state, _ in alerts] == (["firing", "resolved"] * len(alerts))[: len(alerts)]
    for (_, resolved), (_, fired) in zip(alerts[1::2], alerts[2::2], strict=False):
        assert fired - resolved >= cooldown - 1e-8
