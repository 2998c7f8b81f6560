"""Which lines of the log are left out, and how that is told. No handler, no clock."""

from __future__ import annotations

import logging

import pytest

from feedbus.telemetry.log_limits import LINES, MAX_KINDS, MINUTE, OWN_LIMIT, LineLimit


def line(template: str, *values: object, name: str = "feedbus.moex/3", level: str = "WARNING") -> logging.LogRecord:
    return logging.LogRecord(name, logging.getLevelNamesMapping()[level], "x.py", 1, template, values, None)


def admitted(limit: LineLimit, count: int, now: float, template: str = "%s; next attempt in %.1f s") -> int:
    return sum(limit.admits(line(template, f"failure {number}", number), now) for number in range(count))


def test_a_line_that_repeats_itself_is_written_so_often_within_a_minute_and_then_counted() -> None:
    limit = LineLimit()
    assert admitted(limit, 200, 0.0) == LINES
    assert admitted(limit, 113, MINUTE / 2) == 0
    assert limit.due(MINUTE - 0.1) == []
    (told,) = limit.due(MINUTE)
    expected = f"… and {313 - LINES} more like this within a minute, the last one: failure 112; next attempt in 112.0 s"
    assert (told.name, told.levelname, told.getMessage()) == ("feedbus.moex", "WARNING", expected)
    assert limit.due(MINUTE) == []
    assert admitted(limit, 200, MINUTE) == LINES
    assert limit.left_out == {"warning": 313 - LINES + 200 - LINES}
    assert len(limit.due()) == 1


def test_a_line_that_comes_when_its_minute_is_over_is_written_before_anybody_asks_what_is_due() -> None:
    limit = LineLimit()
    assert admitted(limit, 100, 0.0) == LINES
    assert admitted(limit, 1, MINUTE) == 1
    assert len(limit.due(MINUTE)) == 1


@pytest.mark.parametrize(
    "other",
    [
        line("online"),
        line("%s; next attempt in %.1f s", "x", 1.0, name="feedbus.alor/3"),
        line("%s; next attempt in %.1f s", "x", 1.0, level="ERROR"),
        line("%s", "another text"),
    ],
)
def test_lines_of_other_kinds_are_written_meanwhile(other: logging.LogRecord) -> None:
    limit = LineLimit()
    admitted(limit, 100, 0.0)
    assert sum(limit.admits(line("%s", "a text"), 0.0) for _ in range(100)) == LINES
    assert limit.admits(other, 0.0)


def test_the_connections_of_a_feed_count_together() -> None:
    limit = LineLimit()
    lines = [line("online", name=f"feedbus.moex/{number}", level="INFO") for number in range(200)]
    assert sum(limit.admits(each, 0.0) for each in lines) == LINES


def test_a_writer_that_limits_its_lines_by_itself_is_left_alone() -> None:
    limit = LineLimit()
    alert = line("%s %s", "warning", "price_jump")
    setattr(alert, OWN_LIMIT, True)
    assert all(limit.admits(alert, 0.0) for _ in range(1000))


def test_many_kinds_take_bounded_memory_and_the_oldest_is_told_early() -> None:
    limit = LineLimit()
    admitted(limit, 100, 0.0)
    assert all(limit.admits(line(f"kind {number}"), 0.0) for number in range(3 * MAX_KINDS))
    (told,) = limit.due(0.0)
    assert told.getMessage().startswith(f"… and {100 - LINES} more")


def test_a_line_whose_values_do_not_fit_is_told_as_it_is() -> None:
    limit = LineLimit()
    for _ in range(100):
        limit.admits(line("%d and %d", "one"), 0.0)
    (told,) = limit.due()
    assert told.getMessage().endswith("the last one: %d and %d")
