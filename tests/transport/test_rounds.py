"""Reading in rounds, over socket pairs."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Protocol

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
        self.held = trio.CancelScope()

    def hold(self, nursery: trio.Nursery) -> None:
        """Begin to hold the rounds, until `held` is cancelled. It can be called again."""

        async def run(held: trio.CancelScope) -> None:
            with held:
                await self.rounds.run()

        self.held = trio.CancelScope()
        nursery.start_soon(run, self.held)

    def close(self) -> None:
        self.rounds.close()
        for end in self.sockets:
            end.close()

    def pair(self) -> tuple[WatchedSocket, socket.socket]:
        near, far = socket.socketpair()
        near.setblocking(False)
        self.sockets += [near, far]
        return self.rounds.watch(near.fileno()), far

    async def wait(self, number: int, watched: WatchedSocket) -> None:
        await watched.readable()
        self.woken.append(number)

    async def until(self, pays: bool) -> tuple[WatchedSocket, socket.socket]:
        """Read one message after another until it pays to wait for more, or doesn't. Returns the socket's two ends."""
        watched, far = self.pair()
        await watched.readable()
        while self.rounds._gathering.pays() is not pays:
            far.send(b"x")
            await watched.readable()
            self.rounds.took(len(os.read(watched.fd, 10)))
        return watched, far


class Raise(Protocol):
    """Raises the curtain: gives a stage whose rounds run, and a nursery."""

    def __call__(self, gather: float = 0.0) -> AbstractAsyncContextManager[tuple[Stage, trio.Nursery]]: ...


@pytest.fixture(params=[False, True], ids=["alone", "in company"])
def stage(request: pytest.FixtureRequest) -> Raise:
    """A stage that is empty, or on which a quiet socket stands already: one alone is read without the rounds' task."""

    @asynccontextmanager
    async def opened(gather: float = 0.0) -> AsyncIterator[tuple[Stage, trio.Nursery]]:
        play = Stage(gather)
        if request.param:
            play.pair()
        async with trio.open_nursery() as nursery:
            play.hold(nursery)
            yield play, nursery
            nursery.cancel_scope.cancel()
        play.close()

    return opened


async def settle(done: Callable[[], bool]) -> None:
    """Let the loop turn until this holds."""
    with trio.fail_after(30):
        while not done():
            await trio.lowlevel.checkpoint()


async def test_the_first_wait_ends_at_once_since_data_may_be_older_than_the_watch(stage: Raise) -> None:
    async with stage() as (play, _):
        watched, _far = play.pair()
        with trio.fail_after(30):
            await watched.readable()
        with trio.move_on_after(0) as scope:
            await watched.readable()
        assert scope.cancelled_caught


async def test_what_comes_to_quiet_sockets_is_not_held_back(stage: Raise) -> None:
    async with stage(HOUR) as (play, _):
        watched, far = play.pair()
        await watched.readable()
        far.send(b"x")
        with trio.fail_after(30):
            await watched.readable()


async def test_what_comes_soon_after_is_not_held_back_either_until_much_has_come(stage: Raise) -> None:
    async with stage(HOUR) as (play, _):
        with trio.fail_after(30):
            await play.until(pays=True)


async def test_what_comes_while_much_comes_waits_for_its_round_and_all_wake_together(stage: Raise) -> None:
    async with stage(HOUR) as (play, nursery):
        await play.until(pays=True)
        for number in range(3):
            watched, far = play.pair()
            await watched.readable()
            nursery.start_soon(play.wait, number, watched)
            far.send(b"x")
        await wait_all_tasks_blocked(0.05)
        assert play.woken == [], "the next round is an hour away"


async def test_rounds_that_gather_one_message_each_are_not_held_for_long(stage: Raise) -> None:
    async with stage(0.01) as (play, _):
        with trio.fail_after(30):
            await play.until(pays=True)
            await play.until(pays=False)


async def test_a_round_wakes_every_socket_that_has_something_and_no_other(stage: Raise) -> None:
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


async def test_data_that_came_while_nobody_waited_is_told_to_the_next_who_waits(stage: Raise) -> None:
    async with stage() as (play, _):
        watched, far = play.pair()
        await watched.readable()
        far.send(b"x")
        await wait_all_tasks_blocked(0.01)
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
    play.close()


async def test_a_cancelled_wait_leaves_the_next_one_whole(stage: Raise) -> None:
    async with stage() as (play, _):
        watched, far = play.pair()
        await watched.readable()
        with trio.move_on_after(0):
            await watched.readable()
        far.send(b"x")
        with trio.fail_after(30):
            await watched.readable()


async def test_only_one_task_may_wait_for_a_socket(stage: Raise) -> None:
    async with stage() as (play, nursery):
        watched, _far = play.pair()
        await watched.readable()
        nursery.start_soon(play.wait, 0, watched)
        await wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await watched.readable()


async def test_who_waits_for_a_forgotten_socket_is_woken(stage: Raise) -> None:
    async with stage() as (play, nursery):
        watched, _far = play.pair()
        await watched.readable()
        nursery.start_soon(play.wait, 0, watched)
        await wait_all_tasks_blocked()
        watched.forget()
        watched.forget()
        await settle(lambda: play.woken == [0])


async def test_forgetting_a_socket_again_leaves_the_new_one_with_its_number_alone(stage: Raise) -> None:
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


async def test_a_round_ends_when_all_whom_it_woke_wait_again(stage: Raise) -> None:
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


