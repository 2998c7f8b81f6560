"""Which scenarios are run, by whom, with which numbers."""

from __future__ import annotations

import pytest

from feedbus.bench.scenarios import NAMES, RIVAL, SCENARIOS, TABLE, TUNED, Overrides, Scenario, chosen
from feedbus.errors import ConfigError


def labels(scenario: Scenario) -> list[str]:
    return [contender.label for contender in scenario.contenders]


def test_no_names_mean_all_and_the_table_is_no_feed() -> None:
    assert [scenario.name for scenario in chosen([], Overrides(), False)] == list(SCENARIOS)
    assert (*SCENARIOS, TABLE) == NAMES
    assert chosen([TABLE], Overrides(), True) == []


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="unknown scenario 'brust'; there are: burst, trades, paced, trickle, real-q"):
        chosen(["burst", "brust"], Overrides(), False)


def test_real_stands_for_three() -> None:
    found = chosen(["real", "paced"], Overrides(), False)
    assert [scenario.name for scenario in found] == ["real-quiet", "real-opening", "real-burst", "paced"]
    assert [scenario.traffic for scenario in found] == ["quiet", "opening", "burst", None]
    assert all(labels(scenario) == labels(found[-1]) for scenario in found)


def test_the_rival_takes_part_only_in_comparisons_with_it() -> None:
    assert labels(chosen(["burst"], Overrides(), False)[0]) == ["feedbus"]
    assert labels(chosen(["burst"], Overrides(), True)[0]) == ["feedbus", RIVAL, TUNED]
    assert labels(chosen(["paced"], Overrides(), True)[0]) == ["feedbus", "feedbus pace latency", RIVAL, TUNED]
    assert labels(chosen(["trades"], Overrides(), True)[0]) == ["feedbus", RIVAL]
    assert RIVAL not in labels(chosen(["tickers"], Overrides(), True)[0])


def test_what_the_command_line_sets_replaces_the_scenarios_own() -> None:
    (found,) = chosen(["sharded"], Overrides(events=9, rate=0.0, connections=2, symbols=3, transport="x"), False)
    assert (found.events, found.rate, found.connections, found.symbols, found.transport) == (9, 0.0, 2, 3, "x")
    assert found.frames_per_write == SCENARIOS["sharded"].frames_per_write


def test_a_linger_is_everybodys_and_nobody_runs_twice() -> None:
    (found,) = chosen(["paced"], Overrides(linger=0.005), True)
    assert labels(found) == ["feedbus linger 0.005", RIVAL, TUNED]
    assert [contender.bus for contender in found.contenders] == [{"linger": 0.005}, {}, {}]
    (tickers,) = chosen(["tickers"], Overrides(linger=0.0), False)
    assert [(one.times, one.bus) for one in tickers.contenders] == [(1, {"linger": 0.0}), (10, {"linger": 0.0})]


def test_every_baseline_takes_part_when_it_is_compared_to() -> None:
    for scenario in chosen([], Overrides(), True):
        assert scenario.baseline in labels(scenario)
        assert len(set(labels(scenario))) == len(labels(scenario))
