"""What is published of a feed's instruments: the first time, when one changes, and again at even intervals."""

from __future__ import annotations

from collections import Counter
from math import inf
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.schema.events import Instrument
from feedbus.venues.instruments import AGAIN_EVERY, FIELDS, MOST_A_SECOND, KnownInstruments

PAPER = Instrument("moex", "A", 0, 7, "RU1", 10.0, 0.01, 2, "SUR", "TQBR", "1", "T")


def paper(name: str = "A", **fields: Any) -> Instrument:
    return msgspec.structs.replace(PAPER, symbol=name, **fields)


def test_wanted_instruments_are_published_first_and_when_they_change() -> None:
    known = KnownInstruments(["A", "B"])
    assert known.unknown() == ["A", "B"]
    assert known.take([paper(), paper("X")], 0.0) == [paper()]
    assert known.take([paper(ts_recv=9), paper("B")], 1.0) == [paper("B")], "a later receipt changes nothing"
    assert (known.unknown(), len(known), known.changes) == ([], 2, 0)


@pytest.mark.parametrize("field", FIELDS)
def test_a_change_of_any_field_is_one(field: str) -> None:
    known = KnownInstruments(["A"])
    known.take([paper()], 0.0)
    fields: dict[str, Any] = {field: None}
    changed = paper(ts_recv=9, **fields)
    assert known.take([changed], 1.0) == [changed]
    assert known.changes == 1


def test_what_a_ticker_says_of_the_status_counts_more_than_an_older_list() -> None:
    known = KnownInstruments(["A"])
    assert known.note_status("X", "T", 1, 2) is None, "nobody wants it"
    assert known.note_status("A", "N", 1, 2) is None, "nothing is known of it yet"
    assert known.take([paper()], 0.0) == [paper(status="N")]
    assert known.note_status("A", "N", 3, 4) is None
    assert known.note_status("A", "T", 5, 6) == paper(status="T", ts_event=5, ts_recv=6)
    assert known.take([paper(status="N")], 1.0) == []
    assert known.changes == 1


def test_what_a_stream_says_of_an_instrument_is_what_is_published_again() -> None:
    known = KnownInstruments(["A"])
    known.note(paper("X"))
    told = Instrument("moex", "A", 3, 4, None, 20.0, None, None, None, None, None, "N")
    known.note(told)
    assert known.take([paper()], 0.0) == [paper(status="N")], "of the lot the list is the judge"
    known.note(told)
    kept = paper(lot=20.0, status="N", ts_event=3, ts_recv=4)
    while not (again := known.due(known.next_due)):
        pass
    assert (again, known.changes) == ([kept], 2)


def test_what_only_a_stream_has_told_is_published_again_too() -> None:
    known = KnownInstruments(["A"])
    known.begin(0.0)
    assert known.next_due == inf
    known.note(paper())
    known.begin(1.0)
    assert known.next_due < inf
    assert known.unknown() == []


def test_another_list_of_wanted_symbols_forgets_the_others() -> None:
    known = KnownInstruments()
    assert known.take([paper()], 0.0) == []
    known.want(["A"])
    assert known.take([paper()], 0.0) == [paper()]
    known.want(["B"])
    assert (len(known), known.symbols) == (0, ["B"])
    assert known.due(100.0) == []


@given(st.integers(1, 400), st.sampled_from([1.0, 2.5, 0.01]))
def test_all_are_published_again_in_each_interval_none_twice_and_never_too_many_at_once(
    count: int, lateness: float
) -> None:
    known = KnownInstruments(str(number) for number in range(count))
    known.take([paper(str(number)) for number in range(count)], 0.0)
    round_s = max(AGAIN_EVERY, count / MOST_A_SECOND)
    now, told, most = 0.0, Counter[str](), 0
    while now < 2 * round_s:
        now = known.next_due
        again = known.due(now + min(lateness, 0.01))
        told.update(each.symbol for each in again)
        most = max(most, len(again))
    assert max(told.values()) - min(told.values()) <= 1
    assert len(told) == count
    assert 1 <= min(told.values()) <= 2
    assert most <= MOST_A_SECOND * 0.25 + 1


def test_after_a_standstill_nothing_is_made_up_for() -> None:
    known = KnownInstruments(str(number) for number in range(3000))
    assert known.next_due == inf
    known.take([paper(str(number)) for number in range(3000)], 0.0)
    assert known.due(0.1) == [], "it isn't due yet"
    assert len(known.due(1000.0)) <= 0.5 * MOST_A_SECOND
    assert known.next_due > 1000.0
