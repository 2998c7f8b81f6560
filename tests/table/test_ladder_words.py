"""What the ladder says in words."""

from __future__ import annotations

from typing import get_args

import pytest
from msgspec.structs import replace

from feedbus.books.books import NoBook
from feedbus.schema.events import TRUST_REASONS, UNUSABLE_STATES, Level, TrustState
from feedbus.table.columns import clock_text
from feedbus.table.connection_table import SECOND
from feedbus.table.ladder import LadderPicture, LadderSide
from feedbus.table.ladder_words import (
    OUR_OWN,
    STATE_STYLES,
    TROUBLES,
    edge_text,
    header,
    middle,
    plain_parts,
    ratio_text,
    trouble_text,
)
from feedbus.table.ladder_words import missing_text as missing
from tests.table.ladders import NOW, pictured


def said(shown: LadderPicture) -> str:
    return plain_parts(middle(shown))


def test_the_header_says_what_the_data_is_worth() -> None:
    shown = pictured(sequence=42)
    assert plain_parts(header(shown)) == "binance BTCUSDT  live  age  0.0 s  update 42"
    unheard = replace(shown, state="resyncing", reason="unheard")
    assert header(unheard)[1] == ("not said to be live", "yellow")
    told = replace(shown, state="live", delay_s=900.0, up=3, wanted=4, gaps=2, age_ns=75 * SECOND)
    assert header(told) == [
        ("binance BTCUSDT", "bold"),
        ("live", "bold green"),
        ("DELAYED 15 min", "bold black on yellow"),
        ("age  1 min", ""),
        ("update 42", ""),
        ("feed 3/4", "red"),
        ("bus gaps 2", "red"),
    ]
    assert header(replace(told, delay_s=0.0))[2][0] == "DELAYED"
    assert header(replace(told, up=None))[5] == ("feed ?/4", "red")
    assert header(replace(told, up=4))[5] == ("feed 4/4", "")


def test_a_book_that_is_not_right_is_never_called_live() -> None:
    shown = replace(pictured(), state="live", trouble="gap")
    assert header(shown)[1] == ("NOT LIVE", "bold white on red")
    assert header(replace(pictured([], []), trouble="no picture yet", age_ns=None))[1:3] == [
        ("NO BOOK", "bold white on red"),
        ("age      ?", ""),
    ]


def test_every_trouble_and_state_has_words() -> None:
    assert set(get_args(NoBook)) - {""} == set(TROUBLES)
    assert set(get_args(TrustState)) - UNUSABLE_STATES == set(STATE_STYLES)
    assert set(TRUST_REASONS) >= OUR_OWN


def test_a_silent_publisher_is_named_with_its_silence() -> None:
    shown = replace(pictured(), trouble="publisher silent", publisher="bin\nance", silent_s=7.9)
    assert said(shown) == "nothing has come from the publisher bin?ance for 7 s"
    assert header(shown)[1] == ("NOT LIVE", "bold white on red")
    for silent_s in (None, 0.1):  # it speaks again, and has said nothing of the book yet
        assert said(replace(shown, silent_s=silent_s)) == TROUBLES["publisher silent"]


def test_the_reason_of_a_status_is_said_with_the_state_that_it_is_about() -> None:
    shown = replace(pictured(), trouble="resyncing", state="resyncing", reason="connecting")
    assert said(shown) == "the publisher has said that it is getting the book anew: its connection is away"
    at = NOW + 7 * SECOND
    since = clock_text(at)[:8]
    told = replace(shown, reason="hole", since=at)
    assert said(told) == f"the publisher has said since {since} that it is getting the book anew: updates are missing"
    assert said(replace(told, trouble="stale", state="stale", reason="")) == (
        f"the publisher has said since {since} that the book has been silent for longer than it ever is"
    )
    assert trouble_text(replace(shown, reason="new\nreason")).endswith(": new?reason")
    assert trouble_text(replace(shown, trouble="gap")) == TROUBLES["gap"]
    assert trouble_text(replace(shown, reason="lost")) == TROUBLES["resyncing"], "nobody has said so"


