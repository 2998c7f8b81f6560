"""Series read off counters at scrape time."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from prometheus_client import REGISTRY, generate_latest  # noqa: TID251 (to show that it is left alone)

from feedbus.telemetry.series import (
    MAX_VALUES,
    OTHER,
    CollectorRegistry,
    MetricGroup,
    MetricSeries,
    Summary,
    add,
    registry,
)


@dataclass
class Pump:
    name: str
    strokes: int = 0
    pressure: float | None = None
    faults: dict[str, float] = field(default_factory=dict)


SERIES = (
    MetricSeries[Pump]("feedbus_pump_strokes_total", "Strokes.", lambda pump: pump.strokes),
    MetricSeries[Pump]("feedbus_pump_pressure_pascals", "Pressure.", lambda pump: pump.pressure),
    MetricSeries[Pump]("feedbus_pump_faults_total", "Faults, by cause.", lambda pump: pump.faults, by="cause"),
)


def of(pumps: list[Pump]) -> MetricGroup[Pump]:
    return MetricGroup(("pump",), lambda: (((pump.name,), pump) for pump in pumps), SERIES)


def scraped(made: CollectorRegistry) -> list[str]:
    lines = generate_latest(made).decode().splitlines()
    return [line for line in lines if "pump" in line and not line.startswith("#")]


def test_each_scrape_reads_the_parts_anew() -> None:
    pumps = [Pump("a")]
    made = registry([of(pumps)])
    assert scraped(made) == ['feedbus_pump_strokes_total{pump="a"} 0.0']
    pumps[0].strokes = 7
    pumps[0].pressure = 1.5
    pumps[0].faults["leak"] = 2
    pumps.append(Pump("b"))
    assert scraped(made) == [
        'feedbus_pump_strokes_total{pump="a"} 7.0',
        'feedbus_pump_strokes_total{pump="b"} 0.0',
        'feedbus_pump_pressure_pascals{pump="a"} 1.5',
        'feedbus_pump_faults_total{cause="leak",pump="a"} 2.0',
    ]


def test_a_name_that_ends_in_total_is_a_counter_and_any_other_a_gauge() -> None:
    text = generate_latest(registry([of([Pump("a")])])).decode()
    assert "# HELP feedbus_pump_strokes_total Strokes.\n# TYPE feedbus_pump_strokes_total counter\n" in text
    assert "# TYPE feedbus_pump_pressure_pascals gauge\n" in text


def test_the_values_of_a_label_are_bounded_and_their_sum_is_kept() -> None:
    pump = Pump("a", faults={f"cause {number}": 1.0 for number in range(MAX_VALUES + 30)})
    lines = [line for line in scraped(registry([of([pump])])) if "faults" in line]
    assert len(lines) == MAX_VALUES
    assert f'feedbus_pump_faults_total{{cause="{OTHER}",pump="a"}} 31.0' in lines
    assert sum(float(line.rpartition(" ")[2]) for line in lines) == MAX_VALUES + 30


@pytest.mark.parametrize("at", [0, MAX_VALUES + 3])
def test_a_label_value_that_is_the_word_for_the_rest_is_added_to_the_rest(at: int) -> None:
    names = [f"cause {number}" for number in range(MAX_VALUES + 8)]
    names.insert(at, OTHER)
    pump = Pump("a", faults=dict.fromkeys(names, 1.0))
    lines = [line for line in scraped(registry([of([pump])])) if "faults" in line]
    assert len(lines) <= MAX_VALUES
    assert sum(float(line.rpartition(" ")[2]) for line in lines) == len(names)


def test_a_name_can_not_be_there_twice() -> None:
    made = registry([of([])])
    with pytest.raises(ValueError, match="feedbus_pump_strokes"):
        add(made, of([]))


def test_the_registry_has_the_process_and_is_not_the_global_one() -> None:
    made = registry([])
    assert made is not REGISTRY
    text = generate_latest(made).decode()
    assert "\nfeedbus_process_resident_memory_bytes " in text
    assert "\nfeedbus_process_cpu_seconds_total " in text
    assert "\npython_info" not in text


def test_a_summary_has_quantiles_a_count_and_a_sum() -> None:
    series = MetricSeries[Pump](
        "feedbus_pump_age_seconds",
        "Ages.",
        lambda pump: Summary(pump.strokes, 7.5, {"0.5": 0.25, "0.99": 2.0}) if pump.strokes else None,
        by="quantile",
    )
    made = registry([MetricGroup(("pump",), lambda: [(("a",), Pump("a", 3)), (("b",), Pump("b"))], [series])])
    assert scraped(made) == [
        'feedbus_pump_age_seconds{pump="a",quantile="0.5"} 0.25',
        'feedbus_pump_age_seconds{pump="a",quantile="0.99"} 2.0',
        'feedbus_pump_age_seconds_count{pump="a"} 3.0',
        'feedbus_pump_age_seconds_sum{pump="a"} 7.5',
    ]
    assert "# TYPE feedbus_pump_age_seconds summary" in generate_latest(made).decode()
