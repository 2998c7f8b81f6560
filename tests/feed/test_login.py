"""Who may try to log in, and when."""

from __future__ import annotations

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from feedbus.feed.login import LoginGate


async def note_turn(gate: LoginGate, name: str, turns: list[tuple[str, float]]) -> None:
    await gate.turn(name)
    turns.append((name, trio.current_time()))


async def test_one_tries_first_and_the_others_follow_when_it_was_let_in(autojump_clock: MockClock) -> None:
    gate = LoginGate(900.0, lambda: 0.5)
    turns: list[tuple[str, float]] = []
    async with trio.open_nursery() as nursery:
        for name in ("a", "b", "c"):
            nursery.start_soon(note_turn, gate, name, turns)
            await wait_all_tasks_blocked()
        assert turns == [("a", 0.0)]
        gate.accept()
    assert sorted(name for name, _ in turns) == ["a", "b", "c"]


async def test_after_a_refusal_one_tries_when_the_pause_is_over(autojump_clock: MockClock) -> None:
    gate = LoginGate(900.0, lambda: 0.5)
    await gate.turn("a")
    assert gate.refuse("Access denied", trio.current_time()) == 900.0
    turns: list[tuple[str, float]] = []
    async with trio.open_nursery() as nursery:
        for name in ("a", "b", "c"):
            nursery.start_soon(note_turn, gate, name, turns)
            await wait_all_tasks_blocked()
        await trio.sleep(899)
        assert turns == []
        await trio.sleep(10)
        assert [at for _, at in turns] == [900.0]
        gate.refuse("Access denied", trio.current_time())
        await trio.sleep(901)
        assert len(turns) == 2
        nursery.cancel_scope.cancel()


async def test_who_waits_out_a_refusal_goes_on_at_once_when_another_is_let_in(autojump_clock: MockClock) -> None:
    gate = LoginGate(900.0, lambda: 0.5)
    gate.refuse("Access denied", trio.current_time())  # by one connection, while b has its handshake under way
    turns: list[tuple[str, float]] = []
    async with trio.open_nursery() as nursery:
        for name in ("a", "c"):
            nursery.start_soon(note_turn, gate, name, turns)
            await wait_all_tasks_blocked()
        await trio.sleep(2)
        gate.accept()  # b was let in
    assert sorted(turns) == [("a", 2.0), ("c", 2.0)]


async def test_a_second_refusal_while_one_waits_still_lets_only_one_try(autojump_clock: MockClock) -> None:
    gate = LoginGate(900.0, lambda: 0.5)
    gate.refuse("Access denied", trio.current_time())
    turns: list[tuple[str, float]] = []
    async with trio.open_nursery() as nursery:
        for name in ("a", "c"):
            nursery.start_soon(note_turn, gate, name, turns)
            await wait_all_tasks_blocked()
        await trio.sleep(100)
        gate.refuse("Access denied", trio.current_time())
        await trio.sleep(2000)
        assert [at for _, at in turns] == [1000.0]
        nursery.cancel_scope.cancel()


async def test_the_pause_is_jittered_by_a_tenth() -> None:
    assert LoginGate(900.0, lambda: 0.0).refuse("no", 0.0) == 810.0
    assert round(LoginGate(900.0, lambda: 1.0).refuse("no", 0.0), 6) == 990.0


async def test_another_one_tries_when_the_first_gave_up(autojump_clock: MockClock) -> None:
    gate = LoginGate(900.0, lambda: 0.5)
    await gate.turn("a")
    turns: list[tuple[str, float]] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(note_turn, gate, "b", turns)
        await wait_all_tasks_blocked()
        gate.release("c")  # it was never its turn
        await wait_all_tasks_blocked()
        assert turns == []
        gate.release("a")
    assert turns == [("b", 0.0)]


async def test_a_waiting_prober_that_is_cancelled_leaves_the_turn_to_another(autojump_clock: MockClock) -> None:
    gate = LoginGate(900.0, lambda: 0.5)
    gate.refuse("Access denied", trio.current_time())
    turns: list[tuple[str, float]] = []
    with trio.move_on_after(100):
        try:
            await gate.turn("a")
        finally:
            gate.release("a")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(note_turn, gate, "b", turns)
    assert turns == [("b", 900.0)]
