"""Reading in rounds, over socket pairs."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Protocol, cast

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from feedbus.transport.gathering import Gathering
from feedbus.transport.rounds import OVERDUE_AFTER, RELEASED_AT_ONCE, Rounds, WatchedSocket

HOUR = 3600.0


class Estimate:
    """Says whether gathering pays, as it is told."""

    def __init__(self, pays: bool) -> None:
        self.says = pays

    def note(self, came: int, seconds: float) -> None:
        pass

    def pays(self) -> bool:
        return self.says

    still_pays = pays


class Stage:
    """Rounds that run, and the sockets in them."""

    def __init__(self, gather: float = 0.0, estimate: Estimate | None = None) -> None:
        self.rounds = Rounds(gather)
        if estimate is not None:
            self.rounds._gathering = cast("Gathering", estimate)
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

    async def pair(self) -> tuple[WatchedSocket, socket.socket]:
        """A socket that is watched and known to be empty, and its other end."""
        near, far = socket.socketpair()
        near.setblocking(False)
        self.sockets += [near, far]
        watched = self.rounds.watch(near.fileno())
        await watched.readable()
        return watched, far

    async def take(self, number: int, watched: WatchedSocket) -> None:
        await read(watched)
        self.woken.append(number)

    async def until_it_pays(self) -> tuple[WatchedSocket, socket.socket]:
        """Read one message after another until it pays to wait for more. Returns the socket's two ends."""
        watched, far = await self.pair()
        while not self.rounds._gathering.pays():
            far.send(b"x")
            self.rounds.took(len(await read(watched)))
        await leave(watched)
        return watched, far


async def read(watched: WatchedSocket) -> bytes:
    """Read what has come, as a stream does."""
    while True:
        await watched.readable()
        with suppress(BlockingIOError):
            return os.read(watched.fd, 65536)


async def leave(watched: WatchedSocket) -> None:
    """Read no more in this round."""
    with trio.move_on_after(0):
        await watched.readable()


class Raise(Protocol):
    """Raises the curtain: gives a stage whose rounds run, and a nursery."""

    def __call__(self, gather: float = 0.0) -> AbstractAsyncContextManager[tuple[Stage, trio.Nursery]]: ...


@asynccontextmanager
async def opened(gather: float = 0.0, estimate: Estimate | None = None) -> AsyncIterator[tuple[Stage, trio.Nursery]]:
    play = Stage(gather, estimate)
    async with trio.open_nursery() as nursery:
        play.hold(nursery)
        yield play, nursery
        nursery.cancel_scope.cancel()
    play.close()


@pytest.fixture(params=["an only socket", "one of two sockets", "in rounds"])
def stage(request: pytest.FixtureRequest) -> Raise:
    """A stage on which each socket is read as soon as it has something, or in rounds."""

    @asynccontextmanager
    async def raised(gather: float = 0.0) -> AsyncIterator[tuple[Stage, trio.Nursery]]:
        rounds = request.param == "in rounds"
        async with opened(gather, Estimate(rounds)) as (play, nursery):
            await wait_all_tasks_blocked()
            if request.param != "an only socket":
                watched, far = await play.pair()
                far.send(b"x")
                assert await read(watched) == b"x"
                await leave(watched)
            assert play.rounds.gathers is rounds
            yield play, nursery

    return raised


async def settle(done: Callable[[], bool]) -> None:
    """Let the loop turn until this holds."""
    with trio.fail_after(30):
        while not done():
            await trio.lowlevel.checkpoint()


async def test_the_first_wait_ends_at_once_since_data_may_be_older_than_the_watch(stage: Raise) -> None:
    async with stage() as (play, _):
        with trio.fail_after(30):
            watched, _far = await play.pair()
        with trio.move_on_after(0) as scope:
            await watched.readable()
        assert scope.cancelled_caught


# When sockets are read


async def test_what_comes_is_not_held_back_until_much_has_come() -> None:
    async with opened(HOUR) as (play, _):
        with trio.fail_after(30):
            await play.until_it_pays()