async def test_more_is_to_come_until_the_last_of_a_round_has_read_all_it_had(stage: Raise) -> None:
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


async def test_who_has_more_to_read_keeps_its_round_open(stage: Raise) -> None:
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


async def test_who_leaves_in_the_middle_of_a_round_does_not_keep_it_open(stage: Raise) -> None:
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


async def test_an_event_is_set_at_one_end_alone_and_not_once_it_was_let_sleep(stage: Raise) -> None:
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


# A socket alone


class Steps(trio.abc.Instrument):
    """Counts how often the task that holds the rounds runs."""

    def __init__(self) -> None:
        self.of_run = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.of_run += task.name.endswith("Rounds.run")


@pytest.mark.parametrize("others", [0, 1])
async def test_what_comes_to_an_only_socket_wakes_its_own_task_and_no_other(others: int) -> None:
    play = Stage(HOUR)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(play.rounds.run)
        for _ in range(others):
            play.pair()
        watched, far = play.pair()
        await watched.readable()
        steps = Steps()
        with trio.fail_after(30):
            for count in range(4):
                if count == 1:  # the first finds out that the socket is alone
                    trio.lowlevel.add_instrument(steps)
                far.send(b"x")
                await watched.readable()
                assert os.read(watched.fd, 10) == b"x"
        trio.lowlevel.remove_instrument(steps)
        assert steps.of_run == (3 if others else 0)
        nursery.cancel_scope.cancel()
    play.close()


async def test_an_only_socket_waits_for_its_round_too_once_much_comes() -> None:
    play = Stage(HOUR)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(play.rounds.run)
        watched, far = await play.until(pays=True)
        far.send(b"x")
        with trio.move_on_after(0.05) as scope:
            await watched.readable()
        assert scope.cancelled_caught, "the next round is an hour away"
        nursery.cancel_scope.cancel()
    play.close()


async def test_who_waits_while_no_rounds_are_held_is_woken_by_the_next_ones(stage: Raise) -> None:
    async with stage() as (play, nursery):
        watched, far = play.pair()
        await watched.readable()
        far.send(b"x")
        await watched.readable()
        assert os.read(watched.fd, 10) == b"x"
        nursery.start_soon(play.wait, 1, watched)
        await wait_all_tasks_blocked()
        play.held.cancel()
        await wait_all_tasks_blocked()
        far.send(b"x")
        await wait_all_tasks_blocked(0.01)
        assert play.woken == []
        play.hold(nursery)
        await settle(lambda: play.woken == [1])


class Play:
    """Sockets that come, go and are read, in an order that `source` makes up."""

    def __init__(self, source: random.Random, nursery: trio.Nursery) -> None:
        self.stage = Stage(0.001)
        self.readers: list[Reader] = []
        self._source = source
        self._nursery = nursery
        self.stage.hold(nursery)
        self.watch()

    async def step(self) -> None:
        kinds = [self.send, self.turn, self.watch, self.forget, self.cancel, self.hold_again]
        [kind] = self._source.choices(kinds, [6, 3, 1, 2, 1, 1])
        if (waits := kind()) is not None:
            await waits

    def watch(self) -> None:
        watched, far = self.stage.pair()
        self.readers.append(Reader(self.stage, watched, far))
        self.readers[-1].start(self._nursery)

    def send(self) -> None:
        self._source.choice(self.readers).send(self._source.choice([1, 1, 4]))

    async def turn(self) -> None:
        await self._source.choice([trio.lowlevel.checkpoint, wait_all_tasks_blocked])()

    def forget(self) -> None:
        if len(self.readers) > 1:
            gone = self.readers.pop(self._source.randrange(len(self.readers)))
            gone.scope.cancel()
            gone.watched.forget()

    async def cancel(self) -> None:
        reader = self._source.choice(self.readers)
        reader.scope.cancel()
        await wait_all_tasks_blocked()
        reader.start(self._nursery)

    async def hold_again(self) -> None:
        self.stage.held.cancel()
        await wait_all_tasks_blocked()
        self.stage.hold(self._nursery)


class Reader:
    """Reads one socket, and counts what it was sent and has read."""

    def __init__(self, stage: Stage, watched: WatchedSocket, far: socket.socket) -> None:
        self.watched = watched
        self.scope = trio.CancelScope()
        self.sent = self.read = 0
        self._stage = stage
        self._far = far

    def send(self, messages: int) -> None:
        for _ in range(messages):
            self._far.send(b"x")
        self.sent += messages

    def start(self, nursery: trio.Nursery) -> None:
        """Begin to read, until `scope` is cancelled. It can be called again."""
        self.scope = trio.CancelScope()
        nursery.start_soon(self._run, self.scope)

    async def _run(self, scope: trio.CancelScope) -> None:
        with scope:
            while True:
                await self.watched.readable()
                with suppress(BlockingIOError):
                    count = len(os.read(self.watched.fd, 65536))
                    self._stage.rounds.took(count)
                    self.read += count


@pytest.mark.parametrize("seed", range(30))
async def test_whatever_happens_between_two_messages_each_of_them_is_read(seed: int) -> None:
    async with trio.open_nursery() as nursery:
        play = Play(random.Random(seed), nursery)
        for _ in range(300):
            await play.step()
        await settle(lambda: all(reader.read == reader.sent for reader in play.readers))
        nursery.cancel_scope.cancel()
    play.stage.close()


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
    play.close()
