"""Holes in numbered streams: a table of every rule, and a lossy link against a model publisher."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import assume, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from feedbus.errors import BusError
from feedbus.schema import sequence
from feedbus.schema.events import Gap, Heartbeat
from feedbus.schema.sequence import Sequences
from feedbus.schema.topics import TopicFilter

SBER = "book.moex.TQBR.SBER"


class Follower:
    """Sequences, driven as the subscriber library drives them: the short cut first."""

    def __init__(self, *topics: str) -> None:
        self.sequences = Sequences(TopicFilter(topics or [""]).matches)
        self.delivered: list[tuple[str, int, int]] = []  # epoch and number by topic
        self.gaps: list[Gap] = []

    def message(self, first: int, count: int = 1, topic: str = SBER, publisher: str = "p", epoch: int = 1) -> list[Gap]:
        word, venue, symbol = topic.split(".", 2)
        next_of, gap = self.sequences.streams(publisher, epoch, f"{word}.{venue}")
        if next_of is None:
            return []
        gaps = [] if gap is None else [gap]
        repeats = 0
        if next_of.get(symbol) == first:
            next_of[symbol] = first + count
        else:
            repeats, gap = self.sequences.arrived(publisher, epoch, f"{word}.{venue}", symbol, first, count)
            gaps += [] if gap is None else [gap]
        self.delivered += [(topic, epoch, number) for number in range(first + repeats, first + count)]
        self.gaps += gaps
        return gaps

    def beat(self, number: int, part: int = 1, parts: int = 1, epoch: int = 1, **heads: int) -> list[Gap]:
        named = [(f"book.moex.{symbol}", head) for symbol, head in heads.items()]
        return self.heartbeat(Heartbeat("p", epoch, number, part, parts, named))

    def heartbeat(self, beat: Heartbeat) -> list[Gap]:
        gaps = self.sequences.heartbeat(beat)
        self.gaps += gaps
        return gaps


def lost(first: int | None, last: int, topic: str = "book.moex.A", epoch: int = 1) -> Gap:
    return Gap(topic, "p", epoch, first, last, "lost")


UNKNOWN = Gap("", "p", 1, None, None, "heartbeat")
RESTART = Gap("", "p", 1, None, None, "restart")

# (what is called, the gaps that it shows) in order; m: message(first, count), b: beat(number, part, parts, heads)
TABLE: dict[str, list[tuple[tuple[Any, ...], list[Gap]]]] = {
    "a stream is followed from its first message": [(("m", 7), []), (("m", 8), [])],
    "a hole is a gap of exactly that hole": [(("m", 1), []), (("m", 4), [lost(2, 3)]), (("m", 5), [])],
    "the events of one group are numbered on": [(("m", 1, 5), []), (("m", 6, 2), []), (("m", 9), [lost(8, 8)])],
    "a repeat is no hole, also half a one": [(("m", 3, 3), []), (("m", 4), []), (("m", 5, 3), []), (("m", 8), [])],
    "a beat names a lost last message": [(("b", 1), []), (("m", 1), []), (("b", 2, 1, 1, {"A": 3}), [lost(2, 3)])],
    "what a beat has told is not told again": [
        (("m", 1), []),
        (("b", 1, 1, 1, {"A": 3}), [lost(2, 3)]),
        (("b", 2, 1, 1, {"A": 3}), []),
        (("m", 4), []),
    ],
    "a beat about what came is silent": [(("m", 1, 3), []), (("b", 1, 1, 1, {"A": 3}), []), (("m", 4), [])],
    "a beat about less than what came too": [(("m", 1, 5), []), (("b", 1, 1, 1, {"A": 3}), []), (("m", 6), [])],
    "our first beat may count what is older than our joining": [(("b", 9, 1, 1, {"A": 5}), []), (("m", 6), [])],
    "from our first beat on we know where a topic stood": [
        (("b", 9, 1, 1, {"A": 5}), []),
        (("m", 8), [lost(6, 7)]),
    ],
    "and a later beat counts from there": [
        (("b", 9, 1, 1, {"A": 5}), []),
        (("b", 10, 1, 1, {"A": 7}), [lost(6, 7)]),
        (("m", 8), []),
    ],
    "a topic that our first beat doesn't name may be older than it": [(("b", 9), []), (("m", 6), [])],
    "its begin isn't known": [(("b", 9), []), (("b", 10, 1, 1, {"A": 7}), [lost(None, 7)]), (("m", 8), [])],
    "unless our first beat is the publisher's first": [
        (("b", 1), []),
        (("b", 2, 1, 1, {"A": 7}), [lost(1, 7)]),
        (("m", 8), []),
    ],
    "then a topic begins with its message 1": [(("b", 1), []), (("m", 3), [lost(1, 2)]), (("m", 4), [])],
    "if all parts of that beat came": [(("b", 1, 1, 2), []), (("b", 1, 2, 2), []), (("m", 3), [lost(1, 2)])],
    "but not if its last part is missing": [(("b", 1, 1, 2), []), (("m", 3), []), (("b", 2), [UNKNOWN])],
    "or its first part": [(("b", 1, 2, 2), []), (("b", 2), []), (("m", 3), [])],
    "or one between": [(("b", 1, 1, 3), []), (("b", 1, 3, 3), [UNKNOWN]), (("m", 3), [])],
    "all parts of our first beat may count older messages": [
        (("b", 5, 1, 2, {"B": 4}), []),
        (("b", 5, 2, 2, {"A": 5}), []),
        (("m", 6), []),
    ],
    "a missing beat is a gap of unknown extent": [(("b", 1), []), (("b", 3), [UNKNOWN]), (("b", 4), [])],
    "so is a missing part": [
        (("b", 1), []),
        (("b", 2, 1, 3), []),
        (("b", 2, 3, 3), [UNKNOWN]),
        (("b", 3), []),
    ],
    "or a missing last part": [(("b", 1), []), (("b", 2, 1, 2), []), (("b", 3), [UNKNOWN])],
    "or a missing first part": [(("b", 1), []), (("b", 2, 2, 2), [UNKNOWN]), (("b", 3), [])],
    "what is lost beside a missing beat is still exact": [
        (("b", 1), []),
        (("m", 1), []),
        (("b", 3), [UNKNOWN]),
        (("m", 5), [lost(2, 4)]),
    ],
    "a beat that is repeated is no missing beat": [
        (("b", 1), []),
        (("b", 2, 1, 2, {"A": 2}), [lost(1, 2)]),
        (("b", 2, 1, 2, {"A": 2}), []),
        (("b", 1), []),
        (("b", 2, 2, 2), []),
        (("b", 3), []),
    ],
}


@pytest.mark.parametrize("name", TABLE)
def test_rule(name: str) -> None:
    follower = Follower()
    for step, (call, expected) in enumerate(TABLE[name]):
        if call[0] == "m":
            first, count = (*call[1:], 1)[:2]
            gaps = follower.message(first, count, "book.moex.A")
        else:
            gaps = follower.beat(*call[1:4], **(call[4] if len(call) > 4 else {}))
        assert gaps == expected, f"step {step}: {call}"
    assert follower.sequences.gaps == len(follower.gaps)


def test_only_what_was_not_there_before_counts_as_delivered() -> None:
    follower = Follower()
    follower.message(3, 3)
    follower.message(4)
    follower.message(5, 3)
    assert [number for _, _, number in follower.delivered] == [3, 4, 5, 6, 7]
    assert follower.sequences.duplicates == 2
    assert follower.gaps == []


def test_heads_of_several_words_and_venues_are_each_compared_with_their_own_stream() -> None:
    follower = Follower("book.", "bars.moex.")
    topics = ["book.moex.A", "bars.moex.A", "book.alor.A", "bars.alor.A", "book.moex.A.B"]
    for number, topic in enumerate(topics, 1):
        if topic != "bars.alor.A":
            follower.message(1, number, topic=topic)
    heads = [(topic, 3) for topic in topics]
    assert follower.heartbeat(Heartbeat("p", 1, 1, 1, 1, heads)) == [
        lost(2, 3, "book.moex.A"),
        lost(3, 3, "bars.moex.A"),
    ]
    assert follower.heartbeat(Heartbeat("p", 1, 2, 1, 1, [*heads, ("book.moex.A", 4)])) == [lost(4, 4, "book.moex.A")]


def test_a_message_that_our_first_beat_has_counted_is_delivered_all_the_same() -> None:
    follower = Follower()
    follower.beat(9, A=5)
    assert follower.message(4, 2, topic="book.moex.A") == []
    assert [number for _, _, number in follower.delivered] == [4, 5]


def test_losses_are_counted_by_word_and_one_of_unknown_begin_as_one() -> None:
    follower = Follower()
    follower.message(1)
    follower.message(5)
    follower.message(1, topic="trade.moex.A")
    follower.message(3, topic="trade.moex.A")
    follower.beat(8)
    follower.beat(9, A=100)
    assert follower.sequences.lost == {"book": 3 + 1, "trade": 1}
    assert follower.sequences.gaps == 3


def test_a_new_epoch_is_one_gap_and_its_numbers_begin_anew() -> None:
    follower = Follower()
    follower.message(7)
    assert follower.message(1, epoch=2) == [RESTART]
    assert follower.message(2, epoch=2) == []
    assert follower.beat(1, epoch=2) == []


def test_a_heartbeat_too_tells_of_a_new_epoch() -> None:
    follower = Follower()
    follower.message(7)
    follower.beat(4, A=7)
    assert follower.beat(1, epoch=2) == [RESTART]
    assert follower.message(2, epoch=2) == [lost(1, 1, SBER, 2)]


def test_publishers_are_known_by_their_epoch_and_newest_heartbeat() -> None:
    follower = Follower()
    follower.message(1, publisher="q", epoch=5)
    follower.message(1)
    for number in (3, 4, 2):
        follower.beat(number)
    assert follower.sequences.publishers() == {"q": (5, 0), "p": (1, 4)}
    follower.beat(1, epoch=2)
    assert follower.sequences.publishers()["p"] == (2, 1)


def test_publishers_are_followed_apart() -> None:
    follower = Follower()
    assert follower.message(7, publisher="p") == []
    assert follower.message(1, publisher="q", epoch=5) == []
    assert follower.message(8, publisher="p") == []
    assert follower.message(3, publisher="q", epoch=5) == [Gap(SBER, "q", 5, 2, 2, "lost")]


def test_a_topic_that_nobody_asked_for_has_no_gaps() -> None:
    follower = Follower(SBER)
    follower.beat(1)
    assert follower.beat(2, **{"TQBR.SBERP": 9, "TQBR.GAZP": 4}) == []
    assert follower.beat(3, **{"TQBR.SBER": 2}) == [lost(1, 2, SBER)]
    assert follower.sequences.lost == {"book": 2}


TOPICS = ["book.moex.A", "book.moex.B", "ticker.moex.A"]


def test_an_older_epoch_is_counted_and_passed_over() -> None:
    follower = Follower()
    follower.message(5, epoch=2)
    assert follower.message(9, epoch=1) == []
    assert follower.beat(4, epoch=1, SBER=9) == []
    assert follower.sequences.older == 2
    assert follower.message(6, epoch=2) == []
    assert [number for _, _, number in follower.delivered] == [5, 6]


def test_two_live_publishers_of_one_name_are_the_newer_one_without_a_gap() -> None:
    follower = Follower()
    for beat in range(1, 20):
        assert follower.message(beat, epoch=2) == []
        assert follower.beat(beat, epoch=2, **{"TQBR.SBER": beat}) == []
        assert follower.message(beat, epoch=1) == []
        assert follower.beat(beat, epoch=1, **{"TQBR.SBER": beat}) == []
    assert follower.sequences.older == 38


def test_when_only_an_older_epoch_beats_it_is_a_restart_under_a_clock_set_back() -> None:
    follower = Follower()
    follower.beat(7, epoch=2)
    assert follower.beat(3, part=1, parts=2, epoch=1) == []
    assert follower.beat(3, part=2, parts=2, epoch=1) == []
    assert follower.beat(4, epoch=1) == []
    assert follower.beat(5, epoch=1) == [Gap("", "p", 2, None, None, "restart")]
    assert follower.message(8, epoch=1) == []
    assert follower.message(10, epoch=1) == [lost(9, 9, SBER)]


@pytest.mark.parametrize(
    ("limit", "topic", "publisher"),
    [
        ("MAX_PUBLISHERS", "book.moex.A", "p{}"),
        ("MAX_WORDS", "book{}.moex.A", "p"),
        ("MAX_SYMBOLS", "book.moex.A{}", "p"),
    ],
)
def test_what_is_followed_is_bounded(limit: str, topic: str, publisher: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequence, limit, 3)
    follower = Follower()
    for number in range(3):
        assert follower.message(1, topic=topic.format(number), publisher=publisher.format(number)) == []
    with pytest.raises(BusError, match="more than 3"):
        follower.message(1, topic=topic.format(3), publisher=publisher.format(3))
    assert follower.message(3, topic=topic.format(0), publisher=publisher.format(0)) != []


class LossyLink(RuleBasedStateMachine):
    """A publisher as feedbus.bus has it, a link that keeps the order and drops what it likes, one subscriber."""

    def __init__(self) -> None:
        super().__init__()
        self.epoch = 1
        self.published: dict[tuple[int, str], int] = defaultdict(int)
        self.changed: set[str] = set()
        self.beats = 0
        self.joined = False
        self.dropped: dict[tuple[int, str], set[int]] = defaultdict(set)  # since we joined
        self.quiet = True  # nothing at all was dropped since we joined
        self.beat_dropped: set[int] = set()  # epochs in which a part of a beat was dropped
        self.seen: dict[tuple[int, str], int] = {}  # the first number that came
        self.lost: dict[tuple[int, str], set[int]] = defaultdict(set)
        self.follower = Follower()

    @initialize(from_start=st.booleans())
    def begin(self, from_start: bool) -> None:
        self.joined = from_start

    @rule()
    @precondition(lambda self: not self.joined)
    def join(self) -> None:
        self.joined = True

    @rule(topic=st.sampled_from(TOPICS), count=st.integers(1, 3), drop=st.booleans(), twice=st.booleans())
    def publish(self, topic: str, count: int, drop: bool, twice: bool) -> None:
        first = self.published[self.epoch, topic] + 1
        self.published[self.epoch, topic] += count
        self.changed.add(topic)
        if not self.joined:
            return
        if drop:
            self.quiet = False
            self.dropped[self.epoch, topic] |= set(range(first, first + count))
            return
        self.seen.setdefault((self.epoch, topic), first)
        self.note(self.follower.message(first, count, topic, epoch=self.epoch))
        if twice:
            self.note(self.follower.message(first, count, topic, epoch=self.epoch))

    @rule(lost_parts=st.sets(st.integers(1, 3)), parts=st.integers(1, 3), twice=st.booleans())
    def heartbeat(self, lost_parts: set[int], parts: int, twice: bool) -> None:
        for beat in self.make_beat(parts):
            if not self.joined:
                continue
            if beat.part in lost_parts:
                self.quiet = False
                self.beat_dropped.add(self.epoch)
                continue
            self.note(self.follower.heartbeat(beat))
            if twice:
                self.note(self.follower.heartbeat(beat))
        if self.joined and self.epoch not in self.beat_dropped:
            self.check_nothing_is_missing()

    @rule()
    @precondition(lambda self: self.joined)
    def restart(self) -> None:
        assume(self.epoch < 4)
        self.epoch += 1
        self.beats = 0
        self.changed.clear()

    def make_beat(self, parts: int) -> Iterator[Heartbeat]:
        self.beats += 1
        changed = sorted(self.changed)
        self.changed.clear()
        for part in range(parts):
            heads = [(topic, self.published[self.epoch, topic]) for topic in changed[part::parts]]
            yield Heartbeat("p", self.epoch, self.beats, part + 1, parts, heads)

    def note(self, gaps: list[Gap]) -> None:
        """Every gap is about what was published and did not come, and no number is in two of them."""
        for gap in gaps:
            assert not self.quiet or gap.cause == "restart"
            if gap.cause != "lost":
                assert (gap.topic, gap.first, gap.last) == ("", None, None)
                continue
            of_stream = (gap.epoch, gap.topic)
            assert gap.last is not None
            numbers = set(range(gap.first or gap.last, gap.last + 1))
            assert numbers <= self.dropped[of_stream] - self.lost[of_stream]
            self.lost[of_stream] |= numbers
            if gap.first is None:
                self.seen.pop(of_stream, None)
            else:
                self.seen.setdefault(of_stream, gap.first)

    def delivered(self) -> dict[tuple[int, str], set[int]]:
        found: dict[tuple[int, str], set[int]] = defaultdict(set)
        for topic, epoch, number in self.follower.delivered:
            assert number not in found[epoch, topic], "delivered twice"
            found[epoch, topic].add(number)
        return found

    def check_nothing_is_missing(self) -> None:
        """After a whole beat, when no beat was missing: published = delivered + lost, exactly, of what is followed."""
        delivered = self.delivered()
        for (epoch, topic), first in self.seen.items():
            if epoch == self.epoch:
                known = delivered[epoch, topic] | self.lost[epoch, topic]
                assert known >= set(range(first, self.published[epoch, topic] + 1))

    def teardown(self) -> None:
        if not self.joined:
            return
        for beat in self.make_beat(2):
            self.note(self.follower.heartbeat(beat))
        if self.epoch not in self.beat_dropped:
            self.check_nothing_is_missing()
        delivered = self.delivered()
        for of_stream, first in self.seen.items():
            known = delivered[of_stream] | self.lost[of_stream]
            assert known >= set(range(first, max(known) + 1)), "a hole without a gap"
            assert not delivered[of_stream] & self.lost[of_stream]
        assert self.follower.sequences.gaps == len(self.follower.gaps)
        assert sum(self.follower.sequences.lost.values()) == sum(
            1 if gap.first is None or gap.last is None else gap.last - gap.first + 1
            for gap in self.follower.gaps
            if gap.cause == "lost"
        )
        assert sum(self.follower.sequences.published().values()) == len(self.follower.delivered) + sum(
            self.follower.sequences.lost.values()
        )


LossyLink.TestCase.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
TestLossyLink = LossyLink.TestCase
