"""The mailbox: what waits, what is dropped, and who is woken."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from feedbus.runtime.mailbox import Mailbox


@given(st.integers(1, 5), st.lists(st.integers(1, 7) | st.none(), max_size=30))
def test_any_history_keeps_the_newest_in_order_and_the_balance(capacity: int, history: list[int | None]) -> None:
    """A number puts so many items, None takes a batch: against a plain list."""

    async def run() -> None:
        mailbox, model, number = Mailbox[int](capacity), list[int](), 0
        for step in history:
            if step is None and model:
                assert await mailbox.get_batch(2) == model[:2]
                del model[:2]
            for _ in range(step or 0):
                mailbox.put_nowait(number)
                model = [*model, number][-capacity:]
                number += 1
            assert len(mailbox) == len(model)
            assert mailbox.put_count == mailbox.delivered + mailbox.dropped + len(mailbox)
        if model:
            assert await mailbox.get_batch() == model

    trio.run(run)


async def test_the_getter_is_woken_by_a_put_and_by_the_close() -> None:
    mailbox, got = Mailbox[str](3), list[list[str]]()

    async def get() -> None:
        while True:
            try:
                got.append(await mailbox.get_batch())
            except trio.EndOfChannel:
                return

    async with trio.open_nursery() as nursery:
        nursery.start_soon(get)
        await wait_all_tasks_blocked()
        mailbox.put_nowait("a")
        mailbox.put_nowait("b")
        await wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await mailbox.get_batch()
        mailbox.close()
        mailbox.close()
    assert got == [["a", "b"]]
    with pytest.raises(trio.ClosedResourceError):
        mailbox.put_nowait("c")


async def test_after_the_close_what_waits_is_delivered_and_then_it_ends() -> None:
    mailbox = Mailbox[int](3)
    mailbox.put_nowait(1)
    mailbox.close()
    assert await mailbox.get_batch() == [1]
    with pytest.raises(trio.EndOfChannel):
        await mailbox.get_batch()


async def test_a_cancelled_get_takes_nothing(autojump_clock: MockClock) -> None:
    mailbox = Mailbox[int](3)
    with trio.move_on_after(1) as scope:
        await mailbox.get_batch()
    assert scope.cancelled_caught
    mailbox.put_nowait(1)
    with trio.CancelScope() as scope:
        scope.cancel()
        await mailbox.get_batch()
    assert await mailbox.get_batch() == [1]


async def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="a mailbox can't hold 0 items"):
        Mailbox[int](0)
    with pytest.raises(ValueError, match="can't have 0 items"):
        await Mailbox[int](1).get_batch(0)
