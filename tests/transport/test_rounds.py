"""Reading in rounds, over socket pairs."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from feedbus.transport.rounds import OVERDUE_AFTER, Rounds, WatchedSocket

HOUR = 3600.0


class Stage:
    """Rounds that run, and the sockets in them."""

    def __init__(self, gather: float) -> None:
        self.rounds = Rounds(gather)
        self.sockets: list[socket.socket] = []
        self.woken: list[int] = []

    def pair(self) -> tuple[WatchedSocket, socket.socket]:
        near, far = socket.socketpair()
        near.setblocking(False)
        self.sockets += [near, far]
        return self.rounds.watch(near.fileno()), far

    async def wait(self, number: int, watched: WatchedSocket) -> None:
        await watched.readable()
        self.woken.append(number)

    async def until(self, pays: bool) -> None:
        """Read one message after another until it pays to wait for more, or doesn't."""
        watched, far = self.pair()
        await watched.readable()
        while self.rounds._gathering.pays() is not pays:
            far.send(b"x")
            await watched.readable()
            self.rounds.took(1)


@asynccontextmanager
async def stage(gather: float = 0.0) -> AsyncIterator[tuple[Stage, trio.Nursery]]:
    play = Stage(gather)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(play.rounds.run)
        yield play, nursery
        nursery.cancel_scope.cancel()
    play.rounds.close()
    for end in play.sockets:
        end.close()


async def settle(done: Callable[[], bool]) -> None:
    """Let the loop turn until this holds."""
    with trio.fail_after(30):
        while not done():
            await trio.lowlevel.checkpoint()


async def test_the_first_wait_ends_at_once_since_data_may_be_older_than_the_watch() -> None:
    async with stage() as (play, _):
        watched, _far = play.pair()
        with trio.fail_after(30):
            await watched.readable()
        with trio.move_on_after(0) as scope:
            await watched.readable()
        assert scope.cancelled_caught


async def test_what_comes_to_quiet_sockets_is_not_held_back() -> None:
    async with stage(HOUR) as (play, _):
        watched, far = play.pair()
        await watched.readable()
        far.send(b"x")
        with trio.fail_after(30):
            await watched.readable()


async def test_what_comes_soon_after_is_not_held_back_either_until_much_has_come() -> None:
    async with stage(HOUR) as (play, _):
        with trio.fail_after(30):
            await play.until(pays=True)


async def test_what_comes_while_much_comes_waits_for_its_round_and_all_wake_together() -> None:
    async with stage(HOUR) as (play, nursery):
        await play.until(pays=True)
        for number in range(3):
            watched, far = play.pair()
            await watched.readable()
            nursery.start_soon(play.wait, number, watched)
            far.send(b"x")
        await wait_all_tasks_blocked(0.05)
        assert play.woken == [], "the next round is an hour away"


async def test_rounds_that_gather_one_message_each_are_not_held_for_long() -> None:
    async with stage(0.01) as (play, _):
        with trio.fail_after(30):
            await play.until(pays=True)
            await play.until(pays=False)


async def test_a_round_wakes_every_socket_that_has_something_and_no_other() -> None:
    async with stage(0.01) as (play, nursery):
        await play.until(pays=True)
        ends = []
        for number in range(4):
            watched, far = play.pair()
            ends.append(far)
            await watched.readable()
            nursery.start_soon(play.wait, number, watched)
        for number in (0, 1, 3):
            ends[number].send(b"x")
        await settle(lambda: len(play.woken) == 3)
        assert sorted(play.woken) == [0, 1, 3]


async def test_data_that_came_while_nobody_waited_is_told_to_the_next_who_waits() -> None:
    async with stage() as (play, _):
        watched, far = play.pair()
        await watched.readable()
        far.send(b"x")
        await settle(lambda: watched.ready)
        with trio.fail_after(30):
            await watched.readable()


async def test_data_that_came_while_nobody_held_rounds_is_not_lost() -> None:
    play = Stage(0.0)
    watched, far = play.pair()
    await watched.readable()
    far.send(b"x")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(play.rounds.run)
        with trio.fail_after(30):
            await watched.readable()
        nursery.cancel_scope.cancel()
    play.rounds.close()
    for end in play.sockets:
        end.close()


async def test_a_cancelled_wait_leaves_the_next_one_whole() -> None:
    async with stage() as (play, _):
        watched, far = play.pair()
        await watched.readable()
        with trio.move_on_after(0):
            await watched.readable()
        far.send(b"x")
        with trio.fail_after(30):
            await watched.readable()


async def test_only_one_task_may_wait_for_a_socket() -> None:
    async with stage() as (play, nursery):
        watched, _far = play.pair()
        await watched.readable()
        nursery.start_soon(play.wait, 0, watched)
        await wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await watched.readable()


async def test_who_waits_for_a_forgotten_socket_is_woken() -> None:
    async with stage() as (play, nursery):
        watched, _far = play.pair()
        await watched.readable()
        nursery.start_soon(play.wait, 0, watched)
        await wait_all_tasks_blocked()
        watched.forget()
        watched.forget()
        await settle(lambda: play.woken == [0])


