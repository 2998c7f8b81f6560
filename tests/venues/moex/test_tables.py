"""How the cells of a table are read."""

from __future__ import annotations

from typing import Any

import pytest

from feedbus.errors import BadData
from feedbus.venues.moex.tables import (
    MAX_CELLS,
    MAX_ROWS,
    ReadCell,
    column,
    count_of,
    number,
    price_of,
    read_table,
    size_of,
    word_of,
)
from feedbus.venues.problems import Problems

GOOD: list[tuple[ReadCell, Any, Any]] = [
    (number, [327.95, 2], 327.95),
    (number, 7, 7.0),
    (number, None, None),
    (price_of, [1e99, 2], 1e99),
    (price_of, [0, 2], None),
    (size_of, 0, 0.0),
    (count_of, 12.0, 12),
    (count_of, None, None),
    (word_of, "T", "T"),
]
BAD: list[tuple[ReadCell, Any]] = [
    (number, "7"),
    (number, [1.5, 2.5]),
    (number, 2**63),
    (number, True),
    (price_of, -1),
    (price_of, [1e100, 2]),
    (size_of, -1),
    (size_of, 1e100),
    (count_of, 1.5),
    (count_of, -1),
    (word_of, "a" * 17),
    (word_of, "a\nb"),
    (word_of, 7),
]


@pytest.mark.parametrize(("read", "cell", "value"), GOOD)
def test_a_cell_is_read(read: ReadCell, cell: Any, value: Any) -> None:
    problems = Problems("here")
    assert read(cell, "X", problems) == value
    assert not problems


@pytest.mark.parametrize(("read", "cell"), BAD)
def test_a_cell_of_another_shape_is_none_and_a_problem_that_says_where(read: ReadCell, cell: Any) -> None:
    problems = Problems("here")
    assert read(cell, "X", problems) is None
    [error] = problems.errors()
    assert str(error).startswith("here X: ")


def test_a_table_has_bounded_rows_as_wide_as_its_columns() -> None:
    table = read_table(b'{"properties":{"type":"x"},"columns":["A","B"],"data":[[1,2]]}', "here")
    assert column(table, "B", "here") == 1
    with pytest.raises(BadData, match="column C is missing"):
        column(table, "C", "here")
    with pytest.raises(BadData, match="row 0 has 1 cells for 2 columns"):
        read_table(b'{"properties":{"type":"x"},"columns":["A","B"],"data":[[1]]}', "here")
    rows = b",".join([b"[1]"] * (MAX_ROWS + 1))
    with pytest.raises(BadData, match="rows, more than"):
        read_table(b'{"properties":{"type":"x"},"columns":["A"],"data":[' + rows + b"]}", "here")
    many = b",".join([b"[" + b",".join([b"1"] * 1000) + b"]"] * (MAX_CELLS // 1000 + 1))
    names = b",".join([b'"A"'] * 1000)
    with pytest.raises(BadData, match=f"rows of 1000 columns, more than {MAX_CELLS} cells"):
        read_table(b'{"properties":{"type":"x"},"columns":[' + names + b'],"data":[' + many + b"]}", "here")
