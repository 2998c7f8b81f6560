"""Turns in, figures out: medians with the least and the most, ratios pair by pair, what was lost. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import msgspec

from feedbus.bench.scenarios import Scenario

COSTS = ("connector_us", "subscriber_us", "sum_us", "events_per_s", "connector_share", "subscriber_share")
LATENCIES = ("receive_to_subscriber_us", "write_to_subscriber_us")


class Memory(msgspec.Struct, frozen=True):
    """Resident memory of a process in MB: now, and the most so far."""

    now: float
    peak: float


class Latency(msgspec.Struct, frozen=True):
    """Microseconds, of all events of a turn."""

    p50: float
    p99: float
    p999: float
    max: float


class Turn(msgspec.Struct, frozen=True):
    """One turn. CPU is microseconds an event, a share is of a core over `seconds`. A latency is None when it wasn't
    recorded."""

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
        """Nothing was lost, nor came twice."""
        return self.sent == self.received and self.gaps == 0


class Outcome(msgspec.Struct, frozen=True):
    """One contender's turns; `before` and `after` are its connector's memory at the first and the last of them."""

    label: str
    turns: list[Turn]
    before: Memory
    after: Memory

    @property
    def lossy(self) -> int:
        """How many turns lost something."""
        return sum(not turn.lossless for turn in self.turns)


class TurnSpread(msgspec.Struct, frozen=True):
    """The least, the median and the most of the turns."""

    min: float
    median: float
    max: float


def spread(values: Sequence[float]) -> TurnSpread | None:
    """None of no values."""
    return TurnSpread(min(values), median(values), max(values)) if values else None


def ratios(outcome: Outcome, baseline: Outcome, value: Callable[[Turn], float]) -> TurnSpread | None:
    """A value as a multiple of the baseline's, turn by turn; a turn in which either lost something doesn't count, nor
    one in which the value wasn't measured (0)."""
    pairs = zip(outcome.turns, baseline.turns, strict=True)
    good = [(value(one), value(other)) for one, other in pairs if one.lossless and other.lossless]
    return spread([one / other for one, other in good if other])


def contender(outcome: Outcome, baseline: Outcome | None, costs: bool = True) -> dict[str, Any]:
    """All about one contender; spreads are over the turns that lost nothing. `ratio` is of CPU an event, connector and
    subscriber together, `ratio_of_least` of the cheapest turn of each, which other work disturbed the least, and
    `latency_ratio` of the time from socket read to subscriber; None where there is nothing to compare to. Without
    `costs` nothing is said of the CPU."""
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
    """All about one scenario, ready for JSON."""
    baseline = next((outcome for outcome in outcomes if outcome.label == scenario.baseline), None)
    return {
        "scenario": scenario,
        "contenders": {outcome.label: contender(outcome, baseline, scenario.costs) for outcome in outcomes},
    }


def losses(scenario: Scenario, outcomes: Sequence[Outcome]) -> list[str]:
    """A phrase for each contender that lost something."""
    return [
        f"{scenario.name}, {outcome.label}: "
        f"{sum(turn.sent - turn.received for turn in outcome.turns):,} events, "
        f"{sum(turn.gaps for turn in outcome.turns):,} gaps, in {outcome.lossy} of {len(outcome.turns)} turns"
        for outcome in outcomes
        if outcome.lossy
    ]
