"""The pacer: what is due when, and that no change is forgotten."""

from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from feedbus.analytics.pacing import Pacer
from feedbus.testing.strategies import examples


def test_a_key_is_taken_at_once_then_not_before_its_pause_is_over() -> None:
    pacer = Pacer[str](1.0)
    assert (pacer.take(0.0), pacer.next_due()) == ([], inf)
    pacer.mark_changed("a", 0.0)
    assert pacer.next_due() == 0.0
    assert pacer.take(0.0) == ["a"]
    assert pacer.next_due() == inf
    pacer.mark_changed("a", 0.3)
    pacer.mark_changed("a", 0.4)
    assert pacer.next_due() == 1.0
    assert pacer.take(0.9) == []
    assert pacer.take(1.1) == ["a"]
    pacer.mark_changed("a", 1.2)
    assert pacer.next_due() == 2.1


def test_keys_are_due_one_by_one_in_the_order_of_their_pauses() -> None:
    pacer = Pacer[str](1.0)
    pacer.mark_changed("a", 0.0)
    pacer.take(0.0)
    pacer.mark_changed("b", 0.5)
    pacer.take(0.5)
    pacer.mark_changed("b", 0.6)
    pacer.mark_changed("a", 0.9)
    pacer.mark_changed("c", 0.95)
    assert pacer.take(0.95) == ["c"]
    assert pacer.take(1.0) == ["a"]
    assert pacer.take(2.0) == ["b"]


def test_without_a_pause_a_key_is_due_whenever_it_changes() -> None:
    pacer = Pacer[str](0.0)
    for _ in range(3):
        pacer.mark_changed("a", 5.0)
        pacer.mark_changed("a", 5.0)
        assert pacer.take(5.0) == ["a"]


@given(st.lists(st.tuples(st.floats(0, 0.5), st.sampled_from("abc") | st.none()), max_size=60))
@examples(100)
def test_no_change_is_forgotten_and_none_comes_too_often(steps: list[tuple[float, str | None]]) -> None:
    pacer = Pacer[str](1.0)
    now = 0.0
    changed: set[str] = set()
    taken_at: dict[str, float] = {}
    for passed, key in steps:
        now += passed
        if key is not None:
            pacer.mark_changed(key, now)
            changed.add(key)
        due = {each for each in changed if taken_at.get(each, -inf) + 1.0 <= now}
        assert (pacer.next_due() <= now) == bool(due)
        taken = pacer.take(now)
        assert set(taken) == due
        assert len(taken) == len(due)
        changed -= due
        taken_at.update(dict.fromkeys(due, now))
