"""The judges of a soak complain when they should, and only then."""

from __future__ import annotations

from typing import Any

import pytest

from tests.soak.verdict import MIB, balance, growth, memory, slope, whole

FLAT = [(float(second), 50 * MIB + (second % 2) * 1000) for second in range(60)]
LEAK = [(float(second), 50 * MIB + second * MIB // 4) for second in range(60)]


def report(**changes: Any) -> dict[str, Any]:
    stats = {
        "published": {"book": 10},
        "delivered": {"book": 7},
        "lost": {"book": 3},
        "gaps": 2,
        "unreadable": 0,
        "unknown_kinds": 0,
    }
    own = {"delivered": {"book": 7}, "lost": {"book": 3}, "before": {"book": 5}, "gaps": 2}
    zeros = {"open_gaps": 0, "out_of_order": 0}
    inner = {name: changes.pop(name) for name in list(changes) if name in ("published", "unreadable", "unknown_kinds")}
    return {"stats": stats | inner, **own, **zeros, **changes}


def test_a_line_has_its_slope_and_its_growth() -> None:
    assert slope(LEAK) == pytest.approx(900 * MIB)
    assert growth(LEAK) == 10 * MIB
    assert slope(FLAT[:1]) == 0


def test_flat_memory_is_good_and_a_leak_or_too_much_is_not() -> None:
    assert memory(FLAT, peak_mib=60, growth_mib=5) == []
    assert memory(LEAK, peak_mib=100, growth_mib=5) == ["resident memory grew by 10.0 MiB, more than 5"]
    assert memory(FLAT, peak_mib=40, growth_mib=5) == ["resident memory reached 50.0 MiB, more than 40"]
    assert "soak for longer" in memory(FLAT[:10], peak_mib=60, growth_mib=5)[0]


def test_one_spike_is_no_growth() -> None:
    assert memory([*FLAT, (60.0, 59 * MIB)], peak_mib=60, growth_mib=1) == []


def test_a_balance_that_holds_is_good() -> None:
    assert balance("fast", report()) == []
    assert whole("fast", report(), {"book": 15, "feed": 999}) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"published": {"book": 11}},
        {"delivered": {"book": 8}},
        {"lost": {"book": 4}},
        {"gaps": 3},
        {"out_of_order": 1},
        {"unreadable": 1},
        {"unknown_kinds": 1},
        {"delivered": {}},
    ],
)
def test_a_balance_that_does_not_hold_is_told(changes: dict[str, Any]) -> None:
    assert all(complaint.startswith("fast: ") for complaint in balance("fast", report(**changes)))
    assert balance("fast", report(**changes))


def test_what_the_publisher_sent_and_the_reader_never_heard_of_is_told() -> None:
    assert whole("fast", report(), {"book": 16}) == ["fast: 16 book events were published, and it knows of 15"]
    assert whole("fast", report(open_gaps=1), {"book": 16}) == []
