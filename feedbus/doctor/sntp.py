"""SNTP packets: a client's question, and what the answer says of our clock (RFC 5905, sections 7.3 and 8). Pure.

The question holds nothing of ours: in the place of our time it has a random number, which the answer must repeat, so
that no other packet is taken for it. Our own times of sending and receiving are kept here, in nanoseconds since the
Unix epoch.
"""

from __future__ import annotations

import struct

import msgspec

from feedbus.errors import BadData

PORT = 123
SIZE = 48  # bytes; what may follow is of no interest

_CLIENT = 4 << 3 | 3  # version 4, mode client
_SERVER = 4
_UNSYNCHRONISED = 3  # the leap indicator of a server that doesn't know the time
_MAX_STRATUM = 15
_EPOCH = 2_208_988_800  # seconds from 1900, where NTP begins to count, to 1970
_HEAD = struct.Struct("!BBbb11I")
_HALF, _WHOLE = 1 << 63, 1 << 64


class ClockReading(msgspec.Struct, frozen=True):
    """What one answer says. `ahead_s` is by how many seconds our clock is ahead of the server's, negative when it is
    behind; it is wrong by half of `round_trip_s` at most. `stratum` is 1 where a reference clock is at the server."""

    ahead_s: float
    round_trip_s: float
    stratum: int


def question(cookie: int) -> bytes:
    """The packet to send. `cookie` is a random number of 64 bits, not 0."""
    return _HEAD.pack(_CLIENT, 0, 0, 0, *[0] * 9, cookie >> 32, cookie & 0xFFFFFFFF)


def answered(packet: bytes, cookie: int, sent_ns: int, received_ns: int) -> ClockReading:
    """What the answer to the question with this cookie says. Raises BadData for anything else, and for a server that
    doesn't know the time or doesn't want to be asked."""
    if len(packet) < SIZE:
        raise BadData("NTP", f"an answer of {len(packet)} bytes")
    flags, stratum, _, _, _, _, code, *times = _HEAD.unpack_from(packet)
    _, _, origin_high, origin_low, *rest = times
    if flags & 7 != _SERVER or (origin_high << 32 | origin_low) != cookie:
        raise BadData("NTP", "a packet that doesn't answer our question")
    if not stratum:
        letters = code.to_bytes(4).decode("ascii", "replace")
        raise BadData("NTP", f"the server doesn't want to be asked: {letters if letters.isalnum() else 'no reason'}")
    if stratum > _MAX_STRATUM or flags >> 6 == _UNSYNCHRONISED:
        raise BadData("NTP", "the server doesn't know the time itself")
    arrived, left = rest[0] << 32 | rest[1], rest[2] << 32 | rest[3]
    if not left:
        raise BadData("NTP", "an answer without a time")
    out = _difference(_ntp(sent_ns), arrived)
    back = _difference(_ntp(received_ns), left)
    return ClockReading((out + back) / 2, max(0.0, (received_ns - sent_ns) / 1e9 - _difference(left, arrived)), stratum)


def _ntp(time_ns: int) -> int:
    """A time as NTP writes it: 32 bits of seconds and 32 of their fraction, which begin anew in 2036."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    return ((seconds + _EPOCH) << 32 | (rest << 32) // 1_000_000_000) % _WHOLE


def _difference(one: int, other: int) -> float:
    """Seconds from `other` to `one`, by the nearer way around."""
    return ((one - other + _HALF) % _WHOLE - _HALF) / (1 << 32)
