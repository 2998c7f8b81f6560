"""The figures of feedbus and of other programs as a table in Markdown. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

from feedbus.bench.figures import Turn

TITLES = (
    "load",
    "who",
    "connector us",
    "subscriber us",
    "sum us",
    "ratio",
    "p50 us",
    "p99 us",
    "p50 ratio",
    "p50 from read us",
    "lost",
)
NOTHING = "-"
TEXTS = 2


def markdown(results: Sequence[Mapping[str, Any]]) -> str:
    """A row for each contender under each load."""
    rule = ("---",) * TEXTS + ("---:",) * (len(TITLES) - TEXTS)
    lines = [TITLES, rule, *(row for result in results for row in rows(result))]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def rows(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The rows of one load."""
    contenders = result["contenders"]
    baseline = contenders.get(result["scenario"].baseline)
    return [
        _row(result["scenario"].name, label, found["turns"], baseline and baseline["turns"])
        for label, found in contenders.items()
    ]


def _row(load: str, label: str, turns: Sequence[Turn], baseline: Sequence[Turn] | None) -> tuple[str, ...]:
    together = all(turn.connector_us == 0 for turn in turns)
    lost, sent = sum(turn.sent - turn.received for turn in turns), sum(turn.sent for turn in turns)
    return (
        load,
        label,
        NOTHING if together else _median(turns, lambda turn: turn.connector_us, 1),
        NOTHING if together else _median(turns, lambda turn: turn.subscriber_us, 1),
        _median(turns, lambda turn: turn.sum_us, 1),
        _ratio(turns, baseline, lambda turn: turn.sum_us),
        _median(turns, _p50, 0),
        _median(turns, lambda turn: turn.write_to_subscriber_us.p99 if turn.write_to_subscriber_us else None, 0),
        _ratio(turns, baseline, _p50),
        _median(turns, lambda turn: turn.receive_to_subscriber_us.p50 if turn.receive_to_subscriber_us else None, 0),
        "0" if not lost else f"{lost:,} of {sent:,}",
    )


def _p50(turn: Turn) -> float | None:
    return turn.write_to_subscriber_us.p50 if turn.write_to_subscriber_us else None


Value = Callable[[Turn], float | None]


def _median(turns: Sequence[Turn], value: Value, decimals: int) -> str:
    """The median over the turns. Turns that lost something count, too: some programs lose something in each."""
    values = [found for found in map(value, turns) if found is not None]
    return f"{median(values):,.{decimals}f}" if values else NOTHING


def _ratio(turns: Sequence[Turn], baseline: Sequence[Turn] | None, value: Value) -> str:
    """The median of the ratios to the baseline in the same turn."""
    pairs = [(value(one), value(other)) for one, other in zip(turns, baseline or (), strict=False)]
    ratios = [one / other for one, other in pairs if one is not None and other]
    return f"{median(ratios):.2f}" if ratios else NOTHING