async def test_forgetting_a_socket_again_leaves_the_new_one_with_its_number_alone() -> None:
    async with stage() as (play, _):
        old, _far = play.pair()
        old.forget()
        near, far = socket.socketpair()
        os.dup2(near.fileno(), old.fd)
        play.sockets += [near, far]
        new = play.rounds.watch(old.fd)
        old.forget()
        await new.readable()
        far.send(b"x")
        with trio.fail_after(30):
            await new.readable()


async def test_a_socket_may_be_forgotten_after_the_rounds_are_closed() -> None:
    play = Stage(0.0)
    watched, _far = play.pair()
    play.rounds.close()
    watched.forget()
    for end in play.sockets:
        end.close()
    assert not play.rounds.is_open()


async def test_a_round_ends_when_all_whom_it_woke_wait_again() -> None:
    async with stage(0.01) as (play, nursery):
        ended = trio.Event()
        again = trio.Event()

        async def read(number: int, watched: WatchedSocket, before: trio.Event | None) -> None:
            await play.wait(number, watched)
            assert play.rounds.is_open()
            play.rounds.wake_at_end(ended)
            if before is not None:
                await before.wait()
            await watched.readable()

        fars = []
        for number, before in enumerate((None, again, None)):
            watched, far = play.pair()
            fars.append(far)
            await watched.readable()
            nursery.start_soon(read, number, watched, before)
        await wait_all_tasks_blocked()
        for far in fars:
            far.send(b"x")
        await settle(lambda: len(play.woken) == 3)
        await wait_all_tasks_blocked()
        assert (ended.is_set(), play.rounds.is_open()) == (False, True), "one of them is still busy"
        again.set()
        await settle(ended.is_set)
        assert not play.rounds.is_open()


async def test_more_is_to_come_until_the_last_of_a_round_has_read_all_it_had() -> None:
    async with stage(0.01) as (play, nursery):
        told: list[bool] = []

        async def read(watched: WatchedSocket) -> None:
            await watched.readable()
            told.append(play.rounds.more_to_come())
            await watched.readable()

        fars = []
        for _ in range(3):
            watched, far = play.pair()
            fars.append(far)
            await watched.readable()
            nursery.start_soon(read, watched)
        await wait_all_tasks_blocked()
        assert not play.rounds.more_to_come()
        for far in fars:
            far.send(b"x")
        await settle(lambda: len(told) == 3)
        assert told == [True, True, False]


async def test_who_has_more_to_read_keeps_its_round_open() -> None:
    async with stage() as (play, nursery):
        ended = trio.Event()
        told: list[bool] = []
        watched, far = play.pair()
        await watched.readable()

        async def read() -> None:
            await watched.readable()
            play.rounds.wake_at_end(ended)
            watched.ready = True  # the read was a full one
            told.append(play.rounds.more_to_come())
            await watched.readable()
            told.append(play.rounds.more_to_come())
            assert not ended.is_set()
            await watched.readable()

        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        far.send(b"x")
        await settle(ended.is_set)
        assert told == [True, False]


async def test_who_leaves_in_the_middle_of_a_round_does_not_keep_it_open() -> None:
    async with stage() as (play, nursery):
        ended = trio.Event()
        watched, far = play.pair()
        await watched.readable()
        nursery.start_soon(play.wait, 0, watched)
        await wait_all_tasks_blocked()
        far.send(b"x")
        await settle(lambda: play.woken == [0])
        play.rounds.wake_at_end(ended)
        watched.forget()
        assert (ended.is_set(), play.rounds.is_open()) == (True, False)


async def test_an_event_is_set_at_one_end_alone_and_not_once_it_was_let_sleep() -> None:
    async with stage() as (play, nursery):
        ended, asleep, later = trio.Event(), trio.Event(), trio.Event()
        watched, far = play.pair()
        await watched.readable()
        nursery.start_soon(play.wait, 0, watched)
        await wait_all_tasks_blocked()
        far.send(b"x")
        await settle(lambda: play.woken == [0])
        play.rounds.wake_at_end(ended)
        play.rounds.wake_at_end(asleep)
        play.rounds.cancel_wake(asleep)
        play.rounds.cancel_wake(later)
        watched.forget()
        assert [event.is_set() for event in (ended, asleep, later)] == [True, False, False]


async def test_rounds_are_overdue_when_none_is_held_although_a_socket_has_data() -> None:
    play = Stage(0.0)
    watched, far = play.pair()
    late = OVERDUE_AFTER + 1
    assert [play.rounds.overdue(time) for time in (0, late, 2 * late)] == [None] * 3  # nothing has come
    far.send(b"x")
    said = [play.rounds.overdue(time) for time in (100, 100 + late)]
    assert said == [None, "rounds: the sockets are not read"]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(play.rounds.run)
        await settle(lambda: watched.ready and play.rounds.overdue(200) is None)
        nursery.cancel_scope.cancel()
    assert play.rounds.overdue(200 + late) is None
    play.rounds.close()
    for end in play.sockets:
        end.close()
