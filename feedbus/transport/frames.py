"""Received bytes into whole WebSocket messages. Pure: it drives a `websockets` protocol object, and knows no trio.

`websockets` judges every frame but one kind: an unmasked, unfragmented text or binary frame within the size limit
is cut out right here, which takes 0.4 µs where the protocol object takes 3. All other frames (control frames,
fragments, and whatever breaks the rules) are handed to the protocol object one at a time, so that it always
stands at the start of a frame when the next plain one comes.
"""

from __future__ import annotations

from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import Protocol

from feedbus.errors import BadData, ClosedByPeer, VenueError
from feedbus.text import one_line

PLACE = "websocket"
ABNORMAL = int(CloseCode.ABNORMAL_CLOSURE)
NOT_UTF8 = "a text message is not UTF-8"

TEXT = 0x80 | Opcode.TEXT
PLAIN = frozenset({0x80 | Opcode.BINARY, TEXT})
"""The first byte of a whole message: FIN, no reserved bits, text or binary."""

CLOSE = 0x80 | Opcode.CLOSE

HEADER_SIZE = bytes([2] * 126 + [4, 10] + [2] * 128)
"""By the second byte of a frame. The upper half is masked frames, which no server may send."""

Message = bytes | bytearray


class FrameReader:
    """The receiving half of one open connection.

    `failure` is what ended the conversation; bytes that come later are ignored. `attention` becomes True when the
    protocol object may have something to send, `failure` is set or a pong has come; whoever minds it resets it.
    `awaited_pong` is the payload of our last ping, and None once its pong has come.
    """

    def __init__(self, protocol: Protocol, max_message_size: int) -> None:
        self.failure: VenueError | None = None
        self.attention = False
        self.awaited_pong: bytes | None = None
        self._protocol = protocol
        self._limit = max_message_size
        self._rest = bytearray()  # the beginning of a frame, unseen by the protocol object
        self._owed = 0  # how much of its current frame the protocol object still lacks
        self._kind: Opcode | None = None  # of the message that comes in fragments just now
        self._fragments = bytearray()

    def feed(self, data: Message) -> list[Message]:
        """The messages that are whole now, in the order received."""
        if self._rest:
            self._rest += data
            data = self._rest
        messages: list[Message] = []
        at = self._hand_over(data, 0, messages) if self._owed else 0
        while not self._owed and self.failure is None:
            at = self._cut_plain(data, at, messages)
            if not self._owed:
                break
            if data[at] == CLOSE:
                # A close frame may cut a message short (RFC 6455, section 5.4), which the protocol object denies.
                self._protocol.current_size = None
            at = self._hand_over(data, at, messages)
        self._keep(data, at)
        return messages

    def eof(self) -> None:
        """The stream has ended."""
        self._protocol.receive_eof()
        if self.failure is None:
            where = "inside a frame" if self._rest or self._owed else "without a close frame"
            self._fail(ClosedByPeer(ABNORMAL, f"the stream ended {where}"))

    def _cut_plain(self, data: Message, at: int, messages: list[Message]) -> int:
        """Cut out plain messages until the data end or another frame begins; the latter is then owed."""
        end = len(data)
        while at + 2 <= end:
            second = length = data[at + 1]
            start = at + HEADER_SIZE[second]
            if start > end:
                break
            if second == 126:
                length = data[at + 2] << 8 | data[at + 3]
            elif second == 127:
                length = int.from_bytes(data[at + 2 : start])
            stop = start + length
            if data[at] not in PLAIN or second > 127 or length > self._limit or self._kind is not None:
                self._owed = stop - at
                break
            if stop > end:
                break
            messages.append(data[start:stop])
            if data[at] == TEXT and not _is_utf8(messages[-1]):
                self._refuse_text(messages)
                break
            at = stop
        return at

    def _hand_over(self, data: Message, at: int, messages: list[Message]) -> int:
        """Let the protocol object have the frame at `at`, or what there is of it."""
        stop = min(at + self._owed, len(data))
        self._owed -= stop - at
        self.attention = True
        self._protocol.receive_data(data[at:stop])
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._take(event, messages)
        close, error = self._protocol.close_rcvd, self._protocol.parser_exc
        if close is not None:
            self._fail(ClosedByPeer(close.code, one_line(close.reason)))
        elif error is not None:
            self._fail(BadData(PLACE, self._reason(error)))
        return stop

    def _take(self, frame: Frame, messages: list[Message]) -> None:
        """A frame that the protocol object found valid: a fragment, a pong, or nothing that concerns us."""
        if frame.opcode is Opcode.PONG:
            if frame.data == self.awaited_pong:
                self.awaited_pong = None
        elif frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            if frame.opcode is not Opcode.CONT:
                self._kind = frame.opcode
            self._fragments += frame.data
            if frame.fin:
                self._complete(messages)

    def _complete(self, messages: list[Message]) -> None:
        """The last fragment has come."""
        messages.append(self._fragments)
        is_text = self._kind is Opcode.TEXT
        self._fragments, self._kind = bytearray(), None
        if is_text and not _is_utf8(messages[-1]):
            self._refuse_text(messages)

    def _refuse_text(self, messages: list[Message]) -> None:
        """The last of the messages is not what it says."""
        messages.pop()
        self._protocol.fail(CloseCode.INVALID_DATA, NOT_UTF8)
        self._fail(BadData(PLACE, NOT_UTF8))

    def _fail(self, failure: VenueError) -> None:
        self.failure = self.failure or failure
        self.attention = True
        self._owed = 0

    def _keep(self, data: Message, at: int) -> None:
        """Put the beginning of a frame by until the rest of it comes."""
        if self.failure is not None:
            self._rest = bytearray()
        elif data is self._rest:
            del self._rest[:at]
        elif at < len(data):
            self._rest += data[at:]

    def _reason(self, error: Exception) -> str:
        match error:
            case PayloadTooBig():
                return f"a message is larger than {self._limit} bytes"
            case ProtocolError():
                return one_line(str(error))
            case UnicodeDecodeError():
                return "the reason in a close frame is not UTF-8"
        return f"the frame can't be read: {type(error).__name__}"


def _is_utf8(message: Message) -> bool:
    if message.isascii():
        return True
    try:
        str(message, "utf-8")
    except UnicodeDecodeError:
        return False
    return True
