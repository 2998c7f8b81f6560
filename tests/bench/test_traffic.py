"""How the venue spreads its writes over time."""

from __future__ import annotations

from collections import Counter
from itertools import islice, pairwise
from statistics import fmean, pstdev

import pytest

from feedbus.bench.traffic import TRAFFIC, TrafficName, Write, even_writes, real_writes

WRITES = 20_000
NAMES: tuple[TrafficName, ...] = ("quiet", "opening", "burst")


def taken(name: TrafficName, rate: float) -> list[Write]:
    return list(islice(real_writes(TRAFFIC[name], rate), WRITES))


def test_even_writes_are_due_at_the_rate_or_at_once() -> None:
    assert list(islice(even_writes(100.0, 20), 3)) == [Write(0.0, 20), Write(0.2, 20), Write(0.4, 20)]
    assert list(islice(even_writes(0.0, 1), 2)) == [Write(0.0, 1), Write(0.0, 1)]


@pytest.mark.parametrize("name", NAMES)
def test_real_writes_have_the_rate_and_the_groups_that_were_counted(name: TrafficName) -> None:
    writes = taken(name, 4000.0)
    assert writes[0].due == 0.0
    assert sum(write.frames for write in writes) / writes[-1].due == pytest.approx(4000, rel=0.1)
    counted = Counter(write.frames for write in writes)
    for size, weight in TRAFFIC[name].groups.items():
        assert counted[size] / WRITES == pytest.approx(weight, abs=0.01)


@pytest.mark.parametrize(("name", "variation"), [("quiet", 1.44), ("opening", 2.15), ("burst", 2.05)])
def test_real_gaps_are_uneven(name: TrafficName, variation: float) -> None:
    gaps = [after.due - before.due for before, after in pairwise(taken(name, 4000.0))]
    assert pstdev(gaps) / fmean(gaps) == pytest.approx(variation, rel=0.05), "a steady chance of a write would give 1"


def test_busier_traffic_comes_in_larger_groups() -> None:
    single = [TRAFFIC[name].groups[1] / TRAFFIC[name].frames_per_group for name in NAMES]
    assert [round(share, 2) for share in single] == [0.75, 0.24, 0.17], "the share of frames that come alone"


def test_it_is_the_same_each_time_and_may_come_as_fast_as_it_is_read() -> None:
    paced, unpaced = taken("opening", 4000.0), taken("opening", 0.0)
    assert paced == taken("opening", 4000.0)
    assert [write.frames for write in paced] == [write.frames for write in unpaced]
    assert {write.due for write in unpaced} == {0.0}
