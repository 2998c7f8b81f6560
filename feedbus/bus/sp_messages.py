"""Cuts the messages of a publisher out of the bytes of its ipc:// stream. Pure.

nng speaks the Scalability Protocols. Over a Unix socket each side first sends a greeting of eight bytes, which names
its kind of socket. Then comes one message after another: a byte 1, the length of the message as 64 bits with the
highest byte first, and the message (source: nng, src/sp/transport/ipc/ipc.c).
"""

from __future__ import annotations

from feedbus.errors import BusError

GREETING = b"\0SP\0\0\x21\0\0"
"""What a subscriber says first: its kind is 0x21, sub0 of nng."""
PUBLISHER = b"\0SP\0\0\x20\0\0"
"""What a publisher answers: 0x20 is pub0."""
HEADER = 9
"""Bytes before each message."""


class SpMessages:
    """What has been received of one connection. `greeted` says whether the other side is known to be a publisher."""

    def __init__(self, prefixes: tuple[bytes, ...], max_size: int) -> None:
        """Return only messages that begin with one of these prefixes, and none above `max_size` bytes."""
        self.greeted = False
        self._prefixes = prefixes
        self._max_size = max_size
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take in the bytes of one read. Returns the wanted messages that are complete now.

        Raises BusError when the other side is no publisher, or sends a message that is too large. The connection is of
        no use then, and what came before in the same read is lost with it.
        """
        received: bytes | bytearray = data
        if self._rest:
            self._rest += data
            received = self._rest
        at = 0
        if not self.greeted:
            if len(received) < len(PUBLISHER):
                self._rest = bytearray(received)
                return []
            if not received.startswith(PUBLISHER):
                raise BusError("no publisher answers there")
            self.greeted = True
            at = len(PUBLISHER)
        messages: list[bytes] = []
        at = self._cut(received, at, messages)
        if received is self._rest:
            del self._rest[:at]
        elif at < len(received):
            self._rest += received[at:]
        return messages

    def _cut(self, data: bytes | bytearray, at: int, messages: list[bytes]) -> int:
        """Append the wanted messages. Returns where the first incomplete one begins."""
        end = len(data)
        while (start := at + HEADER) <= end:
            size = int.from_bytes(data[at + 1 : start])
            if data[at] != 1 or size > self._max_size:
                raise BusError(f"a message of {size} bytes and type {data[at]}")
            stop = start + size
            if stop > end:
                break
            if data.startswith(self._prefixes, start, stop):
                messages.append(bytes(data[start:stop]))
            at = stop
        return at
