"""A simulated ALOR of a few instruments, whose market has done some steps."""

from __future__ import annotations

from typing import Any

from feedbus.sim.alor.market import futures
from feedbus.sim.alor.venue import AlorSimOptions, AlorVenue
from feedbus.sim.moex.catalogue import Security, securities

START_NS = 1_719_825_533_789_000_000
SAMPLE = [*securities()[:3], securities()[-1], *futures()[:1]]


def venue(listed: list[Security] | None = None, steps: int = 0, **options: Any) -> AlorVenue:
    made = AlorVenue(AlorSimOptions(start_ns=START_NS, **options), securities=listed or SAMPLE)
    made.market.open(0)
    for _ in range(steps):
        made.market.advance()
    return made
