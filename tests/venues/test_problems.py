"""What is said of a message of which much can't be used."""

from __future__ import annotations

from feedbus.venues.problems import MAX_PROBLEMS, Problems


def test_the_first_problems_are_told_and_the_rest_is_counted() -> None:
    problems = Problems("book X")
    assert not problems
    problems.note("row 1", "not a number", "x\n")
    problems.note("", "too old")
    assert list(map(str, problems.errors())) == [r"book X row 1: not a number: 'x\n'", "book X: too old"]
    for row in range(100_000):
        problems.note(f"row {row}", "not a number", None)
    told = problems.errors()
    assert len(told) == MAX_PROBLEMS
    assert str(told[-1]) == f"book X: {100_002 - MAX_PROBLEMS + 1} more of its rows or cells can't be used"
