"""When a connection may send its next message: rates against a naive count, and the order of those who wait."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedbus.venues.turns import (
    LEAST_MESSAGES,
    LOOK_AGAIN,
    MAX_WAITING,
    PATIENCE,
    RateBucket,
    TurnCounts,
    TurnLine,
    Turns,
    message_bucket,
)

PERIODS = st.sampled_from([1.0, 2.0, 7.0, 300.0])
ROUNDING = 1e-6


def most_within(times: list[float], per_s: float) -> int:
    """The most of these times that lie within any `per_s` seconds, ends included: each one is looked at."""
    return max((sum(begin <= at <= begin + per_s - ROUNDING for at in times) for begin in times), default=0)


def as_early_as_allowed(bucket: RateBucket, gaps: list[float]) -> list[float]:
    """Turns by somebody who comes each time after such a gap, measured in `per_s`, and takes one as soon as he may."""
    now, taken = 0.0, []
    for gap in gaps:
        now = max(now + gap * bucket.per_s, bucket.free_at)
        bucket.take(now)
        taken.append(now)
    return taken


# What is worst: a rest that fills the bucket up, or nearly, and then greed.
RESTS = st.sampled_from([0.0, 1e-9, 0.1, 0.25, 0.49, 0.5, 0.51, 0.999, 1.0, 1.001, 3.0])
GAPS = st.lists(st.tuples(RESTS, st.integers(0, 12)), max_size=5).map(
    lambda bouts: [gap for rest, greed in bouts for gap in (rest, *[0.0] * greed)]
)


@given(count=st.integers(1, 12), per_s=PERIODS, gaps=GAPS)
def test_no_time_has_more_than_allowed_by_a_naive_count(count: int, per_s: float, gaps: list[float]) -> None:
    assert most_within(as_early_as_allowed(RateBucket(count, per_s), gaps), per_s) <= count


@given(count=st.integers(LEAST_MESSAGES, 12), per_s=PERIODS, gaps=GAPS)
def test_a_ping_and_a_pong_fit_beside_the_requests_of_a_connection(count: int, per_s: float, gaps: list[float]) -> None:
    times = as_early_as_allowed(message_bucket(count, per_s), gaps)
    shorter = per_s * (1 - 1e-6)
    assert most_within(times, shorter) + 2 <= count


@given(
    count=st.integers(2, 10),
    said=st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.3, 1.0]), st.booleans()), max_size=60),
)
def test_what_can_not_wait_goes_out_and_the_others_wait_for_it(count: int, said: list[tuple[float, bool]]) -> None:
    """Pings and pongs at any time: no request goes out while there were too many within the last second already."""
    turns = Turns(messages=RateBucket(count, 1.0))
    now, sent = 0.0, []
    for gap, is_pong in said:
        now += gap
        if is_pong:
            turns.sent(1, now)
            sent.append(now)
        elif turns.take(now):
            assert sum(at > now - 1.0 + ROUNDING for at in sent) < count
            sent.append(now)
        else:
            assert turns.ask_at > now


def test_half_comes_at_once_and_the_smallest_rate_of_those_who_share_counts() -> None:
    bucket = RateBucket(10, 60.0)
    assert as_early_as_allowed(bucket, [0.0] * 8) == [0, 0, 0, 0, 0, 12, 24, 36]
    assert (bucket.wait_behind(0, 36.0), bucket.wait_behind(3, 36.0), bucket.wait_behind(0, 1e6)) == (12.0, 48.0, 0.0)
    bucket.restrict(20, 60.0)
    assert str(bucket) == "10 in 60 s"
    bucket.restrict(1, 12.0)
    assert str(bucket) == "1 in 12 s"


class Connections:
    """Several connections in one line, of which each asks when it is called or when its time has come, and a naive
    clock that jumps to whatever comes first."""

    def __init__(self, line: TurnLine, wanted: dict[str, int]) -> None:
        self.now = 0.0
        self.sent: list[tuple[str, float]] = []
        self.called: dict[str, None] = {}
        self.wanted = dict(wanted)
        self.counts = TurnCounts()
        self.turns = {
            name: Turns(line=line, wake=lambda name=name: self.called.setdefault(name), line_counts=self.counts)  # type: ignore[misc]
            for name in wanted
        }

    def ask(self, name: str) -> None:
        """It sends what it may, as a Session does, and leaves when there is nothing more."""
        while self.wanted[name]:
            if not self.turns[name].take(self.now):
                return
            self.wanted[name] -= 1
            self.sent.append((name, round(self.now, 6)))
        self.turns[name].leave(self.now)

    def run(self, until: float, stuck: str = "") -> None:
        for name in self.turns:
            self.ask(name)
        while True:
            while self.called:
                name = next(iter(self.called))
                del self.called[name]
                if name != stuck:
                    self.ask(name)
            due = {name: it.ask_at for name, it in self.turns.items() if self.wanted[name] and name != stuck}
            self.now = max(self.now, min(due.values(), default=inf))
            if self.now > until:
                return
            for name, at in due.items():
                if at <= self.now:
                    self.ask(name)


def test_each_gets_one_after_another_in_the_order_of_coming() -> None:
    them = Connections(TurnLine(RateBucket(4, 4.0)), {"a": 4, "b": 2, "c": 1, "d": 3})
    them.run(1000.0)
    assert [name for name, _ in them.sent] == ["a", "a", "a", "b", "c", "d", "a", "b", "d", "d"]
    assert [at for _, at in them.sent] == [0, 0, 2, 4, 6, 8, 10, 12, 14, 16]
    assert (them.counts.taken, them.counts.waiting) == (10, 0)
    assert them.counts.waits == 8


@settings(deadline=None)
@given(
    wanted=st.lists(st.integers(0, 6), min_size=1, max_size=8),
    count=st.integers(1, 9),
    leaving=st.lists(st.tuples(st.integers(0, 7), st.floats(0, 20)), max_size=4),
)
def test_nobody_is_forgotten_and_who_dies_gives_his_place_back(
    wanted: list[int], count: int, leaving: list[tuple[int, float]]
) -> None:
    line = TurnLine(RateBucket(count, 5.0))
    them = Connections(line, {f"{number}": each for number, each in enumerate(wanted)})
    for number, at in sorted(leaving, key=lambda each: each[1]):
        them.run(at)
        them.now = max(them.now, at) if them.now <= at else at
        name = f"{number % len(wanted)}"
        them.wanted[name] = 0
        them.turns[name].leave(at)
    them.run(10_000.0)
    assert not any(them.wanted.values())
    assert len(line) == them.counts.waiting == 0
    assert most_within([at for _, at in them.sent], 5.0) <= count


def test_nobody_overtakes_who_came_first_although_a_turn_is_free() -> None:
    them = Connections(TurnLine(RateBucket(1, 10.0)), {"a": 1, "b": 1, "c": 1})
    for name in "abc":
        them.ask(name)
    them.now = 10.25
    them.ask("c")
    assert [name for name, _ in them.sent] == ["a"]
    them.ask("b")
    assert list(them.called) == ["c"]
    assert [name for name, _ in them.sent] == ["a", "b"]


def test_when_the_first_dies_the_next_is_called_at_once() -> None:
    them = Connections(TurnLine(RateBucket(1, 10.0)), {"a": 1, "b": 1, "c": 1})
    for name in "abc":
        them.ask(name)
    assert [them.turns[name].ask_at for name in "bc"] == [10.0, LOOK_AGAIN]
    them.turns["b"].leave(3.0)
    assert list(them.called) == ["c"]
    them.now = 3.0
    them.ask("c")
    assert them.turns["c"].ask_at == 10.0


def test_who_is_stuck_loses_its_place_and_holds_nobody_up_for_long() -> None:
    them = Connections(TurnLine(RateBucket(2, 2.0)), {"stuck": 3, "b": 3, "c": 3})
    them.run(60.0, stuck="stuck")
    assert [name for name, _ in them.sent].count("b") == [name for name, _ in them.sent].count("c") == 3
    assert max(at for _, at in them.sent) <= 4 * (LOOK_AGAIN + PATIENCE + 2.0)


def test_a_line_is_bounded() -> None:
    line = TurnLine(RateBucket(1, 1000.0))
    assert Turns(line=line).take(0.0)
    many = [Turns(line=line) for _ in range(MAX_WAITING)]
    assert not any(each.take(0.0) for each in many)
    one_more = Turns(line=line)
    assert (one_more.take(0.0), one_more.ask_at, len(line)) == (False, LOOK_AGAIN, MAX_WAITING)
    many[7].leave(1.0)
    assert not one_more.take(LOOK_AGAIN)
    assert len(line) == MAX_WAITING


def test_who_may_not_send_itself_holds_up_nobody_in_the_line() -> None:
    line = TurnLine(RateBucket(4, 1.0))
    slow, quick = Turns(messages=RateBucket(1, 10.0), line=line), Turns(line=line)
    assert slow.take(0.0)
    assert (slow.take(0.0), slow.ask_at) == (False, 10.0)
    assert (quick.take(0.0), quick.take(0.5), quick.take(1.0)) == (True, True, True)
    assert slow.take(10.0)


def test_waits_are_told_apart_by_what_was_waited_for_and_what_was_sent_without_a_turn_is_counted() -> None:
    messages, asked = TurnCounts(), TurnCounts()
    line = TurnLine(RateBucket(1, 8.0))
    other = Turns(line=line)
    turns = Turns(messages=RateBucket(2, 4.0), line=line, message_counts=messages, line_counts=asked)
    assert other.take(0.0)
    turns.sent(1, 0.0)
    assert not turns.take(0.0)
    assert (messages.waiting, asked.waiting) == (1, 0)
    assert not turns.take(4.0)
    assert (messages.waiting, asked.waiting) == (0, 1)
    assert turns.take(8.0)
    turns.sending(3, 8.0)
    assert (messages.taken, messages.waits, messages.waited) == (4, 1, 4.0)
    assert (asked.taken, asked.waits, asked.waited) == (1, 1, 4.0)
    assert not turns.take(8.5)
    turns.leave(8.75)
    assert (messages.waiting, messages.waits, messages.waited, turns.ask_at) == (0, 1, 4.25, -inf)
    turns.leave(9.0)
    assert messages.waited == 4.25


@pytest.mark.parametrize("count", [LEAST_MESSAGES, 5])
def test_without_limits_everything_goes_out_at_once(count: int) -> None:
    free = Turns()
    assert all(free.take(0.0) for _ in range(100 * count))
    free.sending(count, 0.0)
    free.leave(0.0)
    assert free.ask_at == -inf
