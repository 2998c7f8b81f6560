"""How addresses, errors and lengths of time are written."""

from __future__ import annotations

from feedbus.doctor import words
from feedbus.errors import ConfigError, ConnectFailed


def test_a_url_is_shown_without_its_query() -> None:
    assert words.shown_url("wss://h/feed?token=s3cr3t") == "wss://h/feed"


def test_an_error_has_its_cause_in_front_and_only_a_foreign_one_is_a_bug() -> None:
    assert words.error_words(ConnectFailed("h: HTTP 403")) == "connect_failed: h: HTTP 403"
    assert words.error_words(KeyError("x")) == "KeyError: 'x'"
    assert [words.is_bug(error) for error in (ConnectFailed("x"), ConfigError("x"), KeyError("x"))] == [
        False,
        False,
        True,
    ]


def test_lengths_of_time_and_numbers_of_things() -> None:
    assert [words.seconds_words(seconds) for seconds in (0.0125, -1.5, 120.0, -7200.0)][:3] == [
        "0.013 s",
        "-1.500 s",
        "2 min",
    ]
    assert [words.counted(number, "feed") for number in (0, 1, 2)] == ["0 feeds", "1 feed", "2 feeds"]


def test_many_names_are_named_shortly() -> None:
    assert words.some(["a", "b"]) == "a, b"
    assert words.some([str(number) for number in range(9)]) == "0, 1, 2, 3, 4 and 4 more"
