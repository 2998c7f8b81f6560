"""Makes whole WebSocket messages of received bytes. Pure: it drives a protocol object of `websockets`, without trio.

Nearly all frames of a venue are plain: unmasked, unfragmented text or binary frames within the size limit. These are
cut out of the bytes here, which takes 0.4 µs where the protocol object takes 3. All other frames (control frames,
fragments, compressed frames, and whatever violates RFC 6455, section 5.2) are handed to the protocol object, which
judges them. It gets one frame at a time and never a plain one, so that whenever a plain frame comes it stands between
two frames.

One read of 64 KiB can hold 32,768 frames, or compressed ones that inflate to a thousand times their size. So the frames
are taken in turns of a bounded size, between which other tasks run.
"""

from __future__ import annotations

from itertools import repeat

from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import Protocol

from feedbus.errors import BadData, ClosedByPeer, VenueError
from feedbus.text import one_line

PLACE = "websocket"  # where a BadData of the protocol itself was found
ABNORMAL = int(CloseCode.ABNORMAL_CLOSURE)  # 1006: no close frame came (RFC 6455, section 7.1.5)
NOT_UTF8 = "a text message is not UTF-8"

FRAMES_PER_TURN = 800
"""How many frames are taken before other tasks get their turn. A read has up to 64 KiB, and hardly any frame has less
than 80 bytes, so nearly every read is one turn."""

JOINED_UP_TO = 65_536
"""How many bytes may be left of the reads before for the next read to be joined with them. Messages cut out of the
result are bytes, which the decoders take as they are. Of a large frame more is left, and the reads are added to it one
by one, because joining them again and again would copy its beginning each time."""

INFLATED_PER_TURN = 256 * 1024
"""How many bytes of compressed and fragmented messages are taken before other tasks get their turn, counted after they
are inflated. The message that exceeds it is the last one of its turn."""

FRAGMENT_COST = 64
"""Bytes of memory that a library needs for each fragment, however short it is."""

SPARE_FRAGMENTS = 1024
"""How many fragments a message may have in any case, so that a low limit on its size doesn't forbid fragments."""

TEXT = 0x80 | Opcode.TEXT
PLAIN = frozenset({0x80 | Opcode.BINARY, TEXT})
"""The first bytes of plain frames: FIN, no reserved bits, and the opcode of text or binary data."""

CLOSE = 0x80 | Opcode.CLOSE

PING_OR_PONG = frozenset({0x80 | Opcode.PING, 0x80 | Opcode.PONG})
"""The first bytes of pings and pongs, which are never in fragments."""

HEADER_SIZE = bytes([2] * 126 + [4, 10] + [2] * 128)
"""The bytes of a frame's header, by its second byte. The upper half is masked frames, which no server may send."""

Message = bytes | bytearray


def most_fragments(max_message_size: int) -> int:
    """Return how many fragments a message may have."""
    return max_message_size // FRAGMENT_COST + SPARE_FRAGMENTS


def too_many_fragments(most: int) -> str:
    """Say why a message in more fragments than this ends the connection."""
    return f"a message comes in more than {most} fragments"


