"""What the benchmark measures: the scenarios, the contenders in each, and what the command line changes. Pure.

docs/benchmarks.md says what each scenario is for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from feedbus.bench.slotted_frames import Protocol
from feedbus.bench.traffic import TrafficName
from feedbus.errors import ConfigError

FEEDBUS = "feedbus"
RIVAL = "hand-written"
TUNED = "hand-tuned"
REAL = "real"
"""This name stands for the three scenarios whose names begin with it."""
TABLE = "table"
"""The scenario that has no feed: it measures what drawing the live table costs."""


class Contender(msgspec.Struct, frozen=True):
    """A program that is measured in a scenario.

    `bus` is what stands under that key in the configuration, beside the address. The contender subscribes to `times` as
    many tickers as the scenario says.
    """

    label: str
    program: Literal["feedbus", "rival", "tuned"] = "feedbus"
    bus: Mapping[str, str | float] = {}
    times: int = 1


class Scenario(msgspec.Struct, frozen=True):
    """One measurement: the load that the venue makes, what is recorded of it, and the contenders that bear it."""

    name: str
    about: str
    events: int
    """Events that the venue sends in one turn."""
    rate: float = 0.0
    """Events a second over all connections; 0 sends them as fast as they are read."""
    connections: int = 1
    symbols: int = 50
    """Tickers on each connection."""
    frames_per_write: int = 1
    traffic: TrafficName | None = None
    """Whose groups the frames come in; None: `frames_per_write` of them in each write."""
    protocol: Protocol = "moex"
    latency: bool = False
    """Whether the latency of every event is recorded."""
    costs: bool = True
    """Whether CPU time is reported. With few events it would mostly be the heartbeats', and say nothing of events."""
    transport: str | None = None
    """The transport's name as in a configuration; None is feedbus's default."""
    contenders: tuple[Contender, ...] = (Contender(FEEDBUS),)
    baseline: str = RIVAL
    """The label of the contender that the others are compared with."""


_PACES = (Contender(FEEDBUS), Contender(f"{FEEDBUS} pace latency", bus={"pace": "latency"}))
_TICKERS = (Contender(f"{FEEDBUS} tickers x 1"), Contender(f"{FEEDBUS} tickers x 10", times=10))

_REAL: tuple[tuple[TrafficName, int, float, str], ...] = (
    ("quiet", 1800, 440.0, "books in groups as in a market's slower seconds"),
    ("opening", 16_000, 4200.0, "books in groups as in a market's busy seconds"),
    ("burst", 36_000, 9000.0, "books in groups as in a market's busiest seconds"),
)
"""Ten times as many frames a second as the traffic was counted at, which was that of one instrument."""

_ALL = (
    Scenario("burst", "books as fast as they are taken", 60_000, frames_per_write=20),
    Scenario("trades", "small trades as fast as they are taken", 200_000, frames_per_write=32, protocol="trades"),
    Scenario("paced", "books, one frame a write", 12_000, 3000.0, latency=True, contenders=_PACES),
    Scenario("trickle", "single books on a bus that is seldom busy", 2000, 500.0, latency=True, contenders=_PACES),
    *(
        Scenario(f"{REAL}-{traffic}", about, events, rate, traffic=traffic, latency=True, contenders=_PACES)
        for traffic, events, rate, about in _REAL
    ),
    Scenario("sharded", "books over many connections", 24_000, 6000.0, 30, latency=True, contenders=_PACES),
    Scenario("latency", "books at a high rate", 20_000, 5000.0, latency=True, contenders=_PACES),
    Scenario("tickers", "ten times the tickers", 12_000, 3000.0, contenders=_TICKERS, baseline=_TICKERS[0].label),
    Scenario("idle", "single books on an idle bus", 24, 10.0, latency=True, costs=False, contenders=_PACES),
)
SCENARIOS = {scenario.name: scenario for scenario in _ALL}
NAMES = (*SCENARIOS, TABLE)
_REAL_NAMES = [name for name in SCENARIOS if name.startswith(f"{REAL}-")]


class Overrides(msgspec.Struct, frozen=True):
    """What the command line changes in every scenario. A field means what the field of that name means in Scenario or
    Contender; None leaves the scenario's own value."""

    events: int | None = None
    rate: float | None = None
    connections: int | None = None
    symbols: int | None = None
    frames_per_write: int | None = None
    transport: str | None = None
    linger: float | None = None


def chosen(names: Sequence[str], overrides: Overrides, compare: bool) -> list[Scenario]:
    """The scenarios with these names, without the table; no names stand for all of them. With `compare` the rivals take
    part. Raises ConfigError for an unknown name."""
    for name in names:
        if name not in NAMES and name != REAL:
            raise ConfigError(f"unknown scenario {name!r}; there are: {', '.join(NAMES)}")
    wanted = [one for name in names or NAMES for one in (_REAL_NAMES if name == REAL else [name]) if one != TABLE]
    return [_adapted(SCENARIOS[name], overrides, compare) for name in wanted]


def _adapted(scenario: Scenario, overrides: Overrides, compare: bool) -> Scenario:
    values = {name: value for name, value in msgspec.structs.asdict(overrides).items() if value is not None}
    contenders = scenario.contenders
    if (linger := values.pop("linger", None)) is not None:
        contenders = _with_linger(contenders, linger)
    if compare and scenario.baseline == RIVAL:
        contenders = (*contenders, Contender(RIVAL, "rival"))
        if scenario.protocol == "moex" and scenario.costs:
            contenders = (*contenders, Contender(TUNED, "tuned"))
    return msgspec.structs.replace(scenario, **values, contenders=contenders)


def _with_linger(contenders: Sequence[Contender], linger: float) -> tuple[Contender, ...]:
    """The contenders with this linger. Those that differed in their pace alone would be the same, so one is left."""
    if any(one.times > 1 for one in contenders):
        return tuple(msgspec.structs.replace(one, bus={"linger": linger}) for one in contenders)
    return (Contender(f"{FEEDBUS} linger {linger:g}", bus={"linger": linger}),)
