"""What a reader may trust, by all that publishers have said and all that was lost: a table of every rule, and any
history against a naive reader that remembers all of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.schema.events import (
    BookDelta,
    BookSnapshot,
    Gap,
    MarketData,
    Quote,
    Status,
    Ticker,
    Trade,
    TrustState,
)
from feedbus.testing.strategies import examples
from feedbus.trust import readers_trust
from feedbus.trust.readers_trust import UNHEARD, Trust, Trusted
from feedbus.trust.words import RANKS

Said = tuple[str, MarketData | Gap]
"""A publisher, and what came of it."""


def status(state: TrustState = "live", word: str = "book", publisher: str = "p", symbol: str = "S") -> Said:
    return publisher, Status("v", symbol, 0, 9, state, "" if state == "live" else "hole", 5, 3, word)


def gap(topic: str, cause: Any = "lost", publisher: str = "p") -> Said:
    return publisher, Gap(topic, publisher, 1, None, None, cause)


def trade(symbol: str = "S") -> Said:
    return "p", Trade("v", symbol, 1, 2, 10.0, 1.0, None, None)


def delta() -> Said:
    return "p", BookDelta("v", "S", 1, 2, [], [], 1, 1)


def picture() -> Said:
    return "p", BookSnapshot("v", "S", 1, 2, [], [], 1)


def taken(*events: Said, trust: Trust | None = None) -> Trust:
    """The events come one by one, at the times 1, 2, …"""
    trust = Trust() if trust is None else trust
    for now, (publisher, event) in enumerate(events, 1):
        trust.apply(SimpleNamespace(publisher=publisher), [event], now)
    return trust


LIVE, HOLE = ("live", ""), ("resyncing", "hole")
LOST, SILENT = ("resyncing", "lost"), ("resyncing", "publisher_silent")
NEVER = ("resyncing", "unheard")


@pytest.mark.parametrize(
    ("events", "book", "whole"),
    [
        ([], NEVER, NEVER),
        ([status(word="trade")], NEVER, LIVE),
        ([status()], LIVE, LIVE),
        ([status(), status("resyncing", "trade")], LIVE, HOLE),
        ([status("gapped"), status("resyncing", "trade")], ("gapped", "hole"), HOLE),
        ([status("resyncing"), status()], LIVE, LIVE),
        # The word "" is every word, until something is said of one alone.
        ([status(word="")], LIVE, LIVE),
        ([status("resyncing"), status("resyncing", "trade"), status(word="")], LIVE, LIVE),
        ([status("resyncing", ""), status()], LIVE, HOLE),
        # Other instruments and data that comes change nothing.
        ([status("resyncing"), picture(), status(symbol="T")], HOLE, HOLE),
        # Data that was lost is mended by data that stands by itself, whatever its publisher says, who can't know of it.
        ([status(), gap("book.v.S")], LOST, LOST),
        ([status(), gap("book.v.S"), delta(), trade()], LOST, LOST),
        ([status(), gap("book.v.S"), picture()], LIVE, LIVE),
        ([status(), gap("book.v.S"), gap("book.v.S"), picture()], LIVE, LIVE),
        ([status(), gap("book.v.S"), status()], LOST, LOST),
        ([status(), gap("book.v.S"), status(), picture()], LIVE, LIVE),
        ([status(), gap("book.v.S"), status(word="trade")], LOST, LOST),
        ([status(), gap("book.v.S"), status(word="")], LOST, LOST),
        # Where anything may have been lost, that is so of each word of which this reader takes in data.
        ([picture(), status(), gap("", "restart"), status()], LOST, LOST),
        ([picture(), status(), gap("", "heartbeat"), picture(), status()], LIVE, LIVE),
        ([picture(), status(), status(word="trade"), gap("", "lost"), status(), status(word="trade")], LOST, LOST),
        ([trade(), status(), status(word="trade"), gap("", "lost"), status(), status(word="trade")], LIVE, LOST),
        ([picture(), status(), gap("", "silent"), status()], LIVE, LIVE),
        ([picture(), status(), gap("", "restart", "q"), status()], LIVE, LIVE),
        ([picture(), status(word=""), gap("", "restart"), status(word="")], LOST, LOST),
        ([status(word=""), gap("trade.v.S")], LIVE, LOST),
        ([status(word=""), gap("trade.v.S"), trade("T")], LIVE, LOST),
        ([status(word=""), gap("trade.v.S"), trade()], LIVE, LIVE),
        ([status(), gap("trade.v.S"), gap("book.v.T"), gap("book")], LIVE, LIVE),
        ([status("gapped"), gap("book.v.S")], LOST, LOST),
        ([status("unsubscribed"), gap("book.v.S")], ("unsubscribed", "hole"), ("unsubscribed", "hole")),
        ([gap("book.v.S"), status()], LIVE, LIVE),
        # A status that was lost may have said anything of whatever its publisher speaks of.
        ([status(), gap("status.v.S")], LOST, LOST),
        ([status(), gap("status.v.S"), picture()], LOST, LOST),
        ([status(), gap("status.v.S"), status()], LIVE, LIVE),
        ([status(), status(word="trade"), gap("status.v.S"), status()], LIVE, LOST),
        ([status(), gap("status.v.T"), gap("status.v.S", publisher="q")], LIVE, LIVE),
        ([status(), status(word="bar", publisher="q"), gap("status.v.S", publisher="q")], LIVE, LOST),
        *(
            case
            for cause, found in (("heartbeat", LOST), ("restart", LOST), ("lost", LOST), ("silent", SILENT))
            for case in (
                ([status(), gap("", cause)], found, found),
                ([status(), gap("", cause), picture()], found, found),
                ([status(), gap("", cause), status("resyncing", "trade")], found, found),
                ([status(), gap("", cause), status()], LIVE, LIVE),
                ([status(), gap("", cause, "q")], LIVE, LIVE),
                ([status(), status(word="bar", publisher="q"), gap("", cause, "q")], LIVE, found),
                ([status(), status(publisher="q"), gap("", cause)], LIVE, LIVE),
                ([gap("", cause), status()], LIVE, LIVE),
            )
        ),
        ([status(), gap("", "silent"), gap("", "restart")], LOST, LOST),
    ],
)
def test_what_may_be_trusted(events: list[Said], book: tuple[str, str], whole: tuple[str, str]) -> None:
    trust = taken(*events)
    found = trust.trust("v", "S", "book")
    assert ((found.state, found.reason), found.usable) == (book, book[0] == "live")
    found = trust.trust("v", "S")
    assert ((found.state, found.reason), found.usable) == (whole, whole[0] == "live")


def test_an_answer_says_since_when_and_of_which_connection() -> None:
    trust = taken(status("stale"), status(word="trade"), gap("", "silent", "q"))
    assert trust.trust("v", "S", "book") == trust.trust("v", "S") == Trusted("stale", "hole", 5, 3)
    assert trust.trust("v", "S", "quote") == UNHEARD
    assert taken(status(), gap("", "silent")).trust("v", "S") == Trusted("resyncing", "publisher_silent", 2)
    assert taken(status(), gap("book.v.S")).trust("v", "S") == Trusted("resyncing", "lost", 2)


def test_which_states_are_usable() -> None:
    usable = [state for state in RANKS if Trusted(state, "").usable]
    assert usable == ["delayed", "closed", "quiet", "live"]


def test_statuses_alone_may_be_asked_for() -> None:
    trust = taken(status(), gap("book.v.S"))
    assert trust.said("v", "S", "book").state == "live"
    assert trust.said("v", "S", "trade") == trust.said("v", "T", "book") == UNHEARD
    assert taken(status(), gap("status.v.S")).said("v", "S", "book").reason == "lost"
    assert taken(status(word="")).said("v", "S", "book").state == "live"


def test_a_word_belongs_to_whoever_said_it_last() -> None:
    trust = taken(status(), status(publisher="q"), status(word="trade"))
    assert [trust.speaker("v", "S", word) for word in ("book", "trade", "quote")] == ["q", "p", ""]
    assert (
        taken(status(word="", publisher="q"), trust=trust).speaker("v", "S", "trade"),
        trust.speaker("v", "T", ""),
    ) == (
        "q",
        "",
    )


def test_data_matters_only_while_some_was_lost() -> None:
    trust = taken(status(), status(word="trade"), gap("book.v.S"), gap("book.v.S"), gap("trade.v.S"))
    assert trust.awaits_data == 2
    taken(trade(), delta(), trade(), trust=trust)
    assert trust.awaits_data == 1
    taken(picture(), trust=trust)
    assert (trust.awaits_data, trust._lost) == (0, {})
    assert taken(status(), gap("", "restart"), trust=Trust(reads=["book"])).awaits_data == 1


def test_what_is_beyond_the_limits_is_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers_trust, "MAX_WORDS", 2)
    monkeypatch.setattr(readers_trust, "MAX_PUBLISHERS", 2)
    trust = Trust(max_instruments=2)
    taken(*(status(symbol=symbol) for symbol in "ABC"), *(status(word=word, symbol="A") for word in "xyx"), trust=trust)
    taken(*(status("stale", publisher=name, symbol="A") for name in "pqr"), trust=trust)
    assert (trust.trust("v", "C"), trust.trust("v", "A", "y")) == (UNHEARD, UNHEARD)
    assert (len(trust), [*trust.instruments()]) == (2, [("v", "A"), ("v", "B")])
    assert (trust.counters.statuses, trust.counters.ignored) == (9, 3)
    taken(status(word="", symbol="B"), *(gap(f"{word}.v.B") for word in "xyzx"), trust=trust)
    assert (trust.awaits_data, trust.counters.ignored, trust.counters.gaps) == (2, 4, 4)


# Any history


PUBLISHERS, WORDS, SYMBOLS = ("p", "q"), ("trade", "book", "quote"), ("S", "T")
_EVENTS: dict[str, list[MarketData]] = {
    "trade": [Trade("v", symbol, 1, 2, 10.0, 1.0, None, None) for symbol in SYMBOLS],
    "quote": [Quote("v", symbol, 1, 2, None, None, None, None, None) for symbol in SYMBOLS],
    "book": [BookSnapshot("v", symbol, 1, 2, [], [], 1) for symbol in SYMBOLS],
    "delta": [BookDelta("v", symbol, 1, 2, [], [], 1, 1) for symbol in SYMBOLS],
    "ticker": [Ticker("v", symbol, 1, 2) for symbol in SYMBOLS],
}
_STATES: st.SearchStrategy[TrustState] = st.sampled_from([*RANKS, "live", "live", "live"])
_PUBLISHERS = st.sampled_from(PUBLISHERS)
_TOPICS = ["", "", *(f"{word}.v.{symbol}" for word in ("status", "status", *WORDS) for symbol in SYMBOLS)]
HISTORIES = st.lists(
    st.one_of(
        st.tuples(
            _PUBLISHERS,
            st.builds(
                lambda state, word, symbol: Status("v", symbol, 0, 0, state, "x", 7, 1, word),
                _STATES,
                st.sampled_from(["", *WORDS, *WORDS]),
                st.sampled_from(SYMBOLS),
            ),
        ),
        st.builds(gap, st.sampled_from(_TOPICS), st.sampled_from(["lost", "restart", "silent"]), _PUBLISHERS),
        st.tuples(_PUBLISHERS, st.sampled_from([event for events in _EVENTS.values() for event in events])),
    ),
    max_size=14,
)


def naive_word(history: list[Said], symbol: str, word: str) -> Trusted:
    """Looks through all that came, again for each question."""
    about = [
        (at, publisher, event)
        for at, (publisher, event) in enumerate(history, 1)
        if isinstance(event, Status) and event.symbol == symbol and event.word in ("", word)
    ]
    if not about:
        return UNHEARD
    at, publisher, last = about[-1]
    found = Trusted(last.state, last.reason, last.since, last.generation)
    missed = [(now, event) for now, (_, event) in enumerate(history, 1) if isinstance(event, Gap) and now > about[0][0]]
    later = [(now, event) for now, event in missed if now > at and event.publisher == publisher]
    everything = [(now, event.cause) for now, event in later if not event.topic]
    if everything:
        now, cause = everything[-1]
        found = Trusted("resyncing", "publisher_silent" if cause == "silent" else "lost", now)
    elif statuses := [now for now, event in later if event.topic == f"status.v.{symbol}"]:
        found = Trusted("resyncing", "lost", statuses[-1])
    lost = [now for now, event in missed if _loses(history[:now], event, symbol, word)]
    if lost and not any(_stands(event, symbol, word) for _, event in history[lost[-1] :]):
        found = min(Trusted("resyncing", "lost", lost[-1]), found, key=badness)
    return found


def _loses(before: list[Said], gap: Gap, symbol: str, word: str) -> bool:
    """Whether the newest data of this word is missing by a Gap that comes after all this."""
    if gap.topic:
        return gap.topic == f"{word}.v.{symbol}"
    said = [(by, it) for by, it in before if isinstance(it, Status) and it.symbol == symbol and it.word in ("", word)]
    read = any(not isinstance(event, Gap | Status) and word == event.WORD for _, event in before)
    return gap.cause != "silent" and read and bool(said) and said[-1][0] == gap.publisher


def _stands(event: MarketData | Gap, symbol: str, word: str) -> bool:
    if isinstance(event, Gap | BookDelta | Status):
        return False
    return (event.WORD, event.symbol) == (word, symbol)


def badness(found: Trusted) -> tuple[int, int]:
    return RANKS[found.state], found.since


def naive_whole(history: list[Said], symbol: str) -> Trusted:
    words: list[str] = []
    for _, event in history:
        if isinstance(event, Status) and event.symbol == symbol:
            words = [""] if not event.word else [*words, event.word]
    if "" in words:
        words += [*WORDS, "ticker"]  # a loss of one of them is a loss
    return min((naive_word(history, symbol, word) for word in words), key=badness, default=UNHEARD)


@examples(600)
@given(HISTORIES)
def test_any_history_says_what_a_naive_reader_says(history: list[Said]) -> None:
    one_by_one = taken(*history)
    for symbol in SYMBOLS:
        for word in WORDS:
            assert one_by_one.trust("v", symbol, word) == naive_word(history, symbol, word)
        assert badness(one_by_one.trust("v", symbol)) == badness(naive_whole(history, symbol))
