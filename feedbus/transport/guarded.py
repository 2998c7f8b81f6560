"""The stream that trio-websocket is given: it passes on what the watches allow. May touch its stream and the clock.

The library's reader ends in one way only: a read raises the VenueError that ends the conversation. It never sees the
end of the stream, a broken stream, or bytes that it would have to refuse by their amount.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Protocol

import trio

from feedbus.errors import BadData, ClosedByPeer, ConnectFailed, VenueError
from feedbus.text import one_line
from feedbus.transport.frames import ABNORMAL, PLACE
from feedbus.transport.reasons import why
from feedbus.transport.streams import STREAM_ERRORS, abandon
from feedbus.transport.tcp import READ_SIZE
from feedbus.transport.watch import FrameWatch, HeadWatch

NO_CODE = 1005
"""What stands for the code of a close frame that has none (RFC 6455, section 7.1.5)."""


class Reason(Protocol):
    """Why the library regards the connection as closed."""

    @property
    def code(self) -> int:
        """The close code: the peer's, or the one that fits what the library found wrong."""

    @property
    def reason(self) -> str | None:
        """The same in words."""


class Library(Protocol):
    """What is asked of the library's connection."""

    @property
    def closed(self) -> Reason | None:
        """None while it is open."""


class GuardedStream(trio.abc.Stream):
    """One stream for one connection of the library.

    `bytes_received` are those behind the handshake; `times` has, for each message on its way through the library, when
    the last of its bytes came; `write_failure` is why nothing can be written any more.
    """

    def __init__(self, stream: trio.abc.Stream, place: str, max_message_size: int) -> None:
        self.bytes_received = 0
        self.times: deque[int] = deque()
        self.write_failure: VenueError | None = None
        self._stream = stream
        self._place = place
        self._head: HeadWatch | None = HeadWatch(place)
        self._frames = FrameWatch(max_message_size)
        self._library: Library | None = None
        self._known = trio.Event()
        self._write_lock = trio.Lock()
        self._writing_since = 0.0
        self._gathered: list[bytes] = []
        self._gatherer: trio.lowlevel.Task | None = None

    def watch(self, library: Library) -> None:
        """From now on this is whom the stream belongs to."""
        self._library = library
        self._known.set()

    def writing_for(self) -> float:
        """How long the present write has been going on (s), 0 when there is none."""
        return trio.current_time() - self._writing_since if self._write_lock.locked() else 0.0

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """What the library may have of the next read. Raises VenueErrors alone."""
        if self._head is None:
            await self._known.wait()
            self._raise_if_ended()
        try:
            data = await self._stream.receive_some(max_bytes or READ_SIZE)
        except trio.ClosedResourceError as error:
            raise self.write_failure or self._ended(why(error)) from error
        except trio.BrokenResourceError as error:
            raise self._ended(why(error)) from error
        ts_recv = time.time_ns()
        if not data:
            raise self._ended(None)
        start = 0
        if self._head is not None:
            stop = self._head.feed(data)
            if stop is None:
                return bytes(data)
            self._head, start = None, stop
        return bytes(data[: start + self._feed(data[start:], ts_recv)])

    def _feed(self, data: bytes | bytearray, ts_recv: int) -> int:
        before = self._frames.messages
        self.bytes_received += len(data)
        size = self._frames.feed(data)
        self.times.extend([ts_recv] * (self._frames.messages - before))
        return size

    def _raise_if_ended(self) -> None:
        """All that came before is with the library now; if that ended the conversation, this is where it is said."""
        closed = self._library.closed if self._library is not None else None
        if closed is not None:
            reason = closed.reason or ""
            payload = b"" if closed.code == NO_CODE else closed.code.to_bytes(2) + reason.encode()
            # The library tells its own verdicts in the same way as the peer's close frame.
            if self._frames.close == payload:
                raise ClosedByPeer(closed.code, one_line(reason))
            raise BadData(PLACE, one_line(reason))
        if self._frames.failure is not None:
            raise self._frames.failure

    def _ended(self, reason: str | None) -> VenueError:
        if self._head is not None:
            return ConnectFailed(f"{self._place}: {reason or 'the stream ended during the handshake'}")
        where = "inside a frame" if self._frames.inside_frame else "without a close frame"
        return ClosedByPeer(ABNORMAL, reason or f"the stream ended {where}")

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Write, or gather. A stream that broke swallows what is written: reading tells what happened, and when."""
        if self._gatherer is trio.lowlevel.current_task():
            self._gathered.append(bytes(data))
            return
        async with self._write_lock:
            await self._write(bytes(data))

    def gather(self) -> None:
        """What this task writes is held back from now on, for `flush` to write it, until `release`."""
        self._gathered.clear()
        self._gatherer = trio.lowlevel.current_task()

    async def flush(self) -> None:
        """Write what was gathered, at once. Raises what made that impossible."""
        async with self._write_lock:
            await trio.lowlevel.checkpoint_if_cancelled()
            await self._write(b"".join(self._gathered))
            if self.write_failure is not None:
                raise self.write_failure

    def release(self) -> None:
        """Nothing is held back any more; what was is forgotten."""
        self._gatherer = None
        self._gathered.clear()

    async def say_last(self, data: bytes) -> None:
        """Write this, and nothing more after it."""
        async with self._write_lock:
            if self.write_failure is None:
                await self._write(data)
                self.write_failure = ClosedByPeer(ABNORMAL, "closed on our side")

    async def _write(self, data: bytes) -> None:
        """Needs the lock. Cancelled, part of a frame may be out: that ends the connection."""
        if self.write_failure is not None:
            return
        self._writing_since = trio.current_time()
        try:
            await self._stream.send_all(data)
        except STREAM_ERRORS as error:
            self.write_failure = ClosedByPeer(ABNORMAL, why(error))
        except trio.Cancelled:
            self.write_failure = ClosedByPeer(ABNORMAL, "a write of ours was cut short")
            await abandon(self._stream)
            raise

    async def drain(self) -> None:
        """Read to the end, and discard. Needs the library's reader to be gone."""
        try:
            while await self._stream.receive_some(READ_SIZE):
                pass
        except STREAM_ERRORS:
            pass  # that is an end too

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until there is room for a write."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close the stream beneath."""
        await self._stream.aclose()
