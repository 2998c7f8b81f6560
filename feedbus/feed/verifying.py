"""Verifies what a feed subscribes: names what the venue refuses, and tells its connections which names don't exist.

Some venues confirm whatever they are asked for. So what the venue's list doesn't have is told to the Sessions every few
seconds: what they have confirmed of it, and never had data of, counts as refused until data comes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Protocol

import trio

from feedbus.feed.connector import Connector
from feedbus.feed.feed_logs import FeedLogs

EVERY = 1.0  # seconds
ABSENT_EVERY = 10.0  # seconds
PATIENCE = 10.0  # seconds that a line about a refusal waits for the first list of symbols


class SymbolList(Protocol):
    """What is known of the venue's list of symbols."""

    missing: frozenset[str]

    @property
    def is_awaited(self) -> bool:
        """Whether no list has come yet, and none was refused either."""

    async def nearest(self, symbols: Sequence[str]) -> Mapping[str, Sequence[str]] | None:
        """The nearest names that exist, by symbol; None without a list."""


class VerifyingOwner(Protocol):
    """What this part needs of its feed."""

    logs: FeedLogs
    connectors: list[Connector]

    @property
    def instruments(self) -> SymbolList | None:
        """What is known of the list; None where the venue isn't asked for it."""


class Verifier:
    """Runs for one feed."""

    def __init__(self, owner: VerifyingOwner) -> None:
        self._owner = owner
        self._absent_at = -inf  # when the connections are told next what doesn't exist

    async def run(self) -> None:
        """Look every second, until cancelled."""
        while True:
            await trio.sleep(EVERY)
            self._tell_absent()
            await self._write()

    def _tell_absent(self) -> None:
        known, now = self._owner.instruments, trio.current_time()
        if known is not None and now >= self._absent_at:
            self._absent_at = now + ABSENT_EVERY
            for connector in self._owner.connectors:
                connector.absent(known.missing)

    async def _write(self) -> None:
        log, known = self._owner.logs.refusals, self._owner.instruments
        if trio.current_time() < log.due + (PATIENCE if known is not None and known.is_awaited else 0.0):
            return
        near = None if known is None else await known.nearest(log.symbols())
        log.write(near, trio.current_time())
