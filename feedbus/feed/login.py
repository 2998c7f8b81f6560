"""Decides which connector of an account may try to log in.

Until the venue has accepted the credentials, only one connector at a time tries. Otherwise a wrong password would cost
one attempt for each connection, and the venue might lock the account. Once the credentials are accepted, every
connector may log in. After the venue has refused them, one connector tries again every `retry` seconds.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

JITTER = 0.1  # the fraction by which the pause after refused credentials varies at random


class LoginGate:
    """The gate that all connectors of one account pass before they log in. `holder` identifies a connector."""

    def __init__(self, retry: float, draw: Callable[[], float]) -> None:
        self.accepted = False
        self.refused: str | None = None  # the venue's reason for refusing the credentials, if it does
        self.retry_at = 0.0
        self._retry = retry
        self._draw = draw
        self._holder: object | None = None  # the connector that tries while the others wait
        self._changed = trio.Event()

    def must_wait(self) -> bool:
        """Whether another connector is trying, and its result has to be waited for."""
        return not self.accepted and self._holder is not None

    def may_try(self, holder: object) -> bool:
        """Whether this connector may still log in, which it had a turn for before."""
        return self.accepted or self._holder is holder

    async def turn(self, holder: object) -> None:
        """Wait until this connector may log in.

        After a refusal, one connector waits for the pause to end and then tries. It looks at the state again whenever
        that changes: a connection whose handshake was under way may be let in meanwhile, or be refused anew.
        """
        while not self.accepted:
            if self._holder is None:
                self._holder = holder
            if self._holder is not holder:
                await self._changed.wait()
            elif self.refused is None or await self._waited():
                return
        await trio.lowlevel.checkpoint()

    async def _waited(self) -> bool:
        """Wait out the pause after a refusal. Returns False when the state has changed before its end."""
        with trio.move_on_at(self.retry_at):
            await self._changed.wait()
            return False
        return True

    def accept(self) -> None:
        """The venue has accepted the credentials: from now on every connector may log in."""
        if not self.accepted:
            self.accepted, self.refused = True, None
            self._wake()

    def refuse(self, reason: str, now: float) -> float:
        """The venue has refused the credentials at the time `now`. Returns the pause before the next attempt, in
        seconds.
        """
        pause = self._retry * (1 + JITTER * (2 * self._draw() - 1))
        self.accepted, self.refused, self.retry_at = False, reason, now + pause
        self._wake()
        return pause

    def release(self, holder: object) -> None:
        """This connector's attempt ended before the venue judged the credentials: let another one try."""
        if self._holder is holder:
            self._wake()

    def _wake(self) -> None:
        """Let all waiting connectors look at the state again."""
        self._holder = None
        self._changed.set()
        self._changed = trio.Event()
