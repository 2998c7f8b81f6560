"""Faults of messages: on whom they are used up, what is sent, and that it is over then."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.sim.message_faults import (
    KINDS,
    MAX_RULES,
    ArmedFaults,
    MessageFault,
    MessageFaults,
    SentMessages,
    faults_answer,
    parse_faults,
)
from feedbus.sim.seam import SimRequest


def changed(kind: str, message: str) -> str | None:
    return None if kind == "sums_back" else f"{kind} {message}"


class Streams:
    """Two streams of two symbols, and what is sent on them."""

    def __init__(self, **faults: Any) -> None:
        self.faults = ArmedFaults(("books", "trades"), ("A", "B"))
        self.faults.arm(parse_faults(json.dumps(faults))[0])
        self._sent: dict[tuple[str, str], SentMessages] = {}

    def sent(self, *messages: str, stream: str = "trades", symbol: str = "A") -> list[str]:
        sent = self._sent.setdefault((stream, symbol), SentMessages())
        return [each for message in messages for each in self.faults.spoiled(stream, symbol, sent, message, changed)]


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        ({}, "1 2 3 4"),
        ({"drop": {"count": 2}}, "3 4"),
        ({"drop": {"count": None}}, ""),
        ({"duplicate": {}}, "1 1 2 3 4"),
        ({"swap": {}}, "2 1 3 4"),
        ({"swap": {"count": 2}}, "2 1 4 3"),
        ({"replay": {}}, "1 2 1 3 4"),
        ({"replay": {"count": 9}}, "1 2 1 3 2 4 3"),
        ({"cross": {}}, "cross 1 2 3 4"),
        ({"sums_back": {}, "drop": {}}, "2 3 4"),
        ({"drop": {"symbol": "B"}, "duplicate": {"stream": "books"}}, "1 2 3 4"),
        ({"drop": {}, "duplicate": {"symbol": "A", "stream": "trades"}}, "2 2 3 4"),
    ],
)
def test_what_is_sent_in_place_of_messages(faults: dict[str, Any], expected: str) -> None:
    assert " ".join(Streams(**faults).sent("1", "2", "3", "4")) == expected


def test_each_symbol_has_a_count_of_its_own_and_a_fault_is_over_then() -> None:
    streams = Streams(drop={"count": 2})
    assert streams.sent("1", "2", "3") == ["3"]
    assert streams.sent("1", symbol="B") == []
    assert streams.sent("2", "3", symbol="B", stream="books") == ["3"]
    assert streams.faults.done == Counter(drop=4)


def test_what_is_armed_for_one_symbol_is_gone_when_it_is_used_up() -> None:
    streams = Streams(drop={"symbol": "A", "count": 2})
    streams.sent("1")
    assert streams.faults.armed() == {"drop": {"*": {"A": 1}}}
    streams.sent("2")
    assert streams.faults.armed() == {}


def test_what_is_armed_again_has_the_new_count_and_clear_disarms_all() -> None:
    streams = Streams(drop={"count": 5})
    streams.faults.arm(MessageFaults(drop=MessageFault(count=1)))
    assert streams.sent("1", "2") == ["2"]
    streams.faults.arm(MessageFaults(clear=True, duplicate=MessageFault()))
    assert streams.sent("3") == ["3", "3"]
    assert streams.faults.armed() == {"duplicate": {"*": {"*": 1}}}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{", "no faults: "),
        ('{"lose": {}}', "unknown field `lose`"),
        ('{"drop": {"count": 0}}', ">= 1"),
        ('{"drop": {"stream": "quotes"}}', "no stream 'quotes'; there are: books, trades"),
        ('[{"duplicate": {}}, {"drop": {"symbol": "C"}}]', "drop: 'C' isn't listed"),
    ],
)
def test_of_a_wrong_body_nothing_is_done(body: str, said: str) -> None:
    faults = ArmedFaults(("books", "trades"), ("A", "B"))
    answer = faults_answer(faults, SimRequest("POST", "/sim/faults", body.encode()))
    assert answer.status == 400
    assert said in json.loads(answer.body)["error"]
    assert faults.armed() == {}


def test_the_resource_says_what_is_armed_and_what_was_done() -> None:
    streams = Streams()
    posted = faults_answer(streams.faults, SimRequest("POST", "/sim/faults", b'{"drop": {"symbol": "A", "count": 2}}'))
    assert json.loads(posted.body) == {"armed": {"drop": {"*": {"A": 2}}}, "done": {}}
    streams.sent("1")
    told = faults_answer(streams.faults, SimRequest("GET", "/sim/faults"))
    assert json.loads(told.body) == {"armed": {"drop": {"*": {"A": 1}}}, "done": {"drop": 1}}
    assert faults_answer(streams.faults, SimRequest("PUT", "/sim/faults")).status == 405


def test_what_is_armed_is_bounded() -> None:
    names = [str(number) for number in range(MAX_RULES + 1)]
    faults = ArmedFaults((), names)
    for name in names[:-1]:
        faults.arm(MessageFaults(drop=MessageFault(symbol=name)))
    with pytest.raises(ValueError, match="more than 1000"):
        faults.arm(MessageFaults(drop=MessageFault(symbol=names[-1])))


@given(st.dictionaries(st.sampled_from(KINDS), st.integers(1, 4)), st.integers(1, 30))
def test_whatever_is_armed_nothing_is_sent_that_was_not_written(faults: dict[str, int], count: int) -> None:
    streams = Streams(**{kind: {"count": left} for kind, left in faults.items()})
    written = [str(number) for number in range(count)]
    found = [text.rpartition(" ")[2] for text in streams.sent(*written)]
    done = streams.faults.done
    assert set(found) <= set(written)
    extra, held = done["duplicate"] + done["replay"], int(streams._sent["trades", "A"].held is not None)
    assert len(found) == count - done["drop"] + extra - held
    assert all(done[kind] <= faults.get(kind, 0) for kind in KINDS)
