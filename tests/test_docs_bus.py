"""docs/bus.md is what goes over the wire: its examples are encoded here, and read by a reader written from the page."""

from __future__ import annotations

import re
import struct
from types import NoneType
from typing import Any, get_type_hints

import msgspec
import pytest

from feedbus.bus.nng import MESSAGE_SIZE, QUEUE_LIMIT, RECV_MAX_SIZE
from feedbus.schema import codec
from feedbus.schema.events import EVENT_TYPES, SCHEMA_VERSION, End, Event, Gap, Heartbeat, Marker, Trade
from feedbus.schema.topics import MAX_TOPIC
from tests.places import DOCS

PAGE = (DOCS / "bus.md").read_text()
EPOCH = 1795384347000000000
TRADE = Trade("moex", "TQBR.SBER", EPOCH + 120_000_000, EPOCH + 123_000_000, 306.12, 6.0, "buy", 1234)
BEAT = Heartbeat("moex", EPOCH, 1, 1, 1, [("trade.moex.TQBR.SBER", 41)])


def examples() -> list[bytes]:
    """The hex of each block of the example section."""
    blocks = re.findall(r"```\n(.*?)```", PAGE[PAGE.index("## An example") :], re.DOTALL)
    lines = [re.findall(r"^ *((?:[0-9a-f]{2} ?)+)(?:  |$)", block, re.MULTILINE) for block in blocks]
    return [bytes.fromhex("".join(found)) for found in lines]


def read(data: bytes, at: int = 0) -> tuple[Any, int]:
    """One msgpack value, of the types that the page names, and where the next one begins."""
    first = data[at]
    if first < 0x80:
        return first, at + 1
    if first >> 4 == 0x9:
        return read_items(data, at + 1, first & 0xF)
    if first >> 5 == 0b101:
        stop = at + 1 + (first & 0x1F)
        return data[at + 1 : stop].decode(), stop
    kinds = {0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q"}
    if first in kinds:
        size = struct.calcsize(kinds[first])
        return struct.unpack(kinds[first], data[at + 1 : at + 1 + size])[0], at + 1 + size
    if first == 0xC0:
        return None, at + 1
    raise ValueError(f"byte {first:#x} at {at}")


def read_items(data: bytes, at: int, count: int) -> tuple[list[Any], int]:
    items = []
    for _ in range(count):
        item, at = read(data, at)
        items.append(item)
    return items, at


@pytest.mark.parametrize(
    ("number", "word", "symbol", "first", "event", "published"),
    [
        (0, "trade", "TQBR.SBER", 41, TRADE, EPOCH + 123_456_789),
        (1, "heartbeat", "", 1, BEAT, EPOCH + 1_000_000_000),
    ],
)
def test_the_examples_are_what_is_sent_and_what_the_page_says(
    number: int, word: str, symbol: str, first: int, event: Event, published: int
) -> None:
    data = examples()[number]
    assert codec.encode(codec.MessageHeader(word, "moex", "moex", EPOCH, published), [(symbol, first, [event])]) == data
    topic, _, body = data.partition(b"\0")
    assert topic.decode() == f"{word}.moex"
    message, end = read(body)
    assert end == len(body)
    fields = msgspec.json.decode(msgspec.json.encode(event))
    assert message == [1, "moex", EPOCH, published, [[symbol, first, [fields]]]]
    assert message[:4] == [SCHEMA_VERSION, "moex", EPOCH, published]


def test_there_are_two_examples_and_they_name_their_values() -> None:
    assert len(examples()) == 2
    for value in ("306.12", str(EPOCH), str(TRADE.ts_event), str(TRADE.ts_recv), "1234", '"buy"'):
        assert value in PAGE


def test_the_limits_on_the_page_are_those_of_the_code() -> None:
    assert f"at most {MAX_TOPIC - 1} bytes" in PAGE
    assert f"({MESSAGE_SIZE:,} bytes)" in PAGE
    assert f"up to {QUEUE_LIMIT:,}" in PAGE
    assert RECV_MAX_SIZE == 1024 * 1024
    assert f"schema | positive int | the version of this layout, which is {SCHEMA_VERSION}." in PAGE


def written(wanted: Any) -> str:
    """A field's type, as the page writes it."""
    plain = {str: "str", int: "int", float: "float", bool: "bool", NoneType: "nil"}
    if wanted in plain:
        return plain[wanted]
    inner, origin = wanted.__args__, getattr(wanted, "__origin__", None)
    if origin is list:
        return f"[{written(inner[0])}, …]"
    if origin is tuple:
        return f"[{', '.join(map(written, inner))}]"
    if origin is dict:
        return "{" + ": ".join(map(written, inner)) + "}"
    if all(isinstance(word, str) for word in inner):
        return "str"  # a Literal
    return " or ".join(dict.fromkeys(map(written, inner)))


@pytest.mark.parametrize("of", [of for of in EVENT_TYPES if of is not Gap])
def test_every_kind_stands_on_the_page_with_its_fields_in_order(of: type[Event]) -> None:
    hints: dict[str, Any] = get_type_hints(of)
    common = ("venue", "symbol", "ts_event", "ts_recv")
    assert of.__struct_fields__[:4] == common or of in (Heartbeat, End, Marker)
    fields = [f"{name}: {written(hints[name])}" for name in of.__struct_fields__ if name not in common]
    word = of.WORD or "(the topic it ends)"
    assert f"| `{of.__struct_config__.tag}` | {word} | {', '.join(fields)} |" in PAGE