@pytest.mark.parametrize("others", [0, 1])
async def test_what_comes_while_much_comes_waits_for_its_round_and_all_wake_together(others: int) -> None:
    async with opened(0.2) as (play, nursery):
        first, far = await play.until_it_pays()
        nursery.start_soon(play.take, 0, first)
        fars = [far]
        for number in range(1, 1 + others):
            watched, far = await play.pair()
            nursery.start_soon(play.take, number, watched)
            fars.append(far)
        await wait_all_tasks_blocked()
        for far in fars:
            far.send(b"x")
        await wait_all_tasks_blocked(0.02)
        assert play.woken == [], "the next round is a fifth of a second away"
        await settle(lambda: bool(play.woken))
        await wait_all_tasks_blocked()
        assert len(play.woken) == 1 + others


async def test_rounds_that_gather_one_message_each_are_not_held_for_long() -> None:
    async with opened(0.01) as (play, _):
        with trio.fail_after(30):
            watched, far = await play.until_it_pays()
            while play.rounds.gathers:
                far.send(b"x")
                play.rounds.took(len(await read(watched)))


async def test_who_waits_for_a_round_is_read_at_once_when_rounds_no_longer_pay() -> None:
    async with opened(0.01, estimate := Estimate(True)) as (play, nursery):
        await wait_all_tasks_blocked()
        quiet, quiet_far = await play.pair()
        busy, busy_far = await play.pair()
        busy_far.send(b"x")
        await read(busy)
        nursery.start_soon(play.take, 1, quiet)
        await wait_all_tasks_blocked()
        assert play.rounds.gathers
        estimate.says = False
        busy_far.send(b"x")
        with trio.fail_after(30):
            await read(busy)
        await settle(lambda: not play.rounds.gathers)
        await wait_all_tasks_blocked()
        play.held.cancel()
        quiet_far.send(b"x")
        await settle(lambda: play.woken == [1])


async def test_many_who_wait_for_a_round_are_told_in_slices_that_none_is_held() -> None:
    async with opened(0.01, estimate := Estimate(True)) as (play, nursery):
        await wait_all_tasks_blocked()
        busy, far = await play.pair()
        far.send(b"x")
        await read(busy)
        quiet = [(await play.pair())[0] for _ in range(5 * RELEASED_AT_ONCE)]
        for number, watched in enumerate(quiet):
            nursery.start_soon(play.take, number, watched)
        await wait_all_tasks_blocked()
        estimate.says = False
        far.send(b"x")
        await read(busy)
        await settle(lambda: not play.rounds.gathers)
        assert any(watched._task is not None for watched in quiet)
        await wait_all_tasks_blocked()
        assert all(watched._waits_alone for watched in quiet)


async def test_what_is_read_between_two_rounds_counts_once() -> None:
    async with opened(0.01, Estimate(True)) as (play, nursery):
        await wait_all_tasks_blocked()
        quiet, _far = await play.pair()
        busy, busy_far = await play.pair()
        nursery.start_soon(play.take, 0, quiet)
        await wait_all_tasks_blocked()
        busy_far.send(b"x")
        await read(busy)
        assert play.rounds._came == 1
        await settle(lambda: play.rounds._waited)
        play.rounds.begin_with(quiet)
        play.rounds.took(1)
        assert play.rounds._came == 1


async def test_a_round_wakes_every_socket_that_has_something_and_no_other(stage: Raise) -> None:
    async with stage(0.01) as (play, nursery):
        ends = []
        for number in range(4):
            watched, far = await play.pair()
            ends.append(far)
            nursery.start_soon(play.take, number, watched)
        for number in (0, 1, 3):
            ends[number].send(b"x")
        await settle(lambda: len(play.woken) == 3)
        await wait_all_tasks_blocked()
        assert sorted(play.woken) == [0, 1, 3]


class Steps(trio.abc.Instrument):
    """Counts how often any task runs."""

    def __init__(self) -> None:
        self.count = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += 1


@pytest.mark.parametrize("others", [0, 1])
async def test_what_comes_while_little_comes_wakes_its_own_task_and_no_other(others: int) -> None:
    async with opened(HOUR) as (play, _):
        for _ in range(others):
            await play.pair()
        watched, far = await play.pair()
        await wait_all_tasks_blocked()
        steps = Steps()
        trio.lowlevel.add_instrument(steps)
        for _ in range(3):
            far.send(b"x")
            with trio.fail_after(30):
                await read(watched)
        trio.lowlevel.remove_instrument(steps)
        assert steps.count == 3


