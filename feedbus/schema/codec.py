"""Events to bus messages and back. Pure: msgspec only.

A message is `<word>.<venue>`, a NUL byte, and msgpack of

    [schema version, publisher, epoch, published ns, [[symbol, first sequence, [event, ...]], ...]]

The events of one group are numbered `first sequence` and on, in the stream (publisher, epoch, word.venue.symbol).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from feedbus.errors import BusError
from feedbus.schema.events import SCHEMA_VERSION, Event, Heartbeat, MarketData
from feedbus.schema.topics import MAX_TOPIC

M = TypeVar("M", bound="_Message")

Group = tuple[str, int, Sequence[Event]]
"""(symbol, first sequence, events)"""


class MessageHeader(msgspec.Struct, frozen=True, gc=False):
    """Where a bus message came from. `published` is nanoseconds since the epoch, by the publisher's clock."""

    word: str
    venue: str
    publisher: str
    epoch: int
    published: int


class _Message(msgspec.Struct, array_like=True, gc=False):
    schema: int
    publisher: str
    epoch: int
    published: int


class _Decoded(_Message, array_like=True, gc=False):
    groups: list[tuple[str, int, list[MarketData]]]


class _Raw(_Message, array_like=True, gc=False):
    groups: list[tuple[str, int, msgspec.Raw]]


class _Beats(_Message, array_like=True, gc=False):
    groups: list[tuple[str, int, list[Heartbeat]]]


_encode = msgspec.msgpack.Encoder().encode
_decode_all = msgspec.msgpack.Decoder(_Decoded).decode
_decode_raw = msgspec.msgpack.Decoder(_Raw).decode
_decode_beats = msgspec.msgpack.Decoder(_Beats).decode
_decode_events = msgspec.msgpack.Decoder(list[MarketData]).decode
_decode_event = msgspec.msgpack.Decoder(MarketData).decode
_split_events = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode

# What decoding foreign bytes can raise. Besides its own error, msgspec lets through the ones that Python raises for
# text that isn't UTF-8 and for arrays that are nested too deep.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def encode(header: MessageHeader, groups: Sequence[Group]) -> bytes:
    """One bus message."""
    body = (SCHEMA_VERSION, header.publisher, header.epoch, header.published, groups)
    return f"{header.word}.{header.venue}\0".encode() + _encode(body)


def decode(data: bytes) -> tuple[MessageHeader, list[tuple[str, int, list[MarketData]]]]:
    """A whole message of market data. Raises BusError, also for one event of a kind that isn't known here."""
    header, message = _read(data, _decode_all)
    return header, message.groups


def decode_raw(data: bytes) -> tuple[MessageHeader, list[tuple[str, int, msgspec.Raw]]]:
    """A message whose events are left undecoded, for `decode_events`. Raises BusError."""
    header, message = _read(data, _decode_raw)
    return header, message.groups


def decode_heartbeats(data: bytes) -> list[Heartbeat]:
    """The events of a message on a `heartbeat` topic. Raises BusError."""
    _, message = _read(data, _decode_beats)
    return [beat for _, _, beats in message.groups for beat in beats]


def decode_events(raw: msgspec.Raw) -> list[MarketData | None]:
    """The events of one group; None stands for one of a kind that isn't known here. Raises BusError."""
    try:
        return list(_decode_events(raw))
    except _UNREADABLE:
        return [_known(event) for event in _split_group(raw)]


def _split_group(raw: msgspec.Raw) -> list[msgspec.Raw]:
    try:
        return _split_events(raw)
    except _UNREADABLE as error:
        raise BusError(f"unreadable events: {error}") from None


def _known(raw: msgspec.Raw) -> MarketData | None:
    try:
        event: MarketData = _decode_event(raw)
    except _UNREADABLE as error:
        if str(error).startswith("Invalid value") and str(error).endswith("`$[0]`"):
            return None
        raise BusError(f"an event of another shape: {error}") from None
    return event


def _read(data: bytes, decoder: Callable[[memoryview], M]) -> tuple[MessageHeader, M]:
    end = data.find(b"\0", 0, MAX_TOPIC)
    if end < 0:
        raise BusError("a bus message without a topic")
    try:
        word, _, venue = data[:end].decode().partition(".")
        message = decoder(memoryview(data)[end + 1 :])
    except _UNREADABLE as error:
        raise BusError(f"unreadable bus message {data[:end]!r}: {error}") from None
    if abs(message.schema - SCHEMA_VERSION) > 1:
        raise BusError(f"bus message of schema version {message.schema}; this feedbus reads {SCHEMA_VERSION}")
    return MessageHeader(word, venue, message.publisher, message.epoch, message.published), message
