"""For how long publishers are said to have been silent, on given clocks, and by subscriptions on a real bus."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from feedbus.bus.hearing import LONGEST_STEP, LOOK_EVERY, SILENT_AFTER, Hearing
from feedbus.bus.nng import PubSocket
from feedbus.bus.publisher import BEAT_EVERY, Publisher
from feedbus.bus.subscriber import BusSubscription, SyncSubscription, subscribe, subscribe_sync
from feedbus.schema.events import Trade

PATIENCE = 10.0


def test_two_heartbeats_and_a_half_may_be_missed_and_a_pause_alone_is_never_as_long() -> None:
    assert SILENT_AFTER == 2.5 * BEAT_EVERY
    assert BEAT_EVERY + LONGEST_STEP < SILENT_AFTER
    assert LOOK_EVERY < LONGEST_STEP


def looked(hearing: Hearing, *times: float) -> list[float | None]:
    """What is said of the publisher `a` after each look that finds nothing."""
    said = []
    for now in times:
        hearing.nothing_unread(now)
        said.append(hearing.silent_for("a"))
    return said


def test_silence_is_the_time_since_anything_came() -> None:
    hearing = Hearing()
    assert looked(hearing, 100.0, 101.0) == [None, None]
    hearing.read(["a"], 101.5)
    assert looked(hearing, 102.0, 103.0, 104.0) == [0.5, 1.5, 2.5]
    hearing.read(["b"], 104.5)
    assert looked(hearing, 105.0) == [3.5]
    assert hearing.silent_for("b") == 0.5
    hearing.read(["b", "a"], 105.0)
    assert looked(hearing, 105.5) == [0.5]


def test_what_is_not_read_yet_is_not_missed() -> None:
    hearing = Hearing()
    hearing.read(["a"], 0.0)
    assert looked(hearing, 1.0) == [1.0]
    for now in range(2, 10):  # it reads what b said meanwhile, and never finds nothing
        hearing.read(["b"], now)
        assert hearing.silent_for("a") == 1.0
    assert looked(hearing, 9.5) == [9.5]


def test_a_time_in_which_nobody_looked_accuses_nobody() -> None:
    hearing = Hearing()
    hearing.read(["a"], 0.0)
    (silent,) = looked(hearing, 3600.0)
    assert silent is not None
    assert silent < SILENT_AFTER - BEAT_EVERY
    hearing.read(["a"], 7200.0)
    assert looked(hearing, 7200.5) == [0.5]
    assert looked(hearing, 7200.0, 7200.5) == [0.5, 1.0], "a clock that goes back"


def test_each_silence_is_told_of_once_and_a_word_ends_it() -> None:
    hearing = Hearing()
    hearing.read(["a", "b"], 0.0)
    told = []
    for tenth in range(0, 101, 5):
        now = tenth / 10
        if now in (1.0, 2.0, 3.0, 6.0):
            hearing.read(["b"], now)
        hearing.nothing_unread(now)
        told += [(now, name) for name in hearing.fallen_silent()]
    assert told == [(2.5, "a"), (5.5, "b"), (8.5, "b")]


def test_a_silence_is_not_told_of_while_something_is_unread_or_after_a_pause() -> None:
    hearing = Hearing()
    hearing.read(["a", "b"], 0.0)
    for now in range(1, 10):
        hearing.read(["b"], now)
        assert hearing.fallen_silent() == []
    hearing.nothing_unread(9.0)
    assert hearing.fallen_silent() == ["a"]
    hearing = Hearing()
    hearing.read(["a"], 0.0)
    hearing.nothing_unread(3600.0)
    assert hearing.fallen_silent() == []


def test_the_next_look_is_when_somebody_may_have_fallen_silent() -> None:
    hearing = Hearing()
    assert hearing.next_look() == LOOK_EVERY
    hearing.read(["a"], 0.0)
    hearing.read(["b"], 1.0)
    assert hearing.next_look() == LOOK_EVERY
    hearing.nothing_unread(2.2)
    assert hearing.next_look() == pytest.approx(0.3)
    hearing.nothing_unread(2.5)
    assert hearing.fallen_silent() == ["a"]
    assert hearing.next_look() == LOOK_EVERY
    hearing.nothing_unread(3.5 - 1e-9)
    assert 0 < hearing.next_look() < 0.1


# On a real bus


async def until(so: Callable[[], bool]) -> None:
    """Ask again and again, as a screen does, until it is so."""
    while not so():  # noqa: ASYNC110 (nothing tells that nothing comes)
        await trio.sleep(0.02)


def silent(subscription: BusSubscription | SyncSubscription, publisher: str) -> bool:
    return (subscription.silent_for(publisher) or 0.0) > SILENT_AFTER


async def read(subscription: BusSubscription) -> None:
    while True:
        await subscription.next_batch()


def trade() -> Trade:
    return Trade("moex", "SBER", 1, 2, 300.5, 10.0, "buy", 1)


async def test_heartbeats_and_messages_end_the_silence_of_their_publisher_alone(
    ipc: str, nursery: trio.Nursery
) -> None:
    sink = PubSocket(ipc)
    with trio.fail_after(PATIENCE):
        async with subscribe(ipc) as subscription:
            nursery.start_soon(read, subscription)
            one, other = (Publisher(name, sink, linger=0) for name in ("one", "other"))
            while len(subscription.publishers()) < 2:
                one.publish([trade()])
                other.beat()
                await trio.sleep(0.01)
            assert subscription.silent_for("nobody") is None
            assert subscription.why_away() == ""
            nursery.start_soon(one.run)
            await until(lambda: silent(subscription, "other"))
            assert not silent(subscription, "one")
            other.publish([trade()])
            await until(lambda: not silent(subscription, "other"))
            sink.close()
            await until(lambda: subscription.why_away() != "")
            assert subscription.why_away() == f"nobody listens at {ipc}: there is no such socket"
            nursery.cancel_scope.cancel()


async def test_what_a_reader_leaves_unread_counts_as_said(ipc: str, autojump_clock: MockClock) -> None:
    sink = PubSocket(ipc)
    async with subscribe(ipc) as subscription:
        publisher = Publisher("moex", sink, linger=0)
        while not subscription.publishers():
            publisher.publish([trade()])
            with trio.move_on_after(0.1):
                await subscription.next_batch()
        publisher.beat()
        while not subscription._socket.has_messages():
            await wait_all_tasks_blocked()
        for _ in range(20):
            await trio.sleep(1.0)
            assert not silent(subscription, "moex")
        with trio.move_on_after(0.1):
            await subscription.next_batch()
            await subscription.next_batch()
        for _ in range(3):
            await trio.sleep(1.0)
            subscription.silent_for("moex")
        assert silent(subscription, "moex")
    sink.close()


async def test_a_plain_program_may_ask_too(ipc: str) -> None:
    sink = PubSocket(ipc)
    publisher = Publisher("moex", sink, linger=0)
    with trio.fail_after(PATIENCE), subscribe_sync(ipc) as subscription:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(publish, publisher)
            await trio.to_thread.run_sync(next, subscription)
            nursery.cancel_scope.cancel()
        said = subscription.silent_for("moex")
        assert said is not None
        assert said < SILENT_AFTER
        while subscription._socket.has_messages():
            subscription.next_batch()
        await until(lambda: silent(subscription, "moex"))
        assert subscription.why_away() == ""
    sink.close()


async def publish(publisher: Publisher) -> None:
    while True:
        publisher.publish([trade()])
        await trio.sleep(0.01)
