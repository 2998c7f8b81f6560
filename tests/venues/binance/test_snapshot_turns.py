"""When a snapshot is asked for: at once, and after pauses that grow while it is of no use or the book is lost again."""

from __future__ import annotations

from math import inf

from feedbus.venues.binance.snapshot_turns import CALM_AFTER, FREE, RETRY_CAP, SnapshotTurns


def pause(turns: SnapshotTurns, now: float) -> float:
    """How long it is until the next one, which is asked for then and answered."""
    pause = turns.wake_at - now
    assert turns.is_due(turns.wake_at)
    assert pause == 0.0 or not turns.is_due(turns.wake_at - 0.01)
    turns.begin()
    assert (turns.is_due(1e9), turns.wake_at) == (False, inf)
    turns.asked = False
    return pause


def test_the_pauses_double_up_to_the_cap_while_snapshots_are_of_no_use() -> None:
    turns = SnapshotTurns()
    turns.lost(10.0)
    pauses = [pause(turns, 10.0)]
    for _ in range(20):
        turns.again(10.0)
        pauses.append(pause(turns, 10.0))
    assert pauses[:5] == [0.0, 0.25, 0.5, 1.0, 2.0]
    assert pauses[-1] == RETRY_CAP
    turns.succeeded(11.0)
    turns.again(12.0)
    assert pause(turns, 12.0) == 0.25


def test_a_book_that_is_lost_again_and_again_waits_until_it_was_right_for_long() -> None:
    turns = SnapshotTurns()
    pauses = []
    for number in range(FREE + 4):
        now = float(number)
        turns.lost(now)
        turns.lost(now)  # the second time it is wanted already
        pauses.append(pause(turns, now))
        turns.succeeded(now)
        turns.succeeded(now + 0.5)
    assert pauses == [0.0, 0.0, 0.0, 0.25, 0.5, 1.0, 2.0]
    turns.lost(float(FREE + 3) + CALM_AFTER)
    assert pause(turns, float(FREE + 3) + CALM_AFTER) == 0.0
