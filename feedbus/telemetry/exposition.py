"""Writes all series of a registry as text, a slice at a time. May touch trio's scheduler.

With a thousand connections the text has tens of thousands of lines, and each takes about as long as an event. So other
tasks have their turn after every SLICE lines. Later slices show later figures.

How a line looks is left to Prometheus' library: it writes a pattern of each family, and the lines are made from that.
So the text is the same as the library's, for a fraction of the time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

import trio
from prometheus_client import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.utils import floatToGoString

from feedbus.telemetry.series import CollectorRegistry, PartsFamily

SLICE = 100
"""After so many lines other tasks have their turn; a part that has no line counts as one. It takes about 0.2 ms."""


async def exposition(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """Return all series in the format that an Accept header prefers, Prometheus' text or OpenMetrics, and its content
    type.
    """
    encode, content_type = choose_encoder(accept)
    end = encode(_Families()).decode()  # an OpenMetrics text has a last line

    def encoded(family: Metric) -> str:
        return encode(_Families(family)).decode().removesuffix(end)

    slices: list[bytes] = []
    for family in registry.collect():
        texts = _slices(family, encoded) if isinstance(family, PartsFamily) else [encoded(family)]
        for text in texts:
            slices.append(text.encode())
            await trio.lowlevel.checkpoint()
    return b"".join(slices) + end.encode(), content_type


class _Families:
    """A registry of these families, because an encoder takes registries only."""

    def __init__(self, *families: Metric) -> None:
        self._families = families

    def collect(self) -> tuple[Metric, ...]:
        return self._families


class _Pattern(NamedTuple):
    """What the lines of a family's samples have in common, without the number at their end.

    In `text` a line feed stands for the value of the label `by`, and %s for those of the group's labels, which come in
    this `order`.
    """

    text: str
    order: tuple[int, ...]


def _slices(family: PartsFamily, encoded: Callable[[Metric], str]) -> Iterator[str]:
    """Yield the text of one family in slices."""
    head, patterns = _patterns(family, encoded)
    lines = [head]
    without = 0  # parts of this slice that have no line
    for values, part in family.parts():
        start = len(lines)
        around = {}
        for suffix, key, number in family.read(part):
            if suffix not in around:
                pattern = patterns[suffix]
                around[suffix] = (pattern.text % _ordered(values, pattern.order)).partition("\n")
            before, _, after = around[suffix]
            lines.append(f"{before}{'' if key is None else _escaped(key)}{after}{_written(number)}\n")
        without += len(lines) == start
        if len(lines) + without >= SLICE:
            yield "".join(lines)
            lines, without = [], 0
    yield "".join(lines)


def _patterns(family: PartsFamily, encoded: Callable[[Metric], str]) -> tuple[str, dict[str, _Pattern]]:
    """Return the family's first lines, which tell its name and type, and its patterns by the suffix of the name."""
    gaps = [f"%{name}%" for name in family.labels]
    by = f"%{family.by}%"
    metric = Metric(family.name, family.documentation, family.type)
    metric.samples = [
        family.sample(gaps, (suffix, by if keyed else None, 0.0)) for suffix, keyed in family.shapes.items()
    ]
    *lines, _ = encoded(metric).split("\n")
    first = len(lines) - len(family.shapes)
    patterns = {}
    for suffix, line in zip(family.shapes, lines[first:], strict=True):
        found = re.findall("%[^%]+%", line)
        text = re.sub("%[^%]+%", lambda gap: "\n" if gap[0] == by else "%s", line.removesuffix("0.0"))
        patterns[suffix] = _Pattern(text, tuple(gaps.index(gap) for gap in found if gap != by))
    return "\n".join([*lines[:first], ""]), patterns


@lru_cache(maxsize=4096)  # a part has the same labels in every family
def _ordered(values: tuple[str, ...], order: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(_escaped(values[place]) for place in order)


@lru_cache(maxsize=256)
def _escaped(value: str) -> str:
    """Write the value of a label as both formats do."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _written(number: float) -> str:
    """Write a number as both formats do."""
    # The library writes most numbers so, too.
    return repr(float(number)) if 0 <= number < 1e6 else str(floatToGoString(number))  # type: ignore[no-untyped-call]