async def test_data_that_came_while_nobody_waited_is_told_to_the_next_who_waits(stage: Raise) -> None:
    async with stage() as (play, _):
        watched, far = await play.pair()
        far.send(b"x")
        await wait_all_tasks_blocked(0.01)
        with trio.fail_after(30):
            assert await read(watched) == b"x"


async def test_while_nobody_holds_rounds_data_is_read_at_once(stage: Raise) -> None:
    async with stage(HOUR) as (play, nursery):
        watched, far = await play.pair()
        nursery.start_soon(play.take, 0, watched)
        await wait_all_tasks_blocked()
        far.send(b"x")
        play.held.cancel()
        await settle(lambda: play.woken == [0])
        far.send(b"x")
        with trio.fail_after(30):
            assert await read(watched) == b"x"
        assert not play.rounds.gathers


async def test_a_cancelled_wait_leaves_the_next_one_whole(stage: Raise) -> None:
    async with stage() as (play, _):
        watched, far = await play.pair()
        with trio.move_on_after(0):
            await watched.readable()
        far.send(b"x")
        with trio.fail_after(30):
            assert await read(watched) == b"x"


async def test_only_one_task_may_wait_for_a_socket(stage: Raise) -> None:
    async with stage() as (play, nursery):
        watched, _far = await play.pair()
        nursery.start_soon(play.take, 0, watched)
        await wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await watched.readable()


# Sockets that are forgotten


async def test_who_waits_for_a_forgotten_socket_is_woken(stage: Raise) -> None:
    async with stage() as (play, nursery):
        watched, _far = await play.pair()
        woken = trio.Event()

        async def wait() -> None:
            await watched.readable()
            woken.set()

        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        watched.forget()
        watched.forget()
        await settle(woken.is_set)


async def test_forgetting_a_socket_again_leaves_the_new_one_with_its_number_alone(stage: Raise) -> None:
    async with stage() as (play, nursery):
        old, _far = await play.pair()
        old.forget()
        near, far = socket.socketpair()
        near.setblocking(False)
        os.dup2(near.fileno(), old.fd)
        play.sockets += [near, far]
        new = play.rounds.watch(old.fd)
        await new.readable()
        nursery.start_soon(play.take, 0, new)
        await wait_all_tasks_blocked()
        old.forget()
        await wait_all_tasks_blocked()
        assert play.woken == []
        far.send(b"x")
        await settle(lambda: play.woken == [0])


async def test_a_socket_may_be_forgotten_after_the_rounds_are_closed() -> None:
    play = Stage()
    watched, _far = await play.pair()
    play.rounds.close()
    watched.forget()
    for end in play.sockets:
        end.close()
    assert not play.rounds.is_open()


# How far a round has come


async def test_a_round_ends_when_all_whom_it_woke_wait_again(stage: Raise) -> None:
    async with stage(0.01) as (play, nursery):
        ended = trio.Event()
        again = trio.Event()

        async def take(number: int, watched: WatchedSocket, before: trio.Event | None) -> None:
            await play.take(number, watched)
            assert play.rounds.is_open()
            play.rounds.wake_at_end(ended)
            if before is not None:
                await before.wait()
            await watched.readable()

        fars = []
        for number, before in enumerate((None, again, None)):
            watched, far = await play.pair()
            fars.append(far)
            nursery.start_soon(take, number, watched, before)
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

        async def take(watched: WatchedSocket) -> None:
            await read(watched)
            told.append(play.rounds.more_to_come())
            await watched.readable()

        fars = []
        for _ in range(3):
            watched, far = await play.pair()
            fars.append(far)
            nursery.start_soon(take, watched)
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
        watched, far = await play.pair()

        async def take() -> None:
            await read(watched)
            play.rounds.wake_at_end(ended)
            watched.ready = True  # the read was a full one
            told.append(play.rounds.more_to_come())
            await watched.readable()
            told.append(play.rounds.more_to_come())
            assert not ended.is_set()
            await watched.readable()

        nursery.start_soon(take)
        await wait_all_tasks_blocked()
        far.send(b"x")
        await settle(ended.is_set)
        assert told == [True, False]


async def test_who_leaves_in_the_middle_of_a_round_does_not_keep_it_open(stage: Raise) -> None:
    async with stage() as (play, nursery):
        ended = trio.Event()
        watched, far = await play.pair()
        nursery.start_soon(play.take, 0, watched)
        await wait_all_tasks_blocked()
        far.send(b"x")
        await settle(lambda: play.woken == [0])
        play.rounds.wake_at_end(ended)
        watched.forget()
        assert (ended.is_set(), play.rounds.is_open()) == (True, False)


