"""The shell around an Account, with an Account and a feed that the test plays, on a virtual clock."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import cast

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from feedbus.errors import TimedOut, VenueError
from feedbus.feed.account_shell import LATE, AccountShell
from feedbus.feed.fetching import Answered
from feedbus.venues.protocol import Account, AccountEffect, Fatal, Fetch, FetchResponse, Notice, Ready, WakeAt

TOKEN = Fetch("/refresh", "auth", "POST", b"secret")
GOOD = FetchResponse(200, b"", 1)


class FakeAccount:
    """Says what it is told to; notes what it was called with, and when."""

    venue = "fake"

    def __init__(self) -> None:
        self.calls: list[object] = []
        self.says: list[list[AccountEffect]] = []

    def start(self, now: float) -> Iterable[AccountEffect]:
        return self._say("start")

    def tick(self, now: float) -> Iterable[AccountEffect]:
        return self._say("tick")

    def fetched(self, fetch: Fetch, answer: FetchResponse | VenueError, now: float) -> Iterable[AccountEffect]:
        return self._say((fetch, answer))

    def _say(self, call: object) -> list[AccountEffect]:
        self.calls.append(call)
        return self.says.pop(0) if self.says else []


class FakeFeed:
    def __init__(self) -> None:
        self.asked: list[tuple[Fetch, Answered]] = []
        self.notices: list[str] = []
        self.failed: list[str] = []
        self.refused: list[str] = []
        self.changes = 0

    def fetch(self, fetch: Fetch, answered: Answered) -> None:
        self.asked.append((fetch, answered))

    def clean(self, text: str) -> str:
        return text.replace("s3cret", "***")

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def account_failed(self, reason: str) -> None:
        self.failed.append(reason)

    def account_refused(self, reason: str) -> float:
        self.refused.append(reason)
        return 900.0

    def account_changed(self) -> None:
        self.changes += 1


class Scene:
    def __init__(self, *says: list[AccountEffect]) -> None:
        self.account, self.feed = FakeAccount(), FakeFeed()
        self.account.says += says
        self.shell = AccountShell(cast("Account", self.account), self.feed)

    async def answer(self, answer: FetchResponse | VenueError, number: int = -1) -> None:
        self.feed.asked[number][1](answer)
        await wait_all_tasks_blocked()


async def begun(nursery: trio.Nursery, *says: list[AccountEffect]) -> Scene:
    scene = Scene(*says)
    await nursery.start(scene.shell.run)
    await wait_all_tasks_blocked()
    return scene


async def passes(clock: MockClock, seconds: float) -> None:
    clock.jump(seconds)
    await wait_all_tasks_blocked()


async def test_an_account_that_needs_nothing_is_ready_at_once(nursery: trio.Nursery, mock_clock: MockClock) -> None:
    scene = await begun(nursery, [Ready(), Notice("hm")])
    assert scene.shell.is_ready.is_set()
    assert (scene.feed.notices, scene.feed.asked, scene.account.calls) == (["hm"], [], ["start"])


async def test_an_answer_makes_it_ready_and_everybody_is_told(nursery: trio.Nursery, mock_clock: MockClock) -> None:
    scene = await begun(nursery, [TOKEN], [Ready(), WakeAt(1200.0)])
    assert [fetch for fetch, _ in scene.feed.asked] == [TOKEN]
    assert not scene.shell.is_ready.is_set()
    await scene.answer(GOOD)
    assert scene.shell.is_ready.is_set()
    assert (scene.feed.changes, scene.feed.failed) == (1, [])
    scene.account.says.append([TOKEN])
    await passes(mock_clock, 1199.9)
    assert len(scene.feed.asked) == 1
    await passes(mock_clock, 0.2)
    assert len(scene.feed.asked) == 2


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (TimedOut("late"), "timed_out: late"),
        (TimedOut("s3cret"), "timed_out: ***"),
        (FetchResponse(500, b"", 1), "an answer that can't be used (HTTP 500)"),
        (FetchResponse(200, b"", 1), "an answer that can't be used (HTTP 200)"),
    ],
)
async def test_an_answer_that_is_no_good_is_told_and_the_account_asks_again(
    nursery: trio.Nursery, mock_clock: MockClock, answer: FetchResponse | VenueError, said: str
) -> None:
    scene = await begun(nursery, [TOKEN], [WakeAt(3.0)], [TOKEN], [Ready()])
    await scene.answer(answer)
    assert scene.feed.failed == [said]
    await passes(mock_clock, 3.1)
    await scene.answer(GOOD)
    assert scene.shell.is_ready.is_set()


async def test_a_refused_account_is_started_again_after_the_feeds_pause(
    nursery: trio.Nursery, mock_clock: MockClock
) -> None:
    scene = await begun(nursery, [TOKEN], [Fatal("wrong token")], [TOKEN], [Ready()])
    waited_for = scene.shell.is_ready
    await scene.answer(FetchResponse(403, b"", 1))
    assert (scene.feed.refused, scene.feed.failed) == (["wrong token"], [])
    await passes(mock_clock, 899)
    assert len(scene.feed.asked) == 1
    await passes(mock_clock, 2)
    await scene.answer(GOOD, 0)  # of the first life: nobody's
    assert not scene.shell.is_ready.is_set()
    await scene.answer(GOOD)
    assert scene.shell.is_ready.is_set()
    assert waited_for.is_set()  # who waited from the beginning is woken, too


async def test_a_refusal_of_a_renewal_takes_readiness_back(nursery: trio.Nursery, mock_clock: MockClock) -> None:
    scene = await begun(nursery, [TOKEN], [Ready(), WakeAt(5.0)], [TOKEN], [Fatal("revoked")])
    await scene.answer(GOOD)
    await passes(mock_clock, 5.1)
    assert scene.shell.is_ready.is_set()
    await scene.answer(FetchResponse(403, b"", 1))
    assert not scene.shell.is_ready.is_set()


async def test_a_renewal_that_fails_is_told_while_the_old_token_is_good(
    nursery: trio.Nursery, mock_clock: MockClock
) -> None:
    scene = await begun(nursery, [TOKEN], [Ready(), WakeAt(5.0)], [TOKEN], [WakeAt(9.0)], [TOKEN], [WakeAt(99.0)])
    await scene.answer(GOOD)
    await passes(mock_clock, 5.1)
    await scene.answer(FetchResponse(500, b"", 1))
    assert scene.feed.failed == ["an answer that can't be used (HTTP 500)"]
    await passes(mock_clock, 4)
    await scene.answer(GOOD)
    assert len(scene.feed.failed) == 1
    assert scene.shell.is_ready.is_set()


async def test_what_was_due_before_a_refusal_is_not_overdue_after_it(
    nursery: trio.Nursery, mock_clock: MockClock
) -> None:
    scene = await begun(nursery, [TOKEN], [Ready(), WakeAt(1200.0)], [TOKEN], [Fatal("revoked")])
    await scene.answer(GOOD)
    await passes(mock_clock, 1000)
    scene.shell.due()
    await wait_all_tasks_blocked()
    await scene.answer(FetchResponse(403, b"", 1))
    assert scene.feed.refused == ["revoked"]
    await passes(mock_clock, 500)
    assert scene.shell.overdue(1500.0) is None


async def test_a_session_may_ask_for_its_tick(nursery: trio.Nursery, mock_clock: MockClock) -> None:
    scene = await begun(nursery, [Ready(), WakeAt(50.0)], [], [])
    await passes(mock_clock, 1)
    scene.shell.due()
    await wait_all_tasks_blocked()
    assert scene.account.calls == ["start", "tick"]
    await passes(mock_clock, 50)
    assert scene.account.calls == ["start", "tick", "tick"]


async def test_it_is_overdue_only_when_its_timer_is_late(nursery: trio.Nursery, mock_clock: MockClock) -> None:
    scene = await begun(nursery, [Ready(), WakeAt(10.0)])
    assert scene.shell.overdue(10.0 + LATE) is None
    assert scene.shell.overdue(10.1 + LATE) == "fake: the account makes no progress"
    await passes(mock_clock, 11)
    assert scene.shell.overdue(inf) is None
