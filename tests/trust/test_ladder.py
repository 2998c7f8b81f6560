"""The ladder: the lowest rung that can help acts, none acts without end, and what has healed begins at the bottom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.trust.judge import WordTrouble
from feedbus.trust.ladder import HEALED_AFTER, LIMITS, LineFacts, Repair, RepairLadder

LINES = {f"v/{number}": LineFacts(10, True, 5 + number) for number in range(4)}


def silent(symbol: str, line: str = "v/0", bound: float = 30.0, word: str = "book") -> WordTrouble:
    return WordTrouble(line, symbol, word, (f"{word}s",), "stale", "silent", bound)


def gapped(symbol: str, line: str = "v/0") -> WordTrouble:
    return WordTrouble(line, symbol, "trade", ("trades",), "gapped", "hole", 30.0)


class Climbing:
    """A ladder, and what it has ordered, second by second."""

    def __init__(self, lines: dict[str, LineFacts] | None = None) -> None:
        self.ladder = RepairLadder()
        self.lines = dict(LINES if lines is None else lines)
        self.now = 0.0
        self.done: list[tuple[float, Repair]] = []

    def go(self, seconds: float, troubles: Iterable[WordTrouble]) -> list[Repair]:
        """This trouble lasts for so long. Returns what was ordered meanwhile."""
        troubles, found = list(troubles), []
        for _ in range(int(seconds)):
            found += [(self.now, each) for each in self.ladder.climb(troubles, self.lines, self.now)]
            self.now += 1.0
        self.done += found
        return [each for _, each in found]

    def rungs(self) -> list[tuple[float, str]]:
        return [(at, each.rung) for at, each in self.done]


def test_one_instrument_is_subscribed_again_then_moved_and_then_tried_more_and_more_rarely() -> None:
    climbing = Climbing()
    climbing.go(1500, [silent("A"), silent("A", word="trade")])
    assert climbing.rungs()[:5] == [
        (0.0, "resubscribe"),
        (30.0, "move"),
        (60.0, "resubscribe"),
        (120.0, "resubscribe"),
        (240.0, "resubscribe"),
    ]
    first, moved = (repair for _, repair in climbing.done[:2])
    assert first == Repair("resubscribe", "v/0", "A", ("books", "trades"), why="book is stale (silent)")
    assert (moved.line, moved.to) == ("v/0", "v/3")  # it has most room
    pauses = [later - earlier for (earlier, _), (later, _) in zip(climbing.done[2:], climbing.done[3:], strict=False)]
    assert pauses == [60.0, 120.0, 240.0, 480.0]
    assert {repair.line for _, repair in climbing.done} == {"v/0"}


def test_without_another_connection_it_is_subscribed_again() -> None:
    full = {"v/0": LINES["v/0"], "v/1": LineFacts(10, True, 0), "v/2": LineFacts(10, False, 9)}
    climbing = Climbing(full)
    climbing.go(61, [silent("A")])
    assert [rung for _, rung in climbing.rungs()] == ["resubscribe"] * 3


def test_a_hole_is_mended_at_once_however_many_have_one() -> None:
    climbing = Climbing()
    assert {each.symbol for each in climbing.go(1, [gapped(f"S{number}") for number in range(9)])} == {
        f"S{number}" for number in range(9)
    }
    assert climbing.ladder.counts["recycle"] == 0


def test_a_connection_of_which_half_has_gone_silent_is_recycled_and_no_instrument_is_touched() -> None:
    climbing = Climbing()
    half = [silent(f"S{number}") for number in range(5)]
    assert [each.rung for each in climbing.go(1, half[:4])] == ["resubscribe"] * 4
    other = Climbing()
    (recycled,) = other.go(20, half)
    assert (recycled.rung, recycled.line, recycled.symbol) == ("recycle", "v/0", "")
    assert [each.rung for each in other.go(300, half)] == ["recycle"] * 3  # the others are well: nothing higher


def test_when_half_of_the_feed_is_silent_though_recycled_actors_are_restarted_and_then_the_feed() -> None:
    climbing = Climbing()
    mute = [silent(f"S{number}", f"v/{number % 2}") for number in range(20)]
    climbing.go(120, mute)
    assert Counter(rung for _, rung in climbing.rungs()) == {"recycle": 2, "restart": 2, "give_up": 1}
    order = [rung for _, rung in climbing.rungs()]
    assert order == sorted(order, key=["recycle", "restart", "give_up"].index)
    climbing.go(1700, mute)
    assert climbing.ladder.counts["give_up"] == 1  # at most once in half an hour
    assert climbing.ladder.held_back > 0


def test_what_waits_for_its_connection_is_not_repaired() -> None:
    down = {"v/0": LineFacts(10, False, 5), "v/1": LINES["v/1"]}
    climbing = Climbing(down)
    assert climbing.go(100, [silent("A"), gapped("B")]) == []
    assert climbing.go(100, [silent(f"S{number}") for number in range(9)]) == []
    assert climbing.go(5, [silent("C", "gone")]) == []


def test_what_has_been_well_for_long_begins_at_the_bottom_and_what_falls_back_soon_does_not() -> None:
    climbing = Climbing()
    climbing.go(5, [silent("A")])
    climbing.go(40, [])
    assert [each.rung for each in climbing.go(1, [silent("A")])] == ["move"]
    climbing.go(HEALED_AFTER + 40, [])
    assert [each.rung for each in climbing.go(1, [silent("A")])] == ["resubscribe"]


@given(
    seconds=st.lists(
        st.lists(st.tuples(st.integers(0, 300), st.integers(0, 3), st.booleans()), max_size=300),
        min_size=1,
        max_size=30,
    )
)
def test_no_rung_is_ever_climbed_more_often_than_its_limit(seconds: list[list[tuple[int, int, bool]]]) -> None:
    climbing = Climbing()
    for troubles in seconds:
        made = [
            gapped(f"S{n}", f"v/{line}") if hole else silent(f"S{n}", f"v/{line}", 1.0) for n, line, hole in troubles
        ]
        climbing.go(1, made)
        climbing.now += 7.0
    for rung, limit in LIMITS.items():
        times = [at for at, each in climbing.done if each.rung == rung]
        assert all(sum(at <= other < at + limit.period for other in times) <= limit.intensity for at in times)
    assert sum(climbing.ladder.counts.values()) == len(climbing.done)


@pytest.mark.parametrize("rung", LIMITS)
def test_each_rung_is_counted_by_its_name_from_the_start(rung: str) -> None:
    assert RepairLadder().counts[rung] == 0
