"""Whether an instrument is traded continuously, by what its venue last said. Pure."""

from __future__ import annotations

from collections.abc import Collection


class MarketPhase:
    """`continuous` says whether orders meet at once, so that no bid stands above an ask; None: the venue hasn't said.
    Without any `statuses` at which they do, they always do."""

    __slots__ = ("_status", "_statuses", "continuous")

    def __init__(self, statuses: Collection[str]) -> None:
        self._statuses = statuses
        self._status: str | None = None
        self.continuous: bool | None = None if statuses else True

    def said(self, status: str | None) -> None:
        """The venue said this trading status; None says nothing."""
        if status is not None and status != self._status and self._statuses:
            self._status = status
            self.continuous = status in self._statuses
