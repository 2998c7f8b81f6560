"""The shell around an Account: carries out its Fetches and timers, and says when connections may be made.

When the venue refuses the credentials, the Account is started again after a pause that its feed chooses, and no
connection is made until then. What an Account keeps for its Sessions, such as a token, is not known here. So after
every answer all connectors are told that something may have changed, and their Sessions look for themselves.
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

LATE = 5.0  # seconds after its time at which the Account's timer counts as overdue


class AccountOwner(Protocol):
    """What the shell of an Account needs of its feed."""

    def fetch(self, fetch: Fetch, answered: Answered) -> None:
        """Ask the venue over HTTP; `answered` is called once, later, with the answer or an error."""

    def clean(self, text: str) -> str:
        """A text that came from outside, without our secrets."""

    def notice(self, text: str) -> None:
        """Log a text that an operator should read, once."""

    def account_failed(self, reason: str) -> None:
        """A request failed, or its answer can't be used. The Account asks again by itself."""

    def account_refused(self, reason: str) -> float:
        """The venue refused the credentials; returns the pause before the next attempt, in seconds."""

    def account_changed(self) -> None:
        """An answer has been given to the Account, so what Sessions wait for may be there now."""


class AccountShell:
    """Runs one Account. The event `is_ready` is set while connections may be made; it is replaced when they no longer
    may.
    """

    def __init__(self, account: Account, owner: AccountOwner) -> None:
        self.is_ready = trio.Event()
        self._account = account
        self._owner = owner
        self._answers: deque[tuple[Fetch, FetchResponse | VenueError]] = deque()
        self._poked = trio.Event()
        self._asked = False  # whether a Session has told the Account something, so that its `tick` is to be called
        self._wake_at = inf
        self._life = 0  # how often the Account was started: answers to requests of an earlier start are dropped

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run the Account until cancelled."""
        task_status.started()
        try:
            while True:
                self._begin()
                pause = self._carry_out(self._account.start(trio.current_time()))
                while pause is None:
                    pause = self._carry_out(await self._next())
                self._wake_at = inf  # the Account has no deadline until it is started again
                await trio.sleep(pause)
        finally:
            self._wake_at = inf

    def due(self) -> None:
        """Call the Account's `tick` soon: a Session has told it something that it has to act on."""
        self._asked = True
        self._poked.set()

    def overdue(self, now: float) -> str | None:
        """What should have been done by `now` (trio's clock) and was not; None when nothing is late."""
        return f"{self._account.venue}: the account makes no progress" if now > self._wake_at + LATE else None

    def _begin(self) -> None:
        self._life += 1
        self._wake_at = inf
        self._asked = False
        self._answers.clear()

    async def _next(self) -> Iterable[AccountEffect]:
        """Wait for an answer, for the timer or for a Session, and return what the Account orders then."""
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
        """Tell the feed that an answer has come, and whether it was of no use."""
        judged = any(isinstance(effect, Ready | Fatal) for effect in effects)
        if isinstance(answer, VenueError):
            self._owner.account_failed(self._owner.clean(f"{answer.cause}: {answer}"))
        elif not judged and (answer.status >= 300 or not self.is_ready.is_set()):
            self._owner.account_failed(f"an answer that can't be used (HTTP {answer.status})")
        self._owner.account_changed()

    def _carry_out(self, effects: Iterable[AccountEffect]) -> float | None:
        """Do what the Account orders. Returns the pause in seconds before the Account is to be started again, or
        None.
        """
        for effect in effects:
            match effect:
                case Fetch():
                    self._owner.fetch(effect, partial(self._answered, self._life, effect))
                case WakeAt(when):
                    self._wake_at = when
                case Ready():
                    self.is_ready.set()
                case Notice(text):
                    self._owner.notice(self._owner.clean(text))
                case Fatal(reason):
                    if self.is_ready.is_set():
                        self.is_ready = trio.Event()
                    return self._owner.account_refused(self._owner.clean(reason))
        return None

    def _answered(self, life: int, fetch: Fetch, answer: FetchResponse | VenueError) -> None:
        if life == self._life:
            self._answers.append((fetch, answer))
            self._poked.set()