async def test_who_is_cancelled_before_its_round_reaches_it_does_not_keep_it_open(stage: Raise) -> None:
    async with stage() as (play, nursery):
        first, first_far = await play.pair()
        second, second_far = await play.pair()
        scope = trio.CancelScope()

        async def cancelled() -> None:
            with scope:
                await read(second)

        nursery.start_soon(cancelled)
        nursery.start_soon(play.take, 0, first)
        await wait_all_tasks_blocked()
        first_far.send(b"x")
        second_far.send(b"x")
        play.rounds.begin_with(first)
        scope.cancel()
        await settle(lambda: play.woken == [0])
        await leave(first)
        await wait_all_tasks_blocked()
        assert not play.rounds.is_open()
        with trio.fail_after(30):
            assert await read(second) == b"x"


async def test_an_event_is_set_at_one_end_alone_and_not_once_it_was_let_sleep(stage: Raise) -> None:
    async with stage() as (play, nursery):
        ended, asleep, later = trio.Event(), trio.Event(), trio.Event()
        watched, far = await play.pair()
        nursery.start_soon(play.take, 0, watched)
        await wait_all_tasks_blocked()
        far.send(b"x")
        await settle(lambda: play.woken == [0])
        play.rounds.wake_at_end(ended)
        play.rounds.wake_at_end(asleep)
        play.rounds.cancel_wake(asleep)
        play.rounds.cancel_wake(later)
        watched.forget()
        assert [event.is_set() for event in (ended, asleep, later)] == [True, False, False]


# Whatever happens


class Play:
    """Sockets that come, go and are read, in an order that `source` makes up."""

    def __init__(self, source: random.Random, nursery: trio.Nursery) -> None:
        self.stage = Stage(0.001)
        self.readers: list[Reader] = []
        self._source = source
        self._nursery = nursery
        self.stage.hold(nursery)

    async def step(self) -> None:
        kinds = [self.send, self.turn, self.watch, self.forget, self.cancel, self.hold_again]
        [kind] = self._source.choices(kinds, [6, 3, 1, 2, 1, 1])
        await kind()

    async def watch(self) -> None:
        watched, far = await self.stage.pair()
        self.readers.append(Reader(self.stage, watched, far))
        self.readers[-1].start(self._nursery)

    async def send(self) -> None:
        self._source.choice(self.readers).send(self._source.choice([1, 1, 4]))

    async def turn(self) -> None:
        await self._source.choice([trio.lowlevel.checkpoint, wait_all_tasks_blocked])()

    async def forget(self) -> None:
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
                count = len(await read(self.watched))
                self._stage.rounds.took(count)
                self.read += count


@pytest.mark.parametrize("seed", range(30))
async def test_whatever_happens_between_two_messages_each_of_them_is_read(seed: int) -> None:
    async with trio.open_nursery() as nursery:
        play = Play(random.Random(seed), nursery)
        await play.watch()
        for _ in range(300):
            await play.step()
        await settle(lambda: all(reader.read == reader.sent for reader in play.readers))
        await wait_all_tasks_blocked()
        assert not play.stage.rounds.is_open()
        nursery.cancel_scope.cancel()
    play.stage.close()


# Rounds that are stuck


async def test_rounds_are_overdue_when_none_is_held_although_a_socket_has_data() -> None:
    async with opened(HOUR, Estimate(True)) as (play, nursery):
        late = OVERDUE_AFTER + 1
        watched, far = await play.pair()
        assert [play.rounds.overdue(time) for time in (0, late, 2 * late)] == [None] * 3  # nothing has come
        far.send(b"x")
        assert [play.rounds.overdue(time) for time in (50, 50 + late)] == [None] * 2, "no round is to be held"
        await wait_all_tasks_blocked()
        await read(watched)
        nursery.start_soon(play.take, 0, watched)
        far.send(b"x")
        said = [play.rounds.overdue(time) for time in (100, 100 + late)]
        assert said == [None, "rounds: the sockets are not read"]
        play.held.cancel()
        await settle(lambda: play.woken == [0])
        assert [play.rounds.overdue(time) for time in (200, 200 + late)] == [None] * 2
