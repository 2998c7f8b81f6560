"""Candles: which bars a message yields, how they are numbered, and when one is final and complete."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.schema.events import Bar
from feedbus.venues.moex.candles import BARS_KEPT, Candles, NewestBars
from feedbus.venues.moex.message_order import StaleMessage
from feedbus.venues.problems import MAX_PROBLEMS
from feedbus.venues.sessions import OutOfStep

TIME = 1769065132000
COLUMNS = ["FROM", "TILL", "OPEN", "HIGH", "LOW", "CLOSE", "VALUE", "VOLUME"]
MOSCOW = dt.timezone(dt.timedelta(hours=3))


def ns(text: str) -> int:
    """Of a Moscow time on 2026-01-22."""
    return int(dt.datetime.fromisoformat(f"2026-01-22 {text}").replace(tzinfo=MOSCOW).timestamp()) * 1_000_000_000


def row(minute: str, close: float = 2.5, till: str | None = None, volume: int = 10) -> list[Any]:
    """A one-minute candle of 2026-01-22; `minute` is "10:01"."""
    till = f"{minute}:59" if till is None else till
    return [
        f"2026-01-22 {minute}:00",
        f"2026-01-22 {till}",
        [2.0, 2],
        [9.0, 2],
        [1.0, 2],
        [close, 2],
        [25.5, 2],
        volume,
    ]


def body(kind: str, *rows: list[Any], columns: list[str] = COLUMNS, seqnum: int = 1) -> bytes:
    properties = {"type": kind, "seqnum": seqnum, "published": TIME, "timestamp": TIME}
    return json.dumps({"properties": properties, "columns": columns, "data": rows}).encode()


def candles(kept: NewestBars | None = None, channel: str = "candles.M1") -> Candles:
    return Candles(channel, "TQBR.SBER", kept or NewestBars())


def said(bars: list[Bar]) -> list[tuple[str, float | None, int, bool, bool]]:
    """(minute, close, revision, final, complete)"""
    return [(minute_of(bar), bar.close, bar.revision, bar.final, bar.complete) for bar in bars]


def minute_of(bar: Bar) -> str:
    return f"{dt.datetime.fromtimestamp(bar.start // 1_000_000_000, MOSCOW):%H:%M}"


def begun(*minutes: str) -> Candles:
    made = candles()
    made.decode(body("snapshot", *[row(minute) for minute in minutes]), 7)
    return made


def test_a_candle_is_a_whole_bar_whose_start_is_moscow_time_and_volume_is_in_securities() -> None:
    (bar,) = candles(channel="candles.D1").decode(
        body("snapshot", ["2026-01-22 00:00:00", "2026-01-22 09:58:52", [306.6, 2], [307.0, 2], [305.89, 2],
                          [305.98, 2], [445852749.85, 2], 1454976]), 7
    )  # fmt: skip
    assert bar == Bar(
        venue="moex", symbol="TQBR.SBER", ts_event=TIME * 1_000_000, ts_recv=7, source="venue", period_s=86400,
        start=1769029200 * 1_000_000_000, open=306.6, high=307.0, low=305.89, close=305.98, volume=1454976.0,
        turnover=445852749.85, trades=None, buy_volume=None, sell_volume=None, vwap=None, final=False, revision=0,
        complete=True, turnover_currency=445852749.85,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("channel", "period"), [("candles.M1", 60), ("candles.M10", 600), ("candles.H1", 3600), ("candles.D1", 86400)]
)
def test_the_period_is_the_channels(channel: str, period: int) -> None:
    (bar,) = candles(channel=channel).decode(body("snapshot", row("10:00")), 7)
    assert bar.period_s == period


def test_a_first_snapshot_is_published_whole_and_all_but_the_newest_are_final() -> None:
    bars = candles().decode(body("snapshot", row("10:02"), row("10:00"), row("10:01")), 7)
    assert said(bars) == [
        ("10:00", 2.5, 0, True, True), ("10:01", 2.5, 0, True, True), ("10:02", 2.5, 0, False, True),
    ]  # fmt: skip


def test_an_update_of_the_current_candle_is_its_next_revision() -> None:
    made = begun("10:00", "10:01")
    assert said(made.decode(body("updates", row("10:01", 3.0)), 7)) == [("10:01", 3.0, 1, False, True)]
    assert said(made.decode(body("updates", row("10:01", 3.0, volume=11)), 7)) == [("10:01", 3.0, 2, False, True)]


def test_an_update_that_moves_till_alone_is_not_published() -> None:
    made = begun("10:00")
    assert made.decode(body("updates", row("10:00", till="10:00:30")), 7) == []


def test_a_candle_is_final_once_when_the_next_one_begins() -> None:
    made = begun("10:00")
    assert said(made.decode(body("updates", row("10:01")), 7)) == [
        ("10:00", 2.5, 1, True, True), ("10:01", 2.5, 0, False, True),
    ]  # fmt: skip
    assert said(made.decode(body("updates", row("10:01", 3.0)), 7)) == [("10:01", 3.0, 1, False, True)]


def test_a_candle_whose_last_seconds_were_never_told_is_final_and_not_complete() -> None:
    made = candles()
    made.decode(body("snapshot", row("10:00", till="10:00:56")), 7)
    bars = made.decode(body("updates", row("10:01")), 7)
    assert said(bars) == [("10:00", 2.5, 1, True, False), ("10:01", 2.5, 0, False, True)]
    assert said(made.decode(body("updates", row("10:00", 2.75, till="10:00:56")), 7)) == [
        ("10:00", 2.75, 2, True, True)
    ]
    assert made.decode(body("updates", row("10:00", 2.75)), 7) == []


def test_a_candle_that_is_told_again_with_the_next_one_is_complete() -> None:
    made = candles()
    made.decode(body("snapshot", row("10:00", till="10:00:56")), 7)
    bars = made.decode(body("updates", row("10:00", 2.75, till="10:00:58"), row("10:01")), 7)
    assert said(bars) == [("10:00", 2.75, 1, True, True), ("10:01", 2.5, 0, False, True)]


def test_a_minute_without_trades_has_no_bar() -> None:
    assert [minute_of(bar) for bar in begun("10:00").decode(body("updates", row("10:07")), 7)] == ["10:00", "10:07"]


def test_after_a_reconnect_only_what_is_new_is_published_and_revisions_go_on() -> None:
    kept = NewestBars()
    minutes = [f"10:{minute:02d}" for minute in range(30)]
    candles(kept).decode(body("snapshot", *[row(minute) for minute in minutes]), 7)
    later = [row(minute) for minute in minutes[:-1]] + [row("10:29", 3.0), row("10:30"), row("10:31")]
    assert said(candles(kept).decode(body("snapshot", *later), 7)) == [
        ("10:29", 3.0, 1, True, True), ("10:30", 2.5, 0, True, True), ("10:31", 2.5, 0, False, True),
    ]  # fmt: skip


def test_a_later_snapshot_always_says_the_newest_bar_and_under_its_old_revision_when_nothing_changed() -> None:
    kept = NewestBars()
    first, *later = [candles(kept).decode(body("snapshot", row("10:00"), row("10:01")), 7) for _ in range(3)]
    assert len(first) == 2
    assert list(map(said, later)) == [[("10:01", 2.5, 0, False, True)]] * 2


def test_a_bar_that_the_next_snapshot_no_longer_has_is_closed_with_what_was_known() -> None:
    kept = NewestBars()
    candles(kept).decode(body("snapshot", row("10:00", till="10:00:20")), 7)
    assert said(candles(kept).decode(body("snapshot", row("18:00"), row("18:01")), 7)) == [
        ("10:00", 2.5, 1, True, False), ("18:00", 2.5, 0, True, True), ("18:01", 2.5, 0, False, True),
    ]  # fmt: skip


def test_a_snapshot_that_ends_earlier_begins_anew() -> None:
    kept = NewestBars()
    candles(kept).decode(body("snapshot", row("18:00"), row("18:01")), 7)
    assert said(candles(kept).decode(body("snapshot", row("10:00"), row("10:01")), 7)) == [
        ("10:00", 2.5, 0, True, True), ("10:01", 2.5, 0, False, True),
    ]  # fmt: skip


def test_a_change_to_a_bar_that_is_no_longer_kept_is_reported() -> None:
    made = begun("10:00", "10:01", "10:02")
    assert made.decode(body("updates", row("10:00", 9.0)), 7) == []
    assert [str(problem) for problem in made.problems] == [
        "candles.M1 TQBR.SBER: a change to a candle before the newest 2"
    ]


def test_an_empty_snapshot_says_nothing_and_an_update_may_follow() -> None:
    made = candles()
    assert made.decode(body("snapshot"), 7) == []
    assert said(made.decode(body("updates", row("10:00")), 7)) == [("10:00", 2.5, 0, False, True)]


def test_a_removal_empties_a_kept_bar_and_passes_over_the_others() -> None:
    made = begun("10:00", "10:01", "10:02")
    assert made.decode(body("removal", ["2026-01-22 10:00:00"], columns=["FROM"]), 7) == []
    bars = made.decode(body("removal", ["2026-01-22 10:02:00"], columns=["FROM"]), 7)
    assert said(bars) == [("10:02", None, 1, False, True)]
    assert said(made.decode(body("updates", row("10:02")), 7)) == [("10:02", 2.5, 2, False, True)]


def test_columns_are_read_in_every_message_and_an_update_may_name_some() -> None:
    made = begun("10:00")
    (bar,) = made.decode(body("updates", [7, [4.0, 2], "2026-01-22 10:00:00"], columns=["NEW", "CLOSE", "FROM"]), 7)
    assert (bar.open, bar.close, bar.volume, bar.revision) == (2.0, 4.0, 10.0, 1)
    (bar,) = candles().decode(body("snapshot", ["2026-01-22 10:00:00"], columns=["FROM"]), 7)
    assert (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.turnover) == (None,) * 6


@pytest.mark.parametrize(
    ("at", "cell", "field", "complaint"),
    [
        (2, "1.5", "open", "candles.M1 TQBR.SBER OPEN: not a number: '1.5'"),
        (3, [1.5, "2"], "high", "HIGH: not a number"),
        (4, True, "low", "LOW: not a number: True"),
        (5, {"a": "\n"}, "close", "CLOSE: not a number"),
        (6, [-0.01, 2], "turnover", "VALUE: not a size: -0.01"),
        (7, -1, "volume", "VOLUME: not a size: -1.0"),
    ],
)
def test_a_cell_that_can_not_be_read_becomes_none_and_is_reported(
    at: int, cell: Any, field: str, complaint: str
) -> None:
    made = begun("10:00")
    cells = row("10:00")
    cells[at] = cell
    (bar,) = made.decode(body("updates", cells), 7)
    assert getattr(bar, field) is None
    (problem,) = made.problems
    assert complaint in str(problem)
    assert str(problem).isprintable()
    assert made.decode(body("updates", cells), 7) == []


def test_a_till_that_can_not_be_read_is_reported_and_changes_nothing() -> None:
    made = begun("10:00")
    assert made.decode(body("updates", row("10:00", till="noon")), 7) == []
    assert [str(problem) for problem in made.problems] == [
        "candles.M1 TQBR.SBER TILL: not a time that can be used: '2026-01-22 noon'"
    ]


def test_reported_problems_are_bounded_and_counted() -> None:
    made = candles()
    made.decode(body("snapshot", *[["2026-01-22 10:00:00", *["x"] * 7]] * 100), 7)
    assert len(made.problems) == MAX_PROBLEMS
    more = f"{700 - MAX_PROBLEMS + 1} more of its rows or cells can't be used"
    assert str(made.problems[-1]) == f"candles.M1 TQBR.SBER: {more}"


@pytest.mark.parametrize(
    "time",
    [
        None, 7, True, "", "10:00:00", "2026-01-22", "2026-01-22T10:00:00", "2026-13-01 10:00:00",
        "2026-01-22 25:00:00", "2026-01-22 10:00:00+03", "1970-01-01 00:00:00", "9999-12-31 23:59:59",
        "2026-W04-4 10:00:00", "2026-01-22 10:00\x00:0",
    ],
)  # fmt: skip
def test_a_row_without_a_time_is_out_of_step_and_changes_nothing(time: Any) -> None:
    made = begun("10:00")
    with pytest.raises(OutOfStep, match=r"candles\.M1 TQBR\.SBER FROM: not a time that can be used") as caught:
        made.decode(body("updates", row("10:00", 9.0), [time, *row("10:00")[1:]], seqnum=0), 7)
    assert str(caught.value).isprintable()
    assert made.seqnum_regressions == 0
    assert said(made.decode(body("updates", row("10:00", 3.0)), 7)) == [("10:00", 3.0, 1, False, True)]


@pytest.mark.parametrize("time", ["1971-01-01 00:00:00", "2011-03-27 02:30:00", "2199-12-31 23:59:59"])
def test_any_time_that_the_bus_can_carry_is_taken(time: str) -> None:
    (bar,) = candles().decode(body("snapshot", [time], columns=["FROM"]), 7)
    assert 0 < bar.start < 2**63


@pytest.mark.parametrize("kind", ["updates", "removal"])
def test_before_a_snapshot_all_else_is_out_of_step(kind: str) -> None:
    kept = NewestBars()
    candles(kept).decode(body("snapshot", row("10:00")), 7)
    with pytest.raises(OutOfStep, match=f"{kind} before a snapshot"):
        candles(kept).decode(body(kind, row("10:00")), 7)


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        (b"[" * 100_000, "candles.M1 TQBR.SBER"),
        (body("up\ndates"), "unknown type 'up\\ndates'"),
        (body("snapshot", columns=["TILL"]), "column FROM is missing"),
        (body("snapshot", *[[0]] * 2001, columns=["FROM"]), "2001 rows, more than 2000"),
    ],
)
def test_what_is_no_table_of_candles_is_out_of_step(raw: bytes, complaint: str) -> None:
    with pytest.raises(OutOfStep) as caught:
        candles().decode(raw, 7)
    assert complaint in str(caught.value)


def test_a_step_back_of_the_seqnum_is_counted() -> None:
    made = begun("10:00")
    for seqnum in (5, 3, 900, 899):
        made.decode(body("updates", row("10:00"), seqnum=seqnum), 7)
    assert made.seqnum_regressions == 2


def test_an_update_that_comes_again_does_not_change_its_bar_back() -> None:
    made = begun("10:00")
    old = body("updates", row("10:00", 9.0), seqnum=5).replace(b"%d" % TIME, b"%d" % (TIME - 1))
    assert made.decode(old, 7)
    assert made.decode(body("updates", row("10:00", 9.5), seqnum=6), 7)
    with pytest.raises(StaleMessage):
        made.decode(old, 7)
    assert made.decode(body("updates", row("10:00", 9.5), seqnum=7), 7) == []


MINUTES = st.integers(0, 9).map(lambda minute: f"10:{minute:02d}")
ROWS = st.lists(st.tuples(MINUTES, st.integers(1, 4)), max_size=6)
KINDS = st.sampled_from(["snapshot", "updates", "updates", "removal"])


@given(st.lists(st.tuples(KINDS, ROWS, st.booleans()), max_size=12))
def test_whatever_comes_each_bar_s_revisions_count_and_a_final_bar_stays_final(
    messages: list[tuple[str, list[tuple[str, int]], bool]],
) -> None:
    """A subscriber that keeps the last version of each bar sees no version twice but as a repeat of the newest."""
    kept = NewestBars()
    made = candles(kept)
    made.decode(body("snapshot"), 7)
    held: dict[int, Bar] = {}
    for kind_if_not, rows, reconnected in messages:
        if reconnected:
            made = candles(kept)
        kind = "snapshot" if reconnected else kind_if_not
        starts = [ns(f"{minute}:00") for minute, _ in rows]
        if kind == "snapshot" and starts and max(starts) < max(kept.candles, default=0):
            held.clear()
        bars = made.decode(body(kind, *[row(minute, close) for minute, close in rows]), 7)
        assert [bar.start for bar in bars] == sorted({bar.start for bar in bars})
        for bar in bars:
            before = held.get(bar.start)
            if before is not None and bar.start in kept.candles:
                same = bar == before
                assert same or (bar.revision == before.revision + 1 and bar.final >= before.final)
            held[bar.start] = bar
        if held:
            assert [start for start, bar in held.items() if not bar.final] in ([], [max(held)])
        assert len(kept.candles) <= BARS_KEPT
