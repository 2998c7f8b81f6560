"""Prometheus series that are read from the parts' own plain counters at each scrape, so no number is kept twice.

A MetricSeries is one line of a table: a name, a help text, and a function that reads the value from a part. A
MetricGroup joins such a table with the parts that it describes, and with the labels that tell the parts apart.
`registry` makes a Prometheus registry of groups.
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
"""How many values of the label `by` one part may have. The numbers of further values are added up under OTHER."""
OTHER = "other"
QUANTILE = "quantile"
"""The label that Prometheus reserves for the quantiles of summaries."""


@dataclass(frozen=True)
class Summary:
    """The count and sum of all values so far, and quantiles of the recent ones, by name: {"0.5": 0.002}."""

    count: float
    sum: float
    quantiles: Mapping[str, float]


Part = TypeVar("Part")
Value = float | Mapping[str, float] | Summary | None
"""A number; several numbers, by the value of the label `by`; a Summary; or None, which makes no sample."""
_Family = CounterMetricFamily | GaugeMetricFamily | SummaryMetricFamily


@dataclass(frozen=True)
class MetricSeries(Generic[Part]):
    """One metric family.

    `by` names one more label, whose values are the keys of the mapping that `read` returns. These keys are chosen by
    our code, never by a venue or a client, so that their number stays small.
    """

    name: str
    help: str
    read: Callable[[Part], Value]
    by: str = ""

    @property
    def type(self) -> Literal["counter", "gauge", "summary"]:
        """A summary when `by` is "quantile", a counter when the name ends in `_total`, else a gauge."""
        if self.by == QUANTILE:
            return "summary"
        return "counter" if self.name.endswith("_total") else "gauge"


@dataclass(frozen=True)
class MetricGroup(Generic[Part]):
    """The series of some parts. `parts` is called for each series at each scrape; it yields the values of `labels`, and
    the part that they belong to."""

    labels: tuple[str, ...]
    parts: Callable[[], Iterable[tuple[tuple[str, ...], Part]]]
    series: Sequence[MetricSeries[Part]]


class _Collector:
    """Adapts a group to the interface of a Prometheus collector."""

    def __init__(self, group: MetricGroup[Any]) -> None:
        self._group = group

    def describe(self) -> list[_Family]:
        """Return the families without samples; a registry needs them to refuse a name that it already has."""
        return [_family(self._group, series) for series in self._group.series]

    def collect(self) -> Iterator[_Family]:
        """Yield the families with samples; a family's values are read only when it is yielded."""
        for series, family in zip(self._group.series, self.describe(), strict=True):
            for values, part in self._group.parts():
                labels = dict(zip(self._group.labels, values, strict=True))
                for suffix, more, number in _samples(series, series.read(part)):
                    family.add_sample(series.name + suffix, labels | more, number)
            yield family


def registry(groups: Iterable[MetricGroup[Any]]) -> CollectorRegistry:
    """Return a new registry with these groups and the process' own figures (`feedbus_process_…`, from /proc)."""
    made = CollectorRegistry()
    ProcessCollector(namespace="feedbus", registry=made)
    for group in groups:
        add(made, group)
    return made


def add(to: CollectorRegistry, group: MetricGroup[Any]) -> None:
    """Add a group to a registry. Raises ValueError when the registry already has one of its names."""
    to.register(_Collector(group))


def _family(group: MetricGroup[Any], series: MetricSeries[Any]) -> _Family:
    if series.type == "summary":
        return SummaryMetricFamily(series.name, series.help, labels=group.labels)
    labels = (*group.labels, series.by) if series.by else group.labels
    family = CounterMetricFamily if series.type == "counter" else GaugeMetricFamily
    return family(series.name, series.help, labels=labels)


def _samples(series: MetricSeries[Any], value: Value) -> Iterator[tuple[str, dict[str, str], float]]:
    """Yield the samples of one value: (suffix of the name, labels besides those of the group, number)."""
    if isinstance(value, Summary):
        yield from (("", {series.by: name}, number) for name, number in value.quantiles.items())
        yield from (("_count", {}, value.count), ("_sum", {}, value.sum))
    elif isinstance(value, int | float):
        yield "", {}, value
    elif value is not None:
        yield from (("", {series.by: key}, number) for key, number in _bounded(value).items())


def _bounded(values: Mapping[str, float]) -> dict[str, float]:
    """Return at most MAX_VALUES numbers, with the same sum."""
    kept = dict(values)
    if len(kept) > MAX_VALUES:
        names = list(kept)[MAX_VALUES - 1 :]
        kept[OTHER] = kept.get(OTHER, 0) * (OTHER not in names) + sum(kept.pop(name) for name in names)
    return kept
