"""What verifies a feed: when it writes what is refused, with which names, and what it tells the connections."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from feedbus.feed.feed_logs import FeedLogs
from feedbus.feed.verifying import ABSENT_EVERY, EVERY, PATIENCE, Verifier
from feedbus.venues.protocol import Subscription

SBRE = Subscription("orderbooks", "TQBR.SBRE")
LINE = "the venue refuses orderbooks TQBR.SBRE: unknown"


class KnownList:
    missing: frozenset[str] = frozenset()
    is_awaited = False

    async def nearest(self, symbols: Sequence[str]) -> dict[str, list[str]]:
        await trio.lowlevel.checkpoint()
        return {symbol: ["TQBR.SBER"] for symbol in symbols}


class Line:
    def __init__(self) -> None:
        self.told: list[tuple[float, Collection[str]]] = []

    def absent(self, symbols: Collection[str]) -> None:
        self.told.append((trio.current_time(), symbols))


class Owner:
    def __init__(self, known: KnownList | None) -> None:
        self.instruments = known
        self.connectors: list[Any] = [Line(), Line()]
        self.logs = FeedLogs(logging.getLogger("feedbus.moex"), str, str)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Verifier(self).run)
            yield
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("known", "hint"), [(None, ""), (KnownList(), "; it lists TQBR.SBER")])
async def test_a_refusal_is_a_line_within_seconds(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, known: KnownList | None, hint: str
) -> None:
    owner = Owner(known)
    async with owner.running():
        owner.logs.refusals.refused(SBRE, "unknown", 0.0)
        await trio.sleep(3 * EVERY)
    assert caplog.messages == [LINE + hint]


async def test_a_refusal_waits_for_the_list_that_is_coming_and_not_for_ever(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    known = KnownList()
    known.is_awaited = True
    owner = Owner(known)
    async with owner.running():
        owner.logs.refusals.refused(SBRE, "unknown", 0.0)
        await trio.sleep(PATIENCE / 2)
        assert caplog.messages == []
        known.is_awaited = False
        await trio.sleep(2 * EVERY)
        assert len(caplog.messages) == 1
        known.is_awaited = True
        owner.logs.refusals.refused(SBRE, "no", trio.current_time())
        await trio.sleep(PATIENCE + 3 * EVERY)
        assert len(caplog.messages) == 2


async def test_all_connections_are_told_every_ten_seconds_what_is_not_listed(autojump_clock: MockClock) -> None:
    known = KnownList()
    known.missing = frozenset({"TQBR.SBRE"})
    owner = Owner(known)
    async with owner.running():
        await trio.sleep(2.5 * ABSENT_EVERY)
    for line in owner.connectors:
        assert [symbols for _, symbols in line.told] == [{"TQBR.SBRE"}] * 3
        assert line.told[2][0] - line.told[0][0] == 2 * ABSENT_EVERY
