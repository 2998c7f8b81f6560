"""The log of the pauses that a venue asks for: what it said, and when they are over."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from feedbus.errors import RateLimited
from feedbus.feed.budgets import Hold
from feedbus.feed.pause_log import PauseLog

OVER = "the pause that the venue asked for is over"


class Pausing:
    def __init__(self) -> None:
        self.hold = Hold()
        self.log = PauseLog(logging.getLogger("feedbus.binance"), self.hold, lambda text: text.replace("s3cret", "***"))

    def asked(self, text: str, seconds: float, draw: float = 0.0) -> None:
        now, error = trio.current_time(), RateLimited(text, seconds)
        before = self.hold.left(now)
        self.log.asked(error, before, self.hold.obey(error, now, draw))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.log.run)
            yield
            nursery.cancel_scope.cancel()


@pytest.fixture
def it(caplog: pytest.LogCaptureFixture) -> Pausing:
    caplog.set_level(logging.INFO, "feedbus.binance")
    return Pausing()


def asked(what: str, text: str, seconds: float) -> str:
    return f"the venue asked for {what}: {text}; nobody of this feed asks it anything for {seconds:.1f} s"


def said(caplog: pytest.LogCaptureFixture) -> Sequence[str]:
    found = list(caplog.messages)
    caplog.clear()
    return found


async def test_each_pause_has_two_lines_with_the_text_of_the_error(
    it: Pausing, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    async with it.running():
        await trio.sleep(1)
        for seconds in (8, 30):
            it.asked("https://s3cret.example: HTTP 429", seconds, draw=0.7)
            await trio.sleep(seconds + 0.6)
            assert [record.levelname for record in caplog.records] == ["WARNING"]
            assert said(caplog) == [asked("a pause", "https://***.example: HTTP 429", seconds + 0.7)]
            await trio.sleep(0.2)
            assert [record.levelname for record in caplog.records] == ["INFO"]
            assert said(caplog) == [OVER]
        await trio.sleep(1000)
        assert said(caplog) == []


async def test_the_same_answer_to_what_was_under_way_has_no_line(
    it: Pausing, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    async with it.running():
        for number in range(8):
            it.asked("HTTP 429", 8, draw=number / 8)
            await trio.sleep(0.1)
        await trio.sleep(7.5)
        assert said(caplog) == [asked("a pause", "HTTP 429", 8)]
        await trio.sleep(2)
        assert said(caplog) == [OVER]


async def test_a_ban_within_a_pause_is_told_and_the_end_is_that_of_the_ban(
    it: Pausing, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    async with it.running():
        it.asked("HTTP 429", 10)
        await trio.sleep(4)
        it.asked("HTTP 418", 120)
        it.asked("HTTP 429", 10)
        await trio.sleep(119)
        assert said(caplog) == [asked("a pause", "HTTP 429", 10), asked("a longer pause", "HTTP 418", 120)]
        await trio.sleep(2)
        assert said(caplog) == [OVER]
