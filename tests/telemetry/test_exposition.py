"""The text of all series: as Prometheus' library would write it, but a slice at a time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import trio
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.parser import text_string_to_metric_families

from feedbus.telemetry.exposition import SLICE, exposition
from feedbus.telemetry.series import MAX_VALUES, MetricGroup, MetricSeries, Summary, Value, add, registry

ACCEPTED = [
    "",
    "text/plain;version=0.0.4",
    "text/plain;version=1.0.0;escaping=allow-utf-8",
    "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;q=0.5",
    *(f"application/openmetrics-text;version=1.0.0;escaping={way}" for way in ("underscores", "dots", "values")),
]

Made = list[tuple[tuple[str, ...], Value]]
"""The parts of a made-up group: the values of its labels, and what is read from it."""

names = st.from_regex(r"[a-z]+(_[a-z]+)*", fullmatch=True)
words = st.text(st.sampled_from('az \\"\n\r\v%{}\0é�'), max_size=4)
numbers = st.floats() | st.integers(-(10**9), 10**18)


@st.composite
def groups(draw: st.DrawFn) -> tuple[list[str], MetricSeries[Value], Made]:
    """The names of the labels, a series, and the parts."""
    labels = draw(st.lists(names, max_size=3, unique=True))
    kind = draw(st.sampled_from(["plain", "by", "summary"]))
    name = "feedbus_" + draw(names) + draw(st.sampled_from(["", "_total"] if kind != "summary" else [""]))
    by = {"plain": "", "by": draw(names.filter(lambda it: it not in labels)), "summary": "quantile"}[kind]
    values: dict[str, st.SearchStrategy[Any]] = {
        "plain": numbers,
        "by": st.dictionaries(words, numbers, max_size=3),
        "summary": st.builds(Summary, numbers, numbers, st.dictionaries(words, numbers, max_size=3)),
    }
    part = st.tuples(st.tuples(*[words for _ in labels]), st.none() | values[kind])
    return labels, MetricSeries(name, draw(words), lambda it: it, by=by), draw(st.lists(part, max_size=4))


class Library:
    """The same series as the families of Prometheus' library."""

    def __init__(self, labels: list[str], series: MetricSeries[Value], made: Made) -> None:
        names = [*labels, series.by] if series.by else labels
        family: Any
        if series.by == "quantile":
            family = SummaryMetricFamily(series.name, series.help, labels=labels)
        elif series.name.endswith("_total"):
            family = CounterMetricFamily(series.name, series.help, labels=names)
        else:
            family = GaugeMetricFamily(series.name, series.help, labels=names)
        for values, value in made:
            if isinstance(value, Summary):
                given = dict(zip(labels, values, strict=True))
                for key, number in value.quantiles.items():
                    family.add_sample(series.name, given | {"quantile": key}, number)
                family.add_sample(f"{series.name}_count", given, value.count)
                family.add_sample(f"{series.name}_sum", given, value.sum)
            elif isinstance(value, Mapping):
                for key, number in value.items():
                    family.add_metric([*values, key], number)
            elif value is not None:
                family.add_metric(list(values), value)
        self.family = family

    def collect(self) -> list[Metric]:
        return [self.family]


NASTY = '"\\\n\r\v%s%(b)s\0é'


@given(groups(), st.sampled_from(ACCEPTED))
@example((["b", "z"], MetricSeries("feedbus_a", NASTY, dict, by="c"), [((NASTY, NASTY), {NASTY: 1e6})]), "")
@example((["b", "z"], MetricSeries("feedbus_a", NASTY, float), [((NASTY, "x"), -0.0)]), ACCEPTED[3])
def test_the_text_is_the_same_as_the_library_writes_at_once(
    group: tuple[list[str], MetricSeries[Value], Made], accept: str
) -> None:
    labels, series, made = group
    encode, content_type = choose_encoder(accept)
    ours = CollectorRegistry()
    add(ours, MetricGroup(tuple(labels), lambda: made, [series]))
    assert trio.run(exposition, ours, accept) == (encode(Library(labels, series, made)), content_type)


@given(st.text(st.characters(codec="latin-1")))
def test_any_accept_header_is_answered(accept: str) -> None:
    body, _ = trio.run(exposition, registry([]), accept)
    assert body.count(b"# TYPE feedbus_process_open_fds gauge\n") == 1


class BetweenTurns(trio.abc.Instrument):
    """Calls a function whenever every task that can run has had its turn."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call

    def before_io_wait(self, timeout: float) -> None:
        self._call()


def scraped(group: MetricGroup[Any], meanwhile: Callable[[], object]) -> str:
    """The text of a group. `meanwhile` is called at each turn of other tasks while it is made."""
    made = CollectorRegistry()
    add(made, group)
    body, _ = trio.run(exposition, made, "", instruments=[BetweenTurns(meanwhile)])
    return body.decode()


@pytest.mark.parametrize("value", [1.0, None, {"a": 1.0, "b": 2.0}, dict.fromkeys(map(str, range(MAX_VALUES)), 1.0)])
def test_others_have_their_turn_after_every_slice_of_a_long_family(value: Value) -> None:
    lines = len(value) if isinstance(value, Mapping) else 1
    read = [0]  # lines in each turn of ours

    def reading(_: None) -> Value:
        read[-1] += lines
        return value

    series = MetricSeries("feedbus_a", "A.", reading, by="key" if isinstance(value, Mapping) else "")
    parts = [((str(number),), None) for number in range(10 * SLICE // lines)]
    scraped(MetricGroup(("part",), lambda: parts, [series]), lambda: read.append(0))
    assert sum(read) == len(parts) * lines
    assert max(read) < SLICE + lines


def test_others_have_their_turn_after_every_family() -> None:
    turns: list[list[str]] = [[]]

    def figure(name: str) -> MetricSeries[None]:
        return MetricSeries(name, "A figure.", lambda _: turns[-1].append(name) or 0.0)  # type: ignore[func-returns-value]

    group = MetricGroup[None]((), lambda: [((), None)], [figure(f"feedbus_{letter}") for letter in "abc"])
    scraped(group, lambda: turns.append([]))
    assert [turn for turn in turns if turn] == [["feedbus_a"], ["feedbus_b"], ["feedbus_c"]]


def test_parts_that_come_and_go_between_two_slices_do_not_break_the_text() -> None:
    parts = {f"p{number}": number for number in range(3 * SLICE)}
    numbers = itertools.count(len(parts))

    def change() -> None:
        for name in list(parts)[1:3]:
            del parts[name]
        for number in itertools.islice(numbers, 5):
            parts[f"p{number}"] = number
        parts.update(dict(sorted(parts.items(), reverse=True)))  # and their order changes

    def living() -> Iterator[tuple[tuple[str], int]]:
        return (((name,), number) for name, number in parts.items())

    series = [MetricSeries[int](f"feedbus_{letter}", "A.", float) for letter in "ab"]
    found = {
        family.name: [(sample.labels["part"], sample.value) for sample in family.samples]
        for family in text_string_to_metric_families(scraped(MetricGroup(("part",), living, series), change))
    }
    assert set(found) == {"feedbus_a", "feedbus_b"}
    for samples in found.values():
        assert len(samples) >= 3 * SLICE
        assert len({name for name, _ in samples}) == len(samples)
        assert all(name == f"p{value:.0f}" for name, value in samples)
    assert found["feedbus_a"] != found["feedbus_b"]
