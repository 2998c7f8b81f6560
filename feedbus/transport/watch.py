"""What a WebSocket library leaves unwatched in the bytes it receives. Pure.

It looks at the head of the HTTP answer and at the headers of the frames, for what must end the connection before the
library has buffered it, and notes what the library will not tell. Whatever else may be wrong is for the library to
find; behind a frame that it refuses, what is noted here means nothing.
"""

from __future__ import annotations

import re

from feedbus.errors import BadData, ConnectFailed, VenueError
from feedbus.transport.frames import PLACE
from feedbus.transport.handshake import END_OF_HEAD

FRAGMENT_COST = 64
"""Bytes that a library needs to remember a fragment, however short it is."""

SPARE_FRAGMENTS = 1024
MAX_HEAD = 65536

_HTTP = b"HTTP/1."
_BARE_NEWLINE = re.compile(rb"(?<!\r)\n")
_CLOSE = 8
_FIN = 0x80


class HeadWatch:
    """The HTTP answer to our request."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._head = bytearray()

    def feed(self, data: bytes | bytearray) -> int | None:
        """How many of these bytes belong to the head, None when it isn't whole by then.

        Raises ConnectFailed for whatever isn't the head of an answer with status 101.
        """
        before = len(self._head)
        self._head += data
        if not self._head.startswith(_HTTP[: len(self._head)]):
            raise ConnectFailed(f"{self._place}: no WebSocket server: it does not answer in HTTP")
        end = self._head.find(END_OF_HEAD, max(0, before - len(END_OF_HEAD) + 1))
        if _BARE_NEWLINE.search(self._head, 0, end if end >= 0 else len(self._head)):
            raise ConnectFailed(f"{self._place}: no WebSocket server: a line of its answer does not end in CR LF")
        if end < 0:
            if len(self._head) > MAX_HEAD:
                raise ConnectFailed(f"{self._place}: bad answer to the handshake: its head is too long")
            return None
        status = self._head[9:12].decode("ascii", "replace")
        if status != "101":
            raise ConnectFailed(f"{self._place}: HTTP {status}")
        return end + len(END_OF_HEAD) - before


class FrameWatch:
    """The frames of an open connection.

    `failure` is what the peer did that must not reach the library, `messages` how many data messages have become
    whole, `close` the payload of the peer's close frame, None before that has come. Nothing counts behind it.
    """

    def __init__(self, max_message_size: int) -> None:
        self.failure: VenueError | None = None
        self.messages = 0
        self.close: bytes | None = None
        self._closing = bytearray()
        self._limit = max_message_size
        self._max_fragments = max_message_size // FRAGMENT_COST + SPARE_FRAGMENTS
        self._header = bytearray()
        self._left = 0  # of the current frame's payload
        self._size = self._fragments = 0  # of the message that comes just now

    @property
    def inside_frame(self) -> bool:
        """Whether the last byte was not the last of its frame."""
        return bool(self._header)

    def feed(self, data: bytes | bytearray) -> int:
        """How many of these bytes the library may have: all, unless there is a failure."""
        at = 0
        while at < len(data) and self.failure is None:
            if self.close is not None:
                return len(data)
            if self._left:
                at += self._payload(data[at : at + self._left])
                continue
            self._header.append(data[at])
            at += 1
            if len(self._header) > 1 and len(self._header) == _header_size(self._header[1]):
                self._begin()
        return at

    def _begin(self) -> None:
        """The header of a frame is whole."""
        first, second = self._header[:2]
        self._left = second & 0x7F if len(self._header) == 2 else int.from_bytes(self._header[2:])
        opcode = first & 0x0F
        if opcode < _CLOSE:
            self._count(first_of_message=opcode != 0)
        if not self._left:
            self._end()

    def _count(self, *, first_of_message: bool) -> None:
        if first_of_message:
            self._size = self._fragments = 0
        self._size += self._left
        self._fragments += 1
        if self._size > self._limit:
            self.failure = BadData(PLACE, f"a message is larger than {self._limit} bytes")
        elif self._fragments > self._max_fragments:
            self.failure = BadData(PLACE, f"a message comes in more than {self._max_fragments} fragments")

    def _payload(self, data: bytes | bytearray) -> int:
        if self._header[0] & 0x0F == _CLOSE:
            self._closing += data
        self._left -= len(data)
        if not self._left:
            self._end()
        return len(data)

    def _end(self) -> None:
        """A frame is whole."""
        opcode = self._header[0] & 0x0F
        if opcode == _CLOSE:
            self.close = bytes(self._closing)
        elif opcode < _CLOSE and self._header[0] & _FIN and self.failure is None:
            self.messages += 1
        self._header.clear()


def _header_size(second: int) -> int:
    return {126: 4, 127: 10}.get(second, 2)