@pytest.mark.parametrize(
    ("bids", "asks", "words"),
    [
        ([(100.0, 1.0)], [(100.5, 3.0)], "spread 0.5 49.9 bp  mid 100.25  micro 100.125  imbalance(1)  -50 %"),
        ([(1.0, 1.0)], [(1.5, 1.0)], "spread 0.5 40 %  mid 1.25  micro 1.250  imbalance(1)   +0 %"),
        ([(9.0, 1.0)], [(9.0, 1.0)], "LOCKED: the best bid is the best ask  mid 9.0  micro 9.00  imbalance(1)   +0 %"),
        ([(100.5, 3.0)], [(100.0, 1.0)], "CROSSED by 0.5: the best bid is above the best ask  imbalance(1)  +50 %"),
        ([(100.5, 3.0)], [], "no asks are known"),
        ([], [(100.5, 3.0)], "no bids are known"),
        ([], [], "no bids are known, no asks are known"),
        ([(-1.0, 1.0)], [(0.0, 1.0)], "spread 1 -  mid -0.5  micro -0.50  imbalance(1)   +0 %"),
    ],
)  # fmt: skip
def test_the_middle_says_spread_mid_and_imbalance_or_why_there_is_none(
    bids: list[Level], asks: list[Level], words: str
) -> None:
    assert said(pictured(bids, asks)) == words


def test_an_empty_side_is_told_from_an_unknown_one() -> None:
    assert missing(pictured([], [(1.0, 1.0)], whole=True)) == "there are no bids"


def test_the_imbalance_within_a_range_names_the_range() -> None:
    assert said(pictured(percent=0.5)).endswith("imbalance(0.5 %)  -50 %")
    assert said(pictured(percent=0.5, whole=True)).endswith("imbalance(0.5 %)  -50 %")
    assert said(pictured(percent=50, whole=True)).endswith("imbalance(50 %)  -33 %")
    assert said(pictured(percent=50)).endswith("imbalance(3)  -33 %"), "so much isn't known"
    assert said(pictured(percent=2, count=1)).endswith("imbalance(1)  -50 %"), "so much isn't shown"


@pytest.mark.parametrize(
    ("ratio", "text"), [(1.7e-7, "0.0017 bp"), (0.0001, "1 bp"), (0.00999, "99.9 bp"), (0.01, "1 %"), (2.0, "200 %")]
)
def test_small_spreads_are_in_basis_points(ratio: float, text: str) -> None:
    assert ratio_text(ratio) == text


@pytest.mark.parametrize(
    ("side", "percent", "text"),
    [
        (LadderSide([], 0, False, 0.0, 0, False, False), None, "no asks are known"),
        (LadderSide([], 0, True, 0.0, 0, False, False), None, "no asks"),
        (LadderSide([], 1, False, 9.0, 0, False, False), None, "no more is known; 1 asks up to 9.0"),
        (LadderSide([], 1_200, False, 9.0, 1_200, False, False), None, "1,200 more; 1,200 asks up to 9.0"),
        (LadderSide([], 7, False, 9.0, 1, False, True), 0.5, "1 more; 7 asks up to 9.0"),
        (LadderSide([], 7, False, 9.0, 7, True, True), 0.5, "7 more beyond 0.5 %; 7 asks up to 9.0"),
        (LadderSide([], 7, False, 9.0, 0, False, True), 0.5, "no more within 0.5 %; 7 asks up to 9.0"),
        (LadderSide([], 7, False, 9.0, 0, False, False), 0.5, "no more is known; 7 asks up to 9.0"),
        (LadderSide([], 7, True, 9.0, 0, False, True), 0.5, "no more levels; all 7 asks known"),
        (LadderSide([], 7, True, 9.0, 3, False, False), None, "3 more; all 7 asks known"),
    ],
)  # fmt: skip
def test_where_the_known_levels_end_is_said(side: LadderSide, percent: float | None, text: str) -> None:
    assert edge_text(side, 1, percent, is_bid=False) == text
    bids = text.replace("asks", "bids").replace("up to", "down to")
    assert edge_text(side, 1, percent, is_bid=True) == bids
