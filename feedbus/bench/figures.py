"""Works out the benchmark's figures from its turns: medians, ratios to the baseline, and what was lost. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import msgspec

from feedbus.bench.scenarios import Scenario

COSTS = ("connector_us", "subscriber_us", "sum_us", "events_per_s", "connector_share", "subscriber_share")
LATENCIES = ("receive_to_subscriber_us", "write_to_subscriber_us")


class Memory(msgspec.Struct, frozen=True):
    """Resident memory of a process in MiB: now, and the most since its start."""

    now: float
    peak: float


class Latency(msgspec.Struct, frozen=True):
    """Quantiles of the latency of all events of a turn, in microseconds."""

    p50: float
    p99: float
    p999: float
    max: float


class Turn(msgspec.Struct, frozen=True):
    """The figures of one turn. `connector_us`, `subscriber_us` and `sum_us` are microseconds of CPU time an event. A
    share is the part of one core that a process used during the turn, which took `seconds`. A latency is None when it
    was not recorded."""

    connector_us: float
    subscriber_us: float
    sum_us: float
    seconds: float
    events_per_s: float
    connector_share: float
    subscriber_share: float
    sent: int
    received: int
    gaps: int
    receive_to_subscriber_us: Latency | None = None
    write_to_subscriber_us: Latency | None = None

    @property
    def lossless(self) -> bool:
        """Whether every event arrived, and none arrived twice."""
        return self.sent == self.received and self.gaps == 0


class Outcome(msgspec.Struct, frozen=True):
    """All turns of one contender, and the memory of its connector before the first and after the last of them."""

    label: str
    turns: list[Turn]
    before: Memory
    after: Memory

    @property
    def lossy(self) -> int:
        """In how many turns events were lost."""
        return sum(not turn.lossless for turn in self.turns)


class TurnSpread(msgspec.Struct, frozen=True):
    """The least, the median and the greatest value of the turns."""

    min: float
    median: float
    max: float


def spread(values: Sequence[float]) -> TurnSpread | None:
    """The spread of these values, or None when there are none."""
    return TurnSpread(min(values), median(values), max(values)) if values else None


def ratios(outcome: Outcome, baseline: Outcome, value: Callable[[Turn], float]) -> TurnSpread | None:
    """The spread of a value divided by the baseline's value in the same turn, which met the same disturbances. A pair
    of turns is left out when either of them lost events, and when the baseline's value was not measured (0)."""
    pairs = zip(outcome.turns, baseline.turns, strict=True)
    good = [(value(one), value(other)) for one, other in pairs if one.lossless and other.lossless]
    return spread([one / other for one, other in good if other])


def contender(outcome: Outcome, baseline: Outcome | None, costs: bool = True) -> dict[str, Any]:
    """The figures of one contender, ready for JSON. Spreads are over the turns that lost nothing.

    `ratio` compares the CPU time an event, of connector and subscriber together, with the baseline's. `ratio_of_least`
    compares the cheapest turn of each, which other work on the machine disturbed the least. `latency_ratio` compares
    the time from socket read to subscriber. They are None without a baseline, and for the baseline itself. Without
    `costs` the figures of CPU time are None.
    """
    good = [turn for turn in outcome.turns if turn.lossless]
    found: dict[str, Any] = {name: spread([getattr(turn, name) for turn in good if costs]) for name in COSTS}
    for name in LATENCIES:
        found[name] = _quantiles([getattr(turn, name) for turn in good])
    other = None if baseline is None or baseline.label == outcome.label else baseline
    found["ratio"] = None if other is None or not costs else ratios(outcome, other, lambda turn: turn.sum_us)
    found["ratio_of_least"] = None if other is None or not costs else _ratio_of_least(outcome, other)
    found["latency_ratio"] = None if other is None else _latency_ratios(outcome, other)
    found |= {
        "lossy_turns": outcome.lossy,
        "lost": sum(turn.sent - turn.received for turn in outcome.turns),
        "gaps": sum(turn.gaps for turn in outcome.turns),
        "memory_mb": {"begin": outcome.before.now, "end": outcome.after.now, "peak": outcome.after.peak},
        "turns": outcome.turns,
    }
    return found


def _ratio_of_least(outcome: Outcome, baseline: Outcome) -> float | None:
    ours, theirs = ([turn.sum_us for turn in one.turns if turn.lossless] for one in (outcome, baseline))
    return min(ours) / min(theirs) if ours and theirs else None


def _quantiles(latencies: Sequence[Latency | None]) -> dict[str, TurnSpread | None]:
    timed = [latency for latency in latencies if latency is not None]
    return {part: spread([getattr(latency, part) for latency in timed]) for part in Latency.__struct_fields__}


def _latency_ratios(outcome: Outcome, baseline: Outcome) -> dict[str, TurnSpread | None]:
    def value(part: str) -> Callable[[Turn], float]:
        return lambda turn: float(getattr(turn.receive_to_subscriber_us, part, 0.0))

    return {part: ratios(outcome, baseline, value(part)) for part in ("p50", "p99")}


def result(scenario: Scenario, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The figures of all contenders of one scenario, ready for JSON."""
    baseline = next((outcome for outcome in outcomes if outcome.label == scenario.baseline), None)
    return {
        "scenario": scenario,
        "contenders": {outcome.label: contender(outcome, baseline, scenario.costs) for outcome in outcomes},
    }


def losses(scenario: Scenario, outcomes: Sequence[Outcome]) -> list[str]:
    """A phrase for each contender that lost events: how many, how many gaps, and in how many turns."""
    return [
        f"{scenario.name}, {outcome.label}: "
        f"{sum(turn.sent - turn.received for turn in outcome.turns):,} events, "
        f"{sum(turn.gaps for turn in outcome.turns):,} gaps, in {outcome.lossy} of {len(outcome.turns)} turns"
        for outcome in outcomes
        if outcome.lossy
    ]
