"""Publishers of another age: adjacent schema versions are read, less what came later in them; others are refused."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from feedbus.bus.receiver import Receiver
from feedbus.schema import codec
from feedbus.schema.events import SCHEMA_VERSION, Event, Gap, Heartbeat
from feedbus.testing.strategies import MARKET_DATA, any_event, examples, plain

ADJACENT = st.sampled_from([SCHEMA_VERSION - 1, SCHEMA_VERSION, SCHEMA_VERSION + 1])
FAR = st.sampled_from([SCHEMA_VERSION - 2, SCHEMA_VERSION + 2, SCHEMA_VERSION + 3]) | st.integers(
    -(2**63), 2**64 - 1
).filter(lambda version: abs(version - SCHEMA_VERSION) > 1)
TOPICS = st.sampled_from([[""], ["trade"], ["trade.moex."], ["trade.moex.A"], ["trade.moex.A", "book"]])
KNOWN = {str(of.__struct_config__.tag) for of in MARKET_DATA}

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
EXTRA = st.lists(VALUES, max_size=2)
LATER_KINDS = st.builds(
    lambda kind, fields: [kind, *fields],
    st.text(max_size=8).filter(lambda kind: kind not in KNOWN)
    | st.sampled_from(["auction", "gap", "end", "heartbeat"]),
    EXTRA,
)


def pack(version: int, groups: list[Any], extra: list[Any], topic: bytes = b"trade.moex") -> bytes:
    return topic + b"\0" + msgspec.msgpack.encode([version, "moex", 7, 5, groups, *extra])


def later_event(event: Event, extra: list[Any]) -> list[Any]:
    """As a publisher writes it whose kinds have more fields."""
    return [*plain(event), *extra]


@examples(100)
@given(TOPICS, ADJACENT, st.lists(any_event() | LATER_KINDS, min_size=1, max_size=4), EXTRA, EXTRA)
def test_adjacent_versions_are_read_without_what_came_later(
    topics: list[str], version: int, sent: list[Any], more_fields: list[Any], more_parts: list[Any]
) -> None:
    written = [later_event(event, more_fields) if isinstance(event, Event) else event for event in sent]
    expected = [(number, event) for number, event in enumerate(sent, 1) if isinstance(event, Event)]
    receiver = Receiver(topics)
    batch = receiver.receive(pack(version, [["A", 1, written]], more_parts))
    found = [] if batch is None else list(zip(batch[0].sequences(), batch[1], strict=True))
    assert found == expected
    stats = receiver.stats()
    assert (stats.unreadable, stats.unknown_kinds, stats.gaps) == (0, len(sent) - len(expected), 0)
    assert stats.published == stats.delivered == {"trade": len(sent)}


@examples(60)
@given(ADJACENT, st.integers(2, 50), EXTRA, EXTRA)
def test_heartbeats_of_adjacent_versions_show_what_was_lost(
    version: int, head: int, more_fields: list[Any], more_parts: list[Any]
) -> None:
    receiver = Receiver(["trade"])
    receiver.receive(pack(version, [["A", 1, [["trade", "moex", "A", 1, 1, 1.5, 1.0, None, 1]]]], more_parts))
    beat = later_event(Heartbeat("moex", 7, 1, 1, 1, [("trade.moex.A", head)]), more_fields)
    batch = receiver.receive(pack(version, [["", 1, [beat]]], more_parts, b"heartbeat.moex"))
    assert batch is not None
    assert batch[1] == [Gap("trade.moex.A", "moex", 7, 2, head, "lost")]
    assert receiver.unreadable == 0


@examples(60)
@given(TOPICS, FAR, st.lists(any_event(), min_size=1, max_size=2), st.booleans())
def test_other_versions_are_refused_and_change_nothing(
    topics: list[str], version: int, sent: list[Any], heartbeat: bool
) -> None:
    receiver, untouched = Receiver(topics), Receiver(topics)
    header = codec.MessageHeader("trade", "moex", "moex", 7, 5)
    first, last = (codec.encode(header, [("A", number, [sent[0]])]) for number in (1, 9))
    topic = b"heartbeat.moex" if heartbeat else b"trade.moex"
    assert receiver.receive(first) == untouched.receive(first)
    assert receiver.receive(pack(version, [["A", 2, list(map(plain, sent))]], [], topic)) is None
    assert receiver.receive(last) == untouched.receive(last)
    assert receiver.unreadable == 1
    stats, expected = receiver.stats(), untouched.stats()
    assert (stats.published, stats.delivered, stats.lost) == (expected.published, expected.delivered, expected.lost)
