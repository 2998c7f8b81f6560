"""The shell around an Account: carries out its Fetches and timers, and says when connections may be made.

An Account that the venue refuses is started again when its feed says so, and connections wait meanwhile. What it holds
for them (a token) is its own business: whenever an answer has come, everybody who may wait for it is told.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from functools import partial
from math import inf
from typing import Protocol

import trio

from feedbus.errors import VenueError
from feedbus.feed.fetching import Answered
from feedbus.venues.protocol import Account, AccountEffect, Fatal, Fetch, FetchResponse, Notice, Ready, WakeAt

LATE = 5.0  # seconds by which its timer may be late


class AccountOwner(Protocol):
    """What the account needs of its feed."""

    def fetch(self, fetch: Fetch, answered: Answered) -> None:
        """Ask the venue over HTTP."""

    def notice(self, text: str) -> None:
        """Something that an operator should read once."""

    def account_failed(self, reason: str) -> None:
        """An answer is missing, or is no good; the Account asks again by itself."""

    def account_refused(self, reason: str) -> float:
        """The venue refuses the credentials: seconds until the next attempt."""

    def account_changed(self) -> None:
        """An answer has come: what sessions wait for may be there."""


class AccountShell:
    """Runs one Account. `is_ready` is set while connections may be made."""

    def __init__(self, account: Account, owner: AccountOwner) -> None:
        self.is_ready = trio.Event()
        self._account = account
        self._owner = owner
        self._answers: deque[tuple[Fetch, FetchResponse | VenueError]] = deque()
        self._poked = trio.Event()
        self._asked = False  # a Session wants the Account's tick
        self._wake_at = inf
        self._life = 0  # answers to an earlier start are nobody's

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled."""
        task_status.started()
        try:
            while True:
                self._begin()
                pause = self._carry_out(self._account.start(trio.current_time()))
                while pause is None:
                    pause = self._carry_out(await self._next())
                self._wake_at = inf  # nothing is due before it is started again
                await trio.sleep(pause)
        finally:
            self._wake_at = inf

    def due(self) -> None:
        """A Session told the Account something that it has to act upon."""
        self._asked = True
        self._poked.set()

    def overdue(self, now: float) -> str | None:
        """What it should have done by `now` (trio's clock) and has not; None while it is on time."""
        return f"{self._account.venue}: the account makes no progress" if now > self._wake_at + LATE else None

    def _begin(self) -> None:
        self._life += 1
        self._wake_at = inf
        self._asked = False
        self._answers.clear()

    async def _next(self) -> Iterable[AccountEffect]:
        """Wait for an answer, for the timer, or for a Session; what the Account says to it."""
        if not self._answers and not self._asked:
            with trio.move_on_at(self._wake_at):
                await self._poked.wait()
        self._poked = trio.Event()
        now = trio.current_time()
        if self._answers:
            fetch, answer = self._answers.popleft()
            effects = list(self._account.fetched(fetch, answer, now))
            self._tell(answer, effects)
            return effects
        if now >= self._wake_at:
            self._wake_at = inf
        self._asked = False
        return self._account.tick(now)

    def _tell(self, answer: FetchResponse | VenueError, effects: list[AccountEffect]) -> None:
        judged = any(isinstance(effect, Ready | Fatal) for effect in effects)
        if isinstance(answer, VenueError):
            self._owner.account_failed(self._account.clean(f"{answer.cause}: {answer}"))
        elif not judged and (answer.status >= 300 or not self.is_ready.is_set()):
            self._owner.account_failed(f"an answer that can't be used (HTTP {answer.status})")
        self._owner.account_changed()

    def _carry_out(self, effects: Iterable[AccountEffect]) -> float | None:
        """Do what the Account orders; the pause before it is to be started again, if it is."""
        for effect in effects:
            match effect:
                case Fetch():
                    self._owner.fetch(effect, partial(self._answered, self._life, effect))
                case WakeAt(when):
                    self._wake_at = when
                case Ready():
                    self.is_ready.set()
                case Notice(text):
                    self._owner.notice(self._account.clean(text))
                case Fatal(reason):
                    if self.is_ready.is_set():
                        self.is_ready = trio.Event()
                    return self._owner.account_refused(self._account.clean(reason))
        return None

    def _answered(self, life: int, fetch: Fetch, answer: FetchResponse | VenueError) -> None:
        if life == self._life:
            self._answers.append((fetch, answer))
            self._poked.set()
