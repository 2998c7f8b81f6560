"""Checks of received bytes that trio-websocket doesn't make by itself. Pure.

The library finds some violations only when it has buffered the data, and buffers any number of fragments. So these
checks look at the bytes before the library gets them, and find what must end the connection before the library has
buffered it. They also note what the library doesn't tell: when a message was complete, and what the peer's close frame
said. All other violations of the protocol are for the library to find. Once it has refused a frame, what is noted here
of later frames means nothing.
"""

from __future__ import annotations

import re
from math import inf

from feedbus.errors import BadData, ConnectFailed, VenueError
from feedbus.transport.frames import PLACE, most_fragments, too_many_fragments
from feedbus.transport.handshake import END_OF_HEAD
from feedbus.transport.refusals import refusal

MAX_HEAD = 65536
"""Bytes that the head of the HTTP response may have."""

_HTTP = b"HTTP/1."
_BARE_NEWLINE = re.compile(rb"(?<!\r)\n")
# RFC 6455, section 5.2: opcodes from 8 on are control frames, FIN marks the last frame of a message.
_CLOSE = 8
_FIN = 0x80


class HeadWatch:
    """Checks the head of the HTTP response to our request."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._head = bytearray()

    def feed(self, data: bytes | bytearray) -> int | None:
        """Take in the next bytes. Returns how many of them belong to the head, or None while the head is incomplete.

        Raises ConnectFailed, or RateLimited, for anything that isn't the head of a response with status 101.
        """
        before = len(self._head)
        self._head += data
        if not self._head.startswith(_HTTP[: len(self._head)]):
            raise ConnectFailed(f"{self._place}: no WebSocket server: it does not answer in HTTP")
        # The end of the head may be spread over two reads, so the search begins a little before the new bytes.
        end = self._head.find(END_OF_HEAD, max(0, before - len(END_OF_HEAD) + 1))
        if _BARE_NEWLINE.search(self._head, 0, end if end >= 0 else len(self._head)):
            raise ConnectFailed(f"{self._place}: no WebSocket server: a line of its answer does not end in CR LF")
        if end < 0:
            if len(self._head) > MAX_HEAD:
                raise ConnectFailed(f"{self._place}: bad answer to the handshake: its head is too long")
            return None
        if self._head[9:12] != b"101":
            raise refusal(self._place, self._head[:end])
        return end + len(END_OF_HEAD) - before


class FrameWatch:
    """Checks the frames of an open connection (RFC 6455, section 5.2).

    failure   set when the peer exceeds a limit; the bytes from there on must not reach the library
    messages  the number of data messages that have become complete
    close     the payload of the peer's close frame, None until that has come; all bytes behind it are ignored
    """

    def __init__(self, max_message_size: int) -> None:
        self.failure: VenueError | None = None
        self.messages = 0
        self.close: bytes | None = None
        self._closing = bytearray()
        self._limit = max_message_size
        self._most_fragments = most_fragments(max_message_size)
        self._frames_left = inf  # frames that may still be taken in this turn
        self._header = bytearray()
        self._left = 0  # bytes that are missing of the current frame's payload
        self._size = self._fragments = 0  # bytes and frames so far of the message that is being received

    @property
    def inside_frame(self) -> bool:
        """Whether the bytes so far end in the middle of a frame."""
        return bool(self._header)

    def feed(self, data: bytes | bytearray, frames: float = inf) -> int:
        """Take in the next bytes, but no more of them after the end of so many frames.

        Returns how many bytes the library may have now. There is a failure when it may have none of the rest.
        """
        at = 0
        self._frames_left = frames
        while at < len(data) and self.failure is None and self._frames_left > 0:
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
        """The header of a frame is complete: note the length of its payload, and check the limits."""
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
        elif self._fragments > self._most_fragments:
            self.failure = BadData(PLACE, too_many_fragments(self._most_fragments))

    def _payload(self, data: bytes | bytearray) -> int:
        if self._header[0] & 0x0F == _CLOSE:
            self._closing += data
        self._left -= len(data)
        if not self._left:
            self._end()
        return len(data)

    def _end(self) -> None:
        """A frame is complete."""
        self._frames_left -= 1
        opcode = self._header[0] & 0x0F
        if opcode == _CLOSE:
            self.close = bytes(self._closing)
        elif opcode < _CLOSE and self._header[0] & _FIN and self.failure is None:
            self.messages += 1
        self._header.clear()


def _header_size(second: int) -> int:
    """Return the bytes of a frame's header by its second byte: 126 and 127 announce a longer length field. A masked
    frame, which no server may send, counts as a short one, and the library refuses it."""
    return {126: 4, 127: 10}.get(second, 2)
