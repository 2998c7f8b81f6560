"""One open WebSocket: trio streams around the pure parts. May touch its stream and the clock.

One task belongs to each connection, which sends pings and judges their pongs; a second one lives for as long as an
answer (a pong, a close frame) is being written, so that `receive` never writes and can be cancelled at any time.
Pongs are seen only while somebody receives.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence

import msgspec
import trio
from websockets.client import ClientProtocol
from websockets.frames import CloseCode

from feedbus.errors import ClosedByPeer, TimedOut, VenueError
from feedbus.transport import DialOptions
from feedbus.transport.frames import ABNORMAL, FrameReader, Message
from feedbus.transport.reasons import why
from feedbus.transport.streams import STREAM_ERRORS, abandon
from feedbus.transport.tcp import READ_SIZE

MAX_ANSWERS = 32
"""How many pongs may wait to be written. A peer that asks faster gets only the last ones, as RFC 6455 allows."""


class Opened(msgspec.Struct):
    """A connection right after its handshake; `early` came in the same read as the end of it."""

    stream: trio.abc.Stream
    protocol: ClientProtocol
    early: Message
    ts_recv: int


class WebSocketConnection:
    """One open WebSocket; the seam's Connection says what its methods promise."""

    def __init__(self, opened: Opened, options: DialOptions, nursery: trio.Nursery) -> None:
        """The nursery must outlive the connection."""
        self.bytes_received = 0
        self.messages_received = 0
        self.pongs_skipped = 0
        self.subprotocol: str | None = opened.protocol.subprotocol
        self._stream = opened.stream
        self._protocol = opened.protocol
        self._options = options
        self._nursery = nursery
        self._reader = FrameReader(opened.protocol, options.max_message_size)
        self._failure: VenueError | None = None
        self._send_lock = trio.Lock()
        self._answers: deque[bytes] = deque(maxlen=MAX_ANSWERS)
        self._answering = False
        self._reading = False
        self._pong = trio.Event()
        self._early = (self._feed(opened.early), opened.ts_recv) if opened.early else ([], 0)

    async def receive(self) -> tuple[list[Message], int]:
        """The messages of one socket read, and when it was."""
        if self._early[0]:
            await trio.lowlevel.checkpoint()
            early, self._early = self._early, ([], 0)
            return early
        while self._failure is None:
            self._reading = True
            try:
                data = await self._stream.receive_some(READ_SIZE)
            except STREAM_ERRORS as error:
                raise self._end(ClosedByPeer(ABNORMAL, why(error))) from error
            finally:
                self._reading = False
            ts_recv = time.time_ns()
            messages = self._feed(data)
            if messages:
                return messages, ts_recv
        raise self._failure

    async def send(self, messages: Sequence[Message | str]) -> None:
        """Write these messages at once; a write that is cancelled half way ends the connection."""
        payloads = [message.encode() if isinstance(message, str) else message for message in messages]
        async with self._send_lock:
            if self._failure is not None:
                raise self._failure
            await trio.lowlevel.checkpoint_if_cancelled()
            for message, payload in zip(messages, payloads, strict=True):
                if isinstance(message, str):
                    self._protocol.send_text(payload)
                else:
                    self._protocol.send_binary(payload)
            try:
                await self._write()
            except STREAM_ERRORS as error:
                raise self._failure or ClosedByPeer(ABNORMAL, why(error)) from error

    async def keep_alive(self) -> None:
        """Ping in intervals, and end the connection when a pong is overdue."""
        number = 0
        next_ping = trio.current_time() + self._options.ping_interval
        while True:
            await trio.sleep_until(next_ping)
            next_ping = trio.current_time() + self._options.ping_interval
            if self._failure is not None:
                return
            number += 1
            if not await self._ping(b"%d" % number):
                self._end(TimedOut(f"no pong within {self._options.ping_timeout:g} s"))
                await abandon(self._stream)
                return

    async def close(self, *, await_peer: bool) -> None:
        """Say goodbye as far as that goes in close_timeout, then close the stream. Never raises for the peer's sake."""
        try:
            with trio.move_on_after(self._options.close_timeout, shield=True):
                await self._say_goodbye()
                if await_peer:
                    await self._await_end()
        except STREAM_ERRORS:
            pass  # there is nobody to say goodbye to
        finally:
            self._end(ClosedByPeer(ABNORMAL, "closed on our side"))
            await abandon(self._stream)

    def _feed(self, data: Message) -> list[Message]:
        if not data:
            self._reader.eof()
        self.bytes_received += len(data)
        messages = self._reader.feed(data)
        self.messages_received += len(messages)
        if self._reader.attention:
            self._attend()
        return messages

    def _attend(self) -> None:
        """Something beside plain messages came."""
        self._reader.attention = False
        if self._reader.awaited_pong is None:
            self._pong.set()
        if self._reader.failure is not None:
            self._end(self._reader.failure)
        self._answer(self._protocol.data_to_send())

    def _end(self, failure: VenueError) -> VenueError:
        """The first failure is the one that counts: it is returned."""
        self._failure = self._failure or failure
        return self._failure

    def _answer(self, frames: Iterable[bytes]) -> None:
        """Have these frames written by a task of their own."""
        for frame in filter(None, frames):
            self.pongs_skipped += len(self._answers) == MAX_ANSWERS
            self._answers.append(frame)
        if self._answers and not self._answering:
            self._answering = True
            self._nursery.start_soon(self._write_answers)

    async def _write_answers(self) -> None:
        try:
            while self._answers:
                async with self._send_lock:
                    await trio.lowlevel.checkpoint_if_cancelled()
                    await self._write()
        except STREAM_ERRORS:
            pass  # whoever reads learns of it, after the messages that came before
        finally:
            self._answering = False

    async def _write(self) -> None:
        """Write all that waits. Needs the lock, and a look for a pending cancellation just before: when this is
        cancelled, part of a frame may be out."""
        data = b"".join([*self._answers, *self._protocol.data_to_send()])
        self._answers.clear()
        try:
            await self._stream.send_all(data)
        except trio.Cancelled:
            self._end(ClosedByPeer(ABNORMAL, "a write of ours was cut short"))
            await abandon(self._stream)
            raise

    async def _ping(self, payload: bytes) -> bool:
        """True when the pong has come.

        It is overdue only if somebody would have seen it, that is receives now and did when we began to wait; or if
        the ping itself could not be written.
        """
        self._pong = trio.Event()
        self._reader.awaited_pong = payload
        self._protocol.send_ping(payload)
        self._answer(self._protocol.data_to_send())
        while True:
            watched = self._reading
            with trio.move_on_after(self._options.ping_timeout):
                await self._pong.wait()
            if self._pong.is_set():
                return True
            if self._answering or (watched and self._reading):
                return False

    async def _say_goodbye(self) -> None:
        async with self._send_lock:
            if self._failure is None:
                self._end(ClosedByPeer(ABNORMAL, "closed on our side"))
                self._protocol.send_close(CloseCode.NORMAL_CLOSURE)
            await self._write()

    async def _await_end(self) -> None:
        """Read on until the peer has said goodbye too; what it says besides is discarded."""
        while self._protocol.close_rcvd is None:
            data = await self._stream.receive_some(READ_SIZE)
            if not data:
                return
            self._reader.feed(data)
