"""The shard plan against a naive checker, edit by edit."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from feedbus.feed.sharding import Plan, moved, plan


def names(count: int, start: int = 0) -> list[str]:
    return [f"TQBR.S{number}" for number in range(start, start + count)]


def sizes(shards: Plan) -> list[int]:
    return [len(shard) for shard in shards]


def check(shards: Plan, symbols: list[str], connections: int, per_connection: int) -> None:
    """The naive checker: each symbol once, nothing else, no connection over its limit."""
    assert sorted(symbol for shard in shards for symbol in shard) == sorted(symbols)
    assert len(shards) == connections
    assert max(sizes(shards), default=0) <= per_connection


def where(shards: Plan) -> dict[str, int]:
    return {symbol: number for number, shard in enumerate(shards) for symbol in shard}


@pytest.mark.parametrize(
    ("count", "connections", "per_connection", "expected"),
    [
        (0, 2, 5, [0, 0]),
        (1, 1, 1, [1]),
        (2, 3, 5, [1, 1, 0]),
        (7, 3, 5, [3, 2, 2]),
        (1500, 30, 50, [50] * 30),
        (1499, 30, 50, [50] * 29 + [49]),
    ],
)
def test_a_fresh_plan_is_even(count: int, connections: int, per_connection: int, expected: list[int]) -> None:
    shards = plan(names(count), connections, per_connection)
    check(shards, names(count), connections, per_connection)
    assert sizes(shards) == expected


def test_a_fresh_plan_deals_the_symbols_out_in_turn() -> None:
    assert plan(["a", "b", "c", "d", "e"], 2, 3) == (("a", "c", "e"), ("b", "d"))


def test_symbols_that_do_not_fit_or_are_there_twice_are_a_bug_of_the_caller() -> None:
    with pytest.raises(ValueError, match="1501 symbols on 30 connections of 50"):
        plan(names(1501), 30, 50)
    with pytest.raises(ValueError, match="twice"):
        plan(["a", "b", "c", "b", "a"], 2, 50)


def test_new_symbols_go_to_the_least_loaded_connections() -> None:
    old: Plan = (("a", "b", "c"), ("d",), ("e", "f"))
    assert plan([*"abcdef", "g", "h", "i"], 3, 5, old) == (("a", "b", "c"), ("d", "g", "h"), ("e", "f", "i"))


def test_a_new_connection_takes_an_even_share() -> None:
    old = plan(names(1450), 29, 50)
    new = plan(names(1450), 30, 50, old)
    check(new, names(1450), 30, 50)
    assert sizes(new)[-1] == 48
    assert len(moved(old, new)) == 48
    assert moved(old, new) == set(new[-1])


def test_new_symbols_fill_a_new_connection_before_any_symbol_moves() -> None:
    old = plan(names(20), 2, 20)
    new = plan(names(30), 3, 20, old)
    assert moved(old, new) == set()
    assert sizes(new) == [10, 10, 10]


def test_moved_counts_only_what_both_plans_hold() -> None:
    assert moved((("a", "b"), ("c",)), (("a",), ("b", "d"))) == {"b"}
    assert moved((), (("a",),)) == set()


@given(st.integers(0, 300), st.integers(1, 40), st.integers(1, 50))
def test_any_fresh_plan_is_even_and_deterministic(count: int, connections: int, per_connection: int) -> None:
    symbols = names(count)
    if count > connections * per_connection:
        with pytest.raises(ValueError, match="symbols on"):
            plan(symbols, connections, per_connection)
        return
    shards = plan(symbols, connections, per_connection)
    check(shards, symbols, connections, per_connection)
    assert max(sizes(shards)) - min(sizes(shards)) <= 1
    assert plan(symbols, connections, per_connection) == shards


class Edits:
    """A plan under random edits, each checked by what it is allowed to move."""

    def __init__(self, count: int, connections: int) -> None:
        self.symbols, self.connections, self.limit, self.next_name = names(count), connections, 60, count
        self.shards = plan(self.symbols, connections, self.limit)

    def replan(self) -> tuple[Plan, set[str]]:
        old = self.shards
        self.shards = plan(self.symbols, self.connections, self.limit, old)
        check(self.shards, self.symbols, self.connections, self.limit)
        assert plan(self.symbols, self.connections, self.limit, old) == self.shards
        assert plan(self.symbols, self.connections, self.limit, self.shards) == self.shards
        return old, moved(old, self.shards)

    def apply(self, edit: str, amount: int) -> None:
        getattr(self, edit)(amount)

    def add(self, amount: int) -> None:
        amount = min(amount, self.connections * self.limit - len(self.symbols))
        fresh = names(amount, self.next_name)
        self.symbols += fresh
        self.next_name += amount
        _, gone = self.replan()
        assert not gone
        receivers = {where(self.shards)[symbol] for symbol in fresh}
        least = min(sizes(self.shards))
        assert all(len(self.shards[number]) <= least + 1 for number in receivers)

    def remove(self, amount: int) -> None:
        self.symbols = [symbol for index, symbol in enumerate(self.symbols) if (index * 7) % 50 >= amount]
        assert not self.replan()[1]

    def widen(self, amount: int) -> None:
        added, before = amount % 3 + 1, self.connections
        self.connections += added
        old, gone = self.replan()
        assert len(gone) <= added * (1 / (before + 1) + 0.05) * len(self.symbols)
        new = sizes(self.shards)[before:]
        assert max(new) - min(new) <= 1
        assert min(new) == len(self.symbols) // self.connections
        assert all(set(shard) <= set(was) for shard, was in zip(self.shards, old, strict=False))

    def narrow(self, amount: int) -> None:
        needed = -(-len(self.symbols) // self.limit)
        self.connections = max(1, needed, self.connections - amount % 3 - 1)
        old, gone = self.replan()
        assert gone == {symbol for shard in old[self.connections :] for symbol in shard}

    def lower(self, amount: int) -> None:
        needed = -(-len(self.symbols) // self.connections)
        self.limit = max(1, needed, self.limit - amount)
        old, gone = self.replan()
        assert len(gone) == sum(max(0, size - self.limit) for size in sizes(old))


EDITS = st.tuples(st.sampled_from(["add", "remove", "widen", "narrow", "lower"]), st.integers(1, 40))


@given(st.integers(0, 120), st.integers(2, 12), st.lists(EDITS, max_size=15))
def test_a_sequence_of_edits_moves_only_what_each_edit_may(
    count: int, connections: int, edits: list[tuple[str, int]]
) -> None:
    state = Edits(count, connections)
    for edit, amount in edits:
        state.apply(edit, amount)


@given(st.data())
def test_any_change_at_once_still_gives_a_sound_plan(data: st.DataObject) -> None:
    old_symbols = data.draw(st.lists(st.sampled_from(names(60)), unique=True))
    old = plan(old_symbols, data.draw(st.integers(1, 8)), 60)
    symbols = data.draw(st.lists(st.sampled_from(names(60)), unique=True))
    connections, limit = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 60))
    assume(len(symbols) <= connections * limit)
    check(plan(symbols, connections, limit, old), symbols, connections, limit)
