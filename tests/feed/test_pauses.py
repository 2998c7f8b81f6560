"""Pauses, and how they are cut short, on a virtual clock."""

from __future__ import annotations

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from feedbus.feed.pauses import AGAIN_AFTER, SOON, Pauses


async def test_when_one_is_back_the_others_wait_a_moment_of_their_own_and_not_less_than_that_again(
    autojump_clock: MockClock,
) -> None:
    draws = iter((0.25, 0.5, 0.75))
    pauses = Pauses(lambda: next(draws))
    ended: list[tuple[str, float]] = []

    async def pause(who: str, seconds: float) -> None:
        await pauses.wait(who, seconds)
        ended.append((who, trio.current_time()))

    async with trio.open_nursery() as nursery:
        for who, seconds in (("a", 50.0), ("b", 40.0), ("c", 10.5)):
            nursery.start_soon(pause, who, seconds)
            await wait_all_tasks_blocked()
        await trio.sleep(10)
        pauses.one_is_back()
        pauses.one_is_back()  # the second connection that is back changes nothing
    assert sorted(ended) == [("a", 10 + SOON / 4), ("b", 10 + SOON / 2), ("c", 10.5)]
    assert pauses.shortened == 2


async def test_a_venue_that_lets_in_and_drops_is_not_flooded(autojump_clock: MockClock) -> None:
    pauses = Pauses(lambda: 0.5)
    attempts: list[float] = []

    async def connection() -> None:
        while True:
            await pauses.wait("a", 50.0)
            attempts.append(trio.current_time())

    with trio.move_on_after(10 * AGAIN_AFTER):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection)
            while True:  # another connection is let in once a second, and dropped
                await trio.sleep(1)
                pauses.one_is_back()
    assert len(attempts) <= 20


async def test_a_pause_that_is_cancelled_is_forgotten(autojump_clock: MockClock) -> None:
    pauses = Pauses(lambda: 0.5)
    with trio.move_on_after(1):
        await pauses.wait("a", 50.0)
    pauses.one_is_back()
    await pauses.wait("a", 3.0)
    assert (trio.current_time(), pauses.shortened) == (4.0, 0)