class FrameReader:
    """The receiving half of one open connection.

    failure       what ended the connection; bytes that come later are ignored
    attention     becomes True when the protocol object may have bytes to send, when `failure` was set, or when a pong
                  has come. So the caller checks one flag per read, and resets it
    awaited_pong  the payload of our last ping, None once its pong has come
    more          whether the turn ended before all frames that have come were taken; `feed(b"")` takes the next turn
    """

    def __init__(self, protocol: Protocol, max_message_size: int) -> None:
        self.failure: VenueError | None = None
        self.attention = False
        self.awaited_pong: bytes | None = None
        self.more = False
        self._protocol = protocol
        self._limit = max_message_size
        self._rest = bytearray()  # the beginning of a frame, of which the protocol object has seen nothing
        self._frame_left = 0  # bytes that the protocol object still lacks of its current frame
        # The type of the message whose fragments are coming; None between two messages.
        self._fragmented: Opcode | None = None
        self._fragments = bytearray()
        self._fragment_count = 0
        self._most_fragments = most_fragments(max_message_size)
        self._inflated = 0  # bytes of the payloads that the protocol object has returned in this turn

    def feed(self, data: Message) -> list[Message]:
        """Take in the bytes of one read. Returns the messages that have become complete, in the order received.

        It takes one turn: when more frames have come, `more` is True, and the next turns must be taken before the
        next read. It raises nothing: a failure is noted in `failure`, so that the messages before it are not lost.
        """
        if len(self._rest) > JOINED_UP_TO:
            self._rest += data
            data = self._rest
        elif self._rest:
            data, self._rest = b"".join((self._rest, data)), bytearray()
        messages: list[Message] = []
        self.more = False
        self._inflated = 0
        handed_over = 0
        at = self._hand_over(data, 0, messages) if self._frame_left else 0
        while not self._frame_left and self.failure is None:
            at = self._cut_plain(data, at, messages)
            if not self._frame_left:
                break
            if data[at] == CLOSE:
                # A close frame may come between the fragments of a message (RFC 6455, section 5.4). The protocol object
                # would refuse it, unless it forgets that it is inside a message.
                self._protocol.current_size = None
            at = self._hand_over(data, at, messages)
            handed_over += 1
            if handed_over + len(messages) >= FRAMES_PER_TURN or self._inflated >= INFLATED_PER_TURN:
                self.more = not self._frame_left and self.failure is None and at < len(data)
                break
        self._keep(data, at)
        return messages

    def eof(self) -> None:
        """Note that the stream has ended. Without a close frame before that, it is a failure."""
        self._protocol.receive_eof()
        if self.failure is None:
            where = "inside a frame" if self._rest or self._frame_left else "without a close frame"
            self._fail(ClosedByPeer(ABNORMAL, f"the stream ended {where}"))

    def _cut_plain(self, data: Message, at: int, messages: list[Message]) -> int:
        """Append plain messages until the data ends, another kind of frame begins, or the turn is over. Returns where
        that is.

        For a frame of another kind, its size is in `_frame_left` then.
        """
        end = len(data)
        limit = self._limit if self._fragmented is None else -1  # the protocol object gets what comes between fragments
        for _ in repeat(None, FRAMES_PER_TURN - len(messages)):  # counting this way costs the least
            if at + 2 > end:
                break
            first = data[at]
            second = length = data[at + 1]
            start = at + HEADER_SIZE[second]
            if start > end:
                break
            if second > 125:
                if second == 126:
                    length = data[at + 2] << 8 | data[at + 3]
                elif second == 127:
                    length = int.from_bytes(data[at + 2 : start])
            stop = start + length
            if first not in PLAIN or second > 127 or length > limit:
                self._frame_left = stop - at
                break
            if stop > end:
                break
            message = data[start:stop]
            messages.append(message)
            if first == TEXT and not message.isascii() and not _is_utf8(message):
                self._refuse_text(messages)
                break
            at = stop
        else:
            self.more = at < end
        return at

    def _hand_over(self, data: Message, at: int, messages: list[Message]) -> int:
        """Give the protocol object the frame at `at`, or what has come of it. Returns where the next frame begins."""
        stop = min(at + self._frame_left, len(data))
        self._frame_left -= stop - at
        self.attention = True
        self._protocol.receive_data(data[at:stop])
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._on_frame(event, messages)
        close, error = self._protocol.close_rcvd, self._protocol.parser_exc
        if close is not None:
            self._fail(ClosedByPeer(close.code, one_line(close.reason)))
        elif error is not None:
            self._fail(BadData(PLACE, self._reason(error)))
        return stop

    def _on_frame(self, frame: Frame, messages: list[Message]) -> None:
        """Handle a frame that the protocol object found valid. Pings and close frames it has answered by itself."""
        if frame.opcode is Opcode.PONG:
            if frame.data == self.awaited_pong:
                self.awaited_pong = None
        elif frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            if frame.opcode is not Opcode.CONT:
                self._fragmented = frame.opcode
                self._fragment_count = 0
            self._fragments += frame.data
            self._fragment_count += 1
            self._inflated += len(frame.data)
            if self._fragment_count > self._most_fragments:
                reason = too_many_fragments(self._most_fragments)
                self._protocol.fail(CloseCode.MESSAGE_TOO_BIG, reason)
                self._fail(BadData(PLACE, reason))
            elif frame.fin:
                self._complete(messages)

    def _complete(self, messages: list[Message]) -> None:
        """The last fragment of a message has come."""
        messages.append(self._fragments)
        is_text = self._fragmented is Opcode.TEXT
        self._fragments, self._fragmented = bytearray(), None
        if is_text and not _is_utf8(messages[-1]):
            self._refuse_text(messages)

    def _refuse_text(self, messages: list[Message]) -> None:
        """Drop the last message, a text that isn't UTF-8, and end the connection (RFC 6455, section 8.1)."""
        messages.pop()
        self._protocol.fail(CloseCode.INVALID_DATA, NOT_UTF8)
        self._fail(BadData(PLACE, NOT_UTF8))

    def _fail(self, failure: VenueError) -> None:
        self.failure = self.failure or failure
        self.attention = True
        self._frame_left = 0

    def _keep(self, data: Message, at: int) -> None:
        """Keep the beginning of an incomplete frame until the rest of it comes."""
        if self.failure is not None:
            self._rest = bytearray()
        elif data is self._rest:
            del self._rest[:at]
        elif at < len(data):
            self._rest += data[at:]

    def _reason(self, error: Exception) -> str:
        """Describe why the protocol object refused a frame."""
        match error:
            case PayloadTooBig():
                return f"a message is larger than {self._limit} bytes"
            case ProtocolError():
                return one_line(str(error))
            case UnicodeDecodeError():
                return "the reason in a close frame is not UTF-8"
        return f"the frame can't be read: {type(error).__name__}"


def _is_utf8(message: Message) -> bool:
    if message.isascii():  # most messages are, and finding out is cheaper than decoding
        return True
    try:
        str(message, "utf-8")
    except UnicodeDecodeError:
        return False
    return True
