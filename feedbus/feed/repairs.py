"""Carries out the repairs of one feed: each second it is told what is in trouble, and does what the ladder orders.

Every repair is counted by the ladder and logged with what it does. Those of single instruments are logged by the
connection that carries them out, which sums them up where there are many.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from typing import Protocol

import trio

from feedbus.errors import Stuck
from feedbus.feed.connector import Connector
from feedbus.feed.trust_shell import TrustShell
from feedbus.schema.connections import UP_STATES
from feedbus.trust.judge import WordTrouble
from feedbus.trust.ladder import LineFacts, Repair, RepairLadder
from feedbus.venues.protocol import Subscription


class RepairOwner(Protocol):
    """What the repairs need of their feed."""

    name: str
    trust: TrustShell
    connectors: list[Connector]

    @property
    def per_connection(self) -> int:
        """How many symbols a connection may carry."""

    async def restart(self, connector: Connector) -> None:
        """Stop the actor of this connection and start it again."""


class Repairs:
    """The repairs of one feed. `ladder` decides and counts."""

    def __init__(self, owner: RepairOwner) -> None:
        self.ladder = RepairLadder()
        self._owner = owner
        self._restarts: deque[Connector] = deque()  # to be restarted; each at most once
        self._gives_up = ""
        self._wake = trio.Event()
        self._log = logging.getLogger(f"feedbus.{owner.name}")

    async def run(self) -> None:
        """Restart connectors as they are ordered, until cancelled. Raises Stuck when the ladder gives the feed up."""
        self._gives_up = ""
        self._restarts.clear()
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            while self._restarts:
                await self._owner.restart(self._restarts.popleft())
            if self._gives_up:
                raise Stuck(f"{self._owner.name}: {self._gives_up}, and no repair has helped")

    def mend(self, troubles: Sequence[WordTrouble]) -> None:
        """Do what the ladder orders about these troubles, which are all that there are now."""
        by_name = {each.name: each for each in self._owner.connectors}
        lines = {
            name: LineFacts(
                len(each.symbols), each.state in UP_STATES, max(0, self._owner.per_connection - len(each.symbols))
            )
            for name, each in by_name.items()
        }
        for repair in self.ladder.climb(troubles, lines, trio.current_time()):
            self._carry_out(repair, by_name)

    def _carry_out(self, repair: Repair, by_name: dict[str, Connector]) -> None:
        line, symbol, why = repair.line, repair.symbol, repair.why
        match repair.rung:
            case "resubscribe":
                by_name[line].resubscribe([Subscription(channel, symbol) for channel in repair.channels], why)
            case "move":
                self._log.warning("repair: %s moves from %s to %s, because its %s", symbol, line, repair.to, why)
                self._move(symbol, by_name[line], by_name[repair.to])
            case "recycle":
                self._log.warning("repair: %s is connected anew, because %s", line, why)
                by_name[line].recycle(why)
            case "restart":
                self._log.error("repair: %s is restarted, because %s, and a new connection hasn't helped", line, why)
                self._restarts.append(by_name[line])
                self._wake.set()
            case "give_up":
                self._log.error("repair: the feed is given up and begins anew, because %s, and nothing has helped", why)
                self._gives_up = why
                self._wake.set()

    def _move(self, symbol: str, old: Connector, new: Connector) -> None:
        self._owner.trust.moves(symbol, new.name)
        old.give([symbol])
        new.take([symbol])
