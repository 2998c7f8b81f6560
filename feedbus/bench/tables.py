"""The results as text for people: a line for each turn while it runs, and a table of all at the end, in columns or in
Markdown. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from feedbus.bench.figures import Turn, TurnSpread

NOTHING = "-"
TITLES = (
    "scenario",
    "who",
    "connector us",
    "subscriber us",
    "sum us",
    "ratio",
    "core",
    "events/s",
    "p50 us",
    "p99 us",
    "p99.9 us",
    "MB",
    "lost",
)
TEXTS = 2  # the first columns hold text and are aligned to the left, all others hold numbers

Result = Mapping[str, Any]


def turn_line(turn: Turn) -> str:
    """One turn as one line."""
    text = f"{turn.connector_us:6.1f} + {turn.subscriber_us:5.1f} us  {turn.events_per_s:8,.0f}/s"
    if (latency := turn.receive_to_subscriber_us) is not None:
        text += f"  p50 {latency.p50:6,.0f}  p99 {latency.p99:6,.0f} us"
    return text if turn.lossless else f"{text}  LOST: {turn.received:,} of {turn.sent:,} came, {turn.gaps:,} gaps"


def drawing_line(result: Result) -> str:
    """What drawing the live table costs, as one line."""
    drawing, redraw = result["drawing"], result["drawing"]["redraw_ms"]
    return (
        f"table: {drawing['instruments']:,} instruments on {drawing['width']} x {drawing['height']}: "
        f"{redraw.median:.1f} ms a redraw ({redraw.min:.1f}-{redraw.max:.1f}), "
        f"{drawing['share']:.1%} of a core at one a second; {drawing['add_us']:.1f} us to take in an event"
    )


def rows(results: Sequence[Result]) -> list[tuple[str, ...]]:
    """The cells of the table, with a row for each contender of each scenario."""
    return [
        _row(result["scenario"].name, label, found)
        for result in results
        if "contenders" in result
        for label, found in result["contenders"].items()
    ]


def _row(scenario: str, label: str, found: Mapping[str, Any]) -> tuple[str, ...]:
    memory, latency = found["memory_mb"], found["receive_to_subscriber_us"]
    return (
        scenario,
        label,
        *(_median(found[name], 1) for name in ("connector_us", "subscriber_us", "sum_us")),
        _range(found["ratio"]),
        _percent(found["connector_share"]),
        _median(found["events_per_s"], 0),
        *(_median(latency[part], 0) for part in ("p50", "p99", "p999")),
        f"{memory['begin']:.0f}-{memory['end']:.0f}",
        f"{found['lost']:,}" + (f" ({found['gaps']:,} gaps)" if found["gaps"] else ""),
    )


def _median(values: TurnSpread | None, decimals: int) -> str:
    return NOTHING if values is None else f"{values.median:,.{decimals}f}"


def _range(values: TurnSpread | None) -> str:
    return NOTHING if values is None else f"{values.median:.2f} ({values.min:.2f}-{values.max:.2f})"


def _percent(values: TurnSpread | None) -> str:
    return NOTHING if values is None else f"{values.median:.0%}"


def plain(results: Sequence[Result]) -> str:
    """The table in columns that are padded with spaces, for a terminal."""
    lines = [TITLES, *rows(results)] if rows(results) else []
    widths = [max(len(line[column]) for line in lines) for column in range(len(TITLES))] if lines else []
    texts = ["  ".join(_padded(line, widths)).rstrip() for line in lines]
    return "\n".join([*texts, *(drawing_line(result) for result in results if "drawing" in result)])


def _padded(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        text.ljust(width) if column < TEXTS else text.rjust(width)
        for column, (text, width) in enumerate(zip(line, widths, strict=True))
    ]


def markdown(results: Sequence[Result]) -> str:
    """The table in Markdown, as it stands in the README."""
    rule = ("---",) * TEXTS + ("---:",) * (len(TITLES) - TEXTS)
    lines = [TITLES, rule, *rows(results)] if rows(results) else []
    texts = [f"| {' | '.join(line)} |" for line in lines]
    drawn = [drawing_line(result) for result in results if "drawing" in result]
    return "\n".join([*texts, *([""] if texts and drawn else []), *drawn])
