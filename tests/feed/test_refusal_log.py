"""The log of what the venue refuses: one line a symbol, the nearest names, and one line that counts many. Time is
given."""

from __future__ import annotations

import logging
from math import inf

import pytest

from feedbus.feed.refusal_log import AGAIN, GATHER, LINES, MINUTE, REMEMBERED, WAITING, RefusalLog
from feedbus.venues.protocol import Subscription
from feedbus.venues.subscriptions import NOT_KEPT, UNLISTED

BOOK, ROW, ODD = (Subscription(channel, "TQBR.SBRE") for channel in ("orderbooks", "securities", "candles.M1"))


@pytest.fixture
def made(caplog: pytest.LogCaptureFixture) -> RefusalLog:
    caplog.set_level(logging.INFO, "feedbus.moex")
    return RefusalLog(logging.getLogger("feedbus.moex"), lambda text: text.replace("s3cret", "***"))


@pytest.mark.parametrize(
    ("nearest", "said"),
    [
        (None, ""),
        ({"TQBR.SBRE": ["TQBR.SBER", "TQBR.SBERP"]}, "; it lists TQBR.SBER, TQBR.SBERP"),
        ({"TQBR.SBRE": []}, "; it lists nothing like it"),
        ({"TQBR.SBRE": ["TQBR.SBRE"]}, "; its list has this symbol"),
    ],
)
def test_all_channels_of_a_symbol_are_one_line_with_the_venues_words_and_the_nearest_names(
    made: RefusalLog, caplog: pytest.LogCaptureFixture, nearest: dict[str, list[str]] | None, said: str
) -> None:
    assert made.due == inf
    for subscription in (BOOK, ROW, ODD):
        made.refused(subscription, "ERROR of s3cret", 5.0)
    assert (made.due, made.symbols(), caplog.messages) == (5.0 + GATHER, ["TQBR.SBRE"], [])
    assert made.name_unlisted(["TQBR.SBRE"]) == [], "the line will name it"
    made.write(nearest, 6.0)
    channels = "orderbooks, securities and candles.M1"
    assert caplog.messages == [f"the venue refuses {channels} TQBR.SBRE: ERROR of ***{said}"]
    assert (made.due, made.name_unlisted(["TQBR.SBRE"])) == (inf, []), "it has named it"


def test_the_same_words_are_told_once_an_hour_and_others_at_once(
    made: RefusalLog, caplog: pytest.LogCaptureFixture
) -> None:
    for now in (0.0, 5.0, AGAIN - 1):
        made.refused(BOOK, "no", now)
        made.write(None, now)
    assert len(caplog.messages) == 1
    made.refused(BOOK, "closed", AGAIN - 1)
    made.write(None, AGAIN)
    made.refused(BOOK, "no", AGAIN)
    made.write(None, AGAIN)
    assert [text.rsplit(": ", 1)[1] for text in caplog.messages] == ["no", "closed", "no"]


def test_what_the_list_has_named_already_is_a_line_only_with_the_venues_own_words(made: RefusalLog) -> None:
    made.refused(BOOK, UNLISTED, 0.0)
    assert made.name_unlisted(["TQBR.SBRE"]) == ["TQBR.SBRE"]
    made.refused(BOOK, NOT_KEPT, 0.0)
    assert made.due == inf
    made.refused(BOOK, "unknown ticker", 0.0)
    assert made.due == GATHER


def test_what_is_confirmed_and_not_kept_is_a_line_where_no_list_has_named_it(made: RefusalLog) -> None:
    made.refused(BOOK, NOT_KEPT, 0.0)
    assert made.due == GATHER


def test_many_refusals_are_some_lines_and_one_that_counts_the_others(
    made: RefusalLog, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(LINES + 500):
        made.refused(Subscription("trade", f"S{number}"), "no", 0.0)
    assert made.symbols() == [f"S{number}" for number in range(LINES)]
    made.write({symbol: [] for symbol in made.symbols()}, 1.0)
    assert (len(caplog.messages), made.symbols()) == (LINES, [])
    made.end_minute(MINUTE)
    made.end_minute(1.0 + MINUTE)
    assert caplog.messages[LINES:] == ["the venue refused 500 more symbols within a minute"]
    made.refused(Subscription("trade", "X"), "no", 100.0)
    made.write(None, 100.0)
    assert caplog.messages[-1].endswith("trade X: no")


def test_what_is_refused_while_names_are_looked_for_waits_for_its_own(
    made: RefusalLog, caplog: pytest.LogCaptureFixture
) -> None:
    made.refused(BOOK, "no", 0.0)
    made.refused(Subscription("trade", "LATE"), "no", 0.5)
    made.write({"TQBR.SBRE": []}, 1.0)
    assert (len(caplog.messages), made.symbols(), made.due) == (1, ["LATE"], 1.0)


def test_what_waits_at_the_end_is_written_without_names(made: RefusalLog, caplog: pytest.LogCaptureFixture) -> None:
    made.refused(BOOK, "no", 0.0)
    made.end_minute(100.0)
    assert caplog.messages == []
    made.end_minute()
    assert caplog.messages == ["the venue refuses orderbooks TQBR.SBRE: no"]


def test_it_keeps_no_more_than_a_bounded_number(made: RefusalLog, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(WAITING + REMEMBERED + 5):
        made.refused(Subscription("trade", f"S{number}"), "no", 0.0)
    assert (len(made._told), len(made._waiting)) == (REMEMBERED, WAITING)
    made.write(None, 1.0)
    made.end_minute()
    assert caplog.messages[-1] == f"the venue refused {WAITING + REMEMBERED + 5 - LINES:,} more symbols within a minute"
