"""Carries the faults of a schedule out, each at its time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import trio

from feedbus.testing.truth.faults import Fault, FaultKind, Schedule
from feedbus.testing.truth.lines import SimulatedLine
from feedbus.testing.truth.network import Network
from feedbus.testing.truth.oracle import Oracle
from feedbus.testing.truth.venue import ProbedVenue


class Sabotaged(Protocol):
    """What the saboteur needs of the world besides its network."""

    @property
    def venue(self) -> ProbedVenue: ...

    @property
    def network(self) -> Network: ...

    @property
    def oracle(self) -> Oracle: ...

    def true_ns(self) -> int:
        """The venue's clock."""

    def set_clock(self, seconds: float) -> None:
        """Set the feed's clock forward or back."""

    def end_process(self, seconds: float, *, kill: bool) -> None:
        """Kill or stop the process, and start it again after so many seconds."""


class Saboteur:
    """Carries faults out in one world."""

    def __init__(self, world: Sabotaged, schedule: Schedule) -> None:
        self._world = world
        self._faults = schedule.faults
        self._everywhere: Mapping[FaultKind, Callable[[Fault, float], None]] = {
            "refuse": self._refuse,
            "ban": self._ban,
            "login_refused": self._refuse_logins,
            "clock_step": lambda fault, _: world.set_clock(fault.amount),
            "restart": lambda fault, _: world.end_process(fault.lasts, kill=True),
            "stop": lambda fault, _: world.end_process(fault.lasts, kill=False),
        }
        self._of_lines: Mapping[FaultKind, Callable[[Fault, SimulatedLine, float], None]] = {
            "reset": lambda _, line, __: world.network.reset(line),
            "crash": lambda _, line, __: world.network.reset(
                line, ZeroDivisionError("a bug that the simulation makes")
            ),
            "half_open": lambda _, line, now: line.die(now),
            "mute_all": lambda _, line, __: line.mute(),
            "mute_one": lambda fault, line, _: line.mute_one(fault.place),
            "slow": lambda fault, line, now: line.slow_down(fault.amount, now + fault.lasts),
        }

    async def run(self) -> None:
        """Carry all of them out."""
        async with trio.open_nursery() as nursery:
            for fault in self._faults:
                await trio.sleep_until(fault.at)
                self.carry_out(fault, nursery)

    def carry_out(self, fault: Fault, nursery: trio.Nursery) -> None:
        """Carry out a fault now. What it does later runs in this nursery."""
        network, now = self._world.network, trio.current_time()
        self._world.oracle.fault = fault.kind
        if (everywhere := self._everywhere.get(fault.kind)) is not None:
            everywhere(fault, now)
            if fault.kind == "login_refused":
                nursery.start_soon(self._accept_logins, now + fault.lasts)
        elif (of_line := self._of_lines.get(fault.kind)) is not None:
            lines = network.open_lines()
            if lines:
                of_line(fault, lines[fault.place % len(lines)], now)
        else:
            symbols = self._world.venue.symbols
            network.arm(fault.kind, symbols[fault.place % len(symbols)], fault.count)

    def _refuse(self, fault: Fault, now: float) -> None:
        self._world.network.refuse(now + fault.lasts)

    def _ban(self, fault: Fault, now: float) -> None:
        self._world.venue.ban(fault.lasts, self._world.true_ns())
        self._world.network.ban(now + fault.lasts)

    def _refuse_logins(self, _fault: Fault, _now: float) -> None:
        self._world.venue.refuse_logins(refused=True)
        self._world.network.reset_all()

    async def _accept_logins(self, when: float) -> None:
        await trio.sleep_until(when)
        self._world.venue.refuse_logins(refused=False)
