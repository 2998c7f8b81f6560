"""The lines of the final statistics."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from feedbus.table.run_totals import Total
from feedbus.table.run_view import run_lines, unit


def test_the_lines_look_as_designed() -> None:
    totals = [
        Total("binance", "BTCUSDT", 1870, 55321.38, 2, 55321.375, 1.10256, 0.72812, 0.37444, "trades"),
        Total("moex", "TQBR.SBER", 80, 306.1, 2, 306.1, 3900.0, None, None, "ticker"),
        Total("moex", "TQBR.VTBR", 3, None, 0, None, None, None, None, None),
    ]
    assert run_lines(totals) == [
        "venue    instrument  updates      last       VWAP  volume  bought    sold  unit        from",
        "binance  BTCUSDT       1,870  55321.38  55321.375    1.10  0.7281  0.3744  base units  trades",
        "moex     TQBR.SBER        80    306.10    306.100   3,900       -       -  securities  ticker",
        "moex     TQBR.VTBR         3         -          -       -       -       -  -           -",
    ]


def test_without_instruments_there_are_no_lines() -> None:
    assert run_lines([]) == []


@pytest.mark.parametrize(
    ("venue", "source", "name"),
    [("moex", "ticker", "securities"), ("alor", "trades", "lots"), ("alor", "ticker", "venue's own"),
     ("new", "trades", "venue's own"), ("moex", None, "-")],
)  # fmt: skip
def test_the_unit_of_volumes_is_named(venue: str, source: str | None, name: str) -> None:
    total = Total(venue, "X", 1, None, 0, None, 1.0, None, None, source)  # type: ignore[arg-type]
    assert unit(total) == name


NUMBERS = st.none() | st.floats()
TEXTS = st.sampled_from(["日本語" * 9, "A" * 60, "\x1b[31m", "X\nY"]) | st.text(max_size=40)


@given(
    st.lists(
        st.builds(
            Total, TEXTS, TEXTS, st.integers(0, 2**60), NUMBERS, st.integers(0, 8), NUMBERS, NUMBERS, NUMBERS, NUMBERS,
            st.sampled_from(["trades", "ticker", None]),
        ),
        min_size=1,
        max_size=5,
    )
)  # fmt: skip
def test_whatever_it_is_the_lines_are_aligned_and_plain(totals: list[Total]) -> None:
    lines = run_lines(totals)
    assert len(lines) == len(totals) + 1
    assert all(line.isprintable() for line in lines)
    ends = {cell_len(line) - cell_len(total.source or "-") for line, total in zip(lines[1:], totals, strict=True)}
    assert len(ends) == 1
