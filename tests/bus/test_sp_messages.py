"""The bytes of a publisher's stream, however they are cut, and those of somebody else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.bus.sp_messages import PUBLISHER, SpMessages
from feedbus.errors import BusError

LIMIT = 64
MESSAGES = st.lists(st.sampled_from([b"a.", b"b."]).flatmap(lambda begin: st.binary(max_size=40).map(begin.__add__)))


def framed(message: bytes, kind: int = 1) -> bytes:
    return bytes([kind]) + len(message).to_bytes(8) + message


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % (len(data) + 1) for place in places} | {len(data)})
    return [data[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


@given(MESSAGES, st.lists(st.integers(0, 10_000)))
def test_the_wanted_messages_come_whole_and_in_order_however_the_bytes_are_cut(
    messages: list[bytes], places: list[int]
) -> None:
    reader = SpMessages((b"a.",), LIMIT)
    data = PUBLISHER + b"".join(map(framed, messages))
    got = [message for part in cut(data, places) for message in reader.feed(part)]
    assert got == [message for message in messages if message.startswith(b"a.")]
    assert reader.greeted


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        PUBLISHER.replace(b"\x20", b"\x10"),  # a pair0 socket of nng
        PUBLISHER + framed(b"a.", kind=2),
        PUBLISHER + framed(b"a." + bytes(LIMIT)),
        PUBLISHER + b"\x01" + b"\xff" * 8,
    ],
)
def test_what_no_publisher_sends_is_refused_before_it_is_buffered(data: bytes) -> None:
    with pytest.raises(BusError):
        SpMessages((b"",), LIMIT).feed(data)
