"""Prometheus series that are read from the parts' own plain counters at each scrape, so no number is kept twice.

A MetricSeries is one line of a table: a name, a help text, and a function that reads the value from a part. A
MetricGroup joins such a table with the parts that it describes, and with the labels that tell the parts apart.
`registry` makes a Prometheus registry of groups. A PartsFamily is one such series of one group: it is a metric family
of Prometheus' library, and can also be read part by part, so that a long one needn't be read at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import Sample
from prometheus_client.process_collector import ProcessCollector

__all__ = [
    "CollectorRegistry",
    "MetricGroup",
    "MetricSeries",
    "PartsFamily",
    "Reading",
    "Summary",
    "Value",
    "add",
    "registry",
]

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


Reading = tuple[str, str | None, float]
"""One number that was read from a part: the suffix of the name, the value of the label `by` (None for a sample that has
no such label), and the number."""


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


class PartsFamily(Metric):
    """A metric family whose samples are read from the parts when somebody asks for them, and not before.

    `labels` are those of the group. `shapes` are the suffixes that the name of a sample may have, each with whether
    such a sample has the label `by`.
    """

    def __init__(self, group: MetricGroup[Any], series: MetricSeries[Any]) -> None:
        name = series.name.removesuffix("_total") if series.type == "counter" else series.name
        super().__init__(name, series.help, series.type)
        self.labels = group.labels
        self.by = series.by
        self.shapes = {"": bool(series.by)}
        if series.type == "summary":
            self.shapes |= {"_count": False, "_sum": False}
        self._group = group
        self._series = series

    def parts(self) -> Sequence[tuple[tuple[str, ...], Any]]:
        """Return the parts that there are now, each with the values of `labels`. They may come and go while their
        numbers are read: this sequence stays as it is, so that none is passed over and none comes twice."""
        return list(self._group.parts())

    def read(self, part: Any) -> Iterable[Reading]:
        """Read the numbers of one part."""
        return _readings(self._series.read(part))

    def sample(self, values: Sequence[str], reading: Reading) -> Sample:
        """Return a reading as a sample of Prometheus' library. `values` are those of `labels`."""
        suffix, key, number = reading
        labels = dict(zip(self.labels, values, strict=True))
        if key is not None:
            labels[self.by] = key
        return Sample(self._series.name + suffix, labels, number)

    @property
    def samples(self) -> list[Sample]:
        """All samples, read now."""
        return [self.sample(values, reading) for values, part in self.parts() for reading in self.read(part)]

    @samples.setter
    def samples(self, samples: list[Sample]) -> None:
        """Do nothing: the library's constructor sets an empty list."""


class _Collector:
    """Adapts a group to the interface of a Prometheus collector."""

    def __init__(self, group: MetricGroup[Any]) -> None:
        self._families = [PartsFamily(group, series) for series in group.series]

    def describe(self) -> list[PartsFamily]:
        """Return the families. A registry looks at their names, to refuse one that it already has."""
        return self._families

    def collect(self) -> list[PartsFamily]:
        """Return the families. Nothing is read yet."""
        return self._families


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


def _readings(value: Value) -> Iterable[Reading]:
    """Return the numbers of one value."""
    if isinstance(value, int | float):
        return (("", None, value),)
    if isinstance(value, Summary):
        quantiles = [("", name, number) for name, number in value.quantiles.items()]
        return [*quantiles, ("_count", None, value.count), ("_sum", None, value.sum)]
    return () if value is None else [("", key, number) for key, number in _bounded(value).items()]


def _bounded(values: Mapping[str, float]) -> dict[str, float]:
    """Return at most MAX_VALUES numbers, with the same sum."""
    kept = dict(values)
    if len(kept) > MAX_VALUES:
        names = list(kept)[MAX_VALUES - 1 :]
        kept[OTHER] = kept.get(OTHER, 0) * (OTHER not in names) + sum(kept.pop(name) for name in names)
    return kept
