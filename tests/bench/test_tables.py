"""Lines for people."""

from __future__ import annotations

from typing import Any

import msgspec

from feedbus.bench.figures import Latency, Memory, Outcome, Turn, TurnSpread, result
from feedbus.bench.scenarios import RIVAL, SCENARIOS
from feedbus.bench.tables import TITLES, markdown, plain, turn_line

TURN = Turn(12.3, 4.5, 16.8, 1.0, 51234.0, 0.987, 0.25, 60000, 60000, 0)
TIMED = msgspec.structs.replace(TURN, receive_to_subscriber_us=Latency(100.4, 1200.0, 3000.0, 9000.0))
LOST = msgspec.structs.replace(TURN, received=59000, gaps=3)
DRAWING = {
    "instruments": 1500,
    "width": 200,
    "height": 50,
    "redraw_ms": TurnSpread(5.0, 7.5, 9.0),
    "share": 0.0081,
    "add_us": 1.9,
}


def results(*turns: Turn) -> list[dict[str, Any]]:
    memory = Memory(40.2, 41.0)
    outcomes = [Outcome(label, list(turns), memory, memory) for label in ("feedbus", RIVAL)]
    return [result(SCENARIOS["burst"], outcomes)]


def test_a_turn_is_one_line_that_says_what_it_lost() -> None:
    assert turn_line(TURN) == "  12.3 +   4.5 us    51,234/s"
    assert turn_line(TIMED).endswith("p50    100  p99  1,200 us")
    assert turn_line(LOST).endswith("LOST: 59,000 of 60,000 came, 3 gaps")


def test_markdown_has_a_row_for_each_contender() -> None:
    title, rule, first, second = markdown(results(TIMED)).splitlines()
    assert title == f"| {' | '.join(TITLES)} |"
    assert rule.count("---:") == len(TITLES) - 2
    ratio = "1.00 (1.00-1.00)"
    row = f"| burst | feedbus | 12.3 | 4.5 | 16.8 | {ratio} | 99% | 51,234 | 100 | 1,200 | 3,000 | 40-40 | 0 |"
    assert first == row
    assert second.startswith(f"| burst | {RIVAL} | 12.3 | 4.5 | 16.8 | - |")


def test_columns_are_aligned_and_losses_are_in_the_row() -> None:
    title, first, second = plain(results(TURN, LOST)).splitlines()
    assert title.index("lost") + 4 <= len(first)
    assert first.startswith("burst     feedbus ")
    assert second.startswith(f"burst     {RIVAL}")
    assert first.endswith("1,000 (3 gaps)")


def test_the_drawing_is_a_line_of_its_own() -> None:
    drawn = {"scenario": {"name": "table"}, "drawing": DRAWING}
    line = (
        "table: 1,500 instruments on 200 x 50: 7.5 ms a redraw (5.0-9.0), "
        "0.8% of a core at one a second; 1.9 us to take in an event"
    )
    assert plain([drawn]) == markdown([drawn]) == line
    assert markdown([*results(TURN), drawn]).endswith(f"|\n\n{line}")
