"""What is said of an instrument, in the words of an alert."""

from __future__ import annotations

import pytest

from feedbus.alerts.status_watch import SaidWord, began, described, in_states
from feedbus.schema.events import Status, TrustState
from feedbus.trust.readers_trust import Trusted

SECOND = 1_000_000_000
NOON = 1_700_049_600 * SECOND  # 2023-11-15T12:00:00Z


def word(name: str, state: TrustState, reason: str = "", since: int = NOON) -> SaidWord:
    return name, Trusted(state, reason, since)


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ([], ""),
        ([word("", "unsubscribed", "refused")], "all: unsubscribed refused (the venue refuses it) since 12:00:00"),
        (
            [word("quote", "gapped", "hole", NOON + SECOND), word("book", "gapped", "hole"), word("bar", "quiet")],
            "book, quote: gapped hole (updates are missing) since 12:00:00; bar: quiet since 12:00:00",
        ),
        ([word("book", "gapped", "newer")], "book: gapped newer since 12:00:00"),
        ([word("book", "gapped", "hole", 0)], "book: gapped hole (updates are missing)"),
        ([word("book", "gapped", "hole", -SECOND)], "book: gapped hole (updates are missing)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_words_that_are_alike_are_told_together_with_what_is_known_of_the_time(said: list[SaidWord], text: str) -> None:
    assert described(said) == text.replace("since ", "since 2023-11-15T").replace("12:00:00", "12:00:00Z")


def test_the_worst_is_first_and_what_has_lasted_longest_and_nobody_s_is_left_out() -> None:
    said = [
        word("trade", "stale", "silent"),
        word("quote", "resyncing", "login", NOON + 1),
        word("book", "resyncing", "connecting", NOON),
        word("bar", "unsubscribed", "unwanted"),
        word("ticker", "live"),
    ]
    found = in_states(said, ("stale", "resyncing", "unsubscribed"))
    assert [name for name, _ in found] == ["book", "quote", "trade"]


@pytest.mark.parametrize(
    ("word_of_status", "said_at", "since", "expected"),
    [
        ("book", NOON, NOON - 5 * SECOND, 95),
        ("book", NOON, NOON + 5 * SECOND, 100),  # a clock that was set in between
        ("book", NOON, 0, 100),
        ("trade", NOON, NOON - 5 * SECOND, 100),  # is another word's time
    ],
)
def test_it_began_when_the_publisher_says_by_its_own_clock(
    word_of_status: str, said_at: int, since: int, expected: int
) -> None:
    status = Status("moex", "A", 0, said_at, "stale", "silent", since, 1, word_of_status)
    assert began([word("book", "stale")], 100 * SECOND, status) == expected * SECOND
    assert began([word("book", "stale")], 100 * SECOND, None) == 100 * SECOND
