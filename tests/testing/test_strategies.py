"""The strategies do what the properties lean on: each kind of damage and of loss can come, and so can none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TypeVar

import msgspec
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from feedbus.schema.events import Event, Trade
from feedbus.testing.strategies import (
    MARKET_DATA,
    any_event,
    conversations,
    events,
    examples,
    mutated,
    plain,
    unreliable,
)

T = TypeVar("T")
FRAMES = [b"0123456789", b"abcdefghij"]


def can_come(strategy: st.SearchStrategy[T], kinds: dict[str, Callable[[T], bool]]) -> None:
    """Fails when one of these kinds doesn't come in very many examples."""
    missing = dict(kinds)

    def last_one(value: T) -> bool:
        for name in [name for name, is_one in missing.items() if is_one(value)]:
            del missing[name]
        return not missing

    try:
        find(strategy, last_one, settings=settings(max_examples=5_000, phases=[Phase.generate], derandomize=True))
    except NoSuchExample:
        pytest.fail(f"these never come: {', '.join(missing)}")


def test_every_kind_of_damage_can_come() -> None:
    can_come(
        mutated(FRAMES),
        {
            "whole": lambda data: data in FRAMES,
            "overwritten": lambda data: len(data) == 10 and data not in FRAMES,
            "cut": lambda data: 0 < len(data) < 10 and FRAMES[0].startswith(data),
            "nothing": lambda data: data == b"",
            "doubled": lambda data: data == FRAMES[0] * 2,
            "tail": lambda data: data.startswith(b"012345") and len(data) > 15 and data != FRAMES[0] * 2,
            "spliced": lambda data: data.startswith(b"012") and b"def" in data,
            "moved": lambda data: sorted(data) == sorted(FRAMES[0]) and data != FRAMES[0],
        },
    )


@given(conversations([b"1", b"2", b"3"], [b"x"], tail=2))
def test_a_conversation_begins_as_it_should(frames: list[bytes]) -> None:
    assert len(frames) <= 5
    right = [count for count in range(4) if frames[:count] == [b"1", b"2", b"3"][:count]]
    assert len(frames) - max(right) <= 2


@given(conversations([b"1", b"2", b"3"], tail=0))
def test_without_a_tail_all_is_as_it_should_be(frames: list[bytes]) -> None:
    assert frames == [b"1", b"2", b"3"][: len(frames)]


def test_messages_are_lost_and_come_twice_and_late() -> None:
    can_come(
        unreliable([1, 2, 3]),
        {
            "as sent": lambda brought: brought == [1, 2, 3],
            "nothing": lambda brought: brought == [],
            "one lost": lambda brought: brought == [1, 3],
            "one twice": lambda brought: brought == [1, 2, 2, 3],
            "one late": lambda brought: brought == [2, 3, 1],
            "one again at the end": lambda brought: Counter(brought)[1] == 2 and brought[-1] == 1,
        },
    )


@given(
    st.lists(st.integers(), unique=True, max_size=6).flatmap(lambda sent: st.tuples(st.just(sent), unreliable(sent)))
)
def test_nothing_comes_that_was_not_sent(pair: tuple[list[int], list[int]]) -> None:
    sent, brought = pair
    assert set(brought) <= set(sent)
    assert all(count <= 2 for count in Counter(brought).values())


@pytest.mark.parametrize("of", MARKET_DATA)
def test_events_of_every_kind_can_be_sent(of: type[Event]) -> None:
    @settings(max_examples=20)
    @given(events(of))
    def check(event: Event) -> None:
        assert type(event) is of
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(event), type=of) == event

    check()


def test_any_kind_can_come() -> None:
    def is_of(of: type[Event]) -> Callable[[Event], bool]:
        return lambda event: type(event) is of

    can_come(any_event(), {of.__name__: is_of(of) for of in MARKET_DATA})


def test_a_plain_event_is_what_another_language_reads() -> None:
    trade = Trade("moex", "A", 1, 2, 1.5, 3.0, "buy", None)
    assert plain(trade) == ["trade", "moex", "A", 1, 2, 1.5, 3.0, "buy", None]


@pytest.mark.parametrize(("profile", "count", "made"), [(100, 60, 60), (1000, 60, 600), (10, 5, 1), (1, 60, 1)])
def test_examples_follow_the_profile(monkeypatch: pytest.MonkeyPatch, profile: int, count: int, made: int) -> None:
    before = settings.get_current_profile_name()
    settings.register_profile("of this test", max_examples=profile)
    settings.load_profile("of this test")
    try:
        assert examples(count).max_examples == made
    finally:
        settings.load_profile(before)
