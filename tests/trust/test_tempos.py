"""All tempos of a feed, and how they are written down."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.trust import tempos
from feedbus.trust.tempo import HOURS, HourRow, StaleRules
from feedbus.trust.tempos import FADE_EVERY, FORMAT, KeptTempos, Tempos, UnreadableTempos

RULES = StaleRules()
NS = 1_000_000_000


def made(venue: str = "moex") -> Tempos:
    return Tempos(venue, RULES)


def learnt() -> Tempos:
    found = made()
    for symbol, word, seconds in (("TQBR.SBER", "book", 2.0), ("TQBR.SBER", "ticker", 9.0), ("TQBR.ЖЫ", "book", 77.0)):
        for _ in range(150):
            found.of(symbol, word).gap(seconds, 12 * 3600 * NS)
            found.of(symbol, word).look(0.1, 12)
    return found


def written(found: Tempos) -> bytes:
    return found.whole(list(found.pages()))


def bounds_of(found: Tempos) -> list[object]:
    return [
        found.of(symbol, word).bounds_at(hour)
        for symbol, word in (("TQBR.SBER", "book"), ("TQBR.SBER", "ticker"), ("TQBR.ЖЫ", "book"))
        for hour in range(HOURS)
    ]


def test_a_word_of_an_instrument_has_one_tempo() -> None:
    found = made()
    assert found.of("A", "book") is found.of("A", "book")
    assert found.of("A", "book") is not found.of("A", "trade")
    assert len(found) == 2


def test_the_next_life_knows_the_same() -> None:
    first, second = learnt(), made()
    second.read(written(first))
    assert bounds_of(second) == bounds_of(first) != bounds_of(made())
    assert len(second) == 3
    assert written(second) == written(first)


def test_of_what_nothing_is_known_nothing_is_written() -> None:
    found = made()
    found.of("A", "book")
    assert list(found.pages()) == []


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "truncated"),
        (b"\xc1", "malformed"),
        (written(learnt())[:-1], "truncated"),
        (msgspec.msgpack.encode([FORMAT + 1, "moex", 0, []]), "format 2"),
        (written(made("alor")), "another venue"),
        (msgspec.msgpack.encode([FORMAT, "moex", 0, [["A", {"book": [[24, 0, b""]]}]]]), "<= 23"),
        (msgspec.msgpack.encode([FORMAT, "moex", 0, [["A", {"book": [[1, 65_536, b""]]}]]]), "<= 65535"),
        (msgspec.msgpack.encode([FORMAT, "moex", 0, [["A", {"book": [[1, 1, bytes(97)]]}]]]), "<= 96"),
        (msgspec.msgpack.encode([FORMAT, "moex", -1, []]), ">= 0"),
        (b"\x91" * 5000, "recursion|Expected"),
    ],
)
def test_what_cannot_be_used_is_refused_whole(data: bytes, reason: str) -> None:
    found = learnt()
    before = bounds_of(found)
    with pytest.raises(UnreadableTempos, match=f"(?i){reason}"):
        found.read(data)
    assert bounds_of(found) == before


@given(data=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    found = made()
    try:
        found.read(data)
    except UnreadableTempos:
        assert len(found) == 0


def test_there_are_no_more_than_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempos, "MAX_WORDS", 2)
    found = made()
    for symbol in "ABCD":
        found.of(symbol, "book").gap(5.0, 0)
    assert (len(found), found.passed_over) == (2, 2)
    rows: Sequence[HourRow] = [(0, 1, b"")]
    many = KeptTempos(FORMAT, "moex", 0, [(symbol, {"book": list(rows)}) for symbol in "XYZ"])
    with pytest.raises(UnreadableTempos, match="more than 2 words"):
        found.read(msgspec.msgpack.encode(many))


def test_what_is_subscribed_and_what_was_are_no_more_together_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempos, "MAX_WORDS", 3)
    found = made()
    found.of("A", "book")
    found.of("B", "book")
    kept = KeptTempos(FORMAT, "moex", 0, [(symbol, {"book": [(0, 1, b"")]}) for symbol in "BCD"])
    found.read(msgspec.msgpack.encode(kept))
    assert len(found) == 3
    assert len(list(found.pages())) == 2


def test_it_fades_every_four_weeks_whatever_the_lives_between() -> None:
    first = learnt()
    start = 1_700_000_000 * NS
    first.fade(start)
    first.fade(start + FADE_EVERY - 1)
    assert bounds_of(first) == bounds_of(learnt())
    second = made()
    second.read(written(first))
    second.fade(start + FADE_EVERY)
    assert not second.of("TQBR.SBER", "book").bounds_at(12).learnt  # 75 are left of 150
    second.fade(start + 40 * FADE_EVERY)
    assert list(second.pages()) == []


def test_a_clock_that_was_wrong_does_not_keep_it_from_fading() -> None:
    found = learnt()
    found.fade(2_000_000_000 * NS)
    found.fade(1_700_000_000 * NS)
    found.fade(1_700_000_000 * NS + FADE_EVERY)
    assert not found.of("TQBR.SBER", "book").bounds_at(12).learnt
