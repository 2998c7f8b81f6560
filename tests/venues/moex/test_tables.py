"""How the cells of a table are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from feedbus.errors import BadData
from feedbus.venues.moex.tables import MAX_ROWS, column, count_of, number, read_table, size_of, word_of

GOOD: list[tuple[Callable[[Any, str], Any], Any, Any]] = [
    (number, [327.95, 2], 327.95),
    (number, 7, 7.0),
    (number, None, None),
    (size_of, 0, 0.0),
    (count_of, 12.0, 12),
    (count_of, None, None),
    (word_of, "T", "T"),
]
BAD: list[tuple[Callable[[Any, str], Any], Any]] = [
    (number, "7"),
    (number, [1.5, 2.5]),
    (number, 2**63),
    (number, True),
    (size_of, -1),
    (count_of, 1.5),
    (count_of, -1),
    (word_of, "a" * 17),
    (word_of, "a\nb"),
    (word_of, 7),
]


@pytest.mark.parametrize(("read", "cell", "value"), GOOD)
def test_a_cell_is_read(read: Callable[[Any, str], Any], cell: Any, value: Any) -> None:
    assert read(cell, "here") == value


@pytest.mark.parametrize(("read", "cell"), BAD)
def test_a_cell_of_another_shape_is_bad_data_that_says_where(read: Callable[[Any, str], Any], cell: Any) -> None:
    with pytest.raises(BadData, match=r"^here: "):
        read(cell, "here")


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
