"""Mailboxes: each policy by example, all of them against a plain list, and what waiting and cancelling may not lose."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import trio
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from trio.testing import MockClock, wait_all_tasks_blocked

from feedbus.runtime.mailbox import Mailbox, Policy
from feedbus.testing.determinism import run_deterministically

Item = tuple[str, int]


def key(item: Item) -> str:
    return item[0]


def make(policy: Policy, capacity: int = 3) -> Mailbox[Item]:
    return Mailbox(capacity, policy, key=key if policy == "conflate" else None)


@pytest.mark.parametrize("policy", ["block", "drop_oldest", "conflate"])
async def test_a_batch_is_all_that_waits_in_order(policy: Policy) -> None:
    mailbox = make(policy)
    for number, name in enumerate("abc"):
        mailbox.put_nowait((name, number))
    assert await mailbox.get_batch() == [("a", 0), ("b", 1), ("c", 2)]
    assert mailbox.counts() == {"put": 3, "delivered": 3, "dropped": 0, "conflated": 0, "waiting": 0}


@pytest.mark.parametrize("policy", ["block", "drop_oldest", "conflate"])
async def test_a_batch_has_at_most_limit_items_and_the_rest_waits(policy: Policy) -> None:
    mailbox = make(policy)
    for number, name in enumerate("abc"):
        mailbox.put_nowait((name, number))
    assert await mailbox.get_batch(2) == [("a", 0), ("b", 1)]
    assert await mailbox.get_batch(2) == [("c", 2)]


async def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 0"):
        await make("block").get_batch(0)


async def test_drop_oldest_keeps_the_newest_and_counts_the_others() -> None:
    mailbox = make("drop_oldest")
    for number in range(5):
        mailbox.put_nowait(("a", number))
    assert mailbox.counts() == {"put": 5, "delivered": 0, "dropped": 2, "conflated": 0, "waiting": 3}
    assert await mailbox.get_batch() == [("a", 2), ("a", 3), ("a", 4)]


async def test_conflation_keeps_the_newest_value_at_the_place_of_the_first() -> None:
    mailbox = make("conflate")
    for item in [("a", 0), ("b", 1), ("a", 2), ("a", 3)]:
        mailbox.put_nowait(item)
    assert mailbox.counts() == {"put": 4, "delivered": 0, "dropped": 0, "conflated": 2, "waiting": 2}
    assert await mailbox.get_batch() == [("a", 3), ("b", 1)]


async def test_conflation_drops_the_oldest_key_when_there_are_too_many() -> None:
    mailbox = make("conflate", capacity=2)
    for item in [("a", 0), ("b", 1), ("a", 2), ("c", 3)]:
        mailbox.put_nowait(item)
    assert (mailbox.dropped, mailbox.conflated) == (1, 1)
    assert await mailbox.get_batch() == [("b", 1), ("c", 3)]


@pytest.mark.parametrize("policy", ["drop_oldest", "conflate"])
async def test_put_never_waits_unless_the_policy_is_block(policy: Policy) -> None:
    mailbox = make(policy, capacity=1)
    for number, name in enumerate("abc"):
        await mailbox.put((name, number))
    assert mailbox.dropped == 2


async def test_a_full_blocking_mailbox_says_so_to_who_will_not_wait() -> None:
    mailbox = make("block", capacity=1)
    mailbox.put_nowait(("a", 0))
    with pytest.raises(trio.WouldBlock):
        mailbox.put_nowait(("a", 1))
    assert mailbox.put_count == 1


async def test_putters_wait_for_a_place_and_get_it_first_come_first_served() -> None:
    mailbox = make("block", capacity=2)
    got: list[Item] = []
    async with trio.open_nursery() as nursery:
        for number in range(7):
            nursery.start_soon(mailbox.put, ("a", number))
            await wait_all_tasks_blocked()
        assert len(mailbox) == 2
        while len(got) < 7:
            batch = await mailbox.get_batch(1)
            if len(got) < 4:
                with pytest.raises(trio.WouldBlock):  # the place is promised to who waits
                    mailbox.put_nowait(("barges in", 0))
            got += batch
            assert len(mailbox) <= 2
            await wait_all_tasks_blocked()
    assert got == [("a", number) for number in range(7)]


def test_a_mailbox_never_holds_more_than_its_capacity_whoever_runs_first() -> None:
    async def race(_: random.Random) -> list[int]:
        mailbox = Mailbox[int](3, "block")
        sizes: list[int] = []

        async def put_ten(first: int) -> None:
            for number in range(first, first + 10):
                await mailbox.put(number)
                sizes.append(len(mailbox))

        got: list[int] = []
        async with trio.open_nursery() as nursery:
            for first in range(0, 60, 10):
                nursery.start_soon(put_ten, first)
            while len(got) < 60:
                got += await mailbox.get_batch(1)
        assert sorted(got) == list(range(60))
        assert all(own == sorted(own) for own in ([n for n in got if n // 10 == tens] for tens in range(6)))
        return sizes

    for seed in range(10):
        assert max(run_deterministically(race, seed=seed)) == 3


async def test_the_getter_is_woken_by_a_put() -> None:
    mailbox = make("block")
    got: list[Item] = []

    async def get() -> None:
        got.extend(await mailbox.get_batch())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(get)
        await wait_all_tasks_blocked()
        assert got == []
        await mailbox.put(("a", 0))
    assert got == [("a", 0)]


@pytest.mark.parametrize("waiting", [True, False])
async def test_a_cancelled_get_takes_nothing(waiting: bool, autojump_clock: MockClock) -> None:
    mailbox = make("block")
    if not waiting:
        mailbox.put_nowait(("a", 0))
    with trio.move_on_after(0 if not waiting else 1) as scope:
        await mailbox.get_batch()
    assert scope.cancelled_caught
    mailbox.put_nowait(("a", 1))
    assert await mailbox.get_batch() == ([("a", 1)] if waiting else [("a", 0), ("a", 1)])


async def test_a_cancelled_put_has_not_put_and_leaves_its_place_to_the_next(autojump_clock: MockClock) -> None:
    mailbox = make("block", capacity=1)
    await mailbox.put(("a", 0))
    async with trio.open_nursery() as nursery:
        with trio.move_on_after(1) as scope:
            await mailbox.put(("cancelled", 0))
        nursery.start_soon(mailbox.put, ("a", 1))
        await wait_all_tasks_blocked()
        assert await mailbox.get_batch() == [("a", 0)]
    assert scope.cancelled_caught
    assert await mailbox.get_batch() == [("a", 1)]
    assert mailbox.put_count == 2


async def test_a_put_that_is_cancelled_before_it_began_has_not_put() -> None:
    mailbox = make("drop_oldest")
    with trio.CancelScope() as scope:
        scope.cancel()
        await mailbox.put(("a", 0))
    assert scope.cancelled_caught
    assert mailbox.put_count == 0


async def test_after_the_close_what_waits_is_delivered_and_then_it_ends() -> None:
    mailbox = make("drop_oldest")
    mailbox.put_nowait(("a", 0))
    mailbox.close()
    mailbox.close()
    with pytest.raises(trio.ClosedResourceError):
        mailbox.put_nowait(("a", 1))
    with pytest.raises(trio.ClosedResourceError):
        await mailbox.put(("a", 1))
    assert await mailbox.get_batch() == [("a", 0)]
    with pytest.raises(trio.EndOfChannel):
        await mailbox.get_batch()


async def test_the_close_wakes_the_getter() -> None:
    mailbox = make("block")

    async def get() -> None:
        with pytest.raises(trio.EndOfChannel):
            await mailbox.get_batch()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(get)
        await wait_all_tasks_blocked()
        mailbox.close()


async def test_the_close_wakes_waiting_putters_whose_items_do_not_count() -> None:
    mailbox = make("block", capacity=1)
    await mailbox.put(("a", 0))

    async def put() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await mailbox.put(("late", 0))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(put)
        nursery.start_soon(put)
        await wait_all_tasks_blocked()
        mailbox.close()
        assert await mailbox.get_batch() == [("a", 0)]
    assert mailbox.counts() == {"put": 1, "delivered": 1, "dropped": 0, "conflated": 0, "waiting": 0}


async def test_only_one_task_may_get() -> None:
    mailbox = make("block")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mailbox.get_batch)
        await wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await mailbox.get_batch()
        mailbox.put_nowait(("a", 0))


async def test_an_item_whose_key_can_not_be_made_does_not_count() -> None:
    def no_key(_: Any) -> str:
        raise KeyError("none")

    mailbox = Mailbox[Item](1, "conflate", key=no_key)
    with pytest.raises(KeyError):
        mailbox.put_nowait(("a", 0))
    assert (mailbox.put_count, len(mailbox)) == (0, 0)


@pytest.mark.parametrize(
    ("capacity", "policy", "its_key"), [(0, "block", None), (1, "conflate", None), (1, "block", key)]
)
def test_a_mailbox_that_makes_no_sense_is_refused(
    capacity: int, policy: Policy, its_key: Callable[[Item], str] | None
) -> None:
    with pytest.raises(ValueError, match=r"a mailbox for 0 items|policy"):
        Mailbox(capacity, policy, key=its_key)


class AgainstAList(RuleBasedStateMachine):
    """Any puts, gets and a close, against a plain list; nothing here waits, so a run of trio a step is enough."""

    @initialize(policy=st.sampled_from(["block", "drop_oldest", "conflate"]), capacity=st.integers(1, 4))
    def begin(self, policy: Policy, capacity: int) -> None:
        self.mailbox = make(policy, capacity)
        self.items: list[Item] = []
        self.lost = 0
        self.number = 0

    @rule(name=st.sampled_from("abcdef"))
    def put(self, name: str) -> None:
        item = (name, self.number)
        self.number += 1
        if self.mailbox.closed:
            with pytest.raises(trio.ClosedResourceError):
                self.mailbox.put_nowait(item)
            return
        full = len(self.items) == self.mailbox.capacity
        same = [place for place, other in enumerate(self.items) if other[0] == name]
        if self.mailbox.policy == "block" and full:
            with pytest.raises(trio.WouldBlock):
                self.mailbox.put_nowait(item)
            return
        self.mailbox.put_nowait(item)
        if self.mailbox.policy == "conflate" and same:
            self.items[same[0]] = item
            self.lost += 1
            return
        if full:
            del self.items[0]
            self.lost += 1
        self.items.append(item)

    @precondition(lambda self: self.items)
    @rule(limit=st.none() | st.integers(1, 5))
    def get(self, limit: int | None) -> None:
        expected, self.items = self.items[:limit], self.items[len(self.items) if limit is None else limit :]
        assert trio.run(self.mailbox.get_batch, limit) == expected

    @precondition(lambda self: self.mailbox.closed and not self.items)
    @rule()
    def get_at_the_end(self) -> None:
        with pytest.raises(trio.EndOfChannel):
            trio.run(self.mailbox.get_batch)

    @rule()
    def close(self) -> None:
        self.mailbox.close()

    @invariant()
    def the_sums_are_right(self) -> None:
        counts = self.mailbox.counts()
        assert counts["waiting"] == len(self.items) <= self.mailbox.capacity
        assert counts["dropped"] + counts["conflated"] == self.lost
        assert counts["put"] == counts["delivered"] + counts["dropped"] + counts["conflated"] + counts["waiting"]


TestAgainstAList = AgainstAList.TestCase
