"""Each kind of fault, carried out alone in a small world: it does something, and all is well again."""

from __future__ import annotations

import random

import pytest
import trio

from feedbus.testing.determinism import run_deterministically
from feedbus.testing.truth.faults import KINDS, Fault, FaultKind, Schedule
from feedbus.testing.truth.saboteur import Saboteur
from feedbus.testing.truth.world import World


def world_of(source: random.Random) -> World:
    return World(Schedule(1, "moex", (), seconds=30.0, connections=2, tickers=4, tempo=1.0), source)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_fault_is_carried_out(kind: FaultKind) -> None:
    async def play(source: random.Random) -> None:
        world = world_of(source)
        calls: list[str] = []
        for name in ("set_clock", "end_process"):
            setattr(world, name, lambda *_, name=name, **__: calls.append(name))
        for name in ("refuse", "ban", "reset_all", "reset", "arm"):
            setattr(world.network, name, lambda *_, name=name, **__: calls.append(name))
        saboteur = Saboteur(world, world.schedule)
        async with trio.open_nursery() as nursery:
            saboteur.carry_out(Fault(kind, 0.0, lasts=1.0, amount=1.0), nursery)
        assert world.oracle.fault == kind
        found.append((kind, calls))

    found: list[tuple[str, list[str]]] = []
    run_deterministically(play, seed=1)
    expected = {
        "refuse": ["refuse"],
        "ban": ["ban"],
        "login_refused": ["reset_all"],
        "clock_step": ["set_clock"],
        "restart": ["end_process"],
        "stop": ["end_process"],
    }
    without_a_line = ["reset", "crash", "half_open", "mute_all", "mute_one", "slow"]
    assert found == [(kind, expected.get(kind, [] if kind in without_a_line else ["arm"]))]
