"""The logs of one feed that sum up what happens often: connections, losses, requests, waits. Each is in a file of its
own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from math import inf
from types import MappingProxyType

from feedbus.feed.connection_log import ConnectionLog
from feedbus.feed.loss_log import LossLog
from feedbus.feed.refusal_log import RefusalLog
from feedbus.feed.request_log import RequestLog
from feedbus.feed.wait_log import CountedWaits, WaitLog


class FeedLogs:
    """`connections` has the ends and the logins of connections, `losses` what is got anew because it isn't right,
    `requests` what connections asked the venue for in vain, `refusals` what the venue refuses to send."""

    def __init__(
        self,
        log: logging.Logger,
        standing: Callable[[], str],
        clean: Callable[[str], str],
        budgets: Mapping[str, CountedWaits] = MappingProxyType({}),
    ) -> None:
        """`log` is the feed's. `standing` says how many connections are up; `clean` takes our secrets out of a text.
        `budgets` are the feed's, by name."""
        self.connections = ConnectionLog(log, standing)
        self.losses = LossLog(log)
        self.requests = RequestLog(log, clean)
        self.refusals = RefusalLog(log, clean)
        self._waits = WaitLog(log, budgets)

    def end_minute(self, now: float = inf) -> None:
        """Sum up the minutes that are over at `now` (monotonic seconds); without `now` they end here."""
        self.connections.end_minute(now)
        self.losses.end_minute(now)
        self.requests.end_minute(now)
        self.refusals.end_minute(now)
        self._waits.look(now)
