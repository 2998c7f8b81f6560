"""Series that are read off plain counters whenever somebody asks for them. Keeps no number of its own.

A Series is a line of a table: name, meaning, and how to read it from a part. A Group is the parts that such a table
is about, with the labels that tell them apart. `registry` makes a Prometheus registry of groups.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.process_collector import ProcessCollector

__all__ = ["CollectorRegistry", "Group", "Series", "Value", "add", "registry"]

MAX_VALUES = 64
"""The most values of one label that one part may have; what is beyond is added up under OTHER."""
OTHER = "other"

Part = TypeVar("Part")
Value = float | Mapping[str, float] | None
"""A number, numbers by the value of one more label, or None: not known, no sample."""


@dataclass(frozen=True)
class Series(Generic[Part]):
    """One family: a counter when its name ends in `_total`, else a gauge. `by` names the label that the keys of a
    mapping are the values of; every key is a value that code chose, never one that a venue or a client did."""

    name: str
    help: str
    read: Callable[[Part], Value]
    by: str = ""

    @property
    def type(self) -> Literal["counter", "gauge"]:
        """By its name, so that the two can't disagree."""
        return "counter" if self.name.endswith("_total") else "gauge"


@dataclass(frozen=True)
class Group(Generic[Part]):
    """`parts` is called for each series at each scrape, and yields each part with its values of `labels`."""

    labels: tuple[str, ...]
    parts: Callable[[], Iterable[tuple[tuple[str, ...], Part]]]
    series: Sequence[Series[Part]]


class _Collector:
    """A group, as a registry wants it."""

    def __init__(self, group: Group[Any]) -> None:
        self._group = group

    def describe(self) -> list[CounterMetricFamily | GaugeMetricFamily]:
        """The families without samples: the registry refuses a name that is there already."""
        return [_family(self._group, series) for series in self._group.series]

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """The families with what the parts say now: each is read when it is asked for."""
        for series, family in zip(self._group.series, self.describe(), strict=True):
            for labels, part in self._group.parts():
                value = series.read(part)
                if series.by and value is not None:
                    for key, number in _bounded(value).items():
                        family.add_metric((*labels, key), number)
                elif isinstance(value, int | float):
                    family.add_metric(labels, value)
            yield family


def registry(groups: Iterable[Group[Any]]) -> CollectorRegistry:
    """A registry of its own with these groups and the process' figures (`feedbus_process_…`, from /proc)."""
    made = CollectorRegistry()
    ProcessCollector(namespace="feedbus", registry=made)
    for group in groups:
        add(made, group)
    return made


def add(to: CollectorRegistry, group: Group[Any]) -> None:
    """Add a group. Raises ValueError when one of its names is there already."""
    to.register(_Collector(group))


def _family(group: Group[Any], series: Series[Any]) -> CounterMetricFamily | GaugeMetricFamily:
    labels = (*group.labels, series.by) if series.by else group.labels
    family = CounterMetricFamily if series.type == "counter" else GaugeMetricFamily
    return family(series.name, series.help, labels=labels)


def _bounded(values: Any) -> dict[str, float]:
    """At most MAX_VALUES numbers, and none of them lost."""
    kept = dict(values)
    if len(kept) > MAX_VALUES:
        names = list(kept)[MAX_VALUES - 1 :]
        kept[OTHER] = kept.get(OTHER, 0) * (OTHER not in names) + sum(kept.pop(name) for name in names)
    return kept
