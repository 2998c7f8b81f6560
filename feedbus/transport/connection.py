"""One open WebSocket of the transport `sansio`: a trio stream around the pure FrameReader. May touch the clock.

Each connection has a background task that sends pings and waits for their pongs. A second one lives only while answers
to the peer (pongs and the close frame) are being written. So `receive` never writes, and can be cancelled at any time
without cutting a frame short. Pongs are noticed only while a task receives, since nothing else reads.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence

import msgspec
import trio
from websockets.client import ClientProtocol
from websockets.frames import CloseCode

from feedbus import ticks
from feedbus.errors import ClosedByPeer, TimedOut, VenueError
from feedbus.transport import DialOptions
from feedbus.transport.frames import ABNORMAL, PING_OR_PONG, FrameReader, Message
from feedbus.transport.reasons import why
from feedbus.transport.streams import STREAM_ERRORS, abandon
from feedbus.transport.tcp import READ_SIZE

MAX_ANSWERS = 32
"""How many answers may wait to be written. A peer that pings faster than it reads gets pongs for its last pings only,
which RFC 6455, section 5.5.3 permits. Without a bound it could fill our memory."""


class Opened(msgspec.Struct):
    """A connection right after its handshake.

    `early` is what came behind the handshake in the same read, and `ts_recv` the time of that read (ns since the
    epoch).
    """

    stream: trio.abc.Stream
    protocol: ClientProtocol
    early: Message
    ts_recv: int


class WebSocketConnection:
    """One open WebSocket. feedbus.transport.Connection describes what its methods promise.

    `pongs_skipped` counts pongs that were not sent, because the peer doesn't read as fast as it pings.
    """

    def __init__(self, opened: Opened, options: DialOptions, nursery: trio.Nursery) -> None:
        """The tasks that write answers run in `nursery`, which must outlive the connection."""
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
        self._ts_recv = opened.ts_recv  # the time of the last read
        self.bytes_received += len(opened.early)
        self._early = self._take(opened.early) if opened.early else []

    async def receive(self) -> tuple[list[Message], int]:
        """Return messages of one socket read, and the time of the read. A read of many frames is returned in parts."""
        if self._early:
            await trio.lowlevel.checkpoint()  # before anything is taken, so that cancelling here loses nothing
            early, self._early = self._early, []
            return early, self._ts_recv
        while self._failure is None or self._reader.more:
            data: Message = b""
            if self._reader.more:
                await trio.lowlevel.checkpoint()  # other tasks get their turn before the rest of the last read
            else:
                # The read is no method of its own, because each call of a coroutine costs as much as cutting a frame.
                self._reading = True
                try:
                    data = await self._stream.receive_some(READ_SIZE)
                except STREAM_ERRORS as error:
                    raise self._end(ClosedByPeer(ABNORMAL, why(error))) from error
                finally:
                    self._reading = False
                self._ts_recv = time.time_ns()
                self.bytes_received += len(data)
                if not data:
                    self._reader.eof()
            messages = self._take(data)
            if messages:
                return messages, self._ts_recv
        raise self._failure

    async def send(self, messages: Sequence[Message | str]) -> None:
        """Write these messages in one write. One that is cancelled half-way ends the connection."""
        payloads = [message.encode() if isinstance(message, str) else message for message in messages]
        async with self._send_lock:
            if self._failure is not None:
                raise self._failure
            # The last chance to cancel harmlessly: from here on the protocol object counts the frames as sent.
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
        """Send a ping every ping_interval, and end the connection when a pong is overdue."""
        number = 0
        interval = self._options.ping_interval
        next_ping = trio.current_time() + interval
        while True:
            await trio.sleep_until(ticks.shared(next_ping, interval))
            next_ping = trio.current_time() + interval
            if self._failure is not None:
                return
            number += 1
            if not await self._ping(b"%d" % number):
                # The failure is set first: closing the stream wakes `receive`, which must not report a broken stream.
                self._end(TimedOut(f"no pong within {self._options.ping_timeout:g} s"))
                await abandon(self._stream)
                return

    async def close(self, *, await_peer: bool) -> None:
        """Do the closing handshake (RFC 6455, section 7.1.2) within close_timeout, then close the stream in any case.

        `await_peer` says whether to wait for the peer's close frame. No failure of the peer is raised.
        """
        try:
            with trio.move_on_after(self._options.close_timeout, shield=True):
                await self._send_close()
                if await_peer:
                    await self._await_close()
        except STREAM_ERRORS:
            pass  # the peer is gone already
        finally:
            self._end(ClosedByPeer(ABNORMAL, "closed on our side"))
            await abandon(self._stream)

    def _take(self, data: Message) -> list[Message]:
        messages = self._reader.feed(data)
        self.messages_received += len(messages)
        if self._options.rounds is not None:
            self._options.rounds.took(len(messages))
        if self._reader.attention:
            self._attend()
        return messages

    def _attend(self) -> None:
        """Handle what came besides plain messages: a pong, a failure, or frames that must be answered."""
        self._reader.attention = False
        if self._reader.awaited_pong is None:
            self._pong.set()
        if self._reader.failure is not None:
            self._end(self._reader.failure)
        self._answer(self._protocol.data_to_send())

    def _end(self, failure: VenueError) -> VenueError:
        """Note a failure. The first one counts, because the others mostly follow from it. Returns the first one."""
        self._failure = self._failure or failure
        return self._failure

    def _answer(self, frames: Iterable[bytes]) -> None:
        """Have these frames written by a background task, so that the caller needn't wait for the peer to read."""
        for frame in filter(None, frames):
            if len(self._answers) == MAX_ANSWERS:
                self.pongs_skipped += 1
            elif frame[0] in PING_OR_PONG:
                self._options.control_sent()
            self._answers.append(frame)
        if self._answers and not self._answering:
            self._answering = True
            self._nursery.start_soon(self._write_answers)

    async def _write_answers(self) -> None:
        try:
            while self._answers:
                async with self._send_lock:
                    await trio.lowlevel.checkpoint_if_cancelled()  # as `_write` requires
                    await self._write()
        except STREAM_ERRORS:
            pass  # `receive` raises it, after it has returned the messages that came before
        finally:
            self._answering = False

    async def _write(self) -> None:
        """Write everything that waits to be written.

        The caller holds the lock and has just checked for a pending cancellation. When this write is cancelled, a part
        of a frame may have been sent, and nothing sensible can follow it: so the connection is ended.
        """
        data = b"".join([*self._answers, *self._protocol.data_to_send()])
        self._answers.clear()
        try:
            await self._stream.send_all(data)
        except trio.Cancelled:
            self._end(ClosedByPeer(ABNORMAL, "a write of ours was cut short"))
            await abandon(self._stream)
            raise

    async def _ping(self, payload: bytes) -> bool:
        """Send a ping and wait for its pong. Returns False when the pong is overdue.

        A pong is noticed only while a task receives. So it is overdue only if a task receives now and did so when we
        began to wait, or if the ping itself could not be written; otherwise we wait once more.
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

    async def _send_close(self) -> None:
        """Send a close frame, unless the connection has ended already, and all answers that still wait."""
        async with self._send_lock:
            if self._failure is None:
                self._end(ClosedByPeer(ABNORMAL, "closed on our side"))
                self._protocol.send_close(CloseCode.NORMAL_CLOSURE)
            await self._write()

    async def _await_close(self) -> None:
        """Read until the peer's close frame or the end of the stream. All other data is discarded."""
        while self._protocol.close_rcvd is None:
            if self._reader.more:
                await trio.lowlevel.checkpoint()
                self._reader.feed(b"")
                continue
            data = await self._stream.receive_some(READ_SIZE)
            if not data:
                return
            self._reader.feed(data)
