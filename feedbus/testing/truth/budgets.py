"""The budgets of the feed in a simulation, and whether the venue has counted more than they allow. Pure.

MOEX and ALOR publish none of these limits, so the feed is given some by its configuration, tight enough to make it wait
at the start and after every cut. The simulated venue doesn't enforce them: it only counts, and so does it once more and
in another way than the feed itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from feedbus.config.model import BudgetConfig, BudgetsConfig
from feedbus.sim.seam import ServerCounters
from feedbus.testing.truth.faults import Schedule

CONNECTS_S = 20.0
"""Seconds in which attempts to connect are counted."""
SENDS_S = 1.0
"""Seconds in which messages and requests to subscribe are counted."""
COUNTED: Mapping[str, Any] = {"messages_s": SENDS_S, "subscribes_s": SENDS_S, "connects_s": CONNECTS_S}
"""The options of a simulated venue that counts as these budgets do."""


def budgets_of(schedule: Schedule) -> BudgetsConfig:
    """Every connection may try twice in CONNECTS_S, and as many messages and requests may be sent in a second as a
    connection, and all of them, have instruments."""
    each = -(-schedule.tickers // schedule.connections)
    return BudgetsConfig(
        connects=BudgetConfig(2 * schedule.connections, CONNECTS_S),
        subscribes=BudgetConfig(schedule.tickers, SENDS_S),
        messages=BudgetConfig(max(3, each), SENDS_S),
    )


def exceeded(budgets: BudgetsConfig, counters: ServerCounters, *, alone: bool) -> list[str]:
    """What the venue has counted more of than is allowed, in words. Of what all connections do together a process that
    was started again knows nothing of the time before: that is looked at only where there was one (`alone`)."""
    shared = (
        ("attempts to connect", budgets.connects, counters.most_connects),
        ("requests to subscribe", budgets.subscribes, counters.most_subscribes),
    )
    found = (("messages on a connection", budgets.messages, counters.most_messages), *(shared if alone else ()))
    return [
        f"{most} {what} in {budget.per_s:g} s, and {budget.count} are allowed"
        for what, budget, most in found
        if budget is not None and most > budget.count
    ]
