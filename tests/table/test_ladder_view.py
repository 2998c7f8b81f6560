"""The drawing of the ladder: what fits where, what stays where it is, and what is coloured."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from rich.cells import cell_len
from rich.console import Console

from feedbus.schema.events import Level
from feedbus.table.ladder import LadderPicture, TapeRow
from feedbus.table.ladder_view import (
    LadderLines,
    LadderWidths,
    bar,
    picture_lines,
    render,
    room_for_levels,
    size_text,
)
from tests.table.ladders import ASKS, BIDS, NOW, Traded, pictured

TAPE: list[Traded] = [(100.0, 0.25, "sell"), (100.5, 12.0, "buy"), (100.25, 1.0, None)]


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as zone:
        zone.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def drawn(shown: LadderPicture, width: int, height: int, kept: LadderWidths | None = None, foot: str = "") -> list[str]:
    return [line.plain for line in render(shown, width, height, kept or LadderWidths(), foot).lines]


def plain(shown: LadderPicture, width: int) -> list[str]:
    return [line.plain.rstrip() for line in picture_lines(shown, width, LadderWidths())]


def test_a_screen_of_80_columns_looks_as_designed() -> None:
    shown = pictured(trades=TAPE, sequence=42)
    assert drawn(shown, 80, 16, foot="q quits  ipc:///x") == [
        "binance BTCUSDT  live  age  0.0 s  update 42",
        " Price   Size                                Total   Time            Price  Size",
        "                                                   │ 13:46:42.000   100.25  1.00",
        "                                                   │ 13:46:41.000 ▲ 100.50 12.00",
        "no more is known; 3 asks up to 102.00              │ 13:46:40.000 ▼ 100.00  0.25",
        "102.00  10.00  ████████████████████████████  14.00 │ ",
        "101.00   1.00  ██▊                            4.00 │ ",
        "100.50   3.00  ████████▍                      3.00 │ ",
        "─ spread 0.50 49.9 bp  mid 100.250  micro 100.1250  imbalance(3)  -33 % ────────",
        "100.00   1.00  ██▊                            1.00 │ ",
        " 99.50   2.00  █████▋                         3.00 │ ",
        " 98.00   4.00  ███████████▎                   7.00 │ ",
        "no more is known; 3 bids down to 98.00             │ ",
        "                                                   │ ",
        "                                                   │ ",
        "q quits  ipc:///x",
    ]


def test_a_wide_screen_has_the_value_and_a_second_bar() -> None:
    first, titles, *lines = plain(pictured(trades=TAPE), 120)
    assert first.startswith("binance BTCUSDT")
    assert titles.split() == ["Price", "Size", "Total", "Value", "Time", "Price", "Size"]
    assert lines[1].split() == [
        *("102.00", "10.00", "█" * 29, "14.00", "█" * 29, "1,422", "│", "13:46:41.000", "▲", "100.50", "12.00"),
    ]  # fmt: skip
    told = replace(pictured(), lot=10.0, currency="RUB")
    assert plain(told, 120)[1].split() == ["Price", "Size", "Total", "RUB"]
    assert plain(told, 120)[3].split()[-1] == "14,225"
    assert plain(replace(told, lot=None), 120)[1].split() == ["Price", "Size", "Total"]


def test_what_has_no_room_is_left_out_and_no_number_is_cut() -> None:
    shown = pictured(trades=TAPE)
    assert [plain(shown, width)[3] for width in (60, 52, 48, 44, 20, 13, 6)] == [
        "102.00  10.00  ████████  14.00 │ 13:46:41.000 ▲ 100.50 12.00",
        "102.00 10.00 ███████ 14.00 │ 13:46:41 ▲ 100.50 12.00",
        "102.00 10.00 █████████ │ 13:46:41 ▲ 100.50 12.00",
        "102.00 10.00 █████████████████████████ 14.00",
        "102.00 10.00 ███████",
        "102.00 10.00",
        "102.00",
    ]


def test_the_middle_and_the_header_leave_parts_out_but_cut_none() -> None:
    shown = pictured(sequence=42)
    assert plain(shown, 52)[6] == "─ spread 0.5 49.9 bp  mid 100.25  micro 100.125 ────"
    assert plain(shown, 46)[6] == "─ spread 0.5 49.9 bp  mid 100.25 ─────────────"
    assert plain(shown, 37)[0] == "binance BTCUSDT  live  age  0.0 s"


def test_the_middle_stays_in_its_line_and_columns_keep_what_they_have_needed() -> None:
    kept = LadderWidths()
    shown = [
        pictured([(12345.0, 1000.0)], [(12345.5, 1.0)], TAPE),
        pictured(BIDS, ASKS),
        pictured([], ASKS),
        pictured([(1.0, 1.0)], []),
        pictured(BIDS * 9, ASKS, TAPE, count=2),
    ]
    screens = [drawn(each, 80, 14, kept) for each in shown]
    assert {next(at for at, line in enumerate(lines) if line.startswith("─ ")) for lines in screens} == {7}
    assert [lines[6][:10] for lines in screens[:2]] == ["12345.50  ", "   100.5  "]
    assert len({lines[7].index("mid") for lines in screens[:2]}) == 1


def test_a_book_that_is_not_right_has_no_colour_and_says_why() -> None:
    shown = replace(pictured(trades=TAPE), trouble="gap", top=(None, None, None, None))
    lines = render(shown, 80, 24, LadderWidths()).lines
    assert "─ messages were lost on the bus; the next full picture or word is waited for ─" in lines[12].plain
    ladder_styles = {
        str(span.style)
        for at, line in enumerate(lines[2:-1], 2)
        for span in line.spans
        if at != 12 and span.start < line.plain.index("│")
    }
    assert ladder_styles == {"dim"}
    assert plain(shown, 80) == [
        "binance BTCUSDT  NOT LIVE  age  0.0 s",
        "messages were lost on the bus; the next full picture or word is waited for",
    ]


def test_a_reason_that_is_longer_than_a_line_goes_on_below_and_so_does_why() -> None:
    shown = replace(pictured([], []), trouble="no picture yet", why="nobody listens at ipc:///x")
    lines = drawn(shown, 30, 14)
    assert lines[7:10] == ["─ no full picture of the book ", "has come yet", "nobody listens at ipc:///x"]
    assert plain(shown, 80)[1:] == ["no full picture of the book has come yet", "nobody listens at ipc:///x"]


def test_sides_have_their_colours_and_the_best_prices_are_bold() -> None:
    lines = render(pictured(trades=TAPE), 120, 16, LadderWidths()).lines
    styles = [[(line.plain[span.start : span.end].strip(), str(span.style)) for span in line.spans] for line in lines]
    assert styles[7][0] == ("100.50", "bold red")
    assert styles[6][0] == ("101.00", "red")
    assert styles[9][0] == ("100.00", "bold green")
    assert styles[10][1:3] == [("█████▊", "green"), ("██████▎", "dim green")]
    assert styles[3][-1] == ("▲ 100.50", "green")
    assert styles[4][-1] == ("▼ 100.00", "red")


def test_trades_that_may_be_missing_are_said_so_on_the_tape() -> None:
    shown = replace(pictured(trades=TAPE), trades=[TapeRow(NOW, "buy", 1.0, 1.0), TapeRow(NOW)])
    assert plain(shown, 80)[3].endswith("│ 13:46:40.000 trades may be…")
    assert render(shown, 80, 24, LadderWidths()).lines[3].spans[-1].style == "red"


@pytest.mark.parametrize(
    ("share", "drawing"),
    [(0, ""), (1e-9, "▏"), (1 / 32, "▏"), (0.5, "██"), (0.53, "██▏"), (0.99, "████"), (1, "████"), (2, "████")],
)
def test_a_bar_is_drawn_in_eighths_and_what_is_not_nothing_is_seen(share: float, drawing: str) -> None:
    assert bar(share, 4) == drawing


@pytest.mark.parametrize(
    ("size", "decimals", "text"),
    [
        (0.0, 2, "0.00"),
        (0.004, 2, "<0.01"),
        (0.3, 0, "<1"),
        (0.005, 2, "0.01"),
        (1234.5, 1, "1,234.5"),
        (999_999_999.0, 0, "999,999,999"),
        (1e9, 0, "1.00G"),
        (1e100, 0, "1e+100"),
    ],
)  # fmt: skip
def test_a_size_is_never_shown_as_nothing_and_never_too_wide(size: float, decimals: int, text: str) -> None:
    assert size_text(size, decimals) == text


def test_large_sizes_have_fewer_decimals_so_that_all_have_room() -> None:
    lines = plain(pictured([(1.0, 123456.25)], [(2.0, 0.00025)]), 80)
    assert lines[3].split()[1] == "<0.1"
    assert lines[5].split()[1] == "123,456.2"


@pytest.mark.parametrize(("height", "levels"), [(0, 0), (5, 0), (6, 1), (11, 3), (12, 3), (24, 9), (60, 27)])
def test_a_screen_has_room_for_as_many_levels_as_are_drawn(height: int, levels: int) -> None:
    assert room_for_levels(height) == levels
    deep = [(1000.0 - at, 1.0) for at in range(50)], [(1001.0 + at, 1.0) for at in range(50)]
    lines = drawn(pictured(*deep, count=levels), 80, height)
    assert len(lines) == height
    assert sum(line.endswith(f" {rank}") for line in lines for rank in range(1, levels + 1)) == 2 * levels


def test_rich_writes_the_lines_as_they_are() -> None:
    console = Console(file=io.StringIO(), width=80, height=24, color_system=None)
    with console.capture() as capture:
        console.print(LadderLines(picture_lines(pictured(trades=TAPE), 80, LadderWidths())))
    assert [line.rstrip() for line in capture.get().splitlines()] == plain(pictured(trades=TAPE), 80)


NUMBERS = st.one_of(
    st.floats(1e-8, 1e9),
    st.sampled_from([1e-8, 1e-12, 1e12, 1e100, 0.1, 60_000.01, 5e-324]),
    st.integers(1, 100).map(float),
)
LEVELS = st.lists(st.tuples(NUMBERS, NUMBERS), max_size=8, unique_by=lambda level: level[0])
TRADES = st.lists(st.tuples(NUMBERS, NUMBERS, st.sampled_from(["buy", "sell", None])), max_size=12)


@given(LEVELS, LEVELS, TRADES, st.sampled_from([1, 7, 20, 40, 80, 120, 200]), st.integers(1, 30), st.booleans())
def test_whatever_the_book_is_every_line_fits_and_columns_are_aligned(
    bids: list[Level], asks: list[Level], trades: list[Traded], width: int, height: int, whole: bool
) -> None:
    shown = pictured(sorted(bids, reverse=True), sorted(asks), trades, whole=whole, count=room_for_levels(height))
    lines = drawn(shown, width, height, foot="q quits")
    assert len(lines) == height
    assert all(cell_len(line) <= width for line in lines)
    edges = {line.index("│") for line in lines if "│" in line}
    assert len(edges) <= 1
    written = plain(shown, width)
    assert all(cell_len(line) <= width for line in written)
    first = len(written) - 1 - len(shown.bids.levels)
    rows = [*written[3 : 3 + len(shown.asks.levels)], *written[first : first + len(shown.bids.levels)]]
    assert len(rows) == len(shown.asks.levels) + len(shown.bids.levels)
    assert len({len(row) - len(row.lstrip()) + len(row.split()[0]) for row in rows}) <= 1, "prices end in one column"
