"""When the benchmark's venue writes, and how many frames at once: evenly, or in groups as a real venue does. Pure.

The figures of real traffic are our own. They were counted in a capture of 41,248 frames of one instrument on six
minutes of a busy evening: BTCUSDT of Binance's spot market on 8 August 2024, with trades, best bids and asks, and
changes of the book each 0.1 s. Of the gaps between two frames four in ten are below 5 us and hardly any lies between
20 and 300 us. So frames that are at most 50 us apart are taken as one group: they came in one read of the socket. Gaps
between groups are of two kinds: those within a flurry, about 1.6 ms long, and those between flurries. Only proportions
are kept here: a connection carries more than one instrument, and how many events a second is up to the scenario.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Literal, NamedTuple

TrafficName = Literal["quiet", "opening", "burst"]
SEED = 1


class Write(NamedTuple):
    """One write of the venue: when it is due, in seconds after the first, and how many frames it holds."""

    due: float
    frames: int


class Traffic(NamedTuple):
    """How frames come. `groups` has the weight of each size of a group. `short` is the share of short gaps between
    groups, and a long gap is `stretch` times as long in the mean. Either kind is distributed exponentially."""

    groups: dict[int, float]
    short: float
    stretch: float

    @property
    def frames_per_group(self) -> float:
        """The mean size of a group."""
        return sum(size * weight for size, weight in self.groups.items()) / sum(self.groups.values())


TRAFFIC: dict[TrafficName, Traffic] = {
    "quiet": Traffic({1: 0.886, 2: 0.085, 3: 0.017, 4: 0.007, 7: 0.004, 11: 0.001}, 0.38, 23.1),
    "opening": Traffic({1: 0.607, 2: 0.15, 3: 0.077, 4: 0.072, 7: 0.048, 11: 0.035, 22: 0.009, 77: 0.003}, 0.76, 13.8),
    "burst": Traffic({1: 0.588, 2: 0.178, 3: 0.079, 4: 0.065, 7: 0.033, 12: 0.027, 24: 0.016, 77: 0.014}, 0.82, 8.9),
}
"""The slower half of the capture's seconds (44 frames a second), the busiest tenth of them (416) and the busiest five
(905)."""


def even_writes(rate: float, frames: int) -> Iterator[Write]:
    """Writes of `frames` frames each, at `rate` frames a second; a rate of 0 makes all of them due at once."""
    sent = 0
    while True:
        yield Write(sent / rate if rate else 0.0, frames)
        sent += frames


def real_writes(traffic: Traffic, rate: float) -> Iterator[Write]:
    """Writes as in this traffic, at `rate` frames a second in the mean (0: all of them due at once). They are the same
    each time."""
    chance = random.Random(SEED)
    sizes, weights = list(traffic.groups), list(traffic.groups.values())
    mean = traffic.frames_per_group / rate if rate else 0.0
    short = mean / (traffic.short + (1 - traffic.short) * traffic.stretch)
    due = 0.0
    while True:
        yield Write(due, chance.choices(sizes, weights)[0])
        gap = short if chance.random() < traffic.short else short * traffic.stretch
        due += chance.expovariate(1.0) * gap
