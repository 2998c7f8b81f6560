"""Who may try to log in: one connector at first, all once the venue took the credentials, one now and then after
it refused them. So a wrong password costs one attempt every `retry` seconds, not one per connection.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

JITTER = 0.1  # of the pause between two attempts with refused credentials


class LoginGate:
    """Shared by the connectors of one account. `holder` is whatever names a connector."""

    def __init__(self, retry: float, draw: Callable[[], float]) -> None:
        self.accepted = False
        self.refused: str | None = None  # the venue's reason
        self.retry_at = 0.0
        self._retry = retry
        self._draw = draw
        self._holder: object | None = None  # who tries for all
        self._changed = trio.Event()

    def must_wait(self) -> bool:
        """True while somebody else tries for all."""
        return not self.accepted and self._holder is not None

    async def turn(self, holder: object) -> None:
        """Wait until `holder` may try; after a refusal it is one holder that waits out the pause and tries."""
        while not self.accepted:
            if self._holder is None:
                self._holder = holder
                if self.refused is not None:
                    await trio.sleep_until(self.retry_at)
                return
            await self._changed.wait()
        await trio.lowlevel.checkpoint()

    def accept(self) -> None:
        """The venue took the credentials: everybody may connect."""
        if not self.accepted:
            self.accepted, self.refused = True, None
            self._wake()

    def refuse(self, reason: str, now: float) -> float:
        """The venue refused the credentials: the pause until the next attempt, in seconds."""
        pause = self._retry * (1 + JITTER * (2 * self._draw() - 1))
        self.accepted, self.refused, self.retry_at = False, reason, now + pause
        self._wake()
        return pause

    def release(self, holder: object) -> None:
        """`holder` gave up before the venue said anything: another one may try."""
        if self._holder is holder:
            self._wake()

    def _wake(self) -> None:
        self._holder = None
        self._changed.set()
        self._changed = trio.Event()
