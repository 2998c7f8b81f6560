"""Counts the pings and pongs that a client sends, of the bytes of its WebSocket. Pure.

The library that serves the WebSockets answers pings by itself and doesn't tell of them. Some venues count them.
Source: RFC 6455, section 5.2.
"""

from __future__ import annotations

MASKED = 0x80
PINGS_AND_PONGS = (0x9, 0xA)
_LONG = {126: 2, 127: 8}  # bytes of a longer length, by the short one


class ClientControls:
    """The bytes of one connection behind its handshake, read as frames. What is no frame is the library's affair."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._left = 0  # bytes of the present frame's payload that are still to come

    def feed(self, data: bytes | bytearray) -> int:
        """Returns how many pings and pongs begin in these bytes."""
        found = at = 0
        while at < len(data):
            if self._left:
                skipped = min(self._left, len(data) - at)
                self._left -= skipped
                at += skipped
                continue
            self._head.append(data[at])
            at += 1
            size = _size(self._head)
            if size is not None:
                found += self._head[0] & 0xF in PINGS_AND_PONGS
                self._left = size
                self._head.clear()
        return found


def _size(head: bytearray) -> int | None:
    """The length of the payload, once the head is whole."""
    if len(head) < 2:
        return None
    short = head[1] & ~MASKED
    more = _LONG.get(short, 0)
    if len(head) < 2 + more + (4 if head[1] & MASKED else 0):
        return None
    return int.from_bytes(head[2 : 2 + more], "big") if more else short
