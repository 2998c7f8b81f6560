"""The stream that trio-websocket is given: it passes on the bytes that our checks allow. May touch the clock.

The library's reader can end in one way only: a read raises the VenueError that ends the connection. So the library
never sees the end of the stream, a broken stream, or more bytes than the limits permit, and all of these are reported
in the same way as by the other transport. The library takes whatever a read returns in one go, so a read returns no
more than FRAMES_PER_TURN frames, and the rest of what came is kept for the next reads.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

import trio

from feedbus.errors import BadData, ClosedByPeer, ConnectFailed, VenueError
from feedbus.text import one_line
from feedbus.transport.frames import ABNORMAL, PING_OR_PONG, PLACE
from feedbus.transport.reasons import why
from feedbus.transport.streams import STREAM_ERRORS, abandon
from feedbus.transport.tcp import READ_SIZE
from feedbus.transport.watch import FrameWatch, HeadWatch

FRAMES_PER_TURN = 256
"""How many frames are taken before other tasks get their turn. The library takes 25 µs and more for each."""
NO_CODE = 1005
"""Stands for the code of a close frame that has no code (RFC 6455, section 7.1.5)."""


class LibraryCloseReason(Protocol):
    """Why the library regards the connection as closed."""

    @property
    def code(self) -> int:
        """The close code: that of the peer, or the one for the violation that the library found."""

    @property
    def reason(self) -> str | None:
        """The reason in words, which may be the peer's."""


class LibraryConnection(Protocol):
    """What a GuardedStream needs of the library's connection."""

    @property
    def closed(self) -> LibraryCloseReason | None:
        """Why the connection is closed; None while it is open."""


class GuardedStream(trio.abc.Stream):
    """The stream of one connection of the library.

    bytes_received  the bytes read since the handshake
    times           for each message that is on its way through the library, the time at which the last of its bytes was
                    read, in nanoseconds since the Unix epoch; who receives a message removes its time
    write_failure   why nothing can be written any more, None while writing is possible
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        place: str,
        max_message_size: int,
        control_sent: Callable[[], None] = lambda: None,
    ) -> None:
        """`control_sent` is called for each ping and each pong that the library writes."""
        self.bytes_received = 0
        self.times: deque[int] = deque()
        self.write_failure: VenueError | None = None
        self._control_sent = control_sent
        self._stream = stream
        self._place = place
        self._head: HeadWatch | None = HeadWatch(place)
        self._frames = FrameWatch(max_message_size)
        self._library: LibraryConnection | None = None
        self._attached = trio.Event()
        self._rest = b""  # what came in the last read and hasn't been passed on yet
        self._ts_recv = 0  # the time of the last read
        self._write_lock = trio.Lock()
        self._writing_since = 0.0
        self._held: list[bytes] = []
        self._holder: trio.lowlevel.Task | None = None  # the task whose writes are held back

    def attach(self, library: LibraryConnection) -> None:
        """Name the library's connection, which is made only after the handshake. Reads wait for it."""
        self._library = library
        self._attached.set()

    def writing_for(self) -> float:
        """Return for how many seconds the present write has been going on, 0 when there is none."""
        return trio.current_time() - self._writing_since if self._write_lock.locked() else 0.0

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return the bytes of the next read that the library may have. Raises VenueErrors only."""
        if self._head is None:
            await self._attached.wait()
            self._raise_if_ended()
        if self._rest:
            await trio.lowlevel.checkpoint()  # other tasks get their turn
            return self._pass_on(self._rest, 0)
        try:
            data = await self._stream.receive_some(max_bytes or READ_SIZE)
        except trio.ClosedResourceError as error:
            raise self.write_failure or self._ended(why(error)) from error
        except trio.BrokenResourceError as error:
            raise self._ended(why(error)) from error
        self._ts_recv = time.time_ns()
        if not data:
            raise self._ended(None)
        start = 0
        if self._head is not None:
            stop = self._head.feed(data)
            if stop is None:
                return bytes(data)
            self._head, start = None, stop
        self.bytes_received += len(data) - start
        return self._pass_on(bytes(data), start)

    def _pass_on(self, data: bytes, start: int) -> bytes:
        """Check the frames from `start` on, note the time of each message, and keep what is for the next turns.

        Returns the bytes that the library may have now.
        """
        before = self._frames.messages
        stop = start + self._frames.feed(data[start:], FRAMES_PER_TURN)
        self._rest = data[stop:] if self._frames.failure is None else b""
        self.times.extend([self._ts_recv] * (self._frames.messages - before))
        return data[:stop]

    def _raise_if_ended(self) -> None:
        """Raise the failure if what was read before ended the connection. The library has processed all of it by now,
        since it asks for more."""
        closed = self._library.closed if self._library is not None else None
        if closed is not None:
            reason = closed.reason or ""
            payload = b"" if closed.code == NO_CODE else closed.code.to_bytes(2) + reason.encode()
            # The library reports a violation that it found in the same way as the peer's close frame. It is the peer's
            # if the peer sent a close frame with the same payload.
            if self._frames.close == payload:
                raise ClosedByPeer(closed.code, one_line(reason))
            raise BadData(PLACE, one_line(reason))
        if self._frames.failure is not None:
            raise self._frames.failure

    def _ended(self, reason: str | None) -> VenueError:
        """Return the error for a stream that ended (no reason) or broke."""
        if self._head is not None:
            return ConnectFailed(f"{self._place}: {reason or 'the stream ended during the handshake'}")
        where = "inside a frame" if self._frames.inside_frame else "without a close frame"
        return ClosedByPeer(ABNORMAL, reason or f"the stream ended {where}")

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Write, or hold back what is to be written together.

        Nothing is raised when the stream is broken, and the data is discarded: the library would end on it, before it
        has read what the peer sent last. The next read raises what happened.
        """
        if self._holder is trio.lowlevel.current_task():
            self._held.append(bytes(data))
            return
        if data and data[0] in PING_OR_PONG:  # the library writes each of its frames by itself
            self._control_sent()
        async with self._write_lock:
            await self._write(bytes(data))

    def hold_writes(self) -> None:
        """Hold back what the present task writes from now on, until `write_held` and `discard_held`. Writes of other
        tasks, such as the library's pongs, are not held back."""
        self._held.clear()
        self._holder = trio.lowlevel.current_task()

    async def write_held(self) -> None:
        """Write what was held back in one write. Raises `write_failure` when that is impossible."""
        async with self._write_lock:
            await trio.lowlevel.checkpoint_if_cancelled()
            await self._write(b"".join(self._held))
            if self.write_failure is not None:
                raise self.write_failure

    def discard_held(self) -> None:
        """Hold nothing back any more, and forget what still was."""
        self._holder = None
        self._held.clear()

    async def send_last(self, data: bytes) -> None:
        """Write this data and permit no write after it: nothing may follow a close frame (RFC 6455, section 5.5.1)."""
        async with self._write_lock:
            if self.write_failure is None:
                await self._write(data)
                self.write_failure = ClosedByPeer(ABNORMAL, "closed on our side")

    async def _write(self, data: bytes) -> None:
        """Write. The caller holds the lock. When this is cancelled, a part of a frame may have been sent, and nothing
        sensible can follow it: so the connection is ended."""
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
        """Read to the end of the stream and discard the data. The library's reader must have ended."""
        try:
            while await self._stream.receive_some(READ_SIZE):
                pass
        except STREAM_ERRORS:
            pass  # a broken stream has ended, too

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until there is room for a write."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close the underlying stream."""
        await self._stream.aclose()
