"""Series that are read off plain counters whenever somebody asks for them. Keeps no number of its own.

A Series is a line of a table: name, meaning, and how to read it from a part. A Group is the parts that such a table
is about, with the labels that tell them apart. `registry` makes a Prometheus registry of groups.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily
from prometheus_client.process_collector import ProcessCollector

__all__ = ["CollectorRegistry", "MetricGroup", "MetricSeries", "Summary", "Value", "add", "registry"]

MAX_VALUES = 64
"""The most values of one label that one part may have; what is beyond is added up under OTHER."""
OTHER = "other"
QUANTILE = "quantile"
"""The label that Prometheus keeps for summaries, and that no other type may have."""


@dataclass(frozen=True)
class Summary:
    """How many values there have been, their sum, and quantiles of the recent ones, by name: {"0.5": 0.002}."""

    count: float
    sum: float
    quantiles: Mapping[str, float]


Part = TypeVar("Part")
Value = float | Mapping[str, float] | Summary | None
"""A number, numbers by the value of one more label, a Summary, or None: not known, no sample."""
_Family = CounterMetricFamily | GaugeMetricFamily | SummaryMetricFamily


@dataclass(frozen=True)
class MetricSeries(Generic[Part]):
    """One family: a counter when its name ends in `_total`, a summary when it is by quantile, else a gauge. `by` names
    the label that the keys of a mapping are the values of; every key is a value that code chose, never one that a venue
    or a client did."""

    name: str
    help: str
    read: Callable[[Part], Value]
    by: str = ""

    @property
    def type(self) -> Literal["counter", "gauge", "summary"]:
        """By its name and label, so that they can't disagree."""
        if self.by == QUANTILE:
            return "summary"
        return "counter" if self.name.endswith("_total") else "gauge"


@dataclass(frozen=True)
class MetricGroup(Generic[Part]):
    """`parts` is called for each series at each scrape, and yields each part with its values of `labels`."""

    labels: tuple[str, ...]
    parts: Callable[[], Iterable[tuple[tuple[str, ...], Part]]]
    series: Sequence[MetricSeries[Part]]


class _Collector:
    """A group, as a registry wants it."""

    def __init__(self, group: MetricGroup[Any]) -> None:
        self._group = group

    def describe(self) -> list[_Family]:
        """The families without samples: the registry refuses a name that is there already."""
        return [_family(self._group, series) for series in self._group.series]

    def collect(self) -> Iterator[_Family]:
        """The families with what the parts say now: each is read when it is asked for."""
        for series, family in zip(self._group.series, self.describe(), strict=True):
            for values, part in self._group.parts():
                labels = dict(zip(self._group.labels, values, strict=True))
                for suffix, more, number in _samples(series, series.read(part)):
                    family.add_sample(series.name + suffix, labels | more, number)
            yield family


def registry(groups: Iterable[MetricGroup[Any]]) -> CollectorRegistry:
    """A registry of its own with these groups and the process' figures (`feedbus_process_…`, from /proc)."""
    made = CollectorRegistry()
    ProcessCollector(namespace="feedbus", registry=made)
    for group in groups:
        add(made, group)
    return made


def add(to: CollectorRegistry, group: MetricGroup[Any]) -> None:
    """Add a group. Raises ValueError when one of its names is there already."""
    to.register(_Collector(group))


def _family(group: MetricGroup[Any], series: MetricSeries[Any]) -> _Family:
    if series.type == "summary":
        return SummaryMetricFamily(series.name, series.help, labels=group.labels)
    labels = (*group.labels, series.by) if series.by else group.labels
    family = CounterMetricFamily if series.type == "counter" else GaugeMetricFamily
    return family(series.name, series.help, labels=labels)


def _samples(series: MetricSeries[Any], value: Value) -> Iterator[tuple[str, dict[str, str], float]]:
    """What one value says: (what the sample's name ends in, its label besides the group's, the number)."""
    if isinstance(value, Summary):
        yield from (("", {series.by: name}, number) for name, number in value.quantiles.items())
        yield from (("_count", {}, value.count), ("_sum", {}, value.sum))
    elif isinstance(value, int | float):
        yield "", {}, value
    elif value is not None:
        yield from (("", {series.by: key}, number) for key, number in _bounded(value).items())


def _bounded(values: Mapping[str, float]) -> dict[str, float]:
    """At most MAX_VALUES numbers, and none of them lost."""
    kept = dict(values)
    if len(kept) > MAX_VALUES:
        names = list(kept)[MAX_VALUES - 1 :]
        kept[OTHER] = kept.get(OTHER, 0) * (OTHER not in names) + sum(kept.pop(name) for name in names)
    return kept
