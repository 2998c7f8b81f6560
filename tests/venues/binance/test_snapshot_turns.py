"""When a snapshot is asked for: at once, and after pauses that grow while it is of no use."""

from __future__ import annotations

from math import inf

from feedbus.venues.binance.snapshot_turns import CALM_AFTER, RETRY_CAP, SnapshotTurns


def pauses(turns: SnapshotTurns, count: int, now: float) -> list[float]:
    """The pauses before the next `count` snapshots, none of which is of use."""
    found = []
    for _ in range(count):
        turns.want(now)
        found.append(turns.wake_at - now)
        now = turns.wake_at
        assert turns.is_due(now)
        turns.begin()
        assert (turns.is_due(now), turns.wake_at) == (False, inf)
        turns.asked = False
    return found


def test_the_pauses_double_up_to_the_cap_and_begin_anew_after_a_calm_time() -> None:
    turns = SnapshotTurns()
    assert pauses(turns, 5, 10.0) == [0.0, 0.25, 0.5, 1.0, 2.0]
    assert pauses(turns, 20, 100.0)[-1] == RETRY_CAP
    turns.succeeded(500.0)
    assert pauses(turns, 1, 500.0 + CALM_AFTER / 2) == [RETRY_CAP]
    turns.succeeded(1000.0)
    assert pauses(turns, 2, 1000.0 + CALM_AFTER) == [0.0, 0.25]


def test_one_that_is_of_no_use_is_never_followed_at_once_by_the_next() -> None:
    turns = SnapshotTurns()
    turns.begin()
    turns.asked = False
    turns.again(1.0)
    assert (turns.wake_at, turns.is_due(1.1), turns.is_due(1.25)) == (1.25, False, True)
    turns.again(1.2)  # it is wanted already
    assert turns.wake_at == 1.25
